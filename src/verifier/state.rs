//! The abstract state at one point of a path: frames with their registers and stacks, and obligations.
//!
//! A path's current [`State`] is owned by the explorer; checkpoints of it are kept in an arena and named by
//! [`StateId`]. What a state says about liveness is about its own descendants, see [`super::liveness`].

use bitflags::bitflags;

use super::marks::Marks;
use super::obligations::Obligations;
use super::value::{Iterator, Value};
use crate::isa::{REGISTER_COUNT, Register};
use crate::kernel::limits::STACK_BYTES;

/// A checkpoint's index in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u32);

bitflags! {
    /// What is known of the use of a register or slot below a checkpoint (`enum bpf_reg_liveness`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Live: u8 {
        /// Its lower half was read.
        const READ32 = 1;
        /// All of it was read.
        const READ64 = 2;
        /// Either.
        const READ = 3;
        /// It was written since the checkpoint above, which shields that one from reads below.
        const WRITTEN = 4;
        /// All paths below are done; nothing will change any more.
        const DONE = 8;
    }
}

/// A register or a stack slot of some frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A register, 0 to 10.
    Register(u8),
    /// A stack slot; slot 0 is the eight bytes below the frame pointer.
    Slot(u8),
}

impl Place {
    /// A register.
    #[must_use]
    pub fn of(register: Register) -> Place {
        Place::Register(register.index() as u8)
    }
}

/// The place in an ancestor checkpoint that a register's or slot's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The checkpoint.
    pub state: StateId,
    /// Frame number there.
    pub frame: u8,
    /// Place there.
    pub place: Place,
}

/// A register, or a stack slot's spilled register.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// What is known of it.
    pub value: Value,
    /// Where its value came from, one checkpoint up.
    pub parent: Option<Parent>,
}

impl Cell {
    /// A cell that holds nothing.
    pub const EMPTY: Cell = Cell { value: Value::Uninitialised, parent: None };
}

/// What a byte of the stack holds (`enum bpf_stack_slot_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteKind {
    /// Never written.
    Invalid,
    /// Part of a spilled register.
    Spill,
    /// Written, value not tracked.
    Misc,
    /// Zero.
    Zero,
    /// Part of a dynptr.
    Dynptr,
    /// Part of an iterator.
    Iterator,
}

/// Bytes that a slot has.
pub const SLOT_BYTES: usize = 8;

/// Eight bytes of stack. `bytes[0]` is the byte at the highest address... of the slot's count from the frame pointer:
/// byte `off` (negative) is `bytes[(-off - 1) % 8]` of slot `(-off - 1) / 8`, as the kernel numbers them.
#[derive(Clone, Copy, Debug)]
pub struct StackSlot {
    /// The spilled register, iterator or dynptr; meaningful where bytes say so.
    pub spilled: Cell,
    /// What each byte holds.
    pub bytes: [ByteKind; SLOT_BYTES],
    /// The reference that a spilled pointer carried which was partly overwritten: the kernel leaves it there.
    pub scrubbed_reference: u32,
}

impl StackSlot {
    /// A slot never written.
    pub const EMPTY: StackSlot =
        StackSlot { spilled: Cell::EMPTY, bytes: [ByteKind::Invalid; SLOT_BYTES], scrubbed_reference: 0 };

    /// The reference of what is spilled in it, or was: what the kernel finds in the slot's `ref_obj_id`.
    #[must_use]
    pub fn reference(&self) -> u32 {
        match self.spilled.value.reference() {
            0 => self.scrubbed_reference,
            reference => reference,
        }
    }

    /// Does it hold a spilled register, whole or its lower part (`is_spilled_reg`)?
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        self.bytes[SLOT_BYTES - 1] == ByteKind::Spill
    }

    /// Does it hold a spilled scalar (`is_spilled_scalar_reg`)?
    #[must_use]
    pub fn is_spilled_scalar(&self) -> bool {
        self.is_spilled() && self.spilled.value.is_scalar()
    }

    /// All eight bytes of a spilled scalar (`is_spilled_scalar_reg64`)?
    #[must_use]
    pub fn is_spilled_scalar64(&self) -> bool {
        self.bytes[0] == ByteKind::Spill && self.spilled.value.is_scalar()
    }

    /// An iterator or dynptr (`is_stack_slot_special`)?
    #[must_use]
    pub fn is_special(&self) -> bool {
        matches!(self.bytes[SLOT_BYTES - 1], ByteKind::Spill | ByteKind::Dynptr | ByteKind::Iterator)
    }

    /// The iterator in it.
    #[must_use]
    pub fn iterator(&self) -> Option<&Iterator> {
        match &self.spilled.value {
            Value::Iterator(iterator) if self.bytes[0] == ByteKind::Iterator => Some(iterator),
            _ => None,
        }
    }
}

/// Range of values that a callback or program may return; displayed as the kernel's messages have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnRange {
    /// Smallest.
    pub min: i32,
    /// Largest.
    pub max: i32,
}

