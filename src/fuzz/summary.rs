//! What a campaign comes to, out of its journal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::cause::{Cause, Class};
use super::journal::{Entry, Judged, Recorded};
use crate::crosscheck::compare::OurDecision;
use crate::crosscheck::protocol::Verdict;

/// Programs that are kept of each cause, to be made small.
const MAX_EXAMPLES: usize = 8;

/// A disagreement and the programs that show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many programs.
    pub programs: u64,
    /// The numbers of the first of them.
    pub examples: Vec<u64>,
    /// What is recorded of it.
    pub recorded: Vec<Recorded>,
}

/// Counts over a journal. The order of its lines is of no matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Programs judged.
    pub programs: u64,
    /// Those that we accept.
    pub accepted: u64,
    /// Those that we reject.
    pub rejected: u64,
    /// Those of which we say that we cannot tell.
    pub unsupported: u64,
    /// Those of changed objects that our loader does not take, and others without a verdict of ours.
    pub not_loaded: u64,
    /// Those on which a kernel gave a verdict.
    pub kernel_verdicts: u64,
    /// Those that it accepted.
    pub kernel_accepted: u64,
    /// Those on which we gave the same verdict, for whatever reason.
    pub equal_verdicts: u64,
    /// Of these, those with the same reason and error number.
    pub equal_reasons: u64,
    /// Of those with equal verdicts, those with as many processed instructions.
    pub equal_counts: u64,
    /// Runs in the machine.
    pub runs: u64,
    /// Instructions that they executed.
    pub executed: u64,
    /// Those before which the state lay in one of the verifier's.
    pub contained: u64,
    /// Runs that ended for want of a model or at a limit.
    pub undecided: u64,
    /// What was not supported, and in how many programs.
    pub not_supported: BTreeMap<String, u64>,
    /// Rules that rejected programs, and how many.
    pub rules: BTreeMap<String, u64>,
    #[serde(skip)]
    causes: BTreeMap<Cause, Seen>,
}

impl Summary {
    /// Counts a line.
    pub fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Program(judged) => self.add_program(judged),
            Entry::Finding(recorded) => {
                self.causes.entry(recorded.cause.clone()).or_default().recorded.push(recorded.clone());
            }
        }
    }

    fn add_program(&mut self, judged: &Judged) {
        self.programs += 1;
        let why = || judged.why.clone().unwrap_or_default();
        match judged.ours {
            Some(OurDecision::Accept) => self.accepted += 1,
            Some(OurDecision::Reject) => {
                self.rejected += 1;
                *self.rules.entry(why()).or_default() += 1;
            }
            Some(OurDecision::Unsupported) => {
                self.unsupported += 1;
                *self.not_supported.entry(why()).or_default() += 1;
            }
            None => self.not_loaded += 1,
        }
        self.add_kernel(judged);
        self.runs += judged.runs;
        self.executed += judged.executed;
        self.contained += judged.contained;
        self.undecided += judged.undecided;
        for cause in &judged.causes {
            let seen = self.causes.entry(cause.clone()).or_default();
            seen.programs += 1;
            let place = seen.examples.partition_point(|&known| known < judged.index);
            seen.examples.insert(place, judged.index);
            seen.examples.truncate(MAX_EXAMPLES);
        }
    }

    fn add_kernel(&mut self, judged: &Judged) {
        let accepts = match judged.kernel {
            Some(Verdict::Accept) => true,
            Some(Verdict::Reject) => false,
            Some(Verdict::NotReached) | None => return,
        };
        self.kernel_verdicts += 1;
        self.kernel_accepted += u64::from(accepts);
        let equal = judged.ours == Some(if accepts { OurDecision::Accept } else { OurDecision::Reject });
        if equal {
            self.equal_verdicts += 1;
            self.equal_reasons += u64::from(judged.causes.iter().all(|cause| cause.class != Class::ReasonDiffers));
            self.equal_counts += u64::from(judged.processed == judged.kernel_processed);
        }
    }

    /// Disagreements, the worst first.
    pub fn causes(&self) -> impl Iterator<Item = (&Cause, &Seen)> {
        self.causes.iter()
    }

    /// Programs of a class of disagreements; one that shows several of the class counts for each.
    #[must_use]
    pub fn of_class(&self, class: Class) -> u64 {
        self.causes.iter().filter(|(cause, _)| cause.class == class).map(|(_, seen)| seen.programs).sum()
    }

    /// Was anything found?
    #[must_use]
    pub fn found(&self) -> bool {
        !self.causes.is_empty()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} programs: {} accepted, {} rejected by {} rules, {} unsupported",
            self.programs,
            self.accepted,
            self.rejected,
            self.rules.len(),
            self.unsupported,
        );
        if self.not_loaded > 0 {
            let _ = write!(text, ", {} not loaded", self.not_loaded);
        }
        text.push('\n');
        if self.kernel_verdicts > 0 {
            let _ = writeln!(
                text,
                "kernel: {} verdicts, {} accepted; {} ({}) equal to ours, {} with the same reason, {} after as many instructions",
                self.kernel_verdicts,
                self.kernel_accepted,
                self.equal_verdicts,
                share(self.equal_verdicts, self.kernel_verdicts),
                self.equal_reasons,
                self.equal_counts,
            );
        }
        let _ = writeln!(
            text,
            "machine: {} runs, {} instructions executed, the states of {} ({}) lie in states of the verifier; {} runs decided nothing",
            self.runs,
            self.executed,
            self.contained,
            share(self.contained, self.executed),
            self.undecided,
        );
        for (what, count) in &self.not_supported {
            let _ = writeln!(text, "unsupported in {count}: {what}");
        }
        for (cause, seen) in self.causes() {
            let _ = writeln!(text, "\n{cause}");
            let first = seen.examples.first().map_or(String::new(), |first| format!(", first number {first}"));
            let _ = writeln!(text, "  {} programs{first}", seen.programs);
            for recorded in &seen.recorded {
                let what = match (recorded.instructions, recorded.changes) {
                    (Some(instructions), _) => format!(".s: {instructions} instructions"),
                    (None, Some(0)) => ".bpf.o: nothing is changed".to_owned(),
                    (None, Some(1)) => ".bpf.o: one change".to_owned(),
                    (None, Some(changes)) => format!(".bpf.o: {changes} changes"),
                    (None, None) => String::new(),
                };
                let _ = writeln!(text, "  {}{what}, from program {}", recorded.file, recorded.index);
            }
        }
        if !self.found() {
            text.push_str("nothing disagrees\n");
        }
        text
    }

    /// The same as one JSON object.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let classes = Class::ALL.into_iter().map(|class| (class.name().to_owned(), self.of_class(class).into()));
        value["classes"] = serde_json::Value::Object(classes.collect());
        let causes = self.causes().map(|(cause, seen)| {
            serde_json::json!({
                "cause": cause, "programs": seen.programs, "examples": seen.examples, "recorded": seen.recorded,
            })
        });
        value["causes"] = causes.collect();
        value
    }
}

