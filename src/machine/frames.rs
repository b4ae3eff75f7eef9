//! The frames of a program's calls.
//!
//! Those that were closed keep their place, so that the next call of that depth only writes down what it has to.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::code::LoadedProgram;
use super::models::Continuation;

/// Times that the `may_goto`s of one frame continue before they leave their loop (`BPF_MAX_LOOPS`).
pub(super) const MAY_GOTO_BUDGET: u32 = 8 * 1024 * 1024;
/// Registers that a function leaves alone, and those that it gets.
pub(super) const CALLEE_SAVED: u16 = 0b11_1100_0000;
pub(super) const ARGUMENTS: u16 = 0b11_1110;

/// What happens with a frame's result.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// It is the program's.
    Finish,
    /// The calling function goes on.
    Return,
    /// The helper that called back decides.
    Resume(Continuation),
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Slot at which the caller goes on.
    pub return_to: u32,
    /// The caller's `r6` to `r9`.
    pub saved: [u64; 4],
    /// Which of the caller's registers held nothing.
    unknown: u16,
    /// Times that `may_goto` still continues.
    pub may_goto: u32,
    /// The calling function's program, if a tail call put another one into this frame.
    pub caller: Option<Arc<LoadedProgram>>,
    pub then: Then,
}

impl Frame {
    /// One that is not open.
    const CLOSED: Frame =
        Frame { return_to: 0, saved: [0; 4], unknown: u16::MAX, may_goto: 0, caller: None, then: Then::Return };

    /// A register that the calling frame finds again, `r6` to `r9`, if there is something in it.
    pub fn saved_register(&self, number: usize) -> Option<u64> {
        let saved = number.checked_sub(6).and_then(|index| self.saved.get(index)).copied();
        saved.filter(|_| self.saved_known() & (1 << number) != 0)
    }

    /// Which of the registers that the calling frame finds again held something.
    pub fn saved_known(&self) -> u16 {
        !self.unknown & CALLEE_SAVED
    }

    /// Slot of the call itself, for backtraces.
    pub fn called_from(&self) -> u32 {
        match self.then {
            Then::Return => self.return_to.saturating_sub(1),
            // A helper that called back is called again.
            Then::Resume(_) | Then::Finish => self.return_to,
        }
    }

    /// Puts back what the calling frame finds again, its stack's end among it, and says in which registers there is nothing.
    #[inline(always)]
    pub fn restore(&self, registers: &mut [u64; 16], stack_end: u64) -> u16 {
        registers[6..10].copy_from_slice(&self.saved);
        registers[10] = stack_end;
        self.unknown & CALLEE_SAVED | !(CALLEE_SAVED | 1 << 10)
    }
}

/// The open frames, the program's entry first.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Behind the open ones those that were closed, which all return to a function of the same program.
    all: Vec<Frame>,
    open: usize,
}

impl Clone for Frames {
    fn clone(&self) -> Frames {
        Frames { all: self.to_vec(), open: self.open }
    }
}

impl Deref for Frames {
    type Target = [Frame];

    #[inline(always)]
    fn deref(&self) -> &[Frame] {
        self.all.get(..self.open).unwrap_or_default()
    }
}

impl DerefMut for Frames {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [Frame] {
        self.all.get_mut(..self.open).unwrap_or_default()
    }
}

impl Frames {
    /// How many are open.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.open
    }

    /// Makes place for one more.
    pub fn reserve(&mut self) {
        if self.open == self.all.len() {
            self.all.push(Frame::CLOSED);
        }
    }

    /// Closes the innermost.
    pub fn pop(&mut self) -> Option<Frame> {
        let innermost = self.open.checked_sub(1)?;
        let frame = std::mem::replace(self.all.get_mut(innermost)?, Frame::CLOSED);
        self.open = innermost;
        Some(frame)
    }

    /// Closes all of them.
    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }

    /// Opens the frame of a function that returns to that slot of its caller, and whose stack ends at `stack_end`. Takes which registers
    /// hold nothing, and says so of the function. `None` if there is no place for it ([`Frames::reserve`]), and then nothing has
    /// changed.
    #[inline(always)]
    pub fn open_call(
        &mut self,
        registers: &mut [u64; 16],
        unknown: u16,
        stack_end: u64,
        return_to: u32,
    ) -> Option<u16> {
        let frame = self.all.get_mut(self.open)?;
        let [.., r6, r7, r8, r9, _, _, _, _, _, _] = *registers;
        frame.saved = [r6, r7, r8, r9];
        frame.unknown = unknown;
        frame.return_to = return_to;
        frame.may_goto = MAY_GOTO_BUDGET;
        self.open += 1;
        registers[10] = stack_end;
        Some(unknown & ARGUMENTS | !(ARGUMENTS | 1 << 10))
    }

    /// Returns from a function of the program to the one that called it, whose stack ends at `stack_end`: where that goes on. Takes
    /// which registers hold nothing, and says so of the caller. `None` if the innermost frame is no such function's, and then
    /// nothing has changed.
    #[inline(always)]
    pub fn close_call(&mut self, registers: &mut [u64; 16], unknown: u16, stack_end: u64) -> Option<(u32, u16)> {
        let innermost = self.open.wrapping_sub(1);
        let frame = self.all.get(innermost)?;
        let Frame { caller: None, then: Then::Return, return_to, .. } = *frame else { return None };
        self.open = innermost;
        // What is in r0 stays, if there is something.
        Some((return_to, frame.restore(registers, stack_end) & (unknown | !1)))
    }
}
