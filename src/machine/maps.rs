//! Maps: where their values are, and what lookup, update and delete do.
//!
//! A value is a region of its own, made when it is first needed, so that an access past one element is out of bounds
//! and not in the next one. Per-CPU maps have one region a CPU. Results and error numbers follow
//! `kernel/bpf/arraymap.c`, `hashtab.c` and `bpf_local_storage.c`, Linux 6.12.
//!
//! LRU maps behave as plain ones as long as they evict nothing ([`lru`]).
//! Maps of sockets and devices are empty: nothing here could be put into one.

mod handle;
mod lru;
mod nested;
mod queue;
mod reuse;
mod ring;
mod stack_trace;
mod trie;
mod update;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::btf::fields::SpecialFields;
use crate::object::Map;

use super::fault::{FaultKind, Trap};
use super::memory::Contents;
use super::rcu::GracePeriod;
use super::region::RegionKind;
use super::restore::Tracked;
use super::stepper::Machine;
use super::story::{Moment, RegionId};

pub(super) use reuse::Origin;
pub use ring::Record;
pub(super) use update::Update;

/// Error numbers that maps and kfuncs return, negative.
pub(super) mod errno {
    pub const EPERM: i64 = -1;
    pub const ENOENT: i64 = -2;
    pub const E2BIG: i64 = -7;
    pub const EAGAIN: i64 = -11;
    pub const ENAMETOOLONG: i64 = -36;
    pub const ENOMEM: i64 = -12;
    pub const EACCES: i64 = -13;
    pub const EFAULT: i64 = -14;
    pub const EBUSY: i64 = -16;
    pub const EEXIST: i64 = -17;
    pub const ENODEV: i64 = -19;
    pub const EINVAL: i64 = -22;
    pub const ENOSPC: i64 = -28;
    pub const ERANGE: i64 = -34;
    pub const EDEADLK: i64 = -35;
    pub const EOPNOTSUPP: i64 = -95;
    pub const EAFNOSUPPORT: i64 = -97;
    pub const EALREADY: i64 = -114;
    pub const ENOTSUPP: i64 = -524;
}

/// Update only if the key is new.
const BPF_NOEXIST: u64 = 1;
/// Update only if the key is there.
const BPF_EXIST: u64 = 2;
/// Update under the value's spin lock.
const BPF_F_LOCK: u64 = 4;
/// Elements of a hash are allocated when they are needed.
const BPF_F_NO_PREALLOC: u32 = 1;
/// Programs may not write to the map.
const BPF_F_RDONLY_PROG: u32 = 1 << 7;

/// The families of map types that are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapFamily {
    /// `BPF_MAP_TYPE_ARRAY` and per-CPU; globals are such an array with one value.
    Array,
    /// `BPF_MAP_TYPE_HASH`, LRU and per-CPU.
    Hash,
    /// `BPF_MAP_TYPE_LPM_TRIE`.
    Trie,
    /// `BPF_MAP_TYPE_QUEUE`.
    Queue,
    /// `BPF_MAP_TYPE_STACK`.
    Stack,
    /// `BPF_MAP_TYPE_BLOOM_FILTER`.
    Bloom,
    /// An array or hash of maps.
    Maps,
    /// `BPF_MAP_TYPE_PROG_ARRAY`.
    Programs,
    /// `BPF_MAP_TYPE_RINGBUF`.
    Ring,
    /// `BPF_MAP_TYPE_USER_RINGBUF`: user space never puts anything into it.
    UserRing,
    /// `BPF_MAP_TYPE_ARENA`.
    Arena,
    /// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`: no event is ever open.
    PerfEvents,
    /// Storage attached to a task, cgroup, socket or inode.
    LocalStorage,
    /// Storage of a cgroup and attachment, also per CPU: a test run has its own.
    CgroupStorage,
    /// Sockets, by index: empty.
    Sockets,
    /// Sockets, by key: empty.
    SocketHash,
    /// `BPF_MAP_TYPE_STACK_TRACE`.
    StackTraces,
    /// Devices, CPUs or XDP sockets: empty.
    Devices,
    /// Not modelled.
    Other,
}

