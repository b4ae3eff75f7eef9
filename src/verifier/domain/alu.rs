//! Arithmetic on scalars: `adjust_scalar_min_max_vals` of Linux 6.12.117, and the numeric half of
//! `adjust_ptr_min_max_vals`.
//!
//! Start at [`apply`]. What registers lose besides their number (identity, precision) is the caller's.

use super::bounds::{Bounds32, Bounds64};
use super::scalar::Scalar;
use super::tnum::Tnum;
use crate::isa::{AluOp, Width};
use crate::seeded::{self, Fault};

/// `dst op src` at `width`, or nothing where the kernel gives up and marks the register unknown, all 64 bits of
/// it at either width (`adjust_scalar_min_max_vals`, `is_safe_to_compute_dst_reg_range`; negation and byte
/// swaps in `check_alu_op`).
///
/// Division, remainder and negation are never computed, shifts only by a known count below the width. A
/// move is not arithmetic and gives nothing either. The result is synced.
pub fn apply(op: AluOp, width: Width, dst: &Scalar, src: &Scalar) -> Option<Scalar> {
    let mut result = match op {
        AluOp::Add => add(dst, src),
        AluOp::Sub => sub(dst, src),
        AluOp::Mul => mul(dst, src),
        AluOp::And => and(dst, src),
        AluOp::Or => or(dst, src),
        AluOp::Xor => xor(dst, src),
        AluOp::LeftShift | AluOp::RightShift | AluOp::ArithmeticRightShift => {
            if !is_known_shift(width, src) {
                return None;
            }
            shift(op, width, dst, src)
        }
        AluOp::Div | AluOp::SignedDiv | AluOp::Mod | AluOp::SignedMod | AluOp::Neg | AluOp::Mov => return None,
    };
    if width == Width::W32 && !seeded::active(Fault::NoTruncationTo32) {
        result.zero_extend_low();
    }
    Some(result.synced())
}

/// How a bitwise operation with a constant is split in two paths: see [`fork_of_sign_mask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// The destination, before the operation, on the path that goes on.
    pub here: Scalar,
    /// The destination on the path that is pushed, which starts at the same instruction again.
    pub pushed: Scalar,
    /// Whether only the low 32 bits were set. Otherwise the register becomes a plain constant, without
    /// identity.
    pub only_low: bool,
}

/// The two paths of `and` and `or` with a constant when the destination is all zeroes or all ones, as an
/// arithmetic shift leaves it; nothing otherwise (`maybe_fork_scalars`, which asks of the source only that
/// all its 64 bits are known).
pub fn fork_of_sign_mask(op: AluOp, dst: &Scalar, src: &Scalar) -> Option<Fork> {
    if !matches!(op, AluOp::And | AluOp::Or) || !src.is_const() {
        return None;
    }
    if (dst.smin, dst.smax) == (-1, 0) {
        let here = Scalar::constant(u64::MAX);
        Some(Fork { here, pushed: Scalar::ZERO, only_low: false })
    } else if (dst.smin32, dst.smax32) == (-1, 0) {
        let mut fork = Fork { here: *dst, pushed: *dst, only_low: true };
        fork.here.set_const_subreg(u32::MAX);
        fork.pushed.set_const_subreg(0);
        Some(fork)
    } else {
        None
    }
}

/// A pointer's variable offset after `pointer += offset` or `pointer -= offset` where the offset becomes part
/// of it (`adjust_ptr_min_max_vals`); nothing for any other operation, which pointers do not allow.
pub fn apply_to_pointer(op: AluOp, pointer: &Scalar, offset: &Scalar) -> Option<Scalar> {
    let (whole, bits) = match op {
        AluOp::Add => (pointer.w64().add(offset.w64()), pointer.var_off.wrapping_add(offset.var_off)),
        AluOp::Sub => (pointer.w64().sub(offset.w64()), pointer.var_off.wrapping_sub(offset.var_off)),
        _ => return None,
    };
    let mut moved = *pointer;
    moved.var_off = bits;
    moved.set_w64(whole);
    Some(keep_pointer_offset(&moved))
}

/// A pointer's variable offset after a constant went into its fixed offset: the same, but for the ranges of its
/// low half, which are found anew (`adjust_ptr_min_max_vals`).
pub fn keep_pointer_offset(pointer: &Scalar) -> Scalar {
    let mut kept = *pointer;
    kept.forget_bounds32();
    kept.synced()
}

/// A register that is known to be `delta` above another, when that one has become `known`; not synced
/// (`sync_linked_regs`).
pub fn shifted_by(known: &Scalar, delta: i32) -> Scalar {
    add(known, &Scalar::constant(i64::from(delta) as u64))
}

/// Whether `src` is one shift count that is defined at `width` (`is_safe_to_compute_dst_reg_range`).
fn is_known_shift(width: Width, src: &Scalar) -> bool {
    match width {
        Width::W32 => src.is_const_subreg() && src.smin32 == src.smax32 && src.umin32 == src.umax32 && src.umax < 32,
        Width::W64 => src.is_const() && src.smin == src.smax && src.umin == src.umax && src.umax < 64,
    }
}

fn add(dst: &Scalar, src: &Scalar) -> Scalar {
    let mut bits = dst.var_off.wrapping_add(src.var_off);
    if seeded::active(Fault::TnumAddWithoutCarry) {
        bits = dst.var_off ^ src.var_off;
    }
    Scalar::from_parts(bits, dst.w64().add(src.w64()), dst.w32().add(src.w32()))
}

