//! A small search that leaves nothing out: every schedule of the program alone and beside itself, with empty maps and with
//! full ones, every failure of an allocation and every reuse of memory, and what other programs take in between.
//!
//! It shows that there is no harm if each of these searches is complete, no run ended for want of a model, and no number
//! from outside decided what a run does ([`super::dependence`]). Where such numbers decide only which way the program goes,
//! a second search takes both ways at each of these places. Its runs are all that there can be and some that there cannot:
//! if none of them does harm, no input does; if one does, nothing is known, since perhaps no input leads there. Start at
//! [`every_run`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::dependence::Dependence;
use crate::explore::finding::Finding;
use crate::explore::search::{Control, SearchError, SearchOptions, SearchResult, Strategy, search};
use crate::explore::simulation::Simulation;
use crate::explore::system::{Actor, Choice, Ending, Stability, System, Touch, TouchKind, Waiting};

/// The first of the ways of a step that its numbers do not say.
const OTHER_WAY: u16 = 1;

/// What ends a search early.
#[derive(Debug, Default)]
struct Stop {
    now: AtomicBool,
    depends: AtomicBool,
    /// Would both ways have done where it depended?
    between_ways: AtomicBool,
    /// Instructions so far, of all runs.
    insns: AtomicU64,
    /// Has a program changed anything that others see?
    changes: AtomicBool,
}

/// A simulation that is watched for what depends on numbers from outside.
struct Watched {
    simulation: Simulation,
    dependence: Dependence,
    ways: Ways,
    /// Steps of this run, and how many it may have.
    steps: usize,
    max_steps: usize,
    /// Instructions of all runs together.
    max_insns: u64,
    stop: Arc<Stop>,
}

impl System for Watched {
    type Finding = Finding;

    fn actor_count(&self) -> usize {
        self.simulation.actor_count()
    }

    fn reset(&mut self) {
        self.simulation.reset();
        self.dependence.reset();
        self.steps = 0;
    }

    fn choices(&self, into: &mut Vec<Choice>) {
        let before = into.len();
        self.simulation.choices(into);
        let machine = self.simulation.machine();
        let others = |choice: &Choice| {
            let task = self.simulation.machine_task(choice.actor);
            let ways = task.map_or(1, |task| self.dependence.ways(machine, task));
            let choice = *choice;
            (OTHER_WAY..ways).map(move |branch| Choice { branch, ..choice })
        };
        let more: Vec<Choice> = into[before..].iter().flat_map(others).collect();
        if !more.is_empty() {
            into.extend(more);
            into[before..].sort_unstable();
        }
    }

    fn waiting(&self, into: &mut Vec<Waiting>) {
        self.simulation.waiting(into);
    }

    fn perform(&mut self, choice: Choice) -> Result<(), Finding> {
        let before = self.simulation.machine().steps();
        // What others do besides the program is not asked.
        let is_own = self.simulation.machine_task(choice.actor).is_some();
        let done = self.simulation.perform_watched(choice, &mut self.dependence);
        let executed = self.simulation.machine().steps().saturating_sub(before);
        if self.stop.insns.fetch_add(executed, Ordering::Relaxed) >= self.max_insns {
            self.stop.now.store(true, Ordering::Relaxed);
        }
        if self.dependence.first().is_some() {
            self.stop.between_ways.store(self.dependence.is_between_ways(), Ordering::Relaxed);
            self.stop.depends.store(true, Ordering::Relaxed);
            self.stop.now.store(true, Ordering::Relaxed);
        }
        let changes = |touch: &Touch| touch.kind.writes() && touch.kind != TouchKind::Release;
        if is_own && self.simulation.touches().iter().any(changes) {
            self.stop.changes.store(true, Ordering::Relaxed);
        }
        // Runs in both ways are no witnesses, so that nothing is lost if they are not all.
        self.steps += 1;
        let undecided = done.as_ref().err().is_some_and(Finding::is_undecided) || self.steps >= self.max_steps;
        if self.ways == Ways::Both && undecided {
            self.stop.now.store(true, Ordering::Relaxed);
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

/// Which runs a search takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// Those of one input.
    OfOneInput,
    /// Both ways at each place where a number from outside decides between two.
    Both,
}

/// Why the runs of a search are not all that there can be, whatever numbers come from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Numbers from outside decide between two ways, and only one was taken.
    Ways,
    /// Numbers from outside decide more than that.
    Numbers,
    /// Some runs ended for want of a model, or were cut.
    Models,
    /// There are more than were tried.
    Schedules,
    /// A run shows such harm, though not after the rejected instruction: another one may.
    Elsewhere,
    /// A run that takes both ways shows the harm: an input may lead there.
    Input,
}

impl Missing {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Missing::Ways | Missing::Numbers => "what it does depends on numbers from outside",
            Missing::Models => "some runs need what is not modelled, or have no end",
            Missing::Schedules => "there are too many schedules",
            Missing::Elsewhere => "a run does it that had not executed the instruction",
            Missing::Input => {
                "a run in which numbers from outside decide otherwise does it, and no input was found that leads there"
            }
        }
    }
}

/// What came of all runs of a scenario.
pub(super) struct EveryRun {
    /// Which they are.
    pub ways: Ways,
    /// What they show.
    pub result: SearchResult<Finding>,
    /// Why they are not all; `None` if they are.
    pub missing: Option<Missing>,
    /// Did the program change in any of them what others see?
    pub changes: bool,
}

/// Bounds of a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// Runs.
    pub runs: u64,
    /// Steps of a run.
    pub steps: usize,
    /// Instructions of all runs together.
    pub insns: u64,
    /// How long it may take.
    pub time: Option<Duration>,
}

/// Runs every schedule of a scenario within bounds; none after it is known that there may be others.
///
/// # Errors
/// If the simulation does not repeat itself.
pub(super) fn every_run(simulation: &Simulation, ways: Ways, most: Most) -> Result<EveryRun, SearchError> {
    let stop = Arc::new(Stop::default());
    let dependence = match ways {
        Ways::OfOneInput => Dependence::default(),
        Ways::Both => Dependence::both_ways(),
    };
    let make = || Watched {
        simulation: simulation.clone(),
        dependence: dependence.clone(),
        ways,
        steps: 0,
        max_steps: most.steps,
        max_insns: most.insns,
        stop: Arc::clone(&stop),
    };
    let options = SearchOptions {
        strategy: Strategy::Dpor,
        schedules: Some(most.runs),
        time: most.time,
        max_steps: most.steps,
        races: true,
        threads: 1,
        ..SearchOptions::default()
    };
    let result = search(&make, &options, Control { stop: &stop.now, progress: &|_| () })?;
    let undecided = result.findings.values().any(|found| found.finding.is_undecided());
    let missing = if stop.depends.load(Ordering::Relaxed) {
        let between_ways = stop.between_ways.load(Ordering::Relaxed);
        Some(if between_ways { Missing::Ways } else { Missing::Numbers })
    } else if undecided {
        Some(Missing::Models)
    } else if !result.coverage.complete {
        Some(Missing::Schedules)
    } else {
        None
    };
    Ok(EveryRun { ways, result, missing, changes: stop.changes.load(Ordering::Relaxed) })
}