impl MapFamily {
    /// Are the map's values memory that programs reach, listed by [`MapState::elements`]?
    #[must_use]
    pub fn has_values(self) -> bool {
        matches!(self, MapFamily::Array | MapFamily::Hash | MapFamily::Trie | MapFamily::LocalStorage)
    }
}

/// What a map type number stands for: its family, whether it has a copy a CPU, and whether it evicts.
fn family(map_type: u32) -> (MapFamily, bool, bool) {
    match map_type {
        1 => (MapFamily::Hash, false, false),
        2 => (MapFamily::Array, false, false),
        3 => (MapFamily::Programs, false, false),
        4 => (MapFamily::PerfEvents, false, false),
        5 => (MapFamily::Hash, true, false),
        6 => (MapFamily::Array, true, false),
        7 => (MapFamily::StackTraces, false, false),
        9 => (MapFamily::Hash, false, true),
        10 => (MapFamily::Hash, true, true),
        11 => (MapFamily::Trie, false, false),
        12 | 13 => (MapFamily::Maps, false, false),
        14 | 16 | 17 | 25 => (MapFamily::Devices, false, false),
        15 => (MapFamily::Sockets, false, false),
        18 => (MapFamily::SocketHash, false, false),
        19 => (MapFamily::CgroupStorage, false, false),
        21 => (MapFamily::CgroupStorage, true, false),
        22 => (MapFamily::Queue, false, false),
        23 => (MapFamily::Stack, false, false),
        24 | 28 | 29 | 32 => (MapFamily::LocalStorage, false, false),
        27 => (MapFamily::Ring, false, false),
        30 => (MapFamily::Bloom, false, false),
        31 => (MapFamily::UserRing, false, false),
        33 => (MapFamily::Arena, false, false),
        _ => (MapFamily::Other, false, false),
    }
}

/// A map while programs run.
#[derive(Clone, Debug)]
pub struct MapState {
    /// Its name.
    pub name: String,
    /// `BPF_MAP_TYPE_*` number.
    pub map_type: u32,
    /// Its family.
    pub family: MapFamily,
    /// Is there one copy of each value a CPU?
    pub per_cpu: bool,
    evicts: bool,
    /// Does a hash have all its elements from the start?
    preallocated: bool,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    read_only: bool,
    /// The region that the map's own address names.
    pub(super) handle: RegionId,
    /// Special fields of the value: updates leave them alone.
    pub(super) specials: SpecialFields,
    /// Maps that an array or hash of maps holds, by key.
    maps: BTreeMap<Box<[u8]>, u32>,
    /// Programs of a program array: index, and place among the object's programs.
    programs: BTreeMap<u32, u32>,
    /// What changes while programs run.
    pub(super) elements: Tracked<Elements>,
}

/// A map's elements.
#[derive(Clone, Debug, Default)]
pub(super) struct Elements {
    array: FxHashMap<u32, RegionId>,
    hash: BTreeMap<Box<[u8]>, RegionId>,
    storage: BTreeMap<RegionId, RegionId>,
    /// Elements of a queue or stack, oldest first, and values that a bloom filter has seen.
    queue: queue::Queue,
    /// Elements of a trie, by their prefix.
    trie: trie::Trie,
    /// Records of a ring buffer.
    ring: ring::Ring,
    /// Stack traces.
    traces: stack_trace::Traces,
    /// Elements of a hash that are free.
    free: reuse::FreeElements,
    /// CPUs that have taken elements of an LRU map.
    takers: lru::Takers,
    next_element: u64,
}

impl MapState {
    /// A map without elements.
    pub(super) fn new(map: &Map, handle: RegionId, specials: SpecialFields) -> MapState {
        let definition = &map.definition;
        let (family, per_cpu, evicts) = family(definition.map_type);
        MapState {
            name: map.name.clone(),
            map_type: definition.map_type,
            family,
            per_cpu,
            evicts,
            preallocated: definition.flags & BPF_F_NO_PREALLOC == 0,
            key_size: definition.key_size,
            value_size: definition.value_size,
            max_entries: definition.max_entries,
            read_only: definition.flags & BPF_F_RDONLY_PROG != 0
                || map.globals.as_ref().is_some_and(|globals| globals.read_only),
            handle,
            specials,
            maps: nested::initial_maps(map),
            programs: map.initial_programs.iter().copied().collect(),
            elements: Tracked::default(),
        }
    }

