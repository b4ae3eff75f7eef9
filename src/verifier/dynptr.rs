//! Dynptrs: pointers that carry their length with them, each in two stack slots of the program (`process_dynptr_func`,
//! `mark_stack_slots_dynptr`, `destroy_if_dynptr_stack_slot`, `unmark_stack_slots_dynptr`, `kernel/bpf/verifier.c`,
//! Linux 6.12).
//!
//! A dynptr has an identity of its own, which the slices that `bpf_dynptr_data` and `bpf_dynptr_slice` give carry too.
//! One over a ring buffer's record also carries a reference, which its clones and slices share. The slot further down
//! is the first. Calls say what they do with a dynptr by a [`DynptrUse`]; start reading at [`Verifier::check_dynptr`].

use super::env::{Check, Verifier, reject, unsupported};
use super::obligations::Held;
use super::rule::{Errno, Rule};
use super::state::{ByteKind, Live, Place, SLOT_BYTES, StackSlot, slot_of};
use super::value::{Attributes, Dynptr, DynptrKind, Pointer, Target, Value};
use crate::isa::Register;

/// Stack slots that a dynptr takes.
pub const DYNPTR_SLOTS: usize = 2;

/// What a call does with a dynptr that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DynptrUse {
    /// Makes one where none need be.
    Make {
        /// Its kind.
        kind: DynptrKind,
        /// The reference that it shares with the one it is a clone of, 0 for none.
        shared: u32,
    },
    /// Uses one that was made before.
    Use {
        /// The only kind that it takes.
        wanted: Option<DynptrKind>,
        /// Changes the dynptr itself, not just what it points to.
        changes: bool,
    },
}

/// A dynptr that was passed to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldDynptr {
    /// Its kind.
    pub kind: DynptrKind,
    /// Its identity.
    pub id: u32,
    /// Its reference, 0 for none.
    pub reference: u32,
}

/// Where on the stack an object of several slots lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectPlace {
    /// Its first slot, that with the highest number.
    At(usize),
    /// Beyond what the stack has used so far.
    BeyondStack,
    /// Nowhere that such an object may lie; the log says why.
    Unusable,
}

impl DynptrKind {
    /// Does it carry a reference that must be given back (`dynptr_type_refcounted`)?
    #[must_use]
    pub fn is_referenced(self) -> bool {
        self == DynptrKind::Ringbuf
    }
}