fn sub(dst: &Scalar, src: &Scalar) -> Scalar {
    let mut bits = dst.var_off.wrapping_sub(src.var_off);
    if seeded::active(Fault::TnumSubWithoutBorrow) {
        bits = dst.var_off ^ src.var_off;
    }
    let mut whole = dst.w64().sub(src.w64());
    if seeded::active(Fault::SubSwapsBounds) && dst.umin >= src.umax {
        whole.umin = dst.umin - src.umin;
    }
    Scalar::from_parts(bits, whole, dst.w32().sub(src.w32()))
}

fn mul(dst: &Scalar, src: &Scalar) -> Scalar {
    let mut bits = dst.var_off.wrapping_mul(src.var_off);
    if seeded::active(Fault::TnumMulBitByBit) {
        bits = Tnum::constant(dst.var_off.value.wrapping_mul(src.var_off.value)) ^ (dst.var_off & src.var_off);
    }
    let mut whole = dst.w64().mul(src.w64());
    if seeded::active(Fault::MulIgnoresOverflow) {
        whole.umax = dst.umax.wrapping_mul(src.umax);
    }
    Scalar::from_parts(bits, whole, dst.w32().mul(src.w32()))
}

fn and(dst: &Scalar, src: &Scalar) -> Scalar {
    let mut bits = dst.var_off & src.var_off;
    if seeded::active(Fault::TnumAndDropsUnknown) {
        bits.mask = dst.var_off.mask & src.var_off.mask;
    }
    let whole = dst.w64().and(src.w64(), bits.value);
    let low = dst.w32().and(src.w32(), bits.value as u32);
    bitwise(src, Scalar::from_parts(bits, whole, low))
}

fn or(dst: &Scalar, src: &Scalar) -> Scalar {
    let bits = dst.var_off | src.var_off;
    let whole = dst.w64().or(src.w64(), bits.upper());
    let low = dst.w32().or(src.w32(), bits.upper() as u32);
    bitwise(src, Scalar::from_parts(bits, whole, low))
}

fn xor(dst: &Scalar, src: &Scalar) -> Scalar {
    let bits = dst.var_off ^ src.var_off;
    let whole = Bounds64::xor(bits.value, bits.upper());
    let low = Bounds32::xor(bits.value as u32, bits.upper() as u32);
    bitwise(src, Scalar::from_parts(bits, whole, low))
}

/// The common end of the bitwise operations: a known result overrides the ranges if the source was known too;
/// else the known bits narrow them (`scalar_min_max_and` and its like at both widths).
fn bitwise(src: &Scalar, mut result: Scalar) -> Scalar {
    if src.is_const() && result.is_const() {
        return Scalar::constant(result.var_off.value);
    }
    if src.is_const_subreg() && result.is_const_subreg() {
        result.set_const_subreg(result.var_off.value as u32);
    }
    result.bounds_from_bits();
    result
}

/// A shift by the count that `src` is known to be.
fn shift(op: AluOp, width: Width, dst: &Scalar, src: &Scalar) -> Scalar {
    match width {
        Width::W32 => shift_low(op, dst, src),
        Width::W64 => shift_whole(op, dst, src),
    }
}

/// A 32-bit shift (`scalar32_min_max_lsh`, `_rsh`, `_arsh`); the ranges of the whole register are left open.
fn shift_low(op: AluOp, dst: &Scalar, src: &Scalar) -> Scalar {
    let (min, max) = (u64::from(src.umin32), u64::from(src.umax32));
    let (bits, low) = (dst.var_off.subreg(), dst.w32());
    let (bits, low) = match op {
        AluOp::LeftShift => (bits.shift_left(src.umin32).subreg(), low.shift_left(min, max)),
        AluOp::RightShift => (bits.shift_right(src.umin32), low.shift_right(min, max)),
        _ => (bits.shift_right_arithmetic(src.umin32, Width::W32), low.shift_right_arithmetic(min)),
    };
    let mut result = Scalar::from_parts(bits, Scalar::UNKNOWN.w64(), low);
    result.low_bounds_from_bits();
    result
}

/// A 64-bit shift (`scalar_min_max_lsh`, `_rsh`, `_arsh`).
fn shift_whole(op: AluOp, dst: &Scalar, src: &Scalar) -> Scalar {
    let (min, max) = (src.umin, src.umax);
    let count = min as u32;
    let mut result = *dst;
    result.forget_bounds32();
    match op {
        AluOp::LeftShift => {
            result.var_off = dst.var_off.shift_left(count);
            if seeded::active(Fault::ShiftLeavesMask) {
                result.var_off.mask = dst.var_off.mask & !result.var_off.value;
            }
            result.set_w64(dst.w64().shift_left(min, max));
            // Compilers sign-extend the low half by shifting it up and down again.
            if (min, max) == (32, 32) {
                result.smin = i64::from(dst.smin32) << 32;
                result.smax = i64::from(dst.smax32) << 32;
            }
            result.set_w32(dst.w32().shift_left(min, max));
        }
        AluOp::ArithmeticRightShift if seeded::active(Fault::ArithmeticShiftAsLogical) => {
            result.var_off = dst.var_off.shift_right(count);
            result.set_w64(dst.w64().shift_right(min, max));
        }
        AluOp::RightShift => {
            result.var_off = dst.var_off.shift_right(count);
            result.set_w64(dst.w64().shift_right(min, max));
        }
        _ => {
            result.var_off = dst.var_off.shift_right_arithmetic(count, Width::W64);
            result.set_w64(dst.w64().shift_right_arithmetic(min));
        }
    }
    result.bounds_from_bits();
    result
}
