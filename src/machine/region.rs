//! What a region of memory is and what has happened to it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::btf::TypeId;

use super::rcu::Waiting;
use super::story::{Moment, RegionId};

/// What a region holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// A call frame's 512 bytes of stack.
    Stack {
        /// The CPU that it belongs to.
        cpu: u32,
        /// Depth of the call, 0 for the program's entry.
        frame: u32,
    },
    /// The context that a program's first argument points to.
    Context,
    /// The bytes that a `syscall` program's first argument points to.
    SyscallContext,
    /// A packet, with the metadata in front of it.
    Packet,
    /// What a flow dissector finds in a packet.
    FlowKeys,
    /// One value of a map; in per-CPU maps one CPU's copy of it.
    MapValue {
        /// Index of the map in its object.
        map: u32,
        /// Which element: an array's index, or a running number of the element otherwise.
        element: u64,
        /// Whose copy it is, for per-CPU maps.
        cpu: Option<u32>,
    },
    /// A map's key, as a callback sees it.
    MapKey {
        /// Index of the map in its object.
        map: u32,
    },
    /// A page of an arena, or what stands for those that are not there.
    ArenaPage {
        /// Index of the map in its object.
        map: u32,
    },
    /// A record that was reserved in a ring buffer.
    Record {
        /// Index of the map in its object.
        map: u32,
    },
    /// A map itself, as `bpf_map_lookup_elem` takes it.
    Map {
        /// Index of the map in its object.
        map: u32,
    },
    /// What `bpf_obj_new` allocated.
    Object {
        /// Its type in the object's BTF.
        type_id: TypeId,
    },
    /// What `bpf_percpu_obj_new` returned: names all CPUs' copies and has no bytes of its own. The copies are the
    /// regions that follow it, one for each CPU.
    PerCpuObject {
        /// Its type in the object's BTF.
        type_id: TypeId,
    },
    /// One CPU's copy of a per-CPU object.
    PerCpuCopy {
        /// The [`RegionKind::PerCpuObject`].
        of: RegionId,
        /// Whose copy.
        cpu: u32,
        /// Its type in the object's BTF.
        type_id: TypeId,
    },
    /// A struct of the kernel, of which only some fields are modelled.
    KernelObject {
        /// The struct's name.
        name: Arc<str>,
        /// Its type in the kernel types that the run was given.
        type_id: TypeId,
    },
    /// A kernel variable of which nothing is modelled but its address.
    KernelVariable {
        /// Its name.
        name: Arc<str>,
    },
}

/// Where a region is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It may be used.
    Live,
    /// It was freed, but readers that were already inside an RCU section may use it still.
    Waiting(Waiting),
    /// It is gone.
    Freed,
}

/// What is known of a region, apart from its bytes.
#[derive(Clone, Debug)]
pub struct Region {
    /// What it holds.
    pub kind: RegionKind,
    /// Where it is in its life.
    pub life: Life,
    /// A number of its own that does not depend on what other tasks did before it was made.
    pub place: u64,
    /// Where a program allocated it; `None` if it was there from the start.
    pub allocated: Option<Moment>,
    /// Where it was freed, if it was.
    pub freed: Option<Moment>,
    /// The step at which a grace period ended and the memory could be used again.
    pub reclaimed: Option<u64>,
}

/// A region's number: which of its task's it is, or what it is where whoever asks first makes it.
pub(super) fn place(kind: &RegionKind, allocated: Option<Moment>, window: u32, nth: u32) -> u64 {
    const BY_KIND: u64 = 1 << 63;
    let mut hasher = FxHasher::default();
    match kind {
        RegionKind::MapValue { map, element, cpu } if allocated.is_none() => (0, map, element, cpu).hash(&mut hasher),
        RegionKind::KernelObject { name, .. } if allocated.is_none() => (1, name).hash(&mut hasher),
        RegionKind::KernelVariable { name } => (2, name).hash(&mut hasher),
        _ => return u64::from(window) << 32 | u64::from(nth),
    }
    BY_KIND | (hasher.finish() >> 2)
}
