//! Ring buffers (`kernel/bpf/ringbuf.c`, Linux 6.12): records that programs reserve, fill and submit. Nobody consumes them.

use std::collections::BTreeMap;

use crate::machine::fault::Trap;
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;
use crate::machine::stepper::Machine;
use crate::machine::story::{Moment, RegionId};

use super::MapState;

/// Bytes of a record's header (`BPF_RINGBUF_HDR_SZ`).
const HEADER: u64 = 8;
/// Longest record (`RINGBUF_MAX_RECORD_SZ`).
const MAX_RECORD: u64 = (u32::MAX / 4) as u64;
const PAGE: u64 = 4096;

/// A record that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the program left in it.
    pub bytes: Box<[u8]>,
    /// Was it discarded, so that a consumer would skip it?
    pub discarded: bool,
}

/// A ring buffer's state.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    /// Bytes handed out so far, headers included.
    produced: u64,
    /// Reserved records, by their region, with their number.
    open: BTreeMap<RegionId, u64>,
    closed: BTreeMap<u64, Record>,
    next: u64,
}

impl Ring {
    /// Room for a record of that many bytes in a ring of `capacity`; `false` if there is none.
    fn make_room(&mut self, capacity: u64, size: u64) -> bool {
        if size > MAX_RECORD {
            return false;
        }
        let length = (size + HEADER).next_multiple_of(8);
        // Nothing is consumed, so that the producer may at most be one byte short of a whole round ahead.
        if self.produced + length >= capacity {
            return false;
        }
        self.produced += length;
        true
    }
}

impl MapState {
    /// Records of a ring buffer that were submitted or discarded, in the order of reservation.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.elements.ring.closed.values()
    }

    /// The records that a consumer gets: those before the first that is still reserved, without the discarded ones.
    pub(super) fn consumable(&self) -> impl Iterator<Item = &Record> {
        let given_back =
            self.elements.ring.closed.iter().zip(0..).take_while(|((number, _), expected)| *number == expected);
        given_back.map(|((_, record), _)| record).filter(|record| !record.discarded)
    }

    /// Size of a ring buffer in bytes: the declared one, which libbpf rounds up to a power of two of pages.
    pub(in crate::machine) fn ring_size(&self) -> u64 {
        let pages = u64::from(self.max_entries).div_ceil(PAGE);
        if pages == 0 { 0 } else { pages.next_power_of_two() * PAGE }
    }

    /// Bytes of a ring buffer that were handed out, headers included.
    pub(in crate::machine) fn ring_produced(&self) -> u64 {
        self.elements.ring.produced
    }
}

impl Machine {
    /// Reserves a record; `None` if there is no room.
    pub(in crate::machine) fn ring_reserve(
        &mut self,
        map: u32,
        size: u64,
        at: Moment,
    ) -> Result<Option<RegionId>, Box<Trap>> {
        let capacity = self.maps[map as usize].ring_size();
        if !self.maps[map as usize].elements.ring.make_room(capacity, size) {
            return Ok(None);
        }
        let region = self.allocate(RegionKind::Record { map }, size as u32, Contents::Recycled, at)?;
        let ring = &mut self.maps[map as usize].elements.ring;
        ring.open.insert(region, ring.next);
        ring.next += 1;
        Ok(Some(region))
    }

    /// Gives a reserved record back, which ends its memory's life for the program.
    pub(in crate::machine) fn ring_commit(&mut self, map: u32, region: RegionId, discarded: bool) {
        let bytes: Box<[u8]> = self.memory.peek(region).into();
        let ring = &mut self.maps[map as usize].elements.ring;
        if let Some(number) = ring.open.remove(&region) {
            ring.closed.insert(number, Record { bytes, discarded });
        }
        self.memory.reclaim(region, self.steps);
    }

    /// Reserves, fills and submits a record at once; `false` if there is no room.
    pub(in crate::machine) fn ring_output(&mut self, map: u32, bytes: &[u8]) -> bool {
        let capacity = self.maps[map as usize].ring_size();
        let ring = &mut self.maps[map as usize].elements.ring;
        let fits = ring.make_room(capacity, bytes.len() as u64);
        if fits {
            ring.closed.insert(ring.next, Record { bytes: bytes.into(), discarded: false });
            ring.next += 1;
        }
        fits
    }
}
