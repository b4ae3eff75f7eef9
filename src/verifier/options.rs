//! What a user may choose about a verification.

use super::log::LogLevel;

/// Choices of the user.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How much of the kernel's log is made.
    pub log_level: LogLevel,
    /// Make a checkpoint wherever paths may meet (`BPF_F_TEST_STATE_FREQ`).
    pub checkpoint_always: bool,
    /// At level 2, print before each instruction the whole state of all frames instead of what changed. The kernel has no such
    /// log; whoever holds runs against states needs it, since a list of changes does not say what was forgotten.
    pub whole_states: bool,
}
