//! What one step touched: the one report that races, reduction, traces and debuggers read.

use serde::Serialize;

use super::story::{Moment, Place, RegionId};

/// How memory was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum AccessKind {
    /// Plain read.
    Read,
    /// Plain write.
    Write,
    /// Atomic read-modify-write (also `bpf_kptr_xchg`).
    Atomic,
}

/// One access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Access {
    /// Which region.
    pub region: RegionId,
    /// First byte, counted from the region's start.
    pub offset: u32,
    /// Number of bytes.
    pub size: u32,
    /// How.
    pub kind: AccessKind,
}

/// Something other than an access that orders steps or changes the life of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Event {
    /// A plain RCU section was entered.
    RcuLock,
    /// A plain RCU section was left.
    RcuUnlock,
    /// Preemption was turned off.
    PreemptDisable,
    /// Preemption was turned on.
    PreemptEnable,
    /// The lock at that place was taken.
    Lock {
        /// Region that the lock is in.
        region: RegionId,
        /// Byte offset of the lock.
        offset: u32,
    },
    /// The lock at that place was given back.
    Unlock {
        /// Region that the lock is in.
        region: RegionId,
        /// Byte offset of the lock.
        offset: u32,
    },
    /// A region came into being.
    Allocated(RegionId),
    /// A region was freed; readers may still use it until a grace period ends.
    Freed(RegionId),
    /// A reference changed hands or was given back.
    Ownership(RegionId),
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// One instruction was executed.
    Ran,
    /// The instruction waits (for a lock) and was not executed; the same one is next.
    Blocked,
    /// The program returned this value; the CPU is idle.
    Returned(u64),
}

/// What one step did.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// The instruction, the CPU, and when.
    pub at: Moment,
    /// Accesses in the order in which they were made.
    pub accesses: Vec<Access>,
    /// Other events in order.
    pub events: Vec<Event>,
}

impl StepReport {
    /// An empty report, whose buffers are used again by every step.
    #[must_use]
    pub fn new() -> StepReport {
        let at = Moment { place: Place { program: 0, insn: 0 }, cpu: 0, step: 0 };
        StepReport { at, accesses: Vec::with_capacity(8), events: Vec::with_capacity(4) }
    }

    /// Forgets the last step.
    #[inline]
    pub fn clear(&mut self) {
        self.accesses.clear();
        self.events.clear();
    }
}

impl Default for StepReport {
    fn default() -> Self {
        StepReport::new()
    }
}
