//! Is what a run shows the harm that a rejection names?
//!
//! It is if its kind is one of the rule's harms, if it is about the rejected program, and if the run had executed the
//! rejected instruction by then. For a reference it must be the same one: acquired by the same instruction.

use super::Subject;
use super::harm::Harm;
use crate::explore::finding::Finding;
use crate::machine::{End, Place};

/// How a finding fits a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// At the rejected instruction itself, or of the very reference.
    Here,
    /// Later in a run that had executed the rejected instruction.
    Later,
}

impl Fit {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Fit::Here => "at the rejected instruction",
            Fit::Later => "after the rejected instruction",
        }
    }
}

/// The instructions that a finding is about.
fn places(finding: &Finding) -> Vec<Place> {
    match finding {
        Finding::Ended(End::Fault(fault)) => {
            std::iter::once(fault.at.place).chain(fault.callers.iter().copied()).collect()
        }
        Finding::Ended(End::Limit(_, at)) => vec![at.place],
        Finding::Leak(leak) => vec![leak.acquired.place],
        Finding::Race { first, second, .. } => vec![first.at.place, second.at.place],
        Finding::Deadlock(waiting) => waiting.iter().map(|at| at.place).collect(),
        Finding::Overwritten { acquired, .. } => vec![acquired.place],
        Finding::Ended(End::Returned(_) | End::Unsupported(_)) | Finding::Broken { .. } => Vec::new(),
    }
}

/// Which of the harms a finding shows, and how it fits; `program` is the rejected program's number in the machine, and
/// `executed` what the run had executed of it.
#[must_use]
pub fn judge(
    subject: &Subject<'_>,
    harms: &[Harm],
    program: u32,
    finding: &Finding,
    executed: &[bool],
) -> Option<(Harm, Fit)> {
    let harm = harms.iter().copied().find(|harm| harm.kinds().contains(&finding.kind()))?;
    let places = places(finding);
    let own: Vec<_> = places.iter().filter(|place| place.program == program).collect();
    let is_lost = matches!(finding, Finding::Leak(_) | Finding::Overwritten { .. });
    // What is lost may have come from another program.
    if own.is_empty() && !is_lost {
        return None;
    }
    if let (Some(acquired), Finding::Leak(leak)) = (subject.acquired_at(), finding) {
        let same = leak.acquired.place.program == program && leak.acquired.place.insn == acquired;
        let handed = subject.hands_over(acquired) && executed.get(acquired as usize).copied().unwrap_or(false);
        return (same || handed).then_some((harm, Fit::Here));
    }
    if matches!(finding, Finding::Race { .. }) && !own.iter().any(|place| Some(place.insn as usize) == subject.insn) {
        return None;
    }
    let Some(insn) = subject.insn else { return Some((harm, Fit::Later)) };
    if own.iter().any(|place| place.insn as usize == insn) {
        return Some((harm, Fit::Here));
    }
    executed.get(insn).copied().unwrap_or(false).then_some((harm, Fit::Later))
}