impl std::fmt::Display for ReturnRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}]", self.min, self.max)
    }
}

/// What kind of function a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The entry function or a subprogram.
    Plain,
    /// A callback that a helper or kfunc calls before it returns; its result must be in the range.
    Callback(ReturnRange),
    /// A callback that runs later, such as a timer's.
    AsyncCallback(ReturnRange),
    /// The callback that runs when an exception is thrown.
    ExceptionCallback,
}

/// A function's registers and stack.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The registers.
    pub registers: [Cell; REGISTER_COUNT],
    /// The stack as far down as it is used; slot 0 is next to the frame pointer.
    pub stack: Vec<StackSlot>,
    /// Their liveness.
    pub marks: Marks,
    /// Slot of the call that made it; `None` for the first frame.
    pub callsite: Option<u32>,
    /// Index of the function.
    pub subprogram: u32,
    /// Its kind.
    pub kind: FrameKind,
    /// How often a callback of this frame's current call was simulated.
    pub callback_depth: u32,
    /// Tells nested asynchronous callbacks apart.
    pub async_entry: u32,
    /// The references that were held when this frame called the next one: the kernel keeps them per frame.
    pub references_at_call: Vec<u32>,
}

impl Frame {
    /// A frame with only the frame pointer set; `number` is the frame's own.
    #[must_use]
    pub fn new(number: u8, subprogram: u32, callsite: Option<u32>) -> Frame {
        let mut registers = [Cell::EMPTY; REGISTER_COUNT];
        registers[Register::R10.index()].value =
            Value::Pointer(super::value::Pointer::to(super::value::Target::Stack { frame: number }));
        Frame {
            registers,
            stack: Vec::new(),
            marks: Marks::default(),
            callsite,
            subprogram,
            kind: FrameKind::Plain,
            callback_depth: 0,
            async_entry: 0,
            references_at_call: Vec::new(),
        }
    }

    /// Takes over a register as another frame has it: value, origin and liveness.
    pub fn take_register(&mut self, register: Register, from: &Frame, theirs: Register) {
        self.registers[register.index()] = from.registers[theirs.index()];
        self.marks.set(Place::of(register), from.marks.of(Place::of(theirs)));
    }

    /// Where the value of a place came from, one checkpoint up; `None` if the frame has no such place.
    #[must_use]
    pub fn origin(&self, place: Place) -> Option<Option<Parent>> {
        let cell = match place {
            Place::Register(register) => self.registers.get(usize::from(register)),
            Place::Slot(slot) => self.stack.get(usize::from(slot)).map(|slot| &slot.spilled),
        };
        cell.map(|cell| cell.parent)
    }

    /// Bytes of stack in use, a multiple of eight.
    #[must_use]
    pub fn stack_bytes(&self) -> usize {
        self.stack.len() * SLOT_BYTES
    }

    /// Makes sure that the stack reaches `bytes` down. Callers have checked the 512-byte limit.
    pub fn grow_stack(&mut self, bytes: usize) {
        debug_assert!(bytes <= STACK_BYTES as usize + SLOT_BYTES);
        let slots = bytes.div_ceil(SLOT_BYTES);
        if self.stack.len() < slots {
            self.stack.resize(slots, StackSlot::EMPTY);
        }
    }

    /// Does a callback run in it that is called before its caller goes on?
    #[must_use]
    pub fn in_callback(&self) -> bool {
        matches!(self.kind, FrameKind::Callback(_))
    }

    /// Does an asynchronous callback run in it?
    #[must_use]
    pub fn in_async_callback(&self) -> bool {
        matches!(self.kind, FrameKind::AsyncCallback(_))
    }
}

/// [`State::for_each_value`] on the frames alone.
pub fn for_each_value(frames: &mut [Frame], iterators: bool, mut change: impl FnMut(&mut Value)) {
    for frame in frames {
        for cell in &mut frame.registers {
            change(&mut cell.value);
        }
        for slot in &mut frame.stack {
            let kind = slot.bytes[SLOT_BYTES - 1];
            if kind == ByteKind::Spill || (iterators && kind == ByteKind::Iterator) {
                change(&mut slot.spilled.value);
            }
        }
    }
}

/// The bits that are set in a mask of registers or slots, lowest first.
pub fn bits_of(mut mask: u64) -> impl std::iter::Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(bit as u8)
    })
}

/// The slot and byte in it of a stack offset (negative, from the frame pointer).
#[must_use]
pub fn slot_of(offset: i64) -> (usize, usize) {
    let from_top = (-offset - 1) as usize;
    (from_top / SLOT_BYTES, from_top % SLOT_BYTES)
}

