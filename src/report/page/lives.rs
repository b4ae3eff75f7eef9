//! Objects' lives: who holds each, who looks at it under RCU, what its memory waits for.
//!
//! The words are those of the life of a percpu object: owned, published, borrowed under RCU, waiting for a grace period, freed.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{GraceWait, ObjectLife, ObjectState, Span};
use crate::machine::ownership::Holder;
use crate::machine::rcu::Waiting;
use crate::machine::{Event, Life, Machine, RegionId, RegionKind};
use crate::report::place::Words;

/// Objects that are followed, at most.
const MAX_OBJECTS: usize = 200;

#[derive(Clone, Debug)]
struct Followed {
    region: RegionId,
    /// Which of its kind, from 1.
    number: usize,
    name: String,
    holders: Vec<Holder>,
    state: Option<(ObjectState, String)>,
    since: usize,
    spans: Vec<Span>,
    wait: Option<GraceWait>,
}

/// The objects of a run.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    all: Vec<Followed>,
    by_region: BTreeMap<RegionId, usize>,
    /// What each task points to that it does not hold, inside an RCU section.
    borrowed: BTreeMap<u32, BTreeSet<usize>>,
    kinds: BTreeMap<String, usize>,
    /// Those whose holders may have changed.
    stale: bool,
}

impl Lives {
    /// The objects that are there.
    #[must_use]
    pub fn new(machine: &Machine) -> Lives {
        let mut lives = Lives { stale: true, ..Lives::default() };
        let held: Vec<RegionId> = machine.ledger().iter().map(|(region, _)| region).collect();
        for region in held {
            lives.follow(machine, region);
        }
        lives
    }

    fn follow(&mut self, machine: &Machine, region: RegionId) {
        let is_object = matches!(
            machine.memory().region(region).kind,
            RegionKind::Object { .. }
                | RegionKind::PerCpuObject { .. }
                | RegionKind::KernelObject { .. }
                | RegionKind::Record { .. }
        );
        if !is_object || self.by_region.contains_key(&region) || self.all.len() >= MAX_OBJECTS {
            return;
        }
        let kind = Words::new(machine).region(region);
        let count = self.kinds.entry(kind.clone()).or_default();
        *count += 1;
        let number = *count;
        self.by_region.insert(region, self.all.len());
        self.all.push(Followed {
            region,
            number,
            name: format!("{kind} #{number}"),
            holders: Vec::new(),
            state: None,
            since: 0,
            spans: Vec::new(),
            wait: None,
        });
    }

    /// Notes what a step did to objects.
    pub fn event(&mut self, machine: &Machine, event: &Event) {
        if let Event::Allocated(region) | Event::Freed(region) | Event::Ownership(region) = *event {
            self.follow(machine, region);
            self.stale = true;
        }
    }

    /// What is followed of a region: the object that it is, or is a CPU's copy of.
    fn of(&self, machine: &Machine, region: RegionId) -> Option<usize> {
        let whole = match machine.memory().region(region).kind {
            RegionKind::PerCpuCopy { of, .. } => of,
            _ => region,
        };
        self.by_region.get(&whole).copied()
    }

    /// A region's name: an object's has a number behind it.
    #[must_use]
    pub fn name(&self, words: &Words<'_>, region: RegionId) -> String {
        let known = self.of(words.machine(), region).and_then(|index| self.all.get(index));
        let name = words.region(region);
        known.map_or(name.clone(), |known| format!("{name} #{}", known.number))
    }

    /// A field's name, with the object's number.
    #[must_use]
    pub fn field(&self, words: &Words<'_>, region: RegionId, offset: u32) -> String {
        let (plain, numbered) = (words.region(region), self.name(words, region));
        let field = words.field((region, offset));
        match field.strip_prefix(&plain) {
            Some(rest) => format!("{numbered}{rest}"),
            None => field,
        }
    }

    /// Notes what a task's registers and stacks point to.
    pub fn borrowed_by(&mut self, machine: &Machine, task: u32, pointers: impl Iterator<Item = u64>) {
        let reader = machine.rcu().reader(task);
        let mut found = BTreeSet::new();
        if reader.in_rcu() || reader.in_trace() {
            let regions = pointers.filter_map(|address| machine.memory().at(address));
            found.extend(regions.filter_map(|spot| self.of(machine, spot.region)));
        }
        self.borrowed.insert(task, found);
        self.stale |= !machine.is_running(task);
    }

    /// Takes the state before step `at`; returns of which objects it has changed, by name. `None`: nothing is to be said of it any more.
    pub fn update(&mut self, machine: &Machine, at: usize) -> Vec<(String, Option<String>)> {
        if std::mem::take(&mut self.stale) {
            for followed in &mut self.all {
                followed.holders.clear();
            }
            for (region, references) in machine.ledger().iter() {
                if let Some(followed) = self.by_region.get(&region).and_then(|&index| self.all.get_mut(index)) {
                    followed.holders = references.iter().map(|reference| reference.holder).collect();
                }
            }
        }
        let words = Words::new(machine);
        let states: Vec<_> = (0..self.all.len()).map(|index| self.state(machine, &words, index)).collect();
        let mut changed = Vec::new();
        for (index, state) in states.into_iter().enumerate() {
            let Some(followed) = self.all.get_mut(index) else { continue };
            followed.wait(machine, index, at);
            if followed.state == state {
                continue;
            }
            followed.close(at);
            changed.push((followed.name.clone(), state.as_ref().map(|(state, detail)| told(*state, detail))));
            followed.state = state;
            followed.since = at;
        }
        changed
    }

