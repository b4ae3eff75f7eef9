//! What may go wrong in a program that the kernel accepts: what its verifier does not promise.
//!
//! Whatever an accepted program does that is not named here is a finding: about our verifier, our machine, or the kernel.

use crate::explore::finding::Finding;

/// A kind of finding that the kernel's verifier does not exclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerated {
    /// The kind, as [`Finding::kind`] has it.
    pub kind: &'static str,
    /// Why accepted programs can show it.
    pub reason: &'static str,
}

/// All of them.
pub const TOLERATED: [Tolerated; 5] = [
    Tolerated {
        kind: "data-race",
        reason: "the verifier looks at one program on one CPU; what others write meanwhile it takes to be any value",
    },
    Tolerated {
        kind: "never-written",
        reason: "a privileged program may read stack that nothing wrote (allow_uninit_stack)",
    },
    Tolerated {
        kind: "deadlock",
        reason: "that a program holds one lock at a time is checked; that others give theirs back is not its matter",
    },
    Tolerated {
        kind: "call-depth",
        reason: "tail calls out of functions nest frames that are checked for each program alone (MAX_TAIL_CALL_CNT bounds them)",
    },
    Tolerated { kind: "broken-condition", reason: "what a scenario's author expects of a program is not known to the verifier" },
];

/// Does the kernel's verifier let this happen? Findings that decide nothing (no model, a limit) are none of its promises either.
#[must_use]
pub fn tolerated(finding: &Finding) -> Option<&'static Tolerated> {
    TOLERATED.iter().find(|one| one.kind == finding.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::FaultKind;

    #[test]
    fn every_kind_named_is_a_kind_of_finding() {
        for one in TOLERATED {
            assert!(Finding::kinds().any(|kind| kind == one.kind), "{}", one.kind);
        }
    }

    #[test]
    fn harm_is_never_tolerated() {
        let harm = [FaultKind::Null, FaultKind::OutOfBounds, FaultKind::UseAfterFree, FaultKind::UninitialisedRegister(0)];
        assert!(harm.iter().all(|kind| TOLERATED.iter().all(|one| one.kind != kind.name())));
    }
}
