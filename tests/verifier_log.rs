//! The verifier's log of a small object, as Linux 6.12.117 prints it but for addresses of maps, which are `0x0` here,
//! and BTF ids of kernel functions, which are left out.

use std::path::Path;

use kptrsim::isa::RawInsn;
use kptrsim::kernel::Profile;
use kptrsim::object::{LoadOptions, Object, Program};
use kptrsim::verifier::{LogLevel, ObjectVerifier, Options, Verdict};

/// The verdict and the log of `create` of `examples/percpu_counter.bpf.o`; `change` changes the program before.
fn log_of(log_level: LogLevel, change: impl FnOnce(&mut Program)) -> (Verdict, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/percpu_counter.bpf.o");
    let bytes = std::fs::read(path).expect("the object is there");
    let object = Object::parse("percpu_counter", &bytes, &LoadOptions::default()).expect("the object loads");
    let profile = Profile::embedded();
    let verifier = ObjectVerifier::new(&object, &profile, Options { log_level, ..Options::default() });
    let mut program = object.programs.iter().find(|found| found.name == "create").expect("it is there").clone();
    change(&mut program);
    let verification = verifier.verify(&program);
    (verification.verdict, without_type_ids(&verification.log))
}

/// BTF ids of kernel functions change with every type that the built-in tables gain.
fn without_type_ids(log: &str) -> String {
    let call = regex::Regex::new(r"(call bpf_\w+)#\d{3,}\b").expect("a pattern");
    call.replace_all(log, "$1#ID").into_owned()
}

#[test]
fn all_paths_at_level_two() {
    let (verdict, log) = log_of(LogLevel::Detailed, |_| ());
    assert_eq!(verdict, Verdict::Accept, "{log}");
    insta::assert_snapshot!(log);
}

#[test]
fn the_refused_path_at_level_one() {
    let (verdict, log) = log_of(LogLevel::Basic, |program| {
        // Behind the loop: a call has left nothing in r4.
        let call = program.insns.iter().rposition(|raw| raw.opcode == 0x85).expect("a call");
        program.insns[call + 1] = RawInsn { opcode: 0xbf, dst: 0, src: 4, ..RawInsn::default() };
    });
    assert!(matches!(verdict, Verdict::Reject(_)), "{log}");
    insta::assert_snapshot!(log);
}

#[test]
fn an_accepted_program_leaves_its_counts_at_level_one() {
    let (verdict, log) = log_of(LogLevel::Basic, |_| ());
    assert_eq!(verdict, Verdict::Accept, "{log}");
    assert!(log.starts_with("processed "), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn nothing_is_written_without_a_level() {
    assert_eq!(log_of(LogLevel::Silent, |_| ()), (Verdict::Accept, String::new()));
}
