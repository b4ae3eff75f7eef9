//! What may go wrong in a program that the kernel accepts: what its verifier does not promise.
//!
//! Whatever an accepted program does that is not named here is a finding: about our verifier, our machine, or the kernel.

use super::follow::Violation;
use super::within::{IDS_DIFFER, Mismatch, Spot};
use crate::explore::finding::Finding;
use crate::isa::RawInsn;
use crate::kernel::Tables;
use crate::object::Program;

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
    Tolerated {
        kind: "broken-condition",
        reason: "what a scenario's author expects of a program is not known to the verifier",
    },
];

/// Does the kernel's verifier let this happen? Findings that decide nothing (no model, a limit) are none of its promises either.
#[must_use]
pub fn tolerated(finding: &Finding) -> Option<&'static Tolerated> {
    TOLERATED.iter().find(|one| one.kind == finding.kind())
}

/// A place at which the kernel's verifier is known to be wrong: what it takes for impossible happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelGap {
    /// A short fixed name.
    pub kind: &'static str,
    /// After which instruction the state is out.
    pub after: GapAfter,
    /// What is wrong, and where in the kernel.
    pub reason: &'static str,
}

/// The instruction that lets the state out, and what then does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapAfter {
    /// A helper whose result is that number.
    Helper {
        /// The helper's name.
        name: &'static str,
        /// What it gives.
        result: u64,
    },
    /// A load that extends the sign: numbers that are said to be equal are not.
    SignedLoad,
}

impl GapAfter {
    fn is(self, raw: RawInsn) -> bool {
        match self {
            GapAfter::Helper { name, .. } => {
                let helper = (raw.opcode == 0x85 && raw.src == 0).then(|| Tables::embedded().helper(raw.imm as u32));
                helper.flatten().is_some_and(|helper| helper.name == name)
            }
            GapAfter::SignedLoad => matches!(raw.opcode, 0x81 | 0x89 | 0x91),
        }
    }

    fn explains(self, mismatch: &Mismatch) -> bool {
        match self {
            GapAfter::Helper { result, .. } => {
                matches!(mismatch.spot, Spot::Register { number: 0, .. }) && mismatch.concrete == Some(result)
            }
            GapAfter::SignedLoad => mismatch.why == IDS_DIFFER,
        }
    }
}

/// All that are known.
pub const KERNEL_GAPS: [KernelGap; 2] = [
    KernelGap {
        kind: "null-copy-of-cpu",
        after: GapAfter::Helper { name: "bpf_per_cpu_ptr", result: 0 },
        reason: "of a per-CPU object the kernel takes the result for never NULL, though the helper gives NULL for a CPU that does not exist \
                 (check_helper_call, returns_cpu_specific_alloc_ptr)",
    },
    KernelGap {
        kind: "signed-fill-keeps-id",
        after: GapAfter::SignedLoad,
        reason: "a spilled number of at most 32 bits that is filled with its sign keeps the id of the number that was spilled, \
                 from which it differs if its highest bit is set (check_stack_read_fixed_off)",
    },
];

/// Is it one of the known gaps that let the state out? `program` is the one that ran.
#[must_use]
pub fn kernel_gap(violation: &Violation, program: &Program) -> Option<&'static KernelGap> {
    let raw = *program.insns.get(violation.after?.insn as usize)?;
    let explains = |after: GapAfter| {
        !violation.against.is_empty()
            && violation.against.iter().filter_map(|against| against.mismatch.as_ref()).all(|one| after.explains(one))
    };
    KERNEL_GAPS.iter().find(|gap| gap.after.is(raw) && explains(gap.after))
}

/// Why a kind is tolerated.
#[must_use]
pub fn reason(kind: &str) -> Option<&'static str> {
    let kinds = TOLERATED.iter().map(|one| (one.kind, one.reason));
    let gaps = KERNEL_GAPS.iter().map(|one| (one.kind, one.reason));
    kinds.chain(gaps).find(|(known, _)| *known == kind).map(|(_, reason)| reason)
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
        let harm =
            [FaultKind::Null, FaultKind::OutOfBounds, FaultKind::UseAfterFree, FaultKind::UninitialisedRegister(0)];
        assert!(harm.iter().all(|kind| TOLERATED.iter().all(|one| one.kind != kind.name())));
    }
}
