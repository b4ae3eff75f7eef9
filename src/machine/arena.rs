//! Arenas: pages that a program shares with user space (`kernel/bpf/arena.c`, Linux 6.12).
//!
//! A pointer into an arena has the address that user space sees; a program follows it by its low 32 bits. Each page is a
//! region. Reading where there is no page gives zeros and writing does nothing, as the kernel's fixed-up faults do.

use std::collections::BTreeMap;

use super::fault::Trap;
use super::maps::MapFamily;
use super::memory::{Contents, Memory, Spot};
use super::region::RegionKind;
use super::stepper::Machine;
use super::story::{Moment, RegionId};

/// Bytes of a page.
pub(super) const PAGE: u32 = 4096;
/// Where user space has the arena if the map does not say: a multiple of 4 GiB.
const USER_START: u64 = 0x7f00_0000_0000;
/// Pointers are not turned into those of user space (`BPF_F_NO_USER_CONV`).
const NO_USER_CONV: u32 = 1 << 18;
/// Bytes before and after the 4 GiB that an instruction's offset can reach; there are no pages.
const GUARD: u64 = 1 << 15;
/// No wish for a memory node (`NUMA_NO_NODE`).
const ANY_NODE: i32 = -1;

/// The arena of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    /// Address at which user space has it, once a program that uses it was loaded.
    start: Option<u64>,
    /// Pages that there are, by number from the arena's start.
    pages: BTreeMap<u32, RegionId>,
    /// Zeros, which every read finds where there is no page.
    zeros: RegionId,
    /// What is written where there is no page, which nothing reads.
    sink: RegionId,
}

impl Arena {
    /// The number of the page of an address, which a program forms of 32 bits and an instruction's offset, and the offset
    /// in it.
    fn page_of(&self, address: u64) -> Option<(u64, u32)> {
        let low = self.start? & 0xffff_ffff;
        let is_reached = address.wrapping_add(GUARD) < (1 << 32) + 2 * GUARD;
        is_reached.then(|| (address.wrapping_sub(low) / u64::from(PAGE), address as u32 % PAGE))
    }

    fn page(&self, number: u64) -> Option<RegionId> {
        u32::try_from(number).ok().and_then(|number| self.pages.get(&number)).copied()
    }

    /// Does a program use it?
    pub fn is_set_up(&self) -> bool {
        self.start.is_some()
    }

    /// Is it one of the two that stand for pages that are not there?
    #[inline]
    pub fn is_hole(&self, region: RegionId) -> bool {
        self.start.is_some() && (region == self.zeros || region == self.sink)
    }

    /// Where an address falls, if pages are all that there is below 4 GiB.
    pub fn near(&self, address: u64) -> Option<(RegionId, i64)> {
        let (page, offset) = self.page_of(address)?;
        self.page(page).map(|region| (region, offset.into()))
    }

    /// Where an access lands; `None` if it is no access to the arena.
    pub fn check(&self, address: u64, size: u32, write: bool) -> Option<Result<Spot, Box<Trap>>> {
        let (page, offset) = self.page_of(address)?;
        if offset + size > PAGE {
            return Some(Err(Trap::unsupported("an access across two pages of an arena")));
        }
        let hole = if write { self.sink } else { self.zeros };
        Some(Ok(Spot { region: self.page(page).unwrap_or(hole), offset }))
    }

    /// The lowest page from which `count` pages are free, of `all`.
    fn free_range(&self, count: u32, all: u32) -> Option<u32> {
        let mut from = 0;
        for &page in self.pages.keys() {
            if page - from >= count {
                break;
            }
            from = page + 1;
        }
        (all.checked_sub(from)? >= count).then_some(from)
    }
}

impl Memory {
    /// A page of zeros.
    fn new_page(&mut self, map: u32, at: Option<Moment>) -> Result<RegionId, Box<Trap>> {
        self.allocate(RegionKind::ArenaPage { map }, PAGE, Contents::Zero, at)
    }
}

impl Machine {
    /// Sets the object's arena up, with its variables, and says where user space has it; `None` if pointers into it are
    /// never turned into user space's.
    pub(super) fn arena_start(&mut self) -> Result<Option<u64>, Box<Trap>> {
        let object = self.object.clone();
        let arena = object.maps.iter().enumerate().find(|(index, _)| self.maps[*index].family == MapFamily::Arena);
        let Some((index, map)) = arena else { return Ok(None) };
        let start = if map.definition.map_extra == 0 { USER_START } else { map.definition.map_extra };
        if self.memory.arena.start.is_none() {
            self.memory.arena.zeros = self.memory.new_page(index as u32, None)?;
            self.memory.arena.sink = self.memory.new_page(index as u32, None)?;
            self.memory.arena.start = Some(start);
            // libbpf lays them there for a kernel before 6.16.
            for (page, bytes) in (0..).zip(map.arena.chunks(PAGE as usize)) {
                let region = self.memory.new_page(index as u32, None)?;
                self.memory.poke(region, 0, bytes);
                self.memory.arena.pages.insert(page, region);
            }
        }
        Ok((map.definition.flags & NO_USER_CONV == 0).then_some(start))
    }

    /// Makes pages, zero or at a place of one's own; the address at which user space has them, or 0.
    pub(super) fn arena_allocate(
        &mut self,
        map: u32,
        wish: u64,
        count: u32,
        node: i32,
        at: Moment,
    ) -> Result<u64, Box<Trap>> {
        let all = self.maps[map as usize].max_entries();
        let Some(start) = self.memory.arena.start else { return Ok(0) };
        if (node != ANY_NODE && node != 0) || count > all {
            return Ok(0);
        }
        let first = if wish == 0 {
            self.memory.arena.free_range(count, all)
        } else {
            let page = (wish as u32).wrapping_sub(start as u32) / PAGE;
            let free = || self.memory.arena.pages.range(page..page + count).next().is_none();
            (wish.is_multiple_of(PAGE.into()) && page <= all - count && free()).then_some(page)
        };
        let Some(first) = first else { return Ok(0) };
        for page in first..first + count {
            let region = self.memory.new_page(map, Some(at))?;
            self.memory.arena.pages.insert(page, region);
        }
        Ok(start & !0xffff_ffff | u64::from((start as u32).wrapping_add(first.wrapping_mul(PAGE))))
    }

    /// Frees the pages of a range that are there, and returns them.
    pub(super) fn arena_free(&mut self, map: u32, address: u64, count: u32) -> Vec<RegionId> {
        let all = self.maps[map as usize].max_entries();
        let Some(start) = self.memory.arena.start else { return Vec::new() };
        let low = address as u32 & !(PAGE - 1);
        let Some(distance) = low.checked_sub(start as u32) else { return Vec::new() };
        let first = distance / PAGE;
        let end = first.saturating_add(count).min(all);
        let pages: Vec<u32> = self.memory.arena.pages.range(first..end.max(first)).map(|(&page, _)| page).collect();
        let freed: Vec<RegionId> = pages.iter().filter_map(|page| self.memory.arena.pages.remove(page)).collect();
        for &region in &freed {
            self.memory.reclaim(region, self.steps);
        }
        freed
    }

    /// The address of an arena's variable, as a wide load names it.
    pub(super) fn arena_value(&mut self, offset: u32) -> Result<u64, String> {
        self.arena_start().map_err(|_| "more memory than the limit allows".to_owned())?;
        Ok(self.memory.arena.start.unwrap_or(USER_START) + u64::from(offset))
    }
}
