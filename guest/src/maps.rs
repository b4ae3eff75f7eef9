//! Reads maps out of the kernel: every entry, every CPU's copy, bounded.

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;

use libbpf_sys as sys;

use crate::libbpf::{self, Map, Object};
use crate::protocol::{MapDump, MapEntry, Variable, to_hex};
use crate::run::CGROUP;

/// Entries of one map that are read.
const MAX_ENTRIES: usize = 4096;

/// Bytes of values of one map that are read.
const MAX_BYTES: usize = 8 << 20;

/// Reads all maps of a loaded object.
pub fn dump_all(object: &Object) -> Vec<MapDump> {
    object.maps().iter().map(|map| dump(object, map)).collect()
}

fn dump(object: &Object, map: &Map) -> MapDump {
    // SAFETY: the map's object is open and loaded.
    let (kind, key_size, value_size) = unsafe {
        (sys::bpf_map__type(map.raw()), sys::bpf_map__key_size(map.raw()), sys::bpf_map__value_size(map.raw()))
    };
    let name = map.name();
    let variables = libbpf::section_variables(object, &name)
        .into_iter()
        .map(|(name, offset, size)| Variable { name, offset, size })
        .collect();
    // SAFETY: returns a constant string.
    let map_type = libbpf::text(unsafe { sys::libbpf_bpf_map_type_str(kind) });
    let mut dump =
        MapDump { name, map_type, key_size, value_size, entries: Vec::new(), truncated: false, error: None, variables };
    let reader = Reader::new(map);
    let outcome = match kind {
        sys::BPF_MAP_TYPE_CGRP_STORAGE => reader.read_for_file(CGROUP, &mut dump),
        sys::BPF_MAP_TYPE_TASK_STORAGE => reader.read_for_this_process(&mut dump),
        sys::BPF_MAP_TYPE_ARRAY
        | sys::BPF_MAP_TYPE_PERCPU_ARRAY
        | sys::BPF_MAP_TYPE_HASH
        | sys::BPF_MAP_TYPE_PERCPU_HASH
        | sys::BPF_MAP_TYPE_LRU_HASH
        | sys::BPF_MAP_TYPE_LRU_PERCPU_HASH
        | sys::BPF_MAP_TYPE_LPM_TRIE => reader.walk(&mut dump),
        sys::BPF_MAP_TYPE_QUEUE | sys::BPF_MAP_TYPE_STACK => reader.empty(&mut dump),
        sys::BPF_MAP_TYPE_RINGBUF => reader.consume(&mut dump),
        _ => Err("maps of this type are not read".into()),
    };
    dump.error = outcome.err();
    dump
}

/// Lists a value of a map without keys.
fn push(dump: &mut MapDump, value: &[u8]) {
    if dump.entries.len() == MAX_ENTRIES {
        dump.truncated = true;
        return;
    }
    let number = u32::try_from(dump.entries.len()).unwrap_or(u32::MAX);
    dump.entries.push(MapEntry { key: to_hex(&number.to_le_bytes()), values: vec![to_hex(value)] });
}

/// What libbpf calls for each record of a ring buffer.
unsafe extern "C" fn record(dump: *mut c_void, data: *mut c_void, size: sys::size_t) -> std::ffi::c_int {
    // SAFETY: `dump` is what `consume` passed; libbpf gives `size` bytes at `data`.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size as usize);
        push(&mut *dump.cast::<MapDump>(), bytes);
    }
    0
}

/// Reads entries of one map.
#[derive(Clone)]
pub struct Reader {
    /// The map.
    pub fd: i32,
    key_size: usize,
    value_size: usize,
    /// Bytes between two CPUs' values in what the kernel returns; `None` for a map with one value an entry.
    per_cpu: Option<usize>,
}

impl Reader {
    /// A reader of a map whose object is loaded.
    pub fn new(map: &Map) -> Reader {
        // SAFETY: the map's object is open.
        let (kind, key_size, value_size) = unsafe {
            (sys::bpf_map__type(map.raw()), sys::bpf_map__key_size(map.raw()), sys::bpf_map__value_size(map.raw()))
        };
        let (key_size, value_size) = (key_size as usize, value_size as usize);
        let per_cpu = matches!(
            kind,
            sys::BPF_MAP_TYPE_PERCPU_ARRAY | sys::BPF_MAP_TYPE_PERCPU_HASH | sys::BPF_MAP_TYPE_LRU_PERCPU_HASH
        );
        // SAFETY: the map's object is open.
        let fd = unsafe { sys::bpf_map__fd(map.raw()) };
        Reader { fd, key_size, value_size, per_cpu: per_cpu.then(|| value_size.next_multiple_of(8)) }
    }

