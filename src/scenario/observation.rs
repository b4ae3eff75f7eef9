//! What is left after a run: return values and maps, as bytes, whoever ran it.
//!
//! The simulated machine fills an [`Observation`], and so does a real kernel's answer; expressions read nothing else.

/// What a run left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// What the programs of the tasks returned; see [`super::Scenario::return_count`] for the order.
    pub returns: Vec<i32>,
    /// What the programs of `last` returned, repeats one by one.
    pub last: Vec<i32>,
    /// Maps by their index in the object; only those that are asked for need be there.
    pub maps: Vec<MapContents>,
    /// Are the bytes of kptr fields real? A system call reads them as zero.
    pub kernel_pointers: bool,
}

/// The contents of one map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapContents {
    /// Index into [`crate::object::Object::maps`].
    pub map: usize,
    /// All entries; an array's in ascending order of the index.
    pub entries: Vec<MapEntry>,
}

/// One entry of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapEntry {
    /// The key's bytes; empty for local storage, which has an owner and no key.
    pub key: Vec<u8>,
    /// The value's bytes; one for each CPU in a per-CPU map.
    pub values: Vec<Vec<u8>>,
}
