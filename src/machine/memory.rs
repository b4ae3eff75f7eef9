//! Simulated memory: regions at kernel-like addresses, and the check that every access passes.
//!
//! An address is `BASE + slot * 64 KiB + offset`. A region owns whole slots and starts in the middle of its first, so
//! that an access a little outside, on either side, still falls into the region's own slots and the fault can tell
//! that region's story. Looking up an address is therefore an index into a `Window` and a bounds check.
//! Addresses are never given out twice; the bytes behind them are, once the region's grace period has ended. Each task
//! allocates in a window of its own, so that the addresses it gets do not depend on what other tasks do meanwhile.
//!
//! All bytes live in one vector and which of them were written in one bit set, so that a clone of a machine copies
//! two flat buffers. Memory that came of such a clone can go back to it in time proportional to what was touched since
//! (`Memory::restore`).

mod frame;
mod life;
mod recent;
mod written;

use std::collections::BTreeMap;

use crate::kernel::image;

use super::arena::Arena;
use super::fault::{Attempt, FaultKind, Limit, Trap};
use super::rcu::ReadSide;
use super::region::{Life, Region, RegionKind, place};
use super::restore::{Changes, Tracked};
use super::spans::{FreeSpans, Source, span, unit};
use super::story::{Moment, RegionId};

pub(super) use frame::StackSpan;
pub(super) use recent::Recent;

/// First address of simulated memory: where x86-64 maps all of physical memory.
pub const BASE: u64 = 0xffff_8880_0000_0000;
const SLOT_BITS: u32 = 16;
const SLOT_SIZE: u64 = 1 << SLOT_BITS;
/// Bytes of a region's first slot before its start, and at least as many after its end.
const GUARD: u64 = SLOT_SIZE / 2;
/// Slots of a window: a TiB of addresses.
const WINDOW_BITS: u32 = 24;
/// Windows that there are; tasks past the last share them.
const WINDOWS: u32 = 63;
/// Accesses below this address are reported as NULL dereferences.
const NULL_END: u64 = 0x1_0000;

/// Properties that keep an access off the fast path.
mod flag {
    pub const READ_ONLY: u8 = 1;
    pub const TRACKED: u8 = 2;
    pub const WAITING: u8 = 4;
    pub const FREED: u8 = 8;
    pub const OPAQUE: u8 = 16;
    pub const SPARSE: u8 = 32;
    pub const DEAD: u8 = 64;
    pub const ZEROED: u8 = 128;
}

/// What the bytes of a new region are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Zero, and as good as written: map values, contexts.
    Zero,
    /// Zero, but nothing wrote them: objects of the BPF allocator. A fresh unit is zero (`__alloc` in
    /// `kernel/bpf/memalloc.c` asks for zeroed memory, and per-CPU memory always is); one that the allocator hands out
    /// again keeps its old bytes, since nothing clears it. Reading them is noted, not a fault.
    Recycled,
    /// The same, but never memory that was used before.
    Fresh,
    /// Nothing wrote them, and reading them is a fault: stack.
    Unwritten,
    /// Only what the machine itself wrote may be read: structs of the kernel.
    Sparse,
    /// There are none.
    Opaque,
}

/// The part of a region that every access reads.
#[derive(Clone, Copy, Debug)]
struct Hot {
    base: u64,
    start: u32,
    len: u32,
    flags: u8,
    /// Only its own task sees it, whatever its flags say.
    private: bool,
}

/// Where an access landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Which region.
    pub region: RegionId,
    /// Byte offset in it.
    pub offset: u32,
}

/// A read of object bytes that no program wrote (see [`Contents::Recycled`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwrittenRead {
    /// Where it was read.
    pub spot: Spot,
    /// Bytes read.
    pub size: u32,
}

/// A range of addresses in which one task allocates.
#[derive(Clone, Debug, Default)]
struct Window {
    /// The region of each slot.
    slots: Vec<u32>,
    /// Regions that were made here.
    regions: u32,
}

/// Who allocates: the window for addresses, and the CPU whose cache of the BPF allocator is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allocator {
    window: u32,
    cpu: u32,
}

impl Allocator {
    /// A task on a CPU.
    pub fn task(task: u32, cpu: u32) -> Allocator {
        Allocator { window: 1 + task % WINDOWS, cpu }
    }
}

