//! Open-coded iterators: created, asked for the next element, destroyed (`process_iter_arg`,
//! `process_iter_next_call`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! A loop over an iterator is not unrolled: at each `next` the path splits into "drained" and "one more element", and
//! the latter ends as soon as its state is covered by one from an earlier round.

use super::dynptr::ObjectPlace;
use super::env::{Check, Verifier, reject, unsupported};
use super::kfunc::Function;
use super::kfunc_arguments::Told;
use super::obligations::Held;
use super::rule::Rule;
use super::state::{ByteKind, Live, Place, SLOT_BYTES, StackSlot, State, slot_of};
use super::value::{Iterator, IteratorState, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::TypeId;
use crate::isa::Register;
use crate::kernel::KfuncFlags;

/// An iterator that was passed to a kfunc, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldIterator {
    /// Frame.
    pub frame: u8,
    /// Its first slot, that with the highest number.
    pub slot: usize,
    /// Trust in its elements.
    pub trust: Trust,
    /// Its reference, which the elements carry; 0 for one that was just created.
    pub reference: u32,
}

/// The iterator's place on the stack.
#[derive(Clone, Copy, Debug)]
struct Span {
    frame: u8,
    first: usize,
    count: usize,
}

impl Verifier<'_> {
    /// An iterator argument.
    pub fn check_iterator(&mut self, function: &Function, register: Register, target: TypeId) -> Check<HeldIterator> {
        let index = register.index() - 1;
        let btf = self.profile.btf.clone();
        let id = btf.resolve(target);
        let size = btf.size_of(id).unwrap_or(0);
        let name = btf.ty(id).name().to_owned();
        let Some(kind) = name.strip_prefix("bpf_iter_").filter(|_| size > 0 && size.is_multiple_of(8)) else {
            return reject(Rule::InvalidIteratorArgument { number: index });
        };
        let Value::Pointer(pointer) = self.value(register) else {
            return reject(Rule::IteratorNotOnStack { index });
        };
        let Target::Stack { frame } = pointer.target else { return reject(Rule::IteratorNotOnStack { index }) };
        let ty = TypeRef { space: TypeSpace::Kernel, id };
        let count = size as usize / SLOT_BYTES;
        if function.is(KfuncFlags::ITER_NEW) {
            return self.create_iterator(function, register, &pointer, frame, ty, count, kind);
        }
        let expected = || reject(Rule::ExpectedInitialisedIterator { kind: kind.to_owned(), number: index });
        let Some(span) = self.span(&pointer, frame, count) else { return expected() };
        let Some(held) = self.initialised_iterator(span, ty) else { return expected() };
        if held.trust == Trust::Untrusted {
            return reject(Rule::IteratorOutsideRcu { name: function.name.clone() });
        }
        self.read_slots(span)?;
        if function.is(KfuncFlags::ITER_DESTROY) {
            self.destroy_iterator(span)?;
        }
        Ok(HeldIterator { frame, slot: span.first, trust: held.trust, reference: held.reference })
    }

    /// Where on the stack it lies, or would lie if the stack reached as far down; `None` if nowhere.
    fn span(&mut self, pointer: &Pointer, frame: u8, count: usize) -> Option<Span> {
        let first = match self.object_place(pointer, frame, "iter", count) {
            ObjectPlace::At(first) => first,
            ObjectPlace::BeyondStack => slot_of(pointer.known_offset()?).0,
            ObjectPlace::Unusable => return None,
        };
        Some(Span { frame, first, count })
    }

    fn slots(&self, span: Span) -> Option<&[StackSlot]> {
        let stack = &self.state.frames.get(usize::from(span.frame))?.stack;
        stack.get(span.first + 1 - span.count..=span.first)
    }

    #[allow(clippy::too_many_arguments)]
    fn create_iterator(
        &mut self,
        function: &Function,
        register: Register,
        pointer: &Pointer,
        frame: u8,
        ty: TypeRef,
        count: usize,
        kind: &str,
    ) -> Check<HeldIterator> {
        let number = register.index() - 1;
        let expected = || reject(Rule::ExpectedUninitialisedIterator { kind: kind.to_owned(), number });
        let Some(span) = self.span(pointer, frame, count) else { return expected() };
        let occupied = |slots: &[StackSlot]| slots.iter().any(|slot| slot.bytes.contains(&ByteKind::Iterator));
        if self.slots(span).is_some_and(occupied) {
            return expected();
        }
        self.check_stores(register, SLOT_BYTES as u32, count as u32)?;
        let reference = self.acquire_reference(Held::Iterator(ty));
        let trust = match (function.is(KfuncFlags::RCU_PROTECTED), self.in_rcu_section()) {
            (false, _) => Trust::Plain,
            (true, true) => Trust::Rcu,
            (true, false) => Trust::Untrusted,
        };
        for step in 0..count {
            let first = step == 0;
            let index = span.first - step;
            self.log.touch_slot(index);
            let Some(slot) = self.frame_of(frame)?.stack.get_mut(index) else {
                return unsupported("an iterator below the stack");
            };
            slot.spilled.value = Value::Iterator(Iterator {
                ty,
                state: Some(IteratorState::Active),
                depth: 0,
                trust,
                reference: if first { reference } else { 0 },
            });
            slot.bytes = [ByteKind::Iterator; SLOT_BYTES];
            slot.scrubbed_reference = 0;
            self.frame_of(frame)?.marks.write(Place::Slot(index as u8));
        }
        Ok(HeldIterator { frame, slot: span.first, trust, reference: 0 })
    }

    /// The iterator in those slots, if all of them hold one of that type (`is_iter_reg_valid_init`).
    fn initialised_iterator(&self, span: Span, ty: TypeRef) -> Option<Iterator> {
        let slots = self.slots(span)?;
        let mut held = None;
        for (index, slot) in slots.iter().rev().enumerate() {
            let Value::Iterator(iterator) = slot.spilled.value else { return None };
            let whole = slot.bytes.iter().all(|&kind| kind == ByteKind::Iterator);
            if !whole || iterator.ty != ty || (iterator.reference != 0) != (index == 0) {
                return None;
            }
            if index == 0 {
                held = Some(iterator);
            }
        }
        held
    }

    fn read_slots(&mut self, span: Span) -> Check {
        for step in 0..span.count {
            let index = span.first - step;
            self.log.touch_slot(index);
            let place = Place::Slot(index as u8);
            let Some(cell) = self.state.cell(span.frame, place).copied() else {
                return unsupported("an iterator's slot that does not exist");
            };
            let live = self.frame_of(span.frame)?.marks.of(place);
            self.explored.mark_read(live, cell.parent, Live::READ64);
        }
        Ok(())
    }

    fn destroy_iterator(&mut self, span: Span) -> Check {
        for step in 0..span.count {
            let index = span.first - step;
            let frame = self.frame_of(span.frame)?;
            let Some(slot) = frame.stack.get_mut(index) else {
                return unsupported("an iterator's slot that does not exist");
            };
            let reference = slot.spilled.value.reference();
            slot.spilled.value = Value::Uninitialised;
            slot.bytes = [ByteKind::Invalid; SLOT_BYTES];
            slot.scrubbed_reference = 0;
            frame.marks.write(Place::Slot(index as u8));
            if step == 0 && !self.release_reference(reference) {
                return unsupported("destroying an iterator that is not held");
            }
        }
        Ok(())
    }

    /// The path splits: on this one the iterator is drained, on the pushed one it gives an element.
    pub fn next_element(&mut self, told: &Told) -> Check {
        let Some(held) = told.iterator else { return unsupported("the next element of no iterator") };
        let insn = self.insn;
        let Some(iterator) = iterator_in(&mut self.state, held) else {
            return unsupported("the next element of an iterator that is gone");
        };
        if iterator.state == Some(IteratorState::Active) {
            let previous = match self.state.parent {
                Some(parent) if self.explored.state(parent).insn == insn => {
                    self.previous_entry(insn, self.explored.state(parent))
                }
                _ => return unsupported("an iterator's next call without a checkpoint before it"),
            };
            let pushed = self.push_branch(insn + 1)?;
            if let Some(iterator) = iterator_in(self.pushed(pushed), held) {
                iterator.state = Some(IteratorState::Active);
                iterator.depth += 1;
            }
            self.widen_pushed(pushed, previous);
            let result = *self.pushed(pushed).value(Register::R0);
            if let Value::Pointer(pointer) = result {
                let element = self.not_null(pointer);
                self.pushed(pushed).set(Register::R0, Value::Pointer(element));
            }
        }
        if let Some(iterator) = iterator_in(&mut self.state, held) {
            iterator.state = Some(IteratorState::Drained);
        }
        self.state.set(Register::R0, Value::constant(0));
        Ok(())
    }
}

fn iterator_in(state: &mut State, held: HeldIterator) -> Option<&mut Iterator> {
    match &mut state.cell_mut(held.frame, Place::Slot(held.slot as u8))?.value {
        Value::Iterator(iterator) => Some(iterator),
        _ => None,
    }
}
