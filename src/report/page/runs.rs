//! Views of runs: one run of programs, a schedule that was performed again, the findings and outcomes of an exploration.

use super::code::Shared;
use super::model::{Arrow, Fact, Note, NoteKind, Outcome, Path, Status, View};
use super::recorder::{Recorder, Recording};
use crate::explore::finding::Finding;
use crate::explore::replay::replay;
use crate::explore::simulation::Simulation;
use crate::machine::{AccessKind, End, Machine, Moment};
use crate::report::explore::{ExploreReport, FindingText, Shown, describe, replay_text};
use crate::report::run::{ProgramRun, RunReport, RunVerdict};
use crate::report::told::Look;

/// Schedules that a page shows, at most.
const MAX_VIEWS: usize = 60;

/// A fact.
pub(super) fn fact(name: &str, value: impl ToString) -> Fact {
    Fact { name: name.to_owned(), value: value.to_string() }
}

/// The places of a finding, in the order in which they were come to, and what they are.
fn places(finding: &Finding) -> Vec<(String, Moment)> {
    let mut places = match finding {
        Finding::Ended(End::Fault(fault)) => {
            let story = fault.story.as_ref().map(|story| &story.region);
            let allocated = story.and_then(|region| region.allocated).map(|at| ("allocated".to_owned(), at));
            let freed = story.and_then(|region| region.freed).map(|at| ("freed".to_owned(), at));
            allocated.into_iter().chain(freed).chain([("the fault".to_owned(), fault.at)]).collect()
        }
        Finding::Ended(End::Unsupported(what)) => vec![("not modelled".to_owned(), what.at)],
        Finding::Ended(End::Limit(_, at)) => vec![("the limit is reached".to_owned(), *at)],
        Finding::Ended(End::Returned(_)) => Vec::new(),
        Finding::Leak(leak) => vec![("acquired".to_owned(), leak.acquired)],
        Finding::Overwritten { acquired, .. } => vec![("acquired".to_owned(), *acquired)],
        Finding::Race { first, second, .. } => {
            vec![(racing("first", first.kind), first.at), (racing("second", second.kind), second.at)]
        }
        Finding::Broken { at, .. } => at.iter().map(|&at| ("after this step".to_owned(), at)).collect(),
        Finding::Deadlock(waiting) => waiting.iter().map(|&at| ("waits".to_owned(), at)).collect(),
    };
    places.sort_by_key(|(_, at)| at.step);
    places
}

/// What one of two racing accesses is.
fn racing(which: &str, kind: AccessKind) -> String {
    let how = match kind {
        AccessKind::Write => "a plain write",
        AccessKind::Atomic => "an atomic access",
        AccessKind::Dereference => "a read of the pointer",
        _ => "a plain read",
    };
    format!("{which} access, {how},")
}

/// Which two places of a finding an arrow is drawn between, and what is written beside it.
fn arrow(finding: &Finding) -> Option<(Moment, Moment, &'static str)> {
    match finding {
        Finding::Race { first, second, .. } => Some((first.at, second.at, "data race")),
        Finding::Ended(End::Fault(fault)) => {
            let freed = fault.story.as_ref().and_then(|story| story.region.freed)?;
            Some((freed, fault.at, "used after it was freed here"))
        }
        _ => None,
    }
}

