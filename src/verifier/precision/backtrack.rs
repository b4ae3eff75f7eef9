//! What is looked for on the way back: registers and slots, by frame, and how loads and stores move them.

use super::HistoryEntry;
use crate::isa::{Operand, Register};
use crate::kernel::limits::CALL_FRAMES;
use crate::verifier::state::Place;

/// The registers and slots, by frame, whose origin is looked for.
#[derive(Clone, Debug, Default)]
pub struct Backtrack {
    pub(super) frame: usize,
    pub(super) registers: [u16; CALL_FRAMES],
    pub(super) slots: [u64; CALL_FRAMES],
}

impl Backtrack {
    pub(super) fn reset(&mut self, frame: usize) {
        *self = Backtrack { frame, ..Backtrack::default() };
    }

    /// Is nothing asked for? Frames behind the current one are left only when nothing is asked for in them.
    pub(super) fn is_empty(&self) -> bool {
        let frames = ..=self.frame;
        self.registers[frames].iter().all(|&mask| mask == 0) && self.slots[frames].iter().all(|&mask| mask == 0)
    }

    /// Asks for a place.
    pub fn set(&mut self, frame: u8, place: Place) {
        match place {
            Place::Register(register) => self.registers[usize::from(frame)] |= 1 << register,
            Place::Slot(slot) => self.slots[usize::from(frame)] |= 1 << slot,
        }
    }

    pub(super) fn clear(&mut self, frame: u8, place: Place) {
        match place {
            Place::Register(register) => self.registers[usize::from(frame)] &= !(1 << register),
            Place::Slot(slot) => self.slots[usize::from(frame)] &= !(1 << slot),
        }
    }

    pub(super) fn is_set(&self, frame: u8, place: Place) -> bool {
        match place {
            Place::Register(register) => self.registers[usize::from(frame)] & (1 << register) != 0,
            Place::Slot(slot) => self.slots[usize::from(frame)] & (1 << slot) != 0,
        }
    }

    pub(super) fn has(&self, register: Register) -> bool {
        self.registers[self.frame] & (1 << register.index()) != 0
    }

    pub(super) fn add(&mut self, register: Register) {
        self.registers[self.frame] |= 1 << register.index();
    }

    pub(super) fn drop_register(&mut self, register: Register) {
        self.registers[self.frame] &= !(1 << register.index());
    }

    pub(super) fn mask(&self) -> u16 {
        self.registers[self.frame]
    }

    pub(super) fn slot_mask(&self) -> u64 {
        self.slots[self.frame]
    }

    /// The registers asked for, as the log prints them.
    pub(super) fn register_text(&self, frame: usize) -> String {
        let list: Vec<_> =
            (0..16).filter(|bit| self.registers[frame] & (1 << bit) != 0).map(|bit| format!("r{bit}")).collect();
        list.join(",")
    }

    pub(super) fn slot_text(&self, frame: usize) -> String {
        let list: Vec<_> = (0..64i32)
            .filter(|bit| self.slots[frame] & (1 << bit) != 0)
            .map(|bit| format!("{}", -(bit + 1) * 8))
            .collect();
        list.join(",")
    }

    /// If one of the linked scalars is asked for, all are (`bt_sync_linked_regs`).
    pub(super) fn sync_linked(&mut self, entry: Option<&HistoryEntry>) {
        let Some(entry) = entry.filter(|entry| !entry.linked.is_empty()) else { return };
        if entry.linked.iter().any(|&(frame, place)| self.is_set(frame, place)) {
            for &(frame, place) in &entry.linked {
                self.set(frame, place);
            }
        }
    }
}

pub(super) fn add_source(backtrack: &mut Backtrack, source: Operand) {
    if let Operand::Register(register) = source
        && register != Register::R10
    {
        backtrack.add(register);
    }
}

pub(super) fn back_over_load(
    backtrack: &mut Backtrack,
    loaded: Register,
    entry: Option<&HistoryEntry>,
) -> Option<bool> {
    if !backtrack.has(loaded) {
        return Some(false);
    }
    backtrack.drop_register(loaded);
    match entry.and_then(|entry| entry.stack_access) {
        Some((frame, slot)) => {
            backtrack.set(frame, Place::Slot(slot));
            Some(true)
        }
        None => Some(false),
    }
}

pub(super) fn back_over_store(
    backtrack: &mut Backtrack,
    base: Register,
    source: Option<Register>,
    entry: Option<&HistoryEntry>,
) -> Option<bool> {
    if backtrack.has(base) {
        return None;
    }
    let Some((frame, slot)) = entry.and_then(|entry| entry.stack_access) else { return Some(false) };
    if !backtrack.is_set(frame, Place::Slot(slot)) {
        return Some(false);
    }
    backtrack.clear(frame, Place::Slot(slot));
    if let Some(source) = source {
        backtrack.add(source);
    }
    Some(true)
}
