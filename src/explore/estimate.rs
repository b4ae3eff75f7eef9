//! How much is there to explore? Knuth's estimate by random probes.
//!
//! A walk that takes each choice with the same probability weighs as much as the product of the numbers of choices that it met: on average
//! that is the number of schedules (Knuth: *Estimating the Efficiency of Backtrack Programs*, 1975). Divided by the number of schedules that
//! are equivalent to the walk, it is on average the number of traces. Both averages are exact, and scatter widely.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::causality::Causality;
use super::drive::{DriveError, Driver};
use super::policy::random::RandomWalk;
use super::policy::{Next, Point, Policy, RunEnd, Step};
use super::system::{System, Waiting};

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Schedules.
    pub schedules: f64,
    /// Mazurkiewicz traces; `None` if runs are too long to tell.
    pub traces: Option<f64>,
}

/// A probe meets at most so many sets of steps when it counts the schedules that are equivalent to it.
const MAX_IDEALS: usize = 1 << 14;

/// A random walk that takes every choice with the same probability.
struct Probe {
    walk: RandomWalk,
    run: Causality,
    /// Natural logarithm of the product.
    weight: f64,
}

impl Policy for Probe {
    fn begin(&mut self) -> Option<usize> {
        self.run.truncate(0);
        self.weight = 0.0;
        self.walk.begin()
    }

    fn next(&mut self, point: &Point<'_>) -> Next {
        self.weight += (point.choices.len() as f64).ln();
        Next::Take(self.walk.any(point.choices))
    }

    fn performed(&mut self, step: &Step<'_>) {
        self.run.push(step);
    }

    fn end(&mut self, end: RunEnd, waiting: &[Waiting]) -> bool {
        self.walk.end(end, waiting)
    }
}

/// Estimates by so many probes, or fewer if `stop` says so. Runs are cut after `max_steps` steps.
///
/// # Errors
/// [`DriveError`] if the system does not keep to its contract.
pub fn estimate<S: System>(
    system: S,
    seed: u64,
    probes: u64,
    max_steps: usize,
    stop: impl Fn() -> bool,
) -> Result<Estimate, DriveError> {
    let actors = system.actor_count();
    let mut driver = Driver::new(system, max_steps, false);
    let mut probe = Probe { walk: RandomWalk::new(seed, 0..probes), run: Causality::new(actors), weight: 0.0 };
    let (mut schedules, mut traces) = (0.0, Some(0.0));
    let mut done = 0;
    while !stop() && driver.run(&mut probe)?.is_some() {
        done += 1;
        schedules += probe.weight.exp();
        let extensions = traces.and_then(|_| linear_extensions(&probe.run, actors));
        traces = traces.zip(extensions).map(|(traces, extensions)| traces + probe.weight.exp() / extensions);
    }
    let mean = |sum: f64| sum / f64::from(done.max(1));
    Ok(Estimate { schedules: mean(schedules), traces: traces.map(mean) })
}

/// The number of schedules with the same happens-before order; `None` if it is too much work to count them.
#[must_use]
pub fn linear_extensions(run: &Causality, actors: usize) -> Option<f64> {
    let mut steps: Vec<Vec<usize>> = vec![Vec::new(); actors];
    for event in 0..run.len() {
        steps[usize::from(run.event(event).choice.actor.0)].push(event);
    }
    // Ways to come to each set of steps that is closed under what happens before, by size.
    let mut ways = FxHashMap::from_iter([(vec![0_u32; actors], 1.0_f64)]);
    let mut met = 0;
    for _ in 0..run.len() {
        let mut next: FxHashMap<Vec<u32>, f64> = FxHashMap::default();
        for (set, count) in &ways {
            for actor in 0..actors {
                let Some(&event) = steps[actor].get(set[actor] as usize) else { continue };
                let mut after = set.clone();
                after[actor] += 1;
                if run.clock(event).iter().zip(&after).all(|(needed, there)| needed <= there) {
                    *next.entry(after).or_default() += count;
                }
            }
        }
        met += next.len();
        if met > MAX_IDEALS {
            return None;
        }
        ways = next;
    }
    ways.into_values().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::toy::{Op, Toy};

    #[test]
    fn systems_without_variance_are_estimated_exactly() {
        let alone = Toy::new((0..3).map(|actor| vec![Op::Write(actor, 1)]).collect(), 3, 0);
        let guess = estimate(alone, 0, 8, 100, || false).expect("a toy keeps to its contract");
        assert_eq!((guess.schedules.round(), guess.traces.map(f64::round)), (6.0, Some(1.0)));
        let guess = estimate(Toy::race(2, 1), 0, 8, 100, || false).expect("a toy keeps to its contract");
        assert_eq!((guess.schedules.round(), guess.traces.map(f64::round)), (2.0, Some(2.0)));
    }

    #[test]
    fn the_average_comes_near_the_truth() {
        // 8! / (4! 4!) = 70 schedules, all of them traces.
        let guess = estimate(Toy::race(2, 4), 1, 2000, 100, || false).expect("a toy keeps to its contract");
        assert!((65.0..75.0).contains(&guess.schedules), "{guess:?}");
        assert!(guess.traces.is_some_and(|traces| (65.0..75.0).contains(&traces)), "{guess:?}");
    }
}
