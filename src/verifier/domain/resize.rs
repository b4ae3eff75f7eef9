//! Truncation, zero extension and sign extension, for narrow loads, 32-bit arithmetic and `movsx`.
//!
//! Rules of Linux 6.12.117 `kernel/bpf/verifier.c`, each named at its function.

use super::bounds::{Bounds32, Bounds64};
use super::ops::Width;
use super::scalar::Scalar;
use super::tnum::Tnum;

/// A size below that of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Narrow {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Half,
    /// 4 bytes.
    Word,
}

impl Narrow {
    /// The narrow size of `bytes` bytes: 1, 2 or 4; none for any other number.
    pub const fn from_bytes(bytes: u32) -> Option<Narrow> {
        match bytes {
            1 => Some(Narrow::Byte),
            2 => Some(Narrow::Half),
            4 => Some(Narrow::Word),
            _ => None,
        }
    }

    /// Size in bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Narrow::Byte => 1,
            Narrow::Half => 2,
            Narrow::Word => 4,
        }
    }

    /// Size in bits.
    pub const fn bits(self) -> u32 {
        self.bytes() * 8
    }

    /// The largest number of this size, unsigned.
    const fn umax(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The smallest and the largest number of this size, signed.
    const fn signed_range(self) -> (i32, i32) {
        let max = i32::MAX >> (32 - self.bits());
        (!max, max)
    }

    /// `number` cut to this size and extended by its sign.
    const fn sign_extend(self, number: u64) -> i64 {
        let unused = 64 - self.bits();
        (number as i64) << unused >> unused
    }
}

impl Scalar {
    /// Zeroes the upper half and takes the whole register's ranges from the low half's, without a sync
    /// (`zext_32_to_64` with `__reg_assign_32_into_64`).
    pub fn zero_extend_low(&mut self) {
        self.var_off = self.var_off.subreg();
        (self.umin, self.umax) = (self.umin32.into(), self.umax32.into());
        (self.smin, self.smax) = if self.smin32 >= 0 && self.smax32 >= 0 {
            (self.smin32.into(), self.smax32.into())
        } else {
            (0, u32::MAX.into())
        };
    }

    /// Cut to `size` and zero-extended, as a load of that size leaves it (`coerce_reg_to_size`).
    #[must_use]
    pub fn truncated(mut self, size: Narrow) -> Scalar {
        let max = size.umax();
        self.var_off = self.var_off.truncate(size.bytes());
        (self.umin, self.umax) =
            if self.umin & !max == self.umax & !max { (self.umin & max, self.umax & max) } else { (0, max) };
        (self.smin, self.smax) = (self.umin as i64, self.umax as i64);
        if size != Narrow::Word {
            self.forget_bounds32();
        }
        self.synced()
    }

    /// Cut to `size` and sign-extended to 64 bits, as a sign-extending load and the 64-bit `movsx` leave it
    /// (`coerce_reg_to_size_sx`).
    #[must_use]
    pub fn sign_extended(self, size: Narrow) -> Scalar {
        if self.is_const() {
            return Scalar::constant(size.sign_extend(self.var_off.value) as u64);
        }
        let ends = (size.sign_extend(self.smin as u64), size.sign_extend(self.smax as u64));
        let (min, max) = (ends.0.min(ends.1), ends.0.max(ends.1));
        let shares_upper_bits = self.smin as u64 & !size.umax() == self.smax as u64 & !size.umax();
        if !shares_upper_bits || (min < 0) != (max < 0) {
            return any_sign_extended(size);
        }
        Scalar::from_parts(
            Tnum::range(min as u64, max as u64),
            Bounds64 { smin: min, smax: max, umin: min as u64, umax: max as u64 },
            Bounds32 { smin: min as i32, smax: max as i32, umin: min as u32, umax: max as u32 },
        )
    }

    /// The low half cut to `size` and sign-extended to 32 bits, upper half zero: the 32-bit `movsx`
    /// (`coerce_subreg_to_size_sx`, then `zext_32_to_64` and `reg_bounds_sync` as in `check_alu_op`).
    #[must_use]
    pub fn sign_extended_low(mut self, size: Narrow) -> Scalar {
        if size != Narrow::Word {
            let (var_off, low) = self.sign_extend_subreg(size);
            self.var_off = var_off;
            self.set_w32(low);
        }
        self.moved_low()
    }

    /// The low half, upper half zero, as a 32-bit register move leaves it (`zext_32_to_64` and
    /// `reg_bounds_sync` as in `check_alu_op`).
    #[must_use]
    pub fn moved_low(mut self) -> Scalar {
        self.zero_extend_low();
        self.synced()
    }

    /// The value after `movsx` of `size` at `width`.
    #[must_use]
    pub fn moved_sign_extended(self, size: Narrow, width: Width) -> Scalar {
        match width {
            Width::W32 => self.sign_extended_low(size),
            Width::W64 => self.sign_extended(size),
        }
    }

    /// Whether sign-extending from `size` surely leaves the number as it is, so that the kernel keeps the
    /// register's identity (`check_alu_op`).
    pub const fn is_kept_by_sign_extension(&self, size: Narrow) -> bool {
        self.umax <= size.umax() >> 1
    }

    /// Known bits and ranges of the low half after its sign extension from `size`.
    fn sign_extend_subreg(&self, size: Narrow) -> (Tnum, Bounds32) {
        if self.is_const() {
            let value = size.sign_extend(self.var_off.value) as u64;
            return (Tnum::constant(value), Bounds32::constant(value as u32));
        }
        let (smin, smax) = (i64::from(self.smin32) as u64, i64::from(self.smax32) as u64);
        let ends = (size.sign_extend(smin) as i32, size.sign_extend(smax) as i32);
        let (min, max) = (ends.0.min(ends.1), ends.0.max(ends.1));
        if smin & !size.umax() != smax & !size.umax() || (min < 0) != (max < 0) {
            let (smin, smax) = size.signed_range();
            return (Tnum::UNKNOWN.subreg(), Bounds32 { smin, smax, ..Bounds32::FULL });
        }
        let bits = Tnum::range(i64::from(min) as u64, i64::from(max) as u64).subreg();
        (bits, Bounds32 { smin: min, smax: max, umin: min as u32, umax: max as u32 })
    }
}

/// Any number sign-extended from `size` (`set_sext64_default_val`).
fn any_sign_extended(size: Narrow) -> Scalar {
    let (smin, smax) = size.signed_range();
    Scalar::from_parts(
        Tnum::UNKNOWN,
        Bounds64 { smin: smin.into(), smax: smax.into(), ..Bounds64::FULL },
        Bounds32 { smin, smax, ..Bounds32::FULL },
    )
}
