//! Jumps, calls and packets: what a table of operands does not reach.

use std::sync::Arc;

use kptrsim::isa::RawInsn;
use kptrsim::machine::{End, Input, Machine, MachineOptions};

use super::exhaustive::{check, encode};
use super::program::{Program, copy, exit, insn, machine_object, machine_program, mov, store};
use super::rows::{Meaning, Pair, Row, Table};

/// There and back: the first jump goes `distance` slots forward, and what is there goes `distance + 1` back.
fn there_and_back(setup: [RawInsn; 2], there: RawInsn, back: RawInsn, distance: usize) -> Program {
    let mut slots = setup.to_vec();
    slots.extend([there, mov(0, 7), exit()]);
    slots.extend(vec![exit(); distance - 2]);
    slots.push(back);
    Program { slots, memory: vec![0; 8] }
}

/// Immediates with which the condition holds of one number and another.
fn holding(holds: fn(&Pair) -> bool) -> (i32, i32) {
    let pairs = [(1, 1), (1, 2), (2, 1)];
    pairs.into_iter().find(|&(dst, src)| holds(&Pair::new(64, dst as u64, src as u64))).expect("it can hold")
}

pub fn far_jumps() {
    let table = Table::new();
    let short = |row: &Row, dst: i32, src: i32| {
        let raw = encode(row, 1, 2, src);
        let [there, back] = [i16::MAX, i16::MIN].map(|offset| RawInsn { offset, ..raw });
        there_and_back([mov(1, dst), mov(2, src)], there, back, i16::MAX as usize)
    };
    for row in &table.rows {
        let program = match row.meaning {
            Meaning::JumpIf(_, holds) => {
                let (dst, src) = holding(holds);
                short(row, dst, src)
            }
            Meaning::Jump => {
                let [there, back] = [i16::MAX, i16::MIN].map(|offset| insn(0x05, 0, 0, offset, 0));
                there_and_back([mov(1, 0), mov(2, 0)], there, back, i16::MAX as usize)
            }
            Meaning::JumpLong => {
                let [there, back] = [100_000, -100_001].map(|imm| insn(0x06, 0, 0, 0, imm));
                there_and_back([mov(1, 0), mov(2, 0)], there, back, 100_000)
            }
            _ => continue,
        };
        check(&table, &row.mnemonic, &program);
    }
}

pub fn functions() {
    let table = Table::new();
    // main calls f, f calls g behind it, and g calls h before it: r6 to r9 are everyone's own, r1 to r5 and r0 pass through.
    let main = [mov(6, 1), mov(7, 2), mov(8, 3), mov(1, 40), insn(0x85, 0, 1, 0, 6)];
    let end = [store(9, 0, 0), store(9, 8, 6), store(9, 16, 7), store(9, 24, 8), mov(0, 0), exit()];
    let f = [mov(6, 5), mov(9, 6), insn(0x85, 0, 1, 0, 5), insn(0x0f, 0, 6, 0, 0), insn(0x0f, 0, 9, 0, 0), exit()];
    let h = [copy(0, 1), exit()];
    let g = [mov(6, 7), mov(7, 7), mov(8, 7), mov(9, 7), insn(0x07, 1, 0, 0, 2)];
    for last in [vec![insn(0x85, 0, 1, 0, -8), exit()], vec![copy(0, 1), exit()]] {
        let slots = [&main[..], &end, &f, &h, &g, &last].concat();
        check(&table, "functions", &Program { slots, memory: vec![0; 32] });
    }
    // Each has a stack of its own.
    let slots = vec![
        mov(6, 40),
        store(10, -8, 6),
        insn(0x85, 0, 1, 0, 3),
        insn(0x79, 1, 10, -8, 0),
        insn(0x0f, 0, 1, 0, 0),
        exit(),
        mov(6, 2),
        store(10, -8, 6),
        copy(0, 6),
        exit(),
    ];
    assert_eq!(Program { slots, memory: vec![0; 8] }.in_machine(false).value, 42);
}

/// `r0 = ` the bytes there, with the packet's program.
fn packet_load(mode: u8, size: u8, index: i32, imm: i32, packet: &[u8]) -> End {
    let src = if mode == 0x40 { 2 } else { 0 };
    let slots = vec![copy(6, 1), mov(2, index), insn(mode | size, 0, src, 0, imm), exit()];
    let object = machine_object(Vec::new(), vec![machine_program("tc", slots)]);
    let options = MachineOptions { cpus: 1, ..MachineOptions::default() };
    let mut machine = Machine::new(Arc::new(object), options).expect("the machine can be set up");
    let program = machine.load("program").expect("the program is there");
    let input = Input { packet: Some(packet.to_vec()), ..Input::default() };
    machine.start_with(program, 0, &input).expect("the CPU is idle");
    machine.run(0)
}

pub fn packets() {
    let packet: Vec<u8> = (0..64).map(|byte| byte ^ 0xa5).collect();
    for (size, bytes) in [(0x00, 4), (0x08, 2), (0x10, 1)] {
        for (mode, index) in [(0x20, 0), (0x40, 0), (0x40, 13), (0x40, -3)] {
            for imm in [3, 14, 30, 64 - bytes, 64 - bytes - 13, 64, 67, i32::MAX] {
                let place = index + i64::from(imm);
                let wanted = match packet.get(place as usize..place as usize + bytes as usize) {
                    Some(found) => found.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte)),
                    // The program ends.
                    None => 0,
                };
                let found = packet_load(mode, size, index as i32, imm, &packet);
                let said = format!("mode {mode:#x}, {bytes} bytes at {index} + {imm}: {found:?}");
                assert!(matches!(found, End::Returned(value) if value == wanted), "{said}, not {wanted:#x}");
            }
        }
    }
}

pub fn may_goto() {
    // It leaves after 8 million rounds; the budget of instructions is less.
    let slots = vec![mov(0, 0), insn(0xe5, 0, 0, 2, 0), insn(0x07, 0, 0, 0, 1), insn(0x05, 0, 0, -3, 0), exit()];
    let end = Program { slots, memory: vec![0; 8] }.end();
    assert!(matches!(end, End::Limit(..)), "{end:?}");
}
