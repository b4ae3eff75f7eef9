//! RCU: read-side sections per task, frees that wait, and the end of a grace period.
//!
//! The rules as of Linux 6.12. A program that may not sleep runs inside `rcu_read_lock` as a whole
//! (`__bpf_prog_enter`); one that may sleep runs inside `rcu_read_lock_trace` (`__bpf_prog_enter_sleepable`) and takes
//! `bpf_rcu_read_lock` where it wants. With preemption off (spin locks, `bpf_preempt_disable`) a CPU is a reader too.
//! `bpf_obj_drop` and `bpf_percpu_obj_drop` free by `bpf_mem_free_rcu`: after one *plain* grace period the allocator
//! may hand the memory out again (`__free_by_rcu` puts it where `alloc_bulk` looks), so that an RCU-tasks-trace section
//! alone keeps nothing alive. Local storage waits for both kinds (`bpf_selem_free`).
//!
//! A grace period that starts when something is freed waits for the sections that were open at that moment, and for no
//! later one. That it ends is an event of its own, which the caller chooses.

use serde::Serialize;

use super::story::{Moment, RegionId};
use crate::seeded::{self, Fault};

/// Which readers a deferred free waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum GracePeriod {
    /// Those inside `rcu_read_lock`, or with preemption off.
    Rcu,
    /// Those, and programs that may sleep.
    RcuTasksTrace,
}

/// A region's place in the queue of deferred frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What it waits for.
    pub kind: GracePeriod,
    /// The RCU clock at the time of the free; sections entered at a smaller value may still read it.
    pub since: u64,
}

/// One task's read-side sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadSide {
    depth: u32,
    entered: u64,
    trace: bool,
    trace_entered: u64,
}

impl ReadSide {
    /// Is the task inside a plain RCU section?
    #[must_use]
    pub fn in_rcu(&self) -> bool {
        self.depth > 0
    }

    /// Is the task inside an RCU-tasks-trace section?
    #[must_use]
    pub fn in_trace(&self) -> bool {
        self.trace
    }

    /// How deep plain sections are nested.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Does this task's section keep memory alive that waits so?
    #[must_use]
    pub fn protects(&self, waiting: Waiting) -> bool {
        let plain = self.depth > 0 && self.entered < waiting.since && !seeded::active(Fault::ReadersProtectNothing);
        let trace = self.trace && self.trace_entered < waiting.since;
        plain || (waiting.kind == GracePeriod::RcuTasksTrace && trace)
    }
}

/// A free that waits for a grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// What is freed when it ends.
    pub region: RegionId,
    /// What it waits for.
    pub waiting: Waiting,
    /// Where the free was asked for.
    pub at: Moment,
}

/// All tasks' sections and the frees that wait.
#[derive(Clone, Debug)]
pub struct Rcu {
    clock: u64,
    readers: Vec<ReadSide>,
    deferred: Vec<Deferred>,
}

impl Rcu {
    /// No reader, nothing waiting.
    #[must_use]
    pub fn new(tasks: u32) -> Rcu {
        Rcu { clock: 1, readers: vec![ReadSide::default(); tasks as usize], deferred: Vec::new() }
    }

    /// Back to how `base` is.
    pub(super) fn restore(&mut self, base: &Rcu) {
        self.clock = base.clock;
        self.readers.clone_from(&base.readers);
        self.deferred.clone_from(&base.deferred);
    }

    /// Room for one more task.
    pub(super) fn add_task(&mut self) {
        self.readers.push(ReadSide::default());
    }

    /// The sections of a task; none for one that does not exist.
    #[must_use]
    pub fn reader(&self, task: u32) -> ReadSide {
        self.readers.get(task as usize).copied().unwrap_or_default()
    }

