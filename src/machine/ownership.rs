//! Who holds each reference: the ledger, and what happens when the last one goes.
//!
//! A reference is born with `bpf_obj_new` and its like, or with an acquiring kfunc. It is held by the program that a
//! task runs, by a kptr field, or by a list or tree, and `bpf_kptr_xchg` and the graph kfuncs move it between them. The
//! memory of an object is freed when its last reference is given back.

use std::collections::{BTreeMap, VecDeque};

use smallvec::SmallVec;

use super::event::{Access, AccessKind, Event, places};
use super::fault::{FaultKind, Trap};
use super::rcu::{Deferred, GracePeriod};
use super::region::{Life, RegionKind};
use super::stepper::Machine;
use super::story::{Moment, RegionId};

/// A place in memory: a region and a byte offset.
pub type Field = (RegionId, u32);

/// Who holds a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The program that the task runs.
    Task(u32),
    /// The kptr field at that place.
    Field(Field),
    /// The list or tree whose root is at that place; the node is the address by which it is linked.
    Graph {
        /// Where the root is.
        root: Field,
        /// Address of the node.
        node: u64,
    },
    /// Nobody: the program that held it ended.
    Lost,
}

/// A reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Who holds it.
    pub holder: Holder,
    /// Where it was acquired.
    pub acquired: Moment,
}

/// A list or a tree. Nodes are addresses, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    pub nodes: VecDeque<u64>,
}

/// All references.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    references: BTreeMap<RegionId, SmallVec<[Reference; 1]>>,
    /// What each kptr field holds.
    fields: BTreeMap<Field, RegionId>,
    /// What each task's program holds, oldest first.
    held: Vec<Vec<RegionId>>,
    pub(super) graphs: BTreeMap<Field, Graph>,
    /// Which root each linked node belongs to.
    pub(super) linked: BTreeMap<u64, Field>,
}

impl Ledger {
    /// Nothing held by that many tasks.
    #[must_use]
    pub fn new(tasks: u32) -> Ledger {
        Ledger { held: vec![Vec::new(); tasks as usize], ..Ledger::default() }
    }

    /// Room for one more task.
    pub(super) fn add_task(&mut self) {
        self.held.push(Vec::new());
    }

    /// Every region with its references, in the order of allocation.
    pub fn iter(&self) -> impl Iterator<Item = (RegionId, &[Reference])> {
        self.references.iter().map(|(&region, references)| (region, references.as_slice()))
    }

    /// The references to a region, oldest first.
    #[must_use]
    pub fn references(&self, region: RegionId) -> &[Reference] {
        self.references.get(&region).map_or(&[], SmallVec::as_slice)
    }

    /// What the kptr field at that place holds.
    #[must_use]
    pub fn in_field(&self, field: Field) -> Option<RegionId> {
        self.fields.get(&field).copied()
    }

    /// What a task's program holds, oldest first.
    #[must_use]
    pub fn held_by(&self, task: u32) -> &[RegionId] {
        self.held.get(task as usize).map_or(&[], Vec::as_slice)
    }

    /// Does that task's program hold a reference to the region?
    #[must_use]
    pub fn holds(&self, task: u32, region: RegionId) -> bool {
        self.held_by(task).contains(&region)
    }

    /// A new reference, held by a task's program.
    pub fn acquire(&mut self, task: u32, region: RegionId, acquired: Moment) {
        self.references.entry(region).or_default().push(Reference { holder: Holder::Task(task), acquired });
        self.note(Holder::Task(task), region);
    }

    /// A new reference, held as `holder` says.
    pub(super) fn put(&mut self, region: RegionId, holder: Holder, acquired: Moment) {
        self.references.entry(region).or_default().push(Reference { holder, acquired });
        self.note(holder, region);
    }

    /// Where a holder's reference was acquired; `None` if it holds none.
    #[must_use]
    pub fn acquired_at(&self, region: RegionId, holder: Holder) -> Option<Moment> {
        self.references.get(&region)?.iter().find(|reference| reference.holder == holder).map(|r| r.acquired)
    }

