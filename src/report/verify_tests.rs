//! What people read of rejections: the examples' programs, each with an instruction changed so that it breaks a rule.

use std::path::Path;

use super::told::Look;
use super::verify;
use crate::isa::RawInsn;
use crate::kernel::Profile;
use crate::object::{LoadOptions, Object, Program};
use crate::verifier::{ObjectVerifier, Options, Record, Verification};

fn object(path: &str) -> Object {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the object is there");
    Object::parse(path, &bytes, &LoadOptions::default()).expect("the object loads")
}

fn verified(path: &str, name: &str, change: impl FnOnce(&Object, &mut Program)) -> Verification {
    let object = object(path);
    let mut program = object.programs.iter().find(|program| program.name == name).expect("it is there").clone();
    change(&object, &mut program);
    let profile = Profile::embedded();
    let options = Options { record: Record::Verdict, ..Options::default() };
    ObjectVerifier::new(&object, &profile, options).verify(&program)
}

fn text(path: &str, name: &str, change: impl FnOnce(&Object, &mut Program)) -> String {
    let verification = verified(path, name, change);
    // Story and help are the same for machines.
    let json = serde_json::to_value(verify::json(path, "test", &verification)).expect("it is data");
    let story = verification.story.as_ref().expect("a story");
    assert_eq!(json["story"].as_array().map(Vec::len), Some(story.parts.len()));
    assert_eq!(json["help"].as_str(), story.help.as_deref());
    verify::text(path, &verification, &Look::plain())
}

const NOTHING: RawInsn = RawInsn { opcode: 0xb7, dst: 0, src: 0, offset: 0, imm: 0 };

/// Replaces calls of a helper or kfunc by `r0 = 0`.
fn leave_out(object: &Object, program: &mut Program, function: &str, helper: i32) {
    let calls = |raw: &RawInsn| match (raw.opcode, raw.src) {
        (0x85, 0) => raw.imm == helper,
        (0x85, 2) => object.externs.get(raw.imm as usize).is_some_and(|called| called.name == function),
        _ => false,
    };
    let mut left_out = 0;
    for raw in program.insns.iter_mut().filter(|raw| calls(raw)) {
        *raw = NOTHING;
        left_out += 1;
    }
    assert!(left_out > 0, "{function}");
}

/// Makes the first comparison with zero behind a call of a helper or kfunc compare something else.
fn leave_check_out(object: &Object, program: &mut Program, function: &str, helper: i32) {
    let call = program.insns.iter().position(|raw| match (raw.opcode, raw.src) {
        (0x85, 0) => raw.imm == helper,
        (0x85, 2) => object.externs.get(raw.imm as usize).is_some_and(|called| called.name == function),
        _ => false,
    });
    let check = program.insns.iter_mut().skip(call.expect("a call")).find(|raw| matches!(raw.opcode, 0x15 | 0x55));
    let check = check.expect("a check");
    // The frame pointer, of which nothing is learnt.
    check.dst = 10;
}

#[test]
fn a_leak() {
    insta::assert_snapshot!(text("examples/percpu_counter.bpf.o", "create", |object, program| {
        leave_out(object, program, "", 194);
    }));
}

#[test]
fn a_pointer_that_was_not_checked() {
    insta::assert_snapshot!(text("examples/percpu_counter.bpf.o", "create", |object, program| {
        leave_check_out(object, program, "bpf_percpu_obj_new_impl", 0);
    }));
}

#[test]
fn an_iterator_that_is_not_destroyed() {
    insta::assert_snapshot!(text("tests/containment/iterator_sum.bpf.o", "sum", |object, program| {
        leave_out(object, program, "bpf_iter_num_destroy", 0);
    }));
}

#[test]
fn an_iterator_that_never_began() {
    insta::assert_snapshot!(text("tests/containment/iterator_sum.bpf.o", "sum", |object, program| {
        leave_out(object, program, "bpf_iter_num_new", 0);
    }));
}

#[test]
fn a_register_that_a_call_forgot() {
    insta::assert_snapshot!(text("examples/percpu_counter.bpf.o", "count", |_, program| {
        let call = program.insns.iter().rposition(|raw| raw.opcode == 0x85).expect("a call");
        program.insns[call + 1] = RawInsn { opcode: 0xbf, dst: 0, src: 4, ..RawInsn::default() };
    }));
}
