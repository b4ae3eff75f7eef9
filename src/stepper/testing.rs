//! What the stepper's tests share: sessions of the first example, whose object is in the repository.

use std::sync::Arc;

use crate::explore::simulation::Simulation;
use crate::machine::MachineOptions;
use crate::object::{LoadOptions, Object};
use crate::scenario::words::Builder;

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
    Sources::of(&object())
}
