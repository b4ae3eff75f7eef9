//! Verdicts, to be asserted.

use super::Bpf;
use crate::object::Program;
use crate::report::told::Look;
use crate::report::verify::text;
use crate::verifier::{ObjectVerifier, Options, Record, Verdict, Verification};

/// What the kernel would do with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Load it.
    Accepted,
    /// Refuse it.
    Rejected,
    /// It cannot be told: the program needs something that is not modelled.
    Unsupported,
}

/// The verdict on one program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramVerdict {
    /// The program.
    pub program: String,
    /// The verdict.
    pub outcome: Outcome,
    /// The line that the kernel's log ends with, or what is not modelled; empty if accepted.
    pub reason: String,
    /// The broken rule's name, if it is rejected.
    pub rule: Option<&'static str>,
    /// The error number that loading it fails with, positive; 0 if accepted.
    pub errno: i32,
    /// The source line, from 1, where it was decided, if known.
    pub line: Option<u32>,
    /// Instructions that the verifier processed.
    pub processed: u32,
    /// All of it as `kptrsim verify` prints it.
    pub text: String,
}

/// The verdicts on one or more programs of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "assert something about the verdicts"]
pub struct Verified {
    verdicts: Vec<ProgramVerdict>,
}

impl Verified {
    pub(super) fn new(bpf: &Bpf, programs: &[&Program]) -> Verified {
        let options = Options { capabilities: bpf.capabilities, record: Record::Verdict, ..Options::default() };
        let verifier = ObjectVerifier::new(&bpf.object, &bpf.profile, options);
        let object = bpf.path.display().to_string();
        Verified { verdicts: programs.iter().map(|program| verdict(&object, &verifier.verify(program))).collect() }
    }

    /// The verdicts, in the order of the programs.
    #[must_use]
    pub fn verdicts(&self) -> &[ProgramVerdict] {
        &self.verdicts
    }

    /// All of them as `kptrsim verify` prints them.
    #[must_use]
    pub fn text(&self) -> String {
        self.verdicts.iter().map(|verdict| verdict.text.as_str()).collect()
    }

    /// Asserts that the kernel would load all of them.
    ///
    /// # Panics
    /// If it would not, or that cannot be told; with the source line and the reason of each.
    #[track_caller]
    pub fn assert_accepted(&self) -> &Verified {
        self.assert_all("accepted", |verdict| verdict.outcome == Outcome::Accepted)
    }

    /// Asserts that the kernel would refuse all of them, by whatever rule.
    ///
    /// # Panics
    /// If it would not, or that cannot be told.
    #[track_caller]
    pub fn assert_rejected(&self) -> &Verified {
        self.assert_all("rejected", |verdict| verdict.outcome == Outcome::Rejected)
    }

    /// Asserts that the kernel would refuse all of them by the rule of that name, such as `unreleased-reference`.
    ///
    /// # Panics
    /// If it would not, or by another rule, or that cannot be told.
    #[track_caller]
    pub fn assert_rejected_with(&self, rule: &str) -> &Verified {
        self.assert_all(&format!("rejected by {rule}"), |verdict| verdict.rule == Some(rule))
    }

    /// Asserts that the kernel would refuse all of them, and that its reason has this in it.
    ///
    /// # Panics
    /// If it would not, or for another reason, or that cannot be told.
    #[track_caller]
    pub fn assert_rejected_because(&self, words: &str) -> &Verified {
        self.assert_all(&format!("rejected because of `{words}`"), |verdict| {
            verdict.outcome == Outcome::Rejected && verdict.reason.contains(words)
        })
    }

    /// Asserts that the verifier processes at most so many instructions for each of them.
    ///
    /// # Panics
    /// If it processes more.
    #[track_caller]
    pub fn assert_processed_at_most(&self, most: u32) -> &Verified {
        self.assert_all(&format!("{most} instructions at most"), |verdict| verdict.processed <= most)
    }

    #[track_caller]
    fn assert_all(&self, expected: &str, holds: impl Fn(&ProgramVerdict) -> bool) -> &Verified {
        assert!(!self.verdicts.is_empty(), "expected {expected}, but the object has no programs");
        let others: String =
            self.verdicts.iter().filter(|verdict| !holds(verdict)).map(|verdict| verdict.text.as_str()).collect();
        assert!(others.is_empty(), "expected {expected}, but:\n{others}");
        self
    }
}

fn verdict(object: &str, verification: &Verification) -> ProgramVerdict {
    let (outcome, reason, rule, errno) = match &verification.verdict {
        Verdict::Accept => (Outcome::Accepted, String::new(), None, 0),
        Verdict::Reject(rejection) => {
            let rule = &rejection.rule;
            (Outcome::Rejected, rule.to_string(), Some(rule.id()), rule.errno().number())
        }
        Verdict::Unsupported(what) => (Outcome::Unsupported, what.clone(), None, 0),
    };
    let line = verification.place.as_ref().and_then(|place| place.source.as_ref()).map(|source| source.line);
    ProgramVerdict {
        program: verification.program.clone(),
        outcome,
        reason,
        rule,
        errno,
        line,
        processed: verification.statistics.insns_processed,
        text: text(object, verification, &Look::plain()),
    }
}
