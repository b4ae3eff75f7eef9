//! States for show: texts of registers and slots, shared with those shown last where nothing changed.

use std::sync::Arc;

use crate::isa::Register;
use crate::verifier::env::Verifier;
use crate::verifier::obligations::Entry;
use crate::verifier::path::{FrameShown, Reference, Snapshot};
use crate::verifier::state::{ByteKind, Frame, SLOT_BYTES, StackSlot};
use crate::verifier::value::Value;

impl Verifier<'_> {
    /// The current state for show; shares texts with the one shown last.
    pub(super) fn snapshot(&self, frames: &[Frame], shown: &Snapshot) -> Snapshot {
        let state = &self.state;
        let of = |(number, frame): (usize, &Frame)| {
            let last = frames.get(number).zip(shown.frames.get(number));
            self.frame_shown(number, frame, last)
        };
        let obligations = &state.obligations;
        Snapshot {
            frames: state.frames.iter().enumerate().map(of).collect(),
            references: obligations.references().iter().map(|&entry| self.reference_shown(entry, shown)).collect(),
            lock: obligations.lock,
            rcu: obligations.rcu,
            preempt: obligations.preempt,
        }
    }

    fn reference_shown(&self, entry: Entry, shown: &Snapshot) -> Reference {
        match shown.references.iter().find(|reference| reference.entry == entry) {
            Some(reference) => reference.clone(),
            None => Reference { entry, what: self.held_text(entry.held).into() },
        }
    }

    fn frame_shown(&self, number: usize, frame: &Frame, last: Option<(&Frame, &Arc<FrameShown>)>) -> Arc<FrameShown> {
        let mut registers = Vec::new();
        for (index, cell) in frame.registers.iter().enumerate() {
            let (Some(register), false) = (Register::new(index as u8), cell.value == Value::Uninitialised) else {
                continue;
            };
            let text = last.filter(|(before, _)| before.registers[index].value == cell.value).and_then(|(_, shown)| {
                shown.registers.iter().find(|(other, _)| *other == register).map(|(_, text)| Arc::clone(text))
            });
            registers.push((register, text.unwrap_or_else(|| self.value_text(&cell.value, number).into())));
        }
        let mut slots = Vec::new();
        for (index, slot) in shown_slots(frame) {
            let offset = -((index + 1) as i32) * SLOT_BYTES as i32;
            let same = |before: &Frame| {
                before
                    .stack
                    .get(index)
                    .is_some_and(|old| old.bytes == slot.bytes && old.spilled.value == slot.spilled.value)
            };
            let text = last.filter(|(before, _)| same(before)).and_then(|(_, shown)| {
                shown.slots.iter().find(|(other, _)| *other == offset).map(|(_, text)| Arc::clone(text))
            });
            slots.push((offset, text.unwrap_or_else(|| self.slot_text(slot, number).into())));
        }
        let frame = FrameShown { number: number as u32, function: frame.subprogram as usize, registers, slots };
        match last {
            Some((_, shown)) if **shown == frame => Arc::clone(shown),
            _ => Arc::new(frame),
        }
    }
}

/// The slots that are shown: an iterator or dynptr once.
fn shown_slots(frame: &Frame) -> impl Iterator<Item = (usize, &StackSlot)> {
    frame.stack.iter().enumerate().filter(|(_, slot)| match slot.bytes[SLOT_BYTES - 1] {
        ByteKind::Iterator => slot.spilled.value.reference() != 0,
        ByteKind::Dynptr => matches!(slot.spilled.value, Value::Dynptr(dynptr) if dynptr.first),
        _ => slot.bytes.iter().any(|&kind| kind != ByteKind::Invalid),
    })
}
