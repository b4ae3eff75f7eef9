//! The recorded path: what a verification did, step by step, for whoever explains or draws it.
//!
//! [`Record`] in the options says how much is kept; [`Recorded`] comes with the verification. A [`Step`] is one
//! instruction on one path, with the state before it and what the instruction did ([`Event`]). An instruction from
//! which two ways lead has a step for each way that was followed, so that the steps from the start to any one tell a
//! single path without contradiction. Recording changes neither the verdict nor the counts. How it is made is in
//! [`super::recorder`].

use std::sync::Arc;

use super::obligations::{ActiveLock, Entry};
use crate::isa::Register;

/// How much of the exploration is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Record {
    /// Nothing.
    #[default]
    No,
    /// The one path on which the verdict fell, if the program is not accepted. The program is then verified a second
    /// time, so that accepted programs cost nothing. Of a path longer than three times [`KEPT_STEPS`], steps behind
    /// the first [`KEPT_STEPS`] are left out.
    Verdict,
    /// All paths.
    Tree {
        /// Steps that are kept at most; then recording stops.
        steps: usize,
    },
}

/// Steps that are always kept of the start of a long path, and at least as many of its end.
pub const KEPT_STEPS: usize = 8192;

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The steps, in the order in which they were made. A step comes after its parent.
    pub steps: Vec<Step>,
    /// Are steps missing: at the end of a tree, or in the middle of a long path?
    pub cut: bool,
}

impl Recorded {
    /// The last step: the one on which the verdict fell, if the program was not accepted and no tree was cut.
    #[must_use]
    pub fn last(&self) -> Option<usize> {
        self.steps.len().checked_sub(1)
    }

    /// The steps from the start of the path to that one, itself included; empty if there is no such step.
    #[must_use]
    pub fn to(&self, step: usize) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = Some(step);
        while let Some((index, found)) = at.and_then(|index| Some((index, self.steps.get(index)?))) {
            path.push(index);
            // Parents come first, so that this ends whatever they say.
            at = found.parent.filter(|&parent| parent < index);
        }
        path.reverse();
        path
    }
}

/// One instruction on one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its slot.
    pub insn: usize,
    /// The step before it on its path; `None` at the start of a function that is verified on its own.
    pub parent: Option<usize>,
    /// How the path came here.
    pub came: Came,
    /// What was known before it.
    pub before: Snapshot,
    /// What it did, in order.
    pub events: Vec<Event>,
}

/// How a path came to an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Came {
    /// A function that is verified on its own starts here.
    Start,
    /// From the instruction in front of it.
    Fallthrough,
    /// By an unconditional jump.
    Jump,
    /// By a conditional jump whose condition holds.
    Taken,
    /// Past a conditional jump whose condition does not hold.
    NotTaken,
    /// By a call of a function of the program.
    Call,
    /// By a return, to behind the call or, from a callback, to the call itself.
    Return,
    /// A helper or kfunc calls back.
    Callback,
    /// A callback that runs later.
    AsyncCallback,
    /// The processor may come here by mistake.
    Speculative,
    /// The same instruction once more, with other assumptions on the numbers that it takes.
    Again,
}

/// A state for show: values are texts as the kernel's log names them, without marks of liveness. Values that do not
/// change share their text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The frames, outermost first.
    pub frames: Vec<Arc<FrameShown>>,
    /// The references that are held.
    pub references: Vec<Reference>,
    /// The lock that is held.
    pub lock: Option<ActiveLock>,
    /// Inside `bpf_rcu_read_lock`?
    pub rcu: bool,
    /// How often preemption was disabled.
    pub preempt: u32,
}

/// A reference that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its entry in the ledger.
    pub entry: Entry,
    /// What it is to: `a per-CPU object of struct val_t`.
    pub what: Arc<str>,
}

