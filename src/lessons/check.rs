//! Is a program mended? The verifier is asked first, then the machine, then the explorer; the first that objects is told.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::catalogue::{Lesson, RunCheck, Stage, Step};
use crate::explore::finding::Finding;
use crate::explore::schedule::Schedule;
use crate::explore::search::{Control, SearchOptions, SearchResult, search};
use crate::explore::shrink::shrink;
use crate::explore::simulation::{Simulation, SimulationError};
use crate::kernel::Profile;
use crate::machine::{End, Input, Machine, MachineOptions};
use crate::object::Object;
use crate::report::explore::Shown;
use crate::report::run::{ProgramRun, RunReport, RunVerdict, end_text};
use crate::report::source::Sources;
use crate::report::told::Look;
use crate::report::verify;
use crate::scenario::Scenario;
use crate::verifier::{ObjectVerifier, Options, Record, Verdict};

/// Instructions that the programs of one run may execute: a learner's loop without an end stops soon.
const MAX_INSNS: u64 = 1_000_000;

/// Schedules that are tried to make a failing one simpler.
const SHRINK_TRIES: usize = 20_000;

/// A learner's program, compiled.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What its file is called in messages.
    pub path: &'a Path,
    /// The object's bytes.
    pub bytes: &'a [u8],
    /// The object.
    pub object: &'a Object,
    /// Where the exercise's scenario is, as commands that repeat a schedule name it.
    pub scenario: &'a Path,
}

/// What a check needs besides a program.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The kernel to judge for.
    pub profile: &'a Profile,
    /// Ends the search for schedules when it is set.
    pub stop: &'a AtomicBool,
    /// May the text have colours?
    pub colour: bool,
}

/// What a program has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Programs that the verifier accepts.
    pub programs: usize,
    /// Runs that came to what was expected.
    pub runs: usize,
    /// Traces that were explored, all that there are, if the exercise asks for that.
    pub schedules: Option<u64>,
}

/// What is still wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// At what it failed.
    pub stage: Stage,
    /// The broken rule's id, or the kind of fault or finding; else one of `missing-program`, `wrong-result`, `wrong-global`, `leak`,
    /// `still-owned`, `does-not-fit`, `incomplete`, `interrupted`, `unsupported`, `limit`.
    pub kind: String,
    /// What is wrong, in one line.
    pub message: String,
    /// The whole story.
    pub text: String,
    /// Could it not be decided, for want of a model or because it was interrupted?
    pub undecided: bool,
}

impl Failure {
    /// At that stage, of that kind, with a message that tells all.
    #[must_use]
    pub fn new(stage: Stage, kind: &str, message: impl Into<String>) -> Failure {
        let message = message.into();
        Failure { stage, kind: kind.to_owned(), text: String::new(), message, undecided: false }
    }

    fn with_text(self, text: impl Into<String>) -> Failure {
        Failure { text: text.into(), ..self }
    }

    fn undecided(self) -> Failure {
        Failure { undecided: true, ..self }
    }
}

/// Is the exercise solved by that program?
///
/// # Errors
/// The [`Failure`] that the learner should look at first.
pub fn check(lesson: &Lesson, candidate: &Candidate<'_>, around: &Surroundings<'_>) -> Result<Passed, Failure> {
    let programs = verified(lesson, candidate, around)?;
    for run in &lesson.runs {
        ran(run, candidate.object, around.profile)?;
    }
    let schedules = match &lesson.scenario {
        Some(text) => Some(explored(text, candidate, around)?),
        None => None,
    };
    Ok(Passed { programs, runs: lesson.runs.len(), schedules })
}

