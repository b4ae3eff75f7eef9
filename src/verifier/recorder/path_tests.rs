//! Recorded paths of the example programs, as they are and broken.

use std::path::Path;

use crate::isa::RawInsn;
use crate::kernel::Profile;
use crate::object::{LoadOptions, Object, Program};
use crate::verifier::path::{Came, Event, Record, Recorded};
use crate::verifier::rule::Rule;
use crate::verifier::verdict::{ObjectVerifier, Verdict, Verification};
use crate::verifier::{LogLevel, Options};

const OBJECTS: [&str; 4] = [
    "examples/percpu_counter.bpf.o",
    "tests/containment/hand_over.bpf.o",
    "tests/containment/iterator_sum.bpf.o",
    "tests/containment/subprograms.bpf.o",
];

fn object(path: &str) -> Object {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the object is there");
    Object::parse(path, &bytes, &LoadOptions::default()).expect("the object loads")
}

fn verified(object: &Object, program: &Program, record: Record, all_paths: bool) -> Verification {
    let profile = Profile::embedded();
    let options = Options { record, all_paths, log_level: LogLevel::Detailed, ..Options::default() };
    ObjectVerifier::new(object, &profile, options).verify(program)
}

/// `create` with its `bpf_kptr_xchg` replaced by a move, so that the object is lost.
fn broken(object: &Object) -> Program {
    let mut program = object.programs.iter().find(|found| found.name == "create").expect("it is there").clone();
    let exchange = program.insns.iter_mut().find(|raw| (raw.opcode, raw.src, raw.imm) == (0x85, 0, 194));
    *exchange.expect("it publishes the object") = RawInsn { opcode: 0xb7, dst: 0, imm: 0, ..RawInsn::default() };
    program
}

#[test]
fn recording_changes_neither_verdict_nor_counts_nor_log() {
    for object in OBJECTS.map(object) {
        for program in object.programs.iter().cloned().chain((object.name == OBJECTS[0]).then(|| broken(&object))) {
            let plain = verified(&object, &program, Record::No, false);
            assert_eq!(plain.path, None);
            for record in [Record::Verdict, Record::Tree { steps: 1 << 20 }, Record::Tree { steps: 10 }] {
                let recorded = verified(&object, &program, record, false);
                assert_eq!(recorded.verdict, plain.verdict, "{}", program.name);
                assert_eq!(recorded.place, plain.place, "{}", program.name);
                assert_eq!(recorded.statistics, plain.statistics, "{}", program.name);
                assert_eq!(recorded.log, plain.log, "{}", program.name);
            }
        }
    }
}

#[test]
fn the_path_of_a_rejected_program_ends_where_it_is_rejected() {
    let object = object(OBJECTS[0]);
    let verification = verified(&object, &broken(&object), Record::Verdict, false);
    let Verdict::Reject(rejection) = &verification.verdict else { panic!("{:?}", verification.verdict) };
    let path = verification.path.as_ref().expect("a path");
    let last = &path.steps[path.last().expect("a step")];
    assert_eq!(Some(last.insn), verification.place.map(|place| place.insn));
    let Rule::UnreleasedReference { id: reference, .. } = rejection.rule else { panic!("{rejection:?}") };
    let rejected = Event::Rejected { rule: rejection.rule.id(), reason: rejection.rule.to_string() };
    assert_eq!(last.events, [rejected]);
    assert!(!last.before.references.is_empty() && !path.cut);
    assert_follows(path);
    let steps = path.to(path.last().expect("a step"));
    assert_eq!(steps, (0..path.steps.len()).collect::<Vec<_>>());
    let events: Vec<&Event> = path.steps.iter().flat_map(|step| &step.events).collect();
    let acquired = |event: &&&Event| matches!(event, Event::Acquired { id, .. } if *id == reference);
    assert_eq!(events.iter().filter(acquired).count(), 1, "{events:?}");
}

#[test]
fn a_tree_has_a_step_for_each_instruction_processed_and_each_way_of_a_branch() {
    let object = object(OBJECTS[0]);
    for program in &object.programs {
        let verification = verified(&object, program, Record::Tree { steps: 1 << 20 }, false);
        let tree = verification.path.expect("a tree");
        let ends = |event: &Event| matches!(event, Event::Pruned { .. } | Event::PathEnds);
        let paths = tree.steps.iter().filter(|step| step.events.iter().any(ends)).count();
        let processed = verification.statistics.insns_processed as usize;
        assert_eq!(tree.steps.len(), processed + paths - 1, "{}", program.name);
        for (index, step) in tree.steps.iter().enumerate().filter(|(_, step)| step.events.iter().any(ends)) {
            let path =
                Recorded { steps: tree.to(index).iter().map(|&at| tree.steps[at].clone()).collect(), cut: false };
            assert_follows(&path);
            assert_eq!(path.steps.first().map(|step| step.came), Some(Came::Start), "{step:?}");
        }
        assert!(!tree.cut);
    }
    let tree = verified(&object, &object.programs[0], Record::Tree { steps: 10 }, false).path.expect("a tree");
    assert_eq!((tree.steps.len(), tree.cut), (10, true));
}

#[test]
fn an_owned_object_is_followed_into_its_field() {
    let object = object(OBJECTS[0]);
    let program = object.programs.iter().find(|program| program.name == "create").expect("it is there");
    let tree = verified(&object, program, Record::Tree { steps: 1 << 20 }, false).path.expect("a tree");
    let events: Vec<&Event> = tree.steps.iter().flat_map(|step| &step.events).collect();
    let acquired = events.iter().find_map(|event| match event {
        Event::Acquired { id, what, by } => Some((*id, what.to_string(), by.clone())),
        _ => None,
    });
    let (id, what, by) = acquired.expect("the object is acquired");
    assert_eq!(what, "a per-CPU object of struct counter");
    assert_eq!(by, "bpf_percpu_obj_new_impl");
    assert!(events.contains(&&Event::Null { id }), "{events:?}");
    let moved = Event::Moved { id, into: "field `live` of map `slots`".to_owned() };
    assert!(events.contains(&&moved), "{events:?}");
}

/// Each step is where the one before it leads, and each choice is the one that was made.
fn assert_follows(path: &Recorded) {
    for pair in path.steps.windows(2) {
        let [before, after] = pair else { continue };
        let taken = before.events.iter().find_map(|event| match event {
            Event::Branch { taken, .. } => Some(*taken),
            _ => None,
        });
        match after.came {
            Came::NotTaken => assert_eq!((after.insn, taken), (before.insn + 1, Some(false)), "{before:?}"),
            Came::Taken => assert_eq!(taken, Some(true), "{before:?}"),
            Came::Fallthrough => assert!((1..=2).contains(&(after.insn - before.insn)), "{before:?} {after:?}"),
            _ => {}
        }
    }
}
