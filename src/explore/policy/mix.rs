//! PCT and URW by turns: what suits few orderings, and what suits many.

use super::pct::Pct;
use super::urw::Urw;
use super::{Next, Point, Policy, RunEnd, Step};
use crate::explore::system::Waiting;

/// PCT of depth 2, 3 and 4 in every other run, URW in the others.
#[derive(Clone, Debug)]
pub struct Mix {
    seed: u64,
    runs: std::ops::Range<u64>,
    lengths: Vec<usize>,
    now: Turn,
}

#[derive(Clone, Debug)]
enum Turn {
    Pct(Pct),
    Urw(Urw),
}

impl Mix {
    /// The runs of these numbers; `lengths` are the steps that actors took in some run.
    #[must_use]
    pub fn new(seed: u64, runs: std::ops::Range<u64>, lengths: Vec<usize>) -> Mix {
        let now = Turn::Urw(Urw::new(seed, 0..0, Vec::new()));
        Mix { seed, runs, lengths, now }
    }
}

impl Policy for Mix {
    fn begin(&mut self) -> Option<usize> {
        let run = self.runs.next()?;
        let only = run..run + 1;
        self.now = if run % 2 == 0 {
            Turn::Urw(Urw::new(self.seed, only, self.lengths.clone()))
        } else {
            let steps = self.lengths.iter().sum();
            Turn::Pct(Pct::new(self.seed, only, 2 + (run / 2 % 3) as usize, steps))
        };
        match &mut self.now {
            Turn::Pct(pct) => pct.begin(),
            Turn::Urw(urw) => urw.begin(),
        }
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        match &mut self.now {
            Turn::Pct(pct) => pct.next(point),
            Turn::Urw(urw) => urw.next(point),
        }
    }

    fn performed(&mut self, step: &Step<'_>) {
        match &mut self.now {
            Turn::Pct(pct) => pct.performed(step),
            Turn::Urw(urw) => urw.performed(step),
        }
    }

    fn end(&mut self, _end: RunEnd, _waiting: &[Waiting]) -> bool {
        true
    }
}
