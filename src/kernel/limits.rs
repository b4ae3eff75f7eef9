//! Limits of the verifier, each with its name in Linux 6.12.

/// Instructions that the verifier processes at most (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const MAX_PROCESSED_INSNS: u32 = 1_000_000;
/// Branches that may wait to be explored (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`).
pub const MAX_PENDING_BRANCHES: usize = 8192;
/// Bytes of stack, over a whole chain of calls (`MAX_BPF_STACK`).
pub const MAX_STACK_BYTES: i64 = 512;
/// Frames of a chain of calls (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;
/// Functions of a program (`BPF_MAX_SUBPROGS`).
pub const MAX_SUBPROGRAMS: usize = 256;
/// Bound of the variable part of an offset (`BPF_MAX_VAR_OFF`).
pub const MAX_VARIABLE_OFFSET: i64 = 1 << 29;
/// Bound of a variable size (`BPF_MAX_VAR_SIZ`).
pub const MAX_VARIABLE_SIZE: u64 = 1 << 29;
/// Largest per-CPU object in bytes (`BPF_GLOBAL_PERCPU_MA_MAX_SIZE`).
pub const MAX_PERCPU_OBJECT_BYTES: u32 = 512;
/// Arguments of a call (`MAX_BPF_FUNC_REG_ARGS`).
pub const MAX_CALL_ARGUMENTS: usize = 5;
