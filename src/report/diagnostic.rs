//! What is wrong, in the shape that code hosts and editors take it: a rule, a message, a source line, other places.
//!
//! [`of_verification`] makes one of a verdict, [`of_finding`] of what `run` and `explore` found, as their JSON tells it.
//! [`sarif`](super::sarif) and [`github`](super::github) print them.

use serde_json::Value;

use crate::object::LineInfo;
use crate::verifier::story::Part;
use crate::verifier::{Verdict, Verification};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The program is wrong.
    Error,
    /// Nothing is known to be wrong, but it could not be judged.
    Warning,
}

/// A source line, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The file, as the compiler saw it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// The line's text.
    pub text: String,
}

/// Another place that belongs to a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// What happened there.
    pub message: String,
    /// Where.
    pub spot: Spot,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Name of the rule, or the kind of finding.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: String,
    /// More lines about it.
    pub details: Vec<String>,
    /// The object or scenario, as it was named.
    pub object: String,
    /// The program; empty if it is about several.
    pub program: String,
    /// Where; `None` where no source line is known.
    pub spot: Option<Spot>,
    /// Other places: where a reference was acquired, the other access of a race.
    pub related: Vec<Related>,
    /// The steps that lead there, in order.
    pub steps: Vec<Related>,
}

/// The rule that stands for what is not modelled.
pub const UNSUPPORTED: &str = "unsupported";

/// The diagnostic of a verdict; `None` if the program is accepted.
#[must_use]
pub fn of_verification(object: &str, verification: &Verification) -> Option<Diagnostic> {
    let at = verification.place.as_ref().map(|place| format!("at instruction {}", place.insn));
    let (rule, severity, title, details) = match &verification.verdict {
        Verdict::Accept => return None,
        Verdict::Reject(rejection) => {
            let mut details: Vec<String> =
                rejection.notes.iter().map(|note| format!("before it the kernel says: {note}")).collect();
            let place = at.map_or(String::new(), |at| format!(", {at}"));
            details.push(format!("loading it fails with errno {}{place}", rejection.rule.errno().number()));
            (rejection.rule.id(), Severity::Error, rejection.rule.to_string(), details)
        }
        Verdict::Unsupported(what) => {
            let place = at.map_or(String::new(), |at| format!(", {at}"));
            let detail = format!("this is no verdict: the kernel may accept or reject the program{place}");
            (UNSUPPORTED, Severity::Warning, format!("not supported yet: {what}"), vec![detail])
        }
    };
    let source = verification.place.as_ref().and_then(|place| place.source.as_ref());
    let story = verification.story.as_ref().filter(|story| story.parts.len() > 1);
    let parts: Vec<Related> = story.map_or_else(Vec::new, |story| story.parts.iter().filter_map(part).collect());
    let mut details = details;
    if let Some(help) = verification.story.as_ref().and_then(|story| story.help.as_ref()) {
        details.insert(0, format!("help: {help}"));
    }
    Some(Diagnostic {
        rule: rule.to_owned(),
        severity,
        title: format!("{}: {title}", verification.program),
        details,
        object: object.to_owned(),
        program: verification.program.clone(),
        spot: source.map(spot_of),
        // The rejection itself, which is last, is the message's own place.
        related: parts.split_last().map_or_else(Vec::new, |(_, before)| before.to_vec()),
        steps: parts,
    })
}

fn spot_of(line: &LineInfo) -> Spot {
    Spot { file: line.file.to_string(), line: line.line, column: line.column, text: line.text.trim().to_owned() }
}

/// A part of a story as a place, if its line is known.
fn part(part: &Part) -> Option<Related> {
    Some(Related { message: part.text.clone(), spot: spot_of(part.source.as_ref()?) })
}

/// Members of a finding that are places, in the order in which they matter, and what happened there.
const PLACES: [(&str, &str); 6] = [
    ("at", "here"),
    ("first", "one access"),
    ("second", "the other access"),
    ("acquired", "acquired here"),
    ("allocated", "allocated here"),
    ("freed", "freed here"),
];