    /// Number of references to a region.
    #[must_use]
    pub fn count(&self, region: RegionId) -> usize {
        self.references.get(&region).map_or(0, SmallVec::len)
    }

    /// Hands a reference on; `false` if `from` holds none.
    pub fn transfer(&mut self, region: RegionId, from: Holder, to: Holder) -> bool {
        let Some(reference) =
            self.references.get_mut(&region).and_then(|all| all.iter_mut().find(|r| r.holder == from))
        else {
            return false;
        };
        reference.holder = to;
        self.forget(from, region);
        self.note(to, region);
        true
    }

    /// Takes a reference away: how many are left, or `None` if `from` holds none.
    pub fn remove(&mut self, region: RegionId, from: Holder) -> Option<usize> {
        let all = self.references.get_mut(&region)?;
        let index = all.iter().position(|reference| reference.holder == from)?;
        all.remove(index);
        let left = all.len();
        if left == 0 {
            self.references.remove(&region);
        }
        self.forget(from, region);
        Some(left)
    }

    fn note(&mut self, holder: Holder, region: RegionId) {
        match holder {
            Holder::Task(task) => {
                if let Some(held) = self.held.get_mut(task as usize) {
                    held.push(region);
                }
            }
            Holder::Field(field) => {
                self.fields.insert(field, region);
            }
            Holder::Graph { .. } | Holder::Lost => {}
        }
    }

    fn forget(&mut self, holder: Holder, region: RegionId) {
        match holder {
            Holder::Task(task) => {
                if let Some(held) = self.held.get_mut(task as usize)
                    && let Some(index) = held.iter().rposition(|&other| other == region)
                {
                    held.remove(index);
                }
            }
            Holder::Field(field) => {
                self.fields.remove(&field);
            }
            Holder::Graph { .. } | Holder::Lost => {}
        }
    }

    /// The places inside a region that hold something: kptr fields, then roots.
    fn inside(&self, region: RegionId) -> (Vec<Field>, Vec<Field>) {
        let range = (region, 0)..=(region, u32::MAX);
        let fields = self.fields.range(range.clone()).map(|(&field, _)| field).collect();
        (fields, self.graphs.range(range).map(|(&root, _)| root).collect())
    }
}

/// What a reference is called in a message.
fn describe(kind: &RegionKind) -> &'static str {
    match kind {
        RegionKind::PerCpuObject { .. } => "per-CPU object",
        RegionKind::Object { .. } => "object",
        RegionKind::Record { .. } => "record",
        _ => "reference",
    }
}

impl Machine {
    /// Gives a reference back; frees the object if it was the last.
    ///
    /// # Errors
    /// [`FaultKind::NotOwned`] if `from` holds none: a second drop, or a drop of what another place holds.
    pub(super) fn release(&mut self, region: RegionId, from: Holder, at: Moment) -> Result<(), Box<Trap>> {
        let left = self.ledger.remove(region, from).ok_or_else(|| self.not_owned(region))?;
        self.report.events.push(Event::Ownership(region));
        self.report.order(places::references(self.memory.region(region).place), AccessKind::Atomic);
        let kind = &self.memory.region(region).kind;
        let object = matches!(kind, RegionKind::Object { .. } | RegionKind::PerCpuObject { .. });
        if left == 0 && (object || matches!(kind, RegionKind::KernelObject { .. })) {
            self.drop_contents(region, at)?;
            self.free_after_grace_period(region, GracePeriod::Rcu, at);
        }
        Ok(())
    }

