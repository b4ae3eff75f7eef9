//! Bytes that were freed: what the BPF allocator hands out again, and what is used for anything.
//!
//! The allocator keeps a cache of free units for each CPU and size class (`kernel/bpf/memalloc.c`, Linux 6.12). A unit comes back
//! with its old bytes: nothing clears it. A per-CPU unit comes back whole, so that each CPU finds its own old bytes.

use std::collections::BTreeMap;

/// The cache that a unit comes from and goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    /// The CPU that freed it.
    pub cpu: u32,
    /// Whose copy of a per-CPU unit it is.
    pub copy: Option<u32>,
    /// Bytes that the unit has for an object, as [`unit`] tells.
    pub len: u32,
}

/// Spans of free bytes, the last freed first.
#[derive(Clone, Debug, Default)]
pub(super) struct FreeSpans {
    units: BTreeMap<Source, Vec<u32>>,
    others: BTreeMap<u32, Vec<u32>>,
}

/// Sizes of the allocator's units.
const UNITS: [u32; 11] = [16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096];
/// Bytes of a unit that are the allocator's own (`LLIST_NODE_SZ`); a per-CPU unit keeps them elsewhere.
const HEADER: u32 = 8;

/// Bytes that the least unit for an object of `len` bytes has for it.
pub(super) fn unit(len: u32, per_cpu: bool) -> u32 {
    let header = if per_cpu { 0 } else { HEADER };
    UNITS.iter().find(|&&size| size >= len + header).map_or(len, |size| size - header)
}

/// Bytes that `len` bytes of memory take here.
pub(super) fn span(len: u32) -> u32 {
    len.next_multiple_of(64).max(64)
}

impl FreeSpans {
    /// Takes a unit out of a cache.
    pub fn take(&mut self, source: Source) -> Option<u32> {
        self.units.get_mut(&source)?.pop()
    }

    /// Is there a unit in a cache?
    pub fn has(&self, source: Source) -> bool {
        self.units.get(&source).is_some_and(|units| !units.is_empty())
    }

    /// Are there bytes that belong to no cache?
    pub fn has_any(&self, len: u32) -> bool {
        self.others.get(&len).is_some_and(|spans| !spans.is_empty())
    }

    /// Takes bytes that belong to no cache.
    pub fn take_any(&mut self, len: u32) -> Option<u32> {
        self.others.get_mut(&len)?.pop()
    }

    /// Gives bytes back, to a cache if they came from one.
    pub fn give(&mut self, source: Option<Source>, len: u32, start: u32) {
        match source {
            Some(source) => self.units.entry(source).or_default().push(start),
            None => self.others.entry(len).or_default().push(start),
        }
    }
}
