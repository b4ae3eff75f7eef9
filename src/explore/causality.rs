//! Happens-before between the steps of a run: the smallest order that holds program order and orders all steps that conflict.
//!
//! Runs with the same order are one Mazurkiewicz trace: they differ only in the order of steps that commute. Kept from run to run as far as
//! runs share their beginning.

use smallvec::SmallVec;

use super::clock::{Clocks, join};
use super::places::{NONE, Places};
use super::policy::Step;
use super::system::{Actor, Choice, Stability, Touch, TouchKind};

/// A step of the run.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Whose it was, and which way it went.
    pub choice: Choice,
    /// Its number among the actor's steps, from 1.
    pub index: u32,
    /// The actor's step before, if any.
    pub previous: Option<u32>,
    /// The run ended with it.
    pub ends_run: bool,
    /// How far it depends on what others did.
    pub stability: Stability,
    touch_end: u32,
}

impl Event {
    /// Does it conflict with every other step?
    #[must_use]
    #[inline]
    pub fn is_broad(&self) -> bool {
        self.ends_run || self.stability == Stability::Varies
    }
}

/// The steps of a run and their order.
#[derive(Clone, Debug)]
pub struct Causality {
    events: Vec<Event>,
    touches: Vec<Touch>,
    clocks: Clocks,
    places: Places,
    last: Vec<Option<u32>>,
    /// The steps that conflict with every other.
    broad: Vec<u32>,
    scratch: Vec<u32>,
}

impl Causality {
    /// An empty run of so many actors.
    #[must_use]
    pub fn new(actors: usize) -> Causality {
        Causality {
            events: Vec::new(),
            touches: Vec::new(),
            clocks: Clocks::new(actors),
            places: Places::default(),
            last: vec![None; actors],
            broad: Vec::new(),
            scratch: vec![0; actors],
        }
    }

    /// The number of steps.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Are there no steps?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// A step, which must be there.
    #[must_use]
    #[inline]
    pub fn event(&self, event: usize) -> &Event {
        &self.events[event]
    }

    /// What a step touched.
    #[must_use]
    #[inline]
    pub fn touches(&self, event: usize) -> &[Touch] {
        let start = if event == 0 { 0 } else { self.events[event - 1].touch_end as usize };
        &self.touches[start..self.events[event].touch_end as usize]
    }

