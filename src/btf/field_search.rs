//! Finding a type's special fields.
//!
//! Follows `btf_find_field`, `btf_find_kptr`, `btf_find_graph_root` and `btf_parse_fields` (`kernel/bpf/btf.c`,
//! 6.12.117), with their errors.

use rustc_hash::FxHashMap;
use thiserror::Error;

use super::fields::{FieldKind, GraphRoot, SpecialField, SpecialFields};
use super::table::Btf;
use super::types::{Type, TypeId};

/// `BTF_FIELDS_MAX`: most special fields of one type.
const MAX_FIELDS: usize = 11;
/// `MAX_RESOLVE_DEPTH`.
const MAX_DEPTH: u32 = 32;
/// Fields looked at for one type before giving up; the kernel is bounded by the sizes that it has checked before.
const MAX_STEPS: u32 = 1 << 16;
/// `BTF_MAX_OWNERSHIP_DEPTH`: how deep objects may own objects.
const MAX_OWNERSHIP_DEPTH: u32 = 8;

const E2BIG: i32 = 7;
const EINVAL: i32 = 22;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const EFAULT: i32 = 14;
const ELOOP: i32 = 40;

/// Why a type's special fields are not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// More fields, nesting or repetition than the kernel takes.
    #[error("too many special fields, or nested too deeply")]
    TooMany,
    /// A second field of a kind of which one is allowed.
    #[error("a second {0:?} in one type")]
    Repeated(FieldKind),
    /// An array of fields that must not be in arrays.
    #[error("a {0:?} must not be in an array")]
    InArray(FieldKind),
    /// A pointer with a tag the kernel does not know, with several, or to something that is no struct.
    #[error(
        "a tagged pointer at byte {0} is no kptr: its tag is unknown, not the only one, or its target is no struct"
    )]
    BadPointer(u32),
    /// A list or tree without a usable `contains:` tag.
    #[error("the root at byte {0} lacks a usable 'contains:' tag")]
    BadRoot(u32),
    /// The struct or the node that a `contains:` tag names does not exist.
    #[error("the struct or node that the root at byte {0} contains does not exist")]
    MissingNode(u32),
    /// The node that a `contains:` tag names is not of the right type.
    #[error("the node that the root at byte {0} contains has the wrong type or place")]
    BadNode(u32),
    /// Fields that overlap.
    #[error("the special field at byte {0} overlaps another")]
    Overlap(u32),
    /// A field past the end.
    #[error("the special field at byte {0} reaches past the end")]
    OutOfBounds(u32),
    /// A list or tree without a lock beside it.
    #[error("a list head or tree root needs a bpf_spin_lock in the same type")]
    NoLock,
    /// Nodes of both kinds without a reference count.
    #[error("a type with nodes of both list and tree needs a bpf_refcount")]
    NoRefcount,
    /// A field that does not start at a whole byte, or a type that can have no fields.
    #[error("the type cannot have special fields")]
    NotAStruct,
    /// A pointer that owns a kernel object which nothing in the kernel frees.
    #[error("the kernel cannot free what the pointer at byte {0} owns")]
    NoDestructor(u32),
    /// Objects that own objects, too deep or in a circle.
    #[error("objects own objects deeper than eight levels, or in a circle")]
    OwnershipDepth,
}

impl FieldError {
    /// The kernel's error number, positive.
    #[must_use]
    pub fn errno(self) -> i32 {
        match self {
            FieldError::TooMany | FieldError::Repeated(_) => E2BIG,
            FieldError::MissingNode(_) | FieldError::NoDestructor(_) => ENOENT,
            FieldError::Overlap(_) => EEXIST,
            FieldError::OutOfBounds(_) => EFAULT,
            FieldError::OwnershipDepth => ELOOP,
            FieldError::InArray(_)
            | FieldError::BadPointer(_)
            | FieldError::BadRoot(_)
            | FieldError::BadNode(_)
            | FieldError::NoLock
            | FieldError::NoRefcount
            | FieldError::NotAStruct => EINVAL,
        }
    }
}

/// What holds the fields, which decides the kinds that the kernel looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A map's value (`map_check_btf`).
    MapValue,
    /// A struct that programs may allocate (`btf_parse_struct_metas`).
    LocalObject,
    /// Anything: all kinds.
    Any,
}

