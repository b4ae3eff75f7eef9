//! The table of types: parsing, building, looking up.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use thiserror::Error;

use super::types::{Name, Type, TypeId};

/// Why type information cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BtfError {
    /// The bytes are not BTF, or broken; says where and why.
    #[error("BTF is broken at byte {offset}: {what}")]
    Malformed {
        /// Byte offset into the BTF.
        offset: usize,
        /// What is wrong there.
        what: String,
    },
    /// A type refers to one that does not exist.
    #[error("BTF type {from} refers to type {to}, which does not exist")]
    DanglingType {
        /// The referring type.
        from: TypeId,
        /// The missing one.
        to: TypeId,
    },
    /// A chain of modifiers and typedefs is a circle, or longer than the kernel follows.
    #[error("BTF type {0} is a circle, or more than 32 modifiers and typedefs deep")]
    TooDeep(TypeId),
}

/// Most modifiers and typedefs in a row (`MAX_RESOLVE_DEPTH`).
const MAX_RESOLVE_DEPTH: usize = 32;

/// A table of types.
#[derive(Clone, Debug, Default)]
pub struct Btf {
    types: Vec<Type>,
    by_name: FxHashMap<Name, SmallVec<[TypeId; 1]>>,
    /// Types whose name has a flavour, as `task_struct___old` has.
    flavoured: Vec<TypeId>,
    strings: Vec<u8>,
    /// Types with bits, a name or a size where their kind has none.
    reserved: Vec<TypeId>,
}

