//! State inclusion: is everything that may happen from the current state covered by an older one?
//!
//! `states_equal` and below, `kernel/bpf/verifier.c`, Linux 6.12. Ids need not be equal, only in one-to-one
//! correspondence, which [`IdMap`] builds up during one comparison. Start reading at [`includes`].

use smallvec::SmallVec;

use super::state::{ByteKind, Cell, Frame, Place, SLOT_BYTES, StackSlot, State};
use super::value::{Number, Pointer, Target, Value};
use crate::seeded::{self, Fault};

/// How strictly states are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// What was not read, or not precisely, does not count: the usual pruning.
    Pruning,
    /// Ranges must be included, and everything counts: convergence of loops.
    RangeWithin,
    /// Everything must be the same: an infinite loop.
    Exact,
}

/// What counts besides, where the process may not do all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regard {
    /// Every number is taken to matter, as if it were precise.
    pub every_number: bool,
    /// Numbers must be the same, ranges are not enough.
    pub exact_numbers: bool,
    /// Stack that was never written is told from stack that holds anything.
    pub unwritten_stack: bool,
}

/// Correspondence of ids between two states, and what else one comparison keeps in mind.
pub struct IdMap {
    pairs: SmallVec<[(u32, u32); 16]>,
    next_temporary: u32,
    regard: Regard,
}

impl IdMap {
    /// An empty one; ids above `last_id` are free for temporary use.
    #[must_use]
    pub fn new(last_id: u32) -> IdMap {
        IdMap::regarding(Regard::default(), last_id)
    }

    /// The same for a comparison in which more counts.
    #[must_use]
    pub fn regarding(regard: Regard, last_id: u32) -> IdMap {
        IdMap { pairs: SmallVec::new(), next_temporary: last_id, regard }
    }

    /// Do the ids correspond, or can they be made to (`check_ids`)?
    pub fn matches(&mut self, old: u32, current: u32) -> bool {
        if (old != 0) != (current != 0) {
            return false;
        }
        if old == 0 || seeded::active(Fault::InclusionIgnoresIds) {
            return true;
        }
        for &(mapped_old, mapped_current) in &self.pairs {
            if mapped_old == old {
                return mapped_current == current;
            }
            if mapped_current == current {
                return false;
            }
        }
        self.pairs.push((old, current));
        true
    }

    /// The same for scalars: an old scalar without links matches anything, a current one without gets a fresh id
    /// (`check_scalar_ids`).
    fn matches_scalar(&mut self, old: &Number, current: &Number) -> bool {
        if old.id == 0 {
            return true;
        }
        let mut current_id = raw_id(current);
        if current_id == 0 {
            self.next_temporary += 1;
            current_id = self.next_temporary;
        }
        if !self.matches(raw_id(old), current_id) {
            return false;
        }
        old.delta.is_none() || self.matches(old.id, current_id & !ADDED)
    }
}

const ADDED: u32 = 1 << 31;

/// The id with the mark of an added constant, as the kernel keeps them in one number.
fn raw_id(number: &Number) -> u32 {
    if number.delta.is_some() { number.id | ADDED } else { number.id }
}

/// Is `current` covered by `old`? `ids` is a fresh map.
#[must_use]
pub fn includes(old: &State, current: &State, strictness: Strictness, mut ids: IdMap) -> bool {
    // What is explored ahead of time says nothing of what really happens.
    if old.frames.len() != current.frames.len() || (old.speculative && !current.speculative) {
        return false;
    }
    let (mine, theirs) = (&old.obligations, &current.obligations);
    let locks_match = match (mine.lock, theirs.lock) {
        (None, None) => true,
        (Some(old), Some(current)) => old.owner == current.owner && ids.matches(old.id, current.id),
        _ => false,
    };
    if !locks_match
        || mine.rcu != theirs.rcu
        || mine.preempt != theirs.preempt
        || old.in_sleepable != current.in_sleepable
    {
        return false;
    }
    for (number, (old_frame, current_frame)) in old.frames.iter().zip(&current.frames).enumerate() {
        if old_frame.callsite != current_frame.callsite
            || !frame_includes(old_frame, current_frame, strictness, &mut ids)
            || !references_match(old, current, number, &mut ids)
        {
            return false;
        }
    }
    true
}

/// Does a frame hold the same references (`refsafe`)? What a caller held when it called counts, too.
fn references_match(old: &State, current: &State, number: usize, ids: &mut IdMap) -> bool {
    let (mut old, mut current) = (old.references_of(number), current.references_of(number));
    if seeded::active(Fault::InclusionIgnoresReferences) {
        return true;
    }
    loop {
        match (old.next(), current.next()) {
            (None, None) => return true,
            (Some(old), Some(current)) if ids.matches(old, current) => {}
            _ => return false,
        }
    }
}

