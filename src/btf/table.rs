//! The table of types: parsing, building, looking up.

use std::sync::OnceLock;

use thiserror::Error;

use super::name_index::NameIndex;
use super::outline::{LONGEST_NAME, Outline};
use super::parse::read_one;
use super::strings::string_at;
use super::types::{Type, TypeId};

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
    /// What others take and this crate does not.
    #[error("unsupported: {what}")]
    Unsupported {
        /// What it is, and where.
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
    /// A function's type is none of a function.
    #[error("BTF type {from} is a function whose type {to} is not that of one")]
    NotAPrototype {
        /// The function.
        from: TypeId,
        /// What it refers to.
        to: TypeId,
    },
    /// A chain of modifiers and typedefs is a circle, or longer than the kernel follows.
    #[error("BTF type {0} is a circle, or more than 32 modifiers and typedefs deep")]
    TooDeep(TypeId),
}

/// Most modifiers and typedefs in a row (`MAX_RESOLVE_DEPTH`).
pub(super) const MAX_RESOLVE_DEPTH: usize = 32;

/// A table of types.
#[derive(Clone, Debug, Default)]
pub struct Btf {
    /// By id; empty where the type was not asked for yet.
    types: Vec<OnceLock<Box<Type>>>,
    /// Where such types are read from.
    unread: Option<Unread>,
    by_name: OnceLock<NameIndex>,
    /// Types whose name has a flavour, as `task_struct___old` has.
    flavoured: OnceLock<Vec<TypeId>>,
    strings: Vec<u8>,
    /// Types with bits, a name or a size where their kind has none.
    reserved: Vec<TypeId>,
}

/// A type section that is in order, with its outline.
#[derive(Clone, Debug)]
pub(super) struct Unread {
    types: Vec<u8>,
    outline: Outline,
}

impl Unread {
    /// Of a section and its outline.
    pub(super) fn new(types: &[u8], outline: Outline) -> Unread {
        Unread { types: types.to_vec(), outline }
    }

    fn read(&self, index: usize, strings: &[u8]) -> Type {
        let start = self.outline.starts.get(index).filter(|_| index > 0);
        start.and_then(|&start| read_one(&self.types, start as usize * 4, strings)).unwrap_or(Type::Void)
    }
}

impl Btf {
    /// A table whose types are read as they are asked for.
    pub(super) fn of_unread(unread: Unread, strings: Vec<u8>) -> Btf {
        let types = vec![OnceLock::new(); unread.outline.starts.len()];
        Btf { types, unread: Some(unread), strings, ..Btf::default() }
    }

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
        let slot = self.types.get(id.index())?;
        Some(slot.get_or_init(|| {
            let unread = self.unread.as_ref();
            Box::new(unread.map_or(Type::Void, |unread| unread.read(id.index(), &self.strings)))
        }))
    }

    /// The type of that id; `void` if there is none. Parsing has checked every id that a type refers to, so only an
    /// id from elsewhere can miss.
    #[must_use]
    pub fn ty(&self, id: TypeId) -> &Type {
        self.get(id).unwrap_or(&Type::Void)
    }

    /// All types with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        (0..self.types.len() as u32).map(|id| (TypeId(id), self.ty(TypeId(id))))
    }

    /// All ids of that name, of any kind, lowest first.
    pub fn ids_named(&self, name: &str) -> impl Iterator<Item = TypeId> {
        let index = self.by_name.get_or_init(|| NameIndex::of(self.types.len(), |id| self.name_bytes(id)));
        index.candidates(name).filter(move |&id| {
            let bytes = self.name_bytes(id);
            bytes.starts_with(name.as_bytes()) && bytes.get(name.len()).is_none_or(|&byte| byte == 0)
        })
    }

    /// A type's name up to a zero byte or the end, without reading the type.
    fn name_bytes(&self, id: TypeId) -> &[u8] {
        match &self.unread {
            Some(unread) => {
                let offset = unread.outline.names.get(id.index()).copied().unwrap_or(0);
                self.strings.get(offset as usize..).unwrap_or_default()
            }
            None => self.ty(id).name().as_bytes(),
        }
    }

    /// All ids whose name is the same as `name`, flavours (`___something`) of both aside, lowest first.
    #[must_use]
    pub fn ids_with_essential_name(&self, name: &str) -> Vec<TypeId> {
        let wanted = essential_name(name);
        let flavoured = self.flavoured.get_or_init(|| self.find_flavoured());
        let flavoured = flavoured.iter().copied().filter(|&id| essential_name(self.ty(id).name()) == wanted);
        let mut ids: Vec<TypeId> = self.ids_named(wanted).chain(flavoured).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn find_flavoured(&self) -> Vec<TypeId> {
        let has_flavour = |name: &str| essential_name(name).len() != name.len();
        let Some(unread) = &self.unread else {
            return self.iter().filter(|(_, ty)| has_flavour(ty.name())).map(|(id, _)| id).collect();
        };
        // Few strings of a kernel have a flavour, if any: they are found first, then the types that have them.
        let marks: Vec<u32> = memchr::memmem::find_iter(&self.strings, b"___").map(|at| at as u32).collect();
        let named_so = |&(_, &name): &(usize, &u32)| {
            let next = marks.get(marks.partition_point(|&mark| mark < name));
            next.is_some_and(|mark| mark - name < LONGEST_NAME) && self.string(name).is_some_and(has_flavour)
        };
        let names = unread.outline.names.iter().enumerate().filter(|(_, name)| **name != 0);
        names.filter(named_so).map(|(id, _)| TypeId(id as u32)).collect()
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
        self.ids_named(name).find(|&id| wanted(self.ty(id)))
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
        debug_assert_eq!(self.ty(id).name(), ty.name());
        if let Some(slot) = self.types.get_mut(id.index()) {
            *slot = OnceLock::from(Box::new(ty));
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
        std::str::from_utf8(string_at(&self.strings, offset)?).ok()
    }
}

/// Builds a [`Btf`] type by type.
#[derive(Debug)]
pub struct BtfBuilder {
    btf: Btf,
}

impl Default for BtfBuilder {
    fn default() -> Self {
        let mut builder = BtfBuilder { btf: Btf::default() };
        builder.push(Type::Void);
        builder
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
        // What was found in the shorter table is not all any more.
        self.btf.by_name.take();
        self.btf.flavoured.take();
        self.btf.types.push(OnceLock::from(Box::new(ty)));
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
    /// [`BtfError::DanglingType`] if a type refers to an id that was never pushed, [`BtfError::NotAPrototype`] if a function's type is
    /// none of a function, [`BtfError::TooDeep`] if modifiers
    /// and typedefs form a circle or a chain of more than 32.
    pub fn finish(self) -> Result<Btf, BtfError> {
        let btf = self.btf;
        let is_missing = |id: TypeId| id.index() >= btf.types.len();
        for (from, ty) in btf.iter() {
            // The one reference that libbpf does not look at; the kernel then refuses the types.
            if let Type::FunctionPrototype { returns, .. } = ty
                && is_missing(*returns)
            {
                return Err(BtfError::Unsupported {
                    what: format!("a result of type {returns}, which does not exist"),
                });
            }
            if let Some(to) = first_reference(ty, is_missing) {
                return Err(BtfError::DanglingType { from, to });
            }
            if let Type::Function { prototype, .. } = ty
                && !matches!(btf.ty(*prototype), Type::FunctionPrototype { .. })
            {
                return Err(BtfError::NotAPrototype { from, to: *prototype });
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
