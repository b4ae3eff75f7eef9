//! The types that BTF can describe, with names interned.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Index of a type in its [`Btf`](super::Btf). Zero is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`.
    pub const VOID: TypeId = TypeId(0);

    /// The id as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A name; cloning it is cheap. Anonymous things have the empty name.
pub type Name = Arc<str>;

/// A field of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Field name, empty for an anonymous struct or union.
    pub name: Name,
    /// Type of the field.
    pub type_id: TypeId,
    /// Distance from the start of the struct, in bits.
    pub bit_offset: u32,
    /// Width in bits where the field is a bit-field, else 0.
    pub bitfield_size: u8,
}

impl Member {
    /// Offset in whole bytes.
    #[must_use]
    pub fn byte_offset(&self) -> u32 {
        self.bit_offset / 8
    }
}

/// A struct or a union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composite {
    /// Its tag, empty if anonymous.
    pub name: Name,
    /// Size in bytes.
    pub size: u32,
    /// Fields in the order of declaration.
    pub members: Vec<Member>,
}

/// How an integer's bits are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntEncoding {
    /// Signed.
    pub signed: bool,
    /// A character.
    pub char: bool,
    /// A boolean.
    pub bool: bool,
}

/// A parameter of a function prototype. A last parameter of type `void` without a name stands for `...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name, empty if not given.
    pub name: Name,
    /// Type.
    pub type_id: TypeId,
}

/// Where a function or a variable is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// In its file.
    Static,
    /// In the whole program.
    Global,
    /// Defined elsewhere.
    Extern,
}

/// A variable inside a data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionVariable {
    /// The [`Type::Variable`] (or extern [`Type::Function`]).
    pub type_id: TypeId,
    /// Byte offset in the section.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// One BTF type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Void,
    Int {
        name: Name,
        size: u32,
        bits: u8,
        offset: u8,
        encoding: IntEncoding,
    },
    Pointer {
        target: TypeId,
    },
    Array {
        element: TypeId,
        index: TypeId,
        count: u32,
    },
    Struct(Composite),
    Union(Composite),
    /// 32- and 64-bit enumerations alike; values sign- or zero-extended as `signed` says.
    Enum {
        name: Name,
        size: u32,
        signed: bool,
        is_64: bool,
        values: Vec<(Name, i64)>,
    },
    Forward {
        name: Name,
        is_union: bool,
    },
    Typedef {
        name: Name,
        target: TypeId,
    },
    Volatile {
        target: TypeId,
    },
    Const {
        target: TypeId,
    },
    Restrict {
        target: TypeId,
    },
    Function {
        name: Name,
        prototype: TypeId,
        linkage: Linkage,
    },
    FunctionPrototype {
        returns: TypeId,
        parameters: Vec<Parameter>,
    },
    Variable {
        name: Name,
        type_id: TypeId,
        linkage: Linkage,
    },
    DataSection {
        name: Name,
        size: u32,
        variables: Vec<SectionVariable>,
    },
    Float {
        name: Name,
        size: u32,
    },
    /// `component`: which member or parameter it tags, `None` for the whole of `target`.
    DeclTag {
        name: Name,
        target: TypeId,
        component: Option<u32>,
    },
    TypeTag {
        name: Name,
        target: TypeId,
    },
}

impl Type {
    /// The type's own name; empty for those that have none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.interned_name().map_or("", |name| name)
    }

    /// As [`name`](Self::name), for one that wants to keep it; `None` for kinds that have no name.
    #[must_use]
    pub fn interned_name(&self) -> Option<&Name> {
        match self {
            Type::Int { name, .. }
            | Type::Enum { name, .. }
            | Type::Forward { name, .. }
            | Type::Typedef { name, .. }
            | Type::Function { name, .. }
            | Type::Variable { name, .. }
            | Type::DataSection { name, .. }
            | Type::Float { name, .. }
            | Type::DeclTag { name, .. }
            | Type::TypeTag { name, .. } => Some(name),
            Type::Struct(composite) | Type::Union(composite) => Some(&composite.name),
            Type::Void
            | Type::Pointer { .. }
            | Type::Array { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::FunctionPrototype { .. } => None,
        }
    }

    /// The struct or union, if it is one.
    #[must_use]
    pub fn composite(&self) -> Option<&Composite> {
        match self {
            Type::Struct(composite) | Type::Union(composite) => Some(composite),
            _ => None,
        }
    }

    /// What it refers to, for modifiers (`const`, `volatile`, `restrict`, type tags) and typedefs.
    #[must_use]
    pub fn modified(&self) -> Option<TypeId> {
        match *self {
            Type::Volatile { target }
            | Type::Const { target }
            | Type::Restrict { target }
            | Type::Typedef { target, .. }
            | Type::TypeTag { target, .. } => Some(target),
            _ => None,
        }
    }
}
