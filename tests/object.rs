//! What the loader makes of two small objects, whose sources stand beside them in `tests/objects`.

use std::path::Path;

use kptrsim::btf::fields::{FieldKind, Holder, KernelStruct, local_structs, special_fields_in};
use kptrsim::btf::{Btf, BtfBuilder, Composite, IntEncoding, Member, Type};
use kptrsim::isa::{CallTarget, ImmediateSource, Insn, Register, decode};
use kptrsim::object::{AttachKind, ExternKind, LoadOptions, Map, Object, Program, SLEEPABLE, Section};

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects").join(format!("{name}.o"));
    std::fs::read(path).expect("the test object is there")
}

fn load(name: &str, options: &LoadOptions<'_>) -> Object {
    Object::parse(name, &bytes(name), options).expect("the object loads")
}

fn program<'a>(object: &'a Object, name: &str) -> &'a Program {
    object.programs.iter().find(|program| program.name == name).expect("a program of that name")
}

fn map<'a>(object: &'a Object, name: &str) -> (usize, &'a Map) {
    object.maps.iter().enumerate().find(|(_, map)| map.name == name).expect("a map of that name")
}

fn insns(program: &Program) -> Vec<Insn> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&raw) = program.insns.get(at) {
        let insn = decode(raw, program.insns.get(at + 1).copied()).expect("it decodes");
        at += insn.slots();
        found.push(insn);
    }
    found
}

/// A kernel that has `struct thing` and `enum colour` as `relocations.c` half expects them.
fn kernel() -> Btf {
    let mut builder = BtfBuilder::new();
    let signed = IntEncoding { signed: true, ..IntEncoding::default() };
    let int = builder.push(Type::Int { name: "int".into(), size: 4, bits: 32, offset: 0, encoding: signed });
    let long = builder.push(Type::Int { name: "long".into(), size: 8, bits: 64, offset: 0, encoding: signed });
    let char = builder.push(Type::Int { name: "char".into(), size: 1, bits: 8, offset: 0, encoding: signed });
    let name = builder.push(Type::Array { element: char, index: int, count: 8 });
    let member = |name: &str, type_id, bytes: u32| Member {
        name: name.into(),
        type_id,
        bit_offset: bytes * 8,
        bitfield_size: 0,
    };
    let inner = Composite { name: "".into(), size: 16, members: vec![member("deep", long, 8)] };
    let inner = builder.push(Type::Union(inner));
    let members = vec![member("name", name, 0), member("id", int, 24), member("", inner, 32)];
    builder.push(Type::Struct(Composite { name: "thing".into(), size: 48, members }));
    let values = vec![("RED".into(), 5), ("GREEN".into(), 6)];
    builder.push(Type::Enum { name: "colour".into(), size: 4, signed: false, is_64: false, values });
    builder.finish().expect("the types are whole")
}

#[test]
fn maps_and_globals_are_as_declared() {
    let object = load("percpu", &LoadOptions::default());
    assert_eq!(object.license, "GPL");
    let (_, entries) = map(&object, "entries");
    let definition = &entries.definition;
    assert_eq!((definition.map_type, definition.key_size, definition.max_entries), (2, 4, 4));
    let btf = object.btf.as_deref().expect("it has types");
    assert_eq!(btf.size_of(definition.value_type), Some(definition.value_size));
    let (_, data) = map(&object, ".data");
    assert_eq!(data.globals.as_ref().expect("globals").bytes, 7u64.to_le_bytes());
    let (_, rodata) = map(&object, ".rodata");
    let globals = rodata.globals.as_ref().expect("globals");
    assert!(globals.read_only);
    assert_eq!(globals.bytes, 3u32.to_le_bytes());
    let place = btf.member_at(definition.value_type, 9).expect("something is there");
    assert_eq!((place.path.as_str(), place.offset), ("spare[0]", 1));
}