impl Btf {
    /// Number of types, `void` included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Is there nothing but `void`?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.len() <= 1
    }

    /// The type of that id, or `None` if there is none.
    #[must_use]
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        self.types.get(id.index())
    }

    /// The type of that id; `void` if there is none. Parsing has checked every id that a type refers to, so only an
    /// id from elsewhere can miss.
    #[must_use]
    pub fn ty(&self, id: TypeId) -> &Type {
        self.types.get(id.index()).unwrap_or(&Type::Void)
    }

    /// All types with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.types.iter().enumerate().map(|(index, ty)| (TypeId(index as u32), ty))
    }

    /// All ids of that name, of any kind, lowest first.
    #[must_use]
    pub fn ids_named(&self, name: &str) -> &[TypeId] {
        self.by_name.get(name).map_or(&[], |ids| ids.as_slice())
    }

    /// All ids whose name is the same as `name`, flavours (`___something`) of both aside, lowest first.
    #[must_use]
    pub fn ids_with_essential_name(&self, name: &str) -> Vec<TypeId> {
        let wanted = essential_name(name);
        let flavoured = self.flavoured.iter().filter(|&&id| essential_name(self.ty(id).name()) == wanted);
        let mut ids: Vec<TypeId> = self.ids_named(wanted).iter().chain(flavoured).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The first struct of that name.
    #[must_use]
    pub fn find_struct(&self, name: &str) -> Option<TypeId> {
        self.find(name, |ty| matches!(ty, Type::Struct(_)))
    }

    /// The first function of that name.
    #[must_use]
    pub fn find_function(&self, name: &str) -> Option<TypeId> {
        self.find(name, |ty| matches!(ty, Type::Function { .. }))
    }

    /// The first type of that name for which `wanted` holds.
    #[must_use]
    pub fn find(&self, name: &str, wanted: impl Fn(&Type) -> bool) -> Option<TypeId> {
        self.ids_named(name).iter().copied().find(|&id| wanted(self.ty(id)))
    }

    /// Skips `const`, `volatile`, `restrict`, type tags and typedefs (`btf_type_skip_modifiers` plus typedefs).
    #[must_use]
    pub fn resolve(&self, mut id: TypeId) -> TypeId {
        // A finished table has no longer chain.
        for _ in 0..=MAX_RESOLVE_DEPTH {
            match self.ty(id).modified() {
                Some(target) => id = target,
                None => break,
            }
        }
        id
    }

    /// Size in bytes of a value of that type, modifiers skipped; `None` for types without a size (`void`, functions)
    /// and where the size overflows.
    #[must_use]
    pub fn size_of(&self, id: TypeId) -> Option<u32> {
        self.size_within(id, 32)
    }

    fn size_within(&self, id: TypeId, depth: u32) -> Option<u32> {
        match self.ty(self.resolve(id)) {
            Type::Int { size, .. } | Type::Enum { size, .. } | Type::Float { size, .. } => Some(*size),
            Type::Pointer { .. } => Some(8),
            Type::Struct(composite) | Type::Union(composite) => Some(composite.size),
            Type::Array { element, count, .. } => {
                self.size_within(*element, depth.checked_sub(1)?)?.checked_mul(*count)
            }
            Type::Variable { type_id, .. } => self.size_within(*type_id, depth.checked_sub(1)?),
            Type::DataSection { size, .. } => Some(*size),
            _ => None,
        }
    }

    /// Replaces a type by one of the same name; for a loader that completes what the compiler left open.
    pub(crate) fn replace(&mut self, id: TypeId, ty: Type) {
        if let Some(slot) = self.types.get_mut(id.index()) {
            debug_assert_eq!(slot.name(), ty.name());
            *slot = ty;
        }
    }

    /// Were bits, a name or a size set where the kind of that type has none? The kernel refuses it then.
    #[must_use]
    pub(super) fn has_reserved_bits(&self, id: TypeId) -> bool {
        self.reserved.contains(&id)
    }

    /// The whole string section.
    pub(crate) fn string_section(&self) -> &[u8] {
        &self.strings
    }

    /// The string at that offset of the string section, as `.BTF.ext` refers to strings.
    #[must_use]
    pub fn string(&self, offset: u32) -> Option<&str> {
        let rest = self.strings.get(offset as usize..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }
}

/// Builds a [`Btf`] type by type.
#[derive(Debug)]
pub struct BtfBuilder {
    btf: Btf,
}

impl Default for BtfBuilder {
    fn default() -> Self {
        BtfBuilder { btf: Btf { types: vec![Type::Void], ..Btf::default() } }
    }
}

impl BtfBuilder {
    /// A table with `void` only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The id that the next [`push`](Self::push) will give.
    #[must_use]
    pub fn next_id(&self) -> TypeId {
        TypeId(self.btf.types.len() as u32)
    }

    /// Appends a type and returns its id.
    pub fn push(&mut self, ty: Type) -> TypeId {
        let id = self.next_id();
        if let Some(name) = ty.interned_name().filter(|name| !name.is_empty()) {
            if essential_name(name).len() != name.len() {
                self.btf.flavoured.push(id);
            }
            self.btf.by_name.entry(Name::clone(name)).or_default().push(id);
        }
        self.btf.types.push(ty);
        id
    }

    /// Replaces a type that was pushed before; for types that refer to each other. The name must stay the same.
    pub fn replace(&mut self, id: TypeId, ty: Type) {
        self.btf.replace(id, ty);
    }

    /// Notes that the next type has something set where its kind has nothing.
    pub(super) fn note_reserved_bits(&mut self) {
        self.btf.reserved.push(self.next_id());
    }

    /// Keeps the string section, for [`Btf::string`].
    pub fn set_strings(&mut self, strings: Vec<u8>) {
        self.btf.strings = strings;
    }

    /// Reads a type back while building.
    #[must_use]
    pub fn btf(&self) -> &Btf {
        &self.btf
    }

    /// The finished table.
    ///
    /// # Errors
    /// [`BtfError::DanglingType`] if a type refers to an id that was never pushed, [`BtfError::TooDeep`] if modifiers
    /// and typedefs form a circle or a chain of more than 32.
    pub fn finish(self) -> Result<Btf, BtfError> {
        let btf = self.btf;
        for (from, ty) in btf.iter() {
            if let Some(to) = first_reference(ty, |to| to.index() >= btf.types.len()) {
                return Err(BtfError::DanglingType { from, to });
            }
            if ty.modified().is_some() && btf.ty(btf.resolve(from)).modified().is_some() {
                return Err(BtfError::TooDeep(from));
            }
        }
        Ok(btf)
    }
}

/// A name without its flavour: what stands before the last `___` that has something else on both sides
/// (`bpf_core_essential_name_len`, `tools/lib/bpf/relo_core.c`, 6.12).
#[must_use]
pub fn essential_name(name: &str) -> &str {
    if !name.contains("___") {
        return name;
    }
    let is_separator = |window: &[u8]| window[0] != b'_' && &window[1..4] == b"___" && window[4] != b'_';
    let end = name.as_bytes().windows(5).rposition(is_separator).map_or(name.len(), |at| at + 1);
    name.get(..end).unwrap_or(name)
}

/// The first type id that a type names and for which `wanted` holds.
fn first_reference(ty: &Type, wanted: impl Fn(TypeId) -> bool) -> Option<TypeId> {
    match ty {
        Type::Void | Type::Int { .. } | Type::Enum { .. } | Type::Forward { .. } | Type::Float { .. } => None,
        Type::Pointer { target }
        | Type::Typedef { target, .. }
        | Type::Volatile { target }
        | Type::Const { target }
        | Type::Restrict { target }
        | Type::DeclTag { target, .. }
        | Type::TypeTag { target, .. } => Some(*target).filter(|&id| wanted(id)),
        Type::Array { element, index, .. } => [*element, *index].into_iter().find(|&id| wanted(id)),
        Type::Struct(composite) | Type::Union(composite) => {
            composite.members.iter().map(|member| member.type_id).find(|&id| wanted(id))
        }
        Type::Function { prototype, .. } => Some(*prototype).filter(|&id| wanted(id)),
        Type::FunctionPrototype { returns, parameters } => {
            let parameters = parameters.iter().map(|parameter| parameter.type_id);
            std::iter::once(*returns).chain(parameters).find(|&id| wanted(id))
        }
        Type::Variable { type_id, .. } => Some(*type_id).filter(|&id| wanted(id)),
        Type::DataSection { variables, .. } => variables.iter().map(|variable| variable.type_id).find(|&id| wanted(id)),
    }
}
