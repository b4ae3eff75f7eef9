//! The record of all that is known about one number, and its elementary operations.
//!
//! The names of its parts are the kernel's (`struct bpf_reg_state`, Linux 6.12.117), shortened.

use std::fmt;

use thiserror::Error;

use super::bounds::{Bounds32, Bounds64};
use super::tnum::Tnum;
use crate::isa::Width;

/// What is known about a 64-bit number: its bits, and its range on four scales.
///
/// A concrete number is a member if each of the five views admits it ([`Scalar::contains`]). The same record
/// describes the variable part of a pointer's offset. Ends are inclusive. The parts need not be consistent
/// with each other at every moment, neither here nor in the kernel: [`Scalar::sync`] makes them agree, and
/// [`Scalar::check_invariants`] finds what cannot be made to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scalar {
    /// Known bits.
    pub var_off: Tnum,
    /// Smallest value, signed.
    pub smin: i64,
    /// Largest value, signed.
    pub smax: i64,
    /// Smallest value, unsigned.
    pub umin: u64,
    /// Largest value, unsigned.
    pub umax: u64,
    /// Smallest value of the low 32 bits, signed.
    pub smin32: i32,
    /// Largest value of the low 32 bits, signed.
    pub smax32: i32,
    /// Smallest value of the low 32 bits, unsigned.
    pub umin32: u32,
    /// Largest value of the low 32 bits, unsigned.
    pub umax32: u32,
}

impl Scalar {
    /// Any number at all (`__mark_reg_unknown`).
    pub const UNKNOWN: Scalar = Scalar::from_parts(Tnum::UNKNOWN, Bounds64::FULL, Bounds32::FULL);

    /// Zero, as the variable offset of a pointer fresh from its source.
    pub const ZERO: Scalar = Scalar::constant(0);

    /// Just `value` (`___mark_reg_known`).
    pub const fn constant(value: u64) -> Scalar {
        let low = Bounds32::constant(value as u32);
        Scalar::from_parts(Tnum::constant(value), Bounds64::constant(value), low)
    }

    /// Whether `number` may be the value, as far as every one of the five views tells.
    pub fn contains(&self, number: u64) -> bool {
        let (signed, low, low_signed) = (number as i64, number as u32, number as i32);
        self.var_off.contains(number)
            && (self.umin..=self.umax).contains(&number)
            && (self.smin..=self.smax).contains(&signed)
            && (self.umin32..=self.umax32).contains(&low)
            && (self.smin32..=self.smax32).contains(&low_signed)
    }

    /// Whether the known bits leave one value (`tnum_is_const` of `var_off`).
    pub const fn is_const(&self) -> bool {
        self.var_off.is_const()
    }

    /// Whether the known bits leave one value of the low 32 bits (`tnum_subreg_is_const`).
    pub const fn is_const_subreg(&self) -> bool {
        self.var_off.subreg_is_const()
    }

    /// The one value that the known bits leave at `width`, if so (`is_reg_const` and `reg_const_value`; that
    /// the register holds a scalar is for the caller to know).
    pub const fn const_value(&self, width: Width) -> Option<u64> {
        let bits = self.var_off.at_width(width);
        if bits.is_const() { Some(bits.value) } else { None }
    }

    /// How many low bits are enough for every value: 0 for zero, up to 64 (`get_reg_width`).
    pub const fn significant_bits(&self) -> u32 {
        u64::BITS - self.umax.leading_zeros()
    }

    /// Whether adding it to a pointer would rest on bounds that contradict each other, which happens on
    /// branches that no run takes (head of `adjust_ptr_min_max_vals`).
    pub const fn is_contradictory_offset(&self) -> bool {
        self.w64().is_crossed() || (self.is_const() && (self.smin != self.smax || self.umin != self.umax))
    }

    /// Whether each value of `current` is one of this: both ranges of both widths, and the known bits
    /// (`range_within` and `tnum_in` as `regsafe` uses them, `self` being the old state's value).
    pub const fn includes(&self, current: &Scalar) -> bool {
        self.w64().includes(&current.w64())
            && self.w32().includes(&current.w32())
            && self.var_off.includes(current.var_off)
    }

    /// Forgets both ranges of both widths and keeps the known bits (`__mark_reg_unbounded`).
    pub const fn forget_bounds(&mut self) {
        self.set_w64(Bounds64::FULL);
        self.set_w32(Bounds32::FULL);
    }

    /// Forgets both ranges of the whole register (`__mark_reg64_unbounded`).
    pub const fn forget_bounds64(&mut self) {
        self.set_w64(Bounds64::FULL);
    }

