//! What the stepper's tests share: sessions of the first example, whose object is in the repository.

use std::sync::Arc;

use crate::explore::simulation::Simulation;
use crate::isa::RawInsn;
use crate::kernel::Profile;
use crate::machine::MachineOptions;
use crate::object::{LoadOptions, Object};
use crate::report::source;
use crate::scenario::words::Builder;
use crate::verifier::path::Record;
use crate::verifier::{ObjectVerifier, Options};

use super::path::PathSession;
use super::session::Session;
use super::sources::Sources;

const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/percpu_counter.bpf.o"));

/// The first example.
pub fn object() -> Object {
    Object::parse("percpu_counter", OBJECT, &LoadOptions::default()).expect("it loads")
}

/// A session of these words: what runs first, and what each CPU runs.
pub fn session(first: &[&str], on: &[&str], build: impl FnOnce(Builder) -> Builder) -> Session {
    let object = Arc::new(object());
    let mut builder = Builder::about("percpu_counter.bpf.o").set("nr_cpus=2".parse().expect("a setting"));
    builder = first.iter().fold(builder, |builder, word| builder.first(word.parse().expect("a program")));
    builder = on.iter().fold(builder, |builder, word| builder.on(word.parse().expect("programs")));
    let scenario = build(builder.cpus(2)).build().expect("it makes sense");
    let simulation = Simulation::new(&scenario, &object, MachineOptions::default()).expect("it can be set up");
    Session::new(simulation, "percpu_counter.bpf.o".to_owned(), Some(0x1234))
}

/// One CPU counts while another takes the counter away.
pub fn counting() -> Session {
    session(&["create"], &["0:count", "1:destroy"], |builder| builder)
}

/// The source lines that the object carries.
pub fn sources() -> Sources {
    Sources::of(&object(), &source::Sources::none())
}

/// The verifier's paths of one of its programs.
pub fn path(program: &str) -> Result<PathSession, String> {
    verified(object(), program)
}

/// Those of a program that keeps what it allocates: `create` without the instruction that gives it to the map.
pub fn rejected() -> PathSession {
    let mut object = object();
    let create = object.programs.iter_mut().find(|program| program.name == "create").expect("it is there");
    let exchange = create.insns.iter().position(|raw| raw.opcode == 0x85 && raw.src == 0 && raw.imm == 194);
    let exchange = exchange.expect("it calls bpf_kptr_xchg");
    // r0 = 0
    create.insns[exchange] = RawInsn { opcode: 0xb7, dst: 0, src: 0, offset: 0, imm: 0 };
    verified(object, "create").expect("there is a path")
}

fn verified(object: Object, program: &str) -> Result<PathSession, String> {
    let options = Options { record: Record::Tree { steps: 10_000 }, ..Options::default() };
    let source = object.programs.iter().find(|one| one.name == program).ok_or("no such program")?;
    let verification = ObjectVerifier::new(&object, &Profile::embedded(), options).verify(source);
    PathSession::new(Arc::new(object.clone()), program, verification)
}
