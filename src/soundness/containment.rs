//! Is what programs do what the verifier reckoned with?
//!
//! An accepted program runs in the machine, with random inputs under random schedules. Before each instruction its registers and stack
//! must lie in an abstract state that the verifier had there, all in the same one, and the references that it holds must be counted in it.
//! The abstract states come out of a log of level 2, our own verifier's or a kernel's. And nothing that an accepted program does may be a
//! fault of the machine, but for what the kernel's verifier does not promise ([`TOLERATED`]).
//!
//! [`Accepted`] holds the traces, [`Check::scenario`] and [`Check::program`] do runs. Of a log [`Trace`] is made, by which [`follow`]
//! follows a run; [`within`] says whether a state contains another.

pub mod follow;
pub mod inputs;
pub mod log;
pub mod tolerated;
pub mod trace;
pub mod value;
pub mod watched;
pub mod within;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

pub use follow::{Counts, Violation};
pub use tolerated::{GapAfter, KERNEL_GAPS, KernelGap, TOLERATED, Tolerated, kernel_gap, reason, tolerated};
pub use trace::{Trace, TraceError};
pub use watched::{Found, Passed};

use crate::explore::drive::{DriveError, Driver};
use crate::explore::finding::Finding;
use crate::explore::policy::Policy;
use crate::explore::policy::mix::Mix;
use crate::explore::simulation::{Simulation, SimulationError};
use crate::explore::system::Choice;
use crate::kernel::Profile;
use crate::machine::{End, Machine, MachineOptions, Place};
use crate::object::{Object, Program};
use crate::scenario::Scenario;
use crate::verifier::{LogLevel, ObjectVerifier, Options, Verdict};
use follow::Follower;
use inputs::{Inputs, cpus_of};
use watched::Watched;

/// Instructions that a verification may process so that its log is held in memory.
pub const MAX_PROCESSED: u64 = 100_000;

/// Instructions that may be processed when no path is left because another one covers it; where more are needed, paths are left.
pub const MAX_ALL_PATHS: u32 = 20_000;

/// What follows a fault's name in [`Outcome::undecided`] where nobody had accepted the program.
pub const UNVERIFIED: &str = " in a program that was not verified";

/// Why a program is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The verifier refuses it: the rule's text.
    Rejected(String),
    /// The verifier does not model what it needs.
    Unsupported(String),
    /// It needs so many processed instructions.
    TooLong(u64),
}

/// Programs that the verifier accepts, with their traces.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// Traces by the programs' names.
    pub traces: BTreeMap<String, Arc<Trace>>,
    /// Those of which there is none, and why.
    pub skipped: BTreeMap<String, Skipped>,
}

impl Accepted {
    /// Verifies programs and keeps the traces of those that are accepted.
    ///
    /// # Errors
    /// [`TraceError`] if our own log cannot be read: a mistake of this room.
    pub fn verify<'p>(
        object: &Object,
        profile: &Profile,
        programs: impl IntoIterator<Item = &'p Program>,
    ) -> Result<Accepted, TraceError> {
        let silent = ObjectVerifier::new(object, profile, Options::default());
        let pruned = Options { log_level: LogLevel::Detailed, whole_states: true, ..Options::default() };
        let all = Options { all_paths: true, max_processed: Some(MAX_ALL_PATHS), ..pruned.clone() };
        let [pruned, all] = [pruned, all].map(|options| ObjectVerifier::new(object, profile, options));
        let mut accepted = Accepted::default();
        for program in programs {
            let verification = silent.verify(program);
            let processed = verification.statistics.insns_processed as u64;
            let skipped = match verification.verdict {
                Verdict::Accept if processed <= MAX_PROCESSED => {
                    let mut verification = all.verify(program);
                    if verification.verdict != Verdict::Accept {
                        verification = pruned.verify(program);
                    }
                    accepted.add_log(&program.name, &verification.log)?;
                    continue;
                }
                Verdict::Accept => Skipped::TooLong(processed),
                Verdict::Reject(rejection) => Skipped::Rejected(rejection.rule.to_string()),
                Verdict::Unsupported(what) => Skipped::Unsupported(what),
            };
            accepted.skipped.insert(program.name.clone(), skipped);
        }
        Ok(accepted)
    }

    /// Takes the log of a program that somebody else has accepted, such as a kernel.
    ///
    /// # Errors
    /// [`TraceError`] if the log cannot be read.
    pub fn add_log(&mut self, program: &str, log: &str) -> Result<(), TraceError> {
        self.traces.insert(program.to_owned(), Arc::new(Trace::parse(log)?));
        self.skipped.remove(program);
        Ok(())
    }
}