/// All of simulated memory.
#[derive(Clone, Debug)]
pub struct Memory {
    bytes: Vec<u8>,
    written: Vec<u64>,
    hot: Vec<Hot>,
    regions: Vec<Region>,
    windows: Vec<Window>,
    /// Slots of all windows.
    slot_count: u64,
    spans: Tracked<FreeSpans>,
    changes: Changes,
    /// Symbols of the kernel's image that have a region, by their number.
    image: BTreeMap<u32, RegionId>,
    /// Pages that are reached by their low 32 bits.
    pub(super) arena: Tracked<Arena>,
    limit: u64,
    /// Who allocates now; by default the machine itself.
    pub(super) allocator: Allocator,
    /// The last read of bytes that nothing wrote, for the machine to note and clear.
    pub(super) unwritten_read: Option<UnwrittenRead>,
}

impl Memory {
    /// Empty memory that will hold at most `limit` bytes (at most 4 GiB are possible).
    #[must_use]
    pub fn new(limit: u64) -> Memory {
        Memory {
            bytes: Vec::new(),
            written: Vec::new(),
            hot: Vec::new(),
            regions: Vec::new(),
            // The first slot stays empty, so that `BASE` itself is no region's address.
            windows: vec![Window { slots: vec![u32::MAX], regions: 0 }],
            slot_count: 1,
            spans: Tracked::default(),
            changes: Changes::default(),
            image: BTreeMap::new(),
            arena: Tracked::default(),
            allocator: Allocator::default(),
            limit: limit.min(u64::from(u32::MAX) - 63),
            unwritten_read: None,
        }
    }

    /// Makes a region. `allocated` is where a program asked for it.
    ///
    /// # Errors
    /// [`Trap::Limit`] past the limit given to [`Memory::new`].
    pub fn allocate(
        &mut self,
        kind: RegionKind,
        len: u32,
        contents: Contents,
        allocated: Option<Moment>,
    ) -> Result<RegionId, Box<Trap>> {
        let copy = if let RegionKind::PerCpuCopy { cpu, .. } = kind { Some(cpu) } else { None };
        let start = match contents {
            Contents::Opaque => 0,
            Contents::Recycled => {
                let source = Source { cpu: self.allocator.cpu, copy, len: unit(len, copy.is_some()) };
                match self.spans.has(source).then(|| self.spans.take(source)).flatten() {
                    Some(start) => start,
                    None => self.take_span(source.len)?,
                }
            }
            Contents::Fresh => self.take_span(unit(len, copy.is_some()))?,
            _ => self.take_span(len)?,
        };
        let slot_count = (GUARD + u64::from(len) + GUARD).div_ceil(SLOT_SIZE);
        // The tables count too: a program that only allocates must meet the limit as well.
        let tables = (self.hot.len() as u64 + 1) * 128 + (self.slot_count + slot_count) * 4;
        let number = self.allocator.window;
        if self.windows.len() <= number as usize {
            self.windows.resize_with(number as usize + 1, Window::default);
        }
        let window = &mut self.windows[number as usize];
        let first = window.slots.len() as u64;
        if tables > self.limit || first + slot_count > 1 << WINDOW_BITS {
            return Err(Box::new(Trap::Limit(Limit::Memory(self.limit))));
        }
        self.slot_count += slot_count;
        let id = RegionId(self.hot.len() as u32);
        let base = BASE + ((u64::from(number) << WINDOW_BITS | first) << SLOT_BITS) + GUARD;
        window.slots.resize((first + slot_count) as usize, id.0);
        window.regions += 1;
        let place = place(&kind, allocated, number, window.regions);
        let flags = match contents {
            Contents::Zero => 0,
            Contents::Recycled | Contents::Fresh => flag::TRACKED | flag::ZEROED,
            Contents::Unwritten => flag::TRACKED,
            Contents::Sparse => flag::TRACKED | flag::SPARSE,
            Contents::Opaque => flag::OPAQUE,
        };
        let private = matches!(kind, RegionKind::Stack { .. } | RegionKind::Context);
        self.hot.push(Hot { base, start, len, flags, private });
        self.regions.push(Region { kind, life: Life::Live, place, allocated, freed: None, reclaimed: None });
        if flags & flag::TRACKED != 0 {
            self.forget_written(id);
        }
        Ok(id)
    }

