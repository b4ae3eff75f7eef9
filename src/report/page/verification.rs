//! Views of verifications: each program's verdict with the paths that were recorded on the way to it.

use std::collections::BTreeMap;
use std::path::Path;

use super::code::Shared;
use super::model::{self, Key, KeyKind, Kind, Note, NoteKind, Page, Status, Step, View};
use super::runs::fact;
use super::texts::Numbered;
use super::{page, title};
use crate::kernel::Profile;
use crate::object::{Object, Program};
use crate::report::source::Sources;
use crate::report::told::Look;
use crate::report::{recorded, verify};
use crate::verifier::obligations::LockOwner;
use crate::verifier::path::{Event, Snapshot};
use crate::verifier::path::{Record, Recorded};
use crate::verifier::story::{self, Part, What};
use crate::verifier::{ObjectVerifier, Options, Verdict, Verification};

/// Steps of all programs that a page has, at most; of programs behind them it has the verdict only.
const MAX_STEPS: usize = 60_000;
/// Steps of one path to a rejection that are kept of its start, and of its end.
const ENDS: usize = 3_000;
/// Paths of a program that can be chosen, at most.
const MAX_PATHS: usize = 300;

/// The page of an object's programs. `options` says how much of an accepted program's paths is recorded.
#[must_use]
pub fn of_object(
    path: &Path,
    object: &Object,
    profile: &Profile,
    programs: &[&Program],
    options: Options,
    sources: Sources,
) -> Page {
    let verifier = ObjectVerifier::new(object, profile, options.clone());
    let verdict_only = ObjectVerifier::new(object, profile, Options { record: Record::Verdict, ..options });
    let mut shared = Shared::new(sources);
    let mut views: Vec<View> = Vec::new();
    let mut steps = 0;
    for program in programs {
        let mut verification = verifier.verify(program);
        let cut = verification.path.as_ref().is_some_and(|path| path.cut);
        if cut && verification.verdict != Verdict::Accept {
            // The tree does not reach the verdict: the one path does.
            verification = verdict_only.verify(program);
        }
        if verification.verdict != Verdict::Accept && verification.story.is_none() {
            verification.story = Some(story::tell(program, &verification));
        }
        if steps >= MAX_STEPS {
            verification.path = None;
        }
        let mut view = of_program(&mut shared, path, object, program, &verification);
        steps += view.steps.len();
        let same = views.iter().filter(|other| other.title == view.title).count();
        if same > 0 {
            view.name = format!("{}-{}", view.name, same + 1);
        }
        views.push(view);
    }
    let mut page = page(Kind::Verification, title(path), shared);
    let count = |status: Status| views.iter().filter(|view| view.status == status).count();
    page.facts = vec![
        fact("accepted", count(Status::Accepted)),
        fact("rejected", count(Status::Rejected)),
        fact("unsupported", count(Status::Unsupported)),
        fact("kernel", &profile.build),
    ];
    page.views = views;
    page
}

fn of_program(
    shared: &mut Shared,
    path: &Path,
    object: &Object,
    program: &Program,
    verification: &Verification,
) -> View {
    let number = shared.program(object, program);
    let (status, verdict) = match &verification.verdict {
        Verdict::Accept => (Status::Accepted, "The kernel loads this program.".to_owned()),
        Verdict::Reject(rejection) => (Status::Rejected, rejection.rule.to_string()),
        Verdict::Unsupported(what) => (Status::Unsupported, format!("not supported yet: {what}")),
    };
    let mut view = View {
        name: program.name.clone(),
        title: program.name.clone(),
        status,
        verdict,
        facts: facts(verification),
        story: Vec::new(),
        report: verify::text(&path.display().to_string(), verification, &Look::plain()),
        lanes: vec!["the verifier".to_owned()],
        keys: Vec::new(),
        steps: Vec::new(),
        paths: Vec::new(),
        cut: None,
        timeline: None,
    };
    match &verification.path {
        Some(recorded) => {
            let kept = add_steps(&mut view, shared, object, program, number, recorded);
            add_paths(&mut view, program, recorded, &kept);
        }
        None => {
            view.cut =
                Some("no path was recorded: the verdict fell before any was followed, or the page is full".to_owned())
        }
    }
    add_story(&mut view, shared, number, verification);
    view
}