/// Which run it was: the same again gives the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId {
    /// The seed.
    pub seed: u64,
    /// The run's number.
    pub number: u64,
    /// Its schedule.
    pub choices: Vec<Choice>,
}

/// A finding, the first of its kind and place.
#[derive(Debug)]
pub struct Reported {
    /// What was found.
    pub found: Found,
    /// In which run.
    pub run: RunId,
    /// The kernel's known gap that it is, or that the run went through before.
    pub gap: Option<&'static KernelGap>,
    /// In how many runs.
    pub times: u64,
    /// The machine as the run left it.
    pub machine: Box<Machine>,
}

/// What runs came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Runs that were made.
    pub runs: u64,
    /// Runs that were cut for their length.
    pub cut: u64,
    /// How much was checked.
    pub counts: Counts,
    /// What speaks against verifier or machine, by [`Found::key`].
    pub findings: BTreeMap<String, Reported>,
    /// What the kernel's verifier does not promise, by kind: in how many runs.
    pub tolerated: BTreeMap<&'static str, u64>,
    /// Runs that ended for want of a model or at a limit, by what was missing.
    pub undecided: BTreeMap<String, u64>,
}

impl Outcome {
    /// Both together.
    pub fn merge(&mut self, other: Outcome) {
        self.runs += other.runs;
        self.cut += other.cut;
        self.counts.add(other.counts);
        for (key, reported) in other.findings {
            match self.findings.entry(key) {
                std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().times += reported.times,
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(reported);
                }
            }
        }
        other.tolerated.into_iter().for_each(|(kind, runs)| *self.tolerated.entry(kind).or_default() += runs);
        other.undecided.into_iter().for_each(|(what, runs)| *self.undecided.entry(what).or_default() += runs);
    }
}

/// Why runs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The scenario does not run on the machine.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The explorer found the machine not to repeat itself.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

/// Runs of an object's programs, held against traces.
#[derive(Clone, Debug)]
pub struct Check {
    /// The object.
    pub object: Arc<Object>,
    /// Programs and their traces.
    pub accepted: Accepted,
    /// What the machine is given; CPUs come from the scenario.
    pub options: MachineOptions,
    /// Steps of the scheduler in one run, at most.
    pub max_steps: usize,
    /// What is random comes from this.
    pub seed: u64,
    /// Are the kernel's known gaps findings too, and what runs come to behind them? Otherwise a run ends at one, and it is tolerated.
    pub known: bool,
}

