//! What came of holding runs against a verifier's states: for each program or scenario how much was checked, and what speaks against it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::explore::describe;
use super::place::Words;
use super::told::{Look, Told};
use crate::machine::Machine;
use crate::soundness::containment::follow::Against;
use crate::soundness::containment::{Found, Outcome, Reported, Skipped, Violation, reason};

/// The kind of finding that is a state outside of the verifier's.
const NOT_CONTAINED: &str = "not-contained";

/// What was run, and what came of it.
#[derive(Debug)]
pub struct Checked {
    /// The program, or the scenario's file.
    pub name: String,
    /// Is it a program, which can be named with `--prog`?
    pub is_program: bool,
    /// What the runs came to, or why there were none.
    pub outcome: Result<Outcome, Skipped>,
}

/// What all of it comes to, as the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judged {
    /// All was checked and is contained.
    Contained,
    /// Something could not be checked.
    Undecided,
    /// Something is not contained, or faults.
    Found,
}

impl Checked {
    /// What it comes to.
    #[must_use]
    pub fn result(&self) -> Judged {
        match &self.outcome {
            Ok(outcome) if !outcome.findings.is_empty() => Judged::Found,
            Ok(outcome) if outcome.counts.contained > 0 => Judged::Contained,
            _ => Judged::Undecided,
        }
    }

    /// For people: counts, then each finding as a message with its places.
    #[must_use]
    pub fn text(&self, path: &Path, look: &Look) -> String {
        let outcome = match &self.outcome {
            Ok(outcome) => outcome,
            Err(skipped) => return format!("{}: not run: {}\n", self.name, skipped_text(skipped)),
        };
        let mut text = format!("{}: {}\n", self.name, self.verdict(outcome));
        let counts = outcome.counts;
        let share = |part: u64| format!("{:.1} %", 100.0 * part as f64 / counts.executed.max(1) as f64);
        let _ = writeln!(
            text,
            "  {} runs, {} instructions executed; the states of {} ({}) lie in states of the verifier, {} registers and slots; {} \
             were found again after a path that was cut short",
            outcome.runs,
            counts.executed,
            counts.contained,
            share(counts.contained),
            counts.places,
            counts.found_again,
        );
        if counts.without_trace > 0 {
            let _ = writeln!(text, "  {} instructions of programs that were not verified", counts.without_trace);
        }
        if outcome.cut > 0 {
            let _ = writeln!(text, "  {} runs cut for their length", outcome.cut);
        }
        for (kind, runs) in &outcome.tolerated {
            let _ = writeln!(text, "  {kind} in {runs} runs: {}", reason(kind).unwrap_or_default());
        }
        for (what, runs) in &outcome.undecided {
            let _ = writeln!(text, "  {runs} runs ended early: {what}");
        }
        for reported in outcome.findings.values() {
            text.push('\n');
            text.push_str(&self.finding_text(reported, path, look));
        }
        text
    }

    fn verdict(&self, outcome: &Outcome) -> String {
        match self.result() {
            Judged::Contained => "contained".to_owned(),
            Judged::Undecided => "nothing was checked".to_owned(),
            Judged::Found => format!("{} found", outcome.findings.len()),
        }
    }

    fn finding_text(&self, reported: &Reported, path: &Path, look: &Look) -> String {
        let told = match &reported.found {
            Found::Outside(violation) => outside_told(&reported.machine, violation),
            Found::Run(finding) => describe(&reported.machine, finding).told,
        };
        let runs = if reported.times == 1 { "1 run".to_owned() } else { format!("{} runs", reported.times) };
        let mut notes = vec![format!("in {runs}; again: `{}`", self.again(reported, path))];
        notes.extend(reported.gap.map(|gap| format!("known gap of the kernel: {}: {}", gap.kind, gap.reason)));
        told.text(look, &notes)
    }

    fn again(&self, reported: &Reported, path: &Path) -> String {
        let program = if self.is_program { format!(" --prog {}", self.name) } else { String::new() };
        format!(
            "kptrsim contain {}{program} --seed {} --only {}{}",
            path.display(),
            reported.run.seed,
            reported.run.number,
            reported.gap.map_or("", |_| " --known"),
        )
    }

