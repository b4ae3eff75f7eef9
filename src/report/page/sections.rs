//! Stretches in which a lane is inside an RCU section, holds a lock, or has preemption off.

use std::collections::BTreeMap;

use super::model::{Section, SectionKind};
use crate::machine::rcu::ReadSide;
use crate::machine::{Event, Field};

/// Sections that are open, and those that were.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    open: BTreeMap<(u32, SectionKind), usize>,
    closed: Vec<Section>,
    locks: BTreeMap<u32, Field>,
    preemption: BTreeMap<u32, u32>,
}

impl Sections {
    /// A lane is, or is not, inside a section before step `at`.
    fn set(&mut self, lane: u32, kind: SectionKind, inside: bool, at: usize) {
        match (inside, self.open.get(&(lane, kind)).copied()) {
            (true, None) => {
                self.open.insert((lane, kind), at);
            }
            (false, Some(from)) => {
                self.open.remove(&(lane, kind));
                if from < at {
                    self.closed.push(Section { lane, kind, from, to: at });
                }
            }
            _ => {}
        }
    }

    /// What a lane's reader is inside of.
    pub fn reader(&mut self, lane: u32, reader: ReadSide, at: usize) {
        self.set(lane, SectionKind::Rcu, reader.in_rcu(), at);
        self.set(lane, SectionKind::RcuTasksTrace, reader.in_trace(), at);
    }

    /// What a lane's step did.
    pub fn event(&mut self, event: &Event, lane: u32, at: usize) {
        match *event {
            Event::Lock { region, offset } => {
                self.locks.insert(lane, (region, offset));
                self.set(lane, SectionKind::Lock, true, at);
            }
            Event::Unlock { .. } => {
                self.locks.remove(&lane);
                self.set(lane, SectionKind::Lock, false, at);
            }
            Event::PreemptDisable => {
                *self.preemption.entry(lane).or_default() += 1;
                self.set(lane, SectionKind::PreemptionOff, true, at);
            }
            Event::PreemptEnable => {
                let depth = self.preemption.entry(lane).or_default();
                *depth = depth.saturating_sub(1);
                let inside = *depth > 0;
                self.set(lane, SectionKind::PreemptionOff, inside, at);
            }
            _ => {}
        }
    }

    /// The lock that a lane holds.
    #[must_use]
    pub fn lock(&self, lane: u32) -> Option<Field> {
        self.locks.get(&lane).copied()
    }

    /// Has a lane turned preemption off?
    #[must_use]
    pub fn is_preemption_off(&self, lane: u32) -> bool {
        self.preemption.get(&lane).is_some_and(|&depth| depth > 0)
    }

    /// The first steps are left out.
    pub fn forget(&mut self, count: usize) {
        self.closed.retain(|section| section.to > count);
        for section in &mut self.closed {
            section.from = section.from.saturating_sub(count);
            section.to -= count;
        }
        for from in self.open.values_mut() {
            *from = from.saturating_sub(count);
        }
    }

    /// All sections, by lane and beginning; those that are open end with the last of `count` steps.
    #[must_use]
    pub fn finish(self, count: usize) -> Vec<Section> {
        let open = self.open.into_iter().map(|((lane, kind), from)| Section { lane, kind, from, to: count });
        let mut all: Vec<Section> =
            self.closed.into_iter().chain(open.filter(|section| section.from < count)).collect();
        all.sort_by_key(|section| (section.lane, section.from, section.kind));
        all
    }
}