/// A share in per cent.
fn share(part: u64, of: u64) -> String {
    format!("{:.2} %", 100.0 * part as f64 / of.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(index: u64, ours: OurDecision, kernel: Verdict, causes: Vec<Cause>) -> Entry {
        Entry::Program(Judged {
            index,
            ours: Some(ours),
            why: (ours != OurDecision::Accept).then(|| "rule".to_owned()),
            processed: Some(5),
            kernel: Some(kernel),
            kernel_processed: Some(5),
            runs: 2,
            executed: 10,
            contained: 9,
            undecided: 0,
            causes,
        })
    }

    #[test]
    fn verdicts_and_causes_are_counted_in_any_order() {
        let cause = Cause { class: Class::WrongAccept, ours: "accept".into(), kernel: "x".into() };
        let entries = [
            judged(4, OurDecision::Accept, Verdict::Reject, vec![cause.clone()]),
            judged(1, OurDecision::Accept, Verdict::Reject, vec![cause.clone()]),
            judged(2, OurDecision::Reject, Verdict::Reject, Vec::new()),
            judged(3, OurDecision::Accept, Verdict::NotReached, Vec::new()),
            judged(5, OurDecision::Unsupported, Verdict::Accept, Vec::new()),
        ];
        let sum = |entries: &mut dyn Iterator<Item = &Entry>| {
            let mut summary = Summary::default();
            entries.for_each(|entry| summary.add(entry));
            summary
        };
        let summary = sum(&mut entries.iter());
        assert_eq!(summary, sum(&mut entries.iter().rev()));
        assert_eq!((summary.kernel_verdicts, summary.equal_verdicts, summary.equal_counts), (4, 1, 1));
        assert_eq!((summary.accepted, summary.rejected, summary.unsupported), (3, 1, 1));
        assert_eq!(summary.of_class(Class::WrongAccept), 2);
        let (_, seen) = summary.causes().next().expect("one cause");
        assert_eq!(seen.examples, [1, 4]);
    }
}