    /// Elements that exist, by key and in the order of keys, with the region of the (first CPU's) value. An array's
    /// elements exist once they were looked up; the others are zero. For local storage the key is empty. Queues, maps of
    /// maps and the like, whose elements are not in regions, have none.
    #[must_use]
    pub fn elements(&self) -> Vec<(Vec<u8>, RegionId)> {
        let mut array: Vec<_> = self.elements.array.iter().map(|(&index, &region)| (index, region)).collect();
        array.sort_unstable();
        let array = array.into_iter().map(|(index, region)| (index.to_le_bytes().to_vec(), region));
        let elements = &self.elements;
        let hash = elements.hash.iter().map(|(key, &region)| (key.to_vec(), region));
        let storage = elements.storage.values().map(|&region| (Vec::new(), region));
        array.chain(hash).chain(elements.trie.elements()).chain(storage).collect()
    }

    /// The region of the (first CPU's) value of an array's element; `None` before it was looked up.
    #[must_use]
    pub fn array_element(&self, index: u32) -> Option<RegionId> {
        self.elements.array.get(&index).copied()
    }

    /// Values of a queue or stack, the one that is taken first in front, or a ring buffer's records, oldest first, without
    /// those that were discarded. None for other maps.
    #[must_use]
    pub fn values_without_keys(&self) -> Vec<Vec<u8>> {
        match self.family {
            MapFamily::Ring => self.consumable().map(|record| record.bytes.to_vec()).collect(),
            MapFamily::Queue => self.elements.queue.values().map(<[u8]>::to_vec).collect(),
            MapFamily::Stack => self.elements.queue.values().rev().map(<[u8]>::to_vec).collect(),
            _ => Vec::new(),
        }
    }

    /// All that is in the map, as a text that differs where it does.
    pub(super) fn contents(&self) -> String {
        let elements = &self.elements;
        let rest = (&elements.queue, &elements.ring, &elements.traces, &elements.free, &elements.takers);
        format!("{:?} {rest:?}", self.elements())
    }

    /// The (first CPU's) value for a key of an array or hash, if it exists already.
    pub(super) fn find(&self, key: &[u8]) -> Option<RegionId> {
        match self.family {
            MapFamily::Array => self.elements.array.get(&index_of(key)).copied(),
            _ => self.elements.hash.get(key).copied(),
        }
    }

    /// Puts the object's first program into the free places of a program array.
    pub(super) fn fill_programs(&mut self, most: u32) {
        for index in 0..self.max_entries.min(most) {
            self.programs.entry(index).or_insert(0);
        }
    }

    /// Puts an element into a hash.
    pub(super) fn insert(&mut self, key: Vec<u8>, value: RegionId) {
        self.elements.hash.insert(key.into(), value);
    }

    /// Size of a key in bytes.
    #[must_use]
    pub fn key_size(&self) -> u32 {
        self.key_size
    }

    /// Size of a value in bytes.
    #[must_use]
    pub fn value_size(&self) -> u32 {
        self.value_size
    }

    /// Most elements that it can hold.
    #[must_use]
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Could a few more elements fill the map?
    pub(super) fn is_nearly_full(&self) -> bool {
        const MARGIN: usize = 64;
        self.elements.hash.len() + MARGIN > self.max_entries as usize
    }

    fn unsupported(&self, what: &str) -> Box<Trap> {
        Trap::unsupported(format!("{what} on map {} of type {}", self.name, self.map_type))
    }
}

fn index_of(key: &[u8]) -> u32 {
    key.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
}

