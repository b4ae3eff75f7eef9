//! How the five views of a [`Scalar`] teach each other: `reg_bounds_sync` of Linux 6.12.117.
//!
//! The steps and their order are the kernel's, and so is the number of rounds. The result is not a fixed
//! point: syncing twice may tell more than syncing once. Nor does it always narrow: the last step of a round
//! replaces the ranges of a sign-extended number by those of its low half, even where these are wider.

use super::bounds::{Bounds32, Bounds64};
use super::scalar::Scalar;
use super::tnum::Tnum;
use crate::seeded::{self, Fault};

/// Rounds of deduction among the ranges.
const ROUNDS: usize = 3;

impl Scalar {
    /// Makes the views agree as far as the kernel does (`reg_bounds_sync`): bits into ranges, ranges among
    /// each other, ranges into bits, and the better bits into the ranges once more.
    pub fn sync(&mut self) {
        // The commonest cases, in which no step changes anything.
        if self.is_exactly_known() || self.is_any_number_of_its_width() {
            return;
        }
        self.sync_step_by_step();
    }

    fn sync_step_by_step(&mut self) {
        self.bounds_from_bits();
        for _ in 0..ROUNDS {
            let before = *self;
            self.low_bounds_from_whole();
            self.whole_bounds_from_signs();
            self.whole_bounds_from_low();
            // What a round has not changed the next one does not change either.
            if *self == before {
                break;
            }
        }
        self.bits_from_bounds();
        self.bounds_from_bits();
    }

    /// Is it one number, and do all views say so?
    fn is_exactly_known(&self) -> bool {
        let value = self.var_off.value;
        self.is_const() && self.w64().is_exactly(value) && self.w32().is_exactly(value as u32)
    }

    /// Are its low bits, however many, unknown, all others zero, and do all views say just that? So is what a load or a
    /// 32-bit operation gives of which nothing is known.
    fn is_any_number_of_its_width(&self) -> bool {
        let mask = self.var_off.mask;
        mask & mask.wrapping_add(1) == 0 && *self == Scalar::any_of_low_bits(mask)
    }

    /// The numbers from 0 to `mask`, whose low bits are all set.
    const fn any_of_low_bits(mask: u64) -> Scalar {
        let bits = Tnum { value: 0, mask };
        let whole = if mask == u64::MAX {
            Bounds64::FULL
        } else {
            Bounds64 { smin: 0, smax: mask as i64, umin: 0, umax: mask }
        };
        let low = if mask >= u32::MAX as u64 {
            Bounds32::FULL
        } else {
            Bounds32 { smin: 0, smax: mask as i32, umin: 0, umax: mask as u32 }
        };
        Scalar::from_parts(bits, whole, low)
    }

    /// [`Scalar::sync`] on a copy.
    #[must_use]
    pub fn synced(mut self) -> Scalar {
        self.sync();
        self
    }

    /// Narrows every range to what the known bits allow (`__update_reg_bounds`).
    pub(super) fn bounds_from_bits(&mut self) {
        self.low_bounds_from_bits();
        let mut whole = self.w64();
        whole.meet_bits(self.var_off.value, self.var_off.mask);
        self.set_w64(whole);
    }

    /// Narrows the ranges of the low 32 bits to what the known bits allow (`__update_reg32_bounds`).
    pub(super) fn low_bounds_from_bits(&mut self) {
        let mut low = self.w32();
        low.meet_bits(self.var_off.value as u32, self.var_off.mask as u32);
        self.set_w32(low);
    }

