//! Verdicts as text and as JSON.

use std::fmt::Write;

use annotate_snippets::{Group, Level};
use serde::Serialize;

use super::source::{Sources, Spot};
use super::told::Look;
use crate::object::LineInfo;
use crate::verifier::story::{Part, Story, What};
use crate::verifier::{Place, Rejection, Verdict, Verification};

/// A verdict as JSON has it: one object a program.
#[derive(Clone, Debug, Serialize)]
pub struct JsonVerdict<'a> {
    /// The object, as it was named.
    pub object: &'a str,
    /// The program.
    pub program: &'a str,
    /// Its section.
    pub section: &'a str,
    /// The kernel build that it was judged for.
    pub kernel: &'a str,
    /// `accept`, `reject` or `unsupported`.
    pub verdict: &'static str,
    /// The error number that loading it fails with; 0 if accepted, absent if unsupported.
    pub errno: Option<i32>,
    /// The line that the kernel's log would end with, or what is not supported.
    pub reason: Option<String>,
    /// Name of the broken rule.
    pub rule: Option<&'static str>,
    /// Lines that the kernel's log has right before its last.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub notes: &'a [String],
    /// The slot where it was decided.
    pub insn: Option<usize>,
    /// Its source line.
    pub source: Option<JsonSource<'a>>,
    /// How the path came to the rejection: what happened where, in order, the rejection last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub story: Vec<JsonPart<'a>>,
    /// What would satisfy the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<&'a str>,
    /// Instructions processed.
    pub insns_processed: u32,
    /// Checkpoints made.
    pub total_states: u32,
    /// Checkpoints at once.
    pub peak_states: u32,
    /// Most checkpoints compared at one instruction.
    pub max_states_per_insn: u32,
    /// Longest chain of checkpoints that one read marked.
    pub longest_mark_read: u32,
    /// Bytes of stack of all functions, as the kernel's statistics have them: `16+8`.
    pub stack_depth: String,
    /// The log, if asked for.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub log: &'a str,
}

/// A part of a story as JSON has it.
#[derive(Clone, Debug, Serialize)]
pub struct JsonPart<'a> {
    /// What it is about.
    pub what: What,
    /// The slot.
    pub insn: usize,
    /// Its source line.
    pub source: Option<JsonSource<'a>>,
    /// What happened, in words.
    pub text: &'a str,
}

/// A source line as JSON has it.
#[derive(Clone, Debug, Serialize)]
pub struct JsonSource<'a> {
    /// File.
    pub file: &'a str,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// The line's text.
    pub text: &'a str,
}

impl<'a> JsonSource<'a> {
    fn of(line: &'a LineInfo) -> JsonSource<'a> {
        JsonSource { file: &line.file, line: line.line, column: line.column, text: line.text.trim() }
    }
}

/// A verdict for JSON.
#[must_use]
pub fn json<'a>(object: &'a str, build: &'a str, verification: &'a Verification) -> JsonVerdict<'a> {
    let (verdict, errno, reason, rule) = match &verification.verdict {
        Verdict::Accept => ("accept", Some(0), None, None),
        Verdict::Reject(rejection) => {
            let rule = &rejection.rule;
            ("reject", Some(rule.errno().number()), Some(rule.to_string()), Some(rule.id()))
        }
        Verdict::Unsupported(what) => ("unsupported", None, Some(what.clone()), None),
    };
    let notes = match &verification.verdict {
        Verdict::Reject(rejection) => rejection.notes.as_slice(),
        _ => &[],
    };
    let statistics = &verification.statistics;
    let depths: Vec<String> = statistics.stack_depths.iter().map(u32::to_string).collect();
    let source = verification.place.as_ref().and_then(|place| place.source.as_ref());
    let story = verification.story.as_ref().filter(|_| verdict == "reject");
    JsonVerdict {
        object,
        program: &verification.program,
        section: &verification.section,
        kernel: build,
        verdict,
        errno,
        reason,
        rule,
        notes,
        insn: verification.place.as_ref().map(|place| place.insn),
        source: source.map(JsonSource::of),
        story: story.map(parts_json).unwrap_or_default(),
        help: story.and_then(|story| story.help.as_deref()),
        insns_processed: statistics.insns_processed,
        total_states: statistics.total_states,
        peak_states: statistics.peak_states,
        max_states_per_insn: statistics.max_states_per_insn,
        longest_mark_read: statistics.longest_mark_read,
        stack_depth: depths.join("+"),
        log: &verification.log,
    }
}

