//! Opcode bits that the codec library does not name, and those this crate tests often.
//!
//! Values from `include/uapi/linux/bpf.h` and `bpf_common.h`, Linux 6.12; the base set is `rbpf::ebpf`'s.

/// Mask of the instruction class.
pub const CLASS_MASK: u8 = 0x07;
/// Mask of an arithmetic or jump operation.
pub const OPERATION_MASK: u8 = 0xf0;
/// Set when the second operand is a register.
pub const SOURCE_REGISTER: u8 = 0x08;
/// The wide load `dst = imm64`, which takes two slots.
pub const LOAD_IMM64: u8 = rbpf::ebpf::LD_DW_IMM;

/// Mode bits of a load or store: mask.
pub const MODE_MASK: u8 = 0xe0;
/// Mode: 64-bit immediate.
pub const MODE_IMM: u8 = 0x00;
/// Mode: legacy packet access at an absolute offset.
pub const MODE_ABS: u8 = 0x20;
/// Mode: legacy packet access at an offset in a register.
pub const MODE_IND: u8 = 0x40;
/// Mode: plain memory access.
pub const MODE_MEM: u8 = 0x60;
/// Mode: sign-extending load (v4).
pub const MODE_MEMSX: u8 = 0x80;
/// Mode: atomic operation.
pub const MODE_ATOMIC: u8 = 0xc0;
/// Size bits: mask.
pub const SIZE_MASK: u8 = 0x18;

/// Atomic immediate: also return the old value.
pub const ATOMIC_FETCH: i32 = 0x01;
/// Atomic immediate: add.
pub const ATOMIC_ADD: i32 = 0x00;
/// Atomic immediate: or.
pub const ATOMIC_OR: i32 = 0x40;
/// Atomic immediate: and.
pub const ATOMIC_AND: i32 = 0x50;
/// Atomic immediate: xor.
pub const ATOMIC_XOR: i32 = 0xa0;
/// Atomic immediate: exchange.
pub const ATOMIC_XCHG: i32 = 0xe1;
/// Atomic immediate: compare and exchange with `r0`.
pub const ATOMIC_CMPXCHG: i32 = 0xf1;

/// Jump operation: conditional pseudo jump (`may_goto`).
pub const JUMP_COND: u8 = 0xe0;
/// Jump operation: call.
pub const JUMP_CALL: u8 = 0x80;
/// Jump operation: exit.
pub const JUMP_EXIT: u8 = 0x90;

/// `src` of a wide load: the immediate is a map file descriptor.
pub const PSEUDO_MAP_FD: u8 = 1;
/// `src` of a wide load: a map's value at an offset given in the second slot.
pub const PSEUDO_MAP_VALUE: u8 = 2;
/// `src` of a wide load: the address of a kernel variable, by BTF id.
pub const PSEUDO_BTF_ID: u8 = 3;
/// `src` of a wide load: a function of this program, as an offset in slots.
pub const PSEUDO_FUNC: u8 = 4;
/// `src` of a wide load: a map by its index in the descriptor array.
pub const PSEUDO_MAP_IDX: u8 = 5;
/// `src` of a wide load: a map's value, map by index.
pub const PSEUDO_MAP_IDX_VALUE: u8 = 6;
/// `src` of a call: a function of this program.
pub const PSEUDO_CALL: u8 = 1;
/// `src` of a call: a kernel function, by BTF id.
pub const PSEUDO_KFUNC_CALL: u8 = 2;
