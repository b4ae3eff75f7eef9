//! The object's maps as the kernel would see them once created: sizes, flags, special fields.

use std::sync::Arc;

use super::env::{Check, reject, unsupported};
use super::map_fields::value_fields;
use super::memory::{Access, Mode};
use super::rule::Rule;
use super::value::{TypeRef, TypeSpace};
use crate::btf::fields::{FieldKind, SpecialField, SpecialFields};
use crate::btf::{Btf, TypeId};
use crate::kernel::{MapType, Profile};
use crate::object::{Map, MapDefinition, Object};

/// Program side is read-only (`BPF_F_RDONLY_PROG`).
const READ_ONLY_FOR_PROGRAMS: u32 = 1 << 7;
/// Program side is write-only (`BPF_F_WRONLY_PROG`).
const WRITE_ONLY_FOR_PROGRAMS: u32 = 1 << 8;
/// User space may map the values into its memory (`BPF_F_MMAPABLE`).
const MAPPABLE: u32 = 1 << 10;
/// Flags that keep programs from a map's values.
pub(super) const PROGRAM_ACCESS_FLAGS: u32 = READ_ONLY_FOR_PROGRAMS | WRITE_ONLY_FOR_PROGRAMS;

/// What a lookup in a map gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookedUp {
    /// The value.
    Value,
    /// A map, by its index; with timers or work queues in it each lookup has an identity of its own.
    InnerMap {
        /// Index of the inner map among the verifier's maps.
        index: u32,
        /// Must lookups be told apart?
        own_identity: bool,
    },
    /// A socket.
    Socket,
    /// An XDP socket.
    XdpSocket,
}

/// A special field, with its kptr's type resolved to the kernel's table or the program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its kind.
    pub kind: FieldKind,
    /// Byte offset.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
    /// What a kptr points to.
    pub kptr: Option<TypeRef>,
    /// What a list or tree holds.
    pub root: Option<crate::btf::fields::GraphRoot>,
}

impl Field {
    /// The type that a kptr points to.
    pub fn target(&self) -> Check<TypeRef> {
        match self.kptr {
            Some(ty) => Ok(ty),
            None => unsupported("a kptr field whose type is not known"),
        }
    }

    /// Is it a kptr of any kind?
    #[must_use]
    pub fn is_kptr(&self) -> bool {
        matches!(self.kind, FieldKind::KptrUntrusted | FieldKind::KptrReferenced | FieldKind::KptrPercpu)
    }

    /// The kernel's name of its kind (`btf_field_type_name`).
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            FieldKind::SpinLock => "bpf_spin_lock",
            FieldKind::Timer => "bpf_timer",
            FieldKind::WorkQueue => "bpf_wq",
            FieldKind::KptrUntrusted | FieldKind::KptrReferenced => "kptr",
            FieldKind::KptrPercpu => "percpu_kptr",
            FieldKind::ListHead => "bpf_list_head",
            FieldKind::ListNode => "bpf_list_node",
            FieldKind::RbRoot => "bpf_rb_root",
            FieldKind::RbNode => "bpf_rb_node",
            FieldKind::Refcount => "bpf_refcount",
        }
    }
}

/// The special fields of a map's value or of a struct of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// By ascending offset.
    pub fields: Vec<Field>,
}

impl Fields {
    /// The field that starts there.
    #[must_use]
    pub fn at(&self, offset: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.offset == offset)
    }

    /// The field of that kind that starts there (`btf_record_find`).
    #[must_use]
    pub fn of_kind_at(&self, kind: FieldKind, offset: u32) -> Option<&Field> {
        self.at(offset).filter(|field| field.kind == kind)
    }

    /// The first field that an access overlaps.
    #[must_use]
    pub fn overlapping(&self, offset: u32, size: u32) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| offset < field.offset + field.size && field.offset < offset.saturating_add(size))
    }

    /// The field of that kind.
    #[must_use]
    pub fn find(&self, kind: FieldKind) -> Option<&Field> {
        self.fields.iter().find(|field| field.kind == kind)
    }

    /// Is there a lock?
    #[must_use]
    pub fn has_lock(&self) -> bool {
        self.find(FieldKind::SpinLock).is_some()
    }

    /// Is it a node of a list or tree?
    #[must_use]
    pub fn has_graph_node(&self) -> bool {
        self.find(FieldKind::ListNode).is_some() || self.find(FieldKind::RbNode).is_some()
    }

    /// Is there a kptr of any kind?
    #[must_use]
    pub fn has_kptr(&self) -> bool {
        self.fields.iter().any(Field::is_kptr)
    }

    pub(super) fn resolve(found: &SpecialFields, btf: &Btf, profile: &Profile) -> Fields {
        let resolve = |field: &SpecialField| Field {
            kind: field.kind,
            offset: field.offset,
            size: field.size,
            kptr: field.kptr.map(|target| resolve_kptr(target, btf, profile)),
            root: field.root,
        };
        Fields { fields: found.fields.iter().map(resolve).collect() }
    }
}

/// A kptr's struct is the kernel's if the kernel has one of that name, else the program's own (`btf_parse_kptr`).
fn resolve_kptr(id: TypeId, btf: &Btf, profile: &Profile) -> TypeRef {
    let name = btf.ty(btf.resolve(id)).name();
    match profile.btf.find_struct(name) {
        Some(id) if !name.is_empty() => TypeRef { space: TypeSpace::Kernel, id },
        _ => TypeRef { space: TypeSpace::Program, id: btf.resolve(id) },
    }
}

