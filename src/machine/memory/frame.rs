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
    pub start: u32,
    /// What the frame pointer is.
    pub end: u64,
}

impl StackSpan {
    /// The place of the innermost of so many frames; past the end of all bytes if there is none.
    #[inline(always)]
    pub fn innermost(stacks: &[StackSpan], frames: usize) -> u32 {
        stacks.get(frames.wrapping_sub(1)).map_or(u32::MAX, |stack| stack.start)
    }
}

/// A place among all bytes, on the stack that begins at `start`.
#[inline(always)]
fn position(start: u32, offset: u16) -> usize {
    start as usize + usize::from(offset)
}

impl Memory {
    /// The stack memory that a region of [`STACK_SIZE`] bytes is.
    pub(in crate::machine) fn stack_span(&self, region: RegionId) -> StackSpan {
        let hot = self.hot[region.index()];
        StackSpan { region, start: hot.start, end: hot.base + u64::from(STACK_SIZE) }
    }

    /// The number in `N` bytes of an open frame, at an offset that is a multiple of `N`, if they were written.
    #[inline(always)]
    pub(in crate::machine) fn load_stack<const N: usize>(&self, stack: u32, offset: u16) -> Option<u64> {
        let position = position(stack, offset);
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
        stack: u32,
        offset: u16,
        value: u64,
    ) -> Option<()> {
        let position = position(stack, offset);
        self.set_fresh_number::<N>(position, value)?;
        *self.written.get_mut(position / 64)? |= ones::<N>() << (position & 63);
        Some(())
    }

    /// Replaces the number in `N` bytes of an open frame and says what it was, as [`Memory::load_stack`] finds it.
    #[inline(always)]
    pub(in crate::machine) fn update_stack<const N: usize>(
        &mut self,
        stack: u32,
        offset: u16,
        new: impl FnOnce(u64) -> u64,
    ) -> Option<u64> {
        let position = position(stack, offset);
        let written = self.written.get(position / 64)? >> (position & 63);
        if !written & ones::<N>() != 0 {
            return None;
        }
        self.update_fresh_number::<N>(position, new)
    }

    /// Closes a stack frame: later accesses are faults until it is opened again.
    pub(in crate::machine) fn close_frame(&mut self, stack: StackSpan) {
        self.changes.region(stack.region);
        self.mark_frame(stack, false);
    }

    /// Need nothing be noted when the frame on that stack is closed, or opened again? A region that was there to begin with has
    /// bytes that were.
    #[inline(always)]
    pub(in crate::machine) fn is_new_stack(&self, start: u32) -> bool {
        !self.changes.notes_bytes(start as usize)
    }

    /// Is that stack frame open?
    pub(in crate::machine) fn is_open(&self, id: RegionId) -> bool {
        self.hot[id.index()].flags & flag::DEAD == 0
    }

    /// Opens a stack frame, with nothing written.
    pub(in crate::machine) fn open_frame(&mut self, stack: StackSpan) {
        self.changes.region(stack.region);
        self.mark_frame(stack, true);
        self.changes.bytes(stack.start, STACK_SIZE);
        self.forget_stack(stack.start);
    }

    /// Marks a stack frame as open or closed, and notes nothing.
    pub(in crate::machine) fn mark_frame(&mut self, stack: StackSpan, open: bool) {
        if let Some(hot) = self.hot.get_mut(stack.region.index()) {
            hot.flags = hot.flags & !flag::DEAD | if open { 0 } else { flag::DEAD };
        }
    }

    /// Nothing is written on that stack, and nothing of this is noted.
    #[inline(always)]
    pub(in crate::machine) fn forget_stack(&mut self, start: u32) {
        let first = start as usize / 64;
        if let Some(words) = self.written.get_mut(first..first + WORDS) {
            words.copy_from_slice(&[0; WORDS]);
        }
    }
}