    /// Makes a region of which nothing is known but its address: that of a symbol of the kernel's image.
    ///
    /// # Errors
    /// As [`Memory::allocate`].
    pub fn symbol(&mut self, number: u32, kind: RegionKind) -> Result<RegionId, Box<Trap>> {
        if let Some(&region) = self.image.get(&number) {
            return Ok(region);
        }
        let region = self.allocate(kind, image::STRIDE as u32, Contents::Opaque, None)?;
        self.hot[region.index()].base = image::address(number);
        self.image.insert(number, region);
        Ok(region)
    }

    /// Bytes that are zero.
    fn take_span(&mut self, len: u32) -> Result<u32, Box<Trap>> {
        let rounded = u64::from(span(len));
        if self.spans.has_any(span(len))
            && let Some(start) = self.spans.take_any(span(len))
        {
            self.changes.bytes(start, span(len));
            self.bytes[start as usize..start as usize + rounded as usize].fill(0);
            return Ok(start);
        }
        let start = self.bytes.len() as u64;
        if start + rounded > self.limit {
            return Err(Box::new(Trap::Limit(Limit::Memory(self.limit))));
        }
        self.bytes.resize((start + rounded) as usize, 0);
        self.written.resize(self.bytes.len() / 64, 0);
        Ok(start as u32)
    }

    /// What is known of a region.
    #[must_use]
    pub fn region(&self, id: RegionId) -> &Region {
        &self.regions[id.index()]
    }

    /// All regions, in the order in which they were made.
    pub fn regions(&self) -> impl Iterator<Item = (RegionId, &Region)> {
        self.regions.iter().enumerate().map(|(index, region)| (RegionId(index as u32), region))
    }

    /// First address of a region.
    #[must_use]
    pub fn base(&self, id: RegionId) -> u64 {
        self.hot[id.index()].base
    }

    /// Size of a region in bytes.
    #[must_use]
    pub fn len(&self, id: RegionId) -> u32 {
        self.hot[id.index()].len
    }

    /// Is a region's memory something that other tasks can neither see nor change: stack, a context, what is read-only?
    #[must_use]
    #[inline]
    pub fn is_private(&self, id: RegionId) -> bool {
        let hot = &self.hot[id.index()];
        hot.private || hot.flags & flag::READ_ONLY != 0
    }

    /// Is at that address something that other tasks can see or change?
    #[inline]
    pub(super) fn is_shared(&self, address: u64) -> bool {
        self.at(address).is_some_and(|spot| !self.is_private(spot.region))
    }

