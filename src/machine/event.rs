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
    /// Takes a lock.
    Lock,
    /// Gives a lock back.
    Unlock,
    /// Read of a pointer that others may exchange (`rcu_dereference`).
    Dereference,
    /// What comes after it sees what came before each earlier `Release`.
    Acquire,
    /// What came before it is seen after each later `Acquire`.
    Release,
    /// Is it alive, was it before or after a free? Orders nothing.
    Observe,
    /// Ends a life or begins a wait for readers. Orders nothing.
    Change,
}

/// A touch of something that is not memory, but on whose order the run's course depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Order {
    /// Which thing: a number that does not depend on the schedule. Those of regions are theirs ([`super::Region`]).
    pub place: u64,
    /// How.
    pub kind: AccessKind,
}

/// Numbers for what is not memory. Those of regions have bit 62 clear.
pub(super) mod places {
    use std::hash::{Hash, Hasher};

    const NOT_MEMORY: u64 = 1 << 62;

    /// Read-side sections against the frees that wait for them.
    pub const RCU: u64 = NOT_MEMORY;

    /// That readers leave, for those who wait for it.
    pub const READERS: u64 = NOT_MEMORY | 4 << 40;

    /// A CPU itself, which runs one thing at a time.
    pub const fn cpu(cpu: u32) -> u64 {
        NOT_MEMORY | 5 << 40 | cpu as u64
    }

    /// A CPU's cache of free units.
    pub const fn cache(cpu: u32) -> u64 {
        NOT_MEMORY | 1 << 40 | cpu as u64
    }

    /// That a CPU's store buffer has become empty or may be filled.
    pub const fn store_buffer(cpu: u32) -> u64 {
        NOT_MEMORY | 3 << 40 | cpu as u64
    }

    /// A CPU's list of free elements of a map.
    pub const fn free_elements(map: u32, cpu: u32) -> u64 {
        NOT_MEMORY | 6 << 40 | (map as u64) << 16 | cpu as u64
    }

    /// One store on its way through a CPU's store buffer.
    pub const fn pending_store(cpu: u32, nth: u32) -> u64 {
        NOT_MEMORY | 1 << 59 | (cpu as u64) << 32 | nth as u64
    }

    /// The number of references to what is at `place`.
    pub const fn references(place: u64) -> u64 {
        NOT_MEMORY | 1 << 61 | (place & ((1 << 61) - 1))
    }

    /// An element of a map, by its key.
    pub fn element(map: u32, key: &[u8]) -> u64 {
        let mut hasher = rustc_hash::FxHasher::default();
        (map, key).hash(&mut hasher);
        NOT_MEMORY | 1 << 60 | (hasher.finish() & ((1 << 60) - 1))
    }

    /// How many elements a map has, and which.
    pub const fn elements(map: u32) -> u64 {
        NOT_MEMORY | 2 << 40 | map as u64
    }
}

impl AccessKind {
    /// Does it change what is there?
    #[must_use]
    pub fn writes(self) -> bool {
        use AccessKind::{Atomic, Change, Lock, Unlock, Write};
        matches!(self, Write | Atomic | Lock | Unlock | Change)
    }
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
    /// Touches of what is not memory.
    pub orders: Vec<Order>,
    /// Other events in order.
    pub events: Vec<Event>,
}

impl StepReport {
    /// An empty report, whose buffers are used again by every step.
    #[must_use]
    pub fn new() -> StepReport {
        let at = Moment { place: Place { program: 0, insn: 0 }, cpu: 0, step: 0 };
        StepReport { at, accesses: Vec::with_capacity(8), orders: Vec::with_capacity(4), events: Vec::with_capacity(4) }
    }

    /// Notes a touch of what is not memory.
    pub(super) fn order(&mut self, place: u64, kind: AccessKind) {
        self.orders.push(Order { place, kind });
    }

    /// Forgets the last step.
    #[inline]
    pub fn clear(&mut self) {
        self.accesses.clear();
        self.orders.clear();
        self.events.clear();
    }
}

impl Default for StepReport {
    fn default() -> Self {
        StepReport::new()
    }
}
