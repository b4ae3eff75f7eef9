//! Verdicts as text and as JSON.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::verifier::{Place, Verdict, Verification};

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
        source: source.map(|line| JsonSource {
            file: &line.file,
            line: line.line,
            column: line.column,
            text: line.text.trim(),
        }),
        insns_processed: statistics.insns_processed,
        total_states: statistics.total_states,
        peak_states: statistics.peak_states,
        max_states_per_insn: statistics.max_states_per_insn,
        longest_mark_read: statistics.longest_mark_read,
        stack_depth: depths.join("+"),
        log: &verification.log,
    }
}

/// A verdict for people: a line if the program is accepted, the source line and the reason if not.
#[must_use]
pub fn text(object: &str, verification: &Verification, colour: bool) -> String {
    let mut text = verification.log.clone();
    let program = &verification.program;
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    match &verification.verdict {
        Verdict::Accept => {
            let processed = verification.statistics.insns_processed;
            let _ = writeln!(text, "accepted: {program} ({object}), {processed} instructions processed");
        }
        Verdict::Reject(rejection) => {
            let rule = &rejection.rule;
            let title = format!("{program} ({object}) is rejected: {rule}");
            let notes = rejection.notes.iter().map(|note| format!("before it the kernel says: {note}"));
            let place = place_text(verification.place.as_ref());
            let errno = format!("loading it fails with errno {}{place}", rule.errno().number());
            let report = snippet(Level::ERROR, &title, Some(rule.id()), verification, notes.chain([errno]).collect());
            let _ = writeln!(text, "{}\n", renderer.render(&report));
        }
        Verdict::Unsupported(what) => {
            let title = format!("{program} ({object}) cannot be judged: not supported yet: {what}");
            let place = place_text(verification.place.as_ref());
            let note = format!("this is no verdict: the kernel may accept or reject the program{place}");
            let report = snippet(Level::WARNING, &title, None, verification, vec![note]);
            let _ = writeln!(text, "{}\n", renderer.render(&report));
        }
    }
    text
}

fn place_text(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| format!(", at instruction {}", place.insn))
}

/// A message with the source line that the compiler kept, where it did.
fn snippet<'a>(
    level: Level<'a>,
    title: &'a str,
    id: Option<&'a str>,
    verification: &'a Verification,
    notes: Vec<String>,
) -> Vec<Group<'a>> {
    let head = match id {
        Some(id) => level.primary_title(title).id(id),
        None => level.primary_title(title),
    };
    let source = verification.place.as_ref().and_then(|place| place.source.as_ref());
    let mut group = Group::with_title(head);
    if let Some(line) = source {
        let start = line.text.len() - line.text.trim_start().len();
        let end = line.text.trim_end().len().max(start);
        group = group.element(
            Snippet::source(line.text.to_string())
                .line_start(line.line as usize)
                .path(line.file.to_string())
                .annotation(AnnotationKind::Primary.span(start..end)),
        );
    }
    for note in notes {
        group = group.element(Level::NOTE.message(note));
    }
    vec![group]
}
