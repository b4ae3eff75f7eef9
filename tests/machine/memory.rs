//! Each way in which an access can be wrong, and what the fault knows of the memory.

use kptrsim::isa::RawInsn;
use kptrsim::machine::{End, FaultKind, RegionKind};

use super::build::*;

fn kind(insns: &[RawInsn]) -> (FaultKind, u32) {
    let end = once(insns);
    let (kind, at) = fault(&end);
    (kind.clone(), at)
}

/// `r0 = bpf_obj_new(struct val)`.
fn new_object() -> [RawInsn; 3] {
    [mov(1, VAL), mov(2, 0), kfunc("bpf_obj_new_impl")]
}

/// `r0 = bpf_percpu_obj_new(struct val)`.
fn new_percpu() -> [RawInsn; 3] {
    [mov(1, VAL), mov(2, 0), kfunc("bpf_percpu_obj_new_impl")]
}

#[test]
fn null_and_wild_addresses() {
    assert_eq!(kind(&[mov(1, 0), load(0, 1, 8), exit()]), (FaultKind::Null, 1));
    assert_eq!(kind(&[mov(1, 0), load(0, 1, -8), exit()]), (FaultKind::Null, 1));
    assert_eq!(kind(&[mov(1, 0x7000_0000), load(0, 1, 0), exit()]), (FaultKind::Wild, 1));
    assert_eq!(kind(&[mov(1, -0x20000), load(0, 1, 0), exit()]), (FaultKind::Wild, 1));
}

#[test]
fn one_byte_outside_on_either_side() {
    for (offset, is_fine) in [(0, true), (8, true), (9, false), (16, false), (-1, false), (-8, false)] {
        let mut program = new_object().to_vec();
        program.extend([mov(1, 7), store(0, offset, 1), copy(1, 0), mov(2, 0), kfunc("bpf_obj_drop_impl")]);
        program.extend([mov(0, 0), exit()]);
        let end = once(&program);
        if is_fine {
            assert_eq!(value(&end), 0, "offset {offset}");
            continue;
        }
        let End::Fault(fault) = &end else { panic!("offset {offset}: {end:?}") };
        assert_eq!(fault.kind, FaultKind::OutOfBounds, "offset {offset}");
        let story = fault.story.as_ref().expect("the fault tells of the object");
        assert!(matches!(story.region.kind, RegionKind::Object { .. }), "{story:?}");
        assert_eq!(story.region.allocated.map(|at| at.place.insn), Some(2));
    }
}

#[test]
fn stack_must_be_written_before_it_is_read() {
    assert_eq!(kind(&[load(0, 10, -8), exit()]), (FaultKind::NeverWritten, 0));
    assert_eq!(kind(&[load(0, 10, 0), exit()]), (FaultKind::OutOfBounds, 0));
    assert_eq!(kind(&[load(0, 10, -520), exit()]), (FaultKind::OutOfBounds, 0));
    // A frame is as new at each call: what an earlier call left is not there.
    let callee = [if_equal(1, 1, 2), store(10, -8, 1), exit(), load(0, 10, -8), exit()];
    let mut program = vec![mov(1, 0), insn(0x85, 0, 1, 0, 3), mov(1, 1), insn(0x85, 0, 1, 0, 1), exit()];
    program.extend(callee);
    assert_eq!(kind(&program), (FaultKind::NeverWritten, 8));
}

#[test]
fn registers_must_hold_something() {
    assert_eq!(kind(&[copy(0, 6), exit()]), (FaultKind::UninitialisedRegister(6), 0));
    assert_eq!(kind(&[exit()]), (FaultKind::UninitialisedRegister(0), 0));
    // A call leaves nothing in r1 to r5.
    assert_eq!(kind(&[mov(3, 1), helper(8), copy(0, 3), exit()]), (FaultKind::UninitialisedRegister(3), 2));
}

#[test]
fn a_frame_that_has_returned_is_dead() {
    let program = [insn(0x85, 0, 1, 0, 2), load(0, 0, -8), exit(), mov(1, 1), store(10, -8, 1), copy(0, 10), exit()];
    assert_eq!(kind(&program), (FaultKind::DeadFrame, 1));
}

#[test]
fn calls_nest_eight_deep() {
    // A function that calls itself r1 times.
    let recursive = |count| {
        let program = vec![mov(1, count), mov(0, 0), if_equal(1, 0, 2), add(1, -1), insn(0x85, 0, 1, 0, -4), exit()];
        once(&program)
    };
    assert_eq!(value(&recursive(7)), 0);
    assert_eq!(fault(&recursive(8)).0, &FaultKind::CallDepth);
}

