//! Every schedule, in the order of the choices; all of them, or those within a bound on preemptions.
//!
//! A preemption is a switch away from an actor that could have gone on (Musuvathi, Qadeer: *Iterative Context Bounding*, PLDI 2007). State
//! caching leaves a run where it meets a state that was met before with as much left of the bound: every state is seen, and every end of a
//! run, but not every way to it; a data race that shows only on a way that was left out is missed.

use rustc_hash::FxHashMap;

use super::{Abandon, Next, Parts, Point, Policy, RunEnd, Step};
use crate::explore::causality::Mixer;
use crate::explore::system::{Actor, Choice, Waiting};

/// States that are remembered; later ones are explored as often as they are met.
const MAX_STATES: usize = 1 << 24;

/// What depth-first search leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DfsOptions {
    /// The most preemptions of a schedule; `None` for no bound.
    pub preemptions: Option<u32>,
    /// Leave runs where they meet a state again.
    pub cache_states: bool,
    /// Depth at which the tree is cut into parts.
    pub split_depth: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    choices: (usize, usize),
    next: usize,
    /// Preemptions of the steps before.
    preemptions: u32,
    last: Option<Actor>,
}

/// Depth-first search.
#[derive(Debug)]
pub struct Dfs<P> {
    options: DfsOptions,
    nodes: Vec<Node>,
    choices: Vec<Choice>,
    /// Digests of states with who was last, and the preemptions that had been made there.
    seen: FxHashMap<u128, u32>,
    parts: P,
    part: usize,
    started: bool,
    bounded: bool,
}

impl<P: Parts> Dfs<P> {
    /// A search of the parts that `parts` takes.
    #[must_use]
    pub fn new(options: DfsOptions, parts: P) -> Dfs<P> {
        Dfs {
            options,
            nodes: Vec::new(),
            choices: Vec::new(),
            seen: FxHashMap::default(),
            parts,
            part: 0,
            started: false,
            bounded: false,
        }
    }

    /// How many parts were met.
    #[must_use]
    pub fn parts_met(&self) -> usize {
        self.part
    }

    fn take_part(&mut self) -> bool {
        self.part += 1;
        self.parts.take(self.part - 1)
    }

    /// Preemptions after taking `choice` from `node`.
    fn preemptions_after(&self, node: &Node, choice: Choice) -> u32 {
        let choices = &self.choices[node.choices.0..node.choices.1];
        let preempted = |last: Actor| last != choice.actor && choices.iter().any(|other| other.actor == last);
        node.preemptions + u32::from(node.last.is_some_and(preempted))
    }

    /// Moves a node on to its next choice within the bound.
    fn settle(&mut self, number: usize) -> bool {
        loop {
            let node = self.nodes[number];
            let Some(&choice) = self.choices[node.choices.0..node.choices.1].get(node.next) else { return false };
            let after = self.preemptions_after(&node, choice);
            if self.options.preemptions.is_none_or(|most| after <= most) {
                return true;
            }
            self.bounded = true;
            self.nodes[number].next += 1;
        }
    }

    fn met_before(&mut self, point: &Point<'_>, preemptions: u32) -> bool {
        let Some(fingerprint) = point.fingerprint.filter(|_| self.options.cache_states) else { return false };
        let mut hash = Mixer::default();
        hash.add(fingerprint as u64);
        hash.add((fingerprint >> 64) as u64);
        if self.options.preemptions.is_some() {
            hash.add(point.last.map_or(u64::MAX, |actor| u64::from(actor.0)));
        }
        if self.seen.len() >= MAX_STATES && !self.seen.contains_key(&hash.finish()) {
            return false;
        }
        let made = self.seen.entry(hash.finish()).or_insert(u32::MAX);
        if *made <= preemptions {
            return true;
        }
        *made = preemptions;
        false
    }
}

impl<P: Parts> Policy for Dfs<P> {
    fn begin(&mut self) -> Option<usize> {
        if !std::mem::replace(&mut self.started, true) {
            return Some(0);
        }
        while let Some(last) = self.nodes.last_mut() {
            last.next += 1;
            self.choices.truncate(last.choices.1);
            let number = self.nodes.len() - 1;
            if self.settle(number) {
                return Some(number);
            }
            self.nodes.pop();
        }
        None
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        if self.nodes.len() == point.step {
            if point.step == self.options.split_depth && !self.take_part() {
                return Next::Abandon(Abandon::NotMine);
            }
            let before = self.nodes.last();
            let preemptions =
                before.map_or(0, |node| self.preemptions_after(node, self.choices[node.choices.0 + node.next]));
            if self.met_before(point, preemptions) {
                return Next::Abandon(Abandon::Seen);
            }
            let start = self.choices.len();
            self.choices.extend_from_slice(point.choices);
            let choices = (start, self.choices.len());
            self.nodes.push(Node { choices, next: 0, preemptions, last: point.last });
            // Who was last can always go on within the bound.
            self.settle(point.step);
        }
        let node = self.nodes[point.step];
        Next::Take(self.choices[node.choices.0 + node.next])
    }

    fn performed(&mut self, _step: &Step<'_>) {}

    fn end(&mut self, end: RunEnd, _waiting: &[Waiting]) -> bool {
        let short = self.nodes.len() <= self.options.split_depth && !matches!(end, RunEnd::Abandoned(_));
        !short || self.take_part()
    }

    fn wants_fingerprint(&self) -> bool {
        self.options.cache_states
    }

    fn left_out(&self) -> bool {
        self.bounded
    }
}
