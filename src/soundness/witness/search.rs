//! The hunt itself: scenario after scenario, each under several schedules, until one shows the harm or the bounds are met.
//!
//! Inputs are found as a small fuzzer finds them: what takes a step that no run had taken before is kept and changed further,
//! at random and so that comparisons turn (`operands`). Where nothing shows the harm, all runs of a few small scenarios are tried, to say that there is none.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::exhaust::{EveryRun, Missing, Most, Ways, every_run};
use super::harm::Harm;
use super::inputs::{Maker, Start};
use super::judge::judge;
use super::operands::{Executed, Jumps};
use super::plans::{ALONE, FIRST, Shape, WHOLE, scenario, shapes};
use super::{Answer, Bounds, Subject, Tried, Witness};
use crate::explore::finding::Finding;
use crate::explore::random::Random;
use crate::explore::search::{Control, SearchOptions, SearchResult, Strategy, search};
use crate::explore::simulation::{Simulation, SimulationError};
use crate::explore::system::{Choice, System};
use crate::machine::{End, MachineOptions, SetupError};
use crate::object::AttachKind;
use crate::scenario::Scenario;

mod turning;

/// Schedules of a scenario: of one CPU, of two.
const SCHEDULES: (u64, u64) = (16, 64);
/// Schedules of a scenario whose runs are long, and from how many steps on they are.
const SCHEDULES_OF_LONG: u64 = 4;
const LONG: usize = 300;
/// Instructions that cost as much as a step of a schedule.
const INSNS_OF_A_STEP: usize = 50;
/// Steps of a run at most.
const MAX_STEPS: usize = 2000;
/// Instructions after which a run is taken to have no end, where that is what is looked for, and steps: more.
const ENDLESS: u64 = 20_000;
const ENDLESS_STEPS: usize = 30_000;
/// Instructions and steps of the one long run that is tried where runs were cut.
const LONG_INSNS: u64 = 12_000_000;
const LONG_STEPS: usize = 2_100_000;
/// Instructions that all runs may execute together, but for the one long run and those of which all are tried: a loop that goes on and on
/// is no reason to look for hours.
const MOST_INSNS: u64 = 20_000_000;
/// Inputs that are tried before companions are, and after.
const INPUTS: (u64, u64) = (64, 256);
/// Rules whose harm the machine does not look for wherever it may be: what lies behind a context is not modelled.
const UNJUDGED: [&str; 1] = ["invalid-context-access"];
/// Readings that leave maps empty though others take from them, and pointers whole.
const EMPTIED: [u64; 1] = [3];
/// Runs of a scenario of which all are tried, at most, and instructions that these may execute together.
const EVERY: u64 = 200_000;
const EVERY_INSNS: u64 = 30_000_000;
/// Other findings and missing models that are kept to be told.
const MAX_NOTES: usize = 8;

/// What all runs of a few scenarios come to.
enum Whole {
    /// One shows the harm.
    Shown(Box<Witness>),
    /// None does, and there are no others.
    Harmless,
    /// None does, but there may be others.
    Unknown,
}

/// A hunt under way.
pub(super) struct Hunt<'a> {
    subject: &'a Subject<'a>,
    harms: &'static [Harm],
    options: MachineOptions,
    max_steps: usize,
    bounds: &'a Bounds,
    stop: &'a AtomicBool,
    begun: Instant,
    random: Random,
    maker: Maker,
    jumps: Jumps,
    /// Inputs that took a new step.
    corpus: Vec<Start>,
    /// Of these, the ones that came to the rejected instruction.
    reaching: Vec<Start>,
    /// In how many of the corpus numbers were turned.
    turned: usize,
    /// Runs that this took.
    turns: u64,
    covered: Vec<bool>,
    /// Pairs of instructions that runs executed one after the other.
    steps: BTreeSet<(u32, u32)>,
    others: BTreeSet<String>,
    unsupported: BTreeSet<String>,
    /// Was a run cut for its length?
    cut: bool,
    /// Instructions that runs executed.
    executed: u64,
    tried: Tried,
}

