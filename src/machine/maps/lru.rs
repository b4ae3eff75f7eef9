//! When an LRU map evicts (`kernel/bpf/bpf_lru_list.c`, `htab_lru_map_update_elem` in `kernel/bpf/hashtab.c`, Linux 6.12).
//! Which element goes is not modelled, so that an update which may evict one is refused.
//!
//! Each update takes a free element first, whether or not the key is there. A CPU takes it from a list of its own and fills
//! that, when it is empty, with a batch of those that are free for all; what is missing to a batch is evicted. What lies in
//! other CPUs' lists does not help: an element goes although the map is not full.

use std::collections::BTreeSet;

use crate::machine::stepper::Machine;

use super::BPF_EXIST;

/// Each CPU has its own share of the elements, and the number of entries is rounded (`BPF_F_NO_COMMON_LRU`).
pub(super) const NO_COMMON_LRU: u32 = 2;
/// Most elements of a batch (`LOCAL_FREE_TARGET`).
const LARGEST_BATCH: u32 = 128;

/// The CPUs that have taken elements of a map.
pub(super) type Takers = BTreeSet<u32>;

impl Machine {
    /// May an update by that CPU evict an element?
    pub(super) fn may_evict(&self, map: u32, flags: u64, cpu: u32) -> bool {
        let state = &self.maps[map as usize];
        // Of values of each CPU, one that must be there is overwritten.
        if !state.evicts || (state.per_cpu && flags == BPF_EXIST) {
            return false;
        }
        let (elements, all) = (state.elements.hash.len() as u64, u64::from(state.max_entries));
        let share = state.max_entries / self.cpu_count();
        let declared = self.object.maps.get(map as usize).map_or(0, |map| map.definition.flags);
        if declared & NO_COMMON_LRU != 0 {
            return elements >= share.into();
        }
        let batch = u64::from((share / 2).clamp(1, LARGEST_BATCH));
        let takers = &state.elements.takers;
        let count = takers.len() as u64 + u64::from(!takers.contains(&cpu));
        // A CPU's list never has more than a batch. One CPU alone, of whose elements none was ever free again, knows its own.
        let only_added = count == 1 && state.elements.next_element == elements;
        let has_own = only_added && !elements.is_multiple_of(batch) && elements.next_multiple_of(batch) <= all;
        elements + count * batch > all && !has_own
    }
}
