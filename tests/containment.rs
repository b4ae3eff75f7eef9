//! Concrete runs lie in abstract states: of our own verifier for all programs of ours, of a kernel for those whose log was recorded; and
//! where a log is changed so that a run no longer does, that is found.
//!
//! `tests/containment` has objects, and for some of their programs the log of level 2 with which Linux 6.12.117 accepted them
//! (`kptrsim crosscheck --kernel-only --log-level 2`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use kptrsim::kernel::Profile;
use kptrsim::machine::MachineOptions;
use kptrsim::object::compile::compile;
use kptrsim::object::{Object, Program};
use kptrsim::soundness::containment::within::Spot;
use kptrsim::soundness::containment::{Accepted, Check, Found, Outcome, Skipped, Violation};

static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::embedded().clone());

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn parse(name: &str, bytes: &[u8]) -> Arc<Object> {
    Arc::new(Object::parse(name, bytes, &PROFILE.load_options()).expect("the object loads"))
}

fn recorded(name: &str) -> Arc<Object> {
    parse(name, &std::fs::read(here(&format!("tests/containment/{name}.bpf.o"))).expect("the object is there"))
}

fn program<'o>(object: &'o Object, name: &str) -> &'o Program {
    object.programs.iter().find(|program| program.name == name).expect("the program is there")
}

fn check(object: &Arc<Object>, accepted: Accepted) -> Check {
    let options = MachineOptions {
        max_insns: 200_000,
        kernel_types: Some(Arc::clone(&PROFILE.btf)),
        ..MachineOptions::default()
    };
    Check { object: Arc::clone(object), accepted, options, max_steps: 4_000, seed: 0, known: false }
}

fn with_log(object: &Arc<Object>, name: &str, log: &str) -> Outcome {
    let mut accepted = Accepted::default();
    accepted.add_log(name, log).expect("the log can be read");
    check(object, accepted).program(program(object, name), 2, 0..8).expect("it runs")
}

fn violation(outcome: &Outcome) -> &Violation {
    let found = outcome.findings.values().find_map(|reported| match &reported.found {
        Found::Outside(violation) => Some(violation),
        Found::Run(_) => None,
    });
    found.unwrap_or_else(|| panic!("nothing is found: {:?}", outcome.counts))
}

/// The first place that differs from the first state that a violation names.
fn spot(violation: &Violation) -> Spot {
    violation.against[0].mismatch.as_ref().expect("a place differs").spot
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(here(folder)).expect("the folder is there");
    let mut all: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    all.retain(|path| path.to_string_lossy().ends_with(".bpf.c"));
    all.sort();
    all
}

/// What a folder's programs come to: how many were contained, and the instructions executed and contained.
fn folder_is_contained(folder: &str) -> (usize, u64, u64) {
    let (mut programs, mut executed, mut contained) = (0, 0, 0);
    for path in sources(folder) {
        let name = path.file_name().expect("a name").to_string_lossy().replace(".bpf.c", "");
        let object = parse(&name, &compile(&path).expect("it compiles"));
        let accepted = Accepted::verify(&object, &PROFILE, &object.programs).expect("our log can be read");
        let check = check(&object, accepted);
        for program in object.programs.iter().filter(|program| check.accepted.traces.contains_key(&program.name)) {
            let outcome = check.program(program, 2, 0..6).expect("it runs");
            assert!(outcome.findings.is_empty(), "{name} {}: {:#?}", program.name, outcome.findings.keys());
            programs += usize::from(outcome.counts.contained > 0);
            executed += outcome.counts.executed;
            contained += outcome.counts.contained;
        }
    }
    (programs, executed, contained)
}

#[test]
fn runs_of_our_programs_lie_in_our_states() {
    let (programs, executed, contained) = folder_is_contained("tests/programs/run");
    assert!(programs >= 60, "only {programs} programs were checked");
    assert!(contained * 100 >= executed * 95, "only {contained} of {executed} instructions were checked");
}

#[test]
fn runs_of_accepted_programs_and_examples_lie_in_our_states() {
    for (folder, least) in [("tests/programs/accept", 60), ("examples", 12)] {
        let (programs, executed, contained) = folder_is_contained(folder);
        assert!(programs >= least, "{folder}: only {programs} programs were checked");
        assert!(contained * 100 >= executed * 95, "{folder}: only {contained} of {executed} instructions were checked");
    }
}

#[test]
fn runs_lie_in_the_states_of_a_kernel() {
    let logs = std::fs::read_dir(here("tests/containment")).expect("the folder is there");
    let mut count = 0;
    for path in logs.map(|entry| entry.expect("an entry").path()) {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some((object, name)) = file.strip_suffix(".log").and_then(|file| file.split_once('.')) else { continue };
        let log = std::fs::read_to_string(&path).expect("the log is there");
        let outcome = with_log(&recorded(object), name, &log);
        assert!(outcome.findings.is_empty(), "{file}: {:#?}", outcome.findings);
        assert!(outcome.counts.contained * 2 > outcome.counts.executed, "{file}: {:?}", outcome.counts);
        count += 1;
    }
    assert!(count >= 12, "{count} logs");
}

fn create_log() -> String {
    std::fs::read_to_string(here("tests/containment/percpu_counter.create.log")).expect("the log is there")
}

