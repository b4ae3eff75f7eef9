//! What of the program's types a kernel takes, and where libbpf goes on without them.
//!
//! The kernel checks the types when it loads the program's BTF (`btf_parse`), looks for special fields in them
//! (`btf_parse_struct_metas`), and again for each map (`map_check_btf`, `kernel/bpf/syscall.c`, Linux 6.12). If it refuses the BTF, libbpf loads maps and programs
//! without any; if it refuses a map's types, libbpf creates the map without them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::btf::fields::{FieldKind, Holder, KernelStruct, SpecialField, SpecialFields};
use crate::btf::{Btf, Type, TypeId, check, field_search};
use crate::kernel::{MapType, Profile};
use crate::object::MapDefinition;

use super::maps::{Fields, PROGRAM_ACCESS_FLAGS};

/// The program's BTF as the kernel has it.
#[derive(Clone, Debug, Default)]
pub struct KernelSide {
    /// The types; `None` if the object has none, or the kernel refuses them.
    pub btf: Option<Arc<Btf>>,
    /// The structs that have special fields.
    pub structs: FxHashMap<TypeId, Fields>,
}

impl KernelSide {
    /// Offers the program's BTF to the kernel.
    #[must_use]
    pub fn of(btf: Option<&Arc<Btf>>, profile: &Profile) -> KernelSide {
        let Some(btf) = btf.filter(|btf| check::check(btf).is_ok()) else { return KernelSide::default() };
        let Ok(found) = field_search::local_structs(btf, &|name| kernel_struct(name, profile)) else {
            return KernelSide::default();
        };
        let structs = found.iter().map(|(&id, fields)| (id, Fields::resolve(fields, btf, profile))).collect();
        KernelSide { btf: Some(btf.clone()), structs }
    }
}

fn kernel_struct(name: &str, profile: &Profile) -> KernelStruct {
    match profile.btf.find_struct(name) {
        Some(_) if !name.is_empty() && profile.has_destructor(name) => KernelStruct::Freed,
        Some(_) if !name.is_empty() => KernelStruct::NotFreed,
        _ => KernelStruct::Unknown,
    }
}

/// The special fields of a map's value; `None` if the kernel refuses the map's types. A value whose fields it cannot
/// make sense of has none, and is taken all the same.
pub(super) fn value_fields(
    definition: &MapDefinition,
    map_type: MapType,
    btf: &Btf,
    profile: &Profile,
) -> Option<SpecialFields> {
    if !key_fits(definition, map_type, btf) {
        return None;
    }
    let value = btf.resolve(definition.value_type);
    let kernel = |name: &str| kernel_struct(name, profile);
    let found = field_search::special_fields_in(btf, value, Holder::MapValue, &kernel).unwrap_or_default();
    let kept_from_programs = definition.flags & PROGRAM_ACCESS_FLAGS != 0 && !found.is_empty();
    let fits = |field: &SpecialField| maps_with(field.kind).contains(&map_type);
    (!kept_from_programs && found.fields.iter().all(fits)).then_some(found)
}

/// Map types whose value may hold such a field.
fn maps_with(kind: FieldKind) -> &'static [MapType] {
    use MapType as M;
    match kind {
        FieldKind::SpinLock => {
            &[M::Hash, M::Array, M::CgroupStorage, M::SkStorage, M::InodeStorage, M::TaskStorage, M::CgrpStorage]
        }
        FieldKind::Timer | FieldKind::WorkQueue | FieldKind::ListHead | FieldKind::RbRoot => {
            &[M::Hash, M::LruHash, M::Array]
        }
        FieldKind::KptrUntrusted | FieldKind::KptrReferenced | FieldKind::KptrPercpu | FieldKind::Refcount => &[
            M::Hash,
            M::PercpuHash,
            M::LruHash,
            M::LruPercpuHash,
            M::Array,
            M::PercpuArray,
            M::SkStorage,
            M::InodeStorage,
            M::TaskStorage,
            M::CgrpStorage,
        ],
        FieldKind::ListNode | FieldKind::RbNode => &[],
    }
}

/// The key's type suits the map: an array's is a 32-bit number, and only globals have none (`map_check_btf` of the
/// map types).
fn key_fits(definition: &MapDefinition, map_type: MapType, btf: &Btf) -> bool {
    let is_array = matches!(map_type, MapType::Array | MapType::PercpuArray);
    if definition.key_type == TypeId::VOID {
        let value = btf.resolve(definition.value_type);
        return map_type == MapType::Array
            && definition.max_entries == 1
            && matches!(btf.ty(value), Type::DataSection { .. });
    }
    let key = btf.ty(btf.resolve(definition.key_type));
    match map_type {
        MapType::LpmTrie => matches!(key, Type::Struct(_)),
        _ => !is_array || matches!(key, Type::Int { bits: 32, offset: 0, .. }),
    }
}
