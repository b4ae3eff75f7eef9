//! What each rule of the verifier keeps from happening, and by which findings a run shows that it does happen.
//!
//! Most rules name a harm: what a run does if nobody refuses the program. The others say something about the program's
//! form, about what the kernel offers it, or about how much the verifier can know; a run has nothing to show for those.
//! Start at [`class`].

use crate::kernel::ProgramType;
use crate::verifier::Rule;

/// What happens at run time if a program that breaks a rule is let run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A reference is lost.
    Leak,
    /// Something is released or handed over by who does not own it, or used after that.
    Ownership,
    /// A function works on something that it is not meant for: another type, another place, NULL.
    WrongObject,
    /// Memory is accessed where there is none, past its end, after its life, or through what is no pointer to it.
    Memory,
    /// What nothing ever wrote is read.
    Uninitialised,
    /// Memory is written that programs may only read.
    ReadOnly,
    /// Something that the kernel keeps there is overwritten or read: a lock, a list's links, an iterator's state.
    KernelBytes,
    /// Two CPUs change something at once.
    Race,
    /// A lock is taken, given back or held as it must not be.
    Lock,
    /// A section is left without having been entered, or is open at the end.
    Section,
    /// Something sleeps where that is not allowed.
    Sleep,
    /// The program does not end.
    Endless,
    /// The result is one that the kernel does not expect there.
    Result,
    /// A kernel address is left where user space can read it.
    Address,
}

/// Why a rule names no harm that a run could show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHarm {
    /// It is about the form of instructions, functions, types or maps.
    Form,
    /// It is about what the kernel offers: to this type of program, at this place of attachment, under this licence, with
    /// these privileges.
    Offer,
    /// It is a convention that nothing relies on when the program runs.
    Convention,
    /// It is about what the verifier can know or follow; a run has just one value there.
    Knowledge,
}

/// What kind of a rule it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A run can show one of these.
    Harm(&'static [Harm]),
    /// A run can show nothing.
    NoHarm(NoHarm),
}

impl Harm {
    /// The kinds of findings that show it, as [`Finding::kind`](crate::explore::finding::Finding::kind) names them.
    #[must_use]
    pub fn kinds(self) -> &'static [&'static str] {
        match self {
            Harm::Leak => &["leak", "overwritten-reference"],
            Harm::Ownership => &["not-owned", "use-after-free", "use-without-rcu"],
            Harm::WrongObject => &["bad-argument", "not-owned", "not-memory", "wild-access", "null-dereference"],
            Harm::Memory => &[
                "null-dereference",
                "wild-access",
                "out-of-bounds",
                "use-after-free",
                "use-without-rcu",
                "percpu-pointer-dereference",
                "not-memory",
                "dead-frame",
                "misaligned-atomic",
            ],
            Harm::Uninitialised => &["never-written", "uninitialised-register"],
            Harm::ReadOnly => &["read-only", "not-memory"],
            Harm::KernelBytes => &["kernel-bytes", "overwritten-reference"],
            Harm::Race => &["data-race"],
            Harm::Lock => &["deadlock", "unbalanced-section"],
            Harm::Section => &["unbalanced-section"],
            Harm::Sleep => &["sleeping"],
            Harm::Endless => &["limit", "call-depth", "endless-loop"],
            Harm::Result => &["result-out-of-range"],
            Harm::Address => &["address-leak"],
        }
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Harm::Leak => "a lost reference",
            Harm::Ownership => "a release of what is not owned, or a use after it",
            Harm::WrongObject => "a function that works on what it is not meant for",
            Harm::Memory => "an access to memory that is not there",
            Harm::Uninitialised => "a read of what nothing wrote",
            Harm::ReadOnly => "a write to read-only memory",
            Harm::KernelBytes => "an access to what only the kernel may touch",
            Harm::Race => "two CPUs that change something at once",
            Harm::Lock => "a lock held, taken or given back as it must not be",
            Harm::Section => "a section left open or left twice",
            Harm::Sleep => "a sleep where that is not allowed",
            Harm::Endless => "a run without an end",
            Harm::Result => "a result that the kernel does not expect",
            Harm::Address => "a kernel address that user space can read",
        }
    }
}

