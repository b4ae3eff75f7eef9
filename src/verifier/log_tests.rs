//! Values and lines as the kernel's log words them; the expected texts are those of Linux 6.12.117.

use super::domain::Scalar;
use super::log::{Log, LogLevel};
use super::log_value::{MapText, Names, write_value};
use super::value::{
    Attributes, Dynptr, DynptrKind, Iterator, IteratorState, MapRef, Number, PacketArea, Pointer, Target, Trust,
    TypeRef, TypeSpace, Value,
};
use crate::btf::TypeId;
use crate::isa::Register;

/// Type 1 is `val_t`, type 2 `bpf_iter_num`; map 0 is named, map 1 is an inner map.
struct Fixed;

impl Names for Fixed {
    fn type_name(&self, ty: TypeRef) -> &str {
        match ty.id {
            TypeId(1) => "val_t",
            TypeId(2) => "bpf_iter_num",
            _ => "",
        }
    }

    fn map(&self, map: MapRef) -> Option<MapText<'_>> {
        match map.index {
            0 => Some(MapText { name: "array", key_size: 4, value_size: 16 }),
            1 => Some(MapText { name: "", key_size: 8, value_size: 1 }),
            _ => None,
        }
    }
}

const OBJECT: Target = Target::Object(TypeRef { space: TypeSpace::Program, id: TypeId(1) });

fn text_in_frame(value: Value, frame: usize) -> String {
    let mut text = String::new();
    write_value(&mut text, &value, frame, &Fixed).expect("a string takes all text");
    text
}

fn text(value: Value) -> String {
    text_in_frame(value, 0)
}

fn pointer(pointer: Pointer) -> String {
    text(Value::Pointer(pointer))
}

fn byte() -> Scalar {
    let mut bounds = Scalar::UNKNOWN;
    (bounds.umin, bounds.umax) = (0, 255);
    bounds.sync();
    bounds
}

#[test]
fn numbers() {
    let number = Number { bounds: byte(), ..Number::UNKNOWN };
    let bounds = "smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff)";
    assert_eq!(text(Value::constant(7)), "7");
    assert_eq!(text(Value::constant(-1_i64 as u64)), "-1");
    assert_eq!(text(Value::constant(0x1_0000)), "0x10000");
    assert_eq!(text(Value::unknown()), "scalar()");
    assert_eq!(text(Value::Scalar(Number { precise: true, ..Number::constant(0) })), "P0");
    assert_eq!(text(Value::Scalar(number)), format!("scalar({bounds})"));
    assert_eq!(text(Value::Scalar(Number { id: 3, precise: true, ..number })), format!("Pscalar(id=3,{bounds})"));
    assert_eq!(text(Value::Scalar(Number { id: 3, delta: Some(8), ..number })), format!("scalar(id=3+8,{bounds})"));
    assert_eq!(text(Value::Scalar(Number { id: 3, delta: Some(-8), ..number })), format!("scalar(id=3-8,{bounds})"));
}

#[test]
fn stack_pointers_name_the_frame_only_if_it_is_another() {
    let stack = Pointer { offset: -8, ..Pointer::to(Target::Stack { frame: 1 }) };
    assert_eq!(text_in_frame(Value::Pointer(stack), 1), "fp-8");
    assert_eq!(text_in_frame(Value::Pointer(stack), 2), "fp[1]-8");
    assert_eq!(text_in_frame(Value::Pointer(Pointer { offset: 0, ..stack }), 1), "fp0");
    let variable = Value::Pointer(Pointer { variable: byte(), ..stack });
    assert_eq!(text_in_frame(variable, 1), "fp(off=-8,smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))");
}

#[test]
fn objects_show_trust_identity_and_reference() {
    let owned = Attributes { allocated: true, percpu: true, ..Attributes::default() };
    let object = Pointer::to(OBJECT).with(owned);
    assert_eq!(pointer(Pointer { reference: 8, ..object }), "percpu_ptr_val_t(ref_obj_id=8)");
    let unchecked = Pointer { id: 2, reference: 2, ..object.with(Attributes { nullable: true, ..owned }) };
    assert_eq!(pointer(unchecked), "percpu_ptr_or_null_val_t(id=2,ref_obj_id=2)");
    let borrowed = object.with(Attributes { trust: Trust::Rcu, ..owned });
    assert_eq!(pointer(borrowed), "percpu_rcu_ptr_val_t()");
    let node = Attributes { allocated: true, non_owning: true, ..Attributes::default() };
    assert_eq!(
        pointer(Pointer { id: 4, offset: 16, ..Pointer::to(OBJECT).with(node) }),
        "ptr_val_t(id=4,non_own_ref,off=16)"
    );
    let untrusted = Attributes { trust: Trust::Untrusted, ..Attributes::default() };
    assert_eq!(pointer(Pointer::to(OBJECT).with(untrusted)), "untrusted_ptr_val_t()");
}

