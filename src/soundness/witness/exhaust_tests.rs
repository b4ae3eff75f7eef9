//! Searches that leave nothing out, over programs of a few instructions: what is claimed of them, and what is not.

use std::sync::Arc;

use super::exhaust::{EveryRun, Missing, Most, Ways, every_run};
use crate::explore::simulation::Simulation;
use crate::isa::RawInsn;
use crate::kernel::ProgramType;
use crate::machine::MachineOptions;
use crate::object::{LoadOptions, Object};
use crate::scenario::{Run, Scenario, Task};

const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/percpu_slot.bpf.o"));
/// Offset of `__sk_buff.mark`: a number from outside.
const MARK: i16 = 8;
const LOOK_UP: i32 = 84;
const RELEASE: i32 = 86;

const fn insn(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> RawInsn {
    RawInsn { opcode, dst, src, offset, imm }
}

const fn mov(dst: u8, src: u8) -> RawInsn {
    insn(0xbf, dst, src, 0, 0)
}

const fn set(dst: u8, imm: i32) -> RawInsn {
    insn(0xb7, dst, 0, 0, imm)
}

const fn call(helper: i32) -> RawInsn {
    insn(0x85, 0, 0, 0, helper)
}

/// A jump over so many instructions if a register is that number.
const fn skip_if(register: u8, imm: i32, over: i16) -> RawInsn {
    insn(0x15, register, 0, over, imm)
}

const fn load(dst: u8, base: u8, offset: i16) -> RawInsn {
    insn(0x61, dst, base, offset, 0)
}

const EXIT: RawInsn = insn(0x95, 0, 0, 0, 0);
/// Ends the program if there is no socket in `r0`.
const NONE: [RawInsn; 2] = [insn(0x55, 0, 0, 1, 0), EXIT];

/// The context in `r6`, a reference to a socket in `r7`, if one was found; then what is given, and 0.
fn with_socket(rest: &[RawInsn]) -> Vec<RawInsn> {
    let tuple = [insn(0x7a, 10, 0, -16, 0), insn(0x7a, 10, 0, -8, 0), mov(2, 10), insn(0x07, 2, 0, 0, -16)];
    let look_up = [set(3, 12), set(4, -1), set(5, 0), call(LOOK_UP)];
    [&[mov(6, 1)][..], &tuple, &look_up, &NONE, &[mov(7, 0)], rest, &[set(0, 0), EXIT]].concat()
}

/// All runs of a `tc` program of those instructions, on one CPU that may find sockets.
fn tried(insns: Vec<RawInsn>, ways: Ways) -> EveryRun {
    tried_within(insns, ways, 1_000_000)
}

/// The same, with so many instructions at most in all runs together.
fn tried_within(insns: Vec<RawInsn>, ways: Ways, most: u64) -> EveryRun {
    let mut object = Object::parse("tiny", OBJECT, &LoadOptions::default()).expect("it loads");
    let program = object.programs.first_mut().expect("it has a program");
    program.section.program_type = ProgramType::SchedCls.number();
    program.functions.truncate(1);
    program.lines.clear();
    program.insns = insns;
    let name = program.name.clone();
    let run = Run { program: name, input: Default::default(), repeat: 1, position: Default::default() };
    let mut scenario = Scenario::about("tiny");
    scenario.stocked = true;
    scenario.on = vec![Task { cpu: 0, run: vec![run] }];
    let simulation = Simulation::new(&scenario, &Arc::new(object), MachineOptions::default()).expect("it can run");
    every_run(&simulation, ways, Most { runs: 1000, steps: 200, insns: most, time: None }).expect("it repeats itself")
}

/// Why not all is known, and the kinds of what runs in both ways show.
fn in_both_ways(rest: &[RawInsn]) -> (Option<Missing>, Vec<&'static str>) {
    let every = tried(with_socket(rest), Ways::Both);
    (every.missing, every.result.findings.values().map(|found| found.finding.kind()).collect())
}

const RELEASED: [RawInsn; 2] = [mov(1, 7), call(RELEASE)];

#[test]
fn a_leak_behind_a_number_from_outside_is_found_in_both_ways_only() {
    let rest = [&[load(2, 6, MARK), skip_if(2, 0x1234_5678, 2)][..], &RELEASED].concat();
    let one = tried(with_socket(&rest), Ways::OfOneInput);
    assert_eq!(one.missing, Some(Missing::Ways), "one input says nothing of the others");
    assert_eq!(in_both_ways(&rest), (None, vec!["leak"]));
}

#[test]
fn nothing_is_found_where_both_ways_are_good() {
    let rest = [&[load(2, 6, MARK), set(8, 1), skip_if(2, 0x1234_5678, 1), set(8, 2)][..], &RELEASED].concat();
    assert_eq!(in_both_ways(&rest), (None, vec![]));
}

#[test]
fn a_number_stays_one_from_outside_wherever_it_goes() {
    let spilled = [load(2, 6, MARK), insn(0x63, 10, 2, -24, 0), load(3, 10, -24), skip_if(3, 77, 2)];
    let counted = [load(2, 6, MARK), set(3, 5), insn(0x0f, 3, 2, 0, 0), skip_if(3, 77, 2)];
    // A fetching addition to the stack gives what was there, and leaves the sum.
    let added =
        [load(2, 6, MARK), insn(0x7a, 10, 0, -24, 0), insn(0xdb, 10, 2, -24, 1), load(3, 10, -24), skip_if(3, 77, 2)];
    // The packet's bytes, as a helper writes them.
    let helped = [
        insn(0x7a, 10, 0, -24, 0),
        mov(1, 6),
        set(2, 0),
        mov(3, 10),
        insn(0x07, 3, 0, 0, -24),
        set(4, 4),
        call(26),
        load(3, 10, -24),
        skip_if(3, 77, 2),
    ];
    for way in [&spilled[..], &counted, &added, &helped] {
        assert_eq!(in_both_ways(&[way, &RELEASED].concat()), (None, vec!["leak"]), "{way:?}");
    }
    let own = [set(2, 5), insn(0x63, 10, 2, -24, 0), load(3, 10, -24), skip_if(3, 77, 2)];
    assert_eq!(in_both_ways(&[&own[..], &RELEASED].concat()), (None, vec![]), "what the program wrote is known");
}

#[test]
fn a_number_that_is_compared_twice_goes_both_ways_each_time() {
    // Released in neither way, if it is 1 and then is not; no number is.
    let rest = [&[load(2, 6, MARK), insn(0x55, 2, 0, 1, 1), skip_if(2, 1, 2)][..], &RELEASED].concat();
    let (missing, found) = in_both_ways(&rest);
    assert_eq!((missing, found), (None, vec!["leak"]), "more runs than there can be, never fewer");
}

#[test]
fn a_packet_load_may_end_the_program() {
    let rest = [&[insn(0x30, 0, 0, 0, 0)][..], &RELEASED].concat();
    assert_eq!(in_both_ways(&rest), (None, vec!["leak"]), "though the packet has the byte");
}

#[test]
fn nothing_is_claimed_where_more_than_a_way_depends_on_a_number() {
    let address = [load(2, 6, MARK), mov(3, 10), insn(0x1f, 3, 2, 0, 0), load(4, 3, -16)];
    let handed = [load(8, 6, MARK), mov(1, 6), set(2, 0), mov(3, 10), insn(0x07, 3, 0, 0, -24), mov(4, 8), call(26)];
    for way in [&address[..], &handed] {
        assert_eq!(in_both_ways(&[way, &RELEASED].concat()).0, Some(Missing::Numbers), "{way:?}");
    }
}

#[test]
fn nothing_is_claimed_of_a_loop_that_a_number_from_outside_ends() {
    let rest = [&[load(2, 6, MARK), insn(0x55, 2, 0, -2, 1)][..], &RELEASED].concat();
    assert!(in_both_ways(&rest).0.is_some_and(|missing| matches!(missing, Missing::Schedules | Missing::Models)));
}

#[test]
fn where_an_object_lies_is_no_number_of_the_program() {
    // Which of two addresses is lower; and that one is not 1234.
    let order = [mov(2, 10), insn(0x2d, 2, 7, 2, 0)];
    let constant = [skip_if(7, 1234, 2)];
    assert_eq!(in_both_ways(&[&order[..], &RELEASED].concat()), (None, vec!["leak"]));
    assert_eq!(in_both_ways(&[&constant[..], &RELEASED].concat()), (None, vec![]));
}

#[test]
fn the_few_numbers_that_a_mask_leaves_are_all_tried() {
    // A load from the stack at an offset that `mask` has left: eight bytes from `fp - 16` on are written, and eight more.
    let masked = |mask: i32| [load(2, 6, MARK), insn(0x57, 2, 0, 0, mask), insn(0x0f, 2, 10, 0, 0), load(4, 2, -16)];
    let after = |mask: i32| with_socket(&[&masked(mask)[..], &RELEASED].concat());
    assert_eq!(tried(after(12), Ways::OfOneInput).missing, Some(Missing::Ways));
    assert_eq!(in_both_ways(&[&masked(12)[..], &RELEASED].concat()), (None, vec![]), "at 0, 4, 8 and 12");
    assert_eq!(in_both_ways(&[&masked(16)[..], &RELEASED].concat()), (None, vec!["out-of-bounds"]), "at 16");
    assert_eq!(in_both_ways(&[&masked(0xff)[..], &RELEASED].concat()).0, Some(Missing::Numbers), "they are too many");
}

#[test]
fn it_is_known_whether_a_program_changes_what_others_see() {
    let quiet = [load(2, 6, MARK), insn(0x63, 10, 2, -8, 0), set(0, 0), EXIT];
    let quiet = [&[mov(6, 1)][..], &quiet].concat();
    assert!(!tried(quiet, Ways::OfOneInput).changes, "its own stack is its own");
    assert!(tried(with_socket(&RELEASED), Ways::OfOneInput).changes, "a count of references is not");
}

#[test]
fn no_more_instructions_are_executed_than_allowed() {
    let rest = [&[load(2, 6, MARK), insn(0x55, 2, 0, -2, 1)][..], &RELEASED].concat();
    assert_eq!(tried_within(with_socket(&rest), Ways::Both, 50).missing, Some(Missing::Schedules));
}
