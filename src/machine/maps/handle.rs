//! A map as a struct of the kernel: what a program reads through the map's own address, `struct bpf_map` and what the
//! map's kind has around it (`include/linux/bpf.h`, `kernel/bpf/arraymap.c`, `hashtab.c`, Linux 6.12).
//!
//! Such fields have no memory here: a read of one asks [`Machine::map_field`]. They never change, but for the number of
//! elements that a hash without preallocation counts.

use super::lru::NO_COMMON_LRU;
use super::{BPF_F_NO_PREALLOC, MapFamily, MapState};
use crate::btf::{Btf, TypeId};
use crate::machine::fault::Trap;
use crate::machine::stepper::Machine;
use crate::machine::types;

/// Bytes of a page.
const PAGE: u32 = 4096;
/// `BPF_F_RDONLY` and `BPF_F_WRONLY`, which belong to a file and not to the map (`bpf_map_flags_retain_permanent`).
const OF_FILE: u32 = 3 << 3;
/// What a CPU counts before all CPUs learn of it (`PERCPU_COUNTER_BATCH`).
const COUNTER_BATCH: u32 = 32;

/// The operations of each map type whose name is known, as a symbol of the kernel.
const OPERATIONS: [(u32, &str); 22] = [
    (1, "htab_map_ops"),
    (2, "array_map_ops"),
    (3, "prog_array_map_ops"),
    (4, "perf_event_array_map_ops"),
    (5, "htab_percpu_map_ops"),
    (6, "percpu_array_map_ops"),
    (7, "stack_trace_map_ops"),
    (9, "htab_lru_map_ops"),
    (10, "htab_lru_percpu_map_ops"),
    (11, "trie_map_ops"),
    (12, "array_of_maps_map_ops"),
    (13, "htab_of_maps_map_ops"),
    (22, "queue_map_ops"),
    (23, "stack_map_ops"),
    (24, "sk_storage_map_ops"),
    (27, "ringbuf_map_ops"),
    (28, "inode_storage_map_ops"),
    (29, "task_storage_map_ops"),
    (30, "bloom_filter_map_ops"),
    (31, "user_ringbuf_map_ops"),
    (32, "cgrp_storage_map_ops"),
    (33, "arena_map_ops"),
];

/// What is known of a map when a field of it is read.
struct Asked<'m> {
    state: &'m MapState,
    flags: u32,
    extra: u64,
    is_global: bool,
    /// Its number among the object's maps.
    number: u32,
    cpus: u32,
    /// Bytes in front of the key in a hash's element.
    element: Option<u32>,
}

/// A field's path in the struct around `struct bpf_map`, and its value; `None` where that is not modelled.
type Field = (&'static str, fn(&Asked<'_>) -> Option<u64>);

/// Fields of every map.
const OF_ALL: [Field; 7] = [
    ("map_type", |map| Some(map.state.map_type.into())),
    ("key_size", |map| Some(map.state.key_size.into())),
    ("value_size", |map| Some(map.state.value_size.into())),
    ("max_entries", |map| map.entries().map(u64::from)),
    ("map_extra", |map| (!map.is_global).then_some(map.extra)),
    ("map_flags", |map| (!map.is_global).then_some((map.flags & !OF_FILE).into())),
    // As in a kernel that has made no other maps.
    ("id", |map| Some(u64::from(map.number) + 1)),
];

/// Fields of `struct bpf_array`.
const OF_ARRAY: [Field; 1] = [("elem_size", |map| Some(u64::from(map.state.value_size).next_multiple_of(8)))];

/// Fields of `struct bpf_htab`.
const OF_HASH: [Field; 3] = [
    ("n_buckets", |map| map.entries().map(|entries| u64::from(entries).next_power_of_two())),
    ("elem_size", |map| map.element_size()),
    ("count.counter", |map| map.count()),
];