impl Machine {
    /// The map whose address it is.
    ///
    /// # Errors
    /// A fault if the address is no map's.
    pub(super) fn map_at(&self, callee: &'static str, address: u64) -> Result<u32, Box<Trap>> {
        match self.memory.at(address) {
            Some(spot) if spot.offset == 0 => match self.memory.region(spot.region).kind {
                RegionKind::Map { map } => Ok(map),
                _ => Err(Trap::argument(callee, "the first argument is no map")),
            },
            _ => Err(Trap::argument(callee, "the first argument is no map")),
        }
    }

    pub(super) fn new_value(&mut self, map: u32, at: Option<Moment>) -> Result<RegionId, Box<Trap>> {
        let cpus = self.cpu_count();
        let state = &mut self.maps[map as usize];
        let element = state.elements.next_element;
        state.elements.next_element += 1;
        self.new_value_of(map, element, at, cpus)
    }

    fn new_value_of(&mut self, map: u32, element: u64, at: Option<Moment>, cpus: u32) -> Result<RegionId, Box<Trap>> {
        let state = &self.maps[map as usize];
        let (size, per_cpu, read_only) = (state.value_size, state.per_cpu, state.read_only);
        let mut first = None;
        for cpu in 0..if per_cpu { cpus } else { 1 } {
            let kind = RegionKind::MapValue { map, element, cpu: per_cpu.then_some(cpu) };
            let region = self.memory.allocate(kind, size, Contents::Zero, at)?;
            if read_only {
                self.memory.freeze(region);
            }
            first.get_or_insert(region);
        }
        first.ok_or_else(|| Trap::unsupported("a machine without CPUs"))
    }

    /// The region of an array's element, made if it is the first use; `None` past the end.
    pub(super) fn array_element(&mut self, map: u32, index: u32) -> Result<Option<RegionId>, Box<Trap>> {
        let state = &self.maps[map as usize];
        if index >= state.max_entries {
            return Ok(None);
        }
        if let Some(&region) = state.elements.array.get(&index) {
            return Ok(Some(region));
        }
        let region = self.new_value_of(map, index.into(), None, self.cpu_count())?;
        self.maps[map as usize].elements.array.insert(index, region);
        Ok(Some(region))
    }

    /// The value's region for a key, in per-CPU maps that of the given CPU; `None` if there is none.
    pub(super) fn map_lookup(&mut self, map: u32, key: &[u8], cpu: u32) -> Result<Option<RegionId>, Box<Trap>> {
        let state = &self.maps[map as usize];
        let first = match state.family {
            MapFamily::Array => self.array_element(map, index_of(key))?,
            MapFamily::Hash => state.elements.hash.get(key).copied(),
            MapFamily::Trie => state.elements.trie.longest(key),
            MapFamily::Maps => state.maps.get(key).map(|&inner| self.maps[inner as usize].handle),
            MapFamily::Queue | MapFamily::Stack => None,
            MapFamily::Sockets | MapFamily::SocketHash | MapFamily::Devices => None,
            _ => return Err(state.unsupported("lookup")),
        };
        let copy = if self.maps[map as usize].per_cpu { cpu } else { 0 };
        Ok(first.map(|region| RegionId(region.0 + copy)))
    }

    /// Deletes an element of a map that is no hash; the result is zero or a negative error number.
    pub(super) fn map_delete(&mut self, map: u32, key: &[u8], at: Moment) -> Result<i64, Box<Trap>> {
        let state = &mut self.maps[map as usize];
        match state.family {
            MapFamily::Array => Ok(errno::EINVAL),
            MapFamily::Trie => self.trie_delete(map, key, at),
            MapFamily::Queue | MapFamily::Stack | MapFamily::Sockets => Ok(errno::EINVAL),
            MapFamily::SocketHash => Ok(errno::ENOENT),
            _ => Err(state.unsupported("delete")),
        }
    }

    /// Frees a trie's element, which nothing finds any more, after a grace period.
    fn retire_element(&mut self, map: u32, first: RegionId, at: Moment) -> Result<(), Box<Trap>> {
        for region in self.copies(map, first) {
            self.drop_contents(region, at)?;
            self.free_after_grace_period(region, GracePeriod::Rcu, at);
        }
        Ok(())
    }