    /// What decides what a step commutes with.
    #[must_use]
    #[inline]
    pub fn effect(&self, event: usize) -> Effect<'_> {
        Effect { touches: self.touches(event), broad: self.events[event].is_broad() }
    }

    /// The clock of a step.
    #[must_use]
    #[inline]
    pub fn clock(&self, event: usize) -> &[u32] {
        self.clocks.row(event)
    }

    /// The actor's latest step.
    #[must_use]
    #[inline]
    pub fn last_of(&self, actor: Actor) -> Option<u32> {
        self.last[actor.0 as usize]
    }

    /// Does step `first` happen before `second`, or are they the same?
    #[must_use]
    #[inline]
    pub fn ordered(&self, first: usize, second: usize) -> bool {
        self.covered(first, self.clocks.row(second))
    }

    #[inline]
    fn covered(&self, event: usize, clock: &[u32]) -> bool {
        let event = &self.events[event];
        event.index <= clock[event.choice.actor.0 as usize]
    }

    /// Appends a step.
    pub fn push(&mut self, step: &Step<'_>) {
        let Step { choice, touches, stability, ends_run } = *step;
        let actor = choice.actor.0 as usize;
        let number = self.events.len() as u32;
        let previous = self.last[actor];
        let mut clock = std::mem::take(&mut self.scratch);
        self.start(choice.actor, &mut clock);
        let broad = ends_run || stability == Stability::Varies;
        if broad {
            for last in self.last.iter().flatten() {
                join(&mut clock, self.clocks.row(*last as usize));
            }
        } else {
            self.walk(touches, &mut clock, |run, event, clock| join(clock, run.clocks.row(event)));
        }
        let index = clock[actor] + 1;
        clock[actor] = index;
        self.clocks.push(&clock);
        self.scratch = clock;
        for touch in touches {
            self.places.push(number, *touch);
        }
        self.touches.extend_from_slice(touches);
        self.events.push(Event { choice, index, previous, ends_run, stability, touch_end: self.touches.len() as u32 });
        self.last[actor] = Some(number);
        if broad {
            self.broad.push(number);
        }
    }

    /// Forgets all but the first `events` steps.
    pub fn truncate(&mut self, events: usize) {
        while self.events.len() > events
            && let Some(event) = self.events.pop()
        {
            self.last[event.choice.actor.0 as usize] = event.previous;
        }
        self.touches.truncate(self.events.last().map_or(0, |event| event.touch_end as usize));
        self.clocks.truncate(events);
        self.places.truncate(events as u32);
        while self.broad.last().is_some_and(|broad| *broad as usize >= events) {
            self.broad.pop();
        }
    }

    /// Sets `clock` to what the actor's latest step knows.
    #[inline]
    pub fn start(&self, actor: Actor, clock: &mut [u32]) {
        match self.last[actor.0 as usize] {
            Some(last) => clock.copy_from_slice(self.clocks.row(last as usize)),
            None => clock.fill(0),
        }
    }

    /// Meets the steps that conflict with `touches` and that `clock` does not know, latest first. Who joins a step's clock into `clock` need
    /// not meet what happens before that step.
    #[inline]
    pub fn walk(&self, touches: &[Touch], clock: &mut [u32], mut meet: impl FnMut(&Self, usize, &mut [u32])) {
        let mut cursors: SmallVec<[u32; 8]> = touches.iter().map(|touch| self.places.newest(touch.place)).collect();
        let mut broad = self.broad.len();
        loop {
            let mut latest: Option<(u32, usize)> = None;
            for (number, &cursor) in cursors.iter().enumerate() {
                if cursor != NONE {
                    let event = self.places.record(cursor).event;
                    if latest.is_none_or(|(best, _)| event > best) {
                        latest = Some((event, number));
                    }
                }
            }
            if let Some(&barrier) = broad.checked_sub(1).and_then(|last| self.broad.get(last))
                && latest.is_none_or(|(event, _)| event <= barrier)
            {
                broad -= 1;
                if !self.covered(barrier as usize, clock) {
                    meet(self, barrier as usize, clock);
                }
                // All that came before it happens before it.
                if self.covered(barrier as usize, clock) {
                    return;
                }
                continue;
            }
            let Some((event, number)) = latest else { return };
            let record = self.places.record(cursors[number]);
            cursors[number] = record.previous;
            let touch = &touches[number];
            if record.touch.conflicts(touch) {
                if !self.covered(event as usize, clock) {
                    meet(self, event as usize, clock);
                }
                // Whatever was here before conflicts with this record too, and so happens before it.
                if record.touch.kind.is_exclusive()
                    && covers(&record.touch, touch)
                    && self.covered(event as usize, clock)
                {
                    cursors[number] = NONE;
                }
            }
        }
    }

    /// A digest of the trace: the same for all runs with the same steps in the same happens-before order.
    #[must_use]
    pub fn trace_digest(&self) -> u128 {
        let mut digest = self.events.len() as u128;
        for (number, event) in self.events.iter().enumerate() {
            let mut hash = Mixer::default();
            hash.add(
                u64::from(event.choice.actor.0) << 32
                    | u64::from(event.choice.branch) << 16
                    | u64::from(event.ends_run),
            );
            for &cell in self.clocks.row(number) {
                hash.add(u64::from(cell));
            }
            for touch in self.touches(number) {
                hash.touch(touch);
            }
            digest = digest.wrapping_add(hash.finish());
        }
        digest
    }
}

fn covers(outer: &Touch, inner: &Touch) -> bool {
    outer.start <= inner.start && outer.start.saturating_add(outer.size) >= inner.start.saturating_add(inner.size)
}

/// What of a step decides what it commutes with.
#[derive(Clone, Copy, Debug)]
pub struct Effect<'a> {
    /// What it touches.
    pub touches: &'a [Touch],
    /// It conflicts with every other step: it ends the run, or could have touched anything.
    pub broad: bool,
}

impl Effect<'_> {
    /// Do two steps fail to commute?
    #[must_use]
    #[inline]
    pub fn conflicts(&self, other: &Effect<'_>) -> bool {
        self.broad
            || other.broad
            || self.touches.iter().any(|one| other.touches.iter().any(|theirs| one.conflicts(theirs)))
    }
}

/// Is all that they conflict in that one gives back what the other takes? Then the second could not have come before the first.
#[must_use]
pub fn hands_over(first: &[Touch], second: &[Touch]) -> bool {
    let handed = |one: &Touch, other: &Touch| one.kind == TouchKind::Unlock && other.kind == TouchKind::Lock;
    first.iter().all(|one| second.iter().all(|other| !one.conflicts(other) || handed(one, other)))
}

/// A 128-bit digest of a sequence of words; not meant against someone who seeks collisions.
#[derive(Clone, Copy, Debug)]
pub struct Mixer(u64, u64);

impl Default for Mixer {
    fn default() -> Mixer {
        Mixer(0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03)
    }
}

impl Mixer {
    /// Adds a word.
    #[inline]
    pub fn add(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
        self.1 = mix(self.1.rotate_left(23).wrapping_add(word).wrapping_mul(0x2545_f491_4f6c_dd1d));
    }

    /// Adds a touch.
    #[inline]
    pub fn touch(&mut self, touch: &Touch) {
        self.add(touch.place);
        self.add(u64::from(touch.start) << 32 | u64::from(touch.size));
        self.add(touch.kind as u64);
    }

    /// The digest of what was added.
    #[must_use]
    pub fn finish(self) -> u128 {
        u128::from(mix(self.0)) << 64 | u128::from(mix(self.1))
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
#[must_use]
#[inline]
pub fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}
