//! Tries of prefixes (`kernel/bpf/lpm_trie.c`, Linux 6.12): a key is the prefix's length in bits, then data of which
//! that many bits count.

use std::collections::BTreeMap;

use crate::machine::fault::Trap;
use crate::machine::stepper::Machine;
use crate::machine::story::{Moment, RegionId};

use super::errno;
use super::update::refuses;

/// Elements by prefix: length, and data whose other bits are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    elements: BTreeMap<(u32, Box<[u8]>), Element>,
}

#[derive(Clone, Debug)]
struct Element {
    /// The key as it was given, bits past the prefix included.
    key: Box<[u8]>,
    value: RegionId,
}

/// A key's prefix length and data; `None` if the prefix is longer than the data.
fn split(key: &[u8]) -> Option<(u32, &[u8])> {
    let (length, data) = key.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    (u64::from(length) <= data.len() as u64 * 8).then_some((length, data))
}

/// The data with only its first `length` bits.
fn prefix(length: u32, data: &[u8]) -> (u32, Box<[u8]>) {
    let mut kept: Box<[u8]> = data.into();
    for (index, byte) in kept.iter_mut().enumerate() {
        let bits = length.saturating_sub(index as u32 * 8).min(8);
        *byte &= !(0xff_u16 >> bits) as u8;
    }
    (length, kept)
}

impl Trie {
    /// The value of the longest prefix that matches a key.
    pub fn longest(&self, key: &[u8]) -> Option<RegionId> {
        let (length, data) = split(key)?;
        (0..=length).rev().find_map(|shorter| self.elements.get(&prefix(shorter, data))).map(|element| element.value)
    }

    /// Keys and values in the order of prefixes.
    pub fn elements(&self) -> impl Iterator<Item = (Vec<u8>, RegionId)> {
        self.elements.values().map(|element| (element.key.to_vec(), element.value))
    }
}

impl Machine {
    /// Why a value is not written for a prefix, as a negative error number; `None` if it is.
    pub(super) fn trie_refuses(&self, map: u32, key: &[u8], flags: u64) -> Option<i64> {
        let Some((length, data)) = split(key) else { return Some(errno::EINVAL) };
        let state = &self.maps[map as usize];
        let elements = &state.elements.trie.elements;
        let is_there = elements.contains_key(&prefix(length, data));
        let is_full = elements.len() >= state.max_entries as usize;
        refuses(is_there, flags).or_else(|| (!is_there && is_full).then_some(errno::ENOSPC))
    }

    /// Writes a value for a prefix.
    pub(super) fn trie_insert(&mut self, map: u32, key: &[u8], value: &[u8], at: Moment) -> Result<(), Box<Trap>> {
        let Some((length, data)) = split(key) else { return Ok(()) };
        let place = prefix(length, data);
        let region = self.new_value(map, Some(at))?;
        self.memory.poke(region, 0, value);
        let element = Element { key: key.into(), value: region };
        if let Some(old) = self.maps[map as usize].elements.trie.elements.insert(place, element) {
            self.retire_element(map, old.value, at)?;
        }
        Ok(())
    }

    /// Deletes a prefix; the result is zero or a negative error number.
    pub(super) fn trie_delete(&mut self, map: u32, key: &[u8], at: Moment) -> Result<i64, Box<Trap>> {
        let Some((length, data)) = split(key) else { return Ok(errno::EINVAL) };
        match self.maps[map as usize].elements.trie.elements.remove(&prefix(length, data)) {
            Some(old) => self.retire_element(map, old.value, at).map(|()| 0),
            None => Ok(errno::ENOENT),
        }
    }
}