#[test]
fn functions_are_appended_once_in_the_order_of_their_calls() {
    let object = load("percpu", &LoadOptions::default());
    let names = |program: &Program| program.functions.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    let sleepy = program(&object, "sleepy");
    assert_eq!(names(sleepy), ["sleepy", "count_all", "count_one", "shared"]);
    assert_eq!(names(program(&object, "publish")), ["publish", "shared"]);
    // `shared` is global, but hidden.
    assert!(sleepy.functions[0].global && !sleepy.functions[3].global);
    assert_eq!((sleepy.section.program_flags, sleepy.section.target.as_str()), (SLEEPABLE, "file_open"));
    assert!(program(&object, "publish").section.optional);
    let callback = sleepy.functions[2].start;
    let mut at = 0;
    let mut addresses = Vec::new();
    for insn in insns(sleepy) {
        if let Insn::LoadImmediate { source: ImmediateSource::Function(offset), .. } = insn {
            addresses.push((at as i64 + 1 + i64::from(offset)) as usize);
        }
        at += insn.slots();
    }
    assert_eq!(addresses, [callback]);
    let line = sleepy.line_at(callback).expect("a line");
    assert!(line.file.ends_with("percpu.c") && line.line > 0);
    assert_eq!(sleepy.function_at(callback + 1).map(|f| f.name.as_str()), Some("count_one"));
}

#[test]
fn references_are_indexes_into_the_objects_tables() {
    let object = load("percpu", &LoadOptions::default());
    let publish = insns(program(&object, "publish"));
    let externs: Vec<_> = object.externs.iter().map(|e| (e.name.as_str(), e.kind, e.weak)).collect();
    assert_eq!(
        externs,
        [
            ("absent_variable", ExternKind::Variable, true),
            ("bpf_percpu_obj_drop_impl", ExternKind::Kfunc, false),
            ("bpf_percpu_obj_new_impl", ExternKind::Kfunc, false),
        ]
    );
    let (entries, _) = map(&object, "entries");
    let source = |insn: &Insn| match insn {
        Insn::LoadImmediate { source, .. } => Some(*source),
        _ => None,
    };
    let sources: Vec<_> = publish.iter().filter_map(source).collect();
    assert!(sources.contains(&ImmediateSource::Map(entries as u32)));
    assert!(sources.contains(&ImmediateSource::KernelVariable(0)));
    let (bss, _) = map(&object, ".bss");
    assert!(sources.contains(&ImmediateSource::MapValue { map: bss as u32, offset: 0 }));
    assert!(publish.contains(&Insn::Call(CallTarget::Kfunc(2))) && publish.contains(&Insn::Call(CallTarget::Kfunc(1))));
    let btf = object.btf.as_deref().expect("it has types");
    let counter = btf.find_struct("counter").expect("struct counter");
    let id = Insn::LoadImmediate { dst: Register::R1, source: ImmediateSource::Value(counter.0.into()) };
    assert!(publish.contains(&id), "the local type id is the program's");
    assert!(btf.is_struct_of_scalars(counter));
    assert!(!btf.is_struct_of_scalars(btf.find_struct("entry").expect("struct entry")));
}

#[test]
fn special_fields_are_found_by_tag_and_name() {
    let object = load("percpu", &LoadOptions::default());
    let btf = object.btf.as_deref().expect("it has types");
    let value = map(&object, "entries").1.definition.value_type;
    let fields = special_fields_in(btf, value, Holder::MapValue, &|_| KernelStruct::Unknown)
        .expect("the fields are fine")
        .fields;
    let found: Vec<_> = fields.iter().map(|field| (field.kind, field.offset)).collect();
    assert_eq!(
        found,
        [
            (FieldKind::KptrPercpu, 0),
            (FieldKind::KptrReferenced, 8),
            (FieldKind::KptrReferenced, 16),
            (FieldKind::SpinLock, 24),
            (FieldKind::ListHead, 32),
        ]
    );
    assert_eq!(fields[0].kptr, btf.find_struct("counter"));
    let root = fields[4].root.expect("a list has a root");
    assert_eq!((Some(root.value_type), root.node_offset), (btf.find_struct("node"), 8));
    let locals = local_structs(btf, &|_| KernelStruct::Unknown).expect("the BTF is fine");
    assert_eq!(locals.len(), 2, "entry and node");
}