    fn state(&self, machine: &Machine, words: &Words<'_>, index: usize) -> Option<(ObjectState, String)> {
        let followed = self.all.get(index)?;
        match machine.memory().region(followed.region).life {
            Life::Freed => return Some((ObjectState::Freed, String::new())),
            Life::Waiting(waiting) => return Some((ObjectState::Waiting, readers(machine, waiting))),
            Life::Live => {}
        }
        let held = |holder: &Holder| match holder {
            Holder::Task(task) => format!("held by the program on CPU {}", machine.cpu_of(*task)),
            Holder::Field((region, offset)) => format!("in {}", self.field(words, *region, *offset)),
            Holder::Graph { root: (region, offset), .. } => {
                format!("in the list or tree {}", self.field(words, *region, *offset))
            }
            Holder::Lost => "held by nobody".to_owned(),
        };
        let holders: Vec<String> = followed.holders.iter().map(held).collect();
        let borrowers = self
            .borrowed
            .iter()
            .filter(|(task, found)| found.contains(&index) && !followed.holders.contains(&Holder::Task(**task)));
        let borrowers: BTreeSet<String> = borrowers.map(|(&task, _)| format!("CPU {}", machine.cpu_of(task))).collect();
        let state = match followed.holders.as_slice() {
            [] => return None,
            all if all.iter().all(|holder| *holder == Holder::Lost) => ObjectState::Lost,
            _ if !borrowers.is_empty() => ObjectState::Borrowed,
            all if all.iter().any(|holder| matches!(holder, Holder::Task(_))) => ObjectState::Owned,
            _ => ObjectState::Published,
        };
        let mut detail = holders.join(", ");
        if !borrowers.is_empty() {
            let who: Vec<String> = borrowers.into_iter().collect();
            detail = format!("by {}; {detail}", who.join(", "));
        }
        Some((state, detail))
    }

    /// The first steps are left out.
    pub fn forget(&mut self, count: usize) {
        for followed in &mut self.all {
            followed.spans.retain(|span| span.to > count);
            for span in &mut followed.spans {
                span.from = span.from.saturating_sub(count);
                span.to -= count;
            }
            followed.since = followed.since.saturating_sub(count);
            if let Some(wait) = &mut followed.wait {
                wait.from = wait.from.saturating_sub(count);
                wait.ripe = wait.ripe.map(|ripe| ripe.saturating_sub(count));
                wait.to = wait.to.map(|to| to.saturating_sub(count));
            }
        }
    }

    /// All lives, and all waits for grace periods.
    #[must_use]
    pub fn finish(mut self, count: usize) -> (Vec<ObjectLife>, Vec<GraceWait>) {
        let mut waits = Vec::new();
        let mut lives = Vec::new();
        for followed in &mut self.all {
            followed.close(count);
            if followed.spans.is_empty() {
                continue;
            }
            waits.extend(
                followed
                    .wait
                    .take()
                    .filter(|wait| wait.to != Some(0))
                    .map(|wait| GraceWait { object: lives.len(), ..wait }),
            );
            lives.push(ObjectLife { name: followed.name.clone(), spans: std::mem::take(&mut followed.spans) });
        }
        (lives, waits)
    }
}

impl Followed {
    /// Ends the present stretch before step `at`.
    fn close(&mut self, at: usize) {
        if let Some((state, detail)) = self.state.take()
            && self.since < at
        {
            self.spans.push(Span { from: self.since, to: at, state, detail });
        }
    }

    /// Follows the wait for a grace period.
    fn wait(&mut self, machine: &Machine, index: usize, at: usize) {
        match machine.memory().region(self.region).life {
            Life::Waiting(waiting) => {
                let wait = self.wait.get_or_insert(GraceWait { object: index, from: at, ripe: None, to: None });
                if wait.ripe.is_none() && cpus_that_read(machine, waiting).is_empty() {
                    wait.ripe = Some(at);
                }
            }
            Life::Freed => {
                if let Some(wait) = &mut self.wait {
                    wait.ripe.get_or_insert(at);
                    wait.to.get_or_insert(at);
                }
            }
            Life::Live => {}
        }
    }
}

/// A state in words.
fn told(state: ObjectState, detail: &str) -> String {
    let name = match state {
        ObjectState::Owned => "owned",
        ObjectState::Published => "published",
        ObjectState::Borrowed => "borrowed under RCU",
        ObjectState::Waiting => "waiting for a grace period",
        ObjectState::Freed => "freed",
        ObjectState::Lost => "lost",
    };
    if detail.is_empty() { name.to_owned() } else { format!("{name}: {detail}") }
}

fn cpus_that_read(machine: &Machine, waiting: Waiting) -> BTreeSet<u32> {
    let tasks = 0..machine.task_count();
    tasks.filter(|&task| machine.rcu().reader(task).protects(waiting)).map(|task| machine.cpu_of(task)).collect()
}

fn readers(machine: &Machine, waiting: Waiting) -> String {
    let cpus: Vec<String> = cpus_that_read(machine, waiting).iter().map(|cpu| format!("CPU {cpu}")).collect();
    if cpus.is_empty() { "no reader is left".to_owned() } else { format!("{} may still read it", cpus.join(", ")) }
}
