//! What a user may choose about a verification.

use rustc_hash::FxHashMap;

use super::log::LogLevel;
use super::maps::Fields;
use crate::btf::TypeId;

/// Choices, and what is computed once for all programs of an object.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How much of the kernel's log is made.
    pub log_level: LogLevel,
    /// Make a checkpoint wherever paths may meet (`BPF_F_TEST_STATE_FREQ`).
    pub checkpoint_always: bool,
    /// Structs of the program with special fields.
    pub(super) local_fields: FxHashMap<TypeId, Fields>,
}
