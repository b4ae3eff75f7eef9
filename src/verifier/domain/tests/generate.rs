//! A fixed sequence of scalars, the same on every machine and in every version, and a digest of answers.

use crate::verifier::domain::{Scalar, Tnum};

/// Pairs of scalars, each around some number; the second is often a small constant.
pub struct Pairs(u64);

impl Pairs {
    /// The sequence that starts at `seed`.
    pub fn new(seed: u64) -> Pairs {
        Pairs(seed)
    }

    /// The next number of SplitMix64.
    fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next_number() % limit
    }

    /// A number near a power of two or its negative, or one of any magnitude.
    fn interesting(&mut self) -> u64 {
        let shift = self.below(64);
        match self.below(4) {
            0 => (1_u64 << shift).wrapping_add(self.below(7)).wrapping_sub(3),
            1 => (1_u64 << shift).wrapping_neg().wrapping_add(self.below(7)).wrapping_sub(3),
            2 => self.next_number() >> shift,
            _ => (self.next_number() as i64 >> shift) as u64,
        }
    }

    /// How far a range reaches to one side: not limited in half of all cases.
    fn reach(&mut self) -> u64 {
        if self.below(2) == 0 { u64::MAX } else { self.interesting() >> 1 }
    }

    /// A scalar around some number, synced in most cases.
    fn scalar(&mut self) -> Scalar {
        let member = self.interesting();
        let (signed, low, low_signed) = (member as i64, member as u32, member as i32);
        let mask = match self.below(3) {
            0 => u64::MAX,
            1 => self.interesting(),
            _ => self.next_number() & self.next_number(),
        };
        let mut scalar = Scalar {
            var_off: Tnum { value: member & !mask, mask },
            umin: member.saturating_sub(self.reach()),
            umax: member.saturating_add(self.reach()),
            smin: signed.saturating_sub_unsigned(self.reach()),
            smax: signed.saturating_add_unsigned(self.reach()),
            umin32: low.saturating_sub(self.reach() as u32),
            umax32: low.saturating_add(self.reach() as u32),
            smin32: low_signed.saturating_sub_unsigned(self.reach() as u32),
            smax32: low_signed.saturating_add_unsigned(self.reach() as u32),
        };
        match self.below(8) {
            0 => Scalar::constant(member),
            1 | 2 => scalar,
            _ => {
                scalar.sync();
                scalar
            }
        }
    }
}

impl Iterator for Pairs {
    type Item = (Scalar, Scalar);

    fn next(&mut self) -> Option<(Scalar, Scalar)> {
        let first = self.scalar();
        let second = match self.below(4) {
            0 => Scalar::constant(self.below(70)),
            _ => self.scalar(),
        };
        Some((first, second))
    }
}

/// FNV-1a, fed by words.
pub struct Digest(pub u64);

impl Digest {
    /// The digest of nothing.
    pub fn new() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a word.
    pub fn word(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds every part of a scalar.
    pub fn scalar(&mut self, scalar: &Scalar) {
        let signed = [scalar.smin, scalar.smax, scalar.smin32.into(), scalar.smax32.into()];
        let unsigned = [scalar.umin, scalar.umax, scalar.umin32.into(), scalar.umax32.into()];
        [scalar.var_off.value, scalar.var_off.mask].into_iter().for_each(|word| self.word(word));
        signed.into_iter().for_each(|word| self.word(word as u64));
        unsigned.into_iter().for_each(|word| self.word(word));
    }
}
