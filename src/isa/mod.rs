//! The BPF instruction set: encoding, decoding and names, versions 1 to 4.
//!
//! [`RawInsn`] is one 8-byte slot as it stands in an object file. [`decode`] turns a slot (or a pair of slots, for
//! the 64-bit immediate load) into an [`Insn`], whose variants hold just the fields that mean something.
//! [`Insn::encode`] goes back. [`disassemble`] prints a slot the way the kernel's log does.
//! Nothing here knows what a program's maps or functions are; start reading at [`Insn`].

mod decode;
mod disassemble;
mod encode;
mod insn;
pub mod opcode;
mod raw;

pub use decode::{DecodeError, decode, decode_flow};
pub use disassemble::{CallName, class_name, disassemble};
pub use insn::{AluOp, AtomicOp, CallTarget, Endian, ImmediateSource, Insn, JumpOp, Operand, Register, Size, Width};
pub use raw::RawInsn;

/// Number of registers a program can name: `r0` to `r10`.
pub const REGISTER_COUNT: usize = 11;

#[cfg(test)]
mod tests;
