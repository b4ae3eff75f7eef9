//! Finding fields in types, by name and by offset. Reports use it too, to name places in memory.

use crate::btf::fields::{self, SpecialFields};
use crate::btf::{Btf, Type, TypeId};

/// Nesting of anonymous structs that is looked into; types that nest deeper are broken.
const MAX_DEPTH: u32 = 16;

/// Byte offset and type of a member, also one inside anonymous structs and unions. Bit-fields are not found.
pub fn member(btf: &Btf, type_id: TypeId, name: &str) -> Option<(u32, TypeId)> {
    member_within(btf, type_id, name, MAX_DEPTH)
}

fn member_within(btf: &Btf, type_id: TypeId, name: &str, depth: u32) -> Option<(u32, TypeId)> {
    let composite = btf.ty(btf.resolve(type_id)).composite()?;
    for member in &composite.members {
        if *member.name == *name {
            return (member.bitfield_size == 0).then_some((member.byte_offset(), member.type_id));
        }
        if member.name.is_empty()
            && let Some((offset, inner)) = member_within(btf, member.type_id, name, depth.checked_sub(1)?)
        {
            return Some((member.byte_offset().checked_add(offset)?, inner));
        }
    }
    None
}

/// Byte offset and type of a member, `signal.flags` for one inside another.
pub fn field(btf: &Btf, type_id: TypeId, path: &str) -> Option<(u32, TypeId)> {
    let mut at = (0, type_id);
    for name in path.split('.') {
        let (offset, inner) = member(btf, at.1, name)?;
        at = (at.0 + offset, inner);
    }
    Some(at)
}

/// A variable of the kernel of which each CPU has a copy. Its address is none: where it is among all such variables.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerCpuVariable<'b> {
    /// Its name.
    pub name: &'b str,
    /// Its type.
    pub type_id: TypeId,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// All variables of which each CPU has a copy. Their section begins at 0 on x86-64, so that a symbol's value is an offset.
pub(super) fn per_cpu_variables(btf: &Btf) -> impl Iterator<Item = PerCpuVariable<'_>> {
    let section = btf.find(".data..percpu", |ty| matches!(ty, Type::DataSection { .. }));
    let variables = match section.map(|id| btf.ty(id)) {
        Some(Type::DataSection { variables, .. }) => &variables[..],
        _ => &[],
    };
    variables.iter().filter_map(|one| match btf.ty(one.type_id) {
        Type::Variable { name, type_id, .. } => {
            Some(PerCpuVariable { name, type_id: *type_id, offset: one.offset, size: one.size })
        }
        _ => None,
    })
}

/// The path of the field that contains a byte, such as `signal.flags`; `None` where there is none.
pub fn field_at(btf: &Btf, type_id: TypeId, offset: u32) -> Option<String> {
    let mut path = Vec::new();
    let mut at = (type_id, offset);
    for _ in 0..MAX_DEPTH {
        let Some(composite) = btf.ty(btf.resolve(at.0)).composite() else { break };
        let inside = |start: u32, id: TypeId| {
            at.1.checked_sub(start).is_some_and(|rest| btf.size_of(id).is_some_and(|size| rest < size))
        };
        let Some(found) = composite.members.iter().find(|m| inside(m.byte_offset(), m.type_id)) else { break };
        if !found.name.is_empty() {
            path.push(found.name.to_string());
        }
        at = (found.type_id, at.1 - found.byte_offset());
    }
    (!path.is_empty()).then(|| path.join("."))
}

/// The special fields of a type of the program; none where there are none or the kernel would refuse the type.
pub(super) fn special_fields(btf: Option<&Btf>, type_id: TypeId) -> SpecialFields {
    btf.and_then(|btf| fields::special_fields(btf, type_id).ok()).unwrap_or_default()
}
