//! A digest of all that the future of a machine depends on: two states with equal digests go on alike.
//!
//! Regions count by what they are and hold, not by when they were made, so that schedules that differ only in the order of
//! independent allocations come to the same digest.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::ownership::{Field, Holder};
use super::region::{Life, RegionKind};
use super::stepper::Machine;
use super::story::RegionId;
use super::task::Execution;

/// Two 64-bit digests with different beginnings, as one.
pub(super) fn wide(value: &impl Hash) -> u128 {
    let half = |begin: u64| {
        let mut hasher = DefaultHasher::new();
        begin.hash(&mut hasher);
        value.hash(&mut hasher);
        hasher.finish()
    };
    u128::from(half(0)) << 64 | u128::from(half(1))
}

impl Machine {
    /// The digest of this state, and of what the caller adds.
    #[must_use]
    pub fn fingerprint(&self, more: &impl Hash) -> u128 {
        let regions = self.memory.regions().filter(|(_, region)| region.life != Life::Freed);
        let memory = regions.fold(0u128, |sum, (id, _)| sum.wrapping_add(self.region_digest(id)));
        let references = self.ledger.iter().fold(0u128, |sum, (region, all)| {
            let holders: Vec<_> = all.iter().map(|one| self.holder_digest(one.holder)).collect();
            sum.wrapping_add(wide(&(self.place(region), holders)))
        });
        let locks = self.world.locks.iter();
        let locks = locks.fold(0u128, |sum, (&field, task)| sum.wrapping_add(wide(&(self.field(field), task))));
        let rest = wide(&(self.tasks_digest(), self.waiting_digest(), self.leaks().len(), self.world.digest(), more));
        let maps: Vec<_> = self.maps.iter().map(|map| wide(&map.contents())).collect();
        wide(&(memory, references, locks, rest, maps, self.store_buffers.digest(self)))
    }

    pub(super) fn place(&self, region: RegionId) -> u64 {
        self.memory.region(region).place
    }

    fn field(&self, (region, offset): Field) -> (u64, u32) {
        (self.place(region), offset)
    }

    fn region_digest(&self, id: RegionId) -> u128 {
        let region = self.memory.region(id);
        if matches!(region.kind, RegionKind::Stack { .. }) && !self.memory.is_open(id) {
            return 0;
        }
        let bytes = self.memory.peek(id);
        let written: Vec<bool> = (0..bytes.len() as u32).map(|offset| self.memory.is_written(id, offset)).collect();
        wide(&(region.place, self.memory.base(id), region.life == Life::Live, bytes, written))
    }

    fn holder_digest(&self, holder: Holder) -> (u8, u64, u64) {
        match holder {
            Holder::Task(task) => (0, task.into(), 0),
            Holder::Field((region, offset)) => (1, self.place(region), offset.into()),
            Holder::Graph { root: (region, offset), node } => (2, self.place(region) ^ u64::from(offset) << 48, node),
            Holder::Lost => (3, 0, 0),
        }
    }

    fn tasks_digest(&self) -> u128 {
        let tasks = self.tasks.iter().enumerate().map(|(task, state)| {
            let reader = self.rcu.reader(task as u32);
            (reader.depth(), reader.in_trace(), state.execution.as_ref().map(Execution::digest))
        });
        wide(&tasks.collect::<Vec<_>>())
    }

    /// The frees that wait, and who holds each back.
    fn waiting_digest(&self) -> u128 {
        let waiting = self.rcu.deferred().iter().map(|free| {
            let tasks = 0..self.tasks.len() as u32;
            let readers: Vec<_> = tasks.map(|task| self.rcu.reader(task).protects(free.waiting)).collect();
            (self.place(free.region), free.at.cpu, readers)
        });
        wide(&waiting.collect::<Vec<_>>())
    }
}