/// What the kernel has under a struct's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelStruct {
    /// Nothing: such a struct is the program's own.
    Unknown,
    /// A struct whose objects it can free.
    Freed,
    /// A struct whose objects it cannot free.
    NotFreed,
}

impl Holder {
    fn allows(self, kind: FieldKind) -> bool {
        match self {
            Holder::Any => true,
            Holder::MapValue => !matches!(kind, FieldKind::ListNode | FieldKind::RbNode),
            Holder::LocalObject => !matches!(kind, FieldKind::Timer | FieldKind::WorkQueue),
        }
    }
}

/// The special fields of a struct, or of a data section's variables, of every kind.
///
/// # Errors
/// [`FieldError`] where the kernel refuses the type.
pub fn special_fields(btf: &Btf, id: TypeId) -> Result<SpecialFields, FieldError> {
    special_fields_in(btf, id, Holder::Any, &|_| KernelStruct::Unknown)
}

/// The special fields of the kinds that the kernel looks for in such a holder. `id` is a struct or a data section;
/// the kernel takes it as it stands, so a typedef of a struct has none. `kernel` tells the kernel's structs by name.
///
/// # Errors
/// [`FieldError`] where the kernel refuses the type.
pub fn special_fields_in(
    btf: &Btf,
    id: TypeId,
    holder: Holder,
    kernel: &dyn Fn(&str) -> KernelStruct,
) -> Result<SpecialFields, FieldError> {
    let fields = parse(btf, &Tags::of(btf), id, holder)?;
    check_destructors(btf, &fields, kernel)?;
    Ok(fields)
}

/// An owning pointer to a kernel object needs something that frees the object (`btf_parse_kptr`).
fn check_destructors(
    btf: &Btf,
    fields: &SpecialFields,
    kernel: &dyn Fn(&str) -> KernelStruct,
) -> Result<(), FieldError> {
    for field in &fields.fields {
        if field.kind == FieldKind::KptrReferenced
            && let Some(target) = field.kptr
            && kernel(btf.ty(target).name()) == KernelStruct::NotFreed
        {
            return Err(FieldError::NoDestructor(field.offset));
        }
    }
    Ok(())
}

/// The special fields of every struct of a program that has any, as the kernel finds them when it loads the
/// program's BTF (`btf_parse_struct_metas`). `kernel` tells the kernel's structs by name.
///
/// # Errors
/// [`FieldError`] where the kernel refuses the whole BTF, with the struct at fault.
pub fn local_structs(
    btf: &Btf,
    kernel: &dyn Fn(&str) -> KernelStruct,
) -> Result<FxHashMap<TypeId, SpecialFields>, (TypeId, FieldError)> {
    let tags = Tags::of(btf);
    let is_special = |id: TypeId| match btf.ty(id) {
        Type::Struct(composite) => {
            LOCAL_KINDS.iter().any(|kind| kind.struct_name() == Some(&*composite.name))
                && btf.find_struct(&composite.name) == Some(id)
        }
        ty => matches!(kptr(btf, ty, 0), Ok(Some(_))),
    };
    let mut found = FxHashMap::default();
    for (id, ty) in btf.iter() {
        let Type::Struct(composite) = ty else { continue };
        if !composite.members.iter().any(|member| is_special(member.type_id)) {
            continue;
        }
        let fields = parse(btf, &tags, id, Holder::LocalObject).map_err(|error| (id, error))?;
        check_destructors(btf, &fields, kernel).map_err(|error| (id, error))?;
        if fields.is_empty() {
            return Err((id, FieldError::OutOfBounds(0)));
        }
        found.insert(id, fields);
    }
    let owns = |field: &SpecialField| match field.kind {
        FieldKind::KptrReferenced | FieldKind::KptrPercpu => {
            field.kptr.filter(|&target| kernel(btf.ty(target).name()) == KernelStruct::Unknown)
        }
        _ => field.root.map(|root| root.value_type),
    };
    let mut depths = FxHashMap::default();
    for &id in found.keys() {
        ownership_depth(&found, &owns, &mut depths, id, MAX_OWNERSHIP_DEPTH).map_err(|error| (id, error))?;
    }
    Ok(found)
}