impl NoHarm {
    /// A short fixed name, for machines to read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NoHarm::Form => "form",
            NoHarm::Offer => "offer",
            NoHarm::Convention => "convention",
            NoHarm::Knowledge => "knowledge",
        }
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            NoHarm::Form => "it is about the form of the program, its types or its maps",
            NoHarm::Offer => "it is about what the kernel offers to such a program",
            NoHarm::Convention => "it is a convention that nothing relies on when the program runs",
            NoHarm::Knowledge => "it is about what the verifier can know; a run has just one value there",
        }
    }
}

/// What kind of a rule this is, with what its fields say of this rejection.
#[must_use]
pub fn class(rule: &Rule, program_type: u32) -> Class {
    match rule {
        // Of others the kernel ignores the result, or takes what it knows of it.
        Rule::OutsideReturnRange { .. } if program_type != ProgramType::Lsm.number() => {
            Class::NoHarm(NoHarm::Convention)
        }
        _ => of_id(rule.id()).unwrap_or(Class::NoHarm(NoHarm::Form)),
    }
}

/// What kind of a rule has that name.
#[must_use]
pub fn of_id(id: &str) -> Option<Class> {
    TABLE.iter().find(|(_, ids)| ids.contains(&id)).map(|(class, _)| *class)
}

/// All rules, by what they keep from happening.
static TABLE: &[(Class, &[&str])] = &[
    (Class::Harm(&[Harm::Leak]), &["unreleased-reference", "tail-call-leaks", "legacy-load-leaks"]),
    (Class::Harm(&[Harm::Leak, Harm::KernelBytes]), &["overwrite-referenced-dynptr", "store-to-referenced-kptr"]),
    (
        Class::Harm(&[Harm::Ownership, Harm::WrongObject, Harm::Memory, Harm::Race]),
        &[
            "not-referenced",
            "helper-reference-not-acquired",
            "kfunc-reference-not-acquired",
            "release-needs-reference",
            "must-be-trusted",
            "must-be-rcu",
            "expected-allocated",
            "allocated-not-referenced",
            "owner-unknown",
            "unfit-object",
            "unacquired-dynptr",
            "release-of-const-dynptr",
            "remove-needs-non-owning",
            "neither-owning-nor-non-owning",
            "two-references",
        ],
    ),
    (
        Class::Harm(&[
            Harm::WrongObject,
            Harm::Memory,
            Harm::Ownership,
            Harm::Uninitialised,
            Harm::ReadOnly,
            Harm::KernelBytes,
        ]),
        &[
            "argument-type",
            "argument-struct",
            "nullable-to-helper",
            "nullable-to-trusted",
            "not-memory",
            "expected-context",
            "expects-context",
            "expected-not-null",
            "invalid-arguments-to-global",
            "expected-for-obj-drop",
            "expected-for-percpu-obj-drop",
            "expected-value-or-allocated",
            "node-of-other-graph",
            "other-node-of-object",
            "no-graph-field",
            "graph-at-variable-offset",
            "no-refcount",
            "kfunc-argument-is",
            "kfunc-struct-mismatch",
            "must-point-to-scalar",
            "memory-and-size",
            "released-with-offset",
            "kptr-type-mismatch",
            "kptr-at-variable-offset",
            "no-kptr",
            "not-at-kptr",
            "kptr-not-referenced",
            "kptr-store-nonzero",
            "lock-at-variable-offset",
            "no-lock",
            "not-at-lock",
            "timer-at-variable-offset",
            "no-timer",
            "not-at-timer",
            "timer-of-another-map",
            "not-a-map-value",
            "not-at-work-queue",
            "work-queue-of-another-map",
            "not-a-map-pointer",
            "not-arena-or-scalar",
            "not-a-dynptr",
            "expected-dynptr-kind",
            "changes-const-dynptr",
            "object-at-variable-offset",
            "object-at-offset",
            "dynptr-over-unsupported",
            "iterator-not-on-stack",
            "invalid-iterator-argument",
            "expected-function",
            "allocation-of-no-struct",
            "type-id-out-of-range",
            "tail-call-through-other-map",
            "legacy-load-without-context",
        ],
    ),
    (
        Class::Harm(&[Harm::Uninitialised, Harm::WrongObject, Harm::Memory, Harm::KernelBytes]),
        &["expected-initialised-dynptr", "expected-initialised-iterator", "dynptr-not-uninitialised"],
    ),
    (Class::Harm(&[Harm::Leak, Harm::WrongObject, Harm::KernelBytes]), &["expected-uninitialised-iterator"]),
    (
        Class::Harm(&[Harm::Memory, Harm::WrongObject, Harm::Uninitialised, Harm::Race]),
        &[
            "invalid-memory-access",
            "nullable-pointer-arithmetic",
            "pointer-arithmetic-prohibited",
            "pointer-math-unbounded",
            "pointer-out-of-bounds",
            "pointer-from-scalar",
            "negative-minimum",
            "minimum-outside",
            "maximum-outside",
            "unbounded-access",
            "outside-map-key",
            "outside-map-value",
            "outside-packet",
            "outside-memory",
            "beyond-packet",
            "outside-flow-keys",
            "invalid-socket-access",
            "invalid-buffer-access",
            "variable-buffer-offset",
            "invalid-context-access",
            "unbounded-stack-access",
            "outside-stack",
            "variable-outside-stack",
            "return-stack-pointer",
            "negative-map-offset",
            "negative-object-offset",
            "variable-object-offset",
            "user-memory",
            "percpu-memory",
            "beyond-struct",
            "beyond-field",
            "no-field-at-offset",
            "part-of-pointer-field",
            "negative-offset",
            "modified-pointer",
            "variable-offset",
            "negative-size",
            "unbounded-size",
            "stack-pointer-outside",
            "map-pointer-outside",
            "spill-stack-pointer-to-caller",
            "misaligned-access",
            "string-not-terminated",
        ],
    ),
    (
        Class::Harm(&[Harm::Uninitialised, Harm::KernelBytes]),
        &["read-uninitialised", "invalid-stack-read", "uninitialised-stack-read", "uninitialised-variable-stack-read"],
    ),
    (
        Class::Harm(&[Harm::ReadOnly, Harm::Memory, Harm::KernelBytes, Harm::Race]),
        &[
            "write-into-packet",
            "write-map-key",
            "write-read-only",
            "map-access-forbidden",
            "write-into-map-forbidden",
            "only-read-from-map",
            "only-read-supported",
            "only-access-to",
            "store-beyond-struct",
            "store-beyond-field",
            "no-write-support",
            "packet-write-not-allowed",
            "helper-may-write",
        ],
    ),
    (
        Class::Harm(&[Harm::KernelBytes, Harm::Leak]),
        &[
            "direct-access-to-field",
            "special-field-access",
            "kptr-by-helper",
            "kptr-misaligned",
            "kptr-variable-offset",
            "kptr-size",
            "kptr-instruction-mode",
            "write-to-dynptr",
        ],
    ),
    (Class::Harm(&[Harm::Race]), &["graph-lock-not-held"]),
    (Class::Harm(&[Harm::Lock, Harm::Ownership, Harm::WrongObject, Harm::Memory]), &["remove-in-tree-callback"]),
    (
        Class::Harm(&[Harm::Lock, Harm::Sleep]),
        &[
            "two-locks",
            "unlock-without-lock",
            "unlock-of-another",
            "call-under-lock",
            "missing-unlock",
            "lock-in-tree-callback",
            "throw-under-lock",
            "tail-call-under-lock",
            "legacy-load-inside",
        ],
    ),
    (
        Class::Harm(&[Harm::Section]),
        &[
            "missing-rcu-unlock",
            "missing-preempt-enable",
            "throw-in-rcu",
            "throw-without-preemption",
            "unmatched-rcu-unlock",
            "unmatched-preempt-enable",
            "tail-call-in-rcu",
            "tail-call-without-preemption",
        ],
    ),
    (
        Class::Harm(&[Harm::Sleep]),
        &[
            "sleepable-kfunc-in-rcu",
            "sleepable-kfunc-without-preemption",
            "sleepable-helper-in-rcu",
            "sleepable-helper-without-preemption",
            "helper-might-sleep",
            "kfunc-might-sleep",
        ],
    ),
    (Class::Harm(&[Harm::Memory, Harm::WrongObject]), &["iterator-outside-rcu"]),
    (Class::Harm(&[Harm::Endless]), &["infinite-loop", "back-edge"]),
    (Class::Harm(&[Harm::Result]), &["outside-return-range"]),
    (Class::Harm(&[Harm::Address]), &["address-leaks"]),
    (
        Class::NoHarm(NoHarm::Form),
        &[
            "insn-out-of-program",
            "cast-without-arena",
            "signed-load-from-arena",
            "undecodable",
            "jump-out-of-range",
            "last-insn-not-exit",
            "unreachable-insn",
            "jump-into-wide-load",
            "call-out-of-program",
            "invalid-may-goto",
            "first-function-record-not-at-start",
            "function-records-not-ascending",
            "function-record-of-no-function",
            "function-record-count",
            "function-record-elsewhere",
            "line-out-of-place",
            "line-without-text",
            "line-at-no-insn",
            "function-without-line",
            "functions-without-line",
            "map-index-without-table",
            "not-a-map",
            "direct-value-offset",
            "no-direct-value",
            "outside-direct-value",
            "write-frame-pointer",
            "division-by-zero",
            "invalid-shift",
            "misconfigured-reference",
            "misconfigured-dynptr",
            "not-a-struct",
            "field-without-size",
            "exchange-without-btf",
            "allocation-needs-btf",
            "percpu-object-too-large",
            "percpu-object-not-scalars",
            "percpu-object-special-fields",
            "read-only-cast-of-no-struct",
            "lock-without-btf",
            "timer-without-btf",
            "allocated-to-helper",
            "map-type-without-map",
            "key-without-map",
            "value-without-map",
            "invalid-format-string",
            "formatted-values-cut-short",
            "invalid-sockmap-argument",
            "no-kernel-context",
            "too-many-kfunc-arguments",
            "kfunc-argument-unrecognised",
            "root-of-unknown-kfunc",
            "node-of-unknown-kfunc",
            "callback-not-verified",
            "conversion-failed",
            "no-record",
            "kfunc-pointer-unsupported",
            "kfunc-return-unsupported",
            "missing-function-info",
            "callback-not-static",
            "callback-is-main",
            "callback-not-for-map",
            "callback-result-not-scalar",
            "use-static-function",
            "too-many-global-arguments",
            "global-returns-no-scalar",
            "argument-size-unknown",
            "global-argument-unsupported",
            "global-needs-btf",
            "static-argument-tag",
            "unsupported-argument-tag",
            "argument-tag-combination",
            "arena-tag-combination",
            "tagged-no-pointer",
            "context-without-name",
            "context-should-be-void",
            "context-should-be",
            "trusted-candidate-error",
            "trusted-without-match",
            "trusted-ambiguous",
            "several-exception-callbacks",
            "exception-callback-missing",
            "exception-callback-not-global",
            "exception-callback-not-function",
            "exception-callback-at-start",
            "exception-callback-arguments",
            "exception-callback-called",
            "exception-callback-tail-calls",
            "async-callback-tail-calls",
            "throw-from-callback",
            "legacy-load-without-types",
            "legacy-load-returns-no-number",
            "tail-call-without-types",
            "tail-call-returns-no-number",
            "traced-too-many-arguments",
            "traced-variable-arguments",
            "traced-argument-unsupported",
            "traced-return-unsupported",
            "traced-wide-return",
            "context-offset-not-multiple",
            "no-such-argument",
            "argument-type-not-allowed",
            "argument-size",
            "argument-not-struct",
            "subprogram-result-not-scalar",
        ],
    ),
    (
        Class::NoHarm(NoHarm::Offer),
        &[
            "map-needs-capability",
            "mapped-special-field",
            "storage-without-types",
            "program-type-needs-capability",
            "functions-need-capability",
            "structure-needs-capability",
            "tracing-with-graph",
            "tracing-with-field",
            "socket-filter-with-lock",
            "second-cgroup-storage",
            "struct-ops-map-in-program",
            "map-not-for-sleepable",
            "result-not-modifiable",
            "cannot-be-sleepable",
            "legacy-load-not-allowed",
            "legacy-load-in-callback",
            "lsm-needs-gpl",
            "disabled-hook",
            "not-a-hook",
            "set-void-hook-result",
            "void-hook-result",
            "struct-ops-needs-gpl",
            "unsupported-member",
            "no-return",
            "map-access-not-supported",
            "kernel-struct-without-gpl",
            "helper-packet-access",
            "invalid-helper",
            "helper-not-available",
            "helper-needs-gpl",
            "helper-not-allowed-in-probe",
            "local-storage-flags",
            "map-type-not-for-helper",
            "function-address-not-for-type",
            "function-address-not-traced",
            "kfunc-needs-gpl",
            "metadata-without-device",
            "kfunc-not-allowed",
            "css-task-iter-not-allowed",
            "not-sleepable",
            "not-modifiable",
            "atomic-not-allowed",
        ],
    ),
    (Class::NoHarm(NoHarm::Convention), &["nested-rcu-lock", "result-not-known"]),
    (
        Class::NoHarm(NoHarm::Knowledge),
        &[
            "program-too-long",
            "program-too-large",
            "too-many-branches",
            "too-many-async-branches",
            "too-many-subprograms",
            "too-many-maps",
            "pointer-with-pointer",
            "pointer-arithmetic-32",
            "bitwise-on-pointer",
            "operator-on-pointer",
            "subtract-from-stack-pointer",
            "pointer-math-constant",
            "pointer-offset-too-large",
            "different-pointers",
            "spill-size",
            "fill-size",
            "variable-stack-to-helper",
            "zero-sized-stack-read",
            "zero-size",
            "string-not-read-only",
            "string-not-constant",
            "not-a-known-constant",
            "not-scalar",
            "must-be-constant",
            "not-const",
            "not-const-string",
            "buffer-size-too-large",
            "call-too-deep",
            "call-stack-too-deep",
            "tail-call-stack",
            "stack-too-deep",
            "address-arithmetic",
            "address-comparison",
            "address-copied-in-part",
            "address-sign-extended",
            "spilled-address-overwritten",
            "spilled-address-read",
            "spill-in-variable-write",
            "variable-stack-access",
            "variable-stack-pointer",
            "mixed-signs",
            "unmasked-pointer",
            "masks-differ",
            "mask-beyond-object",
            "speculation-too-complex",
            "tail-call-of-two-maps",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_stands_in_the_table_once() {
        for id in Rule::ALL {
            let rows = TABLE.iter().map(|(_, ids)| ids.iter().filter(|&other| other == id).count()).sum::<usize>();
            assert_eq!(rows, 1, "{id}");
        }
        let rows: usize = TABLE.iter().map(|(_, ids)| ids.len()).sum();
        assert_eq!(rows, Rule::ALL.len(), "the table has names that are no rules");
    }
}
