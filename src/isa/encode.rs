//! From typed instructions to encoded slots: [`super::decode`] backwards.

use super::insn::{AluOp, AtomicOp, CallTarget, Endian, ImmediateSource, Insn, JumpOp, Operand, Register, Size, Width};
use super::opcode as op;
use super::raw::RawInsn;

/// Classes (`BPF_CLASS`).
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const ALU: u8 = 4;
const JMP: u8 = 5;
const JMP32: u8 = 6;
const ALU64: u8 = 7;

impl Insn {
    /// The slot that encodes the instruction, and a wide load's second one.
    #[must_use]
    pub fn encode(self) -> (RawInsn, Option<RawInsn>) {
        if let Insn::LoadImmediate { dst, source } = self {
            let (src, low, high) = immediate(source);
            let first = RawInsn { opcode: op::LOAD_IMM64, dst: dst.index() as u8, src, offset: 0, imm: low };
            return (first, Some(RawInsn { imm: high, ..RawInsn::default() }));
        }
        (self.encode_slot(), None)
    }

    fn encode_slot(self) -> RawInsn {
        match self {
            Insn::Alu { width, op, dst, src } => {
                let (code, offset) = alu(op);
                let source = if op == AluOp::Neg { Operand::Immediate(0) } else { src };
                with_operand(alu_class(width) | code, dst, source, offset)
            }
            Insn::MoveSignExtended { width, from, dst, src } => {
                slot(alu_class(width) | 0xb0 | op::SOURCE_REGISTER, dst, src, from.bits() as i16, 0)
            }
            Insn::AddressSpaceCast { dst, src, to, from } => {
                let imm = (u32::from(to) << 16 | u32::from(from)) as i32;
                slot(ALU64 | 0xb0 | op::SOURCE_REGISTER, dst, src, 1, imm)
            }
            Insn::ByteSwap { dst, endian, size } => {
                let opcode = match endian {
                    Endian::ToLittle => ALU | 0xd0,
                    Endian::ToBig => ALU | 0xd0 | op::SOURCE_REGISTER,
                    Endian::Swap => ALU64 | 0xd0,
                };
                slot(opcode, dst, Register::R0, 0, size.bits() as i32)
            }
            Insn::Load { size, signed, dst, src, offset } => {
                let mode = if signed { op::MODE_MEMSX } else { op::MODE_MEM };
                slot(LDX | mode | size_bits(size), dst, src, offset, 0)
            }
            Insn::Store { size, dst, offset, src: Operand::Register(src) } => {
                slot(STX | op::MODE_MEM | size_bits(size), dst, src, offset, 0)
            }
            Insn::Store { size, dst, offset, src: Operand::Immediate(imm) } => {
                slot(ST | op::MODE_MEM | size_bits(size), dst, Register::R0, offset, imm)
            }
            Insn::Atomic { size, op, dst, src, offset } => {
                slot(STX | op::MODE_ATOMIC | size_bits(size), dst, src, offset, atomic(op))
            }
            Insn::LoadPacket { size, index, offset } => {
                let mode = if index.is_some() { op::MODE_IND } else { op::MODE_ABS };
                slot(mode | size_bits(size), Register::R0, index.unwrap_or(Register::R0), 0, offset)
            }
            // An offset past 16 bits is the 32-bit class's own jump (v4).
            Insn::Jump { offset } => match i16::try_from(offset) {
                Ok(offset) => slot(JMP, Register::R0, Register::R0, offset, 0),
                Err(_) => slot(JMP32, Register::R0, Register::R0, 0, offset),
            },
            Insn::JumpIf { width, op, dst, src, offset } => {
                let class = if width == Width::W64 { JMP } else { JMP32 };
                with_operand(class | jump(op), dst, src, offset)
            }
            Insn::MayGoto { offset } => slot(JMP | op::JUMP_COND, Register::R0, Register::R0, offset, 0),
            Insn::Call(target) => call(target),
            Insn::Exit => slot(JMP | op::JUMP_EXIT, Register::R0, Register::R0, 0, 0),
            Insn::LoadImmediate { .. } => RawInsn::default(),
        }
    }
}

fn slot(opcode: u8, dst: Register, src: Register, offset: i16, imm: i32) -> RawInsn {
    RawInsn { opcode, dst: dst.index() as u8, src: src.index() as u8, offset, imm }
}

fn with_operand(opcode: u8, dst: Register, operand: Operand, offset: i16) -> RawInsn {
    match operand {
        Operand::Register(src) => slot(opcode | op::SOURCE_REGISTER, dst, src, offset, 0),
        Operand::Immediate(imm) => slot(opcode, dst, Register::R0, offset, imm),
    }
}

