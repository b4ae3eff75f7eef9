//! Finding fields in types, by name and by offset. Reports use it too, to name places in memory.

use crate::btf::{Btf, TypeId};

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

/// Special fields of a map's value that updates leave alone, as (offset, size) by ascending offset. Arrays of
/// structs are looked into; pointers count if they carry a kptr tag.
pub(super) fn special_spans(btf: Option<&Btf>, type_id: TypeId) -> Vec<(u32, u32)> {
    let mut spans = Vec::new();
    if let Some(btf) = btf {
        collect_specials(btf, type_id, 0, MAX_DEPTH, &mut spans);
    }
    spans.sort_unstable();
    spans
}

/// Structs that the kernel owns inside a map's value.
const SPECIAL_STRUCTS: [&str; 8] = [
    "bpf_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_list_head",
    "bpf_list_node",
    "bpf_rb_root",
    "bpf_rb_node",
    "bpf_refcount",
];
const SPECIAL_TAGS: [&str; 3] = ["kptr", "kptr_untrusted", "percpu_kptr"];

/// More elements of an array than this are not looked into (`BTF_FIELDS_MAX` is far less).
const MAX_ELEMENTS: u32 = 64;

fn collect_specials(btf: &Btf, type_id: TypeId, base: u32, depth: u32, spans: &mut Vec<(u32, u32)>) {
    use crate::btf::Type;
    if depth == 0 || spans.len() > 64 {
        return;
    }
    match btf.ty(btf.resolve(type_id)) {
        Type::Struct(composite) if SPECIAL_STRUCTS.contains(&&*composite.name) => spans.push((base, composite.size)),
        Type::Struct(composite) => {
            for member in &composite.members {
                let offset = base.saturating_add(member.byte_offset());
                collect_specials(btf, member.type_id, offset, depth - 1, spans);
            }
        }
        Type::Array { element, count, .. } => {
            let size = btf.size_of(*element).unwrap_or(0);
            for index in 0..(*count).min(MAX_ELEMENTS) {
                let offset = base.saturating_add(index.saturating_mul(size));
                collect_specials(btf, *element, offset, depth - 1, spans);
            }
        }
        Type::Pointer { target } => {
            if matches!(btf.ty(*target), Type::TypeTag { name, .. } if SPECIAL_TAGS.contains(&&**name)) {
                spans.push((base, 8));
            }
        }
        _ => {}
    }
}
