//! What lies at an offset of a struct: a number, a nested struct, or a pointer to one.
//!
//! `btf_struct_walk`, `btf_struct_access` and `btf_struct_ids_match`, `kernel/bpf/btf.c`, Linux 6.12. Pure: types in,
//! an answer or a broken rule out.

use super::rule::Rule;
use super::value::Trust;
use crate::btf::{Btf, Composite, Member, Type, TypeId};

/// What an access of a struct finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A number, or something that is read as one.
    Scalar,
    /// A struct that starts just there.
    Struct(TypeId),
    /// A pointer to a struct.
    Pointer {
        /// The struct.
        target: TypeId,
        /// Name of the field that holds the pointer.
        field: String,
        /// Tag on the pointer.
        tag: PointerTag,
        /// Was it reached through a union of several members?
        untrusted: bool,
    },
}

/// The type tags that matter on a kernel struct's pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointerTag {
    /// None of them.
    #[default]
    None,
    /// `__user`.
    User,
    /// `__percpu`.
    Percpu,
    /// `__rcu`.
    Rcu,
}

impl PointerTag {
    /// The tag as a pointer's trust.
    #[must_use]
    pub fn trust(self) -> Trust {
        if self == PointerTag::Rcu { Trust::Rcu } else { Trust::Plain }
    }
}

/// Nested structs are finite, but a hostile type table may not be.
const MAX_STEPS: usize = 64;

/// A walk into nested structs, one level after the other.
pub struct Walk<'a> {
    /// The table of types.
    pub btf: &'a Btf,
    /// Bytes accessed.
    pub size: u32,
    /// May an access go on behind the struct into its flexible array?
    pub flexible: bool,
    /// Was a union of several members passed?
    pub untrusted: bool,
}

