//! Truncation, zero extension and sign extension, for narrow loads, 32-bit arithmetic and `movsx`.
//!
//! Rules of Linux 6.12.117 `kernel/bpf/verifier.c`, each named at its function.

use super::bounds::{Bounds32, Bounds64};
use super::scalar::Scalar;
use super::tnum::Tnum;
use crate::isa::{Size, Width};
use crate::seeded::{self, Fault};

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

    /// Cut to `size` and zero-extended, as a load of that size leaves it (`coerce_reg_to_size`); of 8 bytes, the
    /// same as before.
    #[must_use]
    pub fn truncated(mut self, size: Size) -> Scalar {
        if size == Size::B8 {
            return self;
        }
        let max = unsigned_max(size);
        self.var_off = self.var_off.truncate(size.bytes());
        (self.umin, self.umax) =
            if self.umin & !max == self.umax & !max { (self.umin & max, self.umax & max) } else { (0, max) };
        (self.smin, self.smax) = (self.umin as i64, self.umax as i64);
        if size < Size::B4 {
            self.forget_bounds32();
        }
        self.synced()
    }

    /// Cut to `size` and sign-extended to 64 bits, as a sign-extending load and the 64-bit `movsx` leave it
    /// (`coerce_reg_to_size_sx`); of 8 bytes, the same as before.
    #[must_use]
    pub fn sign_extended(self, size: Size) -> Scalar {
        if size == Size::B8 {
            return self;
        }
        if seeded::active(Fault::SignExtensionByZeroes) {
            return self.truncated(size);
        }
        if self.is_const() {
            return Scalar::constant(sign_extend(size, self.var_off.value) as u64);
        }
        let ends = (sign_extend(size, self.smin as u64), sign_extend(size, self.smax as u64));
        let (min, max) = (ends.0.min(ends.1), ends.0.max(ends.1));
        let shares_upper_bits = self.smin as u64 & !unsigned_max(size) == self.smax as u64 & !unsigned_max(size);
        if !shares_upper_bits || (min < 0) != (max < 0) {
            return any_sign_extended(size);
        }
        Scalar::from_parts(
            Tnum::range(min as u64, max as u64),
            Bounds64 { smin: min, smax: max, umin: min as u64, umax: max as u64 },
            Bounds32 { smin: min as i32, smax: max as i32, umin: min as u32, umax: max as u32 },
        )
    }

    /// The low half cut to `size`, at most 4 bytes, and sign-extended to 32 bits, upper half zero: the 32-bit `movsx`
    /// (`coerce_subreg_to_size_sx`, then `zext_32_to_64` and `reg_bounds_sync` as in `check_alu_op`).
    #[must_use]
    pub fn sign_extended_low(mut self, size: Size) -> Scalar {
        if size < Size::B4 {
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
    pub fn moved_sign_extended(self, size: Size, width: Width) -> Scalar {
        match width {
            Width::W32 => self.sign_extended_low(size),
            Width::W64 => self.sign_extended(size),
        }
    }

    /// Whether sign-extending from `size` surely leaves the number as it is, so that the kernel keeps the
    /// register's identity (`check_alu_op`).
    pub const fn is_kept_by_sign_extension(&self, size: Size) -> bool {
        self.umax <= unsigned_max(size) >> 1
    }

    /// Known bits and ranges of the low half after its sign extension from `size`.
    fn sign_extend_subreg(&self, size: Size) -> (Tnum, Bounds32) {
        if self.is_const() {
            let value = sign_extend(size, self.var_off.value) as u64;
            return (Tnum::constant(value), Bounds32::constant(value as u32));
        }
        let (smin, smax) = (i64::from(self.smin32) as u64, i64::from(self.smax32) as u64);
        let ends = (sign_extend(size, smin) as i32, sign_extend(size, smax) as i32);
        let (min, max) = (ends.0.min(ends.1), ends.0.max(ends.1));
        if smin & !unsigned_max(size) != smax & !unsigned_max(size) || (min < 0) != (max < 0) {
            let (smin, smax) = signed_range(size);
            return (Tnum::UNKNOWN.subreg(), Bounds32 { smin, smax, ..Bounds32::FULL });
        }
        let bits = Tnum::range(i64::from(min) as u64, i64::from(max) as u64).subreg();
        (bits, Bounds32 { smin: min, smax: max, umin: min as u32, umax: max as u32 })
    }
}

/// Any number sign-extended from `size` (`set_sext64_default_val`).
fn any_sign_extended(size: Size) -> Scalar {
    let (smin, smax) = signed_range(size);
    Scalar::from_parts(
        Tnum::UNKNOWN,
        Bounds64 { smin: smin.into(), smax: smax.into(), ..Bounds64::FULL },
        Bounds32 { smin, smax, ..Bounds32::FULL },
    )
}

/// The largest number of `size`, unsigned.
const fn unsigned_max(size: Size) -> u64 {
    u64::MAX >> (64 - size.bits())
}

/// The smallest and the largest number of `size`, signed; of 4 bytes for anything above.
const fn signed_range(size: Size) -> (i32, i32) {
    let max = match size {
        Size::B1 => i8::MAX as i32,
        Size::B2 => i16::MAX as i32,
        Size::B4 | Size::B8 => i32::MAX,
    };
    (!max, max)
}

/// `number` cut to `size` and extended by its sign.
const fn sign_extend(size: Size, number: u64) -> i64 {
    let unused = 64 - size.bits();
    (number as i64) << unused >> unused
}
