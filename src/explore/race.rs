//! Data races of one run: two plain accesses, or a plain and another one, that conflict and that nothing orders.
//!
//! Order is made by program order and by what acquires and releases, as [`TouchKind`] tells; that one access came first in this run is none.
//! Vector clocks as FastTrack keeps them (Flanagan, Freund: *FastTrack*, PLDI 2009): an access is known by its actor and that actor's step
//! count, and an access that another one overwrote in order is not looked at again. Runs that share their beginning share this state.

use super::clock::{Clocks, join};
use super::places::{NONE, Places};
use super::system::{Actor, Touch, TouchKind};

/// Races reported in one run; more are of no use to anybody.
const MAX_RACES: usize = 16;

/// Two accesses without order: the steps, from 0, and what they touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// The one that came first in this run.
    pub first: (usize, Touch),
    /// The other.
    pub second: (usize, Touch),
}

/// The races of a run.
#[derive(Clone, Debug)]
pub struct RaceDetector {
    clocks: Clocks,
    places: Places,
    steps: Vec<Step>,
    last: Vec<Option<u32>>,
    clock: Vec<u32>,
    races: Vec<Race>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    actor: u16,
    index: u32,
    previous: Option<u32>,
}

impl RaceDetector {
    /// For a run of so many actors.
    #[must_use]
    pub fn new(actors: usize) -> RaceDetector {
        RaceDetector {
            clocks: Clocks::new(actors),
            places: Places::default(),
            steps: Vec::new(),
            last: vec![None; actors],
            clock: vec![0; actors],
            races: Vec::new(),
        }
    }

    /// The races so far, in the order of the accesses that completed them.
    #[must_use]
    pub fn races(&self) -> &[Race] {
        &self.races
    }

    /// Forgets all but the first `steps` steps.
    pub fn truncate(&mut self, steps: usize) {
        while self.steps.len() > steps
            && let Some(step) = self.steps.pop()
        {
            self.last[usize::from(step.actor)] = step.previous;
        }
        self.clocks.truncate(steps);
        self.places.truncate(steps as u32);
        while self.races.last().is_some_and(|race| race.second.0 >= steps) {
            self.races.pop();
        }
    }

    /// Appends a step with its touches, in the order in which it made them.
    pub fn step(&mut self, actor: Actor, touches: &[Touch]) {
        let number = self.steps.len() as u32;
        let cell = usize::from(actor.0);
        let previous = self.last[cell];
        match previous {
            Some(last) => self.clock.copy_from_slice(self.clocks.row(last as usize)),
            None => self.clock.fill(0),
        }
        self.clock[cell] += 1;
        let index = self.clock[cell];
        for touch in touches {
            self.acquire(touch);
            self.check(actor, number, touch);
        }
        self.clocks.push(&self.clock);
        for touch in touches {
            self.places.push(number, *touch);
        }
        self.steps.push(Step { actor: actor.0, index, previous });
        self.last[cell] = Some(number);
    }

    /// Learns what those knew who released here.
    fn acquire(&mut self, touch: &Touch) {
        use TouchKind::{Acquire, Atomic, Change, Dereference, Lock, Observe, Read, Release, Unlock, Write};
        let latest_only = match touch.kind {
            Atomic | Acquire | Lock | Unlock => false,
            Dereference => true,
            Read | Write | Release | Observe | Change => return,
        };
        let mut cursor = self.places.newest(touch.place);
        while cursor != NONE {
            let record = self.places.record(cursor);
            cursor = record.previous;
            if !record.touch.overlaps(touch) {
                continue;
            }
            if matches!(record.touch.kind, Release | Atomic | Lock | Unlock) {
                join(&mut self.clock, self.clocks.row(record.event as usize));
            }
            let knows_all = match record.touch.kind {
                Atomic | Lock | Unlock => true,
                Release | Write => latest_only,
                Read | Dereference | Acquire | Observe | Change => false,
            };
            if knows_all && covers(&record.touch, touch) {
                return;
            }
        }
    }

    /// Looks for accesses that race with this one.
    fn check(&mut self, actor: Actor, number: u32, touch: &Touch) {
        let mut cursor = self.places.newest(touch.place);
        while cursor != NONE {
            let record = self.places.record(cursor);
            cursor = record.previous;
            let other = &record.touch;
            if !other.overlaps(touch) {
                continue;
            }
            let step = self.steps[record.event as usize];
            let ordered = step.index <= self.clock[usize::from(step.actor)];
            if !ordered {
                if races(other.kind, touch.kind) && self.races.len() < MAX_RACES {
                    let race = Race { first: (record.event as usize, *other), second: (number as usize, *touch) };
                    self.races.push(race);
                }
                continue;
            }
            // Whoever would race with this access has raced with that one, or is ordered before it.
            let same = step.actor == actor.0 && other.kind == touch.kind;
            let overwritten = other.kind == TouchKind::Write || (other.kind.is_exclusive() && !touch.kind.is_plain());
            if (same || overwritten) && covers(other, touch) {
                return;
            }
        }
    }
}

fn races(first: TouchKind, second: TouchKind) -> bool {
    let touches_bytes = |kind| !matches!(kind, TouchKind::Observe | TouchKind::Change);
    touches_bytes(first)
        && touches_bytes(second)
        && (first.is_plain() || second.is_plain())
        && (first.writes() || second.writes())
}

fn covers(outer: &Touch, inner: &Touch) -> bool {
    outer.start <= inner.start && outer.start.saturating_add(outer.size) >= inner.start.saturating_add(inner.size)
}
