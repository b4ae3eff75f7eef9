//! What can be seen of a machine when a run is over: the maps that a scenario asks for, as bytes.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::machine::{Machine, MapFamily, MapState, RegionId};
use crate::scenario::{MapContents, MapEntry, Observation};

/// Elements of an array past which it is not listed whole: only those that were used are.
const WHOLE: u32 = 4096;

fn is_listed_whole(state: &MapState) -> bool {
    state.family == MapFamily::Array && state.max_entries() <= WHOLE
}

/// The contents of the maps of these indices.
#[must_use]
pub fn observe(machine: &Machine, maps: &BTreeSet<usize>) -> Observation {
    let maps = maps.iter().map(|&map| MapContents { map, entries: entries(machine, map) }).collect();
    Observation { maps, kernel_pointers: true, ..Observation::default() }
}

/// A digest of the contents of the maps of these indices: what is observed of two machines with the same digest is the same. Takes no
/// memory where all maps are arrays.
#[must_use]
pub fn digest(machine: &Machine, maps: &BTreeSet<usize>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for &map in maps {
        map.hash(&mut hasher);
        let Some(state) = machine.maps().get(map) else { continue };
        if is_listed_whole(state) {
            let copies = if state.per_cpu { machine.cpu_count() } else { 1 };
            for index in 0..state.max_entries() {
                let Some(first) = state.array_element(index) else { continue };
                index.hash(&mut hasher);
                for copy in 0..copies {
                    machine.memory().peek(RegionId(first.0 + copy)).hash(&mut hasher);
                }
            }
            continue;
        }
        for entry in entries(machine, map) {
            (&entry.key, &entry.values).hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn entries(machine: &Machine, map: usize) -> Vec<MapEntry> {
    let Some(state) = machine.maps().get(map) else { return Vec::new() };
    let copies = if state.per_cpu { machine.cpu_count() } else { 1 };
    let values = |first: RegionId| {
        (first.0..first.0 + copies).map(|region| machine.memory().peek(RegionId(region)).to_vec()).collect()
    };
    let used = state.elements();
    if !is_listed_whole(state) {
        return used.into_iter().map(|(key, first)| MapEntry { key, values: values(first) }).collect();
    }
    let mut used = used.into_iter().peekable();
    let unused = || vec![vec![0; state.value_size() as usize]; copies as usize];
    (0..state.max_entries())
        .map(|index| {
            let key = index.to_le_bytes().to_vec();
            let values = used.next_if(|(found, _)| *found == key).map_or_else(unused, |(_, first)| values(first));
            MapEntry { key, values }
        })
        .collect()
}