fn parts_json(story: &Story) -> Vec<JsonPart<'_>> {
    story
        .parts
        .iter()
        .map(|part| JsonPart {
            what: part.what,
            insn: part.insn,
            source: part.source.as_ref().map(JsonSource::of),
            text: &part.text,
        })
        .collect()
}

/// A verdict for people: a line if the program is accepted; if not the reason, how the path came to it, and what helps.
#[must_use]
pub fn text(object: &str, verification: &Verification, look: &Look) -> String {
    let mut text = verification.log.clone();
    let program = &verification.program;
    match &verification.verdict {
        Verdict::Accept => {
            let processed = verification.statistics.insns_processed;
            let _ = writeln!(text, "accepted: {program} ({object}), {processed} instructions processed");
        }
        Verdict::Reject(rejection) => {
            let rule = &rejection.rule;
            let title = format!("{program} ({object}) is rejected: {rule}");
            let head = Level::ERROR.primary_title(title.as_str()).id(rule.id());
            let report = rejected(Group::with_title(head), rejection, verification, &look.sources);
            let _ = writeln!(text, "{}\n", look.render(&[report]));
        }
        Verdict::Unsupported(what) => {
            let title = format!("{program} ({object}) cannot be judged: not supported yet: {what}");
            let place = place_text(verification.place.as_ref());
            let note = format!("this is no verdict: the kernel may accept or reject the program{place}");
            let spots: Vec<Spot<'_>> = spot_of(verification).into_iter().collect();
            let group = look.sources.show(Group::with_title(Level::WARNING.primary_title(title.as_str())), &spots);
            let _ = writeln!(text, "{}\n", look.render(&[group.element(Level::NOTE.message(note))]));
        }
    }
    text
}

fn place_text(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| format!(", at instruction {}", place.insn))
}

/// The place of the verdict, without a word to it.
fn spot_of(verification: &Verification) -> Option<Spot<'_>> {
    let line = verification.place.as_ref()?.source.as_ref()?;
    Some(Spot { line, label: String::new(), primary: true })
}

/// The places of a story, numbered in the order in which the path came to them, then what else there is to say.
fn rejected<'a>(
    mut group: Group<'a>,
    rejection: &'a Rejection,
    verification: &'a Verification,
    sources: &Sources,
) -> Group<'a> {
    let parts = verification.story.as_ref().map_or(&[][..], |story| &story.parts);
    let labelled = |(number, part): (usize, &Part)| match parts.len() {
        1 => part.text.clone(),
        _ => format!("{}: {}", number + 1, part.text),
    };
    let labels: Vec<String> = parts.iter().enumerate().map(labelled).collect();
    let mut spots = Vec::new();
    let mut elsewhere = Vec::new();
    for (part, label) in parts.iter().zip(&labels) {
        match &part.source {
            Some(line) => {
                spots.push(Spot { line, label: label.clone(), primary: part.what == What::Rejected });
            }
            None => elsewhere.push(format!("instruction {}: {label}", part.insn)),
        }
    }
    if parts.is_empty() {
        spots.extend(spot_of(verification));
    }
    group = sources.show(group, &spots);
    if let Some(help) = verification.story.as_ref().and_then(|story| story.help.as_deref()) {
        group = group.element(Level::HELP.message(help));
    }
    for note in elsewhere {
        group = group.element(Level::NOTE.message(note));
    }
    for note in &rejection.notes {
        group = group.element(Level::NOTE.message(format!("before it the kernel says: {note}")));
    }
    let left_out = verification.story.as_ref().map_or(0, |story| story.other_branches);
    if left_out > 0 {
        let plural = if left_out == 1 { "" } else { "es" };
        group = group.element(Level::NOTE.message(format!("{left_out} other branch{plural} on this path left out")));
    }
    let place = place_text(verification.place.as_ref());
    let errno = format!("loading it fails with errno {}{place}", rejection.rule.errno().number());
    group = group.element(Level::NOTE.message(errno));
    group.element(Level::NOTE.message(format!("`kptrsim explain {}` tells more", rejection.rule.id())))
}