#[test]
fn a_percpu_pointer_is_not_a_copy() {
    for access in [load(1, 0, 0), store(0, 8, 0)] {
        let mut program = new_percpu().to_vec();
        program.extend([access, exit()]);
        assert_eq!(kind(&program), (FaultKind::PerCpuPointer, 3));
    }
}

#[test]
fn atomics_must_be_aligned() {
    let program = [mov(1, 1), store(10, -8, 1), store(10, -16, 1), insn(0xdb, 10, 1, -12, 0), exit()];
    assert_eq!(kind(&program), (FaultKind::Misaligned, 3));
}

#[test]
fn what_is_no_memory_of_the_program_stays_closed() {
    let mut program = map(1, ARRAY).to_vec();
    program.extend([mov(2, 1), store(1, 0, 2), exit()]);
    assert_eq!(kind(&program), (FaultKind::NotMemory, 3));
}

#[test]
fn execution_stays_inside_the_program() {
    assert_eq!(kind(&[mov(0, 0)]), (FaultKind::RanOff, 1));
    assert_eq!(kind(&[insn(0x05, 0, 0, 50, 0)]), (FaultKind::RanOff, 51));
    assert_eq!(kind(&[insn(0x05, 0, 0, -5, 0)]).0, FaultKind::RanOff);
    // Into the second half of a wide load.
    let mut program = vec![insn(0x05, 0, 0, 1, 0)];
    program.extend(wide(0, 1));
    program.push(exit());
    assert!(matches!(kind(&program), (FaultKind::BadInstruction(_), 2)));
    assert!(matches!(kind(&[insn(0xff, 0, 0, 0, 0), exit()]), (FaultKind::BadInstruction(_), 0)));
}

#[test]
fn use_after_a_grace_period_tells_where_it_was_freed() {
    let mut program = new_object().to_vec();
    program.extend([copy(6, 0), copy(1, 0), mov(2, 0), kfunc("bpf_obj_drop_impl")]);
    program.extend([load(0, 6, 0), exit()]);
    // Not sleepable: the program is a reader that began before the free, so the bytes stay.
    assert_eq!(value(&once(&program)), 0);
    // Sleepable and without a section of its own: nothing holds the object back.
    let end = run(&mut machine(1, &[("prog", true, program.clone())]), "prog", 0);
    assert_eq!(fault(&end), (&FaultKind::UseWithoutRcu, 7));
    let End::Fault(fault) = &end else { unreachable!("just matched") };
    let story = fault.story.as_ref().expect("the fault tells of the object");
    assert_eq!(story.region.freed.map(|at| at.place.insn), Some(6));
    // With its own section around both it may read on.
    let mut guarded = vec![kfunc("bpf_rcu_read_lock")];
    guarded.extend(&program[..8]);
    guarded.extend([copy(6, 0), kfunc("bpf_rcu_read_unlock"), copy(0, 6), exit()]);
    assert_eq!(value(&run(&mut machine(1, &[("prog", true, guarded)]), "prog", 0)), 0);
    // A section that begins after the free is too late.
    let mut late = program[..7].to_vec();
    late.extend([kfunc("bpf_rcu_read_lock"), load(0, 6, 0), kfunc("bpf_rcu_read_unlock"), exit()]);
    let end = run(&mut machine(1, &[("prog", true, late)]), "prog", 0);
    assert_eq!(super::build::fault(&end), (&FaultKind::UseWithoutRcu, 8));
}

#[test]
fn an_earlier_reader_keeps_memory_until_it_leaves() {
    // CPU 0 looks the object up and reads it twice; CPU 1 takes it out and drops it in between.
    let lookup = |then: &[RawInsn]| {
        let mut program = map_value_lookup();
        program.extend(then);
        program
    };
    let publish = lookup(&[
        copy(6, 0),
        mov(1, VAL),
        mov(2, 0),
        kfunc("bpf_obj_new_impl"),
        copy(1, 6),
        add(1, 16),
        copy(2, 0),
        helper(194),
        mov(0, 0),
        exit(),
    ]);
    let read = lookup(&[load(6, 0, 16), load(0, 6, 0), load(0, 6, 0), exit()]);
    let drop = lookup(&[
        copy(1, 0),
        add(1, 16),
        mov(2, 0),
        helper(194),
        copy(1, 0),
        mov(2, 0),
        kfunc("bpf_obj_drop_impl"),
        mov(0, 0),
        exit(),
    ]);
    let programs = [("publish", false, publish), ("read", false, read), ("drop", false, drop)];
    let mut machine = machine(2, &programs);
    value(&run(&mut machine, "publish", 0));
    let reader = machine.load("read").expect("it is there");
    machine.start(reader, 0).expect("CPU 0 is idle");
    // Up to the first read through the pointer.
    for _ in 0..8 {
        machine.step(0).expect("no fault yet");
    }
    value(&run(&mut machine, "drop", 1));
    assert!(machine.end_grace_period().is_empty(), "CPU 0 still reads");
    // A snapshot that ends differently: the clone goes its own way.
    let mut other = machine.clone();
    assert_eq!(value(&machine.run(0)), 0);
    assert_eq!(machine.end_grace_period().len(), 1);
    assert!(machine.rcu().deferred().is_empty());
    assert_eq!(value(&other.run(0)), 0);
    assert_eq!(other.rcu().deferred().len(), 1);
}