/// Every program that is needed is there, and all programs are accepted. Returns how many they are.
fn verified(lesson: &Lesson, candidate: &Candidate<'_>, around: &Surroundings<'_>) -> Result<usize, Failure> {
    let object = candidate.object;
    if let Some(missing) = lesson.programs().find(|name| object.programs.iter().all(|program| program.name != *name)) {
        let message = format!("there is no program `{missing}` any more; the check needs it");
        return Err(Failure::new(Stage::Verify, "missing-program", message));
    }
    let options = Options { record: Record::Verdict, ..Options::default() };
    let verifier = ObjectVerifier::new(object, around.profile, options);
    let look = Look { colour: around.colour, sources: Sources::beside(candidate.path), ..Look::plain() };
    let mut failure: Option<Failure> = None;
    for program in &object.programs {
        let verification = verifier.verify(program);
        let name = &program.name;
        let one = match &verification.verdict {
            Verdict::Accept => continue,
            Verdict::Reject(rejection) => {
                let message = format!("the verifier rejects {name}: {}", rejection.rule);
                Failure::new(Stage::Verify, rejection.rule.id(), message)
            }
            Verdict::Unsupported(what) => {
                let message = format!("{name} cannot be judged: not supported yet: {what}");
                Failure::new(Stage::Verify, "unsupported", message).undecided()
            }
        };
        let text = verify::text(&candidate.path.display().to_string(), &verification, &look);
        failure.get_or_insert(one).text.push_str(&text);
    }
    failure.map_or(Ok(object.programs.len()), Err)
}

/// A run comes to what is expected.
fn ran(check: &RunCheck, object: &Object, profile: &Profile) -> Result<(), Failure> {
    let options = MachineOptions {
        cpus: check.cpus,
        max_insns: MAX_INSNS,
        kernel_types: Some(Arc::clone(&profile.btf)),
        ..MachineOptions::default()
    };
    let unfit = |why: String| Failure::new(Stage::Run, "does-not-fit", why);
    let mut machine = Machine::new(Arc::new(object.clone()), options).map_err(|error| unfit(error.to_string()))?;
    for assignment in &check.set {
        machine
            .set_global(assignment)
            .map_err(|error| unfit(format!("the check sets `{assignment}` before the run: {error}")))?;
    }
    let mut runs = Vec::new();
    for step in &check.steps {
        let end = perform(&mut machine, step).map_err(unfit)?;
        let wrong = wrong_end(step, &end);
        runs.push(ProgramRun { name: step.run.clone(), cpu: step.cpu, end });
        if let Some(failure) = wrong {
            return Err(failure.with_text(RunReport::new(&machine, &runs).text(&Look::plain())));
        }
        machine.end_grace_period();
    }
    let report = RunReport::new(&machine, &runs);
    wrong_state(check, &report).map_or(Ok(()), |failure| Err(failure.with_text(report.text(&Look::plain()))))
}

fn perform(machine: &mut Machine, step: &Step) -> Result<End, String> {
    let program = machine.load(&step.run).map_err(|error| error.to_string())?;
    let input = Input { packet: step.packet_size.map(|size| vec![0; size]), ..Input::default() };
    machine.start_with(program, step.cpu, &input).map_err(|error| error.to_string())?;
    Ok(machine.run(step.cpu))
}

/// What is wrong with how a program ended.
fn wrong_end(step: &Step, end: &End) -> Option<Failure> {
    let packet = step.packet_size.map_or_else(String::new, |size| format!(", given a packet of {size} bytes,"));
    let who = format!("{} on CPU {}{packet}", step.run, step.cpu);
    match end {
        End::Returned(value) if *value as u32 as i32 == step.returns => None,
        End::Returned(value) => {
            let message = format!("{who} returned {}, and {} was expected", *value as u32 as i32, step.returns);
            Some(Failure::new(Stage::Run, "wrong-result", message))
        }
        End::Fault(fault) => {
            Some(Failure::new(Stage::Run, fault.kind.name(), format!("{who} crashed: {}", fault.kind)))
        }
        End::Unsupported(what) => {
            let message = format!("{who} needs what is not modelled: {}", what.what);
            Some(Failure::new(Stage::Run, "unsupported", message).undecided())
        }
        End::Limit(limit, _) => Some(Failure::new(Stage::Run, "limit", format!("{who} was stopped: {limit}"))),
    }
}

/// What is wrong with what a run left behind.
fn wrong_state(check: &RunCheck, report: &RunReport<'_>) -> Option<Failure> {
    let fails = |kind: &str, message: String| Some(Failure::new(Stage::Run, kind, message));
    if report.verdict() != RunVerdict::Fine {
        return fails("leak", "the run lost an object: nobody owns it any more".to_owned());
    }
    let json = report.json();
    for (name, &expected) in &check.globals {
        match json.get("globals").and_then(|globals| globals.get(name)) {
            Some(value) if value.as_i64() == Some(expected) => {}
            Some(value) => {
                return fails("wrong-global", format!("after the run {name} is {value}, and {expected} was expected"));
            }
            None => return fails("wrong-global", format!("there is no global `{name}` any more; the check needs it")),
        }
    }
    let owned = json.get("owned").and_then(Value::as_array).map_or(0, Vec::len);
    let objects = |count: usize| if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
    match check.owned {
        Some(expected) if owned != expected => {
            let verb = if owned == 1 { "is" } else { "are" };
            fails(
                "still-owned",
                format!("after the run {} {verb} still owned, and {expected} should be", objects(owned)),
            )
        }
        _ => None,
    }
}