/// A frame for show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameShown {
    /// Its number, 0 for the outermost.
    pub number: u32,
    /// Index of the function that runs in it, in order of their starts.
    pub function: usize,
    /// Registers that hold something, by number.
    pub registers: Vec<(Register, Arc<str>)>,
    /// Stack slots of eight bytes that hold something: offset from the frame pointer (negative), contents.
    pub slots: Vec<(i32, Arc<str>)>,
}

/// Something that an instruction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A helper or kfunc was called; what it did follows.
    Called {
        /// Its name.
        name: String,
    },
    /// A reference was acquired.
    Acquired {
        /// Its id.
        id: u32,
        /// What it is to.
        what: Arc<str>,
        /// The helper or kfunc that gave it.
        by: String,
    },
    /// A reference was given back.
    Released {
        /// Its id.
        id: u32,
    },
    /// The pointer turned out to be NULL, so that there is nothing to give back.
    Null {
        /// The reference's id.
        id: u32,
    },
    /// An object was given to a map's field, a list or a tree.
    Moved {
        /// The reference's id.
        id: u32,
        /// Where to, in words: `field pc of map slots`.
        into: String,
    },
    /// A pointer was loaded from memory other than the stack.
    Loaded {
        /// The register that it is in.
        register: Register,
        /// Where it was, in words: ``field `pc` of map `slots` ``.
        from: String,
    },
    /// A number was read from memory other than the stack.
    Read {
        /// The register that it is in.
        register: Register,
        /// Where it was, in words: ``field `len` of the context``.
        from: String,
        /// What it is declared as, if that is a pointer.
        pointer: Option<PointerField>,
    },
    /// No register and no slot holds the pointer any more, though the reference is still to be given back.
    Lost {
        /// The reference's id.
        id: u32,
        /// Where the pointer was last: `r6`, `fp-8`, several with commas.
        from: String,
    },
    /// A conditional jump, or another choice: whether an iterator has another element, whether a callback is called
    /// again.
    Branch {
        /// The condition: `r0 == 0`.
        condition: String,
        /// Does it hold on this path?
        taken: bool,
        /// Could it be otherwise, for all that is known?
        both: bool,
        /// Was a pointer compared with NULL here that could be either?
        null_check: Option<NullCheck>,
    },
    /// A lock was taken.
    Locked,
    /// The lock was given back.
    Unlocked,
    /// An RCU section was entered.
    RcuEntered,
    /// The RCU section was left.
    RcuLeft,
    /// Preemption was disabled, perhaps once more.
    PreemptDisabled,
    /// Preemption was enabled, once.
    PreemptEnabled,
    /// Pointers are forgotten: what they point to may be gone.
    Invalidated {
        /// Where they were: `r6, fp-8`.
        what: String,
    },
    /// Pointers are untrusted from now on: the section that kept what they point to alive has ended.
    Distrusted {
        /// Where they are: `r6, fp-8`.
        what: String,
    },
    /// The path ends: an earlier checkpoint covers it.
    Pruned {
        /// The step before which the checkpoint was made; `None` where steps are not all kept.
        by: Option<usize>,
    },
    /// The path ends with the program.
    PathEnds,
    /// The program is refused here.
    Rejected {
        /// The rule's id.
        rule: &'static str,
        /// The kernel's reason.
        reason: String,
    },
    /// Something here is not modelled.
    Unsupported {
        /// What.
        what: String,
    },
}

/// A field of a map's value that is declared as a pointer and that the verifier takes for a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointerField {
    /// It has no tag that says what it owns.
    Untagged {
        /// What it points to: `struct greeting`.
        to: String,
    },
    /// The program's types have no more of what it points to than the name.
    Incomplete {
        /// What it points to.
        to: String,
    },
}

/// A comparison with NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NullCheck {
    /// The register that was compared.
    pub register: Register,
    /// Is the pointer NULL on this path?
    pub is_null: bool,
    /// Identity of the pointer, which its copies share.
    pub id: u32,
    /// The reference that it carries, 0 for none.
    pub reference: u32,
}