/// Adds to a view what was found, with its places as steps.
fn add_findings(view: &mut View, shared: &Shared, recording: &Recording, found: &[(&Finding, FindingText)]) {
    for (finding, text) in found {
        let places = places(finding);
        let at_place = |at: Moment, text: String| {
            let step = recording.step_at(at);
            let place = step.and_then(|step| view.steps.get(step)).and_then(|step| Some((step.program?, step.slot?)));
            let text = match place {
                Some((program, slot)) => format!("{}\n{text}", shared.place(program, slot)),
                None => text,
            };
            (step, text)
        };
        let mut story = Vec::new();
        for (what, at) in &places {
            let (step, text) = at_place(*at, format!("{what} on CPU {}", at.cpu));
            story.push(Note { kind: NoteKind::Note, text, step });
        }
        let title = first_line(&text.title);
        let (step, text) = match (finding, places.last()) {
            (Finding::Ended(_) | Finding::Race { .. }, Some((_, at))) => at_place(*at, title),
            _ => (view.steps.len().checked_sub(1), title),
        };
        story.push(Note { kind: NoteKind::Error, text, step });
        view.story.extend(story);
        let ends = arrow(finding).and_then(|(from, to, text)| {
            Some(Arrow { from: recording.step_at(from)?, to: recording.step_at(to)?, text: text.to_owned() })
        });
        if let Some(timeline) = &mut view.timeline {
            timeline.arrows.extend(ends);
        }
    }
}

/// A view of what was recorded, of which nothing more is known yet.
fn of_recording(name: &str, recording: &Recording) -> View {
    let left_out = recording.left_out;
    View {
        name: name.to_owned(),
        title: String::new(),
        status: Status::Fine,
        verdict: String::new(),
        facts: Vec::new(),
        story: Vec::new(),
        report: String::new(),
        lanes: recording.lanes.clone(),
        keys: recording.keys.clone(),
        steps: recording.steps.clone(),
        paths: vec![Path { name: "the run".to_owned(), last: recording.steps.len().saturating_sub(1) }],
        cut: (left_out > 0).then(|| format!("the first {left_out} steps are left out")),
        timeline: Some(recording.timeline.clone()),
    }
}

/// The view of a run of programs one after the other. `recorder` has looked on.
#[must_use]
pub fn of_run(recorder: Recorder<'_>, machine: &Machine, runs: &[ProgramRun]) -> (View, Recording) {
    let recording = recorder.finish(machine, "the run is over");
    let report = RunReport::new(machine, runs);
    let mut view = of_recording("run", &recording);
    view.status = match report.verdict() {
        RunVerdict::Fine => Status::Fine,
        RunVerdict::Found => Status::Found,
        RunVerdict::Undecided => Status::Undecided,
    };
    view.title = runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", ");
    view.verdict = match runs.last().map(|run| &run.end) {
        Some(End::Fault(fault)) => format!("fault: {}", fault.kind),
        Some(End::Unsupported(what)) => format!("unsupported: {}", what.what),
        Some(End::Limit(limit, _)) => limit.to_string(),
        _ if view.status == Status::Found => "a reference is lost".to_owned(),
        _ => "nothing went wrong".to_owned(),
    };
    for run in runs {
        if let End::Returned(value) = run.end {
            view.facts
                .push(fact(&format!("{} on CPU {}", run.name, run.cpu), format!("returned {}", value as u32 as i32)));
        }
    }
    view.facts.push(fact("instructions", machine.steps()));
    view.report = report.text(&Look::plain());
    (view, recording)
}

/// Adds what was found to the view of a run.
pub fn add_run_findings(
    view: &mut View,
    shared: &Shared,
    recording: &Recording,
    machine: &Machine,
    runs: &[ProgramRun],
) {
    let ended = runs.iter().filter(|run| !matches!(run.end, End::Returned(_)));
    let ended = ended.map(|run| Finding::Ended(run.end.clone()));
    let leaks = machine.leaks().iter().map(|&leak| Finding::Leak(leak));
    let overwritten = machine.overwritten().into_iter();
    let overwritten = overwritten.map(|(region, field, acquired)| Finding::Overwritten { region, field, acquired });
    let findings: Vec<Finding> = ended.chain(leaks).chain(overwritten).collect();
    let found: Vec<_> = findings.iter().map(|finding| (finding, describe(machine, finding))).collect();
    add_findings(view, shared, recording, &found);
}

