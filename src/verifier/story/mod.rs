//! The story of a rejection: where the thing was acquired that a rule is about, which way the path went, where it was
//! moved, lost or made void, and what would satisfy the rule.
//!
//! `tell` reads the recorded path ([`super::path`]). What a rule's story is about, and what helps, is data: a row
//! for each rule in `table`. `teller` puts the story together: `held` tells of references and sections, `values` of a value,
//! `bounds` of an index or a size, `branches` of the way that the path went. `trace` follows a value back to where it came from;
//! `naming` says what the source calls it; `words` names things, and `source_text` reads lines of C.

use serde::Serialize;

mod bounds;
mod branches;
mod held;
mod naming;
pub mod rows;
pub mod source_text;
pub mod table;
mod teller;
pub mod trace;
mod values;
pub mod words;

use self::teller::Teller;
use self::trace::Path;
use super::verdict::{Verdict, Verification};
use crate::isa::{Insn, decode};
use crate::object::{LineInfo, Program};

/// What a part of a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A reference is acquired.
    Acquired,
    /// A value comes from here.
    Origin,
    /// A value is loaded from memory.
    Loaded,
    /// A call forgets what registers held.
    Forgotten,
    /// A section is entered: a lock is taken, RCU or preemption.
    Entered,
    /// A section is left.
    Left,
    /// The path goes one of two ways.
    Branch,
    /// A pointer is compared with NULL.
    Checked,
    /// An object is given to a map's field, a list or a tree.
    Moved,
    /// The last pointer to something is overwritten.
    Lost,
    /// A reference is given back.
    Released,
    /// Pointers are void from here on.
    Invalidated,
    /// Pointers are untrusted from here on.
    Distrusted,
    /// The program is refused.
    Rejected,
}

/// A part of a story: something that happened at one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is about.
    pub what: What,
    /// The slot.
    pub insn: usize,
    /// Its source line, if known.
    pub source: Option<LineInfo>,
    /// What happened, in words.
    pub text: String,
}

/// The story of a rejection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// What happened, in the order of the path; the rejection is last.
    pub parts: Vec<Part>,
    /// Branches on the path that are not among the parts.
    pub other_branches: usize,
    /// What would satisfy the rule.
    pub help: Option<String>,
}

/// Something that happened at a step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The step's number on the path.
    pub step: usize,
    /// What it is about.
    pub what: What,
    /// In words.
    pub text: String,
}

/// Tells the story of a verification whose path was recorded; without a path it has only the place and the help.
#[must_use]
pub fn tell(program: &Program, verification: &Verification) -> Story {
    let Verdict::Reject(rejection) = &verification.verdict else {
        return Story { parts: path_only(program, verification), ..Story::default() };
    };
    let rule = &rejection.rule;
    let row = table::of(rule.id());
    let insns = decoded(program);
    let steps = verification.path.as_ref().map(|path| {
        path.last().map(|last| path.to(last)).unwrap_or_default().into_iter().map(|at| &path.steps[at]).collect()
    });
    let sleepable = program.section.sleepable;
    let teller = Teller { program, path: Path { steps: steps.unwrap_or_default(), insns: &insns, sleepable }, rule };
    teller.story(row, verification.place.as_ref().map(|place| place.insn))
}

fn decoded(program: &Program) -> Vec<Result<Insn, crate::isa::DecodeError>> {
    let next = |insn: usize| program.insns.get(insn + 1).copied();
    program.insns.iter().enumerate().map(|(insn, &raw)| decode(raw, next(insn))).collect()
}

/// For what is not supported: just the branches that led there.
fn path_only(program: &Program, verification: &Verification) -> Vec<Part> {
    let place = verification.place.as_ref().map(|place| place.insn);
    let source = place.and_then(|insn| program.line_at(insn).cloned());
    let part = |insn| Part { what: What::Rejected, insn, source, text: "this is not modelled".to_owned() };
    place.map(part).into_iter().collect()
}
