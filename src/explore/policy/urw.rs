//! Uniform random walk: each interleaving with about the same probability.
//!
//! A walk that gives each actor the same chance prefers schedules in which short actors end early. Weighing actors by the steps that they
//! have left makes interleavings equally likely (Zhao, Wolff, Mathur, Roychoudhury: *Selectively Uniform Concurrency Testing*, ASPLOS 2025).
//! How many steps an actor takes is known from a run before; where it is wrong, the walk is less uniform and nothing else.

use super::{Next, Point, Policy, RunEnd, Step};
use crate::explore::random::Random;
use crate::explore::system::Waiting;

/// URW. Run `n` of a seed is the same whatever runs came before it.
#[derive(Clone, Debug)]
pub struct Urw {
    seed: u64,
    runs: std::ops::Range<u64>,
    /// Steps of each actor, as far as known.
    lengths: Vec<usize>,
    left: Vec<usize>,
    random: Random,
}

impl Urw {
    /// The runs of these numbers; `lengths` are the steps that actors took in some run.
    #[must_use]
    pub fn new(seed: u64, runs: std::ops::Range<u64>, lengths: Vec<usize>) -> Urw {
        Urw { seed, runs, left: lengths.clone(), lengths, random: Random::new(seed, 0) }
    }

    fn weight(&self, actor: u16) -> usize {
        self.left.get(usize::from(actor)).copied().unwrap_or_default().max(1)
    }
}

impl Policy for Urw {
    fn begin(&mut self) -> Option<usize> {
        self.random = Random::new(self.seed, self.runs.next()?);
        self.left.clone_from(&self.lengths);
        Some(0)
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        let actors = point.choices.chunk_by(|one, other| one.actor == other.actor);
        let total: usize = actors.clone().map(|branches| self.weight(branches[0].actor.0)).sum();
        let mut ticket = self.random.below(total);
        for branches in actors {
            let weight = self.weight(branches[0].actor.0);
            if ticket < weight {
                return Next::Take(branches[self.random.below(branches.len())]);
            }
            ticket -= weight;
        }
        Next::Take(point.choices[0])
    }

    fn performed(&mut self, step: &Step<'_>) {
        if let Some(left) = self.left.get_mut(usize::from(step.choice.actor.0)) {
            *left = left.saturating_sub(1);
        }
    }

    fn end(&mut self, _end: RunEnd, _waiting: &[Waiting]) -> bool {
        true
    }
}