/// A map.
#[derive(Clone, Debug)]
pub struct MapInfo {
    /// Its index among the object's maps; inner maps have indexes behind those.
    pub index: u32,
    /// Name as the kernel keeps it, at most 15 bytes.
    pub name: String,
    /// Its type.
    pub map_type: MapType,
    /// Key size in bytes.
    pub key_size: u32,
    /// Value size in bytes.
    pub value_size: u32,
    /// Number of entries.
    pub max_entries: u32,
    /// `BPF_F_*` flags.
    pub flags: u32,
    /// Does the kernel know its types?
    pub has_btf: bool,
    /// Has it a type for its key, too?
    pub has_key_type: bool,
    /// Special fields of its value.
    pub fields: Option<Fields>,
    /// What a lookup gives.
    pub looked_up: LookedUp,
    /// Are these globals, one of which at least the process that loads them sees in its own memory?
    pub mapped: bool,
}

impl MapInfo {
    /// The kptr field that starts at that byte of the value.
    #[must_use]
    pub fn kptr_at(&self, offset: u32) -> Option<&Field> {
        self.fields.as_ref()?.at(offset).filter(|field| field.is_kptr())
    }

    /// May programs write to it?
    #[must_use]
    pub fn programs_may_write(&self) -> bool {
        self.flags & READ_ONLY_FOR_PROGRAMS == 0
    }

    /// The map's flags allow the access (`check_map_access_type`).
    pub fn check_program_may(&self, access: Access) -> Check {
        let (forbidden, kind) = match access.mode {
            Mode::Write => (READ_ONLY_FOR_PROGRAMS, "write into"),
            Mode::Read => (WRITE_ONLY_FOR_PROGRAMS, "read from"),
        };
        if self.flags & forbidden == 0 {
            return Ok(());
        }
        reject(Rule::MapAccessForbidden { kind, value_size: self.value_size, offset: access.offset, size: access.size })
    }
}

/// The maps of an object, inner maps behind them; `btf` is the object's as far as the kernel takes it.
#[must_use]
pub fn maps_of(object: &Object, btf: Option<&Arc<Btf>>, profile: &Profile) -> Vec<MapInfo> {
    let mut maps: Vec<MapInfo> = Vec::with_capacity(object.maps.len());
    let mut inner = Vec::new();
    for (index, map) in object.maps.iter().enumerate() {
        let name = kernel_name(&object.name, map);
        let mut info = map_info(index as u32, &name, &map.definition, btf, profile);
        if map.globals.as_ref().is_some_and(|globals| globals.read_only) {
            info.flags |= READ_ONLY_FOR_PROGRAMS;
        }
        info.mapped = map.globals.is_some() && info.flags & MAPPABLE != 0;
        if let Some(definition) = inner_definition(map, object) {
            inner.push((index, definition));
        }
        maps.push(info);
    }
    for (outer, definition) in inner {
        let index = maps.len() as u32;
        let info = map_info(index, "", &definition, btf, profile);
        let own_identity = info.fields.as_ref().is_some_and(|fields| {
            fields.find(FieldKind::Timer).is_some() || fields.find(FieldKind::WorkQueue).is_some()
        });
        maps.push(info);
        maps[outer].looked_up = LookedUp::InnerMap { index, own_identity };
    }
    maps
}

/// The name under which libbpf creates a map: that of globals has the start of the object's name in front, unless the
/// section's name was chosen by the program (`internal_map_name`, libbpf 1.5).
#[must_use]
pub fn kernel_name(object: &str, map: &Map) -> String {
    const NAME_BYTES: usize = 15;
    let is_custom = map.name.chars().skip(1).any(|character| character == '.');
    if map.globals.is_none() || is_custom {
        return map.name.clone();
    }
    let room = NAME_BYTES.saturating_sub(map.name.len().max(".rodata".len()));
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.');
    object
        .chars()
        .take_while(|&character| character != '.')
        .take(room)
        .chain(map.name.chars())
        .map(|character| if allowed(character) { character } else { '_' })
        .collect()
}

fn inner_definition(map: &Map, object: &Object) -> Option<MapDefinition> {
    if let Some(inner) = &map.definition.inner {
        return Some((**inner).clone());
    }
    let is_map_of_maps =
        matches!(MapType::from_number(map.definition.map_type), Some(MapType::ArrayOfMaps | MapType::HashOfMaps));
    let &(_, first) = map.initial_maps.first()?;
    is_map_of_maps.then(|| object.maps.get(first as usize).map(|map| map.definition.clone()))?
}

fn map_info(index: u32, name: &str, definition: &MapDefinition, btf: Option<&Arc<Btf>>, profile: &Profile) -> MapInfo {
    let map_type = MapType::from_number(definition.map_type).unwrap_or(MapType::Unspec);
    let has_types = definition.value_type != TypeId::VOID;
    // libbpf creates a map without its types where the kernel refuses them.
    let found = btf.filter(|_| has_types).and_then(|btf| value_fields(definition, map_type, btf, profile));
    let fields = match (&found, btf) {
        (Some(found), Some(btf)) if !found.fields.is_empty() => Some(Fields::resolve(found, btf, profile)),
        _ => None,
    };
    let looked_up = match map_type {
        MapType::Xskmap => LookedUp::XdpSocket,
        MapType::Sockmap | MapType::Sockhash => LookedUp::Socket,
        _ => LookedUp::Value,
    };
    MapInfo {
        index,
        name: name.chars().take(15).collect(),
        map_type,
        key_size: definition.key_size,
        value_size: definition.value_size,
        max_entries: definition.max_entries,
        flags: definition.flags,
        has_btf: found.is_some(),
        has_key_type: found.is_some() && definition.key_type != TypeId::VOID,
        fields,
        looked_up,
        mapped: false,
    }
}
