//! Comparisons of two scalars: whether a jump is decided, and what each of its ways teaches.
//!
//! `is_scalar_branch_taken`, `regs_refine_cond_op` and `reg_set_min_max` of Linux 6.12.117. Comparisons with
//! pointers are not here.

use super::bounds::{Bounds32, Bounds64};
use super::scalar::Scalar;
use super::tnum::Tnum;
use crate::isa::{JumpOp, Width};
use crate::seeded::{self, Fault};

/// Two operands after a jump, on each of its ways. Synced, but not checked: the kernel runs
/// [`Scalar::check_invariants`] on `taken.0`, `taken.1`, `not_taken.0`, `not_taken.1` in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges<T = (Scalar, Scalar)> {
    /// Where the condition holds.
    pub taken: T,
    /// Where it does not.
    pub not_taken: T,
}

/// Whether `left op right` surely holds or surely does not; nothing if it may be either
/// (`is_scalar_branch_taken`).
pub fn branch_taken(op: JumpOp, width: Width, left: &Scalar, right: &Scalar) -> Option<bool> {
    let (unsigned, signed) = (unsigned_range(width), signed_range(width));
    match op {
        JumpOp::Equal => surely_equal(width, left, right),
        JumpOp::NotEqual => surely_equal(width, left, right).map(|equal| !equal),
        JumpOp::Set => surely_common_bit(width, left, right),
        JumpOp::Less => surely_less(unsigned(left), unsigned(right)),
        JumpOp::Greater => surely_less(unsigned(right), unsigned(left)),
        JumpOp::LessEqual => surely_less_equal(unsigned(left), unsigned(right)),
        JumpOp::GreaterEqual => surely_less_equal(unsigned(right), unsigned(left)),
        JumpOp::SignedLess => surely_less(signed(left), signed(right)),
        JumpOp::SignedGreater => surely_less(signed(right), signed(left)),
        JumpOp::SignedLessEqual => surely_less_equal(signed(left), signed(right)),
        JumpOp::SignedGreaterEqual => surely_less_equal(signed(right), signed(left)),
    }
}

/// What `left op right` teaches about two different registers, or a register and a constant, when
/// [`branch_taken`] does not decide it (`reg_set_min_max`).
pub fn refine_edges(op: JumpOp, width: Width, left: &Scalar, right: &Scalar) -> Edges {
    let refined = |condition| {
        let (left, right) = refine(condition, width, *left, *right);
        (left.synced(), right.synced())
    };
    Edges { taken: refined(Condition::Holds(op)), not_taken: refined(Condition::opposite(op)) }
}

/// What `register op register` teaches when both operands are one register. The kernel refines it once as
/// the left and once as the right operand, and syncs it twice.
pub fn refine_edges_of_one(op: JumpOp, width: Width, register: &Scalar) -> Edges<Scalar> {
    let refined = |condition| {
        let (mut both, right) = refine(condition, width, *register, *register);
        let (mut low, mut whole) = (both.w32(), both.w64());
        low.meet(right.w32());
        whole.meet(right.w64());
        both.set_w32(low);
        both.set_w64(whole);
        both.synced().synced()
    };
    Edges { taken: refined(Condition::Holds(op)), not_taken: refined(Condition::opposite(op)) }
}

/// What is known to be true on one way of a jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// The comparison.
    Holds(JumpOp),
    /// The operands have no bit in common: the opposite of [`JumpOp::Set`], which no jump tests.
    NoCommonBit,
}

impl Condition {
    /// What holds where `op` does not (`rev_opcode`).
    fn opposite(op: JumpOp) -> Condition {
        Condition::Holds(match op {
            JumpOp::Equal => JumpOp::NotEqual,
            JumpOp::NotEqual => JumpOp::Equal,
            JumpOp::Greater => JumpOp::LessEqual,
            JumpOp::GreaterEqual => JumpOp::Less,
            JumpOp::Less if seeded::active(Fault::OppositeOfLessIsGreater) => JumpOp::Greater,
            JumpOp::Less => JumpOp::GreaterEqual,
            JumpOp::LessEqual => JumpOp::Greater,
            JumpOp::SignedGreater => JumpOp::SignedLessEqual,
            JumpOp::SignedGreaterEqual => JumpOp::SignedLess,
            JumpOp::SignedLess => JumpOp::SignedGreaterEqual,
            JumpOp::SignedLessEqual => JumpOp::SignedGreater,
            JumpOp::Set => return Condition::NoCommonBit,
        })
    }
}