fn facts(verification: &Verification) -> Vec<model::Fact> {
    let mut facts = Vec::new();
    if let Verdict::Reject(rejection) = &verification.verdict {
        facts.push(fact("rule", rejection.rule.id()));
        facts.push(fact("errno", rejection.rule.errno().number()));
    }
    if let Some(place) = &verification.place {
        facts.push(fact("instruction", place.insn));
    }
    let statistics = &verification.statistics;
    let depths: Vec<String> = statistics.stack_depths.iter().map(u32::to_string).collect();
    facts.push(fact("section", &verification.section));
    facts.push(fact("instructions processed", statistics.insns_processed));
    facts.push(fact("states", statistics.total_states));
    facts.push(fact("stack", depths.join("+")));
    facts
}

/// Which of the recorded steps are kept, by number: all, or both ends of a long path.
fn kept_steps(recorded: &Recorded) -> Vec<usize> {
    let count = recorded.steps.len();
    let is_path = recorded.steps.iter().enumerate().all(|(index, step)| step.parent == index.checked_sub(1));
    if is_path && count > 2 * ENDS { (0..ENDS).chain(count - ENDS..count).collect() } else { (0..count).collect() }
}

/// Adds the steps; returns the place of each recorded step that is kept.
fn add_steps(
    view: &mut View,
    shared: &mut Shared,
    object: &Object,
    program: &Program,
    number: u32,
    recorded: &Recorded,
) -> BTreeMap<usize, usize> {
    let kept = kept_steps(recorded);
    let places: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(place, &index)| (index, place)).collect();
    let left_out = recorded.steps.len() - kept.len();
    view.cut = match (left_out, recorded.cut) {
        (0, false) => None,
        (0, true) => Some("not all steps are here: there are too many".to_owned()),
        _ => Some("steps in the middle of the path are left out".to_owned()),
    };
    let mut keys = Numbered::default();
    let empty = Snapshot::default();
    for (place, &index) in kept.iter().enumerate() {
        let Some(step) = recorded.steps.get(index) else { continue };
        // Behind a gap the path goes on from the last step that is kept.
        let parent = step.parent.and_then(|parent| places.get(&parent).copied().or(place.checked_sub(1)));
        let before =
            parent.and_then(|parent| recorded.steps.get(*kept.get(parent)?)).map_or(&empty, |step| &step.before);
        let changes = changes(before, &step.before, object, program, &mut |key, value| {
            (keys.number(key), value.map(|value| shared.text(value)))
        });
        let came = recorded::came(step.came, program, step.insn).map(|came| shared.text(came));
        let events = step
            .events
            .iter()
            .filter(|event| !matches!(event, Event::Called { .. }))
            .map(|event| shared.text(recorded::event(event)))
            .collect();
        view.steps.push(Step { lane: 0, program: Some(number), slot: Some(step.insn), parent, came, changes, events });
    }
    view.keys = keys.into_all();
    places
}

/// The pieces of a state.
fn pieces(state: &Snapshot, object: &Object, program: &Program) -> BTreeMap<Key, String> {
    let mut pieces = BTreeMap::new();
    let mut put = |kind, frame, name: String, value: String| {
        pieces.insert(Key { kind, lane: None, frame, name }, value);
    };
    for frame in &state.frames {
        for (register, value) in &frame.registers {
            put(KeyKind::Register, Some(frame.number), register.to_string(), value.to_string());
        }
        for (offset, value) in &frame.slots {
            put(KeyKind::Stack, Some(frame.number), format!("fp{offset}"), value.to_string());
        }
    }
    for reference in &state.references {
        let slot = reference.entry.acquired_at as usize;
        let line =
            program.line_at(slot).map_or(String::new(), |line| format!(", line {}: {}", line.line, line.text.trim()));
        let name = format!("id {}: {}", reference.entry.id, reference.what);
        put(KeyKind::Reference, None, name, format!("held since instruction {slot}{line}"));
    }
    if let Some(lock) = state.lock {
        let of = match lock.owner {
            LockOwner::Map(map) => {
                object.maps.get(map as usize).map_or("a map".to_owned(), |map| format!("in map {}", map.name))
            }
            LockOwner::Object => "in an object".to_owned(),
        };
        put(KeyKind::Section, None, "lock held".to_owned(), of);
    }
    if state.rcu {
        put(KeyKind::Section, None, "RCU section".to_owned(), "open".to_owned());
    }
    if state.preempt > 0 {
        put(KeyKind::Section, None, "preemption".to_owned(), format!("off, depth {}", state.preempt));
    }
    pieces
}

