//! Random programs: straight pieces, jumps forward, and a loop around it all.

use kptrsim::isa::RawInsn;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::exhaustive::{EDGES, IMMEDIATES, check, encode};
use super::program::{Program, exit, insn, mov, store, wide};
use super::rbpf_differences;
use super::rows::{Meaning, Row, Table};

/// Bytes that loads and stores reach; the registers follow them when a program ends.
const DATA: usize = 128;
/// r0 to r7; r8 counts rounds, and r9 points to memory.
const REGISTERS: u8 = 8;

/// What the programs are made for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The table and the machine.
    All,
    /// rbpf too: only what it has right.
    Rbpf,
    /// A kernel too: only what its verifier lets through.
    Kernel,
}

/// One instruction to be; numbers that its row has no use for are dropped.
#[derive(Clone, Debug)]
pub struct Step {
    row: prop::sample::Index,
    dst: u8,
    src: u8,
    imm: i32,
    high: i32,
    place: i16,
    distance: usize,
}

/// A program to be.
#[derive(Clone, Debug)]
pub struct Plan {
    seeds: Vec<u64>,
    rounds: i32,
    steps: Vec<Step>,
}

fn plans(most: usize) -> impl Strategy<Value = Plan> {
    let number = prop_oneof![select(&EDGES[..]), any::<u64>()];
    let imm = prop_oneof![select(&IMMEDIATES[..]), any::<i32>()];
    let place = 0..(DATA - 8) as i16;
    let step = (any::<prop::sample::Index>(), 0..REGISTERS, 0..REGISTERS, imm.clone(), imm, place, 0..5usize)
        .prop_map(|(row, dst, src, imm, high, place, distance)| Step { row, dst, src, imm, high, place, distance });
    let seeds = prop::collection::vec(number, usize::from(REGISTERS));
    (seeds, 1..4, prop::collection::vec(step, 1..most)).prop_map(|(seeds, rounds, steps)| Plan { seeds, rounds, steps })
}

/// May the row stand in such programs at all?
fn usable(row: &Row, whom: For) -> bool {
    let elsewhere = matches!(row.meaning, Meaning::CallLocal | Meaning::Exit | Meaning::Platform);
    !elsewhere && (whom != For::Rbpf || rbpf_differences::agrees_on(encode(row, 0, 1, 1)))
}

/// May the instruction?
fn allowed(row: &Row, raw: RawInsn, whom: For) -> bool {
    match (whom, row.meaning) {
        (For::All, _) => true,
        (For::Rbpf, _) => rbpf_differences::agrees_on(raw),
        // The kernel refuses constant shifts by too much and constant divisions by zero (`check_alu_op`).
        (For::Kernel, Meaning::Alu(bits, _)) if !row.by_register() => match raw.opcode & 0xf0 {
            0x60 | 0x70 | 0xc0 => (0..bits as i32).contains(&raw.imm),
            0x30 | 0x90 => raw.imm != 0,
            _ => true,
        },
        (For::Kernel, _) => true,
    }
}

/// The slots of one step, and how many steps it jumps over.
fn lower(step: &Step, row: &Row, whom: For) -> (Vec<RawInsn>, Option<usize>) {
    let raw = encode(row, step.dst, step.src, step.imm);
    if !allowed(row, raw, whom) {
        return (Vec::new(), None);
    }
    match row.meaning {
        Meaning::JumpIf(..) => (vec![raw], Some(step.distance)),
        // A kernel refuses code that nothing reaches.
        Meaning::Jump | Meaning::JumpLong => (vec![raw], Some(if whom == For::Kernel { 0 } else { step.distance })),
        Meaning::Load(..) => (vec![RawInsn { src: 9, offset: step.place, ..raw }], None),
        Meaning::Store(_) => (vec![RawInsn { dst: 9, offset: step.place, ..raw }], None),
        Meaning::Atomic(bytes, ..) => {
            let offset = step.place & -(bytes as i16);
            (vec![RawInsn { dst: 9, offset, ..raw }], None)
        }
        Meaning::Wide => (vec![raw, insn(0, 0, 0, 0, step.high)], None),
        _ => (vec![raw], None),
    }
}

fn assemble(table: &Table, plan: &Plan, whom: For) -> Program {
    let rows: Vec<&Row> = table.rows.iter().filter(|row| usable(row, whom)).collect();
    let lowered: Vec<_> = plan.steps.iter().map(|step| lower(step, rows[step.row.index(rows.len())], whom)).collect();
    let mut slots = Vec::new();
    for (register, &seed) in plan.seeds.iter().enumerate() {
        slots.extend(wide(register as u8, seed));
    }
    let rounds = if whom == For::Kernel { 1 } else { plan.rounds };
    slots.push(mov(8, rounds));
    let start = slots.len();
    for (index, (step, distance)) in lowered.iter().enumerate() {
        let mut step = step.clone();
        if let Some(distance) = *distance {
            let over: usize = lowered[index + 1..].iter().take(distance).map(|(slots, _)| slots.len()).sum();
            let long = step[0].opcode == 0x06;
            step[0] =
                if long { RawInsn { imm: over as i32, ..step[0] } } else { RawInsn { offset: over as i16, ..step[0] } };
        }
        slots.extend(step);
    }
    let back = start as i16 - slots.len() as i16 - 2;
    slots.extend([insn(0x07, 8, 0, 0, -1), insn(0x55, 8, 0, back, 0)]);
    slots.extend((0..REGISTERS).map(|register| store(9, DATA as i16 + 8 * i16::from(register), register)));
    slots.extend([mov(0, 0), exit()]);
    let size = DATA + 8 * usize::from(REGISTERS);
    Program { slots, memory: (0..size).map(|place| (place * 37 + 11) as u8).collect() }
}

fn cases() -> u32 {
    std::env::var("KPTRSIM_ISA_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

fn runner() -> TestRunner {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn agree(whom: For) {
    let table = Table::new();
    let property = |plan: Plan| {
        let program = assemble(&table, &plan, whom);
        check(&table, &format!("{:#?}", program.slots), &program);
        Ok(())
    };
    if let Err(failure) = runner().run(&plans(48), property) {
        panic!("{failure}");
    }
}

pub fn programs_agree_with_the_table() {
    agree(For::All);
}

pub fn programs_agree_with_rbpf() {
    agree(For::Rbpf);
}

/// So many programs that a kernel should load.
pub fn for_a_kernel(table: &Table, count: usize) -> Vec<Program> {
    let mut runner = runner();
    let strategy = plans(24);
    let mut draw = || strategy.new_tree(&mut runner).expect("nothing is filtered").current();
    (0..count).map(|_| assemble(table, &draw(), For::Kernel)).collect()
}