#[test]
fn initial_maps_and_programs_are_recorded() {
    let object = load("relocations", &LoadOptions::default());
    let (first, second) = (map(&object, "first").0 as u32, map(&object, "second").0 as u32);
    let (_, outer) = map(&object, "outer");
    assert_eq!(outer.initial_maps, [(0, second), (2, first)]);
    let inner = outer.definition.inner.as_ref().expect("an inner map");
    assert_eq!((inner.map_type, inner.key_size, inner.value_size), (1, 4, 8));
    let tail = object.programs.iter().position(|program| program.name == "tail").expect("tail");
    assert_eq!(map(&object, "jumps").1.initial_programs, [(1, tail as u32)]);
}

#[test]
fn what_needs_the_kernel_is_said_to_need_it() {
    let object = load("relocations", &LoadOptions::default());
    let tail = program(&object, "tail");
    assert!(tail.refused.is_none());
    assert!(tail.unresolved.iter().any(|u| u.what.contains("<byte_off> struct thing___small")));
    let dispatch = program(&object, "dispatch");
    let needs: Vec<_> = dispatch.unresolved.iter().map(|u| &*u.what).collect();
    assert_eq!(needs, ["the kernel's configuration: CONFIG_ABSENT", "the kernel's configuration: CONFIG_HZ"]);
    let slot = dispatch.unresolved[0].insn;
    assert!(dispatch.unresolved_at(slot).is_some() && dispatch.unresolved_at(slot + 1).is_none());
}

#[test]
fn core_relocations_follow_the_kernels_types() {
    let kernel = kernel();
    let options =
        LoadOptions { kernel_btf: Some(&kernel), kernel_config: Some("CONFIG_HZ=250\n"), ..LoadOptions::default() };
    let object = load("relocations", &options);
    let tail = program(&object, "tail");
    assert!(tail.unresolved.is_empty() && tail.refused.is_none());
    let code = insns(tail);
    let loads: Vec<i16> = code
        .iter()
        .filter_map(|insn| if let Insn::Load { offset, .. } = insn { Some(*offset) } else { None })
        .collect();
    for offset in [24, 40, 2] {
        assert!(loads.contains(&offset), "a load at {offset} of {loads:?}");
    }
    let values: Vec<i32> = tail.insns.iter().filter(|insn| insn.opcode == 0xb7).map(|insn| insn.imm).collect();
    assert!(values.contains(&0) && values.contains(&48), "gone does not exist, thing has 48 bytes: {values:?}");
    assert!(code.iter().any(|insn| matches!(insn, Insn::LoadImmediate { source: ImmediateSource::Value(6), .. })));
    let config = map(&object, ".kconfig").1.globals.as_ref().expect("globals");
    let (hz, version) = (250u32.to_le_bytes(), 0x0006_0c75u32.to_le_bytes());
    assert_eq!(config.bytes, [hz, version].concat().into_iter().chain([0]).collect::<Vec<u8>>());
    assert!(config.read_only);
}

#[test]
fn a_field_that_the_kernel_lacks_poisons_its_instruction() {
    let mut builder = BtfBuilder::new();
    builder.push(Type::Struct(Composite { name: "thing".into(), size: 4, members: Vec::new() }));
    let kernel = builder.finish().expect("the types are whole");
    let options =
        LoadOptions { kernel_btf: Some(&kernel), kernel_config: Some("CONFIG_HZ=1\n"), ..LoadOptions::default() };
    let object = load("relocations", &options);
    let poisoned = program(&object, "tail").insns.iter().filter(|insn| insn.imm == 195_896_080).count();
    assert!(poisoned >= 3);
}

#[test]
fn section_names_say_what_a_program_is() {
    let fentry = Section::parse("?fentry.s/bpf_fentry_test1");
    assert!(fentry.optional && fentry.sleepable);
    assert_eq!((fentry.program_type, fentry.attach_type, fentry.attach_kind), (26, 24, AttachKind::Function));
    assert_eq!(fentry.target, "bpf_fentry_test1");
    assert_eq!(Section::parse("tp_btf/sys_enter").attach_kind, AttachKind::RawTracepoint);
    assert_eq!(Section::parse("xdp.frags").program_flags, kptrsim::object::XDP_HAS_FRAGS);
    assert_eq!(Section::parse("tc").program_type, 3);
    // Only names with a place for a target take one.
    assert_eq!(Section::parse("tc/something").program_type, 0);
    assert_eq!(Section::parse("fentryx").program_type, 0);
    assert!(Section::parse("syscall").sleepable);
}