    /// Forgets both ranges of the low 32 bits (`__mark_reg32_unbounded`).
    pub const fn forget_bounds32(&mut self) {
        self.set_w32(Bounds32::FULL);
    }

    /// Makes the low 32 bits `low` and leaves all else, the ranges of the whole register too
    /// (`__mark_reg32_known`).
    pub fn set_const_subreg(&mut self, low: u32) {
        self.var_off = self.var_off.const_subreg(low);
        self.set_w32(Bounds32::constant(low));
    }

    /// Keeps the values from `min` to `max` on the signed scales, then syncs (`__mark_reg_s32_range` up to its
    /// sanity check).
    pub fn meet_s32_range(&mut self, min: i32, max: i32) {
        let (mut low, mut whole) = (self.w32(), self.w64());
        low.meet_signed(min, max);
        whole.meet_signed(min.into(), max.into());
        self.set_w32(low);
        self.set_w64(whole);
        self.sync();
    }

    /// Looks for parts that contradict each other (`reg_bounds_sanity_check`).
    ///
    /// # Errors
    /// The first rule violated, with the scalar as found. The kernel then logs it and, unless the program was
    /// loaded with `BPF_F_TEST_REG_INVARIANTS`, goes on after [`Scalar::forget_bounds`]; so should the caller.
    pub const fn check_invariants(&self) -> Result<(), InvariantViolation> {
        let rule = if self.w64().is_crossed() || self.w32().is_crossed() {
            InvariantRule::Ranges
        } else if self.is_const() && !self.w64().is_exactly(self.var_off.value) {
            InvariantRule::Constant
        } else if self.is_const_subreg() && !self.w32().is_exactly(self.var_off.value as u32) {
            InvariantRule::ConstantSubreg
        } else {
            return Ok(());
        };
        Err(InvariantViolation { rule, scalar: *self })
    }

    /// The ranges of the whole register.
    pub(super) const fn w64(&self) -> Bounds64 {
        Bounds64 { smin: self.smin, smax: self.smax, umin: self.umin, umax: self.umax }
    }

    /// The ranges of the low 32 bits.
    pub(super) const fn w32(&self) -> Bounds32 {
        Bounds32 { smin: self.smin32, smax: self.smax32, umin: self.umin32, umax: self.umax32 }
    }

    /// Replaces the ranges of the whole register.
    pub(super) const fn set_w64(&mut self, bounds: Bounds64) {
        *self = Scalar::from_parts(self.var_off, bounds, self.w32());
    }

    /// Replaces the ranges of the low 32 bits.
    pub(super) const fn set_w32(&mut self, bounds: Bounds32) {
        *self = Scalar::from_parts(self.var_off, self.w64(), bounds);
    }

    /// A scalar of its three parts, as they are.
    pub(super) const fn from_parts(var_off: Tnum, whole: Bounds64, low: Bounds32) -> Scalar {
        Scalar {
            var_off,
            smin: whole.smin,
            smax: whole.smax,
            umin: whole.umin,
            umax: whole.umax,
            smin32: low.smin,
            smax32: low.smax,
            umin32: low.umin,
            umax32: low.umax,
        }
    }
}

/// Which agreement between the parts of a [`Scalar`] is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvariantRule {
    /// The lower end of some range is above its upper end.
    Ranges,
    /// The known bits leave one value, and a range of the whole register another or more.
    Constant,
    /// The known bits leave one value of the low 32 bits, and a range of those another or more.
    ConstantSubreg,
}

impl fmt::Display for InvariantRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvariantRule::Ranges => "range bounds violation",
            InvariantRule::Constant => "const tnum out of sync with range bounds",
            InvariantRule::ConstantSubreg => "const subreg tnum out of sync with range bounds",
        })
    }
}

/// A scalar whose parts contradict each other, displayed as the kernel's log has it after
/// `REG INVARIANTS VIOLATION (where): `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "{rule} u64=[{umin:#x}, {umax:#x}] s64=[{smin:#x}, {smax:#x}] u32=[{umin32:#x}, {umax32:#x}] \
     s32=[{smin32:#x}, {smax32:#x}] var_off=({value:#x}, {mask:#x})",
    umin = scalar.umin, umax = scalar.umax, smin = scalar.smin, smax = scalar.smax,
    umin32 = scalar.umin32, umax32 = scalar.umax32, smin32 = scalar.smin32, smax32 = scalar.smax32,
    value = scalar.var_off.value, mask = scalar.var_off.mask
)]
pub struct InvariantViolation {
    /// What is broken.
    pub rule: InvariantRule,
    /// The scalar as it was found.
    pub scalar: Scalar,
}