/// Kinds by which a struct of a program is recognised as one with special fields (`alloc_obj_fields`).
const LOCAL_KINDS: [FieldKind; 6] = [
    FieldKind::SpinLock,
    FieldKind::ListHead,
    FieldKind::ListNode,
    FieldKind::RbRoot,
    FieldKind::RbNode,
    FieldKind::Refcount,
];

/// How many levels of objects are freed with one (`btf_ownership_depth`); `owns` tells the struct that a field owns.
fn ownership_depth(
    structs: &FxHashMap<TypeId, SpecialFields>,
    owns: &dyn Fn(&SpecialField) -> Option<TypeId>,
    depths: &mut FxHashMap<TypeId, u32>,
    id: TypeId,
    left: u32,
) -> Result<u32, FieldError> {
    if left == 0 {
        return Err(FieldError::OwnershipDepth);
    }
    let known = depths.get(&id).copied();
    let depth = match known {
        Some(depth) => depth,
        None => {
            let mut deepest = 0;
            for field in structs.get(&id).map_or(&[][..], |fields| &fields.fields) {
                if let Some(owned) = owns(field).filter(|owned| structs.contains_key(owned)) {
                    deepest = deepest.max(ownership_depth(structs, owns, depths, owned, left - 1)?);
                }
            }
            deepest + 1
        }
    };
    depths.insert(id, depth);
    if depth > left { Err(FieldError::OwnershipDepth) } else { Ok(depth) }
}

/// `contains:` tags by the type that they tag.
struct Tags<'btf>(FxHashMap<TypeId, Vec<(Option<u32>, &'btf str)>>);

impl<'btf> Tags<'btf> {
    fn of(btf: &'btf Btf) -> Self {
        let mut tags = FxHashMap::<_, Vec<_>>::default();
        for (_, ty) in btf.iter() {
            if let Type::DeclTag { name, target, component } = ty
                && let Some(value) = name.strip_prefix("contains:")
            {
                tags.entry(*target).or_default().push((*component, value));
            }
        }
        Tags(tags)
    }

    /// The value of the only such tag.
    fn only(&self, target: TypeId, component: Option<u32>) -> Option<&'btf str> {
        let mut values = self.0.get(&target)?.iter().filter(|(of, _)| *of == component);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(*value)
    }
}

/// A field as the search finds it, before its target is looked at.
#[derive(Clone, Copy)]
struct Found<'btf> {
    kind: FieldKind,
    offset: u32,
    kptr: Option<TypeId>,
    /// Struct and node name that a root contains.
    contains: Option<(TypeId, &'btf str)>,
}

struct Search<'btf> {
    btf: &'btf Btf,
    tags: &'btf Tags<'btf>,
    holder: Holder,
    found: Vec<Found<'btf>>,
    seen: Vec<FieldKind>,
    steps: u32,
}

fn parse(btf: &Btf, tags: &Tags<'_>, id: TypeId, holder: Holder) -> Result<SpecialFields, FieldError> {
    let mut search = Search { btf, tags, holder, found: Vec::new(), seen: Vec::new(), steps: 0 };
    let size = match btf.ty(id) {
        Type::Struct(composite) => {
            search.members(id, 0)?;
            composite.size
        }
        Type::DataSection { size, variables, .. } => {
            for variable in variables {
                if let Type::Variable { type_id, .. } = btf.ty(variable.type_id) {
                    search.field((variable.type_id, None), *type_id, variable.offset, variable.size, 0)?;
                }
            }
            *size
        }
        _ => return Err(FieldError::NotAStruct),
    };
    finish(btf, &search.found, size)
}

