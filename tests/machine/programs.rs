//! Maps, globals, callbacks, iterators and determinism.

use kptrsim::isa::RawInsn;
use kptrsim::machine::{AccessKind, Outcome, SetError, SetupError};

use super::build::*;

/// `r1 = the function at that slot`, from slot `at`.
fn function(dst: u8, at: i32, start: i32) -> [RawInsn; 2] {
    [insn(0x18, dst, 4, 0, start - at - 1), insn(0, 0, 0, 0, 0)]
}

/// Declares a second function, as the loader does, so that its address can be taken.
fn with_callback(insns: Vec<RawInsn>, start: usize) -> kptrsim::machine::End {
    let mut object = object(&[("prog", false, insns)]);
    let callback = kptrsim::object::Function {
        name: "callback".to_owned(),
        start,
        type_id: kptrsim::btf::TypeId::VOID,
        global: false,
    };
    object.programs[0].functions.push(callback);
    let options = kptrsim::machine::MachineOptions::default();
    let mut machine = kptrsim::machine::Machine::new(object.into(), options).expect("it can be set up");
    run(&mut machine, "prog", 0)
}

#[test]
fn bpf_loop_calls_back_and_stops_when_told() {
    for (count, stop_at, rounds) in [(5, 100, 5), (5, 2, 3), (0, 0, 0)] {
        // The context is a counter on the caller's stack.
        let mut program = vec![mov(1, 0), store(10, -8, 1), mov(1, count)];
        program.extend(function(2, 3, 9));
        program.extend([copy(3, 10), add(3, -8), mov(4, 0), helper(181), exit()]);
        let start = program.len();
        // Fix the address now that the length is known.
        let [low, high] = function(2, 3, start as i32);
        (program[3], program[4]) = (low, high);
        program.extend([mov(0, 0), insn(0x55, 1, 0, 1, stop_at), mov(0, 1)]);
        program.extend([load(3, 2, 0), add(3, 1), store(2, 0, 3), exit()]);
        assert_eq!(value(&with_callback(program, start)), rounds, "{count} rounds, stop at {stop_at}");
    }
}

#[test]
fn each_array_element_is_visited_once() {
    // sum over bpf_for_each_map_elem of key + 1.
    let mut program = vec![mov(1, 0), store(10, -8, 1)];
    program.extend(map(1, ARRAY));
    program.extend(function(2, 4, 12));
    program.extend([copy(3, 10), add(3, -8), mov(4, 0), helper(164), load(0, 10, -8), exit()]);
    program.extend([insn(0x61, 5, 2, 0, 0), load(0, 4, 0), insn(0x0f, 0, 5, 0, 0), add(0, 1), store(4, 0, 0)]);
    program.extend([mov(0, 0), exit()]);
    assert_eq!(value(&with_callback(program, 12)), 1 + 2 + 3 + 4);
}

#[test]
fn number_iterators_walk_their_range() {
    for (start, end, wanted) in [(0, 4, 6), (3, 3, 0), (-2, 1, -3), (5, 2, 0)] {
        let program = [
            mov(6, 0),
            copy(1, 10),
            add(1, -8),
            mov(2, start),
            mov(3, end),
            kfunc("bpf_iter_num_new"),
            copy(1, 10),
            add(1, -8),
            kfunc("bpf_iter_num_next"),
            if_equal(0, 0, 3),
            insn(0x81, 1, 0, 0, 0),
            insn(0x0f, 6, 1, 0, 0),
            insn(0x05, 0, 0, -7, 0),
            copy(1, 10),
            add(1, -8),
            kfunc("bpf_iter_num_destroy"),
            copy(0, 6),
            exit(),
        ];
        assert_eq!(value(&once(&program)) as i64, wanted, "{start}..{end}");
    }
}

#[test]
fn hash_maps_return_the_kernels_errors() {
    // update(key, flags), returning the result.
    let update = |key: i32, flags: i32| {
        let mut program = vec![mov(1, 7), store(10, -8, 1), mov(1, 0)];
        program.extend([store(10, -16, 1), store(10, -24, 1), store(10, -32, 1), mov(1, key), store(10, -8, 1)]);
        program.extend([copy(2, 10), add(2, -8), copy(3, 10), add(3, -32)]);
        program.extend(map(1, HASH));
        program.extend([mov(4, flags), helper(2), exit()]);
        program
    };
    let steps = [
        ("exist of none", update(1, 2), -2),
        ("new", update(1, 1), 0),
        ("new again", update(1, 1), -17),
        ("any", update(1, 0), 0),
        ("second", update(2, 0), 0),
        ("full", update(3, 0), -7),
        ("bad flags", update(1, 3), -22),
    ];
    let programs: Vec<_> = steps.iter().map(|(name, program, _)| (*name, false, program.clone())).collect();
    let mut machine = machine(1, &programs);
    for (name, _, wanted) in steps {
        assert_eq!(value(&run(&mut machine, name, 0)) as i64, wanted, "{name}");
    }
    assert_eq!(machine.maps()[HASH as usize].elements().len(), 2);
}