    /// The regions of a value: one, or each CPU's.
    pub(super) fn copies(&self, map: u32, first: RegionId) -> impl Iterator<Item = RegionId> + use<> {
        let copies = if self.maps[map as usize].per_cpu { self.cpu_count() } else { 1 };
        (first.0..first.0 + copies).map(RegionId)
    }

    /// The key of the element whose value is in a region.
    pub(super) fn key_of(&self, map: u32, value: RegionId) -> Option<Box<[u8]>> {
        match self.memory.region(value).kind {
            RegionKind::MapValue { map: of, element, .. } if of == map => {
                let state = &self.maps[map as usize];
                match state.family {
                    MapFamily::Array => Some(Box::new((element as u32).to_le_bytes())),
                    _ => state.elements.hash.iter().find(|&(_, &region)| region == value).map(|(key, _)| key.clone()),
                }
            }
            _ => None,
        }
    }

    pub(super) fn own_copy(&self, map: u32, first: RegionId, cpu: u32) -> RegionId {
        RegionId(first.0 + if self.maps[map as usize].per_cpu { cpu } else { 0 })
    }

    /// The storage that a map attaches to an owner, made from `initial` (or zero) if `create` asks for it.
    pub(super) fn storage_get(
        &mut self,
        map: u32,
        owner: RegionId,
        initial: Option<&[u8]>,
        create: bool,
        at: Moment,
    ) -> Result<Option<RegionId>, Box<Trap>> {
        let state = &self.maps[map as usize];
        if state.family != MapFamily::LocalStorage {
            return Err(state.unsupported("local storage"));
        }
        if let Some(&region) = state.elements.storage.get(&owner) {
            return Ok(Some(region));
        }
        if !create {
            return Ok(None);
        }
        let region = self.new_value(map, Some(at))?;
        if let Some(initial) = initial {
            self.copy_value(map, region, initial);
        }
        self.maps[map as usize].elements.storage.insert(owner, region);
        Ok(Some(region))
    }

    /// Deletes an owner's storage; the result is zero or a negative error number.
    pub(super) fn storage_delete(&mut self, map: u32, owner: RegionId, at: Moment) -> Result<i64, Box<Trap>> {
        let state = &mut self.maps[map as usize];
        if state.family != MapFamily::LocalStorage {
            return Err(state.unsupported("local storage"));
        }
        match state.elements.storage.remove(&owner) {
            Some(region) => {
                self.free_after_grace_period(region, GracePeriod::RcuTasksTrace, at);
                Ok(0)
            }
            None => Ok(errno::ENOENT),
        }
    }

    /// The address of a map's value at an offset, as a wide load names it.
    pub(super) fn direct_value(&mut self, map: u32, offset: u32) -> Result<u64, String> {
        let state = self.maps.get(map as usize).ok_or_else(|| format!("map {map}, which the object does not have"))?;
        if state.family == MapFamily::Arena {
            return self.arena_value(offset);
        }
        if state.family != MapFamily::Array || state.per_cpu {
            return Err(format!("direct access to map {} of type {}", state.name, state.map_type));
        }
        match self.array_element(map, 0) {
            Ok(Some(region)) => Ok(self.memory.base(region) + u64::from(offset)),
            Ok(None) => Err("direct access to a map without values".to_owned()),
            Err(_) => Err("more memory than the limit allows".to_owned()),
        }
    }

    /// A fault if something else than a kernel object is used as an owner of storage.
    pub(super) fn storage_owner(&self, callee: &'static str, address: u64) -> Result<RegionId, Box<Trap>> {
        match self.memory.at(address) {
            Some(spot) if matches!(self.memory.region(spot.region).kind, RegionKind::KernelObject { .. }) => {
                Ok(spot.region)
            }
            Some(spot) => Err(Trap::about(
                FaultKind::BadArgument { callee, what: "the owner of the storage is no kernel object".to_owned() },
                spot.region,
            )),
            None => Err(Trap::argument(callee, "the owner of the storage is no kernel object")),
        }
    }
}
