//! What a run left behind, as a flat list of places and bytes that is small enough to keep.
//!
//! Bytes that are zero at the end are cut off; what is longer than [`MAX_BYTES`] is kept as its SHA-256. A place whose
//! bytes are all zero is not listed where zero is what was there before: in arrays, globals and contexts. Start at
//! [`places_of`].

use std::collections::{BTreeMap, BTreeSet};

use kptrsim::crosscheck::protocol::{MapDump, TestRunResult, from_hex, to_hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of one place that are kept as they are.
const MAX_BYTES: usize = 64;
/// Bytes that are left out together when one of them differs between two runs of the kernel: an address or a time is a word.
const WORD: usize = 8;

/// Bytes by place: a variable, an entry of a map (and of which CPU), `data_out`, `ctx_out`.
pub type Places = BTreeMap<String, Vec<u8>>;

/// What a run left, and what could not be read of it.
#[derive(Debug, Default)]
pub struct Left {
    /// Bytes by place.
    pub places: Places,
    /// Maps that could not be read or listed whole: nothing is known of what is not in `places`.
    pub partial: BTreeSet<String>,
    /// Maps in which an entry that is not listed is zero.
    pub arrays: BTreeSet<String>,
}

/// Everything that a run left behind, but for maps that no program may write.
pub fn places_of(result: &TestRunResult) -> Left {
    let mut left = Left::default();
    for step in &result.steps {
        for (name, digits) in [("data_out", &step.data_out), ("ctx_out", &step.ctx_out)] {
            if let Some(bytes) = digits.as_deref().and_then(from_hex) {
                left.places.insert(name.to_owned(), bytes);
            }
        }
    }
    for map in &result.maps {
        if !map.name.starts_with(".rodata") && map.name != ".kconfig" {
            map_places(map, &mut left);
        }
    }
    left
}

fn map_places(map: &MapDump, left: &mut Left) {
    if map.error.is_some() || map.truncated {
        left.partial.insert(map.name.clone());
    }
    let zero_from_the_start = map.map_type.ends_with("array");
    if zero_from_the_start {
        left.arrays.insert(map.name.clone());
    }
    for entry in &map.entries {
        for (cpu, value) in entry.values.iter().enumerate() {
            let Some(bytes) = from_hex(value) else { continue };
            let is_zero = bytes.iter().all(|&byte| byte == 0);
            if is_zero && zero_from_the_start {
                continue;
            }
            if map.variables.is_empty() {
                let cpu = if entry.values.len() > 1 { format!("@{cpu}") } else { String::new() };
                left.places.insert(format!("{}[{}]{cpu}", map.name, entry.key), bytes);
                continue;
            }
            for variable in &map.variables {
                let (start, size) = (variable.offset as usize, variable.size as usize);
                let Some(part) = bytes.get(start..start.saturating_add(size)) else { continue };
                if part.iter().any(|&byte| byte != 0) {
                    left.places.insert(format!("{} {}", map.name, variable.name), part.to_vec());
                }
            }
        }
    }
}

/// What is kept of the kernel's two runs: the bytes that were equal, and where they were not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Hexadecimal digits without the zeros at the end, or `sha256:` and the digest; words that differ count as zero.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, String>,
    /// Places of which words differ between the runs: the offsets of those words, in bytes. Empty: the place was not there
    /// each time, or not of the same size.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub varying: BTreeMap<String, Vec<usize>>,
    /// Maps that could not be read whole.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub partial: BTreeSet<String>,
}

impl Kept {
    /// What two runs have in common.
    pub fn of(first: &Left, second: &Left) -> Kept {
        let mut kept = Kept::default();
        let names: BTreeSet<&String> = first.places.keys().chain(second.places.keys()).collect();
        for name in names {
            let empty = Vec::new();
            let (one, two) = (first.places.get(name), second.places.get(name));
            // A variable or element that is zero is not listed.
            let map = name.split_once('[').map(|(map, _)| map);
            let zero_is_absent = one.is_none() != two.is_none() && map.is_none_or(|map| first.arrays.contains(map));
            match (one, two) {
                (Some(one), Some(two)) if one == two => {
                    kept.places.insert(name.clone(), short(one, &[]));
                }
                (Some(one), Some(two)) if one.len() == two.len() => {
                    let words = differing_words(one, two);
                    kept.places.insert(name.clone(), short(one, &words));
                    kept.varying.insert(name.clone(), words);
                }
                (one, two) if zero_is_absent => {
                    let bytes = one.or(two).unwrap_or(&empty);
                    let words = differing_words(bytes, &vec![0; bytes.len()]);
                    kept.places.insert(name.clone(), short(bytes, &words));
                    kept.varying.insert(name.clone(), words);
                }
                _ => {
                    kept.varying.insert(name.clone(), Vec::new());
                }
            }
        }
        kept.partial = first.partial.union(&second.partial).cloned().collect();
        kept
    }

    /// Where our run's bytes differ: the place, ours, the kernel's.
    pub fn differences(&self, ours: &Left) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        let mut names: BTreeSet<&String> = self.places.keys().collect();
        names.extend(ours.places.keys());
        for name in names {
            let varying = self.varying.get(name);
            let map = name.split_once('[').map(|(map, _)| map);
            let unknown = map.is_some_and(|map| {
                let partial = self.partial.contains(map) || ours.partial.contains(map);
                let keys_vary = self.varying.iter().any(|(other, words)| {
                    words.is_empty() && other.strip_prefix(map).is_some_and(|rest| rest.starts_with('['))
                });
                (partial || keys_vary) && !(self.places.contains_key(name) && ours.places.contains_key(name))
            });
            if varying.is_some_and(Vec::is_empty) || unknown {
                continue;
            }
            let own = ours.places.get(name).map(|bytes| short(bytes, varying.map_or(&[][..], Vec::as_slice)));
            let theirs = self.places.get(name);
            let absent = if map.is_some_and(|map| !ours.arrays.contains(map)) { "no entry" } else { "" };
            let (own, theirs) = (own.as_deref().unwrap_or(absent), theirs.map_or(absent, String::as_str));
            if own != theirs {
                found.push((name.clone(), own.to_owned(), theirs.to_owned()));
            }
        }
        found
    }
}

/// Offsets of the words in which two values of one size differ.
fn differing_words(one: &[u8], two: &[u8]) -> Vec<usize> {
    let pairs = one.chunks(WORD).zip(two.chunks(WORD)).enumerate();
    pairs.filter(|(_, (one, two))| one != two).map(|(index, _)| index * WORD).collect()
}

/// The short form of bytes, with those words left out.
fn short(bytes: &[u8], without: &[usize]) -> String {
    let mut bytes = bytes.to_vec();
    for &word in without {
        let end = bytes.len().min(word + WORD);
        if let Some(part) = bytes.get_mut(word..end) {
            part.fill(0);
        }
    }
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    if used <= MAX_BYTES { to_hex(&bytes) } else { format!("sha256:{}", to_hex(&Sha256::digest(&bytes)[..16])) }
}