impl Asked<'_> {
    /// How many entries the map was made with: libbpf fills in the CPUs' number, and makes a ring of whole pages
    /// (`adjust_ringbuf_sz`).
    fn entries(&self) -> Option<u32> {
        let entries = self.state.max_entries;
        match self.state.family {
            MapFamily::PerfEvents if entries == 0 => Some(self.cpus),
            MapFamily::Ring | MapFamily::UserRing => entries.max(PAGE).checked_next_power_of_two(),
            MapFamily::Hash if self.flags & NO_COMMON_LRU != 0 => None,
            _ => Some(entries),
        }
    }

    fn element_size(&self) -> Option<u64> {
        let aligned = |size: u32| u64::from(size).next_multiple_of(8);
        let value = if self.state.per_cpu { 8 } else { aligned(self.state.value_size) };
        Some(u64::from(self.element?) + aligned(self.state.key_size) + value)
    }

    /// Only a hash that allocates its elements counts them there, and only if there cannot be very many.
    fn count(&self) -> Option<u64> {
        if self.flags & BPF_F_NO_PREALLOC == 0 {
            return Some(0);
        }
        let counted = self.state.max_entries / 2 <= self.cpus.saturating_mul(COUNTER_BATCH);
        counted.then_some(self.state.elements.hash.len() as u64)
    }
}

/// The struct of a map's kind, and the fields that it has beside those of all maps.
fn container(family: MapFamily) -> (&'static str, &'static [Field]) {
    match family {
        MapFamily::Array => ("bpf_array", &OF_ARRAY),
        MapFamily::Hash => ("bpf_htab", &OF_HASH),
        MapFamily::Arena => ("bpf_arena", &[]),
        _ => ("bpf_map", &[]),
    }
}

/// The field of a struct that is at an offset and has that size.
fn find(btf: &Btf, id: TypeId, prefix: &str, fields: &'static [Field], (at, size): (u32, u32)) -> Option<Field> {
    let is_meant = |field: &&Field| {
        let place = types::field(btf, id, &format!("{prefix}{}", field.0));
        place.is_some_and(|(offset, inner)| offset == at && btf.size_of(inner) == Some(size))
    };
    fields.iter().find(is_meant).copied()
}

impl Machine {
    /// The field that is `offset` bytes behind a map's own address; `None` if it is not modelled.
    ///
    /// # Errors
    /// The number of elements, where other CPUs may change it meanwhile; no room for what stands for the operations.
    pub(in crate::machine) fn map_field(&mut self, map: u32, offset: u32, size: u32) -> Result<Option<u64>, Box<Trap>> {
        let Some(types) = self.shared_kernel_types() else { return Ok(None) };
        let btf = &*types;
        let Some(state) = self.maps.get(map as usize) else { return Ok(None) };
        let (name, own) = container(state.family);
        let Some(id) = btf.find_struct(name) else { return Ok(None) };
        let prefix = if name == "bpf_map" { "" } else { "map." };
        let place = (offset, size);
        if types::field(btf, id, &format!("{prefix}ops")).is_some_and(|(at, _)| place == (at, 8)) {
            let operations = OPERATIONS.iter().find(|(map_type, _)| *map_type == state.map_type);
            let Some((_, name)) = operations else { return Ok(None) };
            return self.variable(name).map(Some);
        }
        let found = find(btf, id, prefix, &OF_ALL, place).or_else(|| find(btf, id, "", own, place));
        let Some((field, value)) = found else { return Ok(None) };
        if field == "count.counter" && self.by_pieces {
            return Err(Trap::unsupported(format!("field {field} of map {}, which other CPUs change", state.name)));
        }
        let declared = self.object.maps.get(map as usize);
        Ok(value(&Asked {
            state,
            flags: declared.map_or(0, |map| map.definition.flags),
            extra: declared.map_or(0, |map| map.definition.map_extra),
            is_global: declared.is_some_and(|map| map.globals.is_some()),
            number: map,
            cpus: self.cpu_count(),
            element: btf.find_struct("htab_elem").and_then(|id| btf.size_of(id)),
        }))
    }

    /// What is `offset` bytes behind a map's own address, in words.
    pub(in crate::machine) fn map_field_name(&self, map: u32, offset: u32) -> Option<String> {
        let btf = self.kernel_types()?;
        let (name, _) = container(self.maps.get(map as usize)?.family);
        let path = types::field_at(btf, btf.find_struct(name)?, offset)?;
        Some(format!("field {} of struct {name}", path))
    }
}
