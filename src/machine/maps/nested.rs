//! Maps of maps and program arrays: what their declarations put into them. Programs cannot change them.

use std::collections::BTreeMap;

use crate::machine::stepper::Machine;
use crate::object::Map;

/// The maps that a declaration puts into an array or hash of maps, by key.
pub(super) fn initial_maps(map: &Map) -> BTreeMap<Box<[u8]>, u32> {
    let key = |slot: u32| {
        // libbpf uses the slot as the key, however long that is.
        let mut key = vec![0; map.definition.key_size as usize];
        for (to, from) in key.iter_mut().zip(slot.to_le_bytes()) {
            *to = from;
        }
        key.into_boxed_slice()
    };
    map.initial_maps.iter().map(|&(slot, inner)| (key(slot), inner)).collect()
}

impl Machine {
    /// The program in a slot of a program array: its place among the object's programs.
    pub(in crate::machine) fn program_in(&self, map: u32, slot: u32) -> Option<u32> {
        let state = &self.maps[map as usize];
        if slot < state.max_entries { state.programs.get(&slot).copied() } else { None }
    }
}
