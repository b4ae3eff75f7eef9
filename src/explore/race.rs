//! Data races of one run: two plain accesses, or a plain and another one, that conflict and that nothing orders.
//!
//! Order is made by program order and by what acquires and releases, as [`TouchKind`] tells; that one access came first in this run is none.
//! Vector clocks as FastTrack keeps them (Flanagan, Freund: *FastTrack*, PLDI 2009): an access is known by its actor and that actor's step
//! count, and an access that another one overwrote in order is not looked at again. Runs that share their beginning share this state.

use super::clock::{Clocks, join};
use super::places::{NONE, Places};
use super::system::{Actor, Touch, TouchKind};
use crate::seeded::{self, Fault};

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
    /// The numbers of the places that a step touches.
    numbers: Vec<u32>,
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
            numbers: Vec::new(),
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
        if let [touch] = touches {
            let place = self.meet(actor, number, touch);
            self.places.push_at(place, number, *touch);
        } else {
            let mut numbers = std::mem::take(&mut self.numbers);
            numbers.extend(touches.iter().map(|touch| self.meet(actor, number, touch)));
            for (touch, place) in touches.iter().zip(numbers.drain(..)) {
                self.places.push_at(place, number, *touch);
            }
            self.numbers = numbers;
        }
        self.clocks.push(&self.clock);
        self.steps.push(Step { actor: actor.0, index, previous });
        self.last[cell] = Some(number);
    }

    /// Learns from a place what a step that touches it learns, and looks for races there. The place's number.
    #[inline]
    fn meet(&mut self, actor: Actor, number: u32, touch: &Touch) -> u32 {
        let place = self.places.number(touch.place);
        let newest = self.places.newest_of(place);
        if newest != NONE {
            let record = self.places.record(newest);
            if is_handed_on(&record.touch, touch) {
                join(&mut self.clock, self.clocks.row(record.event as usize));
            } else {
                self.acquire(newest, touch);
                self.check(newest, actor, number, touch);
            }
        }
        place
    }

    /// Learns what those knew who released here, from the newest record of the place on.
    fn acquire(&mut self, newest: u32, touch: &Touch) {
        use TouchKind::{Acquire, Atomic, Change, Dereference, Lock, Observe, Read, Release, Unlock, Write};
        let latest_only = match touch.kind {
            Atomic | Acquire | Lock | Unlock => false,
            Dereference => true,
            Read | Write | Release | Observe | Change => return,
        };
        let mut cursor = newest;
        while cursor != NONE {
            let record = self.places.record(cursor);
            cursor = record.previous;
            if !record.touch.overlaps(touch) {
                continue;
            }
            let lock = matches!(record.touch.kind, Lock | Unlock) && !seeded::active(Fault::DropLockEdge);
            if lock || matches!(record.touch.kind, Release | Atomic) {
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

    /// Looks for accesses that race with this one, from the newest record of the place on.
    fn check(&mut self, newest: u32, actor: Actor, number: u32, touch: &Touch) {
        let mut cursor = newest;
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

/// Is the place's newest touch one that releases all that came before to this one? Then what came before need not be looked at.
#[inline]
fn is_handed_on(newest: &Touch, touch: &Touch) -> bool {
    use TouchKind::{Acquire, Atomic, Lock, Unlock};
    let lock = matches!(newest.kind, Lock | Unlock) && !seeded::active(Fault::DropLockEdge);
    (lock || newest.kind == Atomic) && matches!(touch.kind, Atomic | Acquire | Lock | Unlock) && covers(newest, touch)
}

fn races(first: TouchKind, second: TouchKind) -> bool {
    let touches_bytes = |kind| !matches!(kind, TouchKind::Observe | TouchKind::Change);
    touches_bytes(first)
        && touches_bytes(second)
        && (first.is_plain() || second.is_plain())
        && (first.writes() || second.writes())
}

#[inline]
fn covers(outer: &Touch, inner: &Touch) -> bool {
    outer.start <= inner.start && outer.start.saturating_add(outer.size) >= inner.start.saturating_add(inner.size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use TouchKind::{Acquire, Atomic, Dereference, Lock, Read, Release, Unlock, Write};

    fn touch(place: u64, kind: TouchKind) -> Touch {
        Touch { place, start: 0, size: 4, kind }
    }

    /// The races of a run of two actors: for each step its actor, place and kind.
    fn races_of(steps: &[(u16, u64, TouchKind)]) -> Vec<(usize, usize)> {
        let mut detector = RaceDetector::new(2);
        for &(actor, place, kind) in steps {
            detector.step(Actor(actor), &[touch(place, kind)]);
        }
        detector.races().iter().map(|race| (race.first.0, race.second.0)).collect()
    }

    #[test]
    fn plain_accesses_race_unless_both_read_or_something_orders_them() {
        assert_eq!(races_of(&[(0, 1, Write), (1, 1, Read)]), [(0, 1)]);
        assert_eq!(races_of(&[(0, 1, Read), (1, 1, Read)]), []);
        assert_eq!(races_of(&[(0, 1, Write), (1, 2, Write)]), []);
        assert_eq!(races_of(&[(0, 1, Write), (0, 9, Unlock), (1, 9, Lock), (1, 1, Write)]), []);
        assert_eq!(races_of(&[(0, 1, Write), (0, 9, Release), (1, 9, Acquire), (1, 1, Read)]), []);
        assert_eq!(races_of(&[(0, 9, Release), (0, 1, Write), (1, 9, Acquire), (1, 1, Read)]), [(1, 3)]);
        assert_eq!(races_of(&[(0, 1, Write), (0, 9, Acquire), (1, 9, Acquire), (1, 1, Read)]), [(0, 3)]);
    }

    #[test]
    fn a_dereference_races_with_a_plain_write_and_sees_behind_an_atomic_one() {
        assert_eq!(races_of(&[(0, 1, Write), (1, 1, Dereference)]), [(0, 1)]);
        assert_eq!(races_of(&[(0, 1, Atomic), (1, 1, Dereference)]), []);
        assert_eq!(races_of(&[(0, 1, Write), (0, 9, Atomic), (1, 9, Dereference), (1, 1, Read)]), []);
    }

    #[test]
    fn a_plain_access_races_with_an_atomic_one() {
        assert_eq!(races_of(&[(0, 1, Atomic), (1, 1, Write)]), [(0, 1)]);
        assert_eq!(races_of(&[(0, 1, Atomic), (1, 1, Atomic)]), []);
        assert_eq!(races_of(&[(0, 1, Acquire), (1, 1, Read)]), []);
    }

    #[test]
    fn only_bytes_that_are_shared_race() {
        let bytes = |start, size| Touch { place: 1, start, size, kind: Write };
        let mut detector = RaceDetector::new(2);
        detector.step(Actor(0), &[bytes(0, 4)]);
        detector.step(Actor(1), &[bytes(4, 4)]);
        assert_eq!(detector.races(), []);
        detector.step(Actor(1), &[bytes(3, 1)]);
        assert_eq!(detector.races(), [Race { first: (0, bytes(0, 4)), second: (2, bytes(3, 1)) }]);
    }

    fn kind() -> impl Strategy<Value = TouchKind> {
        prop::sample::select(vec![Read, Write, Read, Write, Dereference, Atomic, Acquire, Release])
    }

    /// Races as they are defined, by the closure of the order over all pairs of steps.
    fn by_definition(steps: &[(u16, u64, TouchKind)]) -> bool {
        let count = steps.len();
        let mut before = vec![vec![false; count]; count];
        for second in 0..count {
            for first in 0..second {
                let ((one, place, kind), (other, there, theirs)) = (steps[first], steps[second]);
                let releases = matches!(kind, Atomic | Release);
                let written = (first + 1..second)
                    .any(|step| steps[step].1 == place && matches!(steps[step].2, Write | Atomic | Release));
                let acquires = matches!(theirs, Atomic | Acquire) || (theirs == Dereference && !written);
                before[first][second] = one == other || (place == there && releases && acquires);
            }
        }
        for middle in 0..count {
            for first in 0..count {
                for second in 0..count {
                    before[first][second] |= before[first][middle] && before[middle][second];
                }
            }
        }
        (0..count).any(|second| {
            (0..second).any(|first| {
                let same = steps[first].1 == steps[second].1;
                same && races(steps[first].2, steps[second].2) && !before[first][second]
            })
        })
    }

    proptest! {
        #[test]
        fn a_run_has_a_race_exactly_if_the_definition_says_so(
            steps in prop::collection::vec((0..3_u16, 0..2_u64, kind()), 0..10),
            cut in 0..10_usize,
        ) {
            let mut detector = RaceDetector::new(3);
            for &(actor, place, kind) in &steps {
                detector.step(Actor(actor), &[touch(place, kind)]);
            }
            prop_assert_eq!(!detector.races().is_empty(), by_definition(&steps));
            // A run that shares its beginning goes on as if it had begun anew.
            let cut = cut.min(steps.len());
            let all = detector.races().to_vec();
            detector.truncate(cut);
            for &(actor, place, kind) in &steps[cut..] {
                detector.step(Actor(actor), &[touch(place, kind)]);
            }
            prop_assert_eq!(detector.races(), all);
        }
    }
}
