//! Random numbers that are the same everywhere: splitmix64 (Steele, Lea, Flood 2014).

use super::causality::mix;

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The source number `stream` of a seed; sources of other numbers have nothing in common with it.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Random {
        Random(
            mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15))
                ^ mix(stream.wrapping_mul(0xd605_bbb5_8c8a_bc03).wrapping_add(1)),
        )
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The error is below 2^-32 for any number of choices that there can be.
        ((u128::from(self.word()) * end as u128) >> 64) as usize
    }
}