#[test]
fn percpu_maps_have_a_value_a_cpu() {
    let mut add_one = vec![insn(0x62, 10, 0, -4, 0), copy(2, 10), add(2, -4)];
    add_one.extend(map(1, PERCPU));
    add_one.extend([helper(1), load(1, 0, 0), add(1, 1), store(0, 0, 1), copy(0, 1), exit()]);
    let mut machine = machine(3, &[("prog", false, add_one)]);
    assert_eq!(value(&run(&mut machine, "prog", 2)), 1);
    assert_eq!(value(&run(&mut machine, "prog", 2)), 2);
    assert_eq!(value(&run(&mut machine, "prog", 0)), 1);
    let [(_, first)] = machine.maps()[PERCPU as usize].elements()[..] else { panic!("there is one element") };
    let copies: Vec<_> =
        (0..3).map(|cpu| machine.memory().peek(kptrsim::machine::RegionId(first.0 + cpu))[0]).collect();
    assert_eq!(copies, [1, 0, 2]);
}

#[test]
fn globals_are_set_by_path() {
    let mut read = map_value(1, GLOBALS, 0).to_vec();
    read.extend([insn(0x81, 0, 1, 0, 0), load(2, 1, 32), insn(0x0f, 0, 2, 0, 0), exit()]);
    let mut machine = machine(1, &[("prog", false, read)]);
    machine.set_global("limit=-3").expect("a signed number");
    machine.set_global("pair[1].c=0x10").expect("a field of an element");
    assert_eq!(value(&run(&mut machine, "prog", 0)), 13);
    let error = |text: &str| machine.clone().set_global(text).expect_err("it is wrong");
    assert!(matches!(error("limit"), SetError::NoValue(_)));
    assert!(matches!(error("none=1"), SetError::NoVariable { .. }));
    assert!(matches!(error("pair[2].c=1"), SetError::BadPath { .. }));
    assert!(matches!(error("pair[0].x=1"), SetError::BadPath { .. }));
    assert!(matches!(error("limit=5000000000"), SetError::BadValue { .. }));
    assert!(matches!(error("limit=many"), SetError::BadValue { .. }));
    assert!(matches!(error("pair=1"), SetError::BadValue { .. }));
}

#[test]
fn a_step_reports_what_it_touched() {
    let program = vec![mov(1, 5), store(10, -8, 1), insn(0xdb, 10, 1, -8, 0), load(0, 10, -8), exit()];
    let mut machine = machine(1, &[("prog", false, program)]);
    let program = machine.load("prog").expect("it is there");
    machine.start(program, 0).expect("the CPU is idle");
    let mut kinds = Vec::new();
    let end = loop {
        let outcome = machine.step(0).expect("no fault");
        kinds.extend(machine.report().accesses.iter().map(|access| (access.offset, access.size, access.kind)));
        if let Outcome::Returned(value) = outcome {
            break value;
        }
    };
    assert_eq!(end, 10);
    let at = |kind| (504, 8, kind);
    assert_eq!(kinds, [at(AccessKind::Write), at(AccessKind::Atomic), at(AccessKind::Read)]);
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let program = vec![helper(7), copy(6, 0), helper(5), insn(0xaf, 0, 6, 0, 0), exit()];
    let random = |seed| {
        let options = kptrsim::machine::MachineOptions { seed, ..Default::default() };
        let object = object(&[("prog", false, program.clone())]);
        let mut machine = kptrsim::machine::Machine::new(object.into(), options).expect("it can be set up");
        value(&run(&mut machine, "prog", 0))
    };
    assert_eq!(random(1), random(1));
    assert_ne!(random(1), random(2));
}

#[test]
fn wrong_use_is_an_error() {
    let mut machine = machine(2, &[("prog", false, vec![mov(0, 0), exit()])]);
    assert!(matches!(machine.load("other"), Err(SetupError::NoSuchProgram { .. })));
    let program = machine.load("prog").expect("it is there");
    assert_eq!(machine.start(program, 2), Err(SetupError::NoSuchCpu { cpu: 2, cpus: 2 }));
    machine.start(program, 1).expect("the CPU is idle");
    assert_eq!(machine.start(program, 1), Err(SetupError::Busy(1)));
    let none = kptrsim::machine::MachineOptions { cpus: 0, ..Default::default() };
    assert!(kptrsim::machine::Machine::new(object(&[]).into(), none).is_err());
}

/// A program of a tracepoint runs with preemption off, one around a function does not.
#[test]
fn programs_of_tracepoints_keep_their_cpu() {
    for (section, preemptible) in
        [("raw_tp/sys_enter", false), ("tp_btf/sys_enter", false), ("fentry/f", true), ("lsm/f", true), ("tc", false)]
    {
        let mut object = object(&[("prog", false, vec![mov(0, 0), exit()])]);
        object.programs[0].section = kptrsim::object::Section::parse(section);
        let options = kptrsim::machine::MachineOptions::default();
        let mut machine = kptrsim::machine::Machine::new(object.into(), options).expect("it can be set up");
        let program = machine.load("prog").expect("it is there");
        machine.start(program, 0).expect("the CPU is idle");
        assert_eq!(machine.is_preemptible(0), preemptible, "{section}");
    }
}
