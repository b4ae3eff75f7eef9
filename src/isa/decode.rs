//! From encoded slots to typed instructions.
//!
//! What is refused, and in which words, follows `check_alu_op`, `check_cond_jmp_op`, `check_ld_imm`, `do_check` and
//! `resolve_pseudo_ldimm64` in `kernel/bpf/verifier.c`, Linux 6.12.

use thiserror::Error;

use super::insn::{AluOp, AtomicOp, CallTarget, Endian, ImmediateSource, Insn, JumpOp, Operand, Register, Size, Width};
use super::opcode as op;
use super::raw::RawInsn;

/// Why a slot is not an instruction. The text is what the kernel's log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// No instruction has this opcode.
    #[error("unknown opcode {0:02x}")]
    UnknownOpcode(u8),
    /// A field that the instruction does not use is not zero.
    #[error("{0} uses reserved fields")]
    ReservedFields(&'static str),
    /// A register past `r10`.
    #[error("R{0} is invalid")]
    InvalidRegister(u8),
    /// An atomic operation that does not exist.
    #[error("BPF_ATOMIC uses invalid atomic opcode {0:02x}")]
    InvalidAtomic(i32),
    /// An atomic operation narrower than four bytes.
    #[error("invalid atomic operand size")]
    AtomicSize,
    /// A wide load without its second slot, or with a bad one.
    #[error("invalid bpf_ld_imm64 insn")]
    BrokenWideLoad,
    /// A cast between address spaces other than 1 and 0.
    #[error("addr_space_cast insn can only convert between address space 1 and 0")]
    AddressSpaces,
    /// A conditional pseudo jump with a field that is not its own.
    #[error("invalid may_goto off {offset} imm {imm}")]
    MayGoto {
        /// Slots, counted from the next one.
        offset: i16,
        /// Unused.
        imm: i32,
    },
    /// A wide load whose source tag has no meaning.
    #[error("unrecognized bpf_ld_imm64 insn")]
    UnknownWideLoad,
}

/// Decodes the instruction whose first slot is `raw`; `next` is the slot behind it, which only the wide load uses.
///
/// # Errors
/// [`DecodeError`] where the kernel would refuse the encoding.
pub fn decode(raw: RawInsn, next: Option<RawInsn>) -> Result<Insn, DecodeError> {
    match raw.opcode & op::CLASS_MASK {
        0 => decode_ld(raw, next),
        1 => decode_ldx(raw),
        2 => decode_st(raw),
        3 => decode_stx(raw),
        4 => decode_alu(raw, Width::W32),
        5 => decode_jump(raw, Width::W64),
        6 => decode_jump(raw, Width::W32),
        _ => decode_alu(raw, Width::W64),
    }
}

/// The instruction as far as control flow goes: fields that it does not use may hold anything, and its destination may
/// be a register that does not exist. The kernel follows jumps and calls before it looks at those (`check_subprogs`,
/// `check_cfg`).
///
/// # Errors
/// [`DecodeError`] where the slot is no instruction even so.
pub fn decode_flow(raw: RawInsn, next: Option<RawInsn>) -> Result<Insn, DecodeError> {
    decode(raw, next).or_else(|_| decode(without_unused(raw), next))
}

fn without_unused(raw: RawInsn) -> RawInsn {
    let RawInsn { opcode, src, offset, imm, .. } = raw;
    let clean = RawInsn { opcode, ..RawInsn::default() };
    let by_register = opcode & op::SOURCE_REGISTER != 0;
    match (opcode & op::CLASS_MASK, opcode & op::OPERATION_MASK) {
        (0, _) if raw.is_wide() => RawInsn { src, imm, ..clean },
        (5, op::JUMP_CALL) => RawInsn { src, imm, ..clean },
        (5, op::JUMP_EXIT) => clean,
        (6, 0x00) => RawInsn { imm, ..clean },
        (5, op::JUMP_COND) => RawInsn { offset, ..clean },
        (5 | 6, _) if by_register => RawInsn { offset, ..clean },
        (5 | 6, _) => RawInsn { offset, imm: if opcode & op::OPERATION_MASK == 0x00 { 0 } else { imm }, ..clean },
        _ => raw,
    }
}

