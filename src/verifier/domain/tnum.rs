//! Tracked numbers: which bits of a 64-bit value are known, and what they are.
//!
//! The rules are those of Linux 6.12.117 `kernel/bpf/tnum.c`; each method names its counterpart. The theory
//! is in Vishwanathan et al., "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers" (2021).

use std::fmt;
use std::ops::{BitAnd, BitOr, BitXor};

use crate::isa::Width;

/// A set of 64-bit numbers given bit by bit: a bit set in `mask` is unknown, any other is as in `value`.
///
/// Well formed when `value & mask == 0`; no operation here makes anything else from well-formed operands,
/// except that [`Tnum::intersect`] of operands that contradict each other means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tnum {
    /// The known bits; zero wherever `mask` is one.
    pub value: u64,
    /// The unknown bits.
    pub mask: u64,
}

impl Tnum {
    /// Every 64-bit number (`tnum_unknown`).
    pub const UNKNOWN: Tnum = Tnum { value: 0, mask: u64::MAX };

    /// Just `value` (`tnum_const`).
    pub const fn constant(value: u64) -> Tnum {
        Tnum { value, mask: 0 }
    }

    /// The smallest set of this form that holds every number from `min` to `max` when `min <= max`: their
    /// common leading bits are known, all below are not (`tnum_range`).
    pub const fn range(min: u64, max: u64) -> Tnum {
        let mask = match (min ^ max).leading_zeros() {
            0 => return Tnum::UNKNOWN,
            common => (1 << (64 - common)) - 1,
        };
        Tnum { value: min & !mask, mask }
    }

    /// Whether exactly one number is left (`tnum_is_const`).
    pub const fn is_const(self) -> bool {
        self.mask == 0
    }

    /// Whether this is just `value` (`tnum_equals_const`).
    pub const fn equals_const(self, value: u64) -> bool {
        self.is_const() && self.value == value
    }

    /// Whether nothing at all is known (`tnum_is_unknown`).
    pub const fn is_unknown(self) -> bool {
        self.mask == u64::MAX
    }

    /// Whether `number` is in the set.
    pub const fn contains(self, number: u64) -> bool {
        number & !self.mask == self.value
    }

    /// Whether each number of `other` is in this set (`tnum_in`).
    pub const fn includes(self, other: Tnum) -> bool {
        other.mask & !self.mask == 0 && self.contains(other.value)
    }

    /// Whether no bit is known as one on one side and zero on the other (`tnum_overlap`).
    pub const fn overlaps(self, other: Tnum) -> bool {
        (self.value ^ other.value) & !(self.mask | other.mask) == 0
    }

    /// What both sets agree to; a bit on which they contradict each other becomes one (`tnum_intersect`).
    pub const fn intersect(self, other: Tnum) -> Tnum {
        let mask = self.mask & other.mask;
        Tnum { value: (self.value | other.value) & !mask, mask }
    }

    /// Whether every member is a multiple of `size`, a power of two; zero counts as no demand
    /// (`tnum_is_aligned`).
    pub const fn is_aligned(self, size: u64) -> bool {
        size == 0 || self.upper() & (size - 1) == 0
    }

    /// The largest member, unsigned.
    pub const fn upper(self) -> u64 {
        self.value | self.mask
    }

    /// The low `bytes` bytes, zeroes above (`tnum_cast`); all of it from 8 bytes on.
    pub const fn truncate(self, bytes: u32) -> Tnum {
        let keep = if bytes >= 8 { u64::MAX } else { (1 << (bytes * 8)) - 1 };
        Tnum { value: self.value & keep, mask: self.mask & keep }
    }

    /// The low 32 bits, zeroes above (`tnum_subreg`).
    pub const fn subreg(self) -> Tnum {
        self.truncate(4)
    }

    /// The high 32 bits, zeroes below (`tnum_clear_subreg`).
    pub const fn clear_subreg(self) -> Tnum {
        Tnum { value: self.value >> 32 << 32, mask: self.mask >> 32 << 32 }
    }

    /// The high 32 bits of this over the low 32 bits of `low` (`tnum_with_subreg`).
    pub fn with_subreg(self, low: Tnum) -> Tnum {
        self.clear_subreg() | low.subreg()
    }

    /// The high 32 bits of this over `low` (`tnum_const_subreg`).
    pub fn const_subreg(self, low: u32) -> Tnum {
        self.with_subreg(Tnum::constant(low.into()))
    }

    /// Whether the low 32 bits are all known (`tnum_subreg_is_const`).
    pub const fn subreg_is_const(self) -> bool {
        self.subreg().is_const()
    }

