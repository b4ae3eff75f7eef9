//! Which bytes were written: a bit for each, in words that cover 64 bytes as the lines do that are noted as changed.

use super::{Memory, flag};
use crate::machine::story::RegionId;

impl Memory {
    /// Was that byte of a region ever written? True where it is not recorded.
    #[must_use]
    pub fn is_written(&self, id: RegionId, offset: u32) -> bool {
        let hot = self.hot[id.index()];
        hot.flags & flag::TRACKED == 0 || (offset < hot.len && self.all_written(hot.start + offset, 1))
    }

    pub(super) fn forget_written(&mut self, id: RegionId) {
        let hot = self.hot[id.index()];
        let first = hot.start as usize / 64;
        let words = (hot.len as usize).div_ceil(64);
        self.changes.bytes(hot.start, hot.len);
        self.written[first..first + words].fill(0);
    }

    /// The bits of a word for `size` bytes from `position`, and how many of the bytes they are.
    #[inline]
    pub(super) fn mask(position: u32, size: u32) -> (u64, u32) {
        let bit = position & 63;
        let count = size.min(64 - bit);
        let ones = if count == 64 { u64::MAX } else { (1 << count) - 1 };
        (ones << bit, count)
    }

    #[inline]
    pub(super) fn set_written(&mut self, mut position: u32, mut size: u32) {
        self.changes.bytes(position, size);
        while size > 0 {
            let (mask, count) = Self::mask(position, size);
            self.written[position as usize / 64] |= mask;
            position += count;
            size -= count;
        }
    }

    #[inline]
    pub(super) fn all_written(&self, mut position: u32, mut size: u32) -> bool {
        while size > 0 {
            let (mask, count) = Self::mask(position, size);
            if self.written[position as usize / 64] & mask != mask {
                return false;
            }
            position += count;
            size -= count;
        }
        true
    }

    pub(super) fn any_written(&self, mut position: u32, mut size: u32) -> bool {
        while size > 0 {
            let (mask, count) = Self::mask(position, size);
            if self.written[position as usize / 64] & mask != 0 {
                return true;
            }
            position += count;
            size -= count;
        }
        false
    }
}