    /// All entries, by the kernel's own order of keys.
    fn walk(&self, dump: &mut MapDump) -> Result<(), String> {
        let mut key: Option<Vec<u8>> = None;
        let mut bytes = 0;
        loop {
            let Some(next) = self.next_key(key.as_deref()) else { return Ok(()) };
            if dump.entries.len() == MAX_ENTRIES || bytes > MAX_BYTES {
                dump.truncated = true;
                return Ok(());
            }
            let values = self.hex_values(&next)?;
            bytes += values.iter().map(String::len).sum::<usize>();
            dump.entries.push(MapEntry { key: to_hex(&next), values });
            key = Some(next);
        }
    }

    /// Takes everything out of a queue or stack; the keys are running numbers.
    fn empty(&self, dump: &mut MapDump) -> Result<(), String> {
        loop {
            let mut value = vec![0u8; self.value_size];
            // SAFETY: such a map has no key, and the value has room for one.
            let status = unsafe {
                sys::bpf_map_lookup_and_delete_elem(self.fd, std::ptr::null(), value.as_mut_ptr().cast::<c_void>())
            };
            if status != 0 {
                return Ok(());
            }
            push(dump, &value);
        }
    }

    /// Takes all records out of a ring buffer, without those that were discarded; the keys are running numbers.
    fn consume(&self, dump: &mut MapDump) -> Result<(), String> {
        let to = std::ptr::from_mut(dump).cast::<c_void>();
        // SAFETY: the map is a ring buffer, and `dump` outlives the consumer.
        let ring = unsafe { sys::ring_buffer__new(self.fd, Some(record), to, std::ptr::null()) };
        if ring.is_null() {
            return Err("cannot map the ring buffer".into());
        }
        // SAFETY: the consumer is ours, and nobody else uses it.
        unsafe {
            sys::ring_buffer__consume(ring);
            sys::ring_buffer__free(ring);
        }
        Ok(())
    }

    /// The storage of the file system object at `path`, if it has any.
    fn read_for_file(&self, path: &str, dump: &mut MapDump) -> Result<(), String> {
        let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
        self.read_for_descriptor(file.as_raw_fd(), dump);
        Ok(())
    }

    /// The storage of this process, if it has any.
    fn read_for_this_process(&self, dump: &mut MapDump) -> Result<(), String> {
        // SAFETY: takes numbers only.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
        let descriptor = i32::try_from(descriptor).map_err(|_| "pidfd out of range")?;
        if descriptor == -1 {
            return Err("cannot open a pidfd".into());
        }
        self.read_for_descriptor(descriptor, dump);
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(descriptor) };
        Ok(())
    }

    /// Local storage: the key is a descriptor of the owner, which the host need not see.
    fn read_for_descriptor(&self, descriptor: i32, dump: &mut MapDump) {
        if let Ok(values) = self.hex_values(&descriptor.to_ne_bytes()) {
            dump.entries.push(MapEntry { key: String::new(), values });
        }
    }

    /// The key after that one, or the first; `None` after the last.
    pub fn next_key(&self, key: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut next = vec![0; self.key_size];
        let previous = key.map_or(std::ptr::null(), |key| key.as_ptr().cast::<c_void>());
        // SAFETY: both keys have the map's key size, or the first is null, which asks for the first key.
        let status = unsafe { sys::bpf_map_get_next_key(self.fd, previous, next.as_mut_ptr().cast()) };
        (status == 0).then_some(next)
    }

    /// Bytes that a system call reads or writes for one entry: every possible CPU's value in a per-CPU map.
    pub fn entry_size(&self) -> usize {
        self.per_cpu.map_or(self.value_size, |stride| stride * libbpf::possible_cpus() as usize)
    }

    /// The bytes of one entry as the kernel gives them. `Err` has the error number, positive.
    pub fn entry(&self, key: &[u8]) -> Result<Vec<u8>, i32> {
        let mut value = vec![0u8; self.entry_size()];
        // SAFETY: the key has the map's key size and the value has room for every CPU's copy.
        let status = unsafe { sys::bpf_map_lookup_elem(self.fd, key.as_ptr().cast(), value.as_mut_ptr().cast()) };
        if status == 0 { Ok(value) } else { Err(status.abs()) }
    }

    /// The values of one entry, each without what pads it, as hexadecimal digits.
    pub fn split(&self, entry: &[u8]) -> Vec<String> {
        let stride = self.per_cpu.unwrap_or(self.value_size).max(1);
        entry.chunks(stride).map(|copy| to_hex(&copy[..self.value_size.min(copy.len())])).collect()
    }

    fn hex_values(&self, key: &[u8]) -> Result<Vec<String>, String> {
        let entry = self.entry(key).map_err(|errno| format!("cannot read an entry: error {errno}"))?;
        Ok(self.split(&entry))
    }
}
