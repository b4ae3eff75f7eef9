//! Each type by itself: names, sizes, offsets, linkage (`btf_check_all_metas`).

use super::{Externs, TypeRule};
use crate::btf::table::Btf;
use crate::btf::types::{Composite, IntEncoding, Linkage, SectionVariable, Type, TypeId};

/// `KSYM_NAME_LEN`: longest name.
const MAX_NAME: usize = 512;
/// `BITS_PER_U128`.
const MAX_INT_BITS: u32 = 128;
/// Sizes that a floating-point number may have.
const FLOAT_SIZES: [u32; 5] = [2, 4, 8, 12, 16];

/// Checks one type.
pub(super) fn check(btf: &Btf, id: TypeId, ty: &Type, externs: &Externs) -> Result<(), TypeRule> {
    let extern_here = externs.declarations.contains(&id);
    let linked = |linkage: Linkage| linkage != Linkage::Extern || extern_here;
    if btf.has_reserved_bits(id) {
        return Err(TypeRule::ReservedBits);
    }
    match ty {
        Type::Int { size, bits, offset, encoding, .. } => check_int(*size, *bits, *offset, *encoding),
        Type::Array { element, .. } if *element == TypeId::VOID => Err(TypeRule::Element),
        Type::Array { index, .. } if *index == TypeId::VOID => Err(TypeRule::Index),
        Type::Struct(composite) => check_composite(composite, false),
        Type::Union(composite) => check_composite(composite, true),
        Type::Enum { name, size, values, .. } => {
            require(matches!(size, 1 | 2 | 4 | 8), TypeRule::EnumSize)?;
            require(name.is_empty() || is_identifier(name), TypeRule::Name)?;
            require(values.iter().all(|(name, _)| is_identifier(name)), TypeRule::Name)
        }
        Type::Forward { name, .. } | Type::Typedef { name, .. } => require(is_identifier(name), TypeRule::Name),
        Type::Function { name, linkage, .. } => {
            require(is_identifier(name), TypeRule::Name)?;
            require(linked(*linkage), TypeRule::FunctionLinkage)
        }
        Type::Variable { name, type_id, linkage } => {
            require(is_identifier(name), TypeRule::Name)?;
            require(*type_id != TypeId::VOID || externs.symbols.contains(&id), TypeRule::TypeId)?;
            require(linked(*linkage), TypeRule::VariableLinkage)
        }
        Type::DataSection { name, size, variables } if externs.section != Some(id) => {
            require(*size > 0, TypeRule::TypeSize)?;
            require(is_section_name(name), TypeRule::Name)?;
            check_places(*size, variables)
        }
        Type::Float { size, .. } => require(FLOAT_SIZES.contains(size), TypeRule::TypeSize),
        Type::DeclTag { name, component, .. } => {
            require(!name.is_empty(), TypeRule::TagValue)?;
            require(component.is_none_or(|component| i32::try_from(component).is_ok()), TypeRule::Component)
        }
        Type::TypeTag { name, .. } => require(!name.is_empty(), TypeRule::Name),
        _ => Ok(()),
    }
}

fn require(holds: bool, rule: TypeRule) -> Result<(), TypeRule> {
    if holds { Ok(()) } else { Err(rule) }
}

fn check_int(size: u32, bits: u8, offset: u8, encoding: IntEncoding) -> Result<(), TypeRule> {
    let bits = u32::from(bits) + u32::from(offset);
    require(bits <= MAX_INT_BITS, TypeRule::TooManyBits)?;
    require(bits.div_ceil(8) <= size, TypeRule::BitsExceedSize)?;
    let encodings = [encoding.signed, encoding.char, encoding.bool];
    require(encodings.into_iter().filter(|&set| set).count() <= 1, TypeRule::Encoding)
}

fn check_composite(composite: &Composite, is_union: bool) -> Result<(), TypeRule> {
    require(composite.name.is_empty() || is_identifier(&composite.name), TypeRule::Name)?;
    let mut last = 0;
    for member in &composite.members {
        require(member.name.is_empty() || is_identifier(&member.name), TypeRule::Name)?;
        require(member.type_id != TypeId::VOID, TypeRule::TypeId)?;
        let offset = member.bit_offset;
        require(offset >= last && (offset == 0 || !is_union), TypeRule::MemberOffset)?;
        require(offset.div_ceil(8) <= composite.size, TypeRule::MemberOutside)?;
        last = offset;
    }
    Ok(())
}

fn check_places(size: u32, variables: &[SectionVariable]) -> Result<(), TypeRule> {
    let mut end = 0;
    for variable in variables {
        require(variable.type_id != TypeId::VOID, TypeRule::TypeId)?;
        require(variable.offset >= end && variable.offset < size, TypeRule::VariableOffset)?;
        require(variable.size > 0 && variable.size <= size - variable.offset, TypeRule::VariableSize)?;
        end = variable.offset + variable.size;
    }
    Ok(())
}

/// Letters, digits, `_` and `.`, no digit first (`btf_name_valid_identifier`). What is not ASCII never passes: of the
/// bytes of UTF-8 the kernel takes some for letters, but none of the continuation bytes.
pub(super) fn is_identifier(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    name.len() <= MAX_NAME
        && name.bytes().all(allowed)
        && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

/// Printable, which in the kernel's view the upper half of Latin-1 is too (`btf_name_valid_section`).
fn is_section_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(|byte| matches!(byte, 0x20..=0x7e | 0xa0..))
}