#[test]
fn what_is_not_little_endian_bpf_is_named() {
    let message = |bytes: &[u8]| Object::parse("x", bytes, &LoadOptions::default()).expect_err("refused").to_string();
    let mut object = bytes("percpu");
    assert!(message(b"").contains("ELF"));
    object[18] = 62;
    assert!(message(&object).contains("machine is 62"));
    object[5] = 2;
    assert!(message(&object).contains("big-endian"));
}

/// Where a section's contents stand in an object's file.
fn contents(bytes: &[u8], section: &str) -> std::ops::Range<usize> {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(bytes).expect("an object");
    let section = file.sections().find(|found| found.name() == Ok(section)).expect("a section of that name");
    let (start, length) = section.file_range().expect("contents");
    start as usize..(start + length) as usize
}

#[test]
fn sections_that_loaders_do_not_look_at_may_be_broken() {
    let whole = bytes("percpu_slot.bpf");
    let object = Object::parse("slot", &whole, &LoadOptions::default()).expect("the object loads");
    for section in [".rel.debug_info", ".rel.BTF", ".rel.BTF.ext"] {
        let mut broken = whole.clone();
        broken[contents(&whole, section)].fill(0xff);
        let loaded = Object::parse("slot", &broken, &LoadOptions::default()).expect("the object loads");
        let programs = object.programs.iter().zip(&loaded.programs);
        assert!(programs.clone().count() > 1);
        assert!(programs.clone().all(|(one, other)| one.insns == other.insns && one.lines == other.lines), "{section}");
    }
    let mut broken = whole.clone();
    broken[contents(&whole, ".relfentry/bpf_fentry_test1")].fill(0xff);
    assert!(Object::parse("slot", &broken, &LoadOptions::default()).is_err(), "code is relocated");
}

#[test]
fn a_table_of_entries_of_another_size_is_none() {
    const SYMBOLS: u32 = 2;
    const RELOCATIONS: u32 = 9;
    let whole = bytes("percpu_slot.bpf");
    let headers = u64::from_le_bytes(*whole[0x28..].first_chunk().expect("an ELF header")) as usize;
    let kind = |at: usize| u32::from_le_bytes(*whole[at + 4..].first_chunk().expect("a section's header"));
    for wanted in [SYMBOLS, RELOCATIONS] {
        let table = (headers..whole.len() - 63).step_by(64).find(|&at| kind(at) == wanted).expect("a table");
        let mut broken = whole.clone();
        broken[table + 56] ^= 1;
        assert!(Object::parse("slot", &broken, &LoadOptions::default()).is_err(), "{wanted}");
    }
}

#[test]
fn records_of_lines_are_handed_on_as_they_stand() {
    let whole = bytes("percpu_slot.bpf");
    let ext = contents(&whole, ".BTF.ext").start;
    let word = |at: usize| u32::from_le_bytes(*whole[at..].first_chunk().expect("a word")) as usize;
    // Behind the header and the offset of the lines: a record's size, a section's name and count, and the first record.
    let first = ext + word(ext + 4) + word(ext + 16) + 12;
    let load = |bytes: &[u8]| Object::parse("slot", bytes, &LoadOptions::default()).expect("the object loads");
    let hit = |object: &Object| {
        object.programs.iter().position(|program| program.line_info.first().is_some_and(|line| !line.has_texts))
    };
    assert_eq!(hit(&load(&whole)), None);
    let mut broken = whole.clone();
    broken[first + 8..first + 12].fill(0xff);
    let (object, broken) = (load(&whole), load(&broken));
    let program = hit(&broken).expect("a line has no text");
    assert_eq!(broken.programs[program].line_info.len(), object.programs[program].line_info.len());
    assert_eq!(broken.programs[program].lines[..], object.programs[program].lines[1..]);
}

#[test]
fn types_that_a_map_needs_are_not_done_without() {
    for section in [".BTF", ".BTF.ext"] {
        let mut broken = bytes("percpu_slot.bpf");
        let start = contents(&broken, section).start;
        broken[start] = 0;
        assert!(Object::parse("slot", &broken, &LoadOptions::default()).is_err(), "{section}");
    }
}
