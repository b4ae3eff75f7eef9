//! Counts of a verification, as the kernel's log ends with them.

use serde::Serialize;

/// What the exploration of a program took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Instructions processed, over all paths.
    pub insns_processed: u32,
    /// Jumps processed.
    pub jumps_processed: u32,
    /// Instructions processed when the last checkpoint was made.
    #[serde(skip)]
    pub insns_at_checkpoint: u32,
    /// Jumps processed when the last checkpoint was made.
    #[serde(skip)]
    pub jumps_at_checkpoint: u32,
    /// Most checkpoints compared at one slot.
    pub max_states_per_insn: u32,
    /// Checkpoints made.
    pub total_states: u32,
    /// Checkpoints that existed at once.
    pub peak_states: u32,
    /// Longest chain of checkpoints that one read marked.
    pub longest_mark_read: u32,
    /// Bytes of stack by function, in order.
    pub stack_depths: Vec<u32>,
}
