//! Objects of the program: making, dropping, sharing, and exchanging them with kptr fields.

use crate::machine::event::{AccessKind, Event};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::memory::Contents;
use crate::machine::ownership::Holder;
use crate::machine::region::RegionKind;

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_obj_new_impl", 1, new),
    kfunc("bpf_obj_drop_impl", 1, drop_object),
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
    let region = call.machine.allocate(RegionKind::Object { type_id }, size, Contents::Recycled, call.at)?;
    // Special fields are initialised whatever the memory held before (`bpf_obj_init`).
    let specials = crate::machine::types::special_spans(call.machine.object.btf.as_deref(), type_id);
    for (offset, size) in specials {
        call.machine.memory.poke(region, offset, &vec![0; size as usize]);
    }
    call.acquire(region);
    Ok(Answer::Value(call.machine.memory.base(region)))
}

fn drop_object(call: &mut Call<'_>) -> Modelled {
    let region = call.region(call.args[0])?;
    if !matches!(call.machine.memory.region(region).kind, RegionKind::Object { .. }) {
        return Err(Trap::about(
            FaultKind::BadArgument { callee: call.name, what: "this is no object of bpf_obj_new".to_owned() },
            region,
        ));
    }
    call.machine.release(region, Holder::Cpu(call.cpu), call.at)?;
    Ok(Answer::Nothing)
}

fn refcount_acquire(call: &mut Call<'_>) -> Modelled {
    let pointer = call.args[0];
    let region = call.region(pointer)?;
    if call.machine.ledger.count(region) == 0 {
        // The count is zero already: the object waits for a grace period.
        let reader = call.machine.rcu.reader(call.cpu);
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
    let spot = call.touch(field, 8, AccessKind::Atomic)?;
    let place = (spot.region, spot.offset);
    let given = if new == 0 { None } else { Some(call.region(new)?) };
    if let Some(given) = given
        && !call.machine.ledger.holds(call.cpu, given)
    {
        return Err(call.machine.not_owned(given));
    }
    let old = call.machine.memory.number::<8>(spot);
    if let Some(held) = call.machine.ledger.in_field(place)
        && call.machine.memory.at(old).is_some_and(|at| at.region == held)
    {
        call.machine.ledger.transfer(held, Holder::Field(place), Holder::Cpu(call.cpu));
        call.machine.report.events.push(Event::Ownership(held));
    }
    if let Some(given) = given {
        call.machine.ledger.transfer(given, Holder::Cpu(call.cpu), Holder::Field(place));
        call.machine.report.events.push(Event::Ownership(given));
    }
    call.machine.memory.set_number::<8>(spot, new);
    Ok(Answer::Value(old))
}