fn alu_class(width: Width) -> u8 {
    if width == Width::W64 { ALU64 } else { ALU }
}

/// Operation bits, and the offset that tells the signed divisions apart.
fn alu(op: AluOp) -> (u8, i16) {
    match op {
        AluOp::Add => (0x00, 0),
        AluOp::Sub => (0x10, 0),
        AluOp::Mul => (0x20, 0),
        AluOp::Div => (0x30, 0),
        AluOp::SignedDiv => (0x30, 1),
        AluOp::Or => (0x40, 0),
        AluOp::And => (0x50, 0),
        AluOp::LeftShift => (0x60, 0),
        AluOp::RightShift => (0x70, 0),
        AluOp::Neg => (0x80, 0),
        AluOp::Mod => (0x90, 0),
        AluOp::SignedMod => (0x90, 1),
        AluOp::Xor => (0xa0, 0),
        AluOp::Mov => (0xb0, 0),
        AluOp::ArithmeticRightShift => (0xc0, 0),
    }
}

fn jump(op: JumpOp) -> u8 {
    match op {
        JumpOp::Equal => 0x10,
        JumpOp::Greater => 0x20,
        JumpOp::GreaterEqual => 0x30,
        JumpOp::Set => 0x40,
        JumpOp::NotEqual => 0x50,
        JumpOp::SignedGreater => 0x60,
        JumpOp::SignedGreaterEqual => 0x70,
        JumpOp::Less => 0xa0,
        JumpOp::LessEqual => 0xb0,
        JumpOp::SignedLess => 0xc0,
        JumpOp::SignedLessEqual => 0xd0,
    }
}

fn size_bits(size: Size) -> u8 {
    match size {
        Size::B4 => 0x00,
        Size::B2 => 0x08,
        Size::B1 => 0x10,
        Size::B8 => 0x18,
    }
}

fn atomic(op: AtomicOp) -> i32 {
    let fetched = |code: i32, fetch: bool| if fetch { code | op::ATOMIC_FETCH } else { code };
    match op {
        AtomicOp::Add { fetch } => fetched(op::ATOMIC_ADD, fetch),
        AtomicOp::Or { fetch } => fetched(op::ATOMIC_OR, fetch),
        AtomicOp::And { fetch } => fetched(op::ATOMIC_AND, fetch),
        AtomicOp::Xor { fetch } => fetched(op::ATOMIC_XOR, fetch),
        AtomicOp::Exchange => op::ATOMIC_XCHG,
        AtomicOp::CompareExchange => op::ATOMIC_CMPXCHG,
    }
}

fn call(target: CallTarget) -> RawInsn {
    let (src, imm) = match target {
        CallTarget::Helper(number) => (0, number),
        CallTarget::Subprogram(offset) => (op::PSEUDO_CALL, offset),
        CallTarget::Kfunc(index) => (op::PSEUDO_KFUNC_CALL, index as i32),
    };
    RawInsn { opcode: JMP | op::JUMP_CALL, dst: 0, src, offset: 0, imm }
}

/// Source tag and both immediates of a wide load.
fn immediate(source: ImmediateSource) -> (u8, i32, i32) {
    match source {
        ImmediateSource::Value(value) => (0, value as i32, (value >> 32) as i32),
        ImmediateSource::Map(map) => (op::PSEUDO_MAP_FD, map as i32, 0),
        ImmediateSource::MapValue { map, offset } => (op::PSEUDO_MAP_VALUE, map as i32, offset as i32),
        ImmediateSource::KernelVariable(index) => (op::PSEUDO_BTF_ID, index as i32, 0),
        ImmediateSource::Function(offset) => (op::PSEUDO_FUNC, offset, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{RawInsn, decode};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// Whatever decodes is encoded as it was, reserved fields aside, which decoding refuses or drops.
        #[test]
        fn encoding_undoes_decoding(opcode: u8, dst in 0..11u8, src in 0..11u8, offset in prop_oneof![Just(0i16), Just(1), Just(8), any::<i16>()], imm in prop_oneof![Just(0i32), Just(16), Just(0x40), any::<i32>()], high: i32) {
            let raw = RawInsn { opcode, dst, src, offset, imm };
            let next = RawInsn { imm: high, ..RawInsn::default() };
            if let Ok(insn) = decode(raw, Some(next)) {
                let (first, second) = insn.encode();
                prop_assert_eq!(decode(first, second), Ok(insn));
            }
        }
    }
}