    /// Enters a plain section; sections nest, and the outermost one counts.
    pub fn lock(&mut self, task: u32) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(reader) = self.readers.get_mut(task as usize) {
            if reader.depth == 0 {
                reader.entered = clock;
            }
            reader.depth += 1;
        }
    }

    /// Leaves a plain section; `false` if there was none.
    pub fn unlock(&mut self, task: u32) -> bool {
        match self.readers.get_mut(task as usize) {
            Some(reader) if reader.depth > 0 => {
                reader.depth -= if seeded::active(Fault::InnerUnlockLeavesAll) { reader.depth } else { 1 };
                true
            }
            _ => false,
        }
    }

    /// Enters the section that a program that may sleep runs in.
    pub fn lock_trace(&mut self, task: u32) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(reader) = self.readers.get_mut(task as usize) {
            reader.trace = true;
            reader.trace_entered = clock;
        }
    }

    /// Leaves every section of a task: its program has ended.
    pub fn leave(&mut self, task: u32) {
        if let Some(reader) = self.readers.get_mut(task as usize) {
            *reader = ReadSide::default();
        }
    }

    /// Queues a free and returns what its region waits for.
    pub fn defer(&mut self, region: RegionId, kind: GracePeriod, at: Moment) -> Waiting {
        self.clock += 1;
        let waiting = Waiting { kind, since: self.clock };
        self.deferred.push(Deferred { region, waiting, at });
        waiting
    }

    /// The frees that wait, oldest first.
    #[must_use]
    pub fn deferred(&self) -> &[Deferred] {
        &self.deferred
    }

    /// Could this free's grace period end now: has each reader that was there left?
    #[must_use]
    pub fn is_ripe(&self, deferred: &Deferred) -> bool {
        seeded::active(Fault::GraceEndsEarly) || !self.readers.iter().any(|reader| reader.protects(deferred.waiting))
    }

    /// The frees that were asked for on that CPU and whose grace period could end now, oldest first.
    pub(super) fn ripe_of(&self, cpu: u32) -> impl Iterator<Item = &Deferred> {
        self.deferred.iter().filter(move |deferred| deferred.at.cpu == cpu && self.is_ripe(deferred))
    }

    /// Ends the grace period of every free that could end, and returns them, oldest first.
    pub fn take_ripe(&mut self) -> Vec<Deferred> {
        self.take(|_| true)
    }

    /// The same, of those that pass a test.
    pub(super) fn take(&mut self, wanted: impl Fn(&Deferred) -> bool) -> Vec<Deferred> {
        let (ripe, rest) = std::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|deferred| wanted(deferred) && self.is_ripe(deferred));
        self.deferred = rest;
        ripe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::story::Place;

    const AT: Moment = Moment { place: Place { program: 0, insn: 0 }, cpu: 0, step: 0 };

    #[test]
    fn grace_period_waits_for_earlier_readers_only() {
        let mut rcu = Rcu::new(2);
        rcu.lock(0);
        let waiting = rcu.defer(RegionId(7), GracePeriod::Rcu, AT);
        rcu.lock(1);
        assert!(rcu.reader(0).protects(waiting));
        assert!(!rcu.reader(1).protects(waiting), "began after the free");
        assert!(rcu.take_ripe().is_empty());
        assert!(rcu.unlock(0));
        assert_eq!(rcu.take_ripe().len(), 1);
        assert!(rcu.deferred().is_empty());
    }

    #[test]
    fn nested_sections_count_as_the_outermost() {
        let mut rcu = Rcu::new(1);
        rcu.lock(0);
        let waiting = rcu.defer(RegionId(1), GracePeriod::Rcu, AT);
        rcu.lock(0);
        assert!(rcu.unlock(0));
        assert!(rcu.reader(0).protects(waiting));
        assert!(rcu.unlock(0));
        assert!(!rcu.unlock(0));
        assert!(!rcu.reader(0).protects(waiting));
    }

    #[test]
    fn tasks_trace_readers_hold_back_only_their_kind() {
        let mut rcu = Rcu::new(1);
        rcu.lock_trace(0);
        let plain = rcu.defer(RegionId(1), GracePeriod::Rcu, AT);
        let trace = rcu.defer(RegionId(2), GracePeriod::RcuTasksTrace, AT);
        assert!(!rcu.reader(0).protects(plain));
        assert!(rcu.reader(0).protects(trace));
        assert_eq!(rcu.take_ripe().iter().map(|d| d.region).collect::<Vec<_>>(), [RegionId(1)]);
        rcu.leave(0);
        assert_eq!(rcu.take_ripe().len(), 1);
    }
}
