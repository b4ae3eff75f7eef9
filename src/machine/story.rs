//! When and where something happened in a run: the words that faults and histories share.

use serde::Serialize;

/// An instruction: which loaded program, which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Index of the program, in the order in which it was loaded.
    pub program: u32,
    /// Slot of the instruction in that program.
    pub insn: u32,
}

impl Place {
    /// No instruction of this object's: what was there before any program ran, and what other objects' programs do.
    pub const BEFORE: Place = Place { program: u32::MAX, insn: 0 };
    /// No instruction either: a grace period ends.
    pub const GRACE_PERIOD: Place = Place { program: u32::MAX, insn: 1 };
}

/// A place, with the CPU and the step at which it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Moment {
    /// The instruction.
    pub place: Place,
    /// The simulated CPU.
    pub cpu: u32,
    /// Steps that the whole machine had done before, so that moments are ordered.
    pub step: u64,
}

/// A region of simulated memory: an index that is never given to another region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RegionId(pub u32);

impl RegionId {
    /// The id as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