/// Everything known at one point of a path.
#[derive(Clone, Debug)]
pub struct State {
    /// Frames, the entry function's first. Never empty.
    pub frames: Vec<Frame>,
    /// What must be given back.
    pub obligations: Obligations,
    /// Running where it may sleep although the program may not (a work queue's callback).
    pub in_sleepable: bool,
    /// Does the processor come here only by mistake, ahead of time?
    pub speculative: bool,
    /// The checkpoint above.
    pub parent: Option<StateId>,
    /// Paths below that are not finished.
    pub branches: u32,
    /// For a checkpoint: its slot.
    pub insn: usize,
    /// First slot of this stretch of path.
    pub first_insn: usize,
    /// Slot before the current one; `None` at the start.
    pub last_insn: Option<usize>,
    /// Start of this stretch in the history of jumps.
    pub history_start: usize,
    /// End of it.
    pub history_end: usize,
    /// A checkpoint that is part of the same loop, further up.
    pub loop_entry: Option<StateId>,
    /// Is it such a checkpoint for another state?
    pub used_as_loop_entry: bool,
    /// Checkpoints above.
    pub depth: u32,
    /// How many callback iterations were entered on this path.
    pub callback_unroll_depth: u32,
    /// How many `may_goto` were passed.
    pub may_goto_depth: u32,
}

impl State {
    /// A state with one frame, at the start of a function.
    #[must_use]
    pub fn new(frame: Frame, start: usize) -> State {
        State {
            frames: vec![frame],
            obligations: Obligations::default(),
            in_sleepable: false,
            speculative: false,
            parent: None,
            branches: 1,
            insn: start,
            first_insn: start,
            last_insn: None,
            history_start: 0,
            history_end: 0,
            loop_entry: None,
            used_as_loop_entry: false,
            depth: 0,
            callback_unroll_depth: 0,
            may_goto_depth: 0,
        }
    }

    /// Number of the innermost frame.
    #[must_use]
    pub fn current(&self) -> usize {
        self.frames.len() - 1
    }

    /// The innermost frame.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        let current = self.current();
        &self.frames[current]
    }

    /// The innermost frame, to change it.
    pub fn frame_mut(&mut self) -> &mut Frame {
        let current = self.current();
        &mut self.frames[current]
    }

    /// Enters a function that the innermost frame calls.
    pub fn push_frame(&mut self, callee: Frame) {
        self.note_references(self.current());
        self.frames.push(callee);
    }

    /// Keeps the references that are held now for a frame.
    pub fn note_references(&mut self, number: usize) {
        if let Some(frame) = self.frames.get_mut(number) {
            frame.references_at_call.clear();
            frame.references_at_call.extend(self.obligations.references().iter().map(|entry| entry.id));
        }
    }

    /// The references that a frame holds or, unless it is the innermost, held when it called the next, in the kernel's
    /// order.
    pub fn references_of(&self, number: usize) -> impl std::iter::Iterator<Item = u32> {
        let innermost = number == self.current();
        let held = if innermost { self.obligations.references() } else { &[] };
        let noted = self.frames.get(number).filter(|_| !innermost);
        let noted = noted.map_or(&[][..], |frame| &frame.references_at_call);
        held.iter().map(|entry| entry.id).chain(noted.iter().copied())
    }

    /// A register's value in the innermost frame.
    #[must_use]
    pub fn value(&self, register: Register) -> &Value {
        &self.frame().registers[register.index()].value
    }

    /// Sets a register's value in the innermost frame; liveness and origin stay.
    pub fn set(&mut self, register: Register, value: Value) {
        self.frame_mut().registers[register.index()].value = value;
    }

    /// A cell anywhere.
    #[must_use]
    pub fn cell(&self, frame: u8, place: Place) -> Option<&Cell> {
        let frame = self.frames.get(usize::from(frame))?;
        match place {
            Place::Register(register) => frame.registers.get(usize::from(register)),
            Place::Slot(slot) => frame.stack.get(usize::from(slot)).map(|slot| &slot.spilled),
        }
    }

    /// A cell anywhere, to change it.
    pub fn cell_mut(&mut self, frame: u8, place: Place) -> Option<&mut Cell> {
        let frame = self.frames.get_mut(usize::from(frame))?;
        match place {
            Place::Register(register) => frame.registers.get_mut(usize::from(register)),
            Place::Slot(slot) => frame.stack.get_mut(usize::from(slot)).map(|slot| &mut slot.spilled),
        }
    }

    /// Calls `change` for every register and every spilled register of all frames (`bpf_for_each_reg_in_vstate`);
    /// with `iterators`, for the slots of iterators too.
    pub fn for_each_value(&mut self, iterators: bool, change: impl FnMut(&mut Value)) {
        for_each_value(&mut self.frames, iterators, change);
    }

    /// Is it a checkpoint below which nothing will change any more?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.frames.first().is_some_and(|frame| frame.marks.is_finished())
    }

    /// Were both reached by the same chain of calls (`same_callsites`)?
    #[must_use]
    pub fn same_callsites(&self, other: &State) -> bool {
        self.frames.len() == other.frames.len()
            && self.frames.iter().zip(&other.frames).all(|(mine, theirs)| mine.callsite == theirs.callsite)
    }
}