    /// The same as one JSON object.
    #[must_use]
    pub fn json(&self, path: &Path) -> Value {
        let outcome = match &self.outcome {
            Ok(outcome) => outcome,
            Err(skipped) => return json!({"name": self.name, "result": "skipped", "why": skipped_text(skipped)}),
        };
        let findings: Vec<_> = outcome.findings.values().map(|reported| self.finding_json(reported, path)).collect();
        let counts = outcome.counts;
        json!({
            "name": self.name,
            "result": match self.result() {
                Judged::Contained => "contained",
                Judged::Undecided => "undecided",
                Judged::Found => "found",
            },
            "runs": outcome.runs,
            "cut": outcome.cut,
            "executed": counts.executed,
            "contained": counts.contained,
            "found_again": counts.found_again,
            "places": counts.places,
            "without_trace": counts.without_trace,
            "tolerated": outcome.tolerated,
            "undecided": outcome.undecided,
            "findings": findings,
        })
    }

    fn finding_json(&self, reported: &Reported, path: &Path) -> Value {
        let mut value = match &reported.found {
            Found::Outside(violation) => outside_json(&reported.machine, violation),
            Found::Run(finding) => describe(&reported.machine, finding).json,
        };
        value["runs"] = json!(reported.times);
        if let Some(gap) = reported.gap {
            value["known_gap"] = json!(gap.kind);
        }
        value["again"] = json!(self.again(reported, path));
        value
    }
}

fn skipped_text(skipped: &Skipped) -> String {
    match skipped {
        Skipped::Rejected(why) => format!("it is rejected: {why}"),
        Skipped::Unsupported(what) => format!("its verification is unsupported: {what}"),
        Skipped::TooLong(count) => {
            format!("its verification processes {count} instructions, too many for a log to be kept")
        }
    }
}

/// A state that the verifier had not reckoned with, as a message: what is known of it in each state that could have contained it.
fn outside_told(machine: &Machine, violation: &Violation) -> Told {
    let words = Words::new(machine);
    let place = words.told_moment(
        violation.at,
        "before this, the run is in a state that the verifier had not reckoned with",
        true,
    );
    let mut notes = vec![format!("instruction {}", words.instruction(violation.at.place))];
    notes.extend(violation.against.iter().map(|against| against_text(&words, machine, against)));
    Told {
        id: NOT_CONTAINED.to_owned(),
        title: format!("no state of the verifier contains one that {} comes to", words.program(violation.at.place)),
        undecided: false,
        places: vec![place],
        notes,
    }
}

fn against_text(words: &Words<'_>, machine: &Machine, against: &Against) -> String {
    let Some(mismatch) = &against.mismatch else {
        return format!("the verifier's state at line {} of its log: the path does not come there", against.line);
    };
    let concrete = mismatch.concrete.map_or("nothing".to_owned(), |value| number_text(words, machine, value));
    format!(
        "the verifier's state at line {} of its log: {} is {concrete}, not {}: {}",
        against.line,
        mismatch.place(),
        mismatch.expected,
        mismatch.why
    )
}

fn number_text(words: &Words<'_>, machine: &Machine, value: u64) -> String {
    match machine.memory().near(value) {
        Some((region, offset)) => format!("{value:#x} ({}{offset:+})", words.region(region)),
        None => format!("{value:#x}"),
    }
}

fn outside_json(machine: &Machine, violation: &Violation) -> Value {
    let words = Words::new(machine);
    let against: Vec<_> = violation
        .against
        .iter()
        .map(|against| {
            let mismatch = against.mismatch.as_ref().map(|mismatch| {
                json!({
                    "place": mismatch.place(),
                    "concrete": mismatch.concrete.map(|value| number_text(&words, machine, value)),
                    "expected": mismatch.expected,
                    "why": mismatch.why,
                })
            });
            json!({"line": against.line, "mismatch": mismatch})
        })
        .collect();
    json!({
        "kind": NOT_CONTAINED,
        "at": words.moment_json(violation.at),
        "instruction": words.instruction(violation.at.place),
        "against": against,
    })
}
