//! A packet's bytes: a buffer with room in front and behind, of which programs see a window.
//!
//! The window is a memory region of its own. A helper that moves the packet's start or end opens a new one and ends the
//! old one's life, so that a pointer from before is a use after free, as the verifier assumes of such helpers.

use crate::machine::fault::Trap;
use crate::machine::memory::{Contents, Memory};
use crate::machine::region::RegionKind;
use crate::machine::story::RegionId;

/// A packet on its way through a program. All places are byte offsets in the buffer.
#[derive(Clone, Debug)]
pub(in crate::machine) struct Packet {
    buffer: Vec<u8>,
    /// Start of the metadata in front of the data; the same as `data` where there is none.
    meta: u32,
    data: u32,
    end: u32,
    /// Where the link-layer and the network header begin.
    pub mac: u32,
    pub network: u32,
    window: RegionId,
}

/// Where a packet begins and ends in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine) struct Extent {
    pub meta: u32,
    pub data: u32,
    pub end: u32,
}

impl Packet {
    /// A packet in a buffer, with its window open.
    pub fn new(memory: &mut Memory, buffer: Vec<u8>, extent: Extent) -> Result<Packet, Box<Trap>> {
        let Extent { meta, data, end } = extent;
        let mut packet = Packet { buffer, meta, data, end, mac: data, network: data, window: RegionId(0) };
        packet.open(memory)?;
        Ok(packet)
    }

    fn open(&mut self, memory: &mut Memory) -> Result<(), Box<Trap>> {
        self.window = memory.allocate(RegionKind::Packet, self.end - self.meta, Contents::Zero, None)?;
        let bytes = self.buffer.get(self.meta as usize..self.end as usize).unwrap_or_default();
        memory.poke(self.window, 0, bytes);
        Ok(())
    }

    /// Takes over what programs wrote into the window.
    fn save(&mut self, memory: &Memory) {
        if let Some(part) = self.buffer.get_mut(self.meta as usize..self.end as usize) {
            let written = memory.peek(self.window);
            let count = part.len().min(written.len());
            part[..count].copy_from_slice(&written[..count]);
        }
    }

    /// Changes the buffer and where the packet begins and ends in it. `change` gets the buffer with what programs wrote.
    pub fn change(
        &mut self,
        memory: &mut Memory,
        step: u64,
        change: impl FnOnce(&mut Vec<u8>, Extent) -> Extent,
    ) -> Result<(), Box<Trap>> {
        self.save(memory);
        let extent = self.extent();
        let Extent { meta, data, end } = change(&mut self.buffer, extent);
        let size = self.buffer.len() as u32;
        (self.meta, self.data, self.end) = (meta.min(size), data.min(size), end.min(size));
        memory.reclaim(self.window, step);
        self.open(memory)
    }

    /// Makes room in front of the packet, if there is too little.
    pub fn reserve_front(&mut self, memory: &mut Memory, step: u64, count: u32) -> Result<(), Box<Trap>> {
        let missing = count.saturating_sub(self.meta);
        if missing == 0 {
            return Ok(());
        }
        self.mac += missing;
        self.network += missing;
        self.change(memory, step, |buffer, extent| {
            buffer.splice(0..0, std::iter::repeat_n(0, missing as usize));
            Extent { meta: extent.meta + missing, data: extent.data + missing, end: extent.end + missing }
        })
    }

    /// Ends the window's life.
    pub fn close(&self, memory: &mut Memory, step: u64) {
        memory.reclaim(self.window, step);
    }

    pub fn extent(&self) -> Extent {
        Extent { meta: self.meta, data: self.data, end: self.end }
    }

    /// Bytes of the buffer.
    pub fn capacity(&self) -> u32 {
        self.buffer.len() as u32
    }

    /// Bytes from data to end.
    pub fn len(&self) -> u32 {
        self.end - self.data
    }

    /// The packet as it is now, from data to end.
    pub fn bytes<'m>(&self, memory: &'m Memory) -> &'m [u8] {
        memory.peek(self.window).get((self.data - self.meta) as usize..).unwrap_or_default()
    }

    /// The same with the metadata in front.
    pub fn bytes_with_meta<'m>(&self, memory: &'m Memory) -> &'m [u8] {
        memory.peek(self.window)
    }

    /// Bytes at a place in the buffer, in front of the packet or in it.
    pub fn bytes_from(&self, memory: &Memory, start: u32, size: u32) -> Option<Vec<u8>> {
        let end = start.checked_add(size).filter(|&end| end <= self.end)?;
        let byte = |at: u32| match at.checked_sub(self.meta) {
            Some(offset) => memory.peek(self.window).get(offset as usize).copied(),
            None => self.buffer.get(at as usize).copied(),
        };
        (start..end).map(byte).collect()
    }

    /// Bytes at an offset from data.
    pub fn bytes_from_data(&self, memory: &Memory, offset: u32, size: u32) -> Option<Vec<u8>> {
        self.bytes_from(memory, self.data.checked_add(offset)?, size)
    }

    /// Where `size` bytes at an offset from data are in memory; `None` if they are not all inside the packet.
    pub fn place(&self, offset: i64, size: u32) -> Option<(RegionId, u32)> {
        let start = i64::from(self.data) + offset;
        let inside = start >= i64::from(self.data) && start + i64::from(size) <= i64::from(self.end);
        inside.then(|| (self.window, (start - i64::from(self.meta)) as u32))
    }

    pub fn data_address(&self, memory: &Memory) -> u64 {
        memory.base(self.window) + u64::from(self.data - self.meta)
    }

    pub fn meta_address(&self, memory: &Memory) -> u64 {
        memory.base(self.window)
    }

    pub fn end_address(&self, memory: &Memory) -> u64 {
        memory.base(self.window) + u64::from(self.end - self.meta)
    }
}
