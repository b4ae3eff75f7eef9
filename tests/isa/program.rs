//! A program with its memory, and how the machine and rbpf run it.
//!
//! Each host begins with two slots of its own, which put the address of the program's memory into `r9`.

use std::sync::Arc;

use kptrsim::isa::RawInsn;
use kptrsim::machine::{End, Machine, MachineOptions, Outcome as Step};
use kptrsim::object;

/// One slot.
pub fn insn(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> RawInsn {
    RawInsn { opcode, dst, src, offset, imm }
}

/// `dst = imm`.
pub fn mov(dst: u8, imm: i32) -> RawInsn {
    insn(0xb7, dst, 0, 0, imm)
}

/// `dst = src`.
pub fn copy(dst: u8, src: u8) -> RawInsn {
    insn(0xbf, dst, src, 0, 0)
}

/// `*(u64 *)(dst + offset) = src`.
pub fn store(dst: u8, offset: i16, src: u8) -> RawInsn {
    insn(0x7b, dst, src, offset, 0)
}

/// `exit`.
pub fn exit() -> RawInsn {
    insn(0x95, 0, 0, 0, 0)
}

/// `dst = value`, as two slots.
pub fn wide(dst: u8, value: u64) -> [RawInsn; 2] {
    [insn(0x18, dst, 0, 0, value as i32), insn(0, 0, 0, 0, (value >> 32) as i32)]
}

/// Slots that find their memory through `r9`.
#[derive(Clone, Debug)]
pub struct Program {
    pub slots: Vec<RawInsn>,
    pub memory: Vec<u8>,
}

/// What a program leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub value: u64,
    pub memory: Vec<u8>,
}

impl Program {
    /// The slots behind those that set `r9`.
    pub fn with_prologue(&self, prologue: [RawInsn; 2]) -> Vec<RawInsn> {
        prologue.into_iter().chain(self.slots.iter().copied()).collect()
    }

    /// A machine with this program, ready to start.
    fn machine(&self) -> (Machine, u32) {
        let size = self.memory.len() as u32;
        let global =
            object::GlobalSection { bytes: self.memory.clone(), read_only: false, type_id: kptrsim::btf::TypeId::VOID };
        let map = object::Map {
            name: ".data".to_owned(),
            definition: object::MapDefinition {
                map_type: 2,
                key_size: 4,
                value_size: size,
                max_entries: 1,
                ..object::MapDefinition::default()
            },
            globals: Some(global),
            arena: Vec::new(),
            initial_maps: Vec::new(),
            initial_programs: Vec::new(),
        };
        let value = [insn(0x18, 9, 2, 0, 0), RawInsn::default()];
        let program = machine_program("fentry/f", self.with_prologue(value));
        let object = machine_object(vec![map], vec![program]);
        let options = MachineOptions { cpus: 1, max_insns: 10_000_000, ..MachineOptions::default() };
        let mut machine = Machine::new(Arc::new(object), options).expect("the machine can be set up");
        let program = machine.load("program").expect("the program is there");
        (machine, program)
    }

    /// Runs it in the machine's inner loop, and says how it ends.
    pub fn end(&self) -> End {
        let (mut machine, program) = self.machine();
        machine.start(program, 0).expect("the CPU is idle");
        machine.run(0)
    }

    /// Runs it in the machine: in its inner loop, or instruction by instruction as an exploration does.
    pub fn in_machine(&self, stepwise: bool) -> Outcome {
        let (mut machine, program) = self.machine();
        machine.start(program, 0).expect("the CPU is idle");
        let end = if stepwise {
            loop {
                match machine.step(0) {
                    Ok(Step::Ran) => {}
                    Ok(Step::Returned(value)) => break End::Returned(value),
                    Ok(Step::Blocked) => panic!("nothing here waits"),
                    Err(end) => break *end,
                }
            }
        } else {
            machine.run(0)
        };
        let End::Returned(value) = end else { panic!("it should return, but: {end:?}") };
        let region = machine.maps()[0].array_element(0).expect("the map has a value");
        Outcome { value, memory: machine.memory().peek(region).to_vec() }
    }

    /// Runs it in rbpf, which must take it.
    pub fn in_rbpf(&self) -> Outcome {
        let bytes = bytes(&self.with_prologue([copy(9, 1), mov(1, 0)]));
        let mut memory = self.memory.clone();
        let vm = rbpf::EbpfVmRaw::new(Some(&bytes)).expect("rbpf takes the program");
        let value = vm.execute_program(&mut memory).expect("rbpf runs the program");
        drop(vm);
        Outcome { value, memory }
    }
}

/// The slots' bytes.
pub fn bytes(slots: &[RawInsn]) -> Vec<u8> {
    slots.iter().flat_map(|slot| slot.to_bytes()).collect()
}

/// A program of the machine, named `program`.
pub fn machine_program(section: &str, insns: Vec<RawInsn>) -> object::Program {
    let name = "program".to_owned();
    let entry = object::Function { name: name.clone(), start: 0, type_id: kptrsim::btf::TypeId::VOID, global: true };
    object::Program {
        name,
        section: object::Section::parse(section),
        insns,
        functions: vec![entry],
        lines: Vec::new(),
        func_info: Vec::new(),
        line_info: Vec::new(),
        unresolved: Vec::new(),
        refused: None,
    }
}

/// An object of the machine.
pub fn machine_object(maps: Vec<object::Map>, programs: Vec<object::Program>) -> object::Object {
    object::Object { name: "isa".to_owned(), license: "GPL".to_owned(), btf: None, maps, externs: Vec::new(), programs }
}