    /// The part that a comparison of `width` looks at: [`Tnum::subreg`] or all.
    pub const fn at_width(self, width: Width) -> Tnum {
        match width {
            Width::W32 => self.subreg(),
            Width::W64 => self,
        }
    }

    /// Sum, modulo 2^64 (`tnum_add`): a bit is known if operands and carry are.
    pub const fn wrapping_add(self, other: Tnum) -> Tnum {
        let low = self.value.wrapping_add(other.value);
        let high = low.wrapping_add(self.mask.wrapping_add(other.mask));
        Tnum::of_uncertain(low, (low ^ high) | self.mask | other.mask)
    }

    /// Difference, modulo 2^64 (`tnum_sub`): a bit is known if operands and borrow are.
    pub const fn wrapping_sub(self, other: Tnum) -> Tnum {
        let middle = self.value.wrapping_sub(other.value);
        let borrowed = middle.wrapping_add(self.mask) ^ middle.wrapping_sub(other.mask);
        Tnum::of_uncertain(middle, borrowed | self.mask | other.mask)
    }

    /// Product, modulo 2^64 (`tnum_mul`): the known parts multiplied, and for each bit of the multiplier that
    /// may be one, what is uncertain of its partial product.
    pub const fn wrapping_mul(self, other: Tnum) -> Tnum {
        let mut uncertain = Tnum::constant(0);
        let mut left = self.upper();
        while left != 0 {
            let bit = left.trailing_zeros();
            let partial = if self.value >> bit & 1 == 1 { other.mask } else { other.upper() };
            uncertain = uncertain.wrapping_add(Tnum { value: 0, mask: partial << bit });
            left &= left - 1;
        }
        Tnum::constant(self.value.wrapping_mul(other.value)).wrapping_add(uncertain)
    }

    /// Left shift; the count is taken modulo 64 (`tnum_lshift`).
    pub const fn shift_left(self, count: u32) -> Tnum {
        Tnum { value: self.value.wrapping_shl(count), mask: self.mask.wrapping_shl(count) }
    }

    /// Right shift with zeroes; the count is taken modulo 64 (`tnum_rshift`).
    pub const fn shift_right(self, count: u32) -> Tnum {
        Tnum { value: self.value.wrapping_shr(count), mask: self.mask.wrapping_shr(count) }
    }

    /// Right shift with copies of the top bit of `width`, be it known or not; at 32 bits the upper half of the
    /// result is zero. The count is taken modulo the width (`tnum_arshift`).
    pub const fn shift_right_arithmetic(self, count: u32, width: Width) -> Tnum {
        match width {
            Width::W32 => Tnum {
                value: (self.value as i32).wrapping_shr(count) as u32 as u64,
                mask: (self.mask as i32).wrapping_shr(count) as u32 as u64,
            },
            Width::W64 => Tnum {
                value: (self.value as i64).wrapping_shr(count) as u64,
                mask: (self.mask as i64).wrapping_shr(count) as u64,
            },
        }
    }

    /// `value` with the bits of `mask` forgotten.
    const fn of_uncertain(value: u64, mask: u64) -> Tnum {
        Tnum { value: value & !mask, mask }
    }
}

/// Known zeroes of either side are known (`tnum_and`).
impl BitAnd for Tnum {
    type Output = Tnum;

    fn bitand(self, other: Tnum) -> Tnum {
        let value = self.value & other.value;
        Tnum { value, mask: self.upper() & other.upper() & !value }
    }
}

/// Known ones of either side are known (`tnum_or`).
impl BitOr for Tnum {
    type Output = Tnum;

    fn bitor(self, other: Tnum) -> Tnum {
        let value = self.value | other.value;
        Tnum { value, mask: (self.mask | other.mask) & !value }
    }
}

/// Only bits known on both sides are known (`tnum_xor`).
impl BitXor for Tnum {
    type Output = Tnum;

    fn bitxor(self, other: Tnum) -> Tnum {
        Tnum::of_uncertain(self.value ^ other.value, self.mask | other.mask)
    }
}

/// As the kernel's log writes it (`tnum_strn` in `kernel/bpf/log.c`): a constant as a number, decimal up to
/// 65535 and hexadecimal above; anything else as `(0xVALUE; 0xMASK)`.
impl fmt::Display for Tnum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_const() {
            super::text::Unsigned(self.value).fmt(f)
        } else {
            write!(f, "({:#x}; {:#x})", self.value, self.mask)
        }
    }
}
