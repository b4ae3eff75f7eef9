//! Objects' lives: who holds each, who looks at it under RCU, what its memory waits for.
//!
//! The machine says in which stage each is ([`Machine::object_stage`]); this file keeps when, and says it in words.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{GraceWait, ObjectLife, Span};
use crate::machine::ownership::Holder;
use crate::machine::{Event, Machine, ObjectStage, RegionId, Stage};
use crate::report::place::Words;

/// Objects that are followed, at most.
const MAX_OBJECTS: usize = 200;

#[derive(Clone, Debug)]
struct Followed {
    region: RegionId,
    /// Which of its kind, from 1.
    number: usize,
    name: String,
    /// Its stage now, and that in words.
    stage: Option<(ObjectStage, String)>,
    since: usize,
    spans: Vec<Span>,
    wait: Option<GraceWait>,
}

/// The objects of a run.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    all: Vec<Followed>,
    by_region: BTreeMap<RegionId, usize>,
    /// What each task points to.
    pointed: BTreeMap<u32, BTreeSet<usize>>,
    kinds: BTreeMap<String, usize>,
}

impl Lives {
    /// The objects that are there.
    #[must_use]
    pub fn new(machine: &Machine) -> Lives {
        let mut lives = Lives::default();
        let held: Vec<RegionId> = machine.ledger().iter().map(|(region, _)| region).collect();
        for region in held {
            lives.follow(machine, region);
        }
        lives
    }

    fn follow(&mut self, machine: &Machine, region: RegionId) {
        let is_object = machine.memory().region(region).is_object();
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
            stage: None,
            since: 0,
            spans: Vec::new(),
            wait: None,
        });
    }

    /// Notes what a step did to objects.
    pub fn event(&mut self, machine: &Machine, event: &Event) {
        if let Event::Allocated(region) | Event::Freed(region) | Event::Ownership(region) = *event {
            self.follow(machine, region);
        }
    }

    /// What is followed of a region: the object that it is, or is a CPU's copy of.
    fn of(&self, machine: &Machine, region: RegionId) -> Option<usize> {
        self.by_region.get(&machine.object_of(region)?).copied()
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
    pub fn pointed_to_by(&mut self, machine: &Machine, task: u32, pointers: impl Iterator<Item = u64>) {
        let regions = pointers.filter_map(|address| machine.memory().at(address));
        let found = regions.filter_map(|spot| self.of(machine, spot.region)).collect();
        self.pointed.insert(task, found);
    }

    /// Takes the state before step `at`; returns of which objects it has changed, by name. `None`: nothing is to be said of it any more.
    pub fn update(&mut self, machine: &Machine, at: usize) -> Vec<(String, Option<String>)> {
        let mut changed = Vec::new();
        for index in 0..self.all.len() {
            let points = |task| self.pointed.get(&task).is_some_and(|found: &BTreeSet<usize>| found.contains(&index));
            let Some(region) = self.all.get(index).map(|followed| followed.region) else { continue };
            let now = machine.object_stage(region, points);
            let is_same = |followed: &Followed| followed.stage.as_ref().map(|(stage, _)| stage) == now.as_ref();
            let words = match self.all.get(index) {
                Some(followed) if !is_same(followed) => now.map(|now| self.in_words(&Words::new(machine), now)),
                _ => continue,
            };
            let Some(followed) = self.all.get_mut(index) else { continue };
            followed.wait(words.as_ref().map(|(stage, _)| stage), index, at);
            let text =
                |words: &Option<(ObjectStage, String)>| words.as_ref().map(|(stage, detail)| told(stage.stage, detail));
            let (before, after) = (text(&followed.stage), text(&words));
            if before != after {
                followed.close(at);
                followed.since = at;
                changed.push((followed.name.clone(), after));
            }
            followed.stage = words;
        }
        changed
    }

    fn in_words(&self, words: &Words<'_>, now: ObjectStage) -> (ObjectStage, String) {
        let machine = words.machine();
        let held = |holder: &Holder| match holder {
            Holder::Task(task) => format!("held by the program on CPU {}", machine.cpu_of(*task)),
            Holder::Field((region, offset)) => format!("in {}", self.field(words, *region, *offset)),
            Holder::Graph { root: (region, offset), .. } => {
                format!("in the list or tree {}", self.field(words, *region, *offset))
            }
            Holder::Lost => "held by nobody".to_owned(),
        };
        let cpus = |tasks: &BTreeSet<u32>| {
            let cpus: BTreeSet<u32> = tasks.iter().map(|&task| machine.cpu_of(task)).collect();
            cpus.iter().map(|cpu| format!("CPU {cpu}")).collect::<Vec<_>>().join(", ")
        };
        let holders = || now.holders.iter().map(held).collect::<Vec<_>>().join(", ");
        let detail = match now.stage {
            Stage::Freed => String::new(),
            Stage::Waiting if now.readers.is_empty() => "no reader is left".to_owned(),
            Stage::Waiting => format!("{} may still read it", cpus(&now.readers)),
            Stage::Borrowed => format!("by {}; {}", cpus(&now.borrowers), holders()),
            Stage::Owned | Stage::Published | Stage::Lost => holders(),
        };
        (now, detail)
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
        if let Some((now, detail)) = self.stage.take()
            && self.since < at
        {
            self.spans.push(Span { from: self.since, to: at, state: now.stage, detail });
        }
    }

    /// Follows the wait for a grace period.
    fn wait(&mut self, now: Option<&ObjectStage>, index: usize, at: usize) {
        match now.map(|now| (now.stage, now.readers.is_empty())) {
            Some((Stage::Waiting, is_ripe)) => {
                let wait = self.wait.get_or_insert(GraceWait { object: index, from: at, ripe: None, to: None });
                if is_ripe {
                    wait.ripe.get_or_insert(at);
                }
            }
            Some((Stage::Freed, _)) => {
                if let Some(wait) = &mut self.wait {
                    wait.ripe.get_or_insert(at);
                    wait.to.get_or_insert(at);
                }
            }
            _ => {}
        }
    }
}

/// A stage in words.
fn told(stage: Stage, detail: &str) -> String {
    let name = stage.words();
    if detail.is_empty() { name.to_owned() } else { format!("{name}: {detail}") }
}