    /// Narrows the ranges of the low 32 bits to the whole register's, then by each other
    /// (`__reg32_deduce_bounds`).
    fn low_bounds_from_whole(&mut self) {
        let mut low = self.w32();
        let (smin, smax) = (self.smin as u64, self.smax as u64);
        if self.umin >> 32 == self.umax >> 32 || seeded::active(Fault::LowBoundsFromAnyWhole) {
            low.meet_unsigned(self.umin as u32, self.umax as u32);
            meet_if_signed_range(&mut low, self.umin, self.umax);
        }
        if smin >> 32 == smax >> 32 {
            if smin as u32 <= smax as u32 {
                low.meet_unsigned(smin as u32, smax as u32);
            }
            meet_if_signed_range(&mut low, smin, smax);
        }
        for (min, max) in [(self.umin, self.umax), (smin, smax)] {
            if steps_over_signed_zero(min, max) {
                low.meet_signed(min as i32, max as i32);
            }
        }
        low.reconcile_signs();
        self.set_w32(low);
    }

    /// Signed and unsigned range of the whole register narrow each other (`__reg64_deduce_bounds`).
    fn whole_bounds_from_signs(&mut self) {
        let mut whole = self.w64();
        whole.reconcile_signs();
        self.set_w64(whole);
    }

    /// Narrows the whole register's ranges by putting the ends of the low half's ranges in place of the low
    /// half of their ends (`__reg_deduce_mixed_bounds`).
    fn whole_bounds_from_low(&mut self) {
        self.graft_low_ends(self.umin32, self.umax32);
        if self.smin32 as u32 <= self.smax32 as u32 {
            self.graft_low_ends(self.smin32 as u32, self.smax32 as u32);
        }
        // A sign-extended number whose low half is not negative has an upper half of zeroes.
        let is_sign_extended = self.smin >= i32::MIN.into() && self.smax <= i32::MAX.into();
        if self.smin32 >= 0 && (is_sign_extended || seeded::active(Fault::WholeBoundsFromAnyLow)) {
            (self.smin, self.smax) = (self.smin32.into(), self.smax32.into());
            (self.umin, self.umax) = (self.smin as u64, self.smax as u64);
            self.var_off = self.var_off.intersect(Tnum::range(self.umin, self.umax));
        }
    }

    /// Narrows the whole register's ranges, given that the low half lies between `min` and `max`.
    fn graft_low_ends(&mut self, min: u32, max: u32) {
        let graft = |end: u64, low: u32| (end >> 32 << 32) | u64::from(low);
        let mut whole = self.w64();
        whole.meet_unsigned(graft(whole.umin, min), graft(whole.umax, max));
        whole.meet_signed(graft(whole.smin as u64, min) as i64, graft(whole.smax as u64, max) as i64);
        self.set_w64(whole);
    }

    /// Learns leading bits from the unsigned ranges of both widths (`__reg_bound_offset`).
    fn bits_from_bounds(&mut self) {
        let whole = self.var_off.intersect(Tnum::range(self.umin, self.umax));
        let low_range = Tnum::range(self.umin32.into(), self.umax32.into());
        self.var_off = whole.clear_subreg() | whole.subreg().intersect(low_range);
    }
}

/// Narrows the signed low range to the low halves of `min` and `max`, if these are in order.
fn meet_if_signed_range(low: &mut Bounds32, min: u64, max: u64) {
    if min as i32 <= max as i32 {
        low.meet_signed(min as i32, max as i32);
    }
}

/// Whether the upper half grows by just one between `min` and `max` while the low half goes from negative to
/// not negative: then low halves between them are one signed range.
fn steps_over_signed_zero(min: u64, max: u64) -> bool {
    let upper = |number: u64| (number >> 32) as u32;
    upper(min).wrapping_add(1) == upper(max) && (min as i32) < 0 && max as i32 >= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sync_leaves_alone_no_step_would_change() {
        for bits in 0..=64 {
            let any = Scalar::any_of_low_bits(u64::MAX.checked_shr(64 - bits).unwrap_or(0));
            let mut synced = any;
            synced.sync_step_by_step();
            assert_eq!(synced, any, "{bits}");
        }
        assert_eq!(Scalar::any_of_low_bits(u64::MAX), Scalar::UNKNOWN);
    }
}