/// Both operands narrowed to what the condition allows, not synced (`regs_refine_cond_op`).
fn refine(condition: Condition, width: Width, mut left: Scalar, mut right: Scalar) -> (Scalar, Scalar) {
    let (low, high, order) = match condition {
        Condition::NoCommonBit => {
            with_constant(width, &mut left, &mut right, |other, bits| clear_bits(width, other, bits));
            return (left, right);
        }
        Condition::Holds(op) => match op {
            JumpOp::Equal => {
                equate(width, &mut left, &mut right);
                return (left, right);
            }
            JumpOp::NotEqual => {
                with_constant(width, &mut left, &mut right, |other, value| exclude(width, other, value));
                return (left, right);
            }
            JumpOp::Set => {
                with_constant(width, &mut left, &mut right, |other, bits| set_bit(width, other, bits));
                return (left, right);
            }
            JumpOp::Less => (&mut left, &mut right, Order { signed: false, strict: true }),
            JumpOp::LessEqual => (&mut left, &mut right, Order { signed: false, strict: false }),
            JumpOp::Greater => (&mut right, &mut left, Order { signed: false, strict: true }),
            JumpOp::GreaterEqual => (&mut right, &mut left, Order { signed: false, strict: false }),
            JumpOp::SignedLess => {
                (&mut left, &mut right, Order { signed: !seeded::active(Fault::SignedTeachesUnsigned), strict: true })
            }
            JumpOp::SignedLessEqual => (&mut left, &mut right, Order { signed: true, strict: false }),
            JumpOp::SignedGreater => (&mut right, &mut left, Order { signed: true, strict: true }),
            JumpOp::SignedGreaterEqual => (&mut right, &mut left, Order { signed: true, strict: false }),
        },
    };
    put_in_order(order, width, low, high);
    (left, right)
}

/// An order between two numbers.
#[derive(Debug, Clone, Copy)]
struct Order {
    signed: bool,
    strict: bool,
}

/// Narrows the ranges of `width` to those with `low` below `high`.
fn put_in_order(order: Order, width: Width, low: &mut Scalar, high: &mut Scalar) {
    match width {
        Width::W32 => {
            let (mut below, mut above) = (low.w32(), high.w32());
            let narrow = if order.signed { Bounds32::order_signed } else { Bounds32::order_unsigned };
            narrow(&mut below, &mut above, order.strict);
            low.set_w32(below);
            high.set_w32(above);
        }
        Width::W64 => {
            let (mut below, mut above) = (low.w64(), high.w64());
            let narrow = if order.signed { Bounds64::order_signed } else { Bounds64::order_unsigned };
            narrow(&mut below, &mut above, order.strict);
            low.set_w64(below);
            high.set_w64(above);
        }
    }
}

/// Gives both operands what is known of either at `width`.
fn equate(width: Width, left: &mut Scalar, right: &mut Scalar) {
    let width = if seeded::active(Fault::EqualLowHalvesAreEqual) { Width::W64 } else { width };
    match width {
        Width::W32 => {
            let mut common = left.w32();
            common.meet(right.w32());
            let bits = left.var_off.subreg().intersect(right.var_off.subreg());
            for side in [left, right] {
                side.set_w32(common);
                side.var_off = side.var_off.with_subreg(bits);
            }
        }
        Width::W64 => {
            let mut common = left.w64();
            common.meet(right.w64());
            let bits = left.var_off.intersect(right.var_off);
            for side in [left, right] {
                side.set_w64(common);
                side.var_off = bits;
            }
        }
    }
}

/// Calls `learn` with the operand beside a constant and that constant's value; with two constants, the left
/// one is the operand; without any, nothing is learnt.
fn with_constant(width: Width, left: &mut Scalar, right: &mut Scalar, learn: impl FnOnce(&mut Scalar, u64)) {
    if let Some(value) = right.const_value(width) {
        learn(left, value);
    } else if let Some(value) = left.const_value(width) {
        learn(right, value);
    }
}

