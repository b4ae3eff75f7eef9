//! Every instruction with every pair of values at which something changes.
//!
//! A program holds all cases of one row. Each case loads its operands, executes the row's instruction, and stores what came out
//! at a place of its own; registers go round from case to case.

use kptrsim::isa::RawInsn;

use super::program::{Outcome, Program, copy, exit, insn, mov, store, wide};
use super::rbpf_differences;
use super::reference;
use super::rows::{Fetch, Field, Meaning, Row, Table};

/// Numbers at which arithmetic goes wrong first.
pub const EDGES: [u64; 32] = [
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    65,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff6,
    0xffff_ffff,
    0x1_0000_0000,
    0xffff_ffff_0000_0000,
    0x0123_4567_89ab_cdef,
    0x8000_8000_8000_8080,
    i64::MAX as u64,
    i64::MIN as u64,
    i32::MIN as i64 as u64,
    i16::MIN as i64 as u64,
    i8::MIN as i64 as u64,
    -10i64 as u64,
    -2i64 as u64,
    u64::MAX,
];

/// The same for immediates.
pub const IMMEDIATES: [i32; 24] = [
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    65,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
    i16::MIN as i32,
    i8::MIN as i32,
    -10,
    -2,
    -1,
];

/// Runs it by the table, in both of the machine's loops, and in rbpf as far as that goes.
pub fn check(table: &Table, what: &str, program: &Program) {
    let wanted = reference::run(table, program);
    same(what, "the machine", &program.in_machine(false), &wanted);
    same(what, "the machine step by step", &program.in_machine(true), &wanted);
    if program.slots.iter().all(|&raw| rbpf_differences::agrees_on(raw)) {
        same(what, "rbpf", &program.in_rbpf(), &wanted);
    }
}

fn same(what: &str, who: &str, found: &Outcome, wanted: &Outcome) {
    assert_eq!(found.value, wanted.value, "{what}: the result in {who}");
    let differs = found.memory.iter().zip(&wanted.memory).position(|(found, wanted)| found != wanted);
    if let Some(place) = differs {
        let around = place & !7..(place & !7) + 8;
        let (found, wanted) = (&found.memory[around.clone()], &wanted.memory[around]);
        panic!("{what}: byte {place} of memory: {who} has {found:02x?}, the table {wanted:02x?}");
    }
}

/// The field's only value, or 0.
fn only(field: Field) -> i32 {
    if let Field::Only(value) = field { value } else { 0 }
}

/// The row's instruction with an immediate where it takes one.
pub fn encode(row: &Row, dst: u8, src: u8, imm: i32) -> RawInsn {
    let imm = if matches!(row.imm, Field::Any) { imm } else { only(row.imm) };
    let src = if row.by_register() { src } else { 0 };
    let dst = if matches!(row.dst, Field::Register) { dst } else { 0 };
    RawInsn { opcode: row.opcode, dst, src, offset: only(row.offset) as i16, imm }
}

/// All pairs of operands: first, second, and the immediate where the second is one.
fn operands(row: &Row) -> Vec<(u64, u64, i32)> {
    let seconds: Vec<(u64, i32)> = match (row.by_register(), row.imm) {
        (true, _) => EDGES.map(|edge| (edge, 0)).into(),
        (false, Field::Any) => IMMEDIATES.map(|imm| (0, imm)).into(),
        (false, _) => vec![(0, 0)],
    };
    EDGES.iter().flat_map(|&first| seconds.iter().map(move |&(second, imm)| (first, second, imm))).collect()
}

/// Two different registers, others for each case.
fn registers(case: usize) -> (u8, u8) {
    let dst = case % 9;
    let src = (dst + 1 + case / 9 % 8) % 9;
    (dst as u8, src as u8)
}

fn finish(mut slots: Vec<RawInsn>, size: usize) -> Program {
    slots.extend([mov(0, 0), exit()]);
    Program { slots, memory: vec![0x5a; size] }
}

pub fn arithmetic() {
    let table = Table::new();
    for row in table.rows.iter().filter(|row| matches!(row.meaning, Meaning::Alu(..))) {
        let cases = operands(row);
        let mut slots = Vec::new();
        for (case, &(first, second, imm)) in cases.iter().enumerate() {
            let (dst, src) = registers(case);
            slots.extend(wide(dst, first));
            slots.extend(wide(src, second));
            slots.extend([
                encode(row, dst, src, imm),
                store(9, 16 * case as i16, dst),
                store(9, 16 * case as i16 + 8, src),
            ]);
        }
        check(&table, &row.mnemonic, &finish(slots, 16 * cases.len()));
    }
}

pub fn aliased_arithmetic() {
    let table = Table::new();
    let by_register = |row: &&Row| matches!(row.meaning, Meaning::Alu(..)) && row.by_register();
    for row in table.rows.iter().filter(by_register) {
        let mut slots = Vec::new();
        for (case, edge) in EDGES.into_iter().enumerate() {
            let (register, _) = registers(case);
            slots.extend(wide(register, edge));
            slots.extend([encode(row, register, register, 0), store(9, 8 * case as i16, register)]);
        }
        check(&table, &row.mnemonic, &finish(slots, 8 * EDGES.len()));
    }
}

/// A jump over the slot that leaves a mark.
fn condition(row: &Row, dst: u8, src: u8, imm: i32, case: usize) -> [RawInsn; 2] {
    [RawInsn { offset: 1, ..encode(row, dst, src, imm) }, insn(0x72, 9, 0, case as i16, 1)]
}

