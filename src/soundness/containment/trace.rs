//! The paths of a verification, as its log of level 2 tells them.
//!
//! A log is a sequence of instructions, each with the state before it. Instructions follow each other until a path ends; then comes
//! `from A to B:`, the branch that instruction `A` had put aside. [`Trace`] keeps that as [`Item`]s. The log of a kernel prints of a
//! state what changed, and of some changes nothing (what a call invalidates, what is learnt of a copy); what may be out of date is
//! forgotten here, and a state of which something was forgotten is not [`whole`](State::whole). Our own verifier can print all
//! frames before each instruction (`Options::whole_states`), with the first frame named `frame0:`, which no kernel does.
//!
//! Reading is in [`super::log`].

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::value::{Abstract, Slot, Target, Value};

/// What is known of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Registers 0 to 10; `None` if nothing is known.
    pub registers: [Option<Arc<Value>>; 11],
    /// Stack, by the (positive) distance of a slot's lowest byte from the frame pointer.
    pub stack: BTreeMap<u32, Arc<Slot>>,
}

impl Frame {
    /// All values: of registers, and those that were spilled.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let spilled = self.stack.values().filter_map(|slot| slot.spilled.as_ref().map(|(value, _)| value));
        self.registers.iter().flatten().map(|value| &**value).chain(spilled)
    }

    /// Forgets the values of which that is true; says whether there were any.
    pub fn forget(&mut self, what: impl Fn(&Value) -> bool) -> bool {
        let before = self.values().count();
        for register in &mut self.registers {
            if register.as_ref().is_some_and(|value| what(value)) {
                *register = None;
            }
        }
        self.stack.retain(|_, slot| !slot.spilled.as_ref().is_some_and(|(value, _)| what(value)));
        before != self.values().count()
    }
}

/// What the verifier knew before an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Frames that were printed, by number: the innermost one, perhaps others.
    pub frames: BTreeMap<u32, Arc<Frame>>,
    /// References that must be given back.
    pub references: Arc<[u32]>,
    /// Is everything here that the verifier knew of the innermost frame?
    pub whole: bool,
    /// Does a callback run that nobody waits for?
    pub asynchronous: bool,
}

impl State {
    /// The innermost frame's number.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.frames.last_key_value().map_or(0, |(&number, _)| number)
    }

    /// Is all here that a run through the innermost frame could come upon: all frames, or no pointer into those that are missing?
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        let all = self.frames.len() == self.depth() as usize + 1;
        self.whole && (all || !self.frames.values().any(|frame| frame.values().any(points_out)))
    }
}

/// Is it a pointer into another frame's stack?
fn points_out(value: &Value) -> bool {
    matches!(&value.kind, Abstract::Pointer(pointer) if pointer.target == Target::Stack && pointer.frame.is_some())
}

/// How a path came to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// From the item before it.
    Onwards,
    /// It is a branch that this instruction had put aside.
    Branch(u32),
    /// A function that is verified on its own begins.
    Start,
}

/// One instruction on a path, or a path's end.
#[derive(Clone, Debug)]
pub struct Item {
    /// The instruction.
    pub insn: u32,
    /// How the path came here.
    pub entered: Entered,
    /// What was known; `None` if the path ends here, since what was verified before covers it.
    pub state: Option<Arc<State>>,
    /// The line of the log, from 1.
    pub line: u32,
}

/// A log that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the verifier's log: {what}")]
pub struct TraceError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub what: String,
}

/// All paths of a program's verification.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    items: Vec<Item>,
    by_insn: FxHashMap<u32, Vec<u32>>,
    branches: FxHashMap<(u32, u32), Vec<u32>>,
    starts: FxHashMap<u32, Vec<u32>>,
    asynchronous: FxHashMap<u32, Vec<u32>>,
}

impl Trace {
    /// Puts items in order.
    pub(super) fn new(items: Vec<Item>) -> Trace {
        let mut trace = Trace::default();
        for (index, item) in items.iter().enumerate() {
            let index = index as u32;
            if let Some(state) = &item.state {
                trace.by_insn.entry(item.insn).or_default().push(index);
                if state.asynchronous && matches!(item.entered, Entered::Branch(_)) && state.depth() == 0 {
                    trace.asynchronous.entry(item.insn).or_default().push(index);
                }
            }
            match item.entered {
                Entered::Branch(from) => trace.branches.entry((from, item.insn)).or_default().push(index),
                Entered::Start => trace.starts.entry(item.insn).or_default().push(index),
                Entered::Onwards => {}
            }
        }
        trace.items = items;
        trace
    }

    /// Instructions and ends of paths, in the log's order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// An item by its number.
    #[must_use]
    pub fn item(&self, index: u32) -> Option<&Item> {
        self.items.get(index as usize)
    }

    /// Where the log has that instruction.
    #[must_use]
    pub fn at(&self, insn: u32) -> &[u32] {
        self.by_insn.get(&insn).map_or(&[], Vec::as_slice)
    }

    /// The beginnings of a function that is verified on its own, at its first instruction.
    #[must_use]
    pub fn starts(&self, insn: u32) -> &[u32] {
        self.starts.get(&insn).map_or(&[], Vec::as_slice)
    }

    /// The beginnings of a callback that nobody waits for.
    #[must_use]
    pub fn asynchronous(&self, insn: u32) -> &[u32] {
        self.asynchronous.get(&insn).map_or(&[], Vec::as_slice)
    }

    /// Branches that an instruction put aside, and that begin at that other instruction.
    #[must_use]
    pub fn branches(&self, from: u32, to: u32) -> &[u32] {
        self.branches.get(&(from, to)).map_or(&[], Vec::as_slice)
    }
}
