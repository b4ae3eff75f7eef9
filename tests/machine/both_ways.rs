//! Programs that run at a stretch come to the same as instruction by instruction: the inner loop leaves nothing out.

use std::sync::Arc;

use kptrsim::isa::RawInsn;
use kptrsim::machine::{End, Machine, MachineOptions, Outcome};
use proptest::prelude::*;

use super::build::*;

/// One instruction of a random program: what it does, its size, its base, its offset, and what is left.
type Slot = (u8, u8, u8, i16, u8);

/// More instructions than any of the programs executes.
const ENOUGH: u64 = 10_000;

const SIZES: [u8; 4] = [0x10, 0x08, 0x00, 0x18];
const ATOMICS: [i32; 10] = [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1];

/// The instruction, and mostly a few moves behind a call, which leaves nothing in `r2` to `r5`.
fn slots((what, size, base, offset, more): Slot, function: usize, at: usize) -> Vec<RawInsn> {
    let bytes = 1 << size;
    // Mostly at a multiple of the size.
    let offset = if more & 0x80 == 0 { offset / bytes * bytes } else { offset };
    // The same bytes by the frame pointer and by another pointer to the stack, or a global's.
    let (base, offset) = [(10, offset - 24), (6, offset + 40), (7, offset)][usize::from(base)];
    let mode = SIZES[usize::from(size)];
    let target = 2 + more % 4;
    match what {
        0 => vec![insn(0x62 | mode, base, 0, offset, i32::from(more))],
        1 => vec![insn(0x63 | mode, base, 8, offset, 0)],
        2 | 3 => vec![insn(0x61 | mode, target, base, offset, 0)],
        4 => vec![insn(if size == 2 { 0xc3 } else { 0xdb }, base, target, offset, ATOMICS[usize::from(more % 10)])],
        5 => vec![insn(0x0f, 8, target, 0, 0)],
        6 => vec![insn(0x2d, 8, target, 1, 0), add(8, 3)],
        7 => {
            let mut wide = vec![insn(0xa6, 8, 0, 2, i32::from(more))];
            wide.extend(map_value(target, GLOBALS, 0));
            wide
        }
        _ => {
            let mut call = vec![copy(1, 6), insn(0x85, 0, 1, 0, (function - at - 2) as i32)];
            if more < 0xe0 {
                call.extend((2..6).map(|register| copy(register, 0)));
            }
            call
        }
    }
}

/// A program that goes through its random part twice, so that it comes to memory that it has accessed before, and has a function that
/// reads its caller's stack.
fn program(filled: bool, random: &[Slot]) -> Vec<RawInsn> {
    let begin = |function| {
        let mut all = vec![copy(6, 10), add(6, -64), mov(8, 77), mov(9, 2), mov(0, 5)];
        all.extend(map_value(7, GLOBALS, 0));
        all.extend((2..6).map(|register| mov(register, i32::from(register))));
        if filled {
            all.extend([store(10, -24, 8), store(10, -16, 8), store(10, -8, 8)]);
        }
        let body = all.len();
        for &slot in random {
            let at = all.len();
            all.extend(slots(slot, function, at));
        }
        let back = body as i32 - all.len() as i32 - 2;
        all.extend([add(9, -1), insn(0x55, 9, 0, back as i16, 0), copy(0, 8), exit()]);
        all
    };
    let length = begin(1000).len();
    let mut all = begin(length);
    all.extend([store(10, -8, 1), load(0, 10, -8), insn(0x71, 0, 1, 63, 0), mov(6, 0), exit()]);
    all
}

fn stepped(machine: &mut Machine) -> End {
    loop {
        match machine.step(0) {
            Ok(Outcome::Ran | Outcome::Blocked) => {}
            Ok(Outcome::Returned(value)) => return End::Returned(value),
            Err(end) => return *end,
        }
    }
}

/// How a program ends that may execute so many instructions, after how many steps, what it noted, and all that it leaves in memory;
/// `tracked` as under an explorer.
fn outcome(program: &[RawInsn], most: u64, tracked: bool, finish: impl Fn(&mut Machine) -> End) -> String {
    let options = MachineOptions { max_insns: most, ..MachineOptions::default() };
    let object = object(&[("prog", false, program.to_vec())]);
    let mut machine = Machine::new(Arc::new(object), options).expect("the machine can be set up");
    let index = machine.load("prog").expect("the program is there");
    if tracked {
        machine.track();
    }
    machine.start(index, 0).expect("the CPU is idle");
    let end = finish(&mut machine);
    let memory = machine.memory();
    let bytes: Vec<_> = memory.regions().map(|(id, region)| (region.life, memory.peek(id).to_vec())).collect();
    format!("{end:?} {} {:?} {bytes:?}", machine.steps(), machine.unwritten_reads())
}

proptest! {
    #[test]
    fn at_a_stretch_and_step_by_step(
        filled: bool,
        random in prop::collection::vec((0u8..9, 0u8..4, 0u8..3, 0i16..25, any::<u8>()), 1..24),
        few in 1u64..200,
    ) {
        let program = program(filled, &random);
        for (most, tracked) in [(ENOUGH, false), (ENOUGH, true), (few, false)] {
            let stretched = outcome(&program, most, tracked, |machine| machine.run(0));
            prop_assert_eq!(stretched, outcome(&program, most, tracked, stepped));
        }
    }
}

#[test]
fn random_programs_end_in_every_way() {
    let whole: Vec<Slot> = vec![
        (0, 3, 0, 0, 9),
        (1, 2, 1, 8, 0),
        (4, 3, 0, 0, 1),
        (2, 0, 2, 3, 0),
        (7, 0, 0, 0, 9),
        (8, 0, 0, 0, 0),
        (5, 0, 0, 0, 1),
    ];
    let end = outcome(&program(true, &whole), ENOUGH, false, |machine| machine.run(0));
    assert!(end.starts_with("Returned"), "{end}");
    let unwritten = outcome(&program(false, &[(2, 3, 0, 0, 0)]), ENOUGH, false, |machine| machine.run(0));
    assert!(unwritten.contains("NeverWritten"), "{unwritten}");
    let outside =
        outcome(&program(true, &[(2, 3, 2, 24, 0x80), (2, 3, 0, 24, 0x80)]), ENOUGH, false, |machine| machine.run(0));
    assert!(outside.contains("OutOfBounds"), "{outside}");
    let nothing =
        outcome(&program(true, &[(8, 0, 0, 0, 0xe0), (5, 0, 0, 0, 1)]), ENOUGH, false, |machine| machine.run(0));
    assert!(nothing.contains("UninitialisedRegister(3)"), "{nothing}");
    let limited = outcome(&program(true, &whole), 30, false, |machine| machine.run(0));
    assert!(limited.starts_with("Limit"), "{limited}");
}