fn register(number: u8) -> Result<Register, DecodeError> {
    Register::new(number).ok_or(DecodeError::InvalidRegister(number))
}

fn size(raw: RawInsn) -> Size {
    match raw.opcode & op::SIZE_MASK {
        0x00 => Size::B4,
        0x08 => Size::B2,
        0x10 => Size::B1,
        _ => Size::B8,
    }
}

fn reserve(unused_are_zero: bool, what: &'static str) -> Result<(), DecodeError> {
    if unused_are_zero { Ok(()) } else { Err(DecodeError::ReservedFields(what)) }
}

fn decode_ld(raw: RawInsn, next: Option<RawInsn>) -> Result<Insn, DecodeError> {
    match raw.opcode & op::MODE_MASK {
        op::MODE_IMM if raw.is_wide() => decode_wide(raw, next),
        mode @ (op::MODE_ABS | op::MODE_IND) if size(raw) != Size::B8 => {
            let indexed = mode == op::MODE_IND;
            reserve(raw.dst == 0 && raw.offset == 0 && (indexed || raw.src == 0), "BPF_LD_[ABS|IND]")?;
            let index = indexed.then(|| register(raw.src)).transpose()?;
            Ok(Insn::LoadPacket { size: size(raw), index, offset: raw.imm })
        }
        _ => Err(DecodeError::UnknownOpcode(raw.opcode)),
    }
}

fn decode_wide(raw: RawInsn, next: Option<RawInsn>) -> Result<Insn, DecodeError> {
    let high = next.ok_or(DecodeError::BrokenWideLoad)?;
    if high.opcode != 0 || high.dst != 0 || high.src != 0 || high.offset != 0 {
        return Err(DecodeError::BrokenWideLoad);
    }
    let dst = register(raw.dst)?;
    reserve(raw.offset == 0, "BPF_LD_IMM64")?;
    let low = raw.imm as u32;
    let source = match raw.src {
        0 => ImmediateSource::Value((u64::from(high.imm as u32) << 32) | u64::from(low)),
        op::PSEUDO_MAP_FD | op::PSEUDO_MAP_IDX if high.imm == 0 => ImmediateSource::Map(low),
        op::PSEUDO_MAP_VALUE | op::PSEUDO_MAP_IDX_VALUE => {
            ImmediateSource::MapValue { map: low, offset: high.imm as u32 }
        }
        op::PSEUDO_BTF_ID => ImmediateSource::KernelVariable(low),
        op::PSEUDO_FUNC => ImmediateSource::Function(raw.imm),
        _ => return Err(DecodeError::UnknownWideLoad),
    };
    Ok(Insn::LoadImmediate { dst, source })
}

fn decode_ldx(raw: RawInsn) -> Result<Insn, DecodeError> {
    let mode = raw.opcode & op::MODE_MASK;
    reserve(matches!(mode, op::MODE_MEM | op::MODE_MEMSX) && raw.imm == 0, "BPF_LDX")?;
    let signed = mode == op::MODE_MEMSX;
    if signed && size(raw) == Size::B8 {
        return Err(DecodeError::UnknownOpcode(raw.opcode));
    }
    Ok(Insn::Load { size: size(raw), signed, dst: register(raw.dst)?, src: register(raw.src)?, offset: raw.offset })
}

fn decode_st(raw: RawInsn) -> Result<Insn, DecodeError> {
    if raw.opcode & op::MODE_MASK != op::MODE_MEM {
        return Err(DecodeError::UnknownOpcode(raw.opcode));
    }
    reserve(raw.src == 0, "BPF_ST")?;
    Ok(Insn::Store { size: size(raw), dst: register(raw.dst)?, offset: raw.offset, src: Operand::Immediate(raw.imm) })
}

fn decode_stx(raw: RawInsn) -> Result<Insn, DecodeError> {
    match raw.opcode & op::MODE_MASK {
        op::MODE_MEM => {
            reserve(raw.imm == 0, "BPF_STX")?;
            Ok(Insn::Store {
                size: size(raw),
                dst: register(raw.dst)?,
                offset: raw.offset,
                src: Operand::Register(register(raw.src)?),
            })
        }
        op::MODE_ATOMIC if matches!(size(raw), Size::B4 | Size::B8) => Ok(Insn::Atomic {
            size: size(raw),
            op: atomic_op(raw.imm)?,
            dst: register(raw.dst)?,
            src: register(raw.src)?,
            offset: raw.offset,
        }),
        _ => Err(DecodeError::UnknownOpcode(raw.opcode)),
    }
}