/// `btf_parse_fields` after the search: order, bounds, and what goes with what.
fn finish(btf: &Btf, found: &[Found<'_>], size: u32) -> Result<SpecialFields, FieldError> {
    let mut fields = SpecialFields::default();
    let mut next = 0;
    for field in found {
        let end = field.offset.saturating_add(field.kind.size());
        if end > size {
            return Err(FieldError::OutOfBounds(field.offset));
        }
        if field.offset < next {
            return Err(FieldError::Overlap(field.offset));
        }
        next = end;
        let root = field.contains.map(|contains| graph_root(btf, field, contains)).transpose()?;
        fields.fields.push(SpecialField {
            kind: field.kind,
            offset: field.offset,
            size: field.kind.size(),
            kptr: field.kptr,
            root,
        });
    }
    if fields.fields.iter().any(|field| field.kind.is_root()) && !fields.has(FieldKind::SpinLock) {
        return Err(FieldError::NoLock);
    }
    let both = fields.has(FieldKind::ListNode) && fields.has(FieldKind::RbNode);
    if both && !fields.has(FieldKind::Refcount) {
        return Err(FieldError::NoRefcount);
    }
    Ok(fields)
}

/// `btf_parse_graph_root`.
fn graph_root(btf: &Btf, field: &Found<'_>, (value_type, node): (TypeId, &str)) -> Result<GraphRoot, FieldError> {
    let wanted = if field.kind == FieldKind::ListHead { FieldKind::ListNode } else { FieldKind::RbNode };
    let bad = FieldError::BadNode(field.offset);
    let mut offset = None;
    for member in btf.ty(value_type).composite().map_or(&[][..], |composite| &composite.members) {
        if &*member.name != node {
            continue;
        }
        let Type::Struct(composite) = btf.ty(member.type_id) else { return Err(bad) };
        let aligned = member.bit_offset.is_multiple_of(8) && member.byte_offset().is_multiple_of(wanted.alignment());
        if offset.is_some() || wanted.struct_name() != Some(&*composite.name) || !aligned {
            return Err(bad);
        }
        offset = Some(member.byte_offset());
    }
    let node_offset = offset.ok_or(FieldError::MissingNode(field.offset))?;
    Ok(GraphRoot { value_type, node_offset })
}

/// `btf_find_kptr`: a pointer whose only tag names a kind of kptr.
fn kptr(btf: &Btf, ty: &Type, offset: u32) -> Result<Option<(FieldKind, TypeId)>, FieldError> {
    let ty = match ty {
        Type::Volatile { target } => btf.ty(*target),
        ty => ty,
    };
    let Type::Pointer { target } = ty else { return Ok(None) };
    let Type::TypeTag { name, target } = btf.ty(*target) else { return Ok(None) };
    let bad = Err(FieldError::BadPointer(offset));
    if matches!(btf.ty(*target), Type::TypeTag { .. }) {
        return bad;
    }
    let kind = match &**name {
        "kptr_untrusted" => FieldKind::KptrUntrusted,
        "kptr" => FieldKind::KptrReferenced,
        "percpu_kptr" => FieldKind::KptrPercpu,
        _ => return bad,
    };
    let target = btf.resolve(*target);
    if matches!(btf.ty(target), Type::Struct(_)) { Ok(Some((kind, target))) } else { bad }
}

impl<'btf> Search<'btf> {
    fn members(&mut self, id: TypeId, level: u32) -> Result<(), FieldError> {
        let btf = self.btf;
        let Type::Struct(composite) = btf.ty(id) else { return Ok(()) };
        for (index, member) in composite.members.iter().enumerate() {
            // The kernel refuses bit-fields, too, if they do not start at a whole byte.
            if !member.bit_offset.is_multiple_of(8) {
                return Err(FieldError::NotAStruct);
            }
            self.field((id, Some(index as u32)), member.type_id, member.byte_offset(), 0, level)?;
        }
        Ok(())
    }

    /// `btf_find_field_one`: a member or variable; `tagged` is what a `contains:` tag would be on.
    fn field(
        &mut self,
        tagged: (TypeId, Option<u32>),
        mut id: TypeId,
        offset: u32,
        expected: u32,
        level: u32,
    ) -> Result<(), FieldError> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(FieldError::TooMany);
        }
        let mut count = 1u32;
        let mut depth = 0;
        while let Type::Array { element, count: elements, .. } = self.btf.ty(id) {
            count = count.wrapping_mul(*elements);
            id = *element;
            depth += 1;
            if depth == MAX_DEPTH {
                return Err(FieldError::TooMany);
            }
        }
        if count == 0 {
            return Ok(());
        }
        let first = self.found.len();
        let fits = |size: u32| expected == 0 || expected == size.wrapping_mul(count);
        match (self.kind_by_name(id)?, self.btf.ty(id)) {
            (None, Type::Struct(composite)) => {
                if !fits(composite.size) {
                    return Ok(());
                }
                if level + 1 >= MAX_DEPTH {
                    return Err(FieldError::TooMany);
                }
                self.members(id, level + 1)?;
                for field in self.found.get_mut(first..).unwrap_or_default() {
                    field.offset = field.offset.wrapping_add(offset);
                }
                self.repeat(first, count, composite.size)
            }
            (kind, _) => {
                let size = kind.map_or(8, FieldKind::size);
                if !fits(size) || !offset.is_multiple_of(kind.map_or(8, FieldKind::alignment)) {
                    return Ok(());
                }
                let Some(field) = self.identify(tagged, id, kind, offset)? else { return Ok(()) };
                if self.found.len() >= MAX_FIELDS {
                    return Err(FieldError::TooMany);
                }
                self.found.push(field);
                self.repeat(first, count, size)
            }
        }
    }

    /// The kind that the type's name says, noting those of which there may be one (`btf_get_field_type`).
    fn kind_by_name(&mut self, id: TypeId) -> Result<Option<FieldKind>, FieldError> {
        const NAMED: [(FieldKind, bool); 8] = [
            (FieldKind::SpinLock, true),
            (FieldKind::Timer, true),
            (FieldKind::WorkQueue, true),
            (FieldKind::ListHead, false),
            (FieldKind::ListNode, false),
            (FieldKind::RbRoot, false),
            (FieldKind::RbNode, false),
            (FieldKind::Refcount, true),
        ];
        let name = self.btf.ty(id).name();
        let hit = NAMED.iter().find(|(kind, _)| self.holder.allows(*kind) && kind.struct_name() == Some(name));
        let Some(&(kind, single)) = hit else { return Ok(None) };
        if single {
            if self.seen.contains(&kind) {
                return Err(FieldError::Repeated(kind));
            }
            self.seen.push(kind);
        }
        Ok(Some(kind))
    }

    /// The field itself, if the type is what its name or place makes it look like.
    fn identify(
        &self,
        tagged: (TypeId, Option<u32>),
        id: TypeId,
        kind: Option<FieldKind>,
        offset: u32,
    ) -> Result<Option<Found<'btf>>, FieldError> {
        let btf = self.btf;
        let Some(kind) = kind else {
            let found = kptr(btf, btf.ty(id), offset)?;
            return Ok(found.map(|(kind, target)| Found { kind, offset, kptr: Some(target), contains: None }));
        };
        if !matches!(btf.ty(id), Type::Struct(composite) if composite.size == kind.size()) {
            return Ok(None);
        }
        let contains = if kind.is_root() { Some(self.contains(tagged, offset)?) } else { None };
        Ok(Some(Found { kind, offset, kptr: None, contains }))
    }

    /// Struct and node that the root's tag names (`btf_find_graph_root`).
    fn contains(&self, tagged: (TypeId, Option<u32>), offset: u32) -> Result<(TypeId, &'btf str), FieldError> {
        let bad = FieldError::BadRoot(offset);
        let (value, node) = self.tags.only(tagged.0, tagged.1).and_then(|tag| tag.split_once(':')).ok_or(bad)?;
        let value = self.btf.find_struct(value).ok_or(FieldError::MissingNode(offset))?;
        if node.is_empty() { Err(bad) } else { Ok((value, node)) }
    }

    /// `btf_repeat_fields`: the fields from `first` on, for each further element of an array.
    fn repeat(&mut self, first: usize, count: u32, element: u32) -> Result<(), FieldError> {
        let fields = self.found.len() - first;
        if count <= 1 || fields == 0 {
            return Ok(());
        }
        let template: Vec<_> = self.found.get(first..).unwrap_or_default().to_vec();
        if let Some(field) = template.iter().find(|field| !field.kind.is_kptr() && !field.kind.is_root()) {
            return Err(FieldError::InArray(field.kind));
        }
        if (fields as u64) * u64::from(count) + first as u64 > MAX_FIELDS as u64 {
            return Err(FieldError::TooMany);
        }
        for index in 1..count {
            self.found.extend(
                template
                    .iter()
                    .map(|field| Found { offset: field.offset.wrapping_add(index.wrapping_mul(element)), ..*field }),
            );
        }
        Ok(())
    }
}
