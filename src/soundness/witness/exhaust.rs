//! A small search that leaves nothing out: every schedule of the program alone and beside itself, with empty maps and with
//! full ones, every failure of an allocation and every reuse of memory, and what other programs take in between.
//!
//! It shows that there is no harm if each of these searches is complete, no run ended for want of a model, and no number
//! from outside decided what a run does ([`super::dependence`]). Start at [`every_run`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::dependence::Dependence;
use crate::explore::finding::Finding;
use crate::explore::search::{Control, SearchError, SearchOptions, SearchResult, Strategy, search};
use crate::explore::simulation::Simulation;
use crate::explore::system::{Actor, Choice, Ending, Stability, System, Touch, Waiting};

/// A simulation that is watched for what depends on numbers from outside.
struct Watched {
    simulation: Simulation,
    dependence: Dependence,
    depends: Arc<AtomicBool>,
}

impl System for Watched {
    type Finding = Finding;

    fn actor_count(&self) -> usize {
        self.simulation.actor_count()
    }

    fn reset(&mut self) {
        self.simulation.reset();
        self.dependence.reset();
    }

    fn choices(&self, into: &mut Vec<Choice>) {
        self.simulation.choices(into);
    }

    fn waiting(&self, into: &mut Vec<Waiting>) {
        self.simulation.waiting(into);
    }

    fn perform(&mut self, choice: Choice) -> Result<(), Finding> {
        let done = self.simulation.perform_watched(choice, &mut self.dependence);
        if self.dependence.first().is_some() {
            self.depends.store(true, Ordering::Relaxed);
        }
        done
    }

    fn touches(&self) -> &[Touch] {
        self.simulation.touches()
    }

    fn stability(&self) -> Stability {
        self.simulation.stability()
    }

    fn ending(&mut self) -> Ending<Finding> {
        self.simulation.ending()
    }

    fn race(&self, first: (usize, Touch), second: (usize, Touch)) -> Option<Finding> {
        self.simulation.race(first, second)
    }

    fn key(finding: &Finding) -> String {
        Simulation::key(finding)
    }

    fn fingerprint(&self) -> Option<u128> {
        self.simulation.fingerprint()
    }

    fn actor_name(&self, actor: Actor) -> String {
        self.simulation.actor_name(actor)
    }
}

/// What came of all runs of a scenario.
pub(super) struct EveryRun {
    /// What they show.
    pub result: SearchResult<Finding>,
    /// Why they are not all that there can be, whatever numbers come from outside; `None` if they are.
    pub missing: Option<&'static str>,
}

/// Runs every schedule of a scenario, but no more than `most` and no longer than `time`; none after it is known that numbers from outside matter.
///
/// # Errors
/// If the simulation does not repeat itself.
pub(super) fn every_run(
    simulation: &Simulation,
    most: u64,
    max_steps: usize,
    time: Option<Duration>,
) -> Result<EveryRun, SearchError> {
    let depends = Arc::new(AtomicBool::new(false));
    let make =
        || Watched { simulation: simulation.clone(), dependence: Dependence::default(), depends: Arc::clone(&depends) };
    let options = SearchOptions {
        strategy: Strategy::Dpor,
        schedules: Some(most),
        time,
        max_steps,
        races: true,
        threads: 1,
        ..SearchOptions::default()
    };
    let result = search(&make, &options, Control { stop: &depends, progress: &|_| () })?;
    let undecided = result.findings.values().any(|found| found.finding.is_undecided());
    let missing = if depends.load(Ordering::Relaxed) {
        Some("what it does depends on numbers from outside")
    } else if undecided {
        Some("some runs need what is not modelled, or have no end")
    } else if !result.coverage.complete {
        Some("there are too many schedules")
    } else {
        None
    };
    Ok(EveryRun { result, missing })
}