fn atomic_op(imm: i32) -> Result<AtomicOp, DecodeError> {
    let fetch = imm & op::ATOMIC_FETCH != 0;
    Ok(match imm {
        op::ATOMIC_XCHG => AtomicOp::Exchange,
        op::ATOMIC_CMPXCHG => AtomicOp::CompareExchange,
        _ => match imm & !op::ATOMIC_FETCH {
            op::ATOMIC_ADD => AtomicOp::Add { fetch },
            op::ATOMIC_OR => AtomicOp::Or { fetch },
            op::ATOMIC_AND => AtomicOp::And { fetch },
            op::ATOMIC_XOR => AtomicOp::Xor { fetch },
            _ => return Err(DecodeError::InvalidAtomic(imm)),
        },
    })
}

fn decode_alu(raw: RawInsn, width: Width) -> Result<Insn, DecodeError> {
    let by_register = raw.opcode & op::SOURCE_REGISTER != 0;
    let dst = || register(raw.dst);
    match raw.opcode & op::OPERATION_MASK {
        0x80 if !by_register => {
            reserve(raw.src == 0 && raw.offset == 0 && raw.imm == 0, "BPF_NEG")?;
            Ok(Insn::Alu { width, op: AluOp::Neg, dst: dst()?, src: Operand::Immediate(0) })
        }
        0xd0 if width == Width::W32 || !by_register => {
            reserve(raw.src == 0 && raw.offset == 0 && matches!(raw.imm, 16 | 32 | 64), "BPF_END")?;
            let endian = match (width, by_register) {
                (Width::W64, _) => Endian::Swap,
                (Width::W32, true) => Endian::ToBig,
                (Width::W32, false) => Endian::ToLittle,
            };
            let size = match raw.imm {
                16 => Size::B2,
                32 => Size::B4,
                _ => Size::B8,
            };
            Ok(Insn::ByteSwap { dst: dst()?, endian, size })
        }
        0xb0 => decode_mov(raw, width, by_register),
        operation => {
            let signed = raw.offset == 1 && matches!(operation, 0x30 | 0x90);
            let op = alu_op(operation, signed).ok_or(DecodeError::UnknownOpcode(raw.opcode))?;
            let offset_is_fine = raw.offset == 0 || signed;
            let src = if by_register {
                reserve(raw.imm == 0 && offset_is_fine, "BPF_ALU")?;
                Operand::Register(register(raw.src)?)
            } else {
                reserve(raw.src == 0 && offset_is_fine, "BPF_ALU")?;
                Operand::Immediate(raw.imm)
            };
            Ok(Insn::Alu { width, op, dst: dst()?, src })
        }
    }
}

fn alu_op(operation: u8, signed: bool) -> Option<AluOp> {
    Some(match operation {
        0x00 => AluOp::Add,
        0x10 => AluOp::Sub,
        0x20 => AluOp::Mul,
        0x30 if signed => AluOp::SignedDiv,
        0x30 => AluOp::Div,
        0x40 => AluOp::Or,
        0x50 => AluOp::And,
        0x60 => AluOp::LeftShift,
        0x70 => AluOp::RightShift,
        0x90 if signed => AluOp::SignedMod,
        0x90 => AluOp::Mod,
        0xa0 => AluOp::Xor,
        0xc0 => AluOp::ArithmeticRightShift,
        _ => return None,
    })
}

