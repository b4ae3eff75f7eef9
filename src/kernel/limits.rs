//! The kernel's limits on programs and on the verifier's work, each with where the kernel has it (Linux 6.12).

/// Instructions that the verifier processes before it gives up (`BPF_COMPLEXITY_LIMIT_INSNS`, `include/linux/bpf.h`).
/// Also the longest program that a privileged user may load (`bpf_prog_load`).
pub const PROCESSED_INSNS: u32 = 1_000_000;

/// Longest program of an unprivileged user, in slots (`BPF_MAXINSNS`, `include/uapi/linux/bpf_common.h`).
pub const UNPRIVILEGED_INSNS: u32 = 4096;

/// Branches that may wait to be explored at a time (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`, `kernel/bpf/verifier.c`).
pub const PENDING_BRANCHES: u32 = 8192;

/// States kept for one instruction when the user is unprivileged (`BPF_COMPLEXITY_LIMIT_STATES`,
/// `kernel/bpf/verifier.c`).
pub const UNPRIVILEGED_STATES: u32 = 64;

/// Bytes of stack: of one frame, and of all frames of a call chain together (`MAX_BPF_STACK`,
/// `include/linux/filter.h`).
pub const STACK_BYTES: u32 = 512;

/// Bytes of a stack slot, and of a register (`BPF_REG_SIZE`, `include/linux/bpf_verifier.h`).
pub const SLOT_BYTES: u32 = 8;

/// Frames of a call chain (`MAX_CALL_FRAMES`, `include/linux/bpf_verifier.h`).
pub const CALL_FRAMES: usize = 8;

/// Functions of a program (`BPF_MAX_SUBPROGS`, `include/linux/bpf_verifier.h`).
pub const SUBPROGRAMS: usize = 256;

/// Distinct maps that a program uses (`MAX_USED_MAPS`, `include/linux/bpf_verifier.h`).
pub const USED_MAPS: usize = 64;

/// Distinct BTFs of variables that a program uses (`MAX_USED_BTFS`, `include/linux/bpf_verifier.h`).
pub const USED_BTFS: usize = 64;

/// Distinct kfuncs that a program calls (`MAX_KFUNC_DESCS`, `kernel/bpf/verifier.c`).
pub const KFUNCS: usize = 256;

/// Stack bytes of a program with tail calls in its caller's frames (`check_max_stack_depth`, `kernel/bpf/verifier.c`).
pub const STACK_BYTES_BEFORE_TAIL_CALL: u32 = 256;

/// Tail calls in a row (`MAX_TAIL_CALL_CNT`, `include/linux/bpf.h`).
pub const TAIL_CALLS: u32 = 33;

/// Arguments that a helper or function takes in registers (`MAX_BPF_FUNC_REG_ARGS`, `include/linux/bpf.h`).
pub const REGISTER_ARGUMENTS: usize = 5;

/// Arguments of a traced kernel function (`MAX_BPF_FUNC_ARGS`, `include/linux/bpf.h`).
pub const TRACED_ARGUMENTS: usize = 12;

/// A pointer's variable offset stays below this in both directions (`BPF_MAX_VAR_OFF`,
/// `include/linux/bpf_verifier.h`).
pub const VARIABLE_OFFSET: i64 = 1 << 29;

/// Sizes passed to helpers stay below this (`BPF_MAX_VAR_SIZ`, `include/linux/bpf_verifier.h`).
pub const VARIABLE_SIZE: u64 = 1 << 29;

/// Offsets into a packet stay at or below this (`MAX_PACKET_OFF`, `kernel/bpf/verifier.c`).
pub const PACKET_OFFSET: u64 = 0xffff;

/// Rounds of `bpf_loop` (`BPF_MAX_LOOPS`, `include/linux/bpf.h`).
pub const LOOP_ROUNDS: u64 = 8 * 1024 * 1024;

/// Rounds of `may_goto` (`BPF_MAX_LOOPS`, `include/linux/bpf.h`).
pub const MAY_GOTO_ROUNDS: u64 = LOOP_ROUNDS;

/// Samples that one call of `bpf_user_ringbuf_drain` consumes (`BPF_MAX_USER_RINGBUF_SAMPLES`, `include/linux/bpf.h`).
pub const USER_RINGBUF_SAMPLES: u64 = 128 * 1024;

/// Special fields of one structure (`BTF_FIELDS_MAX`, `include/linux/bpf.h`).
pub const SPECIAL_FIELDS: usize = 11;

/// Bytes of one copy of a per-CPU object (`BPF_GLOBAL_PERCPU_MA_MAX_SIZE`, `kernel/bpf/verifier.c`).
pub const PERCPU_OBJECT_BYTES: u32 = 512;

/// Characters of a program's or map's name, the final NUL included (`BPF_OBJ_NAME_LEN`, `include/uapi/linux/bpf.h`).
pub const NAME_BYTES: usize = 16;

/// Values that `bpf_snprintf` and its kin print (`MAX_BPRINTF_VARARGS`, `include/linux/bpf.h`).
pub const PRINTED_VALUES: usize = 12;