/// No schedule shows a finding. Returns how many there are.
fn explored(text: &str, candidate: &Candidate<'_>, around: &Surroundings<'_>) -> Result<u64, Failure> {
    let unfit = |why: String| Failure::new(Stage::Explore, "does-not-fit", why);
    let scenario = Scenario::from_toml(&candidate.scenario.display().to_string(), text)
        .map_err(|error| unfit(error.to_string()))?;
    let options = MachineOptions {
        max_insns: MAX_INSNS,
        kernel_types: Some(Arc::clone(&around.profile.btf)),
        ..MachineOptions::default()
    };
    let simulation =
        Simulation::new(&scenario, &Arc::new(candidate.object.clone()), options).map_err(|error| match error {
            SimulationError::First { program, end } => {
                let (end, machine) = *end;
                unfit(format!("{program}, which runs first, does not return")).with_text(end_text(&machine, &end))
            }
            other => unfit(other.to_string()),
        })?;
    let control = Control { stop: around.stop, progress: &|_| {} };
    let result =
        search(&|| simulation.clone(), &SearchOptions::default(), control).map_err(|error| unfit(error.to_string()))?;
    if around.stop.load(Ordering::Relaxed) {
        return Err(Failure::new(Stage::Explore, "interrupted", "interrupted").undecided());
    }
    if let Some(failure) = found(&scenario, &simulation, &result, candidate) {
        return Err(failure);
    }
    if !result.coverage.complete || result.coverage.cut > 0 {
        let message = "not every schedule could be tried: there are too many, or one has no end";
        return Err(Failure::new(Stage::Explore, "incomplete", message).undecided());
    }
    Ok(result.coverage.explored)
}

/// Which finding tells most: a wrong outcome before the race that leads to it, and what could not be decided last.
fn rank(finding: &Finding) -> u8 {
    match finding {
        Finding::Broken { .. } => 0,
        Finding::Race { .. } => 2,
        undecided if undecided.is_undecided() => 3,
        _ => 1,
    }
}

/// The finding that is shown, with the simplest schedule for it, and the titles of the others.
fn found(
    scenario: &Scenario,
    simulation: &Simulation,
    result: &SearchResult<Finding>,
    candidate: &Candidate<'_>,
) -> Option<Failure> {
    let (key, first) = result.findings.iter().min_by_key(|(key, found)| (rank(&found.finding), *key))?;
    let mut simulation = simulation.clone();
    let shortest = &first.shortest.choices;
    let simpler = shrink(&mut simulation, shortest, key, SHRINK_TRIES);
    let choices = simpler.map_or_else(|| shortest.clone(), |shrunk| shrunk.choices);
    let (digest, name) = (scenario.token_digest(candidate.bytes), candidate.scenario.display().to_string());
    let shown = Shown::new(&mut simulation, Schedule { choices, digest, name });
    let told = shown.findings.iter().find(|one| one.key == *key)?.clone();
    let runs = result.coverage.explored + result.coverage.random_runs;
    let mut text = String::new();
    let look = Look { sources: Sources::beside(candidate.path), ..Look::plain() };
    let often = format!("in {} of {runs} runs; the simplest schedule, of {}:", first.runs, shown.size());
    text.push_str(&told.told.text(&look, &[often]));
    text.push_str(&shown.lanes(Some(&told.told), look.width));
    if let Some(outcome) = &shown.outcome {
        let _ = writeln!(text, "  what came of it: {outcome}");
    }
    let others = result.findings.len() - 1;
    if others > 0 {
        let _ = writeln!(text, "  and {others} more: kptrsim explore {}", candidate.scenario.display());
    }
    let _ = writeln!(text, "  this one again: kptrsim replay {}", shown.schedule);
    let failure = Failure::new(Stage::Explore, first.finding.kind(), told.title).with_text(text);
    Some(if told.undecided { failure.undecided() } else { failure })
}