fn decode_mov(raw: RawInsn, width: Width, by_register: bool) -> Result<Insn, DecodeError> {
    if !by_register {
        reserve(raw.src == 0 && raw.offset == 0, "BPF_MOV")?;
        let src = Operand::Immediate(raw.imm);
        return Ok(Insn::Alu { width, op: AluOp::Mov, dst: register(raw.dst)?, src });
    }
    if width == Width::W64 && raw.offset == 1 {
        if raw.imm != 1 && raw.imm != 1 << 16 {
            return Err(DecodeError::AddressSpaces);
        }
        let spaces = raw.imm as u32;
        return Ok(Insn::AddressSpaceCast {
            dst: register(raw.dst)?,
            src: register(raw.src)?,
            to: (spaces >> 16) as u16,
            from: spaces as u16,
        });
    }
    reserve(raw.imm == 0, "BPF_MOV")?;
    let from = match raw.offset {
        0 => None,
        8 => Some(Size::B1),
        16 => Some(Size::B2),
        32 if width == Width::W64 => Some(Size::B4),
        _ => return Err(DecodeError::ReservedFields("BPF_MOV")),
    };
    let (dst, src) = (register(raw.dst)?, register(raw.src)?);
    Ok(match from {
        Some(from) => Insn::MoveSignExtended { width, from, dst, src },
        None => Insn::Alu { width, op: AluOp::Mov, dst, src: Operand::Register(src) },
    })
}

fn decode_jump(raw: RawInsn, width: Width) -> Result<Insn, DecodeError> {
    let by_register = raw.opcode & op::SOURCE_REGISTER != 0;
    match (raw.opcode & op::OPERATION_MASK, width) {
        (0x00, _) if !by_register => {
            let unused = match width {
                Width::W64 => raw.imm == 0,
                Width::W32 => raw.offset == 0,
            };
            reserve(unused && raw.src == 0 && raw.dst == 0, "BPF_JA")?;
            let offset = if width == Width::W64 { i32::from(raw.offset) } else { raw.imm };
            Ok(Insn::Jump { offset })
        }
        (op::JUMP_CALL, Width::W64) if !by_register => decode_call(raw),
        (op::JUMP_EXIT, Width::W64) if !by_register => {
            reserve(raw.imm == 0 && raw.src == 0 && raw.dst == 0, "BPF_EXIT")?;
            Ok(Insn::Exit)
        }
        (op::JUMP_COND, Width::W64) if !by_register => {
            if raw.src != 0 || raw.dst != 0 || raw.imm != 0 {
                return Err(DecodeError::MayGoto { offset: raw.offset, imm: raw.imm });
            }
            Ok(Insn::MayGoto { offset: raw.offset })
        }
        (operation, _) => {
            let op = jump_op(operation).ok_or(DecodeError::UnknownOpcode(raw.opcode))?;
            let src = if by_register {
                reserve(raw.imm == 0, "BPF_JMP/JMP32")?;
                Operand::Register(register(raw.src)?)
            } else {
                reserve(raw.src == 0, "BPF_JMP/JMP32")?;
                Operand::Immediate(raw.imm)
            };
            Ok(Insn::JumpIf { width, op, dst: register(raw.dst)?, src, offset: raw.offset })
        }
    }
}

fn jump_op(operation: u8) -> Option<JumpOp> {
    Some(match operation {
        0x10 => JumpOp::Equal,
        0x20 => JumpOp::Greater,
        0x30 => JumpOp::GreaterEqual,
        0x40 => JumpOp::Set,
        0x50 => JumpOp::NotEqual,
        0x60 => JumpOp::SignedGreater,
        0x70 => JumpOp::SignedGreaterEqual,
        0xa0 => JumpOp::Less,
        0xb0 => JumpOp::LessEqual,
        0xc0 => JumpOp::SignedLess,
        0xd0 => JumpOp::SignedLessEqual,
        _ => return None,
    })
}

fn decode_call(raw: RawInsn) -> Result<Insn, DecodeError> {
    // A kfunc call's offset names the module's BTF; everything else must leave it zero.
    reserve(raw.dst == 0 && (raw.offset == 0 || raw.src == op::PSEUDO_KFUNC_CALL), "BPF_CALL")?;
    let target = match raw.src {
        0 => CallTarget::Helper(raw.imm),
        op::PSEUDO_CALL => CallTarget::Subprogram(raw.imm),
        op::PSEUDO_KFUNC_CALL => CallTarget::Kfunc(raw.imm as u32),
        _ => return Err(DecodeError::ReservedFields("BPF_CALL")),
    };
    Ok(Insn::Call(target))
}
