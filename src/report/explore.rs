//! What an exploration found: the coverage, the outcomes, and each finding with the schedule that shows it.
//!
//! Start at [`ExploreReport::text`]; [`Shown`] is one schedule, performed again to be told.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Related, of_finding, spot};
use super::lanes::lanes;
use super::place::Words;
use super::run::{end_json, end_text, end_told};
use super::told::{Look, Told};
use crate::explore::finding::{Finding, RacingAccess};
use crate::explore::records;
use crate::explore::replay::{Replay, replay};
use crate::explore::result::{Coverage, Record};
use crate::explore::schedule::{Schedule, actors};
use crate::explore::search::{Ended, SearchResult};
use crate::explore::simulation::Simulation;
use crate::explore::system::{Choice, System};
use crate::machine::{AccessKind, Machine, Moment};
use crate::object::LineInfo;
use crate::scenario::Scenario;
use crate::scenario::file::is_scenario;
use crate::scenario::words::words;

/// One step of a schedule, in words.
#[derive(Clone, Debug)]
pub struct StepLine {
    /// Whose it was.
    pub actor: String,
    /// What it did: a source line, or an instruction.
    pub text: String,
    /// The source line, if known; `None` too where a program starts.
    pub line: Option<LineInfo>,
    /// When; `None` where a program starts.
    pub at: Option<Moment>,
    /// The same for machines.
    pub json: Value,
}

/// A finding in words.
#[derive(Clone, Debug)]
pub struct FindingText {
    /// By what it is this one.
    pub key: String,
    /// Kind and what is wrong, in one line.
    pub title: String,
    /// The places.
    pub body: String,
    /// Both as a message with source lines.
    pub told: Told,
    /// The same for machines.
    pub json: Value,
    /// Is it for want of a model, or beyond a limit?
    pub undecided: bool,
}

/// A schedule that was performed to be told.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The schedule.
    pub schedule: Schedule,
    /// Its steps.
    pub steps: Vec<StepLine>,
    /// What it shows to be wrong.
    pub findings: Vec<FindingText>,
    /// What was observed at its end.
    pub outcome: Option<String>,
    /// Digest of the trace: of who did what, and what it touched.
    pub trace: u128,
    /// The step at which the schedule did not fit the system, if it did not.
    pub misfit: Option<usize>,
    /// Was the run over with the schedule's last step?
    pub over: bool,
}

impl Shown {
    /// Performs a schedule.
    #[must_use]
    pub fn new(simulation: &mut Simulation, schedule: Schedule) -> Shown {
        let done: Replay<Finding> = replay(simulation, &schedule.choices, |_, _| ());
        let words = Words::new(simulation.machine());
        let moments = simulation.steps().iter().zip(&schedule.choices);
        let steps = moments.enumerate().map(|(number, (&at, choice))| {
            let mut json = words.moment_json(at);
            let actor = simulation.actor_name(choice.actor);
            json["actor"] = json!(actor);
            if choice.branch != 0 {
                json["branch"] = json!(choice.branch);
            }
            let way = if choice.branch == 0 { String::new() } else { format!(" (way {})", choice.branch) };
            let starts = simulation.starts().contains(&number);
            let text = if starts { format!("{} starts", words.program(at.place)) } else { words.source(at.place) };
            let line = words.line(at.place).filter(|_| !starts).cloned();
            StepLine { actor, text: format!("{text}{way}"), line, at: (!starts).then_some(at), json }
        });
        let steps = steps.collect();
        let findings = done.findings.iter().map(|finding| describe(simulation.machine(), finding)).collect();
        Shown {
            steps,
            findings,
            outcome: done.outcome,
            trace: done.digest,
            misfit: done.misfit.map(|misfit| misfit.step),
            over: done.left.is_empty(),
            schedule,
        }
    }

    /// The steps as lanes, so many columns wide; the places of a message are marked.
    #[must_use]
    pub fn lanes(&self, told: Option<&Told>, width: usize) -> String {
        let marked: Vec<Moment> = told.map_or_else(Vec::new, Told::moments);
        lanes(&self.steps, &marked, width)
    }

