//! Objects made by hand, for tests that need no compiler.

use std::sync::Arc;

use kptrsim::btf::{Btf, BtfBuilder, Composite, IntEncoding, Linkage, Member, SectionVariable, Type, TypeId};
use kptrsim::isa::RawInsn;
use kptrsim::machine::{End, FaultKind, Machine, MachineOptions};
use kptrsim::object::{
    Extern, ExternKind, Function, GlobalSection, LineInfo, Map, MapDefinition, Object, Program, Section,
};

/// One slot.
pub fn insn(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> RawInsn {
    RawInsn { opcode, dst, src, offset, imm }
}

/// `dst = imm`, sign-extended.
pub fn mov(dst: u8, imm: i32) -> RawInsn {
    insn(0xb7, dst, 0, 0, imm)
}

/// `dst = src`.
pub fn copy(dst: u8, src: u8) -> RawInsn {
    insn(0xbf, dst, src, 0, 0)
}

/// `dst += imm`.
pub fn add(dst: u8, imm: i32) -> RawInsn {
    insn(0x07, dst, 0, 0, imm)
}

/// `dst = value`, as two slots.
pub fn wide(dst: u8, value: u64) -> [RawInsn; 2] {
    [insn(0x18, dst, 0, 0, value as i32), insn(0, 0, 0, 0, (value >> 32) as i32)]
}

/// `dst = the map of that index`.
pub fn map(dst: u8, index: i32) -> [RawInsn; 2] {
    [insn(0x18, dst, 1, 0, index), insn(0, 0, 0, 0, 0)]
}

/// `dst = the address of the map's value`.
pub fn map_value(dst: u8, index: i32, offset: i32) -> [RawInsn; 2] {
    [insn(0x18, dst, 2, 0, index), insn(0, 0, 0, 0, offset)]
}

/// Calls a helper.
pub fn helper(id: i32) -> RawInsn {
    insn(0x85, 0, 0, 0, id)
}

/// Calls the kfunc of that index in [`KFUNCS`].
pub fn kfunc(name: &str) -> RawInsn {
    let index = KFUNCS.iter().position(|&known| known == name).expect("the kfunc is in the list");
    insn(0x85, 0, 2, 0, index as i32)
}

/// `if dst == imm goto +offset`.
pub fn if_equal(dst: u8, imm: i32, offset: i16) -> RawInsn {
    insn(0x15, dst, 0, offset, imm)
}

/// `dst = *(u64 *)(src + offset)`.
pub fn load(dst: u8, src: u8, offset: i16) -> RawInsn {
    insn(0x79, dst, src, offset, 0)
}

/// `*(u64 *)(dst + offset) = src`.
pub fn store(dst: u8, offset: i16, src: u8) -> RawInsn {
    insn(0x7b, dst, src, offset, 0)
}

/// `exit`.
pub fn exit() -> RawInsn {
    insn(0x95, 0, 0, 0, 0)
}

/// Externs of every object here, by index.
pub const KFUNCS: [&str; 12] = [
    "bpf_percpu_obj_new_impl",
    "bpf_percpu_obj_drop_impl",
    "bpf_obj_new_impl",
    "bpf_obj_drop_impl",
    "bpf_rcu_read_lock",
    "bpf_rcu_read_unlock",
    "bpf_iter_num_new",
    "bpf_iter_num_next",
    "bpf_iter_num_destroy",
    "bpf_list_push_back_impl",
    "bpf_list_pop_front",
    "bpf_dynptr_from_mem",
];

/// `struct val { long b; long c; }`, 16 bytes.
pub const VAL: i32 = 2;
/// Slots of the array whose value is `struct elem { long sum; struct val __percpu_kptr *pc; struct val __kptr *obj; }`.
pub const SLOTS: u32 = 4;
/// Index of that array.
pub const ARRAY: i32 = 0;
/// Index of a hash map with the same value.
pub const HASH: i32 = 1;
/// Index of the section of globals: `int limit`, `struct val pair[2]`.
pub const GLOBALS: i32 = 2;
/// Index of a per-CPU array of `long`.
pub const PERCPU: i32 = 3;

fn types() -> (Btf, TypeId, TypeId) {
    let mut builder = BtfBuilder::new();
    let signed = IntEncoding { signed: true, ..IntEncoding::default() };
    let long = builder.push(Type::Int { name: "long".into(), size: 8, bits: 64, offset: 0, encoding: signed });
    let member = |name: &str, type_id, bytes: u32| Member {
        name: name.into(),
        type_id,
        bit_offset: bytes * 8,
        bitfield_size: 0,
    };
    let members = vec![member("b", long, 0), member("c", long, 8)];
    let val = builder.push(Type::Struct(Composite { name: "val".into(), size: 16, members }));
    assert_eq!(val, TypeId(VAL as u32));
    let percpu = builder.push(Type::TypeTag { name: "percpu_kptr".into(), target: val });
    let percpu = builder.push(Type::Pointer { target: percpu });
    let kptr = builder.push(Type::TypeTag { name: "kptr".into(), target: val });
    let kptr = builder.push(Type::Pointer { target: kptr });
    let members = vec![member("sum", long, 0), member("pc", percpu, 8), member("obj", kptr, 16)];
    let elem = builder.push(Type::Struct(Composite { name: "elem".into(), size: 24, members }));
    let int = builder.push(Type::Int { name: "int".into(), size: 4, bits: 32, offset: 0, encoding: signed });
    let pair = builder.push(Type::Array { element: val, index: int, count: 2 });
    let variable = |name: &str, type_id| Type::Variable { name: name.into(), type_id, linkage: Linkage::Global };
    let limit = builder.push(variable("limit", int));
    let pairs = builder.push(variable("pair", pair));
    let variables = vec![
        SectionVariable { type_id: limit, offset: 0, size: 4 },
        SectionVariable { type_id: pairs, offset: 8, size: 32 },
    ];
    let section = builder.push(Type::DataSection { name: ".data".into(), size: 40, variables });
    (builder.finish().expect("the types are complete"), elem, section)
}

fn array(name: &str, map_type: u32, key_size: u32, value_size: u32, max_entries: u32, value_type: TypeId) -> Map {
    let definition =
        MapDefinition { map_type, key_size, value_size, max_entries, value_type, ..MapDefinition::default() };
    Map {
        name: name.to_owned(),
        definition,
        globals: None,
        arena: Vec::new(),
        initial_maps: Vec::new(),
        initial_programs: Vec::new(),
    }
}

/// An object with the given programs (name, slots, and may they sleep).
pub fn object(programs: &[(&str, bool, Vec<RawInsn>)]) -> Object {
    let (btf, elem, section) = types();
    let mut globals = array(".data", 2, 4, 40, 1, section);
    globals.globals = Some(GlobalSection { bytes: vec![0; 40], read_only: false, type_id: section });
    let maps = vec![
        array("array", 2, 4, 24, SLOTS, elem),
        array("hash", 1, 8, 24, 2, elem),
        globals,
        array("percpu", 6, 4, 8, 1, TypeId(1)),
    ];
    let externs = KFUNCS
        .iter()
        .map(|&name| Extern {
            name: name.to_owned(),
            kind: ExternKind::Kfunc,
            weak: false,
            type_id: TypeId::VOID,
            number: 0,
        })
        .collect();
    let programs = programs
        .iter()
        .map(|(name, sleepable, insns)| Program {
            name: (*name).to_owned(),
            section: Section {
                sleepable: *sleepable,
                ..Section::parse(if *sleepable { "fentry.s/f" } else { "fentry/f" })
            },
            insns: insns.clone(),
            functions: vec![Function { name: (*name).to_owned(), start: 0, type_id: TypeId::VOID, global: true }],
            lines: (0..insns.len())
                .map(|insn| LineInfo {
                    insn,
                    file: Arc::from("test.c"),
                    text: Arc::from("text"),
                    line: insn as u32 + 1,
                    column: 1,
                })
                .collect(),
            func_info: Vec::new(),
            line_info: Vec::new(),
            unresolved: Vec::new(),
            refused: None,
        })
        .collect();
    Object { name: "test".to_owned(), license: "GPL".to_owned(), btf: Some(Arc::new(btf)), maps, externs, programs }
}

/// A machine with those programs.
pub fn machine(cpus: u32, programs: &[(&str, bool, Vec<RawInsn>)]) -> Machine {
    let options = MachineOptions { cpus, max_insns: 1_000_000, ..MachineOptions::default() };
    Machine::new(Arc::new(object(programs)), options).expect("the machine can be set up")
}

/// Runs one program to its end.
pub fn run(machine: &mut Machine, name: &str, cpu: u32) -> End {
    let program = machine.load(name).expect("the program is there");
    machine.start(program, cpu).expect("the CPU is idle");
    machine.run(cpu)
}

/// Runs slots as one program that may not sleep, on one CPU.
pub fn once(insns: &[RawInsn]) -> End {
    run(&mut machine(1, &[("prog", false, insns.to_vec())]), "prog", 0)
}

/// The value that a program returns.
pub fn value(end: &End) -> u64 {
    match end {
        End::Returned(value) => *value,
        other => panic!("it should return, but: {other:?}"),
    }
}

/// The fault that a program ends with, and its slot.
pub fn fault(end: &End) -> (&FaultKind, u32) {
    match end {
        End::Fault(fault) => (&fault.kind, fault.at.place.insn),
        other => panic!("it should fault, but: {other:?}"),
    }
}
