//! Existing objects with a few bytes changed, which no well-meaning writer makes.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Just, Rng, any, prop_oneof};
use proptest::sample::Index;
use proptest::strategy::Strategy;
use proptest::test_runner::TestRng;

/// Objects that differ from `original` in one to `most` bytes. They shrink to fewer changes.
pub fn changed_bytes(original: Arc<[u8]>, most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![1 => Just(0u8), 1 => Just(0xff), 2 => any::<u8>()];
    vec((any::<Index>(), byte), 1..=most.max(1)).prop_map(move |changes| {
        let mut bytes = original.to_vec();
        for (index, byte) in changes {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

/// Changes one to `most` bytes, half of them to all zeros or all ones. For runs without `proptest`'s runner.
pub fn change_bytes(bytes: &mut [u8], most: u32, rng: &mut TestRng) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..1 + rng.next_u32() % most.max(1) {
        let at = rng.next_u32() as usize % bytes.len();
        bytes[at] = match rng.next_u32() % 4 {
            0 => 0,
            1 => 0xff,
            _ => rng.next_u32() as u8,
        };
    }
}
