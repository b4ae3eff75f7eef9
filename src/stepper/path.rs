//! The verifier's recorded paths of one program, stepped forwards and back.
//!
//! A program that is accepted has several paths, each up to its end or to where an earlier one covers it; on a rejected one the last path leads
//! to the verdict, and is shown first. Start at [`PathSession::new`].

use std::sync::Arc;

use crate::object::{Object, Program};
use crate::report::recorded;
use crate::verifier::path::{Event, Recorded, Step};
use crate::verifier::{Verdict, Verification};

use super::stops::Break;

/// A program's paths.
#[derive(Clone, Debug)]
pub struct PathSession {
    object: Arc<Object>,
    program: usize,
    verification: Verification,
    recorded: Recorded,
    /// The last step of each path.
    ends: Vec<usize>,
    chosen: usize,
    /// The steps of the chosen path.
    steps: Vec<usize>,
    at: usize,
    breaks: Vec<Break>,
}

impl PathSession {
    /// The paths of an object's program. `verification` has them, if there are any.
    ///
    /// # Errors
    /// If the object has no such program, or no path was recorded; the verdict is in the sentence.
    pub fn new(object: Arc<Object>, program: &str, verification: Verification) -> Result<PathSession, String> {
        let index = object.programs.iter().position(|one| one.name == program);
        let index = index.ok_or_else(|| format!("there is no program `{program}`"))?;
        let recorded = verification.path.clone().unwrap_or_default();
        let mut is_end = vec![true; recorded.steps.len()];
        for parent in recorded.steps.iter().filter_map(|step| step.parent) {
            if let Some(end) = is_end.get_mut(parent) {
                *end = false;
            }
        }
        let ends: Vec<usize> = (0..is_end.len()).filter(|&step| is_end[step]).collect();
        let decided = verification.verdict != Verdict::Accept;
        let chosen = if decided { ends.len().saturating_sub(1) } else { 0 };
        let Some(&end) = ends.get(chosen) else {
            return Err(format!("{program} {}, before any path was followed", verdict_text(&verification.verdict)));
        };
        let steps = recorded.to(end);
        Ok(PathSession {
            object,
            program: index,
            verification,
            recorded,
            ends,
            chosen,
            steps,
            at: 0,
            breaks: Vec::new(),
        })
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.object.programs[self.program]
    }

    /// The verdict and all that belongs to it.
    #[must_use]
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// The verdict in a sentence.
    #[must_use]
    pub fn verdict(&self) -> String {
        verdict_text(&self.verification.verdict)
    }

