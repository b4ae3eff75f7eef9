//! Puts an object's maps back to what they held when it was loaded, so that one iteration of a scenario starts as the others do.
//!
//! Writing an array's element and deleting another map's also frees what its special fields hold: kptrs, nodes of lists and trees, timers
//! (`bpf_obj_free_fields`, Linux 6.12).

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_sys as sys;

use crate::libbpf::{Map, Object, text};
use crate::maps::Reader;
use crate::run::CGROUP;

/// All that has to be put back.
pub struct Reset {
    maps: Vec<(Reader, String, How)>,
    /// The owners of storage: what a `cgrp_storage` map takes as key.
    cgroup: Option<File>,
}

/// An element's key and what it holds.
type Element = (Vec<u8>, Vec<u8>);

/// How one map is put back.
enum How {
    /// Elements that always exist, with what they held.
    Rewrite(Vec<Element>),
    /// Elements that are deleted.
    Empty,
    /// The storage of the cgroup that all run in.
    OfCgroup,
    /// The storage of threads.
    OfThreads,
}

/// Elements of one array that are put back.
const MAX_ELEMENTS: usize = 4096;

impl Reset {
    /// Notes what a loaded object's maps hold now. `Err` names a map that cannot be put back.
    pub fn of(object: &Object) -> Result<Reset, String> {
        let mut reset = Reset { maps: Vec::new(), cgroup: None };
        for map in object.maps() {
            let name = map.name();
            let reader = Reader::new(&map);
            if let Some(how) = how(&map, &reader).map_err(|why| format!("map '{name}': {why}"))? {
                if matches!(how, How::OfCgroup) && reset.cgroup.is_none() {
                    reset.cgroup = Some(File::open(CGROUP).map_err(|error| format!("{CGROUP}: {error}"))?);
                }
                reset.maps.push((reader, name, how));
            }
        }
        Ok(reset)
    }

    /// The descriptor of the cgroup that all run in, if a map has storage of it.
    pub fn cgroup(&self) -> Option<i32> {
        self.cgroup.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Puts all back. `threads` are the descriptors of the threads that run programs.
    pub fn apply(&self, threads: &[OwnedFd]) -> Result<(), String> {
        for (reader, name, how) in &self.maps {
            let status = match how {
                How::Rewrite(elements) => elements.iter().try_for_each(|(key, value)| update(reader, key, value)),
                How::Empty => empty(reader),
                How::OfCgroup => {
                    self.cgroup.iter().try_for_each(|file| delete(reader, &file.as_raw_fd().to_ne_bytes()))
                }
                How::OfThreads => threads.iter().try_for_each(|one| delete(reader, &one.as_raw_fd().to_ne_bytes())),
            };
            status.map_err(|errno| format!("map '{name}' cannot be put back: error {errno}"))?;
        }
        Ok(())
    }
}

/// A descriptor of a thread of this process, which task storage takes as key.
pub fn thread_descriptor(thread: libc::pid_t) -> Result<OwnedFd, String> {
    // `PIDFD_THREAD` (Linux 6.9): the thread itself and not its group.
    const PIDFD_THREAD: libc::c_int = libc::O_EXCL;
    // SAFETY: takes numbers only.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, thread, PIDFD_THREAD) };
    match i32::try_from(descriptor) {
        // SAFETY: the descriptor is new and owned by nobody else.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(format!("cannot open a pidfd of a thread: {}", std::io::Error::last_os_error())),
    }
}

/// How a map is put back; `None` for one that programs cannot change.
fn how(map: &Map, reader: &Reader) -> Result<Option<How>, String> {
    // SAFETY: the map's object is open.
    let (kind, flags) = unsafe { (sys::bpf_map__type(map.raw()), sys::bpf_map__map_flags(map.raw())) };
    Ok(match kind {
        _ if flags & sys::BPF_F_RDONLY_PROG != 0 => None,
        sys::BPF_MAP_TYPE_ARRAY | sys::BPF_MAP_TYPE_PERCPU_ARRAY => Some(How::Rewrite(elements(reader)?)),
        sys::BPF_MAP_TYPE_HASH
        | sys::BPF_MAP_TYPE_PERCPU_HASH
        | sys::BPF_MAP_TYPE_LRU_HASH
        | sys::BPF_MAP_TYPE_LRU_PERCPU_HASH
        | sys::BPF_MAP_TYPE_LPM_TRIE => Some(How::Empty),
        sys::BPF_MAP_TYPE_CGRP_STORAGE => Some(How::OfCgroup),
        sys::BPF_MAP_TYPE_TASK_STORAGE => Some(How::OfThreads),
        sys::BPF_MAP_TYPE_PROG_ARRAY | sys::BPF_MAP_TYPE_ARRAY_OF_MAPS | sys::BPF_MAP_TYPE_HASH_OF_MAPS => None,
        other => {
            // SAFETY: returns a constant string or null.
            let name = text(unsafe { sys::libbpf_bpf_map_type_str(other) });
            return Err(format!("maps of type {name} cannot be put back between iterations"));
        }
    })
}

fn elements(reader: &Reader) -> Result<Vec<Element>, String> {
    let mut elements: Vec<Element> = Vec::new();
    while let Some(key) = reader.next_key(elements.last().map(|(key, _)| key.as_slice())) {
        if elements.len() == MAX_ELEMENTS {
            return Err(format!("more than {MAX_ELEMENTS} elements to put back"));
        }
        let value = reader.entry(&key).map_err(|errno| format!("cannot be read: error {errno}"))?;
        elements.push((key, value));
    }
    Ok(elements)
}

fn update(reader: &Reader, key: &[u8], value: &[u8]) -> Result<(), i32> {
    // SAFETY: key and value were read from this map, and have its sizes.
    let status = unsafe { sys::bpf_map_update_elem(reader.fd, key.as_ptr().cast(), value.as_ptr().cast(), 0) };
    if status == 0 { Ok(()) } else { Err(status.abs()) }
}

fn empty(reader: &Reader) -> Result<(), i32> {
    while let Some(key) = reader.next_key(None) {
        delete(reader, &key)?;
    }
    Ok(())
}

/// Deletes one entry; that there is none is no error.
fn delete(reader: &Reader, key: &[u8]) -> Result<(), i32> {
    // SAFETY: the key has the map's key size; a descriptor is a storage map's key.
    let status = unsafe { sys::bpf_map_delete_elem(reader.fd, key.as_ptr().cast()) };
    if status == 0 || status.abs() == libc::ENOENT { Ok(()) } else { Err(status.abs()) }
}
