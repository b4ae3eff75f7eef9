//! Free elements of hash maps, which the kernel gives to another key at once, under the eyes of who still has a pointer to them.
//!
//! A map with preallocated elements has a list of free ones for each CPU, the last freed first (`kernel/bpf/percpu_freelist.c`, Linux 6.12),
//! and for each CPU an extra one that takes the place of a replaced one (`alloc_htab_elem` in `kernel/bpf/hashtab.c`). Without
//! preallocation elements come from `bpf_mem_cache_alloc` and go to `bpf_mem_cache_free`, which hands the last one that a CPU freed to that
//! CPU again. An element's memory stays an element of its map as long as the map lives, so that a pointer to it stays good.

use std::collections::BTreeMap;

use super::MapFamily;
use crate::machine::event::{AccessKind, places};
use crate::machine::fault::Trap;
use crate::machine::ownership::Field;
use crate::machine::stepper::Machine;
use crate::machine::story::{Moment, RegionId};

/// Where the memory of a new element comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine) enum Origin {
    /// Nobody has used it.
    Fresh,
    /// That CPU freed it last.
    Freed(u32),
    /// It was replaced last by the CPU that now replaces another.
    Extra,
}

/// The free elements of a map: the region of the (first CPU's) value of each.
#[derive(Clone, Debug, Default)]
pub(super) struct FreeElements {
    /// By the CPU that freed them, the last one last.
    lists: BTreeMap<u32, Vec<RegionId>>,
    /// Those that a CPU's next replacement uses.
    extra: BTreeMap<u32, RegionId>,
}

/// Elements that a CPU has in its own list at first, from which on none asks another CPU's.
const PLENTY: u32 = 64;

impl FreeElements {
    fn count(&self) -> usize {
        self.lists.values().map(Vec::len).sum()
    }

    fn has(&self, cpu: u32) -> bool {
        self.lists.get(&cpu).is_some_and(|list| !list.is_empty())
    }

    fn owners(&self) -> impl Iterator<Item = Origin> {
        self.lists.iter().filter(|(_, list)| !list.is_empty()).map(|(&cpu, _)| Origin::Freed(cpu))
    }
}

impl Machine {
    /// Where the memory of a new element for a key can come from, on that CPU: at least one way.
    pub(in crate::machine) fn origins(&self, map: u32, key: &[u8], cpu: u32) -> Vec<Origin> {
        let state = &self.maps[map as usize];
        let free = &state.elements.free;
        let is_fresh_left = state.elements.hash.len() + free.count() < state.max_entries as usize;
        let mut origins: Vec<Origin> = Vec::new();
        if state.family != MapFamily::Hash {
            return vec![Origin::Fresh];
        }
        if state.evicts {
            origins.extend(free.owners());
        } else if state.preallocated && state.elements.hash.contains_key(key) {
            origins.extend(free.extra.contains_key(&cpu).then_some(Origin::Extra));
        } else if free.has(cpu) {
            origins.push(Origin::Freed(cpu));
        } else if state.preallocated && (self.shares_free_elements(map) || !is_fresh_left) {
            origins.extend(free.owners());
        }
        // A CPU's own free elements come first; among others, any may be next.
        let may_be_fresh =
            state.evicts || !origins.iter().any(|&one| one == Origin::Freed(cpu) || one == Origin::Extra);
        if origins.is_empty() || (may_be_fresh && is_fresh_left) {
            origins.push(Origin::Fresh);
        }
        origins
    }

    /// Could a CPU's own list run empty soon, so that it takes from those of others?
    fn shares_free_elements(&self, map: u32) -> bool {
        let (state, cpus) = (&self.maps[map as usize], self.cpu_count());
        state.evicts || (state.preallocated && state.max_entries / cpus <= cpus + PLENTY)
    }

    /// Orders those who take and free elements of the same lists.
    pub(in crate::machine) fn touch_free_elements(&mut self, map: u32, cpu: u32) {
        if self.maps[map as usize].family != MapFamily::Hash {
            return;
        }
        let cpus = if self.shares_free_elements(map) { 0..self.cpu_count() } else { cpu..cpu + 1 };
        for cpu in cpus {
            self.report.order(places::free_elements(map, cpu), AccessKind::Atomic);
        }
    }

    /// Takes the memory for a new element: the region of the (first CPU's) value.
    pub(in crate::machine) fn take_element(
        &mut self,
        map: u32,
        origin: Origin,
        at: Moment,
    ) -> Result<RegionId, Box<Trap>> {
        let state = &mut self.maps[map as usize];
        if state.evicts {
            state.elements.takers.insert(at.cpu);
        }
        let free = &mut state.elements.free;
        let taken = match origin {
            Origin::Fresh => None,
            Origin::Freed(cpu) => free.lists.get_mut(&cpu).and_then(Vec::pop),
            Origin::Extra => free.extra.remove(&at.cpu),
        };
        let Some(first) = taken else { return self.new_value(map, Some(at)) };
        let own = self.own_copy(map, first, at.cpu);
        for other in self.copies(map, first).filter(|&copy| copy != own) {
            self.zero_value(map, other);
        }
        Ok(first)
    }

    /// Makes a hash map's element findable; the one that it takes the place of is free then.
    pub(in crate::machine) fn link_element(
        &mut self,
        map: u32,
        key: &[u8],
        first: RegionId,
        at: Moment,
    ) -> Result<(), Box<Trap>> {
        let state = &mut self.maps[map as usize];
        let keeps_extra = state.preallocated && !state.evicts;
        let Some(old) = state.elements.hash.insert(key.into(), first) else { return Ok(()) };
        if keeps_extra {
            self.drop_fields(map, old, at)?;
            self.maps[map as usize].elements.free.extra.insert(at.cpu, old);
            return Ok(());
        }
        self.drop_fields(map, old, at)?;
        self.free_element(map, old, at);
        Ok(())
    }

    /// Frees an element that nothing finds any more and whose fields hold nothing.
    pub(in crate::machine) fn free_element(&mut self, map: u32, first: RegionId, at: Moment) {
        self.maps[map as usize].elements.free.lists.entry(at.cpu).or_default().push(first);
    }

    /// Takes an element out of a hash, to be freed; what its fields hold is dropped at once (`check_and_free_fields`).
    pub(in crate::machine) fn unlink_element(
        &mut self,
        map: u32,
        key: &[u8],
        at: Moment,
    ) -> Result<Option<RegionId>, Box<Trap>> {
        let Some(old) = self.maps[map as usize].elements.hash.remove(key) else { return Ok(None) };
        self.drop_fields(map, old, at)?;
        Ok(Some(old))
    }

    fn drop_fields(&mut self, map: u32, first: RegionId, at: Moment) -> Result<(), Box<Trap>> {
        self.copies(map, first).try_for_each(|region| self.drop_contents(region, at))
    }

    /// The lock of the bucket that a key is in, as a place that only stands for it. Keys with one lock may be in one bucket.
    pub(in crate::machine) fn bucket(&self, map: u32, key: &[u8]) -> Option<Field> {
        let state = self.maps.get(map as usize).filter(|state| state.family == MapFamily::Hash)?;
        self.by_pieces.then(|| (state.handle, places::element(map, key) as u32 & !3))
    }
}
