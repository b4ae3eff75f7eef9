//! What becomes of regions: frozen, freed, used again; and back to an earlier state.

use super::{Memory, flag};
use crate::machine::rcu::Waiting;
use crate::machine::region::{Life, RegionKind};
use crate::machine::restore::Changes;
use crate::machine::spans::{Source, span, unit};
use crate::machine::story::{Moment, RegionId};

impl Memory {
    /// Makes a region read-only for programs.
    pub fn freeze(&mut self, id: RegionId) {
        self.changes.region(id);
        self.hot[id.index()].flags |= flag::READ_ONLY;
    }

    /// Marks a region as freed and waiting.
    pub fn retire(&mut self, id: RegionId, waiting: Waiting, at: Moment) {
        self.changes.region(id);
        self.hot[id.index()].flags |= flag::WAITING;
        let region = &mut self.regions[id.index()];
        region.life = Life::Waiting(waiting);
        region.freed.get_or_insert(at);
    }

    /// Ends a region's life: every later access is a use after free, and its bytes may serve another region.
    pub fn reclaim(&mut self, id: RegionId, step: u64) {
        let hot = &mut self.hot[id.index()];
        if hot.flags & flag::FREED != 0 {
            return;
        }
        self.changes.region(id);
        let region = &mut self.regions[id.index()];
        if hot.flags & flag::OPAQUE == 0 {
            let copy = if let RegionKind::PerCpuCopy { cpu, .. } = region.kind { Some(cpu) } else { None };
            // A unit goes back to the cache of the CPU that freed it (`bpf_mem_free_rcu`).
            let recycled = hot.flags & flag::ZEROED != 0;
            let source = region.freed.filter(|_| recycled).map(|at| Source {
                cpu: at.cpu,
                copy,
                len: unit(hot.len, copy.is_some()),
            });
            self.spans.give(source, span(hot.len), hot.start);
        }
        hot.flags |= flag::FREED;
        region.life = Life::Freed;
        region.reclaimed = Some(step);
    }

    /// Starts to note what changes, so that [`Memory::restore`] can go back to a clone made now.
    pub(in crate::machine) fn track(&mut self) {
        self.changes = Changes::tracking(self.bytes.len(), self.hot.len() as u32);
        self.spans.forget_changes();
        self.arena.forget_changes();
    }

    /// Goes back to how memory was when it was a clone of `base` and [`Memory::track`] was called.
    pub(in crate::machine) fn restore(&mut self, base: &Memory) {
        for line in self.changes.take_lines() {
            let (first, end) = (line as usize * 64, line as usize * 64 + 64);
            if let (Some(from), Some(&written)) = (base.bytes.get(first..end), base.written.get(line as usize)) {
                self.bytes[first..end].copy_from_slice(from);
                self.written[line as usize] = written;
            }
        }
        for id in self.changes.take_regions() {
            if let (Some(hot), Some(region)) = (base.hot.get(id.index()), base.regions.get(id.index())) {
                self.hot[id.index()] = *hot;
                self.regions[id.index()].clone_from(region);
            }
        }
        self.bytes.truncate(base.bytes.len());
        self.written.truncate(base.written.len());
        self.hot.truncate(base.hot.len());
        self.regions.truncate(base.regions.len());
        for (number, window) in self.windows.iter_mut().enumerate() {
            let (slots, regions) = base.windows.get(number).map_or((0, 0), |base| (base.slots.len(), base.regions));
            window.slots.truncate(slots);
            window.regions = regions;
        }
        self.slot_count = base.slot_count;
        if self.image.len() != base.image.len() {
            self.image.clone_from(&base.image);
        }
        self.spans.restore(&base.spans);
        self.arena.restore(&base.arena);
        self.unwritten_read = None;
        self.allocator = base.allocator;
    }

    /// Is there memory that the BPF allocator of that CPU can hand out again for an object of `len` bytes?
    pub(in crate::machine) fn can_recycle(&self, cpu: u32, per_cpu: bool, len: u32) -> bool {
        self.spans.has(Source { cpu, copy: per_cpu.then_some(0), len: unit(len, per_cpu) })
    }
}
