//! The stack of the function that runs: what it reaches by its frame pointer needs no look-up, and no check but whether it was written.

use super::recent::ones;
use super::{Memory, flag};
use crate::machine::story::RegionId;
use crate::machine::task::STACK_SIZE;

/// Words of written bits that a function's stack has.
const WORDS: usize = STACK_SIZE as usize / 64;

/// A function's stack memory. It stays where it is as long as its task is there.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct StackSpan {
    pub region: RegionId,
    /// Its place among all bytes, a multiple of 64; past their end if this is no memory.
    start: u32,
    /// What the frame pointer is.
    pub end: u64,
}

impl StackSpan {
    /// No stack at all.
    pub const NONE: StackSpan = StackSpan { region: RegionId(u32::MAX), start: u32::MAX, end: 0 };

    #[inline(always)]
    fn position(self, offset: u16) -> usize {
        self.start as usize + usize::from(offset)
    }

    /// That of the innermost of so many frames.
    #[inline(always)]
    pub fn innermost(stacks: &[StackSpan], frames: usize) -> StackSpan {
        stacks.get(frames.wrapping_sub(1)).copied().unwrap_or(StackSpan::NONE)
    }
}

impl Memory {
    /// The stack memory that a region of [`STACK_SIZE`] bytes is.
    pub(in crate::machine) fn stack_span(&self, region: RegionId) -> StackSpan {
        let hot = self.hot[region.index()];
        StackSpan { region, start: hot.start, end: hot.base + u64::from(STACK_SIZE) }
    }

    /// The number in `N` bytes of an open frame, at an offset that is a multiple of `N`, if they were written.
    #[inline(always)]
    pub(in crate::machine) fn load_stack<const N: usize>(&self, stack: StackSpan, offset: u16) -> Option<u64> {
        let position = stack.position(offset);
        let written = self.written.get(position / 64)? >> (position & 63);
        if !written & ones::<N>() != 0 {
            return None;
        }
        self.number_at::<N>(position)
    }

    /// Writes `N` bytes of an open frame, at an offset that is a multiple of `N`; `None` if a change has to be noted first.
    #[inline(always)]
    pub(in crate::machine) fn store_stack<const N: usize>(
        &mut self,
        stack: StackSpan,
        offset: u16,
        value: u64,
    ) -> Option<()> {
        let position = stack.position(offset);
        self.set_fresh_number::<N>(position, value)?;
        *self.written.get_mut(position / 64)? |= ones::<N>() << (position & 63);
        Some(())
    }

    /// Replaces the number in `N` bytes of an open frame and says what it was, as [`Memory::load_stack`] finds it.
    #[inline(always)]
    pub(in crate::machine) fn update_stack<const N: usize>(
        &mut self,
        stack: StackSpan,
        offset: u16,
        new: impl FnOnce(u64) -> u64,
    ) -> Option<u64> {
        let position = stack.position(offset);
        let written = self.written.get(position / 64)? >> (position & 63);
        if !written & ones::<N>() != 0 {
            return None;
        }
        self.update_fresh_number::<N>(position, new)
    }

    /// Closes a stack frame: later accesses are faults until it is opened again.
    #[inline(always)]
    pub(in crate::machine) fn close_frame(&mut self, stack: StackSpan) {
        self.changes.region(stack.region);
        self.shut_frame(stack);
    }

    /// The same without noting it, which is right if [`Memory::can_close`] says so.
    #[inline(always)]
    pub(in crate::machine) fn shut_frame(&mut self, stack: StackSpan) {
        if let Some(hot) = self.hot.get_mut(stack.region.index()) {
            hot.flags |= flag::DEAD;
        }
    }

    /// Need nothing be noted when that frame is closed?
    #[inline(always)]
    pub(in crate::machine) fn can_close(&self, stack: StackSpan) -> bool {
        !self.changes.notes_bytes(stack.position(0))
    }

    /// Is that stack frame open?
    pub(in crate::machine) fn is_open(&self, id: RegionId) -> bool {
        self.hot[id.index()].flags & flag::DEAD == 0
    }

    /// Opens a stack frame, with nothing written.
    #[inline(always)]
    pub(in crate::machine) fn open_frame(&mut self, stack: StackSpan) {
        self.changes.region(stack.region);
        if let Some(hot) = self.hot.get_mut(stack.region.index()) {
            hot.flags &= !flag::DEAD;
        }
        self.changes.bytes(stack.start, STACK_SIZE);
        self.forget_stack(stack);
    }

    /// Opens a frame that was there before, with nothing written; `false`, and nothing is done, if a change has to be noted first.
    #[inline(always)]
    pub(in crate::machine) fn reopen_frame(&mut self, stack: StackSpan) -> bool {
        // A region that was there to begin with has bytes that were.
        if self.changes.notes_bytes(stack.position(0)) {
            return false;
        }
        if let Some(hot) = self.hot.get_mut(stack.region.index()) {
            hot.flags &= !flag::DEAD;
        }
        self.forget_stack(stack);
        true
    }

    #[inline(always)]
    fn forget_stack(&mut self, stack: StackSpan) {
        let first = stack.position(0) / 64;
        if let Some(words) = self.written.get_mut(first..first + WORDS) {
            words.copy_from_slice(&[0; WORDS]);
        }
    }
}
