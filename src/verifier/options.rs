//! What a user may choose about a verification.

use super::log::LogLevel;

/// Choices of the user.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How much of the kernel's log is made.
    pub log_level: LogLevel,
    /// Make a checkpoint wherever paths may meet (`BPF_F_TEST_STATE_FREQ`).
    pub checkpoint_always: bool,
}
