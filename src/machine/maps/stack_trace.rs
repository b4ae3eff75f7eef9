//! Maps of stack traces: a trace is found by its hash, which is its number (`kernel/bpf/stackmap.c`, Linux 6.12).

use std::collections::BTreeMap;

use crate::machine::fault::Trap;
use crate::machine::stepper::Machine;

use super::{MapFamily, errno};

/// Traces are those of pages of files (`BPF_F_STACK_BUILD_ID`).
const BUILD_ID: u32 = 1 << 5;
/// Traces with one hash are the same (`BPF_F_FAST_STACK_CMP`).
const FAST_COMPARE: u64 = 1 << 9;
/// A trace takes the place of another one with its number (`BPF_F_REUSE_STACKID`).
const REUSE: u64 = 1 << 10;

/// Traces by their number.
#[derive(Clone, Debug, Default)]
pub(super) struct Traces {
    all: BTreeMap<u32, Trace>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trace {
    hash: u32,
    addresses: Box<[u64]>,
}

/// Bob Jenkins's hash of 32-bit words (`jhash2` with 0 to begin with, `include/linux/jhash.h`).
fn hash(addresses: &[u64]) -> u32 {
    let words: Vec<u32> = addresses.iter().flat_map(|&one| [one as u32, (one >> 32) as u32]).collect();
    let first = 0xdead_beef_u32.wrapping_add((words.len() as u32) << 2);
    let mut state = [first; 3];
    let mut left = &words[..];
    while left.len() > 3 {
        for (sum, word) in state.iter_mut().zip(left) {
            *sum = sum.wrapping_add(*word);
        }
        mix(&mut state);
        left = &left[3..];
    }
    if !left.is_empty() {
        for (sum, word) in state.iter_mut().zip(left) {
            *sum = sum.wrapping_add(*word);
        }
        finish(&mut state);
    }
    state[2]
}

fn mix(state: &mut [u32; 3]) {
    // Which word is changed by which, and how far that one is turned.
    for (step, turn) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
        let (changed, by, sum) = (step % 3, (step + 2) % 3, (step + 1) % 3);
        state[changed] = state[changed].wrapping_sub(state[by]) ^ state[by].rotate_left(turn);
        state[by] = state[by].wrapping_add(state[sum]);
    }
}

fn finish(state: &mut [u32; 3]) {
    for (step, turn) in [14, 11, 25, 16, 4, 14, 24].into_iter().enumerate() {
        let (changed, by) = ((step + 2) % 3, (step + 1) % 3);
        state[changed] = (state[changed] ^ state[by]).wrapping_sub(state[by].rotate_left(turn));
    }
}

impl Machine {
    /// Puts a trace in and returns its number or a negative error number (`bpf_get_stackid`). It has at least one address.
    ///
    /// # Errors
    /// A map that is none of stack traces, or one of build ids.
    pub(in crate::machine) fn trace_number(
        &mut self,
        map: u32,
        addresses: &[u64],
        flags: u64,
    ) -> Result<i64, Box<Trap>> {
        let definition = self.object.maps.get(map as usize).map(|map| map.definition.flags);
        let state = &mut self.maps[map as usize];
        if state.family != MapFamily::StackTraces || definition.unwrap_or(0) & BUILD_ID != 0 {
            return Err(state.unsupported("traces with build ids"));
        }
        let hash = hash(addresses);
        let number = hash & (state.max_entries.max(1).next_power_of_two() - 1);
        let traces = &mut state.elements.traces.all;
        if let Some(old) = traces.get(&number) {
            let alike = old.hash == hash && (flags & FAST_COMPARE != 0 || *old.addresses == *addresses);
            if alike {
                return Ok(number.into());
            }
            if flags & REUSE == 0 {
                return Ok(errno::EEXIST);
            }
        }
        // The new one is there before the old one's place is free.
        if traces.len() >= state.max_entries as usize {
            return Ok(errno::ENOMEM);
        }
        traces.insert(number, Trace { hash, addresses: addresses.into() });
        Ok(number.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel's header computes them.
    #[test]
    fn hashes_are_those_of_jhash2() {
        let addresses = [0xffff_ffff_c000_0702, 0xffff_ffff_81ab_57fe, 0xffff_ffff_81ab_746b, 0xffff_ffff_8128_e63d, 7];
        let expected = [0x7952_4086, 0x8a45_1ada, 0x242f_8e5f, 0x3f38_af50, 0x2603_98b7];
        for (count, expected) in (1..).zip(expected) {
            assert_eq!(hash(&addresses[..count]), expected, "{count} addresses");
        }
    }
}
