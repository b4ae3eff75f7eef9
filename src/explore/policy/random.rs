//! Each step at random, among the actors that can take one.

use super::{Next, Point, Policy, RunEnd, Step};
use crate::explore::random::Random;
use crate::explore::system::{Choice, Waiting};

/// A random walk. Run `n` of a seed is the same whatever runs came before it.
#[derive(Clone, Debug)]
pub struct RandomWalk {
    seed: u64,
    runs: std::ops::Range<u64>,
    random: Random,
}

impl RandomWalk {
    /// The runs of these numbers.
    #[must_use]
    pub fn new(seed: u64, runs: std::ops::Range<u64>) -> RandomWalk {
        RandomWalk { seed, runs, random: Random::new(seed, 0) }
    }

    /// A choice at random, branches counted as choices of their own.
    pub(in crate::explore) fn any(&mut self, choices: &[Choice]) -> Choice {
        choices[self.random.below(choices.len())]
    }
}

/// An actor at random, then one of its branches at random.
pub(super) fn pick(random: &mut Random, choices: &[Choice]) -> Choice {
    // Each is an actor's only one.
    if choices.array_windows().all(|[one, other]| one.actor != other.actor) {
        let choice = choices[random.below(choices.len())];
        random.below(1);
        return choice;
    }
    let actors = choices.chunk_by(|one, other| one.actor == other.actor);
    let number = random.below(actors.clone().count());
    let branches = actors.clone().nth(number).unwrap_or(choices);
    branches[random.below(branches.len())]
}

impl Policy for RandomWalk {
    fn begin(&mut self) -> Option<usize> {
        self.random = Random::new(self.seed, self.runs.next()?);
        Some(0)
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        Next::Take(pick(&mut self.random, point.choices))
    }

    fn performed(&mut self, _step: &Step<'_>) {}

    fn end(&mut self, _end: RunEnd, _waiting: &[Waiting]) -> bool {
        true
    }
}