impl Check {
    /// Runs a scenario under schedules of those numbers.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn scenario(&self, scenario: &Scenario, runs: Range<u64>) -> Result<Outcome, CheckError> {
        let simulation = Simulation::new(scenario, &self.object, self.options.clone())?;
        let mut outcome = Outcome::default();
        self.drive(simulation, runs, &mut outcome)?;
        Ok(outcome)
    }

    /// Runs a program on inputs of those numbers: those of even number by itself, those of odd number on each of so many CPUs at once.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn program(&self, program: &Program, cpus: u32, runs: Range<u64>) -> Result<Outcome, CheckError> {
        let mut outcome = Outcome::default();
        for number in runs {
            let mut inputs = Inputs::new(self.seed, number);
            let mut scenario = inputs.scenario(program, cpus_of(number, cpus));
            // What maps hold, and what a scenario asks of outcomes, is not looked at.
            scenario.observe = Some(Vec::new());
            let options = self.options.clone();
            let made = Simulation::prepared(&scenario, &self.object, options, |machine| inputs.fill(machine));
            match made {
                Ok(simulation) => self.drive(simulation, number..number + 1, &mut outcome)?,
                Err(SimulationError::Setup { error, .. }) => {
                    outcome.runs += 1;
                    *outcome.undecided.entry(error.to_string()).or_default() += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcome)
    }

    fn drive(&self, simulation: Simulation, runs: Range<u64>, outcome: &mut Outcome) -> Result<(), CheckError> {
        let machine = simulation.machine();
        let traces = Arc::new(self.accepted.traces.clone());
        let follower = Follower::new(traces, Arc::new(within::MapName::all(machine.object())));
        let mut driver = Driver::new(Watched::new(simulation, follower, self.known), self.max_steps, true);
        for number in runs {
            let mut policy = Mix::new(self.seed, number..number + 1, Vec::new());
            self.one(&mut driver, &mut policy, number, outcome)?;
        }
        outcome.counts.add(driver.system().follower.counts());
        Ok(())
    }

    fn one(
        &self,
        driver: &mut Driver<Watched>,
        policy: &mut impl Policy,
        number: u64,
        outcome: &mut Outcome,
    ) -> Result<(), CheckError> {
        let Some(run) = driver.run(policy)? else { return Ok(()) };
        outcome.runs += 1;
        outcome.cut += u64::from(run.end == crate::explore::policy::RunEnd::Cut);
        let mut all: BTreeMap<String, Found> = BTreeMap::new();
        let system = driver.system();
        let passed = system.passed().cloned();
        let gap = passed.as_ref().map(|passed| passed.gap);
        for found in run.findings.into_iter().chain(passed.map(|passed| Found::Outside(passed.violation))) {
            all.entry(found.key()).or_insert(found);
        }
        let mut tolerated = BTreeSet::new();
        let mut undecided = BTreeSet::new();
        for (key, found) in all {
            match self.weigh(&found, system.simulation.machine()) {
                Weight::Tolerated(kind) => {
                    tolerated.insert(kind);
                    continue;
                }
                Weight::Undecided(what) => {
                    undecided.insert(what);
                    continue;
                }
                Weight::Counts => {}
            }
            let reported = outcome.findings.entry(key).or_insert_with(|| Reported {
                found,
                run: RunId { seed: self.seed, number, choices: driver.schedule().to_vec() },
                gap,
                times: 0,
                machine: Box::new(system.simulation.machine().clone()),
            });
            reported.times += 1;
        }
        tolerated.into_iter().for_each(|kind| *outcome.tolerated.entry(kind).or_default() += 1);
        undecided.into_iter().for_each(|what| *outcome.undecided.entry(what).or_default() += 1);
        Ok(())
    }

    /// Does a finding speak against verifier or machine?
    fn weigh(&self, found: &Found, machine: &Machine) -> Weight {
        let program = |place: Place| machine.programs().get(place.program as usize).map(|program| program.source());
        match found {
            Found::Outside(violation) => {
                let gap = program(violation.at.place).and_then(|program| kernel_gap(violation, program));
                gap.filter(|_| !self.known).map_or(Weight::Counts, |gap| Weight::Tolerated(gap.kind))
            }
            Found::Run(Finding::Ended(End::Unsupported(what))) => Weight::Undecided(what.what.clone()),
            Found::Run(Finding::Ended(End::Limit(limit, _))) => Weight::Undecided(limit.to_string()),
            Found::Run(Finding::Ended(End::Fault(fault)))
                if program(fault.at.place).is_none_or(|program| !self.accepted.traces.contains_key(&program.name)) =>
            {
                Weight::Undecided(format!("{}{UNVERIFIED}", fault.kind.name()))
            }
            Found::Run(finding) => tolerated(finding).map_or(Weight::Counts, |one| Weight::Tolerated(one.kind)),
        }
    }
}

/// What a finding says.
enum Weight {
    /// Verifier or machine is wrong.
    Counts,
    /// Nothing: the kernel's verifier does not promise it.
    Tolerated(&'static str),
    /// Nothing: this was missing.
    Undecided(String),
}