impl Walk<'_> {
    /// What is at `offset` of the struct `id`, nested structs left unopened only if the access starts with one.
    ///
    /// # Errors
    /// The rule that the access breaks.
    pub fn step(&mut self, mut id: TypeId, mut offset: u32) -> Result<Found, Rule> {
        for _ in 0..MAX_STEPS {
            id = self.btf.resolve(id);
            let Some(composite) = self.btf.ty(id).composite() else {
                return Err(Rule::NotAStruct { name: shown(self.btf.ty(id).name()) });
            };
            if matches!(self.btf.ty(id), Type::Union(_)) && composite.members.len() != 1 {
                self.untrusted = true;
            }
            if u64::from(offset) + u64::from(self.size) > u64::from(composite.size) {
                match self.flexible_element(composite, offset)? {
                    Some((element, inside)) => {
                        (id, offset) = (element, inside);
                        continue;
                    }
                    None => return Ok(Found::Scalar),
                }
            }
            match self.member_at(composite, offset)? {
                Level::Found(found) => return Ok(found),
                Level::Inside(inner, inside) => (id, offset) = (inner, inside),
            }
        }
        Err(Rule::NotAStruct { name: shown(self.btf.ty(id).name()) })
    }

    /// The element of the flexible array behind a struct: its struct and the offset in it, or `None` for numbers.
    fn flexible_element(&self, composite: &Composite, offset: u32) -> Result<Option<(TypeId, u32)>, Rule> {
        let beyond = || Rule::BeyondStruct { name: shown(&composite.name), offset, size: self.size };
        let last = composite.members.last().filter(|_| self.flexible).ok_or_else(beyond)?;
        let Type::Array { element, count: 0, .. } = self.btf.ty(self.btf.resolve(last.type_id)) else {
            return Err(beyond());
        };
        let inside = offset.checked_sub(last.byte_offset()).ok_or_else(beyond)?;
        let element = self.btf.resolve(*element);
        match self.btf.ty(element) {
            Type::Int { .. } => Ok(None),
            Type::Struct(inner) | Type::Union(inner) if inner.size > 0 => Ok(Some((element, inside % inner.size))),
            _ => Err(beyond()),
        }
    }

    fn member_at(&mut self, composite: &Composite, offset: u32) -> Result<Level, Rule> {
        let end = offset + self.size;
        for member in &composite.members {
            let start = member.byte_offset();
            if end <= start {
                break;
            }
            if member.bitfield_size != 0 {
                let last_bit = member.bit_offset + u32::from(member.bitfield_size);
                if offset <= start && last_bit.div_ceil(8) <= end {
                    return Ok(Level::Found(Found::Scalar));
                }
                continue;
            }
            if offset < start {
                break;
            }
            if let Some(found) = self.enter_member(composite, member, offset)? {
                return Ok(found);
            }
        }
        Err(Rule::NoFieldAtOffset { name: shown(&composite.name), offset, size: self.size })
    }

    /// The member, if the access is in it.
    fn enter_member(&mut self, composite: &Composite, member: &Member, offset: u32) -> Result<Option<Level>, Rule> {
        let Some(size) = self.btf.size_of(member.type_id) else {
            return Err(Rule::FieldWithoutSize { field: shown(&member.name) });
        };
        let member_start = member.byte_offset();
        let member_end = member_start.saturating_add(size);
        if offset >= member_end {
            return Ok(None);
        }
        let (mut ty, mut start, mut size) = (self.btf.resolve(member.type_id), member_start, size);
        while let Type::Array { element, .. } = self.btf.ty(ty) {
            let element = self.btf.resolve(*element);
            size = self.btf.size_of(element).unwrap_or(0);
            if size == 0 {
                return Ok(None);
            }
            start += (offset - start) / size * size;
            ty = element;
        }
        match self.btf.ty(ty) {
            Type::Struct(_) | Type::Union(_) if offset == start => return Ok(Some(Level::Found(Found::Struct(ty)))),
            Type::Struct(_) | Type::Union(_) => return Ok(Some(Level::Inside(ty, offset - start))),
            Type::Pointer { target } => {
                if size != self.size || offset != start {
                    return Err(Rule::PartOfPointerField {
                        field: shown(&member.name),
                        start,
                        name: shown(&composite.name),
                        offset,
                        size: self.size,
                    });
                }
                if let Some(found) = self.pointer_to(*target, member) {
                    return Ok(Some(Level::Found(found)));
                }
            }
            _ => {}
        }
        if offset + self.size > member_end && !self.untrusted {
            return Err(Rule::BeyondField {
                field: shown(&member.name),
                end: member_end,
                name: shown(&composite.name),
                offset,
                size: self.size,
            });
        }
        Ok(Some(Level::Found(Found::Scalar)))
    }

    fn pointer_to(&self, target: TypeId, member: &Member) -> Option<Found> {
        let tag = match self.btf.ty(target) {
            Type::TypeTag { name, .. } => match &**name {
                "user" => PointerTag::User,
                "percpu" => PointerTag::Percpu,
                "rcu" => PointerTag::Rcu,
                _ => PointerTag::None,
            },
            _ => PointerTag::None,
        };
        let target = self.btf.resolve(target);
        self.btf.ty(target).composite()?;
        Some(Found::Pointer { target, field: member.name.to_string(), tag, untrusted: self.untrusted })
    }
}

/// One level of the walk.
enum Level {
    Found(Found),
    /// Inside a nested struct, at that offset of it.
    Inside(TypeId, u32),
}

/// What an access of a struct reads, nested structs opened down to the last.
///
/// # Errors
/// The rule that the access breaks.
pub fn access(btf: &Btf, id: TypeId, offset: u32, size: u32, flexible: bool) -> Result<Found, Rule> {
    let mut walk = Walk { btf, size, flexible, untrusted: false };
    let (mut id, mut offset) = (id, offset);
    for _ in 0..MAX_STEPS {
        match walk.step(id, offset)? {
            Found::Struct(inner) => (id, offset) = (inner, 0),
            found => return Ok(found),
        }
    }
    Err(Rule::NotAStruct { name: shown(btf.ty(id).name()) })
}

/// Is there a struct `wanted` at `offset` of the struct `id`, itself or as the first member of what is there?
pub fn has_struct_at(btf: &Btf, id: TypeId, offset: u32, flexible: bool, wanted: impl Fn(TypeId) -> bool) -> bool {
    let mut walk = Walk { btf, size: 1, flexible, untrusted: false };
    let (mut id, mut offset) = (id, offset);
    for _ in 0..MAX_STEPS {
        match walk.step(id, offset) {
            Ok(Found::Struct(inner)) if wanted(inner) => return true,
            Ok(Found::Struct(inner)) => (id, offset) = (inner, 0),
            _ => return false,
        }
    }
    false
}

/// The name of a type or member as messages have it (`__btf_name_by_offset`).
#[must_use]
pub fn shown(name: &str) -> String {
    if name.is_empty() { "(anon)".to_owned() } else { name.to_owned() }
}
