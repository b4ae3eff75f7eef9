//! Objects of the program: making, dropping, sharing, and exchanging them with kptr fields.

use crate::btf::fields::FieldKind;
use crate::machine::event::{AccessKind, Event};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::ownership::{Field, Holder};
use crate::machine::region::{Life, RegionKind};
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, kfunc};
use crate::seeded::{self, Fault};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_obj_new_impl", 1, new).allocating(false).relaxed(),
    kfunc("bpf_obj_drop_impl", 1, drop_object).relaxed().fixed_if(holds_nothing),
    kfunc("bpf_refcount_acquire_impl", 1, refcount_acquire),
];

/// Largest object (`BPF_MEM_ALLOC_SIZE_MAX`, less the allocator's own word).
const MAX_SIZE: u32 = 4096 - 8;

fn new(call: &mut Call<'_>) -> Modelled {
    let (type_id, size) = call.machine.local_type(call.name, call.args[0])?;
    if size > MAX_SIZE {
        // The allocator has no bucket of that size.
        return Ok(Answer::Value(0));
    }
    let Some(contents) = call.machine.take_unit(call.cpu, false, size) else { return Ok(Answer::Value(0)) };
    let region = call.machine.allocate(RegionKind::Object { type_id }, size, contents, call.at)?;
    // Special fields are initialised whatever the memory held before (`bpf_obj_init`).
    let specials = crate::machine::types::special_fields(call.machine.object.btf.as_deref(), type_id);
    for field in specials.fields {
        call.machine.memory.poke(region, field.offset, &vec![0; field.size as usize]);
    }
    call.acquire(region);
    Ok(Answer::Value(call.machine.memory.base(region)))
}

/// Is it an object that can neither hold others nor have several references?
fn holds_nothing(machine: &Machine, args: &[u64; 5]) -> bool {
    let region = machine.memory.at(args[0]).map(|spot| spot.region);
    region.and_then(|region| machine.special_fields(region)).is_some_and(|fields| {
        fields.fields.iter().all(|field| matches!(field.kind, FieldKind::ListNode | FieldKind::RbNode))
    })
}

fn drop_object(call: &mut Call<'_>) -> Modelled {
    let region = call.start(call.args[0])?;
    if !matches!(call.machine.memory.region(region).kind, RegionKind::Object { .. }) {
        return Err(Trap::about(
            FaultKind::BadArgument { callee: call.name, what: "this is no object of bpf_obj_new".to_owned() },
            region,
        ));
    }
    call.machine.release(region, call.holder(), call.at)?;
    Ok(Answer::Nothing)
}

fn refcount_acquire(call: &mut Call<'_>) -> Modelled {
    let pointer = call.args[0];
    let region = call.region(pointer)?;
    let fields = call.machine.special_fields(region);
    if !fields.is_some_and(|fields| fields.has(FieldKind::Refcount)) {
        let what = "this object has no bpf_refcount".to_owned();
        return Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, region));
    }
    if call.machine.ledger.count(region) == 0 {
        // The count is zero already: the object waits for a grace period.
        let reader = call.machine.rcu.reader(call.task);
        call.machine.memory.check(pointer, 1, false, &reader)?;
        return Ok(Answer::Value(0));
    }
    call.acquire(region);
    Ok(Answer::Value(pointer))
}

/// `bpf_kptr_xchg`: one atomic exchange of a field with a pointer that the program owns; what was in the field is the
/// program's afterwards.
pub(super) fn exchange(call: &mut Call<'_>) -> Modelled {
    let (field, new) = (call.args[0], call.args[1]);
    if !field.is_multiple_of(8) {
        return Err(Trap::fault(FaultKind::Misaligned));
    }
    let kind = if seeded::active(Fault::ExchangeReadsOnly) { AccessKind::Read } else { AccessKind::Atomic };
    let spot = call.touch(field, 8, kind)?;
    let place = (spot.region, spot.offset);
    let given = if new == 0 { None } else { Some(call.start(new)?) };
    if let Some(given) = given
        && !call.machine.ledger.holds(call.task, given)
    {
        return Err(call.machine.not_owned(given));
    }
    let container = call.machine.memory.region(spot.region);
    if given.is_some() && matches!(container.kind, RegionKind::Object { .. }) && container.life != Life::Live {
        let what = "the object that this field is in was dropped already: what goes into it is lost";
        return Err(Trap::about(FaultKind::NotOwned(what), spot.region));
    }
    if let Some(wrong) = mismatch(call, place, given) {
        return Err(Trap::about(
            FaultKind::BadArgument { callee: call.name, what: wrong },
            given.unwrap_or(spot.region),
        ));
    }
    let old = call.machine.memory.number::<8>(spot);
    let program = call.holder();
    if let Some(held) = call.machine.ledger.in_field(place)
        && !seeded::active(Fault::ExchangeKeepsOld)
        && call.machine.memory.at(old).is_some_and(|at| at.region == held)
    {
        call.machine.ledger.transfer(held, Holder::Field(place), program);
        call.machine.report.events.push(Event::Ownership(held));
    }
    if let Some(given) = given {
        call.machine.ledger.transfer(given, program, Holder::Field(place));
        call.machine.report.events.push(Event::Ownership(given));
    }
    call.machine.memory.set_number::<8>(spot, new);
    Ok(Answer::Value(old))
}

/// Why a pointer may not go into a field: the field is no kptr, or one for something else.
fn mismatch(call: &Call<'_>, (region, offset): Field, given: Option<RegionId>) -> Option<String> {
    let btf = call.machine.object.btf.as_deref()?;
    let fields = call.machine.special_fields(region).unwrap_or_default();
    let Some(field) = fields.at(offset).filter(|field| field.kind.is_kptr() && field.kind != FieldKind::KptrUntrusted)
    else {
        return Some("the first argument is no kptr field that owns what it points to".to_owned());
    };
    let (target, given) = (field.kptr?, given?);
    let wanted = btf.ty(btf.resolve(target)).name().to_owned();
    let (percpu, found) = match &call.machine.memory.region(given).kind {
        RegionKind::PerCpuObject { type_id } => (true, btf.ty(btf.resolve(*type_id)).name().to_owned()),
        RegionKind::Object { type_id } => (false, btf.ty(btf.resolve(*type_id)).name().to_owned()),
        RegionKind::KernelObject { name, .. } => (false, name.to_string()),
        _ => return Some("the second argument is no object".to_owned()),
    };
    let words = |percpu: bool, name: &str| format!("{}struct {name}", if percpu { "per-CPU " } else { "" });
    let field_is_percpu = field.kind == FieldKind::KptrPercpu;
    ((field_is_percpu, &wanted) != (percpu, &found)).then(|| {
        format!("a pointer to {} goes into a field for {}", words(percpu, &found), words(field_is_percpu, &wanted))
    })
}
