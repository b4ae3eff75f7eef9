//! Broken objects: every truncation and many random changes load or are refused, and nothing else happens.

use std::path::Path;
use std::sync::Arc;

use kptrsim::btf::Btf;
use kptrsim::kernel::Profile;
use kptrsim::machine::{End, Machine, MachineOptions};
use kptrsim::object::{LoadOptions, Object, ObjectError};
use kptrsim::strategies::change_bytes;
use kptrsim::verifier::{ObjectVerifier, Options, Verdict};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const OBJECTS: [&str; 2] = ["percpu", "relocations"];

/// Objects whose programs are judged and run: some are accepted, some are not, some are not modelled.
const JUDGED: [&str; 3] =
    ["examples/percpu_counter.bpf.o", "tests/objects/percpu_slot.bpf.o", "tests/objects/percpu.o"];

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects").join(format!("{name}.o"));
    std::fs::read(path).expect("the test object is there")
}

/// The object's own types stand in for a kernel's, so that CO-RE code runs as well.
fn own_types(bytes: &[u8]) -> Btf {
    let object = Object::parse("own", bytes, &LoadOptions::default()).expect("the unbroken object loads");
    (*object.btf.expect("it has types")).clone()
}

fn load(bytes: &[u8], kernel: &Btf) -> Result<Object, ObjectError> {
    let options =
        LoadOptions { kernel_btf: Some(kernel), kernel_config: Some("CONFIG_HZ=250\n"), ..LoadOptions::default() };
    Object::parse("broken", bytes, &options)
}

/// A loaded object must be consistent, however broken the input was.
fn check(object: &Object) {
    for program in &object.programs {
        assert!(program.insns.len() <= 1_000_000);
        assert!(program.functions.is_sorted_by_key(|function| function.start));
        assert!(program.lines.is_sorted_by_key(|line| line.insn));
        assert!(program.lines.iter().all(|line| line.insn < program.insns.len()));
        assert!(program.functions.iter().all(|function| function.start < program.insns.len()));
    }
}

#[test]
fn every_truncation_is_refused_with_a_reason_or_loads() {
    for name in OBJECTS {
        let bytes = read(name);
        let kernel = own_types(&bytes);
        let mut refused = 0;
        for length in 0..bytes.len() {
            match load(&bytes[..length], &kernel) {
                Ok(object) => check(&object),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        // The section headers stand at the end, so whatever is cut off is missed.
        assert_eq!(refused, bytes.len(), "{name}");
        check(&load(&bytes, &kernel).expect("the whole object loads"));
    }
}

#[test]
fn random_changes_are_refused_with_a_reason_or_load() {
    let rounds = std::env::var("KPTRSIM_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000usize);
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, b"kptrsim: objects with random bug"),
    );
    let (mut loaded, mut refused) = (0, 0);
    for name in OBJECTS {
        let original = read(name);
        let kernel = own_types(&original);
        for _ in 0..rounds / OBJECTS.len() {
            let mut bytes = original.clone();
            change_bytes(&mut bytes, 4, runner.rng());
            match load(&bytes, &kernel) {
                Ok(object) => {
                    check(&object);
                    loaded += 1;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
    }
    println!("{loaded} loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0);
}

/// What of a broken object still loads gets a verdict, and the machine can be set up and run with it; each says something.
#[test]
fn what_loads_of_a_broken_object_is_judged_and_run() {
    let rounds = std::env::var("KPTRSIM_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000usize);
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, b"kptrsim: programs to be verified"),
    );
    let profile = Profile::embedded();
    let (mut accepted, mut rejected, mut unsupported, mut ran) = (0, 0, 0, 0);
    for path in JUDGED {
        let original = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the object is there");
        for _ in 0..rounds / JUDGED.len() {
            let mut bytes = original.clone();
            change_bytes(&mut bytes, 3, runner.rng());
            let Ok(object) = Object::parse("broken", &bytes, &profile.load_options()) else { continue };
            let verifier = ObjectVerifier::new(&object, &profile, Options::default());
            for program in &object.programs {
                match verifier.verify(program).verdict {
                    Verdict::Accept => accepted += 1,
                    Verdict::Reject(rejection) => {
                        assert!(!rejection.rule.to_string().is_empty());
                        rejected += 1;
                    }
                    Verdict::Unsupported(what) => {
                        assert!(!what.is_empty());
                        unsupported += 1;
                    }
                }
            }
            ran += run_all(&object, &profile);
        }
    }
    println!("{accepted} accepted, {rejected} rejected, {unsupported} unsupported, {ran} ran");
    assert!(accepted > 0 && rejected > 0 && ran > 0);
}

/// Runs all programs in order, within bounds; gives how many ended by themselves.
fn run_all(object: &Object, profile: &Profile) -> usize {
    let options =
        MachineOptions { max_insns: 10_000, kernel_types: Some(Arc::clone(&profile.btf)), ..MachineOptions::default() };
    let Ok(mut machine) = Machine::new(Arc::new(object.clone()), options) else { return 0 };
    let names = object.programs.iter().map(|program| program.name.as_str());
    names
        .filter(|name| {
            let Ok(program) = machine.load(name) else { return false };
            machine.start(program, 0).is_ok() && matches!(machine.run(0), End::Returned(_))
        })
        .count()
}