impl Verifier<'_> {
    /// The place of an object of `count` slots; `what` is its name for the log (`stack_slot_obj_get_spi`).
    pub fn object_place(&mut self, pointer: &Pointer, frame: u8, what: &'static str, count: usize) -> ObjectPlace {
        let Some(offset) = pointer.known_offset() else {
            self.say(&Rule::ObjectAtVariableOffset { what });
            return ObjectPlace::Unusable;
        };
        // The frame pointer itself counts as the first slot: `__get_spi` rounds towards zero.
        let first = if offset == 0 { Some(0) } else { (offset < 0).then(|| slot_of(offset).0) };
        let first = first.filter(|first| first + 1 >= count && offset % SLOT_BYTES as i64 == 0);
        let Some(first) = first else {
            self.say(&Rule::ObjectAtOffset { what, offset });
            return ObjectPlace::Unusable;
        };
        let slots = self.state.frames.get(usize::from(frame)).map_or(0, |frame| frame.stack.len());
        if first < slots { ObjectPlace::At(first) } else { ObjectPlace::BeyondStack }
    }

    /// A dynptr argument (`process_dynptr_func`).
    pub fn check_dynptr(&mut self, register: Register, usage: DynptrUse) -> Check<HeldDynptr> {
        let index = register.index() - 1;
        let not_dynptr = || reject(Rule::NotADynptr { index });
        let Value::Pointer(pointer) = self.value(register) else { return not_dynptr() };
        match (pointer.target, usage) {
            (Target::Stack { frame }, DynptrUse::Make { kind, shared }) => {
                self.make_dynptr(register, &pointer, frame, kind, shared)
            }
            (Target::Stack { frame }, DynptrUse::Use { wanted, .. }) => self.use_dynptr(index, &pointer, frame, wanted),
            (Target::ConstDynptr(_), DynptrUse::Make { .. }) => reject(Rule::DynptrNotUninitialised),
            (Target::ConstDynptr(_), DynptrUse::Use { changes: true, .. }) => reject(Rule::ChangesConstDynptr),
            (Target::ConstDynptr(kind), DynptrUse::Use { wanted, .. }) => {
                check_kind(kind, wanted, index)?;
                Ok(HeldDynptr { kind, id: pointer.id, reference: pointer.reference })
            }
            _ => not_dynptr(),
        }
    }

    fn make_dynptr(
        &mut self,
        register: Register,
        pointer: &Pointer,
        frame: u8,
        kind: DynptrKind,
        shared: u32,
    ) -> Check<HeldDynptr> {
        if self.object_place(pointer, frame, "dynptr", DYNPTR_SLOTS) == ObjectPlace::Unusable {
            return reject(Rule::DynptrNotUninitialised);
        }
        // These stores destroy what dynptrs lay there.
        self.check_stores(register, SLOT_BYTES as u32, DYNPTR_SLOTS as u32)?;
        let ObjectPlace::At(first) = self.object_place(pointer, frame, "dynptr", DYNPTR_SLOTS) else {
            return unsupported("a dynptr below the stack");
        };
        let id = self.new_id();
        let reference = match (kind.is_referenced(), shared) {
            (false, _) => 0,
            (true, 0) => self.acquire_reference(Held::Other),
            (true, shared) => shared,
        };
        for (step, slot) in self.dynptr_slots(frame, first)?.iter_mut().rev().enumerate() {
            slot.spilled.value = Value::Dynptr(Dynptr { kind, first: step == 0, id, reference });
            slot.bytes = [ByteKind::Dynptr; SLOT_BYTES];
            slot.scrubbed_reference = 0;
        }
        self.mark_dynptr_written(frame, first)?;
        Ok(HeldDynptr { kind, id, reference })
    }

    fn use_dynptr(
        &mut self,
        index: usize,
        pointer: &Pointer,
        frame: u8,
        wanted: Option<DynptrKind>,
    ) -> Check<HeldDynptr> {
        let expected = || reject(Rule::ExpectedInitialisedDynptr { index });
        let ObjectPlace::At(first) = self.object_place(pointer, frame, "dynptr", DYNPTR_SLOTS) else {
            return expected();
        };
        let slots = self.dynptr_slots(frame, first)?;
        let whole = slots.iter().all(|slot| slot.bytes.iter().all(|&kind| kind == ByteKind::Dynptr));
        let Some(Value::Dynptr(dynptr)) = slots.last().map(|slot| slot.spilled.value) else { return expected() };
        if !dynptr.first || !whole {
            return expected();
        }
        let parents: Vec<_> = slots.iter().rev().map(|slot| slot.spilled.parent).collect();
        check_kind(dynptr.kind, wanted, index)?;
        for (step, parent) in parents.into_iter().enumerate() {
            let live = self.frame_of(frame)?.marks.of(Place::Slot(first.saturating_sub(step) as u8));
            self.explored.mark_read(live, parent, Live::READ64);
        }
        Ok(HeldDynptr { kind: dynptr.kind, id: dynptr.id, reference: dynptr.reference })
    }

    /// The slots of the dynptr whose first slot that is, lowest number first.
    fn dynptr_slots(&mut self, frame: u8, first: usize) -> Check<&mut [StackSlot]> {
        let stack = &mut self.frame_of(frame)?.stack;
        match first.checked_sub(1).and_then(|second| stack.get_mut(second..=first)) {
            Some(slots) => Ok(slots),
            None => unsupported("a dynptr outside the stack"),
        }
    }

    /// A write over a dynptr destroys all of it, unless it holds a reference (`destroy_if_dynptr_stack_slot`).
    pub fn destroy_dynptr(&mut self, frame: u8, index: usize) -> Check {
        let Some(slot) = self.frame_of(frame)?.stack.get(index) else { return Ok(()) };
        if slot.bytes[0] != ByteKind::Dynptr {
            return Ok(());
        }
        let Value::Dynptr(dynptr) = slot.spilled.value else { return unsupported("a dynptr's slot without one") };
        if dynptr.kind.is_referenced() {
            return reject(Rule::OverwriteReferencedDynptr);
        }
        let first = if dynptr.first { index } else { index + 1 };
        self.log.touch_slot(first);
        self.log.touch_slot(first.saturating_sub(1));
        self.forget_dynptr(frame, first)?;
        self.invalidate_slices(dynptr.id);
        Ok(())
    }

    /// The slots hold nothing any more, and what was read of them later is none of their checkpoint's business.
    fn forget_dynptr(&mut self, frame: u8, first: usize) -> Check {
        for slot in self.dynptr_slots(frame, first)? {
            slot.spilled.value = Value::Uninitialised;
            slot.bytes = [ByteKind::Invalid; SLOT_BYTES];
            slot.scrubbed_reference = 0;
        }
        self.mark_dynptr_written(frame, first)
    }

    fn mark_dynptr_written(&mut self, frame: u8, first: usize) -> Check {
        let marks = &mut self.frame_of(frame)?.marks;
        for index in [first, first.saturating_sub(1)] {
            marks.write(Place::Slot(index as u8));
        }
        Ok(())
    }

    /// Slices of a dynptr that is gone. The kernel knows them by their plain type, which those that
    /// `bpf_dynptr_slice` gives do not have.
    fn invalidate_slices(&mut self, id: u32) {
        let stale = self.stale();
        self.state.for_each_value(false, |value| {
            if let Value::Pointer(Pointer { target: Target::Memory { dynptr, .. }, attributes, .. }) = value
                && *dynptr == id
                && (Attributes { nullable: false, ..*attributes }) == Attributes::default()
            {
                *value = stale;
            }
        });
    }

    /// May what the register points to be released as a dynptr? Asked before the dynptr itself is looked at.
    pub fn check_dynptr_release(&mut self, register: Register) -> Check {
        let pointer = self.pointer(register)?;
        let Target::Stack { frame } = pointer.target else { return reject(Rule::ReleaseOfConstDynptr) };
        let place = self.object_place(&pointer, frame, "dynptr", DYNPTR_SLOTS);
        let reference = match place {
            ObjectPlace::At(first) => self.frame_of(frame)?.stack.get(first).map_or(0, StackSlot::reference),
            ObjectPlace::BeyondStack | ObjectPlace::Unusable => 0,
        };
        if reference == 0 {
            return reject(Rule::UnacquiredDynptr { number: register.index() });
        }
        Ok(())
    }

    /// Releases the dynptr that a register points to: its slices are stale, its clones in the same frame are gone
    /// (`unmark_stack_slots_dynptr`).
    pub fn release_dynptr(&mut self, register: Register, helper: u32) -> Check {
        let pointer = self.pointer(register)?;
        let Target::Stack { frame } = pointer.target else { return unsupported("releasing a dynptr from outside") };
        let ObjectPlace::At(first) = self.object_place(&pointer, frame, "dynptr", DYNPTR_SLOTS) else {
            return unsupported("releasing a dynptr that is not on the stack");
        };
        let slot = self.frame_of(frame)?.stack.get(first).copied();
        let Some(Value::Dynptr(dynptr)) = slot.map(|slot| slot.spilled.value) else {
            return unsupported("releasing a dynptr's slot without one");
        };
        if !dynptr.kind.is_referenced() {
            return self.forget_dynptr(frame, first);
        }
        // A callback cannot release what its caller holds; the kernel only warns of it in its own log.
        let _ = self.release_reference(dynptr.reference);
        for index in 1..self.frame_of(frame)?.stack.len() {
            let Some(slot) = self.frame_of(frame)?.stack.get(index).copied() else { break };
            if slot.reference() != dynptr.reference {
                continue;
            }
            if slot.bytes[0] != ByteKind::Dynptr {
                self.say(&Rule::MisconfiguredReference);
                return reject(Rule::HelperReferenceNotAcquired {
                    name: self.helper_name(helper),
                    id: helper as i32,
                    errno: Errno::Fault,
                });
            }
            if matches!(slot.spilled.value, Value::Dynptr(Dynptr { first: true, .. })) {
                self.forget_dynptr(frame, index)?;
            }
        }
        Ok(())
    }
}

fn check_kind(kind: DynptrKind, wanted: Option<DynptrKind>, index: usize) -> Check {
    match wanted {
        Some(wanted) if wanted != kind => reject(Rule::ExpectedDynptrKind { kind: wanted.kernel_name(), index }),
        _ => Ok(()),
    }
}
