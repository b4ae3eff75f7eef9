//! Signed and unsigned range of a number of one width, and how each arithmetic operation moves them.
//!
//! 32 and 64 bits follow the same rules, so both come from one macro. Only what needs no other view of the
//! number is here; [`super::sync`] and [`super::alu`] combine the two widths with the known bits.

macro_rules! bounds_of_width {
    ($name:ident, $signed:ty, $unsigned:ty, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Both ends are inclusive. A range with its ends crossed can arise on a branch that no run takes; every
        /// operation wraps where the kernel's C does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) struct $name {
            pub(super) smin: $signed,
            pub(super) smax: $signed,
            pub(super) umin: $unsigned,
            pub(super) umax: $unsigned,
        }

        impl $name {
            /// Any number of this width.
            pub(super) const FULL: $name =
                $name { smin: <$signed>::MIN, smax: <$signed>::MAX, umin: 0, umax: <$unsigned>::MAX };

            /// One number.
            pub(super) const fn constant(value: $unsigned) -> $name {
                $name { smin: value as $signed, smax: value as $signed, umin: value, umax: value }
            }

            /// An unsigned range, and the signed one too where no member crosses the sign.
            const fn from_unsigned(umin: $unsigned, umax: $unsigned) -> $name {
                let (smin, smax) = (umin as $signed, umax as $signed);
                if smin <= smax { $name { smin, smax, umin, umax } } else { $name { umin, umax, ..$name::FULL } }
            }

            /// Keeps what also lies in the signed range.
            pub(super) fn meet_signed(&mut self, min: $signed, max: $signed) {
                self.smin = self.smin.max(min);
                self.smax = self.smax.min(max);
            }

            /// Keeps what also lies in the unsigned range.
            pub(super) fn meet_unsigned(&mut self, min: $unsigned, max: $unsigned) {
                self.umin = self.umin.max(min);
                self.umax = self.umax.min(max);
            }

            /// Keeps what the known bits allow (`__update_reg32_bounds`, `__update_reg64_bounds`).
            pub(super) fn meet_bits(&mut self, value: $unsigned, mask: $unsigned) {
                const SIGN: $unsigned = <$signed>::MIN as $unsigned;
                self.meet_signed((value | (mask & SIGN)) as $signed, (value | (mask & !SIGN)) as $signed);
                self.meet_unsigned(value, value | mask);
            }

            /// Signed and unsigned range teach each other (the common end of `__reg32_deduce_bounds` and
            /// `__reg64_deduce_bounds`). A range that does not cross the sign is one range on both scales; a
            /// signed one that does is two pieces on the unsigned scale, of which the unsigned range may
            /// rule one out.
            pub(super) fn reconcile_signs(&mut self) {
                if self.umin as $signed <= self.umax as $signed {
                    self.meet_signed(self.umin as $signed, self.umax as $signed);
                }
                if self.smin as $unsigned <= self.smax as $unsigned {
                    self.meet_unsigned(self.smin as $unsigned, self.smax as $unsigned);
                } else if self.umax < self.smin as $unsigned {
                    self.smin = self.umin as $signed;
                    self.umax = self.umax.min(self.smax as $unsigned);
                } else if (self.smax as $unsigned) < self.umin {
                    self.smax = self.umax as $signed;
                    self.umin = self.umin.max(self.smin as $unsigned);
                }
            }

            /// Keeps what also lies in the other's ranges.
            pub(super) fn meet(&mut self, other: $name) {
                self.meet_signed(other.smin, other.smax);
                self.meet_unsigned(other.umin, other.umax);
            }

            /// Takes `value` away where it is an end of a range (the inequality of `regs_refine_cond_op`).
            pub(super) fn exclude(&mut self, value: $unsigned) {
                let one_if = |hit: bool| <$unsigned>::from(hit);
                self.umin = self.umin.wrapping_add(one_if(self.umin == value));
                self.umax = self.umax.wrapping_sub(one_if(self.umax == value));
                let value = value as $signed;
                self.smin = self.smin.wrapping_add(one_if(self.smin == value) as $signed);
                self.smax = self.smax.wrapping_sub(one_if(self.smax == value) as $signed);
            }

            /// Keeps what allows `low <= high`, or `low < high` if `strict`, unsigned (`regs_refine_cond_op`).
            pub(super) fn order_unsigned(low: &mut $name, high: &mut $name, strict: bool) {
                let gap = <$unsigned>::from(strict);
                low.umax = low.umax.min(high.umax.wrapping_sub(gap));
                high.umin = high.umin.max(low.umin.wrapping_add(gap));
            }

            /// As [`Self::order_unsigned`], signed.
            pub(super) fn order_signed(low: &mut $name, high: &mut $name, strict: bool) {
                let gap = <$signed>::from(strict);
                low.smax = low.smax.min(high.smax.wrapping_sub(gap));
                high.smin = high.smin.max(low.smin.wrapping_add(gap));
            }

            /// Whether every member of `other` is here, range by range (`range_within`).
            pub(super) const fn includes(&self, other: &$name) -> bool {
                self.smin <= other.smin && self.smax >= other.smax && self.umin <= other.umin && self.umax >= other.umax
            }

            /// Whether the two have no number in common on one of the scales.
            pub(super) const fn is_disjoint(&self, other: &$name) -> bool {
                self.umin > other.umax || self.umax < other.umin || self.smin > other.smax || self.smax < other.smin
            }

            /// Whether both scales are down to `value`.
            pub(super) const fn is_exactly(&self, value: $unsigned) -> bool {
                self.umin == value
                    && self.umax == value
                    && self.smin == value as $signed
                    && self.smax == value as $signed
            }

            /// Whether a lower end is above its upper end.
            pub(super) const fn is_crossed(&self) -> bool {
                self.umin > self.umax || self.smin > self.smax
            }

            /// Sum; a scale on which either end may overflow is lost (`scalar_min_max_add`).
            pub(super) const fn add(self, other: $name) -> $name {
                let mut sum = $name::FULL;
                if let (Some(min), Some(max)) = (self.smin.checked_add(other.smin), self.smax.checked_add(other.smax)) {
                    (sum.smin, sum.smax) = (min, max);
                }
                if let (Some(min), Some(max)) = (self.umin.checked_add(other.umin), self.umax.checked_add(other.umax)) {
                    (sum.umin, sum.umax) = (min, max);
                }
                sum
            }

            /// Difference; a scale on which it may overflow is lost (`scalar_min_max_sub`).
            pub(super) const fn sub(self, other: $name) -> $name {
                let mut difference = $name::FULL;
                if let (Some(min), Some(max)) = (self.smin.checked_sub(other.smax), self.smax.checked_sub(other.smin)) {
                    (difference.smin, difference.smax) = (min, max);
                }
                if self.umin >= other.umax {
                    difference.umin = self.umin - other.umax;
                    difference.umax = self.umax.wrapping_sub(other.umin);
                }
                difference
            }

            /// Product; known only for factors that are not negative and fit half the width
            /// (`scalar_min_max_mul`).
            pub(super) const fn mul(self, other: $name) -> $name {
                const HALF: $unsigned = <$unsigned>::MAX >> (<$unsigned>::BITS / 2);
                if self.smin < 0 || other.smin < 0 || self.umax > HALF || other.umax > HALF {
                    return $name::FULL;
                }
                let umin = self.umin.wrapping_mul(other.umin);
                let umax = self.umax.wrapping_mul(other.umax);
                if umax > <$signed>::MAX as $unsigned {
                    $name { umin, umax, ..$name::FULL }
                } else {
                    $name { smin: umin as $signed, smax: umax as $signed, umin, umax }
                }
            }

            /// Bitwise and, from the known ones of the result (`scalar_min_max_and`).
            pub(super) fn and(self, other: $name, value: $unsigned) -> $name {
                $name::from_unsigned(value, self.umax.min(other.umax))
            }

            /// Bitwise or, from the largest number that the result's known bits allow (`scalar_min_max_or`).
            pub(super) fn or(self, other: $name, upper: $unsigned) -> $name {
                $name::from_unsigned(self.umin.max(other.umin), upper)
            }

            /// Bitwise exclusive or, from the result's known bits alone (`scalar_min_max_xor`).
            pub(super) const fn xor(value: $unsigned, upper: $unsigned) -> $name {
                $name::from_unsigned(value, upper)
            }

            /// Unsigned range shifted left by a count from `min` to `max`; lost if a one may be shifted out.
            /// The signed range is lost in any case (`__scalar32_min_max_lsh`, `__scalar64_min_max_lsh`).
            pub(super) const fn shift_left(self, min: u64, max: u64) -> $name {
                let top = <$unsigned>::BITS - 1;
                if max > top as u64 || self.umax > 1 << (top - max as u32) {
                    return $name::FULL;
                }
                $name {
                    umin: self.umin.wrapping_shl(min as u32),
                    umax: self.umax.wrapping_shl(max as u32),
                    ..$name::FULL
                }
            }

            /// Unsigned range shifted right by a count from `min` to `max`, signed range lost
            /// (`scalar_min_max_rsh`).
            pub(super) const fn shift_right(self, min: u64, max: u64) -> $name {
                $name {
                    umin: self.umin.wrapping_shr(max as u32),
                    umax: self.umax.wrapping_shr(min as u32),
                    ..$name::FULL
                }
            }

            /// Signed range shifted right by a known count, unsigned range lost (`scalar_min_max_arsh`).
            pub(super) const fn shift_right_arithmetic(self, count: u64) -> $name {
                $name {
                    smin: self.smin.wrapping_shr(count as u32),
                    smax: self.smax.wrapping_shr(count as u32),
                    ..$name::FULL
                }
            }
        }
    };
}

bounds_of_width!(Bounds32, i32, u32, "What is known of a register's low 32 bits as a number.");
bounds_of_width!(Bounds64, i64, u64, "What is known of a whole register as a number.");
