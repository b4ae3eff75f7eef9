//! The verifier's log of small objects, as Linux 6.12.117 prints it but for addresses of maps, which are `0x0` here,
//! and BTF ids of kernel functions, which are those of the built-in tables.

use std::path::Path;

use kptrsim::kernel::Profile;
use kptrsim::object::{LoadOptions, Object};
use kptrsim::verifier::{LogLevel, ObjectVerifier, Options, Verdict};

/// The log of one program of an object, and whether it was accepted.
fn log_of(object: &str, program: &str, log_level: LogLevel) -> (bool, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(object);
    let bytes = std::fs::read(path).expect("the object is there");
    let object = Object::parse("percpu", &bytes, &LoadOptions::default()).expect("the object loads");
    let profile = Profile::embedded();
    let verifier = ObjectVerifier::new(&object, &profile, Options { log_level, ..Options::default() });
    let program = object.programs.iter().find(|found| found.name == program).expect("a program of that name");
    let verification = verifier.verify(program);
    (verification.verdict == Verdict::Accept, verification.log)
}

/// Its result is a sum of unknown numbers, which a tracing program must not return.
const REFUSED: (&str, &str) = ("tests/objects/percpu.o", "publish");
const ACCEPTED: (&str, &str) = ("examples/percpu_counter.bpf.o", "create");

#[test]
fn all_paths_at_level_two() {
    let (accepted, log) = log_of(REFUSED.0, REFUSED.1, LogLevel::Detailed);
    assert!(!accepted, "{log}");
    insta::assert_snapshot!(log);
}

#[test]
fn the_refused_path_at_level_one() {
    let (accepted, log) = log_of(REFUSED.0, REFUSED.1, LogLevel::Basic);
    assert!(!accepted, "{log}");
    insta::assert_snapshot!(log);
}

#[test]
fn an_accepted_program_leaves_its_counts_at_level_one() {
    let (accepted, log) = log_of(ACCEPTED.0, ACCEPTED.1, LogLevel::Basic);
    assert!(accepted, "{log}");
    assert!(log.starts_with("processed "), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn nothing_is_written_without_a_level() {
    assert_eq!(log_of(ACCEPTED.0, ACCEPTED.1, LogLevel::Silent), (true, String::new()));
}