    /// The schedule's size in words.
    #[must_use]
    pub fn size(&self) -> String {
        let (steps, switches) = (self.steps.len(), self.schedule.switches());
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let switches = if switches == 1 { "1 switch".to_owned() } else { format!("{switches} switches") };
        format!("{}, {switches}, {}", plural(steps, "step"), plural(actors(&self.schedule.choices), "actor"))
    }
}

fn access(words: &Words<'_>, one: &RacingAccess) -> String {
    format!("{}: {}", access_name(one.kind), words.moment(one.at))
}

/// A finding in words, in the machine in which it was found.
#[must_use]
pub fn describe(machine: &Machine, finding: &Finding) -> FindingText {
    let words = Words::new(machine);
    let kind = finding.kind();
    let (title, body, detail) = match finding {
        Finding::Ended(end) => (end_text(machine, end), String::new(), end_json(machine, end)),
        Finding::Leak(leak) => (
            format!("{} is lost", words.region(leak.region)),
            format!("  acquired  {}\n  and the program on CPU {} ended with it", words.moment(leak.acquired), leak.cpu),
            json!({"what": words.region(leak.region), "acquired": words.moment_json(leak.acquired), "cpu": leak.cpu}),
        ),
        Finding::Overwritten { region, field, acquired } => (
            format!("{} is lost: a plain store overwrote {}", words.region(*region), words.field(*field)),
            format!("  acquired  {}", words.moment(*acquired)),
            json!({"what": words.region(*region), "field": words.field(*field),
                   "acquired": words.moment_json(*acquired)}),
        ),
        Finding::Race { first, second, region, offset } => (
            format!("nothing orders two accesses to {}", words.field((*region, *offset))),
            format!("  {}\n  {}", access(&words, first), access(&words, second)),
            json!({
                "what": words.field((*region, *offset)),
                "first": words.moment_json(first.at), "first_access": first.kind,
                "second": words.moment_json(second.at), "second_access": second.kind,
            }),
        ),
        Finding::Broken { condition, always, at, error } => {
            let when = if *always { "after a step" } else { "at the end" };
            let why = error.as_ref().map_or(String::new(), |error| format!(" ({error})"));
            (
                format!("`{condition}` does not hold {when}{why}"),
                at.map_or(String::new(), |at| format!("  after  {}", words.moment(at))),
                json!({"condition": condition, "always": always, "error": error,
                       "at": at.map(|at| words.moment_json(at))}),
            )
        }
        Finding::Deadlock(waiting) => (
            "nobody can go on".to_owned(),
            waiting.iter().map(|&at| format!("  waits  {}", words.moment(at))).collect::<Vec<_>>().join("\n"),
            json!({"waiting": waiting.iter().map(|&at| words.moment_json(at)).collect::<Vec<_>>()}),
        ),
    };
    let mut json = detail;
    json["kind"] = json!(kind);
    let undecided = finding.is_undecided();
    let told = told(machine, &words, finding, title.lines().next().unwrap_or_default());
    FindingText { key: finding.key(), title: format!("{kind}: {title}"), body, told, json, undecided }
}

/// A finding as a message with its places.
fn told(machine: &Machine, words: &Words<'_>, finding: &Finding, title: &str) -> Told {
    let places = match finding {
        Finding::Ended(end) => return end_told(machine, end, title),
        Finding::Leak(leak) => {
            let what = format!("acquired here, and still held when the program on CPU {} ended", leak.cpu);
            vec![words.told_moment(leak.acquired, &what, true)]
        }
        Finding::Overwritten { acquired, .. } => vec![words.told_moment(*acquired, "acquired here", true)],
        Finding::Race { first, second, .. } => vec![
            words.told_moment(first.at, access_name(first.kind), true),
            words.told_moment(second.at, access_name(second.kind), true),
        ],
        Finding::Broken { at, .. } => {
            at.iter().map(|&at| words.told_moment(at, "after this step it does not hold", true)).collect()
        }
        Finding::Deadlock(waiting) => waiting.iter().map(|&at| words.told_moment(at, "waits here", true)).collect(),
    };
    Told {
        id: finding.kind().to_owned(),
        title: title.to_owned(),
        undecided: finding.is_undecided(),
        places,
        notes: Vec::new(),
    }
}

