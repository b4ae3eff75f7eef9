//! Walking a type: what lies at a byte, and what kind of contents it has.

use super::table::Btf;
use super::types::{Type, TypeId};

/// What lies at a byte of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPlace {
    /// How C names it, without a leading dot: `entries[3].key.port`; empty for the value itself.
    pub path: String,
    /// Type of the innermost thing that starts at or before the byte and covers it; modifiers and typedefs skipped.
    pub type_id: TypeId,
    /// Bytes from its start to the byte asked for.
    pub offset: u32,
    /// Width in bits if it is a bit-field, else 0.
    pub bitfield_size: u8,
}

impl Btf {
    /// What lies at `offset` bytes into a value of type `id`: follows structs, unions (the first member that covers
    /// the byte) and arrays to the innermost. `None` if the byte is outside or in padding.
    #[must_use]
    pub fn member_at(&self, id: TypeId, offset: u32) -> Option<FieldPlace> {
        let mut place = FieldPlace { path: String::new(), type_id: self.resolve(id), offset, bitfield_size: 0 };
        // Each step goes into a smaller type, but broken BTF may nest a type in itself.
        for _ in 0..64 {
            match self.ty(place.type_id) {
                Type::Struct(composite) | Type::Union(composite) => {
                    let member = composite.members.iter().find(|member| {
                        let size = match member.bitfield_size {
                            0 => self.size_of(member.type_id).unwrap_or(0),
                            bits => (member.bit_offset % 8 + u32::from(bits)).div_ceil(8),
                        };
                        place.offset.checked_sub(member.byte_offset()).is_some_and(|inside| inside < size)
                    })?;
                    if !member.name.is_empty() {
                        if !place.path.is_empty() {
                            place.path.push('.');
                        }
                        place.path.push_str(&member.name);
                    }
                    place.offset -= member.byte_offset();
                    place.type_id = self.resolve(member.type_id);
                    place.bitfield_size = member.bitfield_size;
                }
                Type::Array { element, count, .. } => {
                    let size = self.size_of(*element).filter(|&size| size > 0)?;
                    let index = place.offset / size;
                    if index >= *count {
                        return None;
                    }
                    place.path.push_str(&format!("[{index}]"));
                    place.offset %= size;
                    place.type_id = self.resolve(*element);
                }
                _ => return (place.offset < self.size_of(place.type_id)?).then_some(place),
            }
        }
        None
    }

    /// Is it a struct (or union) of numbers only: integers, enumerations, arrays of them, and such structs, nested at
    /// most four deep? What `bpf_percpu_obj_new` demands (`__btf_type_is_scalar_struct`, `kernel/bpf/verifier.c`,
    /// 6.12.117).
    #[must_use]
    pub fn is_struct_of_scalars(&self, id: TypeId) -> bool {
        self.is_scalar_struct(id, 0)
    }

    fn is_scalar_struct(&self, id: TypeId, depth: u32) -> bool {
        let scalar = |id: TypeId| matches!(self.ty(self.resolve(id)), Type::Int { .. } | Type::Enum { .. });
        let Some(composite) = self.ty(id).composite() else { return false };
        composite.members.iter().all(|member| match self.ty(self.resolve(member.type_id)) {
            Type::Struct(_) | Type::Union(_) => {
                depth < 3 && self.is_scalar_struct(self.resolve(member.type_id), depth + 1)
            }
            Type::Array { element, count, .. } => *count > 0 && scalar(*element),
            _ => scalar(member.type_id),
        })
    }
}