fn frame_includes(old: &Frame, current: &Frame, strictness: Strictness, ids: &mut IdMap) -> bool {
    if old.callback_depth > current.callback_depth {
        return false;
    }
    if strictness == Strictness::Pruning {
        // What was not read below the old state does not count.
        return old.marks.all_read().iter().all(|place| match place {
            Place::Register(6..) if seeded::active(Fault::InclusionIgnoresRegisters) => true,
            Place::Slot(_) if seeded::active(Fault::InclusionIgnoresStack) => true,
            Place::Register(register) => {
                let register = usize::from(register);
                cell_includes(&old.registers[register], &current.registers[register].value, strictness, ids)
            }
            Place::Slot(slot) => {
                let slot = usize::from(slot);
                old.stack.get(slot).is_none_or(|old| slot_includes(old, current.stack.get(slot), strictness, ids))
            }
        });
    }
    let mut registers = old.registers.iter().zip(&current.registers);
    let mut slots = old.stack.iter().enumerate();
    registers.all(|(old, current)| cell_includes(old, &current.value, strictness, ids))
        && slots.all(|(index, slot)| slot_includes(slot, current.stack.get(index), strictness, ids))
}

/// Are the two the same, up to ids (`regs_exact`)?
#[must_use]
pub fn same_value(old: &Value, current: &Value, ids: &mut IdMap) -> bool {
    match (old, current) {
        (Value::Uninitialised, Value::Uninitialised) => true,
        (Value::Scalar(old), Value::Scalar(current)) => {
            old.bounds == current.bounds
                && old.delta.unwrap_or(0) == current.delta.unwrap_or(0)
                && old.null_of == current.null_of
                && ids.matches(raw_id(old), raw_id(current))
        }
        (Value::Pointer(old), Value::Pointer(current)) => {
            old.variable == current.variable && same_pointer_kind(old, current) && ids_match(old, current, ids)
        }
        (Value::Iterator(old), Value::Iterator(current)) => {
            old.ty == current.ty
                && old.state == current.state
                && old.trust == current.trust
                && ids.matches(old.reference, current.reference)
        }
        (Value::Dynptr(old), Value::Dynptr(current)) => {
            old.kind == current.kind && old.first == current.first && ids.matches(old.reference, current.reference)
        }
        _ => false,
    }
}

fn same_pointer_kind(old: &Pointer, current: &Pointer) -> bool {
    old.target == current.target && old.attributes == current.attributes && old.offset == current.offset
}

fn ids_match(old: &Pointer, current: &Pointer, ids: &mut IdMap) -> bool {
    ids.matches(old.id, current.id) && ids.matches(old.reference, current.reference)
}

fn cell_includes(old: &Cell, current: &Value, strictness: Strictness, ids: &mut IdMap) -> bool {
    match strictness {
        Strictness::Exact => return same_value(&old.value, current, ids),
        Strictness::Pruning | Strictness::RangeWithin => {}
    }
    match (&old.value, current) {
        (Value::Uninitialised, current) => strictness == Strictness::Pruning || *current == Value::Uninitialised,
        (Value::Scalar(old), Value::Scalar(current)) => number_includes(old, current, strictness, ids),
        (Value::Pointer(old), Value::Pointer(current)) => pointer_includes(old, current, ids),
        (old, current) => same_value(old, current, ids),
    }
}

fn number_includes(old: &Number, current: &Number, strictness: Strictness, ids: &mut IdMap) -> bool {
    if ids.regard.exact_numbers {
        return old.bounds == current.bounds
            && old.delta == current.delta
            && old.null_of == current.null_of
            && ids.matches_scalar(old, current);
    }
    if !old.precise && !ids.regard.every_number && strictness == Strictness::Pruning {
        return true;
    }
    let links_agree = match (old.delta, current.delta) {
        (Some(old), Some(current)) => old == current,
        (Some(_), None) => false,
        (None, Some(_)) => old.id == 0,
        (None, None) => true,
    };
    links_agree && ids.matches_scalar(old, current) && old.bounds.includes(&current.bounds)
}

fn pointer_includes(old: &Pointer, current: &Pointer, ids: &mut IdMap) -> bool {
    if old.attributes != current.attributes {
        return false;
    }
    match (old.target, current.target) {
        (Target::Packet { area, range }, Target::Packet { area: current_area, range: current_range }) => {
            let range_covers =
                if range < 0 || current_range < 0 { range == current_range } else { range <= current_range };
            area == current_area
                && range_covers
                && old.offset == current.offset
                && ids.matches(old.id, current.id)
                && old.variable.includes(&current.variable)
        }
        (
            Target::MapKey(_) | Target::MapValue(_) | Target::Memory { .. } | Target::Buffer | Target::TracepointBuffer,
            _,
        ) => {
            same_pointer_kind(old, current) && old.variable.includes(&current.variable) && ids_match(old, current, ids)
        }
        (Target::Arena, Target::Arena) => true,
        _ => old.variable == current.variable && same_pointer_kind(old, current) && ids_match(old, current, ids),
    }
}

