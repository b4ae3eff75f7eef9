//! What a user may choose about a verification.

use super::log::LogLevel;
use super::path::Record;
use crate::kernel::Capabilities;

/// Choices of the user.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much of the kernel's log is made.
    pub log_level: LogLevel,
    /// Make a checkpoint wherever paths may meet (`BPF_F_TEST_STATE_FREQ`).
    pub checkpoint_always: bool,
    /// What the process that loads the program may do. Without any, the kernel must have
    /// `kernel.unprivileged_bpf_disabled=0`.
    pub capabilities: Capabilities,
    /// At level 2, print before each instruction the whole state of all frames instead of what changed. The kernel has no such
    /// log; whoever holds runs against states needs it, since a list of changes does not say what was forgotten.
    pub whole_states: bool,
    /// Follow each path to its end, though an earlier one covers it; only loops are left where they come round. The verdict is the same, but
    /// for programs that need too many instructions that way.
    pub all_paths: bool,
    /// Instructions that may be processed, if less than the kernel lets programs take.
    pub max_processed: Option<u32>,
    /// How much of the exploration is kept.
    pub record: Record,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            log_level: LogLevel::default(),
            checkpoint_always: false,
            capabilities: Capabilities::all(),
            whole_states: false,
            all_paths: false,
            max_processed: None,
            record: Record::No,
        }
    }
}
