//! What an instruction did, seen by comparing the state after it with the one before.

use super::Before;
use crate::isa::{Insn, Register};
use crate::verifier::env::Verifier;
use crate::verifier::obligations::Obligations;
use crate::verifier::path::Event;
use crate::verifier::state::{ByteKind, Frame, SLOT_BYTES, StackSlot, State};
use crate::verifier::value::{Target, Trust, Value};

impl Verifier<'_> {
    /// What is seen by comparing two states, the second after an instruction.
    pub(super) fn changes(&self, before: &Before, after: &State, insn: Option<Insn>, events: &mut Vec<Event>) {
        self.reference_changes(before, after, insn, events);
        section_changes(&before.obligations, &after.obligations, events);
        self.memory_loaded(before, after, insn, events);
        if matches!(insn, Some(Insn::Call(_))) {
            pointer_changes(&before.frames, &after.frames, events);
        }
        for entry in after.obligations.references() {
            let was = places(&before.frames, |value| value.reference() == entry.id);
            if !was.is_empty() && places(&after.frames, |value| value.reference() == entry.id).is_empty() {
                events.push(Event::Lost { id: entry.id, from: was });
            }
        }
    }

    /// What was loaded from other memory than the stack.
    fn memory_loaded(&self, before: &Before, after: &State, insn: Option<Insn>, events: &mut Vec<Event>) {
        let Some(Insn::Load { dst, src, offset, .. }) = insn else { return };
        let base = before.frames.last().and_then(|frame| frame.registers[src.index()].value.as_pointer().copied());
        let Some(mut base) = base.filter(|base| !matches!(base.target, Target::Stack { .. })) else { return };
        base.offset = base.offset.wrapping_add(offset.into());
        let (register, from) = (dst, self.place_text(&base));
        events.push(match after.value(dst).as_pointer() {
            Some(_) => Event::Loaded { register, from },
            None => Event::Read { register, from, pointer: self.pointer_field(&base) },
        });
    }

    fn reference_changes(&self, before: &Before, after: &State, insn: Option<Insn>, events: &mut Vec<Event>) {
        let (old, new) = (before.obligations.references(), after.obligations.references());
        for entry in new.iter().filter(|entry| before.obligations.entry(entry.id).is_none()) {
            events.push(Event::Acquired {
                id: entry.id,
                what: self.held_text(entry.held).into(),
                by: self.called(self.insn).unwrap_or_default(),
            });
        }
        for entry in old.iter().filter(|entry| after.obligations.entry(entry.id).is_none()) {
            let id = entry.id;
            let moved = |event: &Event| matches!(event, Event::Moved { id: moved, .. } if *moved == id);
            if !events.iter().any(moved) {
                let null = matches!(insn, Some(Insn::JumpIf { .. }));
                events.push(if null { Event::Null { id } } else { Event::Released { id } });
            }
        }
    }
}

fn section_changes(before: &Obligations, after: &Obligations, events: &mut Vec<Event>) {
    match (before.lock, after.lock) {
        (None, Some(_)) => events.push(Event::Locked),
        (Some(_), None) => events.push(Event::Unlocked),
        _ => {}
    }
    match (before.rcu, after.rcu) {
        (false, true) => events.push(Event::RcuEntered),
        (true, false) => events.push(Event::RcuLeft),
        _ => {}
    }
    if after.preempt > before.preempt {
        events.push(Event::PreemptDisabled);
    } else if after.preempt < before.preempt {
        events.push(Event::PreemptEnabled);
    }
}

/// What a call did to pointers that it was not given to overwrite: in `r6` and up, and on the stack.
fn pointer_changes(before: &[Frame], after: &[Frame], events: &mut Vec<Event>) {
    let mut forgotten = Vec::new();
    let mut distrusted = Vec::new();
    let mut compare = |old: &Value, new: &Value, name: String| {
        let Value::Pointer(old) = old else { return };
        match new {
            Value::Pointer(new) => {
                if old.is_rcu() && new.attributes.trust == Trust::Untrusted {
                    distrusted.push(name);
                }
            }
            _ => forgotten.push(name),
        }
    };
    for (old, new) in before.iter().zip(after) {
        for index in Register::R6.index()..Register::R10.index() {
            compare(&old.registers[index].value, &new.registers[index].value, format!("r{index}"));
        }
        for (index, (old, new)) in old.stack.iter().zip(&new.stack).enumerate() {
            if old.is_spilled() {
                compare(&old.spilled.value, &new.spilled.value, format!("fp-{}", (index + 1) * SLOT_BYTES));
            }
        }
    }
    if !forgotten.is_empty() {
        events.push(Event::Invalidated { what: forgotten.join(", ") });
    }
    if !distrusted.is_empty() {
        events.push(Event::Distrusted { what: distrusted.join(", ") });
    }
}

/// The registers and slots whose value is such, with commas between them.
fn places(frames: &[Frame], is: impl Fn(&Value) -> bool) -> String {
    let mut found: Vec<String> = Vec::new();
    for frame in frames {
        let registers = frame.registers.iter().enumerate().filter(|(_, cell)| is(&cell.value));
        found.extend(registers.map(|(index, _)| format!("r{index}")));
        let slots = frame.stack.iter().enumerate().filter(|(_, slot)| holds_value(slot) && is(&slot.spilled.value));
        found.extend(slots.map(|(index, _)| format!("fp-{}", (index + 1) * SLOT_BYTES)));
    }
    found.join(", ")
}

fn holds_value(slot: &StackSlot) -> bool {
    matches!(slot.bytes[SLOT_BYTES - 1], ByteKind::Spill | ByteKind::Dynptr | ByteKind::Iterator)
}
