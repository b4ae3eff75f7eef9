//! One instruction slot as it is encoded.

use serde::{Deserialize, Serialize};

/// One 8-byte instruction slot, fields split but not interpreted (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RawInsn {
    /// Operation: class, and the bits whose meaning the class decides.
    pub opcode: u8,
    /// Destination register, 0 to 15 as encoded; only 0 to 10 exist.
    pub dst: u8,
    /// Source register, or a tag that says what the immediate is.
    pub src: u8,
    /// Signed offset: of memory in bytes, of a jump in slots.
    pub offset: i16,
    /// Signed 32-bit immediate.
    pub imm: i32,
}

impl RawInsn {
    /// Bytes that one slot takes.
    pub const SIZE: usize = 8;

    /// Splits little-endian code bytes into slots. Bytes past the last whole slot are left out;
    /// callers that must refuse them check the length first.
    #[must_use]
    pub fn read_all(bytes: &[u8]) -> Vec<RawInsn> {
        bytes
            .as_chunks::<{ RawInsn::SIZE }>()
            .0
            .iter()
            .map(|chunk| {
                let insn = rbpf::ebpf::get_insn(chunk, 0);
                RawInsn { opcode: insn.opc, dst: insn.dst, src: insn.src, offset: insn.off, imm: insn.imm }
            })
            .collect()
    }

    /// The slot's eight bytes, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RawInsn::SIZE] {
        rbpf::ebpf::Insn { opc: self.opcode, dst: self.dst, src: self.src, off: self.offset, imm: self.imm }.to_array()
    }

    /// Is this the first slot of a 64-bit immediate load?
    #[must_use]
    pub fn is_wide(self) -> bool {
        self.opcode == super::opcode::LOAD_IMM64
    }
}