fn access_name(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Write => "plain write",
        AccessKind::Atomic => "atomic access",
        AccessKind::Dereference => "pointer read",
        _ => "plain read",
    }
}

/// What an exploration came to.
pub struct ExploreReport<'r> {
    /// The scenario's file, or the object.
    pub path: &'r Path,
    /// The scenario.
    pub scenario: &'r Scenario,
    /// The result.
    pub result: &'r SearchResult<Finding>,
    /// What tokens say of the scenario.
    pub like: &'r records::Scenario,
    /// Schedules by the key of what they show; `cut` for one that did not end.
    pub shown: &'r [(String, Shown)],
}

impl ExploreReport<'_> {
    fn schedule(&self, key: &str) -> Option<&Shown> {
        self.shown.iter().find(|(shown, _)| shown == key).map(|(_, shown)| shown)
    }

    /// A run's choices as a schedule.
    #[must_use]
    pub fn schedule_of(&self, choices: &[Choice]) -> Schedule {
        Schedule { choices: choices.to_vec(), digest: self.like.digest, name: self.like.name.clone() }
    }

    /// The command that repeats a schedule: of a scenario file the token says all, else the words are needed again.
    fn command(&self, shown: &Shown) -> String {
        if is_scenario(self.path) {
            return format!("kptrsim replay {}", shown.schedule);
        }
        replay_command(self.scenario, shown)
    }

    /// The report for people.
    #[must_use]
    pub fn text(&self, look: &Look) -> String {
        let mut text = String::new();
        let Coverage { policy, .. } = &self.result.coverage;
        let memory = self.scenario.memory.name().to_uppercase();
        let cpus = self.scenario.cpus;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}: {cpus} CPU{}, {memory}, {policy}\nexplored: {}",
            self.path.display(),
            if cpus == 1 { "" } else { "s" },
            self.result.coverage,
        );
        let early = match self.result.ended {
            Ended::Exhausted => None,
            Ended::Schedules => Some("stopped at the number of schedules that was asked for"),
            Ended::Time => Some("stopped at the time that was given"),
            Ended::Stopped => Some("interrupted: this is what was found so far"),
        };
        if let Some(early) = early.filter(|_| !self.result.coverage.complete) {
            let _ = writeln!(text, "{early}");
        }
        let _ = writeln!(text, "outcomes: {}", self.result.outcomes.len());
        for (outcome, observed) in &self.result.outcomes {
            let _ = writeln!(text, "{:>9}  {outcome}", observed.runs);
        }
        let _ = writeln!(text, "findings: {}", self.result.findings.len());
        for (key, found) in &self.result.findings {
            let Some(shown) = self.schedule(key) else { continue };
            let _ = writeln!(text);
            let runs = self.result.coverage.explored + self.result.coverage.random_runs;
            let often = format!("in {} of {runs} runs; this one: {}", found.runs, shown.size());
            let told = shown.findings.iter().find(|one| one.key == *key).map(|one| &one.told);
            match told {
                Some(told) => text.push_str(&told.text(look, &[often])),
                None => _ = writeln!(text, "{}: {often}", found.finding.kind()),
            }
            text.push_str(&shown.lanes(told, look.width));
            let _ = writeln!(text, "  replay it: {}", self.command(shown));
        }
        if let Some(shown) = self.schedule("cut") {
            let _ = writeln!(text, "\na run without an end, or one that is too long (--max-steps): {}", shown.size());
            text.push_str(&shown.lanes(None, look.width));
            let _ = writeln!(text, "  replay it: {}", self.command(shown));
        }
        text
    }

    /// The findings in the shape that code hosts take, each with the schedule that shows it.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let object = self.path.display().to_string();
        let told = self.result.findings.keys().filter_map(|key| {
            let shown = self.schedule(key)?;
            shown.diagnostic(&object, key, &self.command(shown))
        });
        told.collect()
    }

    /// The report for machines: findings, outcomes and the coverage, one record a line.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let detail = |finding: &Finding| {
            let key = finding.key();
            let shown = self.schedule(&key).and_then(|shown| shown.findings.iter().find(|one| one.key == key));
            shown.map_or(Value::Null, |one| one.json.clone())
        };
        let mut records = self.result.records(self.like, detail);
        for record in &mut records {
            // The schedule that is shown may be a simpler one.
            if let Record::Finding(finding) = record
                && let Some(shown) = self.schedule(&finding.key)
            {
                finding.shortest = shown.schedule.to_string();
                finding.shortest_steps = shown.schedule.choices.len() as u64;
            }
        }
        records
    }
}

