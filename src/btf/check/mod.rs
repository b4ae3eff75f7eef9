//! What the kernel requires of the types that a program brings along, before it takes them.
//!
//! Follows `btf_parse` and what it calls (`kernel/bpf/btf.c`, Linux 6.12), as far as it concerns types: `meta` looks
//! at each type alone, `resolve` at what types refer to, and here the order of tags is checked. Externs are seen as
//! libbpf rewrites them before it loads the types (`bpf_object__collect_externs`, `tools/lib/bpf/libbpf.c`): as
//! variables and functions of the program. Special fields are a matter of [`field_search`](super::field_search).

mod meta;
mod resolve;
#[cfg(test)]
mod tests;

use std::fmt;

use rustc_hash::FxHashSet;
use thiserror::Error;

use super::table::Btf;
use super::types::{Type, TypeId};

/// `MAX_RESOLVE_DEPTH`: modifiers in a row, and types inside each other.
const MAX_DEPTH: usize = 32;
/// `BTF_MAX_NAME_OFFSET`.
const MAX_NAME_OFFSET: usize = 0xff_ffff;

/// What is wrong with a type; [`fmt::Display`] gives the words of the kernel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeRule {
    /// Bits, a name or a size where the kind of type has none.
    ReservedBits,
    /// The name is missing, or not one that the kernel takes.
    Name,
    /// The text of a declaration tag is missing.
    TagValue,
    /// An integer of several encodings.
    Encoding,
    /// An integer of more than 128 bits.
    TooManyBits,
    /// An integer of more bits than its size has.
    BitsExceedSize,
    /// The size of an enumeration.
    EnumSize,
    /// The size of a floating-point number, or of an empty data section.
    TypeSize,
    /// It refers to a type that must not stand there.
    TypeId,
    /// The element of an array.
    Element,
    /// The index of an array.
    Index,
    /// An array of bit-fields.
    ArrayOfBits,
    /// An array larger than a 32-bit number says.
    ArraySize,
    /// The offset of a member.
    MemberOffset,
    /// A member that starts behind the end.
    MemberOutside,
    /// A member that is not aligned.
    MemberAlignment,
    /// A member that reaches past the end.
    MemberSize,
    /// The width of a bit-field.
    BitfieldSize,
    /// A member whose type cannot be one.
    Member,
    /// The linkage of a function.
    FunctionLinkage,
    /// The linkage of a variable.
    VariableLinkage,
    /// The place of a variable in its section.
    VariableOffset,
    /// The size of a variable in its section.
    VariableSize,
    /// Something in a data section that is no variable.
    NotAVariable,
    /// Which member or parameter a declaration tag is for.
    Component,
    /// What a function returns.
    ReturnType,
    /// A parameter, from 1.
    Argument(usize),
    /// Types inside each other, or chains, too deep.
    TooDeep,
    /// A type that contains itself.
    Loop,
    /// A type tag behind a modifier.
    TagAfterModifier,
    /// There are no types.
    NoTypes,
    /// The string section is too long.
    Strings,
}

impl fmt::Display for TypeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            TypeRule::ReservedBits => "Invalid btf_info",
            TypeRule::Name => "Invalid name",
            TypeRule::TagValue => "Invalid value",
            TypeRule::Encoding => "Unsupported encoding",
            TypeRule::TooManyBits => "nr_bits exceeds 128",
            TypeRule::BitsExceedSize => "nr_bits exceeds type_size",
            TypeRule::EnumSize => "Unexpected size",
            TypeRule::TypeSize => "Invalid type_size",
            TypeRule::TypeId => "Invalid type_id",
            TypeRule::Element => "Invalid elem",
            TypeRule::Index => "Invalid index",
            TypeRule::ArrayOfBits => "Invalid array of int",
            TypeRule::ArraySize => "Array size overflows U32_MAX",
            TypeRule::MemberOffset => "Invalid member bits_offset",
            TypeRule::MemberOutside => "Member bits_offset exceeds its struct size",
            TypeRule::MemberAlignment => "Member is not byte aligned",
            TypeRule::MemberSize => "Member exceeds struct_size",
            TypeRule::BitfieldSize => "Invalid member bitfield_size",
            TypeRule::Member => "Invalid member",
            TypeRule::FunctionLinkage => "Invalid func linkage",
            TypeRule::VariableLinkage => "Linkage not supported",
            TypeRule::VariableOffset => "Invalid offset",
            TypeRule::VariableSize => "Invalid size",
            TypeRule::NotAVariable => "Not a VAR kind member",
            TypeRule::Component => "Invalid component_idx",
            TypeRule::ReturnType => "Invalid return type",
            TypeRule::Argument(number) => return write!(f, "Invalid arg#{number}"),
            TypeRule::TooDeep => "Exceeded max resolving depth:32",
            TypeRule::Loop => "Loop detected",
            TypeRule::TagAfterModifier => "Type tags don't precede modifiers",
            TypeRule::NoTypes => "No type found",
            TypeRule::Strings => "Invalid string section",
        };
        f.write_str(text)
    }
}