impl<'a> Hunt<'a> {
    pub fn new(
        subject: &'a Subject<'a>,
        harms: &'static [Harm],
        options: &MachineOptions,
        bounds: &'a Bounds,
        stop: &'a AtomicBool,
    ) -> Hunt<'a> {
        let endless = harms.contains(&Harm::Endless);
        let (most, max_steps) = if endless { (ENDLESS, ENDLESS_STEPS) } else { (u64::MAX, MAX_STEPS) };
        Hunt {
            subject,
            harms,
            options: MachineOptions { max_insns: bounds.max_insns.min(most), ..options.clone() },
            max_steps,
            bounds,
            stop,
            begun: Instant::now(),
            random: Random::new(bounds.seed, 0),
            maker: Maker::new(subject.object, subject.program, options.pid),
            jumps: Jumps::of(subject.program),
            corpus: Vec::new(),
            reaching: Vec::new(),
            turned: 0,
            turns: 0,
            covered: vec![false; subject.program.insns.len()],
            steps: BTreeSet::new(),
            others: BTreeSet::new(),
            unsupported: BTreeSet::new(),
            cut: false,
            executed: 0,
            tried: Tried::default(),
        }
    }

    pub fn run(mut self) -> Answer {
        let found = self.stages().map_or_else(|| self.every(), |witness| Whole::Shown(Box::new(witness)));
        self.tried.covered = self.covered.iter().filter(|covered| **covered).count();
        self.tried.reached = self.subject.insn.is_some_and(|insn| self.covered.get(insn) == Some(&true));
        self.tried.others = self.others.into_iter().collect();
        self.tried.unsupported = self.unsupported.into_iter().collect();
        match found {
            Whole::Shown(witness) => Answer::Shown(witness, self.tried),
            Whole::Harmless => Answer::Harmless(self.tried),
            Whole::Unknown => Answer::NotFound(self.tried),
        }
    }

    /// Tries all runs of a few scenarios.
    fn every(&mut self) -> Whole {
        let traced =
            matches!(self.subject.program.section.attach_kind, AttachKind::Function | AttachKind::RawTracepoint);
        let unjudged = [Harm::Address, Harm::Result].iter().any(|harm| self.harms.contains(harm));
        if unjudged || UNJUDGED.contains(&self.subject.rejection.rule.id()) {
            self.tried.missing = Some("the machine does not look for such harm in every run");
            return Whole::Unknown;
        }
        let mut changes = false;
        for (shape, stocked) in WHOLE {
            // Two that change nothing which the other sees do what each does alone.
            if matches!(shape, Shape::Beside(_)) && !changes {
                continue;
            }
            // A traced function has no arguments where nobody gives it any.
            let start = Start { stocked: stocked || traced, ..Start::default() };
            let mut tried = self.every_of(shape, &start);
            // What only a filled world has a model of is there, too, where others have emptied the maps.
            if matches!(&tried, Some((.., every)) if !start.stocked && lacks_model(&every.result)) {
                let emptied = Start { stocked: true, readings: EMPTIED.to_vec(), ..Start::default() };
                tried = self.every_of(shape, &emptied);
            }
            let Some((witness, every)) = tried else { return Whole::Unknown };
            if let Some(witness) = witness {
                return Whole::Shown(Box::new(witness));
            }
            changes |= every.changes;
            self.tried.missing = every.missing.map(Missing::words);
            if self.tried.missing.is_some() {
                return Whole::Unknown;
            }
        }
        Whole::Harmless
    }

    /// Tries all runs of one scenario, both ways where numbers from outside decide between two: which shows the harm, and what came of
    /// them; `None` if they could not be tried.
    fn every_of(&mut self, shape: Shape<'_>, start: &Start) -> Option<(Option<Witness>, EveryRun)> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let scenario = scenario(self.subject, shape, start);
        let mut simulation = self.simulate(&scenario)?;
        let mut every = self.every_run(&simulation, Ways::OfOneInput)?;
        let witness = self.best(&scenario, &every.result, &mut simulation);
        if witness.is_none() && every.missing == Some(Missing::Ways) {
            self.tried.both_ways = true;
            every = self.every_run(&simulation, Ways::Both)?;
        }
        if every.missing.is_none() && self.may_show(&simulation, &every.result) {
            every.missing = Some(match every.ways {
                Ways::OfOneInput => Missing::Elsewhere,
                Ways::Both => Missing::Input,
            });
        }
        Some((witness, every))
    }

    /// All runs of a scenario, within what is left of the time.
    fn every_run(&mut self, simulation: &Simulation, ways: Ways) -> Option<EveryRun> {
        let time = self.bounds.time.map(|time| time.saturating_sub(self.begun.elapsed()));
        let every =
            every_run(simulation, ways, Most { runs: EVERY, steps: self.max_steps, insns: EVERY_INSNS, time }).ok()?;
        self.tried.runs += every.result.coverage.explored;
        Some(every)
    }

    /// Might any of the findings be the harm? What is known of a finding is only the first run that showed it.
    fn may_show(&self, simulation: &Simulation, result: &SearchResult<Finding>) -> bool {
        let Some(program) = self.number_in(simulation) else { return true };
        let executed = vec![true; self.covered.len()];
        let mut findings = result.findings.values();
        findings.any(|found| judge(self.subject, self.harms, program, &found.finding, &executed).is_some())
    }

    fn is_over(&self) -> bool {
        self.is_out_of_bounds() || self.executed >= MOST_INSNS
    }

    fn is_out_of_bounds(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.tried.runs >= self.bounds.runs
            || self.bounds.time.is_some_and(|time| self.begun.elapsed() >= time)
    }

    fn stages(&mut self) -> Option<Witness> {
        let shapes = shapes(self.subject);
        let (first, rest) = shapes.split_at(FIRST);
        let (alone, first) = first.split_at(ALONE);
        let stocked = Start { stocked: true, ..Start::default() };
        let emptied = Start { readings: EMPTIED.to_vec(), ..stocked.clone() };
        let plain = [Start::default(), stocked.clone(), emptied];
        if let found @ Some(_) = self.in_shapes(alone, &plain) {
            return found;
        }
        self.corpus.extend(plain.clone());
        for start in self.maker.frames().into_iter().chain(self.maker.sizes()) {
            if let found @ Some(_) = self.try_input(&start) {
                return found;
            }
        }
        if let found @ Some(_) = self.turn() {
            return found;
        }
        if let found @ Some(_) = self.in_shapes(first, &plain) {
            return found;
        }
        if let found @ Some(_) = self.fuzz(INPUTS.0) {
            return found;
        }
        if let found @ Some(_) = self.turn() {
            return found;
        }
        // The inputs that came furthest go with companions.
        let furthest = if self.reaching.is_empty() { &self.corpus } else { &self.reaching };
        let mut starts: Vec<Start> = furthest.iter().rev().take(2).cloned().collect();
        for plain in [stocked, Start::default()] {
            if !starts.contains(&plain) {
                starts.push(plain);
            }
        }
        if let found @ Some(_) = self.long(&starts) {
            return found;
        }
        for &shape in rest {
            for start in starts.iter().rev() {
                if self.is_over() {
                    return None;
                }
                if let found @ Some(_) = self.under_schedules(shape, start) {
                    return found;
                }
            }
        }
        self.fuzz(INPUTS.1)
    }

    /// Tries each of those inputs in each of those shapes.
    fn in_shapes(&mut self, shapes: &[Shape<'_>], starts: &[Start]) -> Option<Witness> {
        for &shape in shapes {
            for start in starts {
                if let found @ Some(_) = self.under_schedules(shape, start) {
                    return found;
                }
            }
        }
        None
    }

    /// One run to its very end, where runs were cut for their length and an end is not what is looked for.
    fn long(&mut self, starts: &[Start]) -> Option<Witness> {
        if !self.cut || self.harms.contains(&Harm::Endless) || self.is_out_of_bounds() {
            return None;
        }
        let usual = (self.options.max_insns, self.max_steps);
        (self.options.max_insns, self.max_steps) = (LONG_INSNS, LONG_STEPS);
        let found = starts.first().and_then(|start| self.under_schedules(Shape::Alone(1), start));
        (self.options.max_insns, self.max_steps) = usual;
        found
    }

    /// Tries inputs, and keeps those that reach something new.
    fn fuzz(&mut self, inputs: u64) -> Option<Witness> {
        if self.maker.is_constant() {
            return None;
        }
        for number in 0..inputs {
            if self.is_over() {
                return None;
            }
            let from = self.random.below(self.corpus.len());
            let start = if number % 3 == 0 || self.corpus.len() == 1 {
                self.maker.fresh(&mut self.random)
            } else {
                self.maker.like(&self.corpus[from].clone(), &mut self.random)
            };
            if let found @ Some(_) = self.try_input(&start) {
                return found;
            }
        }
        None
    }

    /// One run of the program alone: did it take a new step, did anything go wrong, and did it come to the rejected instruction?
    fn probe(&mut self, start: &Start) -> Option<(bool, bool, bool)> {
        let scenario = scenario(self.subject, Shape::Alone(1), start);
        let mut simulation = self.simulate(&scenario)?;
        let mut executed = self.nothing(&simulation)?;
        let (_, mut failed) = self.go(&mut simulation, &mut executed, Way::First);
        let mut interesting = self.cover(&executed);
        let reached = self.subject.insn.is_some_and(|insn| executed.slots.get(insn) == Some(&true));
        // What finds nothing, is shared or fails may need just this input to show.
        if !failed && start.stocked {
            failed = self.go(&mut simulation, &mut executed, Way::Last).1;
            interesting |= self.cover(&executed);
        }
        Some((interesting, failed, reached))
    }

    /// One run, in which whoever comes first goes on: how many steps it has, and whether it failed.
    fn go(&mut self, simulation: &mut Simulation, executed: &mut Executed, way: Way) -> (usize, bool) {
        let came = walk(simulation, self.max_steps, executed, way);
        self.tried.runs += 1;
        self.executed += simulation.machine().steps();
        came
    }

    /// Nothing executed yet, in a machine with the program.
    fn nothing(&self, simulation: &Simulation) -> Option<Executed> {
        Some(Executed::of(self.number_in(simulation)?, &self.jumps))
    }

    /// What a run executes.
    fn trace(&self, simulation: &mut Simulation, choices: &[Choice]) -> Option<Executed> {
        let mut executed = self.nothing(simulation)?;
        simulation.reset();
        for &choice in choices {
            if simulation.perform_watched(choice, &mut executed).is_err() {
                break;
            }
        }
        Some(executed)
    }

    /// Notes what a run executed; was any step of it new?
    fn cover(&mut self, executed: &Executed) -> bool {
        for (covered, _) in self.covered.iter_mut().zip(&executed.slots).filter(|(_, executed)| **executed) {
            *covered = true;
        }
        let before = self.steps.len();
        self.steps.extend(&executed.steps);
        self.steps.len() > before
    }

    /// The program's number in a machine.
    fn number_in(&self, simulation: &Simulation) -> Option<u32> {
        let programs = simulation.machine().programs();
        programs.iter().position(|program| program.source().name == self.subject.program.name).map(|at| at as u32)
    }

    fn simulate(&mut self, scenario: &Scenario) -> Option<Simulation> {
        self.tried.scenarios += 1;
        match Simulation::new(scenario, self.subject.object, self.options.clone()) {
            Ok(simulation) => Some(simulation),
            // A sibling that does not return, and an input that nobody can give.
            Err(SimulationError::First { .. } | SimulationError::Setup { error: SetupError::Input(_), .. }) => None,
            Err(error) => {
                note(&mut self.unsupported, error.to_string());
                None
            }
        }
    }

    /// Runs a scenario under schedules, and judges what they show.
    fn under_schedules(&mut self, shape: Shape<'_>, start: &Start) -> Option<Witness> {
        let scenario = scenario(self.subject, shape, start);
        let simulation = self.simulate(&scenario)?;
        let concurrent = scenario.on.len() > 1;
        let mut simulation = simulation;
        let is_long = self.max_steps == LONG_STEPS;
        let steps = if is_long {
            LONG_STEPS
        } else {
            let mut executed = self.nothing(&simulation)?;
            let steps = self.go(&mut simulation, &mut executed, Way::First).0;
            steps.max(simulation.machine().steps() as usize / INSNS_OF_A_STEP)
        };
        let insns = if is_long { 0 } else { simulation.machine().steps() };
        let (strategy, schedules) = match steps {
            // An end is what is looked for; the schedule hardly matters.
            _ if self.harms.contains(&Harm::Endless) || is_long => (Strategy::RoundRobin, 1),
            0..=LONG if concurrent => (Strategy::Automatic, SCHEDULES.1),
            0..=LONG => (Strategy::Automatic, SCHEDULES.0),
            _ => (Strategy::Random, SCHEDULES_OF_LONG),
        };
        let options = SearchOptions {
            strategy,
            seed: self.random.word(),
            schedules: Some(schedules.min(self.bounds.runs.saturating_sub(self.tried.runs)).max(2)),
            time: self.bounds.time.map(|time| time.saturating_sub(self.begun.elapsed())),
            max_steps: self.max_steps,
            races: concurrent,
            threads: 1,
            ..SearchOptions::default()
        };
        let control = Control { stop: self.stop, progress: &|_| () };
        let result = search(&|| simulation.clone(), &options, control).ok()?;
        let runs = result.coverage.explored + result.coverage.random_runs;
        self.tried.runs += runs;
        self.executed += insns * runs;
        self.cut |= result.coverage.cut > 0;
        self.best(&scenario, &result, &mut simulation)
    }

    /// Of what runs of a scenario show, what fits the rejection best.
    fn best(
        &mut self,
        scenario: &Scenario,
        result: &SearchResult<Finding>,
        traced: &mut Simulation,
    ) -> Option<Witness> {
        let mut best: Option<Witness> = None;
        for found in result.findings.values() {
            match self.judge(traced, &found.finding, &found.shortest.choices, scenario.stocked) {
                Some((harm, fit)) if best.as_ref().is_none_or(|best| fit < best.fit) => {
                    best = Some(Witness {
                        scenario: scenario.clone(),
                        choices: found.shortest.choices.clone(),
                        finding: found.finding.clone(),
                        harm,
                        fit,
                        max_insns: self.options.max_insns,
                    });
                }
                _ => {}
            }
        }
        if best.is_none()
            && self.max_steps != LONG_STEPS
            && let Some(seen) = result.outcomes.values().next()
        {
            let executed = self.trace(traced, &seen.first.choices)?;
            self.cover(&executed);
        }
        best
    }

    fn judge(
        &mut self,
        traced: &mut Simulation,
        finding: &Finding,
        choices: &[Choice],
        stocked: bool,
    ) -> Option<(Harm, super::Fit)> {
        // A traced function's arguments are there only where others have filled the world.
        self.cut |= matches!(finding, Finding::Ended(End::Limit(..)));
        if let Finding::Ended(End::Unsupported(unsupported)) = finding
            && stocked
        {
            note(&mut self.unsupported, unsupported.what.clone());
        }
        let executed = self.trace(traced, choices)?;
        self.cover(&executed);
        let fit = judge(self.subject, self.harms, executed.program, finding, &executed.slots);
        if fit.is_none() && !finding.is_undecided() {
            note(&mut self.others, finding.key());
        }
        fit
    }
}

/// Which way a run takes where a step can go in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    First,
    Last,
}

/// One run, in which whoever comes first goes on: how many steps it has, and whether it failed.
fn walk(simulation: &mut Simulation, max_steps: usize, executed: &mut Executed, way: Way) -> (usize, bool) {
    simulation.reset();
    let mut choices = Vec::new();
    for step in 0..max_steps {
        choices.clear();
        simulation.choices(&mut choices);
        let Some(&first) = choices.first() else { return (step, !simulation.ending().findings.is_empty()) };
        let own = |choice: &&Choice| choice.actor == first.actor;
        let choice = match way {
            Way::First => first,
            Way::Last => choices.iter().rfind(own).copied().unwrap_or(first),
        };
        if simulation.perform_watched(choice, executed).is_err() {
            return (step, true);
        }
    }
    (max_steps, true)
}

/// Did a run end for want of a model?
fn lacks_model(result: &SearchResult<Finding>) -> bool {
    result.findings.values().any(|found| matches!(found.finding, Finding::Ended(End::Unsupported(_))))
}

fn note(notes: &mut BTreeSet<String>, text: String) {
    if notes.len() < MAX_NOTES {
        notes.insert(text);
    }
}
