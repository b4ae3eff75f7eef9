//! Random choices.

use proptest::prelude::Rng;
use proptest::test_runner::TestRng;

use crate::soundness::program::Pick;

/// Draws from a source of random numbers.
pub(super) struct Draw<'a> {
    rng: &'a mut TestRng,
}

impl<'a> Draw<'a> {
    pub(super) fn new(rng: &'a mut TestRng) -> Self {
        Draw { rng }
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.rng.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// True so many times in a hundred.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of them, which must not be none.
    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize]
    }

    pub(super) fn pick(&mut self) -> Pick {
        Pick(self.rng.next_u32() as u8)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number as programs have them: small, at an edge of a width, a mask, or anything.
    pub(super) fn number(&mut self) -> i64 {
        let shift = self.below(64);
        match self.below(8) {
            0..=2 => i64::from(self.below(17)) - 4,
            3 => i64::from(self.below(256)),
            4 => (1i64 << shift).wrapping_sub(i64::from(self.below(3))),
            5 => {
                self.one(&[i64::MAX, i64::MIN, -1, i64::from(i32::MIN), i64::from(i32::MAX), 0xffff_ffff, 0xff, 0xffff])
            }
            6 => !(1i64 << shift),
            _ => self.bits() as i64 >> shift,
        }
    }

    /// One that fits 32 bits.
    pub(super) fn small_number(&mut self) -> i32 {
        self.number() as i32
    }
}