/// The diagnostic of a finding of `explore`, or of what a `run` found; `finding` is its JSON.
#[must_use]
pub fn of_finding(object: &str, title: &str, details: Vec<String>, finding: &Value, undecided: bool) -> Diagnostic {
    let mut places = Vec::new();
    collect(finding, &mut places);
    let main = places.first().cloned();
    let program = main.as_ref().map_or(String::new(), |(_, _, program)| program.clone());
    let rule = finding["kind"].as_str().or_else(|| finding["fault"]["kind"].as_str()).unwrap_or(UNSUPPORTED);
    Diagnostic {
        rule: rule.to_owned(),
        severity: if undecided { Severity::Warning } else { Severity::Error },
        title: title.to_owned(),
        details,
        object: object.to_owned(),
        program,
        spot: main.and_then(|(_, spot, _)| spot),
        related: places
            .into_iter()
            .skip(1)
            .filter_map(|(message, spot, _)| Some(Related { message: message.to_owned(), spot: spot? }))
            .collect(),
        steps: Vec::new(),
    }
}

/// The places of a finding: its own, then those of what it is about.
fn collect(value: &Value, places: &mut Vec<(&'static str, Option<Spot>, String)>) {
    for (member, message) in PLACES {
        let place = &value[member];
        if place["program"].is_string() {
            places.push((message, spot(place), place["program"].as_str().unwrap_or_default().to_owned()));
        }
    }
    for waiting in value["waiting"].as_array().into_iter().flatten() {
        places.push(("waits here", spot(waiting), waiting["program"].as_str().unwrap_or_default().to_owned()));
    }
    for inside in ["fault", "unsupported", "limit", "region"] {
        if value[inside].is_object() {
            collect(&value[inside], places);
        }
    }
}

/// The source line of a place as JSON has it.
#[must_use]
pub fn spot(place: &Value) -> Option<Spot> {
    let source = &place["source"];
    let number = |member: &str| source[member].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    Some(Spot {
        file: source["file"].as_str()?.to_owned(),
        line: number("line"),
        column: number("column"),
        text: source["text"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(program: &str, line: u32) -> Value {
        json!({"program": program, "insn": 3, "cpu": 1,
               "source": {"file": "/src/a.bpf.c", "line": line, "column": 2, "text": "x = 1;"}})
    }

    #[test]
    fn a_race_has_two_places() {
        let race = json!({"kind": "data-race", "first": place("one", 10), "second": place("two", 20)});
        let told = of_finding("a.o", "data-race: x", Vec::new(), &race, false);
        assert_eq!((told.rule.as_str(), told.program.as_str()), ("data-race", "one"));
        assert_eq!(told.spot.map(|spot| (spot.line, spot.column)), Some((10, 2)));
        assert_eq!(told.related.len(), 1);
        assert_eq!(told.related[0].spot.line, 20);
    }

    #[test]
    fn a_fault_tells_where_its_memory_came_from() {
        let region = json!({"allocated": place("make", 5), "freed": place("drop", 7)});
        let fault = json!({"program": "p", "fault": {"kind": "use-after-free", "at": place("p", 9), "region": region}});
        let told = of_finding("a.o", "use after free", Vec::new(), &fault, false);
        assert_eq!((told.rule.as_str(), told.spot.map(|spot| spot.line)), ("use-after-free", Some(9)));
        let lines: Vec<_> = told.related.iter().map(|one| (one.message.as_str(), one.spot.line)).collect();
        assert_eq!(lines, [("allocated here", 5), ("freed here", 7)]);
    }

    #[test]
    fn what_has_no_source_line_has_no_spot() {
        let at = json!({"program": "p", "insn": 3, "source": null});
        let told = of_finding("a.o", "t", Vec::new(), &json!({"kind": "leak", "acquired": at}), true);
        assert_eq!((told.spot, told.severity, told.program.as_str()), (None, Severity::Warning, "p"));
    }
}
