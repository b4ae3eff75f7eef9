//! What the simulated machine costs: one CPU's instructions, and schedules of two CPUs that race for one slot.
//!
//! Without arguments (`cargo bench --bench machine`) it prints wall times, rbpf's interpreter beside ours for the same
//! bytecode where rbpf can run it. `machine WHO LOOP COUNT` runs one loop once, and `machine race RUNS` so many random
//! schedules, for `benches/machine.py`, which counts host instructions.

#[allow(dead_code, unreachable_pub, reason = "the tests of the machine use all of it")]
#[path = "../tests/machine/build.rs"]
mod build;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use build::{add, copy, exit, insn, load, map_value, mov, store};
use kptrsim::explore::drive::Driver;
use kptrsim::explore::policy::random::RandomWalk;
use kptrsim::explore::simulation::Simulation;
use kptrsim::isa::RawInsn;
use kptrsim::machine::{End, Machine, MachineOptions};
use kptrsim::scenario::words::Builder;

/// A loop: its name, its body, the functions behind it, and whether rbpf can run it.
struct Loop {
    name: &'static str,
    body: Vec<RawInsn>,
    functions: Vec<RawInsn>,
    rbpf: bool,
}

/// The loops that are measured. `r6` counts down, `r7` is the result, `r8` is 1 at the beginning.
fn loops() -> Vec<Loop> {
    let plain = |name, body: Vec<RawInsn>| Loop { name, body, functions: Vec::new(), rbpf: true };
    let hash = vec![
        insn(0xaf, 7, 6, 0, 0),
        insn(0x2f, 7, 9, 0, 0),
        copy(1, 7),
        insn(0x77, 1, 0, 0, 29),
        insn(0xaf, 7, 1, 0, 0),
        insn(0x67, 1, 0, 0, 3),
        insn(0x0f, 7, 1, 0, 0),
        add(7, 0x1234_5678),
    ];
    let memory = vec![
        store(10, -8, 7),
        load(1, 10, -8),
        insn(0x63, 10, 1, -16, 0),
        insn(0x61, 2, 10, -16, 0),
        insn(0x73, 10, 2, -24, 0),
        insn(0x71, 3, 10, -24, 0),
        insn(0x0f, 7, 3, 0, 0),
        add(7, 1),
    ];
    let branches = vec![
        insn(0x25, 7, 0, 1, 1000),
        add(7, 3),
        insn(0x2d, 6, 7, 1, 0),
        insn(0x17, 7, 0, 0, 2000),
        insn(0x45, 6, 0, 1, 4),
        insn(0x05, 0, 0, 0, 0),
        insn(0xc5, 7, 0, 1, 0),
        insn(0x56, 7, 0, 0, 9),
    ];
    let mut values = map_value(1, build::GLOBALS, 8).to_vec();
    values.extend([load(2, 1, 0), insn(0x0f, 2, 6, 0, 0), store(1, 0, 2), load(7, 1, 0)]);
    let mut atomics = map_value(1, build::GLOBALS, 8).to_vec();
    atomics.extend([insn(0xdb, 1, 8, 0, 0), insn(0xdb, 1, 8, 8, 1), mov(8, 1), insn(0xdb, 10, 8, -8, 0)]);
    let call = vec![copy(1, 6), insn(0x85, 0, 1, 0, 5), insn(0x0f, 7, 0, 0, 0)];
    vec![
        plain("hash", hash),
        plain("memory", memory),
        plain("branches", branches),
        Loop { name: "calls", body: call, functions: vec![copy(0, 1), add(0, 7), exit()], rbpf: true },
        Loop { rbpf: false, ..plain("values", values) },
        Loop { rbpf: false, ..plain("atomics", atomics) },
    ]
}

fn program(one: &Loop, rounds: u32) -> Vec<RawInsn> {
    let mut all = vec![mov(6, rounds as i32), mov(7, 0), mov(8, 1), mov(9, 0x0101_8765), store(10, -8, 8)];
    all.extend(&one.body);
    let back = -(one.body.len() as i16) - 2;
    all.extend([add(6, -1), insn(0x55, 6, 0, back, 0), copy(0, 7), exit()]);
    all.extend(&one.functions);
    all
}