/// `r0 = bpf_map_lookup_elem(&array, &0)`, five slots and the call.
pub fn map_value_lookup() -> Vec<RawInsn> {
    let mut program = vec![insn(0x62, 10, 0, -4, 0), copy(2, 10), add(2, -4)];
    program.extend(map(1, ARRAY));
    program.push(helper(1));
    program
}

#[test]
fn copies_of_a_percpu_object_are_apart() {
    // Each CPU writes its number into its own copy through a shared slot; CPU 0 then reads them all.
    let cpus = 4;
    let mut publish = map_value_lookup();
    publish.extend([copy(6, 0)]);
    publish.extend(new_percpu());
    publish.extend([copy(1, 6), add(1, 8), copy(2, 0), helper(194), mov(0, 0), exit()]);
    let mut write = map_value_lookup();
    write.extend([load(1, 0, 8), helper(154), copy(6, 0), helper(8), add(0, 100), store(6, 8, 0), mov(0, 0), exit()]);
    let read = |cpu: i32| {
        let mut read = map_value_lookup();
        read.extend([load(1, 0, 8), mov(2, cpu), helper(153), if_equal(0, 0, 2), load(0, 0, 8), exit()]);
        read.extend([mov(0, -1), exit()]);
        read
    };
    let mut programs = vec![("publish", false, publish), ("write", false, write)];
    let names = ["read0", "read1", "read2", "read3", "read4"];
    programs.extend(names.iter().enumerate().map(|(cpu, &name)| (name, false, read(cpu as i32))));
    let mut machine = machine(cpus, &programs);
    value(&run(&mut machine, "publish", 0));
    for cpu in [0, 2, 3] {
        value(&run(&mut machine, "write", cpu));
    }
    let found: Vec<_> = names.iter().map(|name| value(&run(&mut machine, name, 0)) as i64).collect();
    assert_eq!(found, [100, 0, 102, 103, -1], "an unwritten copy is zero, and there is no CPU 4");
    assert_eq!(machine.unwritten_reads().len(), 1, "the read of CPU 1's copy is noted");
}

#[test]
fn memory_has_a_limit() {
    // A loop that allocates and drops, without a grace period ever ending.
    let mut program = vec![mov(6, 0)];
    program.extend(new_object());
    program.extend([copy(1, 0), mov(2, 0), kfunc("bpf_obj_drop_impl"), insn(0x05, 0, 0, -7, 0)]);
    let options = kptrsim::machine::MachineOptions { max_memory: 1 << 20, ..Default::default() };
    let object = std::sync::Arc::new(object(&[("prog", false, program)]));
    let mut machine = kptrsim::machine::Machine::new(object, options).expect("a megabyte is enough to start");
    let end = run(&mut machine, "prog", 0);
    assert!(matches!(end, End::Limit(kptrsim::machine::Limit::Memory(_), _)), "{end:?}");
}

#[test]
fn what_is_not_modelled_is_never_guessed() {
    let unsupported = |insns: &[RawInsn]| match once(insns) {
        End::Unsupported(unsupported) => unsupported.what,
        other => panic!("it should be unsupported: {other:?}"),
    };
    let argument = "argument 1 of the traced function, which was not given (--arg)";
    assert_eq!(unsupported(&[load(0, 1, 8), exit()]), argument);
    assert_eq!(unsupported(&[mov(2, 1), store(1, 8, 2), exit()]), argument);
    let mut program = map(1, ARRAY).to_vec();
    program.extend([load(0, 1, 0), exit()]);
    assert_eq!(unsupported(&program), "byte 0 of struct bpf_map, which is not modelled");
}

#[test]
fn a_call_without_a_model_is_named() {
    let end = once(&[mov(1, 0), kfunc("bpf_dynptr_from_mem"), exit()]);
    let End::Unsupported(unsupported) = &end else { panic!("{end:?}") };
    assert_eq!(unsupported.what, "no model for kfunc bpf_dynptr_from_mem");
    assert_eq!(unsupported.at.place.insn, 1);
    let end = once(&[helper(58), exit()]);
    let End::Unsupported(unsupported) = &end else { panic!("{end:?}") };
    assert_eq!(unsupported.what, "no model for helper bpf_override_return");
}