    /// Are steps missing?
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.recorded.cut
    }

    /// Where on the path it is, from 0, and how many steps that has.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        (self.at, self.steps.len())
    }

    /// The chosen path, from 0, and how many there are.
    #[must_use]
    pub fn path(&self) -> (usize, usize) {
        (self.chosen, self.ends.len())
    }

    /// The step whose state is shown: its instruction comes next.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        self.step_at(self.at)
    }

    /// The one before it.
    #[must_use]
    pub fn step_before(&self) -> Option<&Step> {
        self.step_at(self.at.checked_sub(1)?)
    }

    fn step_at(&self, index: usize) -> Option<&Step> {
        self.recorded.steps.get(*self.steps.get(index)?)
    }

    /// The steps of the path at which something is to be said: index on the path, slot, what.
    #[must_use]
    pub fn events(&self) -> Vec<(usize, usize, String)> {
        let steps = (0..self.steps.len()).filter_map(|index| Some((index, self.step_at(index)?)));
        let said = steps.flat_map(|(index, step)| {
            let came = recorded::came(step.came, self.program(), step.insn);
            let events = step.events.iter().filter(|event| !recorded::is_course(event)).map(recorded::event);
            came.into_iter().chain(events).map(move |text| (index, step.insn, text)).collect::<Vec<_>>()
        });
        said.collect()
    }

    /// What a path is called: its length and how it ends.
    #[must_use]
    pub fn path_text(&self, path: usize) -> String {
        let Some(&end) = self.ends.get(path) else { return String::new() };
        let last = self.recorded.steps.get(end);
        let ends = match last.and_then(|step| step.events.last()) {
            Some(Event::Rejected { .. }) => "refused",
            Some(Event::Unsupported { .. }) => "not supported",
            Some(Event::Pruned { .. }) => "covered by another",
            Some(Event::PathEnds) => "to the program's end",
            _ => "not kept to its end",
        };
        let insn = last.map_or(0, |step| step.insn);
        format!("{}: {ends}, at {insn}", path + 1)
    }

    /// Goes so many steps forward, or back; `false` if that is past an end, where it stays.
    pub fn go(&mut self, by: isize) -> bool {
        let last = self.steps.len().saturating_sub(1);
        let wanted = self.at.saturating_add_signed(by);
        let fits = wanted <= last && (by > 0 || self.at > 0 || by == 0);
        self.at = wanted.min(last);
        fits
    }

    /// Goes to the start.
    pub fn to_start(&mut self) {
        self.at = 0;
    }

    /// Goes to the end.
    pub fn to_end(&mut self) {
        self.at = self.steps.len().saturating_sub(1);
    }

    fn line(&self) -> Option<(&str, u32)> {
        let line = self.program().line_at(self.step()?.insn)?;
        Some((&line.file, line.line))
    }

    /// Goes to the next source line.
    pub fn next_line(&mut self) {
        let before = self.line().map(|(file, line)| (file.to_owned(), line));
        while self.go(1) && self.line().map(|(file, line)| (file.to_owned(), line)) == before {}
    }

    /// Does something happen here that is more than the program's course?
    fn is_event(&self) -> bool {
        let happens =
            |event: &Event| !recorded::is_course(event) && !matches!(event, Event::Branch { both: false, .. });
        self.step().is_some_and(|step| step.events.iter().any(happens))
    }

    /// Goes to the next instruction at which something happens, or the last before.
    pub fn to_event(&mut self, by: isize) {
        while self.go(by) && !self.is_event() {}
    }

    /// Chooses the path so many further on; what it has in common with this one stays behind.
    pub fn choose(&mut self, by: isize) {
        let count = self.ends.len() as isize;
        self.chosen = (self.chosen as isize + by).rem_euclid(count.max(1)) as usize;
        let Some(&end) = self.ends.get(self.chosen) else { return };
        let steps = self.recorded.to(end);
        let common = steps.iter().zip(&self.steps).take_while(|(one, other)| one == other).count();
        self.at = self.at.min(common).min(steps.len().saturating_sub(1));
        self.steps = steps;
    }

    /// Goes to the next break: which; none if the path ends before.
    pub fn to_break(&mut self) -> Option<String> {
        while self.go(1) {
            let insn = self.step().map_or(0, |step| step.insn as u32);
            if let Some(found) = self.breaks.iter().find(|one| one.is_at(self.program(), insn)) {
                return Some(found.to_string());
            }
        }
        None
    }

    /// Places at which it stops.
    #[must_use]
    pub fn breaks(&self) -> &[Break] {
        &self.breaks
    }

    /// Sets a break, or takes it away; whether it is there now.
    ///
    /// # Errors
    /// If the program has no such place.
    pub fn toggle_break(&mut self, wanted: Break) -> Result<bool, String> {
        if let Some(index) = self.breaks.iter().position(|one| *one == wanted) {
            self.breaks.remove(index);
            return Ok(false);
        }
        if !wanted.exists(std::slice::from_ref(self.program())) {
            return Err(format!("{} has no instruction at {wanted}", self.program().name));
        }
        self.breaks.push(wanted);
        Ok(true)
    }

    /// No breaks.
    pub fn clear_breaks(&mut self) {
        self.breaks.clear();
    }
}

fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "is accepted".to_owned(),
        Verdict::Reject(rejection) => format!("is rejected: {}", rejection.rule),
        Verdict::Unsupported(what) => format!("cannot be judged: {what}"),
    }
}