/// Takes `value` off the ends of the ranges of `width`.
fn exclude(width: Width, other: &mut Scalar, value: u64) {
    match width {
        Width::W32 => {
            let mut low = other.w32();
            low.exclude(value as u32);
            other.set_w32(low);
        }
        Width::W64 => {
            let mut whole = other.w64();
            let value = if seeded::active(Fault::UnequalShrinksAlways) { whole.umax } else { value };
            whole.exclude(value);
            other.set_w64(whole);
        }
    }
}

/// One of `bits` is set: that tells which only if it is a single one.
fn set_bit(width: Width, other: &mut Scalar, bits: u64) {
    if bits.is_power_of_two() || seeded::active(Fault::CommonBitSetsAll) {
        let with_bit = other.var_off.at_width(width) | Tnum::constant(bits);
        replace_bits(width, other, with_bit);
    }
}

/// None of `bits` is set. The ranges are forgotten: on a branch that no run takes they could contradict it.
fn clear_bits(width: Width, other: &mut Scalar, bits: u64) {
    other.forget_bounds();
    let without_bits = other.var_off.at_width(width) & Tnum::constant(!bits);
    replace_bits(width, other, without_bits);
}

/// Replaces the known bits at `width`.
fn replace_bits(width: Width, scalar: &mut Scalar, bits: Tnum) {
    scalar.var_off = match width {
        Width::W32 => scalar.var_off.with_subreg(bits),
        Width::W64 => bits,
    };
}

/// The unsigned range at `width`, as 64-bit numbers.
fn unsigned_range(width: Width) -> fn(&Scalar) -> (u64, u64) {
    match width {
        Width::W32 => |scalar| (scalar.umin32.into(), scalar.umax32.into()),
        Width::W64 => |scalar| (scalar.umin, scalar.umax),
    }
}

/// The signed range at `width`, as 64-bit numbers.
fn signed_range(width: Width) -> fn(&Scalar) -> (i64, i64) {
    match width {
        Width::W32 => |scalar| (scalar.smin32.into(), scalar.smax32.into()),
        Width::W64 => |scalar| (scalar.smin, scalar.smax),
    }
}

/// Whether all of one range is below all of the other, or none of it is.
fn surely_less<T: Ord>(left: (T, T), right: (T, T)) -> Option<bool> {
    if left.1 < right.0 || (left.1 == right.0 && seeded::active(Fault::LessThoughEqual)) {
        Some(true)
    } else if left.0 >= right.1 {
        Some(false)
    } else {
        None
    }
}

/// As [`surely_less`], equality included.
fn surely_less_equal<T: Ord>(left: (T, T), right: (T, T)) -> Option<bool> {
    if left.1 <= right.0 {
        Some(true)
    } else if left.0 > right.1 {
        Some(false)
    } else {
        None
    }
}

/// Equality by known bits, then inequality by ranges; at 64 bits by those of the low half too.
fn surely_equal(width: Width, left: &Scalar, right: &Scalar) -> Option<bool> {
    if let (Some(left), Some(right)) = (left.const_value(width), right.const_value(width)) {
        return Some(left == right);
    }
    let may_be_equal = left.var_off.at_width(width).overlaps(right.var_off.at_width(width))
        && !left.w32().is_disjoint(&right.w32())
        && (width == Width::W32 || !left.w64().is_disjoint(&right.w64()));
    if may_be_equal { None } else { Some(false) }
}

/// Whether an operand has a bit of the other, constant one.
fn surely_common_bit(width: Width, left: &Scalar, right: &Scalar) -> Option<bool> {
    let (other, bits) = match (left.const_value(width), right.const_value(width)) {
        (_, Some(bits)) => (left, bits),
        (Some(bits), None) => (right, bits),
        (None, None) => return None,
    };
    let other = other.var_off.at_width(width);
    if other.value & !other.mask & bits != 0 {
        Some(true)
    } else if other.upper() & bits == 0 {
        Some(false)
    } else {
        None
    }
}