/// The view of a schedule, performed once more. The finding of that key is told first.
#[must_use]
pub fn of_schedule(
    shared: &mut Shared,
    simulation: &mut Simulation,
    shown: &Shown,
    (name, title): (&str, &str),
    key: Option<&str>,
) -> View {
    let choices = &shown.schedule.choices;
    let mut done = replay(simulation, choices, |_, _| ());
    done.findings.sort_by_key(|finding| key.is_some_and(|key| finding.key() != key));
    let found: Vec<_> =
        done.findings.iter().map(|finding| (finding, describe(simulation.machine(), finding))).collect();
    let ended = match (&done.outcome, done.findings.is_empty(), done.left.is_empty()) {
        (Some(outcome), true, _) => format!("the run is over: {outcome}"),
        (_, _, false) => "the schedule ends before the run does".to_owned(),
        _ => "the run is over".to_owned(),
    };
    let recording = Recorder::record(shared, simulation, choices, &ended);
    let mut view = of_recording(name, &recording);
    view.title = title.to_owned();
    view.status = if done.findings.iter().any(|finding| !finding.is_undecided()) {
        Status::Found
    } else if !done.findings.is_empty() || !done.left.is_empty() {
        Status::Undecided
    } else {
        Status::Fine
    };
    let verdict = match done.findings.first() {
        Some(_) => told(&found),
        None => ended,
    };
    // What the title says already is not said again.
    let more = verdict.strip_prefix(title).and_then(|more| more.strip_prefix("; ")).map(str::to_owned);
    view.verdict = more.unwrap_or(verdict);
    view.facts.push(fact("steps of the schedule", shown.steps.len()));
    view.facts.push(fact("switches", shown.schedule.switches()));
    view.facts.extend(done.outcome.map(|outcome| fact("outcome", outcome)));
    view.facts.push(fact("trace", format!("{:032x}", shown.trace)));
    view.facts.push(fact("token", &shown.schedule));
    view.report = replay_text(shown, &Look::plain());
    add_findings(&mut view, shared, &recording, &found);
    view
}

/// The first finding, and how many more there are.
fn told(found: &[(&Finding, FindingText)]) -> String {
    let first = found.first().map_or_else(String::new, |(_, text)| first_line(&text.title));
    match found.len() {
        0 | 1 => first,
        2 => format!("{first}; and another finding in the same run"),
        more => format!("{first}; and {} other findings in the same run", more - 1),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The views of an exploration: each finding with its schedule, then a schedule for each outcome.
#[must_use]
pub fn of_exploration(shared: &mut Shared, simulation: &Simulation, report: &ExploreReport<'_>) -> Vec<View> {
    let mut simulation = simulation.clone();
    let mut views = Vec::new();
    let runs = report.result.coverage.explored + report.result.coverage.random_runs;
    for (key, shown) in report.shown {
        if views.len() >= MAX_VIEWS {
            break;
        }
        let described = shown.findings.iter().find(|one| one.key == *key);
        let title = described.map_or_else(|| "a run without an end".to_owned(), |one| first_line(&one.title));
        let mut view =
            of_schedule(shared, &mut simulation, shown, (&format!("finding-{}", views.len() + 1), &title), Some(key));
        if let Some(found) = report.result.findings.get(key) {
            view.facts.insert(0, fact("found in", format!("{} of {runs} runs", found.runs)));
        }
        views.push(view);
    }
    for (number, (outcome, observed)) in report.result.outcomes.iter().enumerate() {
        if views.len() >= MAX_VIEWS {
            break;
        }
        let shown = Shown::new(&mut simulation, report.schedule_of(&observed.first.choices));
        let name = format!("outcome-{}", number + 1);
        let mut view = of_schedule(shared, &mut simulation, &shown, (&name, outcome), None);
        view.facts.insert(0, fact("outcome of", format!("{} of {runs} runs", observed.runs)));
        views.push(view);
    }
    views
}

/// What was observed, and how often.
#[must_use]
pub fn outcomes(report: &ExploreReport<'_>) -> Vec<Outcome> {
    let outcomes = report.result.outcomes.iter();
    outcomes.map(|(text, observed)| Outcome { text: text.clone(), runs: observed.runs }).collect()
}
