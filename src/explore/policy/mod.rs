//! Who takes the next step: one trait, one file for each way to decide.
//!
//! | policy | covers | good for |
//! | --- | --- | --- |
//! | [`round_robin`] | one run | a first look; no surprises |
//! | [`random`] | what chance gives | nothing that [`urw`] is not better at, but it is what others measure |
//! | [`pct`] | bugs of a given depth, with a guaranteed probability | long runs, few orderings that matter |
//! | [`urw`] | every interleaving with nearly the same probability | long runs, many orderings that matter |
//! | [`mix`] | PCT and URW by turns | when nothing is known of the system |
//! | [`dfs`] | every schedule, or all within a bound | small systems, bounds, state caching |
//! | [`dpor`] | every trace once | all that it can exhaust |

pub mod dfs;
pub mod dpor;
pub mod mix;
pub mod pct;
pub mod random;
pub mod round_robin;
pub mod urw;
pub mod wakeup;

use super::system::{Actor, Choice, Stability, Touch, Waiting};

/// Where a run stands when a policy is asked.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// How many steps were taken.
    pub step: usize,
    /// What can be done; never empty, ascending.
    pub choices: &'a [Choice],
    /// Who took the last step.
    pub last: Option<Actor>,
    /// The state's digest, for policies that ask for it.
    pub fingerprint: Option<u128>,
}

impl Point<'_> {
    /// The first choice of the actor that took the last step, if it can go on; else the first choice of all.
    #[must_use]
    pub fn without_switch(&self) -> Option<Choice> {
        let same = self.choices.iter().find(|choice| Some(choice.actor) == self.last);
        same.or(self.choices.first()).copied()
    }
}

/// A step that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Whose, and which way it went.
    pub choice: Choice,
    /// What it touched.
    pub touches: &'a [Touch],
    /// How far it depends on what others did.
    pub stability: Stability,
    /// The run ended with it.
    pub ends_run: bool,
}

/// Why a run is not carried to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandon {
    /// All that would follow is covered by other runs.
    Redundant,
    /// Every step that could be taken leads to what other runs cover: work that an optimal reduction would not have begun.
    SleepBlocked,
    /// The order that was to be tried is not possible.
    Infeasible,
    /// The state was met before.
    Seen,
    /// What follows is not this search's part.
    NotMine,
}

/// A policy's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Take this step, one of the point's choices.
    Take(Choice),
    /// Go no further in this run.
    Abandon(Abandon),
}

/// How a run ended, for a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// No choices were left, or a step failed.
    Over,
    /// It has taken as many steps as it may.
    Cut,
    /// The policy gave it up.
    Abandoned(Abandon),
}

/// Decides the runs of a search.
pub trait Policy {
    /// Begins the next run and tells how many of the last run's first steps it repeats; `None` when there is nothing left to run.
    fn begin(&mut self) -> Option<usize>;

    /// Decides a step after the repeated ones.
    fn next(&mut self, point: &Point<'_>) -> Next;

    /// Hears what came of the step that it took.
    fn performed(&mut self, step: &Step<'_>);

    /// Hears how the run ended, and who was waiting. The answer: does the run count as part of this search?
    fn end(&mut self, end: RunEnd, waiting: &[Waiting]) -> bool;

    /// Does it ask for [`Point::fingerprint`]?
    fn wants_fingerprint(&self) -> bool {
        false
    }

    /// Did it leave out schedules because of a bound of its own?
    fn left_out(&self) -> bool {
        false
    }
}

/// Which parts of a tree of schedules a search explores: the tree is cut at a depth, and its parts are numbered in the order of a walk.
pub trait Parts {
    /// Is part `number` to be explored now?
    fn take(&mut self, number: usize) -> bool;
}

/// All parts.
#[derive(Clone, Copy, Debug)]
pub struct Everything;

impl Parts for Everything {
    fn take(&mut self, _number: usize) -> bool {
        true
    }
}

impl<F: FnMut(usize) -> bool> Parts for F {
    fn take(&mut self, number: usize) -> bool {
        self(number)
    }
}