#[test]
fn maps_show_name_and_sizes() {
    let map = |index| MapRef { index, uid: 0 };
    assert_eq!(pointer(Pointer::to(Target::ConstMap(map(0)))), "map_ptr(map=array,ks=4,vs=16)");
    assert_eq!(pointer(Pointer::to(Target::ConstMap(map(1)))), "map_ptr(ks=8,vs=1)");
    let nullable = Attributes { nullable: true, ..Attributes::default() };
    let value = Pointer { id: 1, ..Pointer::to(Target::MapValue(map(0))).with(nullable) };
    assert_eq!(pointer(value), "map_value_or_null(id=1,map=array,ks=4,vs=16)");
    let inside = Pointer { offset: 8, ..Pointer::to(Target::MapValue(map(0))) };
    assert_eq!(pointer(inside), "map_value(map=array,ks=4,vs=16,off=8)");
}

#[test]
fn memory_and_packets_show_their_extent() {
    let read_only = Attributes { read_only: true, ..Attributes::default() };
    let element = Pointer { id: 4, reference: 3, ..Pointer::to(Target::Memory { size: 4, dynptr: 0 }).with(read_only) };
    assert_eq!(pointer(element), "rdonly_mem(id=4,ref_obj_id=3,sz=4)");
    let packet = Pointer { offset: 14, ..Pointer::to(Target::Packet { area: PacketArea::Data, range: 34 }) };
    assert_eq!(pointer(packet), "pkt(off=14,r=34)");
    assert_eq!(pointer(Pointer::to(Target::PacketEnd)), "pkt_end()");
    assert_eq!(pointer(Pointer::to(Target::Context)), "ctx()");
    assert_eq!(pointer(Pointer::to(Target::Arena)), "arena");
    assert_eq!(pointer(Pointer::to(Target::ConstDynptr(DynptrKind::Local))), "dynptr_ptr(type=local)");
}

#[test]
fn iterators_and_dynptrs() {
    let ty = TypeRef { space: TypeSpace::Kernel, id: TypeId(2) };
    let iterator = Iterator { ty, state: Some(IteratorState::Active), depth: 2, trust: Trust::Plain, reference: 7 };
    assert_eq!(text(Value::Iterator(iterator)), "iter_num(ref_id=7,state=active,depth=2)");
    let drained = Iterator { state: Some(IteratorState::Drained), ..iterator };
    assert_eq!(text(Value::Iterator(drained)), "iter_num(ref_id=7,state=drained,depth=2)");
    let dynptr = Dynptr { kind: DynptrKind::Ringbuf, first: true, id: 1, reference: 2 };
    assert_eq!(text(Value::Dynptr(dynptr)), "dynptr_ringbuf(id=1,ref_id=2,dynptr_id=1)");
}

#[test]
fn states_stand_at_column_forty_or_a_multiple_of_eight_behind_it() {
    for (insn, column) in [("0: (95) exit", 40), ("10: (85) call bpf_iter_num_destroy#32705", 48)] {
        let mut log = Log::new(LogLevel::Detailed);
        log.insn(insn);
        let padding = log.continue_insn().expect("nothing was printed since");
        log.line(&format!("{:padding$}; R0=0", ""));
        let text = log.into_text();
        assert_eq!(text.find(';'), Some(column - 2), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}

#[test]
fn a_state_does_not_join_a_line_that_is_not_the_last() {
    let mut log = Log::new(LogLevel::Detailed);
    log.insn("0: (95) exit");
    log.line("mark_precise: frame0");
    assert_eq!(log.continue_insn(), None);
}

#[test]
fn level_one_forgets_paths_that_ended_well_and_level_two_keeps_them() {
    for (level, kept) in [(LogLevel::Basic, ""), (LogLevel::Detailed, "0: (95) exit\n")] {
        let mut log = Log::new(level);
        let position = log.position();
        log.insn("0: (95) exit");
        log.reset_to(position);
        assert_eq!(log.into_text(), kept);
    }
}

#[test]
fn a_silent_log_takes_nothing() {
    let mut log = Log::new(LogLevel::Silent);
    log.line("0: (95) exit");
    log.touch_register(Register::R0);
    assert!(log.touched());
    assert_eq!(log.into_text(), "");
}