impl Shown {
    /// The finding of that key for code hosts and editors, with the steps that lead there; `command` repeats them.
    #[must_use]
    pub fn diagnostic(&self, object: &str, key: &str, command: &str) -> Option<Diagnostic> {
        let found = self.findings.iter().find(|one| one.key == *key)?;
        let mut details: Vec<String> = found.body.lines().map(|line| line.trim().to_owned()).collect();
        details.push(format!("replay it: {command}"));
        let kind = format!("{}: ", found.json["kind"].as_str().unwrap_or_default());
        let title = found.title.strip_prefix(&kind).unwrap_or(&found.title);
        let mut diagnostic = of_finding(object, title, details, &found.json, found.undecided);
        diagnostic.steps = self.steps.iter().filter_map(step).collect();
        Some(diagnostic)
    }
}

/// A step as a place on the way to a finding.
fn step(line: &StepLine) -> Option<Related> {
    Some(Related { message: format!("{}: {}", line.actor, line.text), spot: spot(&line.json)? })
}

/// The command that repeats a schedule of a scenario that is written nowhere but in words.
#[must_use]
pub fn replay_command(scenario: &Scenario, shown: &Shown) -> String {
    let mut command = format!("kptrsim replay {}", shown.schedule);
    for (option, value) in words(scenario) {
        let _ = write!(command, " {option}");
        if let Some(value) = value {
            let _ = write!(command, " {}", quoted(&value));
        }
    }
    command
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:,=/@+".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// A replayed schedule for people.
#[must_use]
pub fn replay_text(shown: &Shown, look: &Look) -> String {
    let mut text =
        format!("{}\n{}", shown.size(), shown.lanes(shown.findings.first().map(|one| &one.told), look.width));
    if let Some(step) = shown.misfit {
        let _ = writeln!(text, "step {step} of the schedule is no choice there: the rest was not performed");
    }
    if !shown.over && shown.misfit.is_none() {
        let _ = writeln!(text, "the schedule ends before the run does");
    }
    if let Some(outcome) = &shown.outcome {
        let _ = writeln!(text, "outcome: {outcome}");
    }
    for finding in &shown.findings {
        text.push_str(&finding.told.text(look, &[]));
    }
    let _ = writeln!(text, "trace: {:032x}", shown.trace);
    let _ = writeln!(text, "token: {}", shown.schedule);
    text
}

/// The same as one JSON object.
#[must_use]
pub fn replay_json(shown: &Shown) -> Value {
    json!({
        "steps": shown.steps.iter().map(|step| step.json.clone()).collect::<Vec<_>>(),
        "switches": shown.schedule.switches(),
        "misfit": shown.misfit,
        "over": shown.over,
        "outcome": shown.outcome,
        "findings": shown.findings.iter().map(|one| one.json.clone()).collect::<Vec<_>>(),
        "trace": format!("{:032x}", shown.trace),
        "token": shown.schedule.to_string(),
    })
}
