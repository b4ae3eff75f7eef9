//! A run that shows why a program is refused.
//!
//! For a rejected program a hunt looks for inputs, companions and a schedule under which the machine shows the harm that the
//! broken rule names: the leak for a reference that is not released, the use after free for a pointer that may be stale. Where there is
//! none, a small search that leaves nothing out may show that there cannot be one (`exhaust`).
//! [`harm`] says what each rule keeps from happening, `plans` which scenarios are tried, [`judge`] whether what a run
//! shows is that harm. Start at [`hunt`].

mod calls;
pub mod dependence;
mod exhaust;
#[cfg(test)]
mod exhaust_tests;
pub mod harm;
mod inputs;
pub mod judge;
mod knobs;
mod operands;
mod plans;
mod search;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::explore::finding::Finding;
use crate::explore::system::Choice;
use crate::machine::MachineOptions;
use crate::object::{Object, Program};
use crate::scenario::Scenario;
use crate::verifier::{Rejection, Rule};

pub use harm::{Class, Harm, NoHarm};
pub use judge::Fit;

/// A rejected program, and where and why it was rejected.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The object that it is in.
    pub object: &'a Arc<Object>,
    /// The object's file, as scenarios are to name it.
    pub path: &'a Path,
    /// The program.
    pub program: &'a Program,
    /// Why it was rejected.
    pub rejection: &'a Rejection,
    /// The slot at which verification ended; `None` if it ended before the first.
    pub insn: Option<usize>,
    /// Other programs of the object by name, those first that the verifier accepts.
    pub siblings: &'a [&'a str],
}

impl Subject<'_> {
    /// Where the reference was acquired that the rejection is about, if it names one.
    #[must_use]
    pub fn acquired_at(&self) -> Option<u32> {
        match self.rejection.rule {
            Rule::UnreleasedReference { acquired_at, .. } => Some(acquired_at),
            _ => None,
        }
    }

    /// Does that instruction hand a reference over that was acquired elsewhere: an exchange, or a removal from a list or
    /// tree?
    #[must_use]
    fn hands_over(&self, insn: u32) -> bool {
        let Some(raw) = self.program.insns.get(insn as usize) else { return false };
        match (raw.opcode, raw.src) {
            (CALL, 0) => raw.imm == KPTR_XCHG,
            (CALL, BPF_PSEUDO_KFUNC_CALL) => {
                let name = usize::try_from(raw.imm).ok().and_then(|index| self.object.externs.get(index));
                name.is_some_and(|one| HANDING_OVER.iter().any(|start| one.name.starts_with(start)))
            }
            _ => false,
        }
    }
}

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// Number of the helper `bpf_kptr_xchg`.
const KPTR_XCHG: i32 = 194;
/// The source register of a kfunc's call.
const BPF_PSEUDO_KFUNC_CALL: u8 = 2;
/// How the names of kfuncs begin that hand over what a list or tree held.
const HANDING_OVER: [&str; 2] = ["bpf_list_pop", "bpf_rbtree_remove"];

/// How far a hunt goes.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Runs at most, over all scenarios.
    pub runs: u64,
    /// Time at most.
    pub time: Option<Duration>,
    /// Seed of what is random.
    pub seed: u64,
    /// Instructions of one run at most: one that goes on is taken to have no end.
    pub max_insns: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { runs: 4000, time: None, seed: 0, max_insns: 100_000 }
    }
}

/// A run that shows the harm.
#[derive(Clone, Debug)]
pub struct Witness {
    /// What runs where, with which input.
    pub scenario: Scenario,
    /// The schedule.
    pub choices: Vec<Choice>,
    /// What it shows.
    pub finding: Finding,
    /// Which of the rule's harms that is.
    pub harm: Harm,
    /// How it fits the rejection.
    pub fit: Fit,
    /// Instructions that the run might execute at most.
    pub max_insns: u64,
}

/// What was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Scenarios, and those that the machine could not be set up for.
    pub scenarios: u64,
    /// Inputs among them.
    pub inputs: u64,
    /// Runs in all.
    pub runs: u64,
    /// Was the rejected instruction ever executed?
    pub reached: bool,
    /// Slots of the program that some run executed.
    pub covered: usize,
    /// Findings of another kind, or at another place, by their keys.
    pub others: Vec<String>,
    /// What had no model.
    pub unsupported: Vec<String>,
    /// Were both ways taken in the small scenarios where numbers from outside decide between two?
    pub both_ways: bool,
    /// Why the runs of the small scenarios are not all that there can be, if they were tried.
    pub missing: Option<&'static str>,
}

/// What a hunt comes to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Here is the run.
    Shown(Box<Witness>, Tried),
    /// There is none within the bounds: the rejection may be conservative.
    NotFound(Tried),
    /// Every run of the small scenarios was tried, whatever comes from outside, and none shows it.
    Harmless(Tried),
    /// The rule names no harm that a run could show.
    NoHarm(NoHarm),
}

/// Looks for a run that shows what the rejection names. The same subject, options and bounds without a time give the same
/// answer. It ends soon after `stop` is set, with what it has.
#[must_use]
pub fn hunt(subject: &Subject<'_>, options: &MachineOptions, bounds: &Bounds, stop: &AtomicBool) -> Answer {
    match harm::class(&subject.rejection.rule, subject.program.section.program_type) {
        Class::NoHarm(why) => Answer::NoHarm(why),
        Class::Harm(harms) => search::Hunt::new(subject, harms, options, bounds, stop).run(),
    }
}