/// Runs a loop here: its result, and the instructions that were executed.
fn ours(one: &Loop, rounds: u32) -> (u64, u64) {
    let object = build::object(&[("loop", false, program(one, rounds))]);
    let options = MachineOptions { max_insns: u64::MAX, ..MachineOptions::default() };
    let mut machine = Machine::new(Arc::new(object), options).expect("the machine can be set up");
    match build::run(&mut machine, "loop", 0) {
        End::Returned(value) => (value, machine.steps()),
        end => panic!("{}: {end:?}", one.name),
    }
}

fn theirs(one: &Loop, rounds: u32) -> u64 {
    let bytes: Vec<u8> = program(one, rounds)
        .iter()
        .flat_map(|raw| {
            let [low, high] = raw.offset.to_le_bytes();
            let [a, b, c, d] = raw.imm.to_le_bytes();
            [raw.opcode, raw.src << 4 | raw.dst, low, high, a, b, c, d]
        })
        .collect();
    let vm = rbpf::EbpfVmNoData::new(Some(&bytes)).expect("rbpf takes the program");
    vm.execute_program().expect("rbpf runs the program")
}

/// A simulation of CPUs that exchange the pointer in one slot, so many times each.
fn race(cpus: u32, steps: usize) -> Simulation {
    let exchange = |_| {
        let mut one = map_value(1, build::ARRAY, 16).to_vec();
        one.extend([mov(2, 0), build::helper(194)]);
        one
    };
    let mut insns: Vec<RawInsn> = (0..steps).flat_map(exchange).collect();
    insns.extend([mov(0, 0), exit()]);
    let object = Arc::new(build::object(&[("race", false, insns)]));
    let words = (0..cpus).map(|cpu| format!("{cpu}:race").parse().expect("a task of the scenario"));
    let builder = words.fold(Builder::about("race.bpf.o").cpus(cpus), Builder::on);
    let scenario = builder.build().expect("the scenario is whole");
    Simulation::new(&scenario, &object, MachineOptions::default()).expect("the scenario can be set up")
}

fn random_runs(runs: u64) {
    let mut driver = Driver::new(race(2, 8), 1000, true);
    let mut policy = RandomWalk::new(1, 0..runs);
    while let Ok(Some(run)) = driver.run(&mut policy) {
        assert!(run.outcome.is_some(), "{:?}", run.findings);
    }
}

fn nanoseconds(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_nanos() as f64
}

fn table() {
    const ROUNDS: u32 = 1_000_000;
    println!("{:<10} {:>12} {:>12} {:>6}", "loop", "ns per insn", "rbpf's", "times");
    for one in loops() {
        let mut executed = 1;
        let took = nanoseconds(|| executed = ours(&one, ROUNDS).1);
        let here = took / executed as f64;
        if one.rbpf {
            let there = nanoseconds(|| {
                black_box(theirs(&one, ROUNDS));
            }) / executed as f64;
            println!("{:<10} {here:>12.2} {there:>12.2} {:>6.1}", one.name, there / here);
        } else {
            println!("{:<10} {here:>12.2} {:>12} {:>6}", one.name, "-", "-");
        }
    }
    const RUNS: u64 = 20_000;
    let took = nanoseconds(|| random_runs(RUNS));
    println!("random schedules of 2 CPUs x 8 exchanges of one slot: {:.0} a second", RUNS as f64 / took * 1e9);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["race", runs] => random_runs(runs.parse().expect("a number of runs")),
        [who, name, rounds] => {
            let rounds = rounds.parse().expect("a number of rounds");
            let one = loops().into_iter().find(|one| one.name == *name).expect("the name of a loop");
            if *who == "rbpf" {
                println!("{}", theirs(&one, rounds));
            } else {
                let (value, executed) = ours(&one, rounds);
                println!("{value} {executed}");
            }
        }
        _ => table(),
    }
}