/// What a slot with nothing known in it holds, where scalars are compared.
const UNKNOWN: Cell = Cell { value: Value::UNKNOWN, parent: None };

/// The scalar that a slot holds, where it holds one or holds nothing known (`scalar_reg_for_stack`).
fn scalar_of<'a>(slot: &'a StackSlot, ids: &IdMap) -> Option<&'a Cell> {
    if slot.is_spilled_scalar64() {
        return Some(&slot.spilled);
    }
    slot.bytes.iter().all(|&kind| holds_anything(kind, ids)).then_some(&UNKNOWN)
}

/// A privileged program may read stack that was never written, so such bytes hold anything.
fn holds_anything(kind: ByteKind, ids: &IdMap) -> bool {
    kind == ByteKind::Misc || (kind == ByteKind::Invalid && !ids.regard.unwritten_stack)
}

/// Does that byte of an older state stand for any other? To an unprivileged program what it has written and what it has
/// not is not the same.
fn stands_for_any(kind: ByteKind, ids: &IdMap) -> bool {
    kind == ByteKind::Invalid || (kind == ByteKind::Misc && !ids.regard.unwritten_stack)
}

/// The kernel compares byte by byte. Where both slots hold scalars it leaves the bytes at the first that does not stand
/// for any other, and compares these instead.
fn slot_includes(old: &StackSlot, current: Option<&StackSlot>, strictness: Strictness, ids: &mut IdMap) -> bool {
    let lax = strictness == Strictness::Pruning;
    let Some(first) = old.bytes.iter().position(|&kind| !stands_for_any(kind, ids)) else {
        return lax || current.is_some_and(|current| current.bytes == old.bytes);
    };
    let Some(current) = current else { return false };
    if !lax && old.bytes[..=first] != current.bytes[..=first] {
        return false;
    }
    if let (Some(old), Some(current)) = (scalar_of(old, ids), scalar_of(current, ids)) {
        return cell_includes(old, &current.value, strictness, ids);
    }
    let mut bytes = old.bytes.iter().zip(&current.bytes);
    let zeroed = |old, current| old == ByteKind::Misc && current == ByteKind::Zero;
    bytes.all(|(&old, &current)| old == current || (lax && (stands_for_any(old, ids) || zeroed(old, current))))
        && last_byte_includes(old.bytes[SLOT_BYTES - 1], old, current, strictness, ids)
}

fn last_byte_includes(
    kind: ByteKind,
    old: &StackSlot,
    current: &StackSlot,
    strictness: Strictness,
    ids: &mut IdMap,
) -> bool {
    match kind {
        ByteKind::Spill => cell_includes(&old.spilled, &current.spilled.value, strictness, ids),
        ByteKind::Dynptr | ByteKind::Iterator => same_value(&old.spilled.value, &current.spilled.value, ids),
        ByteKind::Misc | ByteKind::Zero | ByteKind::Invalid => true,
    }
}

/// Could the two be the same state, so that a closer look is worth it (`states_maybe_looping`)?
#[must_use]
pub fn may_be_looping(old: &State, current: &State) -> bool {
    old.frames.len() == current.frames.len()
        && old.frame().registers.iter().zip(&current.frame().registers).all(|(old, current)| {
            match (&old.value, &current.value) {
                (Value::Scalar(old), Value::Scalar(current)) => {
                    Number { precise: false, ..*old } == Number { precise: false, ..*current }
                }
                (old, current) => old == current,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::super::value::{MapRef, NullOf, SocketKind};
    use super::*;

    fn null_of(target: Target) -> Value {
        Value::Scalar(Number { null_of: NullOf::left_by(&Pointer::to(target)), ..Number::constant(0) })
    }

    /// Linux 6.12.117 processes other counts of instructions where a loop's states differ in this alone.
    #[test]
    fn a_null_pointer_is_not_quite_the_number_zero() {
        let value = |index| Target::MapValue(MapRef { index, uid: 0 });
        let same = |old, current| same_value(&old, &current, &mut IdMap::new(0));
        assert!(same(null_of(value(1)), null_of(value(1))));
        assert!(!same(null_of(value(1)), null_of(value(2))));
        assert!(!same(null_of(value(1)), Value::constant(0)));
        assert!(!same(null_of(Target::Memory { size: 8, dynptr: 0 }), Value::constant(0)));
        assert!(same(null_of(Target::Socket(SocketKind::Tcp)), Value::constant(0)));
    }

    #[test]
    fn pruning_does_not_care_what_a_null_pointer_was() {
        let current = null_of(Target::MapValue(MapRef { index: 1, uid: 0 }));
        let zero = Cell { value: Value::constant(0), parent: None };
        assert!(cell_includes(&zero, &current, Strictness::Pruning, &mut IdMap::new(0)));
        assert!(cell_includes(&zero, &current, Strictness::RangeWithin, &mut IdMap::new(0)));
        assert!(!cell_includes(&zero, &current, Strictness::Exact, &mut IdMap::new(0)));
    }
}