/// `create` of the counter example against a log in which something was replaced.
fn create_against(change: impl Fn(String) -> String) -> Outcome {
    let log = create_log();
    let changed = change(log.clone());
    assert_ne!(log, changed, "the change changes nothing");
    with_log(&recorded("percpu_counter"), "create", &changed)
}

#[test]
fn another_constant_is_found() {
    let outcome = create_against(|log| log.replacen("R7_w=0", "R7_w=5", 1));
    assert_eq!(spot(violation(&outcome)), Spot::Register { frame: 0, number: 7 });
}

#[test]
fn a_narrower_bound_is_found() {
    // R0 of bpf_iter_num_new, which returns 0.
    let outcome = create_against(|log| log.replace("R0=scalar()", "R0=scalar(umin=1)"));
    let violation = violation(&outcome);
    assert_eq!(spot(violation), Spot::Register { frame: 0, number: 0 });
    assert_eq!(violation.against[0].mismatch.as_ref().map(|mismatch| mismatch.why), Some("umin"));
}

#[test]
fn another_pointer_type_is_found() {
    for (from, to) in [
        ("R0=percpu_ptr_counter(", "R0=rcu_ptr_counter("),
        ("R0=percpu_ptr_counter(", "R0=percpu_ptr_other("),
        ("R1_w=map_ptr(map=slots,", "R1_w=map_ptr(map=others,"),
        ("R2_w=fp-4", "R2_w=fp-8"),
        ("R6_w=map_value(map=slots,ks=4,vs=24,off=16)", "R6_w=map_value(map=slots,ks=4,vs=24,off=8)"),
    ] {
        let outcome = create_against(|log| log.replace(from, to));
        assert!(matches!(spot(violation(&outcome)), Spot::Register { .. }), "{from}: {:?}", outcome.findings);
    }
}

#[test]
fn a_stack_byte_that_is_not_zero_is_found() {
    let log = std::fs::read_to_string(here("tests/containment/subprograms.subprograms.log")).expect("the log is there");
    let changed = log.replace("fp-8=mmmm????", "fp-8=0000????");
    assert_ne!(log, changed);
    let outcome = with_log(&recorded("subprograms"), "subprograms", &changed);
    assert_eq!(spot(violation(&outcome)), Spot::Slot { frame: 0, distance: 8 });
}

#[test]
fn a_reference_that_is_not_counted_is_found() {
    // The pointers stay, their references go.
    let references = regex::Regex::new(r" refs=[0-9,]+").expect("a pattern");
    let numbers = regex::Regex::new(r",?ref_obj_id=\d+").expect("a pattern");
    let outcome = create_against(|log| numbers.replace_all(&references.replace_all(&log, ""), "").into_owned());
    assert_eq!(spot(violation(&outcome)), Spot::References);
}

#[test]
fn a_branch_that_is_not_there_is_found() {
    // The first branch that the program takes: everything from its beginning on is left out.
    let outcome = create_against(|log| {
        let entry = regex::Regex::new(r"(?m)^from \d+ to \d+:").expect("a pattern");
        entry.replace_all(&log, "from 9999 to 9999:").into_owned()
    });
    assert!(violation(&outcome).against.iter().all(|against| against.mismatch.is_none()));
}

#[test]
fn a_state_that_cannot_be_read_is_an_error() {
    let log = create_log().replacen("R7_w=0", "R7_w=nonsense", 1);
    let error = Accepted::default().add_log("create", &log).expect_err("nonsense");
    assert!(error.to_string().contains("cannot read `R7_w=nonsense`"), "{error}");
}

#[test]
fn programs_that_are_refused_do_not_run() {
    let path = here("tests/programs/run/faulting_drop_twice.bpf.c");
    let object = parse("faulting_drop_twice", &compile(&path).expect("it compiles"));
    let accepted = Accepted::verify(&object, &PROFILE, &object.programs).expect("our log can be read");
    assert!(accepted.traces.is_empty());
    assert!(matches!(accepted.skipped.get("faulting_drop_twice"), Some(Skipped::Rejected(_))));
}

/// What `docs/findings/signed-fill-keeps-id.md` tells: the state is out, and the gap is named.
#[test]
fn a_finding_about_the_kernel_is_named() {
    let object = parse("signed_fill", &compile(&here("docs/findings/signed_fill.s")).expect("it compiles"));
    let accepted = Accepted::verify(&object, &PROFILE, &object.programs).expect("our log can be read");
    let outcome = check(&object, accepted).program(program(&object, "signed_fill"), 1, 0..8).expect("it runs");
    assert!(outcome.findings.is_empty());
    assert!(outcome.tolerated.contains_key("signed-fill-keeps-id"), "{:?}", outcome.tolerated);
}

#[test]
fn the_same_seed_gives_the_same_runs() {
    let object = recorded("hand_over");
    let accepted = Accepted::verify(&object, &PROFILE, &object.programs).expect("our log can be read");
    let check = check(&object, accepted);
    let counts = || check.program(program(&object, "rotate"), 2, 0..8).expect("it runs").counts;
    assert_eq!(counts(), counts());
    assert!(counts().contained > 0);
}
