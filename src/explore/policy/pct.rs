//! Probabilistic concurrency testing: actors with random priorities that change at a few random steps.
//!
//! Burckhardt, Kothari, Musuvathi, Nagarakatti: *A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs* (ASPLOS 2010). A bug
//! that needs `d` steps in order is found by a run of `n` actors and `k` steps with a probability of at least 1/(n·k^(d-1)).

use super::{Next, Point, Policy, RunEnd, Step};
use crate::explore::random::Random;
use crate::explore::system::{Actor, Choice, Waiting};

/// PCT. Run `n` of a seed is the same whatever runs came before it.
#[derive(Clone, Debug)]
pub struct Pct {
    seed: u64,
    runs: std::ops::Range<u64>,
    depth: usize,
    steps: usize,
    random: Random,
    /// By actor; the highest goes first.
    priorities: Vec<u64>,
    changes: Vec<usize>,
    lowest: u64,
}

/// Initial priorities are above this; those after a change, below.
const BASE: u64 = 1 << 32;

impl Pct {
    /// The runs of these numbers, for bugs of `depth` steps in order (at least 1), in runs of about `steps` steps.
    #[must_use]
    pub fn new(seed: u64, runs: std::ops::Range<u64>, depth: usize, steps: usize) -> Pct {
        Pct {
            seed,
            runs,
            depth: depth.max(1),
            steps: steps.max(1),
            random: Random::new(seed, 0),
            priorities: Vec::new(),
            changes: Vec::new(),
            lowest: BASE,
        }
    }

    fn priority(&mut self, actor: Actor) -> u64 {
        while self.priorities.len() <= usize::from(actor.0) {
            self.priorities.push(BASE + (self.random.word() >> 1) / 2);
        }
        self.priorities[usize::from(actor.0)]
    }

    fn highest(&mut self, choices: &[Choice]) -> Actor {
        let mut best = (0, choices[0].actor);
        for choice in choices {
            let priority = self.priority(choice.actor);
            if priority > best.0 {
                best = (priority, choice.actor);
            }
        }
        best.1
    }
}

impl Policy for Pct {
    fn begin(&mut self) -> Option<usize> {
        self.random = Random::new(self.seed, self.runs.next()?);
        self.priorities.clear();
        self.lowest = BASE;
        self.changes.clear();
        for _ in 1..self.depth {
            let change = self.random.below(self.steps);
            self.changes.push(change);
        }
        Some(0)
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        let mut actor = self.highest(point.choices);
        // A change takes effect before the step that was drawn.
        if self.changes.contains(&point.step) {
            self.lowest -= 1;
            self.priorities[usize::from(actor.0)] = self.lowest;
            actor = self.highest(point.choices);
        }
        let branches =
            point.choices.chunk_by(|one, other| one.actor == other.actor).find(|chunk| chunk[0].actor == actor);
        let branches = branches.unwrap_or(point.choices);
        Next::Take(branches[self.random.below(branches.len())])
    }

    fn performed(&mut self, _step: &Step<'_>) {}

    fn end(&mut self, _end: RunEnd, _waiting: &[Waiting]) -> bool {
        true
    }
}