/// How one state differs from another.
fn changes(
    before: &Snapshot,
    after: &Snapshot,
    object: &Object,
    program: &Program,
    number: &mut dyn FnMut(Key, Option<String>) -> model::Change,
) -> Vec<model::Change> {
    let old = pieces(before, object, program);
    let new = pieces(after, object, program);
    let gone = old.keys().filter(|key| !new.contains_key(key)).map(|key| (key.clone(), None));
    let changed = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    let changed = changed.map(|(key, value)| (key.clone(), Some(value.clone())));
    gone.chain(changed).map(|(key, value)| number(key, value)).collect()
}

/// Adds a path for each leaf; the one to the verdict comes first.
fn add_paths(view: &mut View, program: &Program, recorded: &Recorded, kept: &BTreeMap<usize, usize>) {
    let mut has_child = vec![false; recorded.steps.len()];
    for step in &recorded.steps {
        if let Some(parent) = step.parent.and_then(|parent| has_child.get_mut(parent)) {
            *parent = true;
        }
    }
    let mut leaves: Vec<usize> = (0..has_child.len()).filter(|&index| !has_child[index]).collect();
    let decided = view.status != Status::Accepted;
    if decided {
        leaves.rotate_right(1);
    }
    for (number, &leaf) in leaves.iter().take(MAX_PATHS).enumerate() {
        let steps = recorded.to(leaf);
        let start = steps.first().and_then(|&first| recorded.steps.get(first)).map_or(0, |step| step.insn);
        let within =
            program.function_at(start).filter(|_| start != 0).map_or(String::new(), |f| format!(" of {}", f.name));
        let end = match recorded.steps.get(leaf).and_then(|step| step.events.last()) {
            _ if decided && number == 0 => "to the verdict",
            Some(Event::Pruned) => "to what was verified before",
            Some(Event::PathEnds) => "to the end",
            _ => "cut",
        };
        if let Some(&last) = kept.get(&leaf) {
            let name = format!("{}{within}: {} steps, {end}", number + 1, steps.len());
            view.paths.push(model::Path { name, last });
        }
    }
    if leaves.len() > MAX_PATHS {
        view.cut.get_or_insert_with(|| format!("only {MAX_PATHS} of {} paths can be chosen", leaves.len()));
    }
}

/// How the verdict came about: the story of a rejection, each part with its step, and what helps.
fn add_story(view: &mut View, shared: &Shared, number: u32, verification: &Verification) {
    let story = match (&verification.verdict, &verification.story) {
        (Verdict::Accept, _) | (_, None) => return,
        (_, Some(story)) => story,
    };
    if let Verdict::Reject(rejection) = &verification.verdict {
        let notes = rejection.notes.iter().map(|note| format!("before it the kernel says: {note}"));
        view.story.extend(notes.map(|text| Note { kind: NoteKind::Note, text, step: None }));
    }
    let steps = steps_of(view, &story.parts);
    for (part, step) in story.parts.iter().zip(steps) {
        let place = shared.place(number, part.insn);
        let (kind, text) = match part.what {
            What::Rejected if view.status == Status::Rejected => {
                let why = if part.text == view.verdict { String::new() } else { format!("\n{}", part.text) };
                (NoteKind::Error, format!("{place}\n{}{why}", view.verdict))
            }
            _ => (NoteKind::Note, format!("{place}\n{}", part.text)),
        };
        view.story.push(Note { kind, text, step });
    }
    if let Some(help) = &story.help {
        view.story.push(Note { kind: NoteKind::Help, text: help.clone(), step: None });
    }
}

/// The steps of a story's parts, from the last one backwards along the path to the verdict.
fn steps_of(view: &View, parts: &[Part]) -> Vec<Option<usize>> {
    let mut at = view.paths.first().map(|path| path.last);
    let mut steps: Vec<Option<usize>> = Vec::with_capacity(parts.len());
    for part in parts.iter().rev() {
        let mut here = at;
        while let Some(step) = here.and_then(|here| view.steps.get(here)).filter(|step| step.slot != Some(part.insn)) {
            here = step.parent;
        }
        steps.push(here);
        at = here.or(at);
    }
    steps.reverse();
    steps
}
