//! Going back to an earlier state cheaply: notes of what has changed since.
//!
//! An explorer runs the same start thousands of times a second. It keeps one machine as the start, works on a clone, and
//! has the clone restored; what was not touched is not copied. Start at [`super::Machine::restore`].

use std::ops::{Deref, DerefMut};

use super::story::RegionId;

/// A value that knows whether it may have changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracked<T> {
    value: T,
    changed: bool,
}

impl<T: Clone> Tracked<T> {
    pub fn new(value: T) -> Tracked<T> {
        Tracked { value, changed: false }
    }

    /// What it is now is what [`Tracked::restore`] will find.
    pub fn forget_changes(&mut self) {
        self.changed = false;
    }

    /// Back to what `base` is.
    pub fn restore(&mut self, base: &Tracked<T>) {
        if self.changed {
            self.value.clone_from(&base.value);
            self.changed = false;
        }
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

/// Which lines of 64 bytes and which regions have changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Bytes and regions past these were not there to begin with: going back drops them whole.
    bytes_end: usize,
    regions_end: u32,
    /// Bit N: line N is in `lines`.
    seen: Vec<u64>,
    lines: Vec<u32>,
    regions: Vec<RegionId>,
}

impl Changes {
    /// Nothing has changed, and what does of so many bytes and regions will be noted.
    pub fn tracking(bytes_end: usize, regions_end: u32) -> Changes {
        Changes { bytes_end, regions_end, ..Changes::default() }
    }

    /// Notes that bytes change.
    #[inline]
    pub fn bytes(&mut self, start: u32, size: u32) {
        if self.notes_bytes(start as usize) {
            self.note(start / 64, start.saturating_add(size.max(1) - 1) / 64);
        }
    }

    /// Would a change of the bytes there be noted?
    #[inline(always)]
    pub fn notes_bytes(&self, start: usize) -> bool {
        start < self.bytes_end
    }

    /// Would a change of that region be noted?
    #[inline(always)]
    pub fn notes_region(&self, id: RegionId) -> bool {
        id.0 < self.regions_end
    }

    #[inline(never)]
    fn note(&mut self, first: u32, last: u32) {
        let known = self.seen.get(first as usize / 64).is_some_and(|word| word >> (first % 64) & 1 != 0);
        if first == last && known {
            return;
        }
        for line in first..=last {
            let (word, bit) = (line as usize / 64, 1 << (line % 64));
            if self.seen.len() <= word {
                self.seen.resize(word + 1, 0);
            }
            if self.seen[word] & bit == 0 {
                self.seen[word] |= bit;
                self.lines.push(line);
            }
        }
    }

    /// Notes that what is known of a region changes.
    #[inline]
    pub fn region(&mut self, id: RegionId) {
        if self.notes_region(id) && self.regions.last() != Some(&id) {
            self.regions.push(id);
        }
    }

    /// The lines that changed, each once, which count as unchanged from now on.
    pub fn take_lines(&mut self) -> impl Iterator<Item = u32> {
        let seen = &mut self.seen;
        self.lines.drain(..).inspect(|line| seen[*line as usize / 64] &= !(1 << (line % 64)))
    }

    /// The regions that changed, which count as unchanged from now on.
    pub fn take_regions(&mut self) -> impl Iterator<Item = RegionId> {
        self.regions.drain(..)
    }
}
