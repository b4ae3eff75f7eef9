//! One run: each actor a step in turn.

use super::{Next, Point, Policy, RunEnd, Step};
use crate::explore::system::Waiting;

/// Each actor so many steps in turn, always the usual branch.
#[derive(Clone, Debug)]
pub struct RoundRobin {
    quantum: usize,
    taken: usize,
    done: bool,
}

impl RoundRobin {
    /// Turns of `quantum` steps, at least one.
    #[must_use]
    pub fn new(quantum: usize) -> RoundRobin {
        RoundRobin { quantum: quantum.max(1), taken: 0, done: false }
    }
}

impl Policy for RoundRobin {
    fn begin(&mut self) -> Option<usize> {
        let first = !std::mem::replace(&mut self.done, true);
        self.taken = 0;
        first.then_some(0)
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        let stay = self.taken < self.quantum;
        let same = point.choices.iter().find(|choice| stay && Some(choice.actor) == point.last);
        let after = point.choices.iter().find(|choice| Some(choice.actor) > point.last);
        let choice = same.or(after).unwrap_or(&point.choices[0]);
        if Some(choice.actor) != point.last {
            self.taken = 0;
        }
        self.taken += 1;
        Next::Take(*choice)
    }

    fn performed(&mut self, _step: &Step<'_>) {}

    fn end(&mut self, _end: RunEnd, _waiting: &[Waiting]) -> bool {
        true
    }
}
