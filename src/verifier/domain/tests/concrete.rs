//! What the operations do to numbers, written from the instruction set's definition (RFC 9669).

use crate::isa::{AluOp, JumpOp, Size, Width};

/// `dst op src` for the operations that the domain computes; shift counts are taken modulo the width.
pub fn alu(op: AluOp, width: Width, dst: u64, src: u64) -> u64 {
    match width {
        Width::W32 => alu32(op, dst as u32, src as u32).into(),
        Width::W64 => alu64(op, dst, src),
    }
}

fn alu32(op: AluOp, dst: u32, src: u32) -> u32 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Xor => dst ^ src,
        AluOp::LeftShift => dst.wrapping_shl(src),
        AluOp::RightShift => dst.wrapping_shr(src),
        AluOp::ArithmeticRightShift => (dst as i32).wrapping_shr(src) as u32,
        other => unreachable!("{other:?} is not computed"),
    }
}

fn alu64(op: AluOp, dst: u64, src: u64) -> u64 {
    let count = src as u32;
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Xor => dst ^ src,
        AluOp::LeftShift => dst.wrapping_shl(count),
        AluOp::RightShift => dst.wrapping_shr(count),
        AluOp::ArithmeticRightShift => (dst as i64).wrapping_shr(count) as u64,
        other => unreachable!("{other:?} is not computed"),
    }
}

/// Whether `left op right`.
pub fn jump(op: JumpOp, width: Width, left: u64, right: u64) -> bool {
    let (left, right, signed_left, signed_right) = match width {
        Width::W32 => (left & 0xffff_ffff, right & 0xffff_ffff, (left as i32).into(), (right as i32).into()),
        Width::W64 => (left, right, left as i64, right as i64),
    };
    match op {
        JumpOp::Equal => left == right,
        JumpOp::NotEqual => left != right,
        JumpOp::Greater => left > right,
        JumpOp::GreaterEqual => left >= right,
        JumpOp::Less => left < right,
        JumpOp::LessEqual => left <= right,
        JumpOp::SignedGreater => signed_left > signed_right,
        JumpOp::SignedGreaterEqual => signed_left >= signed_right,
        JumpOp::SignedLess => signed_left < signed_right,
        JumpOp::SignedLessEqual => signed_left <= signed_right,
        JumpOp::Set => left & right != 0,
    }
}

/// `number` cut to `size`.
pub fn truncate(number: u64, size: Size) -> u64 {
    match size {
        Size::B1 => number as u8 as u64,
        Size::B2 => number as u16 as u64,
        Size::B4 => number as u32 as u64,
        Size::B8 => number,
    }
}

/// `number` cut to `size` and sign-extended to `width`, the upper half zero at 32 bits.
pub fn sign_extend(number: u64, size: Size, width: Width) -> u64 {
    let extended = match size {
        Size::B1 => number as i8 as u64,
        Size::B2 => number as i16 as u64,
        Size::B4 => number as i32 as u64,
        Size::B8 => number,
    };
    match width {
        Width::W32 => extended as u32 as u64,
        Width::W64 => extended,
    }
}