/// The first type that the kernel refuses, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("type {type_id}: {rule}")]
pub struct RefusedType {
    /// The type; `void` where the types as a whole are refused.
    pub type_id: TypeId,
    /// What is wrong with it.
    pub rule: TypeRule,
}

/// Would the kernel take these types, special fields aside (`btf_parse`)?
///
/// # Errors
/// [`RefusedType`]: the first type that it refuses.
pub fn check(btf: &Btf) -> Result<(), RefusedType> {
    let whole = |rule| Err(RefusedType { type_id: TypeId::VOID, rule });
    if btf.string_section().len() > MAX_NAME_OFFSET + 1 {
        return whole(TypeRule::Strings);
    }
    if btf.is_empty() {
        return whole(TypeRule::NoTypes);
    }
    let externs = Externs::of(btf);
    for (id, ty) in btf.iter().skip(1) {
        meta::check(btf, id, ty, &externs).map_err(|rule| RefusedType { type_id: id, rule })?;
    }
    resolve::check(btf, &externs)?;
    check_tags(btf)
}

/// What is declared in `.ksyms` and `.kconfig`, which libbpf makes variables and functions of the program.
#[derive(Debug, Default)]
struct Externs {
    /// Variables and functions whose linkage is made global.
    declarations: FxHashSet<TypeId>,
    /// Kernel symbols: variables that are given an integer's type.
    symbols: FxHashSet<TypeId>,
    /// Prototypes whose parameters are all given names.
    prototypes: FxHashSet<TypeId>,
    /// The section `.ksyms`, which libbpf lays out anew.
    section: Option<TypeId>,
}

impl Externs {
    fn of(btf: &Btf) -> Externs {
        let mut externs = Externs::default();
        for (id, ty) in btf.iter() {
            let Type::DataSection { name, variables, .. } = ty else { continue };
            let is_symbols = &**name == ".ksyms";
            if !is_symbols && &**name != ".kconfig" {
                continue;
            }
            if is_symbols {
                externs.section = Some(id);
            }
            for variable in variables {
                externs.declarations.insert(variable.type_id);
                match btf.ty(variable.type_id) {
                    Type::Function { prototype, .. } if is_symbols => {
                        externs.prototypes.insert(*prototype);
                    }
                    _ if is_symbols => {
                        externs.symbols.insert(variable.type_id);
                    }
                    _ => {}
                }
            }
        }
        externs
    }
}

/// Type tags stand before all modifiers and typedefs of a chain (`btf_check_type_tags`).
fn check_tags(btf: &Btf) -> Result<(), RefusedType> {
    let mut good = TypeId::VOID;
    for (id, ty) in btf.iter() {
        if ty.modified().is_none() {
            continue;
        }
        let refuse = |rule| Err(RefusedType { type_id: id, rule });
        let mut in_tags = true;
        let mut left = MAX_DEPTH;
        let mut current = id;
        while let Some(target) = btf.ty(current).modified() {
            let Some(fewer) = left.checked_sub(1) else { return refuse(TypeRule::TooDeep) };
            left = fewer;
            match btf.ty(current) {
                Type::TypeTag { .. } if !in_tags => return refuse(TypeRule::TagAfterModifier),
                Type::TypeTag { .. } => {}
                _ => in_tags = false,
            }
            if current <= good {
                break;
            }
            current = target;
        }
        good = id;
    }
    Ok(())
}