    /// Bytes of all regions together, those that were freed among them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Is there no region yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hot.is_empty()
    }

    /// The region into whose slots an address falls, and the (possibly negative or too large) offset from its start.
    #[must_use]
    pub fn near(&self, address: u64) -> Option<(RegionId, i64)> {
        let Some(id) = self.slot(address) else { return self.far(address) };
        let hot = self.hot.get(id as usize)?;
        Some((RegionId(id), address.wrapping_sub(hot.base) as i64))
    }

    /// As [`Memory::near`], for addresses that are in no window.
    #[cold]
    fn far(&self, address: u64) -> Option<(RegionId, i64)> {
        let in_image = image::symbol(address)
            .and_then(|(number, offset)| Some((*self.image.get(&number)?, i64::try_from(offset).ok()?)));
        in_image.or_else(|| self.arena.near(address))
    }

    #[inline]
    fn slot(&self, address: u64) -> Option<u32> {
        let slot = (address.wrapping_sub(BASE) >> SLOT_BITS) as usize;
        let window = self.windows.get(slot >> WINDOW_BITS)?;
        window.slots.get(slot & ((1 << WINDOW_BITS) - 1)).copied()
    }

    /// The region that an address points into (or to its very end).
    #[must_use]
    pub fn at(&self, address: u64) -> Option<Spot> {
        let (region, offset) = self.near(address)?;
        let offset = u32::try_from(offset).ok().filter(|&offset| offset <= self.len(region))?;
        Some(Spot { region, offset })
    }

    /// Checks an access and says where it lands.
    ///
    /// # Errors
    /// [`Trap::Fault`] with the region concerned, or [`Trap::Unmodelled`] for a kernel struct's unknown field.
    #[inline]
    pub fn check(&mut self, address: u64, size: u32, write: bool, reader: &ReadSide) -> Result<Spot, Box<Trap>> {
        if let Some(id) = self.slot(address)
            && let Some(hot) = self.hot.get(id as usize)
        {
            let offset = address.wrapping_sub(hot.base);
            if offset < u64::from(hot.len) && u64::from(size) <= u64::from(hot.len) - offset {
                let spot = Spot { region: RegionId(id), offset: offset as u32 };
                if hot.flags == 0 {
                    return Ok(spot);
                }
                return self.check_flags(*hot, spot, address, size, write, reader);
            }
        }
        self.arena.check(address, size, write).unwrap_or_else(|| Err(self.outside(address, size, write)))
    }

    #[inline]
    fn check_flags(
        &mut self,
        hot: Hot,
        spot: Spot,
        address: u64,
        size: u32,
        write: bool,
        reader: &ReadSide,
    ) -> Result<Spot, Box<Trap>> {
        // Live stack and object memory: the written bits decide.
        if hot.flags & !(flag::TRACKED | flag::ZEROED) == 0 {
            let position = hot.start + spot.offset;
            if write {
                self.set_written(position, size);
                return Ok(spot);
            }
            if self.all_written(position, size) {
                return Ok(spot);
            }
        }
        self.check_slowly(hot, spot, address, size, write, reader)
    }

    #[cold]
    fn check_slowly(
        &mut self,
        hot: Hot,
        spot: Spot,
        address: u64,
        size: u32,
        write: bool,
        reader: &ReadSide,
    ) -> Result<Spot, Box<Trap>> {
        let access = Attempt { address, size, write };
        let fault = |kind| Box::new(Trap::Fault { kind, access: Some(access), region: Some(spot.region) });
        let has = |bit| hot.flags & bit != 0;
        if has(flag::FREED) {
            return Err(fault(FaultKind::UseAfterFree));
        }
        if has(flag::OPAQUE) {
            return Err(match &self.regions[spot.region.index()].kind {
                RegionKind::PerCpuObject { .. } => fault(FaultKind::PerCpuPointer),
                RegionKind::KernelVariable { name } => unknown_contents(name),
                _ => fault(FaultKind::NotMemory),
            });
        }
        if has(flag::DEAD) {
            return Err(fault(FaultKind::DeadFrame));
        }
        if let Life::Waiting(waiting) = self.regions[spot.region.index()].life
            && !reader.protects(waiting)
        {
            return Err(fault(FaultKind::UseWithoutRcu));
        }
        if write && matches!(self.regions[spot.region.index()].kind, RegionKind::Context) {
            return Err(Box::new(Trap::Unmodelled { region: spot.region, offset: spot.offset }));
        }
        if write && (has(flag::READ_ONLY) || has(flag::SPARSE)) {
            return Err(fault(FaultKind::ReadOnly));
        }
        if has(flag::TRACKED) {
            let position = hot.start + spot.offset;
            if write {
                self.set_written(position, size);
            } else if !self.all_written(position, size) {
                if has(flag::SPARSE) {
                    return Err(Box::new(Trap::Unmodelled { region: spot.region, offset: spot.offset }));
                }
                // A struct that is copied brings its padding along, so that only a read of nothing but
                // unwritten bytes is certainly wrong.
                if !has(flag::ZEROED) && !self.any_written(position, size) {
                    return Err(fault(FaultKind::NeverWritten));
                }
                self.unwritten_read = Some(UnwrittenRead { spot, size });
            }
        }
        Ok(spot)
    }

    #[cold]
    fn outside(&self, address: u64, size: u32, write: bool) -> Box<Trap> {
        let access = Some(Attempt { address, size, write });
        if address < NULL_END || address.wrapping_add(u64::from(size)) < NULL_END {
            return Box::new(Trap::Fault { kind: FaultKind::Null, access, region: None });
        }
        match self.near(address) {
            Some((region, _)) => {
                let hot = self.hot[region.index()];
                let described = &self.regions[region.index()].kind;
                let percpu = matches!(described, RegionKind::PerCpuObject { .. });
                // What the kernel has of a map in its own memory.
                if !write
                    && matches!(described, RegionKind::Map { .. })
                    && let Some(offset) = u32::try_from(address.wrapping_sub(hot.base)).ok()
                {
                    return Box::new(Trap::Unmodelled { region, offset });
                }
                if let RegionKind::KernelVariable { name } = described
                    && self.at(address).is_some()
                {
                    return unknown_contents(name);
                }
                let kind = match hot.flags {
                    flags if flags & flag::FREED != 0 => FaultKind::UseAfterFree,
                    flags if flags & flag::OPAQUE != 0 && percpu => FaultKind::PerCpuPointer,
                    flags if flags & flag::OPAQUE != 0 => FaultKind::NotMemory,
                    _ => FaultKind::OutOfBounds,
                };
                Box::new(Trap::Fault { kind, access, region: Some(region) })
            }
            // The kernel counts with pointers into an arena in 32 bits (`needs_zext`); which numbers are such pointers only its verifier knows.
            None if self.arena.is_set_up() => Trap::unsupported("arithmetic on an arena's pointer that leaves 32 bits"),
            None => Box::new(Trap::Fault { kind: FaultKind::Wild, access, region: None }),
        }
    }

    /// Loads `N` (1, 2, 4 or 8) bytes as a little-endian number.
    ///
    /// # Errors
    /// As [`Memory::check`].
    #[inline]
    pub fn load<const N: usize>(&mut self, address: u64, reader: &ReadSide) -> Result<(u64, Spot), Box<Trap>> {
        let spot = self.check(address, N as u32, false, reader)?;
        Ok((self.number::<N>(spot), spot))
    }

    /// Stores the low `N` (1, 2, 4 or 8) bytes of a number, little-endian.
    ///
    /// # Errors
    /// As [`Memory::check`].
    #[inline]
    pub fn store<const N: usize>(&mut self, address: u64, value: u64, reader: &ReadSide) -> Result<Spot, Box<Trap>> {
        let spot = self.check(address, N as u32, true, reader)?;
        self.set_number::<N>(spot, value);
        Ok(spot)
    }

    /// The number at a spot that was checked.
    #[inline]
    pub(super) fn number<const N: usize>(&self, spot: Spot) -> u64 {
        let at = self.hot[spot.region.index()].start as usize + spot.offset as usize;
        self.number_at::<N>(at).unwrap_or_default()
    }

    /// Writes a number to a spot that was checked.
    #[inline]
    pub(super) fn set_number<const N: usize>(&mut self, spot: Spot, value: u64) {
        let at = self.hot[spot.region.index()].start as usize + spot.offset as usize;
        self.set_number_at::<N>(at, value);
    }

    /// A region's bytes, unchecked: for the machine itself and for reports. Empty for regions without bytes.
    #[must_use]
    pub fn peek(&self, id: RegionId) -> &[u8] {
        let hot = self.hot[id.index()];
        if hot.flags & (flag::OPAQUE | flag::FREED) != 0 {
            return &[];
        }
        &self.bytes[hot.start as usize..hot.start as usize + hot.len as usize]
    }

    /// Writes bytes into a region, unchecked but for its size; they count as written. What goes past its end is
    /// left out.
    pub fn poke(&mut self, id: RegionId, offset: u32, bytes: &[u8]) {
        let hot = self.hot[id.index()];
        if hot.flags & (flag::OPAQUE | flag::FREED) != 0 || offset >= hot.len {
            return;
        }
        let count = bytes.len().min((hot.len - offset) as usize);
        let at = hot.start as usize + offset as usize;
        self.changes.bytes(at as u32, count as u32);
        self.bytes[at..at + count].copy_from_slice(&bytes[..count]);
        if hot.flags & flag::TRACKED != 0 {
            self.set_written(hot.start + offset, count as u32);
        }
    }
}

/// What a variable of the kernel holds, only a running one knows.
fn unknown_contents(variable: &str) -> Box<Trap> {
    Trap::unsupported(format!("contents of the kernel variable {variable}"))
}