    /// The fault for a release or hand-over of what the program does not own.
    pub(super) fn not_owned(&self, region: RegionId) -> Box<Trap> {
        let described = self.memory.region(region);
        let what = match (describe(&described.kind), described.life) {
            ("per-CPU object", Life::Live) => "the program does not own this per-CPU object: something else holds it",
            ("per-CPU object", _) => "the program does not own this per-CPU object: it was dropped already",
            ("object", Life::Live) => "the program does not own this object: something else holds it",
            ("object", _) => "the program does not own this object: it was dropped already",
            _ => "the program holds no reference to this",
        };
        Trap::about(FaultKind::NotOwned(what), region)
    }

    /// Gives back all that the fields, lists and trees inside a region hold (`bpf_obj_free_fields`).
    pub(super) fn drop_contents(&mut self, region: RegionId, at: Moment) -> Result<(), Box<Trap>> {
        // Objects that hold objects are worked off in a queue, however long the chain.
        let mut queue = vec![region];
        while let Some(container) = queue.pop() {
            self.cancel_callbacks_in(container);
            let (fields, roots) = self.ledger.inside(container);
            for field in fields {
                if let Some(held) = self.ledger.in_field(field) {
                    self.memory.poke(field.0, field.1, &[0; 8]);
                    self.drop_from_container(held, Holder::Field(field), at, &mut queue);
                }
            }
            for root in roots {
                let graph = self.ledger.graphs.remove(&root).unwrap_or_default();
                for node in graph.nodes {
                    self.ledger.linked.remove(&node);
                    if let Some(spot) = self.memory.at(node) {
                        self.drop_from_container(spot.region, Holder::Graph { root, node }, at, &mut queue);
                    }
                }
            }
        }
        Ok(())
    }

    fn drop_from_container(&mut self, region: RegionId, from: Holder, at: Moment, queue: &mut Vec<RegionId>) {
        if self.ledger.remove(region, from) == Some(0) {
            queue.push(region);
            self.free_after_grace_period(region, GracePeriod::Rcu, at);
        }
    }

    /// Frees a region, and the copies of a per-CPU object, once a grace period has ended.
    pub(super) fn free_after_grace_period(&mut self, region: RegionId, kind: GracePeriod, at: Moment) {
        // The kernel itself holds what was there from the start.
        let described = self.memory.region(region);
        if matches!(described.kind, RegionKind::KernelObject { .. }) && described.allocated.is_none() {
            return;
        }
        let waiting = self.rcu.defer(region, kind, at);
        self.report.order(places::RCU, AccessKind::Change);
        self.report.order(places::cache(at.cpu), AccessKind::Atomic);
        for part in self.parts(region) {
            self.memory.retire(part, waiting, at);
            self.report.events.push(Event::Freed(part));
            let size = self.memory.len(part).max(1);
            self.report.accesses.push(Access { region: part, offset: 0, size, kind: AccessKind::Change });
        }
    }

    /// A region, and for a per-CPU object all CPUs' copies behind it.
    pub(super) fn parts(&self, region: RegionId) -> Vec<RegionId> {
        let copies = match self.memory.region(region).kind {
            RegionKind::PerCpuObject { .. } => self.cpu_count(),
            _ => 0,
        };
        (region.0..=region.0 + copies).map(RegionId).collect()
    }

    /// Ends the grace period of every deferred free that no earlier reader holds back, and returns the regions that
    /// were freed by it, oldest first.
    pub fn end_grace_period(&mut self) -> Vec<RegionId> {
        let ripe = self.rcu.take_ripe();
        self.reclaim_all(ripe)
    }

    /// Frees what has waited long enough.
    pub(super) fn reclaim_all(&mut self, ripe: Vec<Deferred>) -> Vec<RegionId> {
        let mut freed = Vec::with_capacity(ripe.len());
        for deferred in ripe {
            for part in self.parts(deferred.region) {
                self.memory.reclaim(part, self.steps);
            }
            // Local storage keeps its kptrs until here; what they hold starts a grace period of its own.
            // Dropping contents fails only for a reference that is not there, and these were just listed.
            let _ = self.drop_contents(deferred.region, deferred.at);
            freed.push(deferred.region);
        }
        freed
    }
}
