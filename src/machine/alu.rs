//! What arithmetic and comparison mean: pure functions of two numbers.
//!
//! As `___bpf_prog_run` (`kernel/bpf/core.c`, Linux 6.12) together with the code that the verifier puts around
//! divisions (`do_misc_fixups`): division by zero gives zero, the remainder of a division by zero is the dividend
//! (its low half in 32-bit operations), and a signed division that overflows wraps. Shift amounts are masked.

use crate::isa::{AluOp, AtomicOp, Endian, JumpOp, Size};
use crate::seeded::{self, Fault};

/// `dst op src` in 64 bits; for [`AluOp::Mov`] the result is `src`.
#[must_use]
#[inline(always)]
pub fn alu64(op: AluOp, dst: u64, src: u64) -> u64 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div if src == 0 && seeded::active(Fault::DivisionByZeroIsDividend) => dst,
        AluOp::Div => dst.checked_div(src).unwrap_or(0),
        AluOp::SignedDiv if src == 0 => 0,
        AluOp::SignedDiv => (dst as i64).wrapping_div(src as i64) as u64,
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::LeftShift => dst.wrapping_shl(src as u32),
        AluOp::RightShift => dst.wrapping_shr(src as u32),
        AluOp::Neg => dst.wrapping_neg(),
        AluOp::Mod if src == 0 && seeded::active(Fault::RemainderByZeroIsZero) => 0,
        AluOp::Mod => dst.checked_rem(src).unwrap_or(dst),
        AluOp::SignedMod if src == 0 => dst,
        AluOp::SignedMod => (dst as i64).wrapping_rem(src as i64) as u64,
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::ArithmeticRightShift => (dst as i64).wrapping_shr(src as u32) as u64,
    }
}

/// `dst op src` in 32 bits; the upper half of the result is zero.
#[must_use]
#[inline(always)]
pub fn alu32(op: AluOp, dst: u64, src: u64) -> u64 {
    let upper = if seeded::active(Fault::UpperHalfKept) { dst >> 32 << 32 } else { 0 };
    let (dst, src) = (dst as u32, src as u32);
    upper
        | u64::from(match op {
            AluOp::Add => dst.wrapping_add(src),
            AluOp::Sub => dst.wrapping_sub(src),
            AluOp::Mul => dst.wrapping_mul(src),
            AluOp::Div => dst.checked_div(src).unwrap_or(0),
            AluOp::SignedDiv if src == 0 => 0,
            AluOp::SignedDiv => (dst as i32).wrapping_div(src as i32) as u32,
            AluOp::Or => dst | src,
            AluOp::And => dst & src,
            AluOp::LeftShift => dst.wrapping_shl(src),
            AluOp::RightShift => dst.wrapping_shr(src),
            AluOp::Neg => dst.wrapping_neg(),
            AluOp::Mod => dst.checked_rem(src).unwrap_or(dst),
            AluOp::SignedMod if src == 0 => dst,
            AluOp::SignedMod => (dst as i32).wrapping_rem(src as i32) as u32,
            AluOp::Xor => dst ^ src,
            AluOp::Mov => src,
            AluOp::ArithmeticRightShift => (dst as i32).wrapping_shr(src) as u32,
        })
}

/// Does the condition hold for 64-bit operands?
#[must_use]
#[inline(always)]
pub fn holds64(op: JumpOp, dst: u64, src: u64) -> bool {
    let (sdst, ssrc) = (dst as i64, src as i64);
    match op {
        JumpOp::Equal => dst == src,
        JumpOp::NotEqual => dst != src,
        JumpOp::Greater => dst > src,
        JumpOp::GreaterEqual => dst >= src,
        JumpOp::Less => dst < src,
        JumpOp::LessEqual => dst <= src,
        JumpOp::SignedGreater => sdst > ssrc,
        JumpOp::SignedGreaterEqual => sdst >= ssrc,
        JumpOp::SignedLess => sdst < ssrc,
        JumpOp::SignedLessEqual => sdst <= ssrc,
        JumpOp::Set => dst & src != 0,
    }
}

/// Does the condition hold for the low halves?
#[must_use]
#[inline(always)]
pub fn holds32(op: JumpOp, dst: u64, src: u64) -> bool {
    // Sign extension keeps the order of both readings, signed and unsigned, and what bits two numbers share.
    if seeded::active(Fault::CompareLowUnsigned) {
        return holds64(op, dst & 0xffff_ffff, src & 0xffff_ffff);
    }
    holds64(op, sign_extend(Size::B4, dst), sign_extend(Size::B4, src))
}

/// The low bytes of a number, sign-extended to 64 bits.
#[must_use]
#[inline]
pub fn sign_extend(from: Size, value: u64) -> u64 {
    match from {
        Size::B1 => value as i8 as u64,
        Size::B2 => value as i16 as u64,
        Size::B4 => value as i32 as u64,
        Size::B8 => value,
    }
}

/// Byte-order conversion on a little-endian machine.
#[must_use]
pub fn byte_swap(endian: Endian, size: Size, value: u64) -> u64 {
    let swap = endian != Endian::ToLittle && !(seeded::active(Fault::SwapNothing) && size == Size::B4);
    match (size, swap) {
        (Size::B1, _) => value & 0xff,
        (Size::B2, true) => u64::from((value as u16).swap_bytes()),
        (Size::B2, false) => value & 0xffff,
        (Size::B4, true) => u64::from((value as u32).swap_bytes()),
        (Size::B4, false) => value & 0xffff_ffff,
        (Size::B8, true) => value.swap_bytes(),
        (Size::B8, false) => value,
    }
}

/// What an atomic operation leaves in memory. Operands and result have the access's width; `expected` is `r0`,
/// which only the compare-and-exchange reads.
#[must_use]
#[inline(always)]
pub fn atomic(op: AtomicOp, old: u64, src: u64, expected: u64) -> u64 {
    match op {
        AtomicOp::Add { .. } => old.wrapping_add(src),
        AtomicOp::Or { .. } => old | src,
        AtomicOp::And { .. } => old & src,
        AtomicOp::Xor { .. } => old ^ src,
        AtomicOp::Exchange => src,
        AtomicOp::CompareExchange if old == expected => src,
        AtomicOp::CompareExchange => old,
    }
}