pub fn conditions() {
    let table = Table::new();
    for row in table.rows.iter().filter(|row| matches!(row.meaning, Meaning::JumpIf(..))) {
        let cases = operands(row);
        let mut slots = Vec::new();
        for (case, &(first, second, imm)) in cases.iter().enumerate() {
            let (dst, src) = registers(case);
            slots.extend(wide(dst, first));
            slots.extend(wide(src, second));
            slots.extend(condition(row, dst, src, imm, case));
        }
        check(&table, &row.mnemonic, &finish(slots, cases.len()));
    }
}

pub fn aliased_conditions() {
    let table = Table::new();
    let by_register = |row: &&Row| matches!(row.meaning, Meaning::JumpIf(..)) && row.by_register();
    for row in table.rows.iter().filter(by_register) {
        let mut slots = Vec::new();
        for (case, edge) in EDGES.into_iter().enumerate() {
            let (register, _) = registers(case);
            slots.extend(wide(register, edge));
            slots.extend(condition(row, register, register, 0, case));
        }
        check(&table, &row.mnemonic, &finish(slots, EDGES.len()));
    }
}

/// Bytes in the middle of which the accesses are made; results follow them.
const DATA: i16 = 64;
const MIDDLE: i16 = 32;
/// A few numbers: what memory and registers hold before an access.
const HELD: [u64; 5] = [0, 1, 0x8091_a2b3_c4d5_e6f7, 0xffff_ffff_0000_0001, u64::MAX];

/// Is it an access, and how many bytes wide?
fn width(row: &Row) -> Option<u32> {
    match row.meaning {
        Meaning::Load(bytes, _) | Meaning::Store(bytes) | Meaning::Atomic(bytes, ..) => Some(bytes),
        _ => None,
    }
}

pub fn memory() {
    let table = Table::new();
    for row in &table.rows {
        let Some(bytes) = width(row) else { continue };
        // The kernel's verifier wants atomic accesses aligned, and the machine too.
        let every = if matches!(row.meaning, Meaning::Atomic(..)) { bytes as usize } else { 1 };
        for offset in (-16..=16).step_by(every) {
            check(&table, &format!("{} at {offset:+}", row.mnemonic), &accesses(row, offset));
        }
    }
}

/// One row at one offset, with all combinations of what memory, the value and `r0` hold.
fn accesses(row: &Row, offset: i16) -> Program {
    let is_load = matches!(row.meaning, Meaning::Load(..));
    let compares = matches!(row.meaning, Meaning::Atomic(_, _, Fetch::R0));
    let mut slots = Vec::new();
    let mut results = DATA;
    for before in HELD {
        for value in HELD {
            for expected in if compares { &HELD[..] } else { &HELD[1..2] } {
                // r1 points into the data; r2 and r3 hold the value, or r0 does where the two are one.
                slots.extend([copy(1, 9), insn(0x07, 1, 0, 0, MIDDLE.into())]);
                slots.extend(wide(3, before));
                slots.extend([store(1, offset & !7, 3), store(1, (offset & !7) + 8, 3)]);
                slots.extend(wide(2, value));
                slots.extend(wide(0, *expected));
                let (dst, src) = if is_load { (2, 1) } else { (1, if *expected == value { 0 } else { 2 }) };
                slots.push(RawInsn { offset, ..encode(row, dst, src, value as i32) });
                slots.extend([store(9, results, 0), store(9, results + 8, 2)]);
                if is_load {
                    // The address in the register that is loaded.
                    slots.extend([RawInsn { offset, ..encode(row, 1, 1, 0) }, store(9, results + 16, 1)]);
                } else {
                    slots.extend([insn(0x79, 3, 1, offset & !7, 0), store(9, results + 16, 3)]);
                    slots.extend([insn(0x79, 3, 1, (offset & !7) + 8, 0), store(9, results + 24, 3)]);
                }
                results += 32;
            }
        }
    }
    finish(slots, results as usize)
}

pub fn far_offsets() {
    let table = Table::new();
    let middle = 32768;
    for row in &table.rows {
        let Some(bytes) = width(row) else { continue };
        for offset in [i16::MIN, i16::MAX - 7] {
            let is_load = matches!(row.meaning, Meaning::Load(..));
            let (dst, src) = if is_load { (2, 1) } else { (1, 2) };
            let mut slots = vec![copy(1, 9), insn(0x07, 1, 0, 0, middle), mov(0, 5)];
            slots.extend(wide(2, 0x8877_6655_4433_2211));
            slots.extend([RawInsn { offset, ..encode(row, dst, src, -7) }, store(9, 64, 2), store(9, 72, 0)]);
            check(&table, &format!("{} of {bytes} bytes at {offset}", row.mnemonic), &finish(slots, 65536));
        }
    }
}

pub fn wide_loads() {
    let table = Table::new();
    let mut slots = Vec::new();
    for (case, edge) in EDGES.into_iter().enumerate() {
        let (register, _) = registers(case);
        // A jump over both slots, and then into them from above.
        slots.extend([mov(register, 3), insn(0x05, 0, 0, 2, 0)]);
        slots.extend(wide(register, !edge));
        slots.push(store(9, 16 * case as i16, register));
        slots.extend(wide(register, edge));
        slots.push(store(9, 16 * case as i16 + 8, register));
    }
    check(&table, "lddw", &finish(slots, 16 * EDGES.len()));
}
