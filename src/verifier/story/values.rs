//! A value: where it came from, what became of what it points to, and what would make it fit.

use super::naming::Name;
use super::teller::{Known, Teller};
use super::trace::{At, Traced, Where, slot, stack_place};
use super::{Item, What, words};
use crate::isa::{Insn, Register};
use crate::verifier::path::{Event, PointerField};

/// What the names of functions begin with that put an object into a list or tree.
const LINKS: [&str; 2] = ["bpf_list_push", "bpf_rbtree_add"];

/// What is to be done with an object that is to be in two of them.
const SECOND_LINK: &str = "a list or tree owns what is put into it. To have the object in a second one, take a reference for that with \
                           `bpf_refcount_acquire()` before the first takes the object over, and give the struct a node for each";

impl Teller<'_> {
    /// The argument of a call that is a pointer to an object; the first, if none is.
    pub(super) fn object_argument(&self, last: usize) -> Register {
        let frame = self.path.innermost(last);
        let text = |register| self.path.text(last, At { frame, place: Where::Register(register) });
        let is_object =
            |register: &Register| text(*register).contains("ptr_") && !text(*register).starts_with("map_ptr");
        let objects: Vec<Register> = Register::caller_saved().filter(is_object).collect();
        let foreign = objects.iter().find(|&&register| words::reference_in(text(register)).is_none());
        foreign.or(objects.first()).copied().unwrap_or(Register::R1)
    }

    /// Where a value came from, and what became of what it points to.
    pub(super) fn value_items(&self, register: Register, last: usize, known: &mut Known) -> Vec<Item> {
        let frame = self.path.innermost(last);
        let at = At { frame, place: Where::Register(register) };
        let text = self.path.text(last, at);
        known.value = Some(words::of_value(text));
        known.name = self.named(last, register).and_then(Name::into_code);
        known.reach = words::reach(text);
        // Of an iterator or a dynptr the address says nothing: what is in the slot has the story.
        if let Some((frame, offset)) = stack_place(text, frame).filter(|&(_, offset)| offset < 0) {
            return self.stack_items(frame, offset, last, known);
        }
        let traced = self.path.follow(at, last);
        self.traced_items(traced, last, known)
    }

    /// The same of what memory is accessed through: on the stack, of what is there.
    pub(super) fn accessed_items(&self, base: Register, offset: i16, last: usize, known: &mut Known) -> Vec<Item> {
        let frame = self.path.innermost(last);
        let text = self.path.text(last, At { frame, place: Where::Register(base) });
        match stack_place(text, frame) {
            Some((frame, start)) => self.stack_items(frame, start + i32::from(offset), last, known),
            None => self.value_items(base, last, known),
        }
    }

    /// Where what is on the stack came from. A dynptr is in two slots, and is known by the lower one.
    pub(super) fn stack_items(&self, frame: usize, offset: i32, last: usize, known: &mut Known) -> Vec<Item> {
        let here = At { frame, place: slot(offset) };
        let below = At { frame, place: slot(offset.saturating_sub(8)) };
        let is_second = self.path.text(last, here).is_empty() && self.path.text(last, below).starts_with("dynptr_");
        let at = if is_second { below } else { here };
        let inside = self.path.text(last, at);
        known.value = Some(if inside.is_empty() { "unused stack".to_owned() } else { slot_words(inside) });
        let traced = self.path.follow(at, last);
        self.traced_items(traced, last, known)
    }

    /// What following a value came to, with what happened to the reference that it carried.
    fn traced_items(&self, traced: Traced, last: usize, known: &mut Known) -> Vec<Item> {
        let from = traced.items.last().map_or(0, |item| item.step);
        let mut items = traced.items;
        known.advice = self.advice(known, &items, last);
        if items.iter().any(|item| self.pointer_read_as_number(item.step).is_some()) {
            known.value = Some("what the verifier takes for a number".to_owned());
        }
        if let Some(item) = items.iter().find(|item| item.what == What::Invalidated) {
            known.value = Some("a pointer that must not be used any more".to_owned());
            known.advice = Some(self.after_void(item));
        } else if let Some(item) = items.iter().find(|item| item.what == What::Distrusted) {
            let call = self.path.called(item.step).unwrap_or("bpf_rcu_read_unlock");
            known.advice = Some(format!("use the pointer before `{call}()`, and load it again in the next section"));
        }
        if let Some(id) = traced.reference {
            known.held = self.what_is(id);
            known.release = self.acquirer(id).map(|by| words::ways_back(by, known.held.as_deref().unwrap_or_default()));
            let told: Vec<(usize, bool)> = items
                .iter()
                .map(|item| (item.step, item.what == What::Invalidated || item.what == What::Moved))
                .collect();
            let more = self.reference_items(id, from).into_iter().filter(|item| {
                let already = told.iter().any(|&(step, fate)| {
                    step == item.step && (fate || item.what == What::Acquired || item.what == What::Checked)
                });
                !already && item.what != What::Lost
            });
            items.extend(more);
        } else {
            items.extend(self.null_checks(&traced.ids, last, from));
        }
        items
    }

    /// What would make the value fit, by what it is and what became of it.
    fn advice(&self, known: &Known, items: &[Item], last: usize) -> Option<String> {
        let value = known.value.as_deref()?;
        let call = self.path.called(last);
        let links = call.is_some_and(|call| LINKS.iter().any(|start| call.starts_with(start)));
        if links && items.iter().any(|item| item.what == What::Moved) {
            return Some(SECOND_LINK.to_owned());
        }
        if let Some(field) = items.iter().find_map(|item| self.pointer_read_as_number(item.step)) {
            return Some(words::as_pointer(field));
        }
        let accessed =
            matches!(self.path.insn(last), Some(Insn::Load { .. } | Insn::Store { .. } | Insn::Atomic { .. }));
        words::advice(value, call, self.program.section.sleepable, accessed).map(str::to_owned)
    }

    fn pointer_read_as_number(&self, step: usize) -> Option<&PointerField> {
        self.path.steps.get(step)?.events.iter().find_map(|event| match event {
            Event::Read { pointer, .. } => pointer.as_ref(),
            _ => None,
        })
    }

    /// What helps with a pointer that an instruction made void.
    fn after_void(&self, item: &Item) -> String {
        let events = self.path.steps.get(item.step).map_or(&[][..], |step| &step.events);
        let call = self.path.called(item.step).unwrap_or("the call");
        if events.iter().any(|event| matches!(event, Event::Released { .. })) {
            return format!("do not use the pointer after `{call}()`: set it to NULL, or leave the function");
        }
        let moved = events.iter().find_map(|event| match event {
            Event::Moved { id, .. } => Some(*id),
            _ => None,
        });
        if moved.is_some_and(|id| !self.what_is(id).is_some_and(|what| what.contains("per-CPU"))) {
            return format!("do what is to be done with the object before `{call}()` gives it away");
        }
        if moved.is_some() {
            return format!(
                "do not use the pointer after `{call}()`: enter an RCU section before it, or load the pointer from where it is now"
            );
        }
        if events.contains(&Event::Unlocked) {
            return format!(
                "use the pointer before `{call}()`: copy what you need of the object while the lock is held"
            );
        }
        format!("get the pointer again after `{call}()`")
    }

    fn what_is(&self, id: u32) -> Option<String> {
        self.path.steps.iter().flat_map(|step| &step.events).find_map(|event| match event {
            Event::Acquired { id: acquired, what, .. } if *acquired == id => Some(what.to_string()),
            _ => None,
        })
    }

    /// The last comparison with NULL of a value that had one of those identities.
    fn null_checks(&self, ids: &[u32], last: usize, from: usize) -> Vec<Item> {
        let steps = self.path.steps.iter().enumerate().take(last).skip(from);
        let mut checks = steps.filter_map(|(step, found)| {
            found.events.iter().find_map(|event| match event {
                Event::Branch { null_check: Some(check), .. } if ids.contains(&check.id) => {
                    Some(Item { step, what: What::Checked, text: self.check_text(step, check) })
                }
                _ => None,
            })
        });
        checks.next_back().into_iter().collect()
    }
}

/// What a slot holds, in words.
fn slot_words(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("iter_") {
        return format!("an iterator ({})", rest.split('(').next().unwrap_or(rest));
    }
    if text.starts_with("dynptr_") {
        return "a dynptr".to_owned();
    }
    "stack that holds other things".to_owned()
}
