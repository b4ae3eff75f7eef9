//! Why an object cannot be loaded.

use thiserror::Error;

use crate::btf::BtfError;

/// An object has no program of a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{object} has no program {name}; it has {known}")]
pub struct NoProgram {
    /// The object.
    pub object: String,
    /// The name.
    pub name: String,
    /// The names that it has, with commas between them.
    pub known: String,
}

/// Why an object cannot be loaded; says where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// Not an ELF file, or one cut off or broken.
    #[error("not a usable ELF file: {what}")]
    Elf {
        /// What is wrong, and where.
        what: String,
    },
    /// An ELF file for something else.
    #[error("not an object for little-endian BPF: {what}; compile with `clang -target bpf` (bpfel)")]
    WrongTarget {
        /// What it is instead.
        what: String,
    },
    /// A section's contents are broken.
    #[error("section {section}: {what}")]
    Section {
        /// The section's name.
        section: String,
        /// What is wrong there.
        what: String,
    },
    /// A relocation cannot be applied.
    #[error("section {section}, byte {offset:#x}: {what}")]
    Relocation {
        /// The section that it changes.
        section: String,
        /// The byte in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The type information is broken.
    #[error("section .BTF: {0}")]
    Btf(#[from] BtfError),
    /// A map's declaration is broken.
    #[error("map {map}: {what}")]
    Map {
        /// The map's name.
        map: String,
        /// What is wrong.
        what: String,
    },
    /// An extern cannot be understood.
    #[error("extern {name}: {what}")]
    Extern {
        /// The extern's name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A legal object that this loader does not take.
    #[error("unsupported: {what}")]
    Unsupported {
        /// What it has, and what to do.
        what: String,
    },
}

impl ObjectError {
    /// Is it only this loader that does not take the object?
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            ObjectError::Unsupported { .. } | ObjectError::Btf(BtfError::Unsupported { .. } | BtfError::TooDeep(_))
        )
    }

    pub(super) fn elf(what: impl Into<String>) -> Self {
        ObjectError::Elf { what: what.into() }
    }

    pub(super) fn section(section: &str, what: impl Into<String>) -> Self {
        ObjectError::Section { section: section.to_owned(), what: what.into() }
    }

    pub(super) fn relocation(section: &str, offset: u64, what: impl Into<String>) -> Self {
        ObjectError::Relocation { section: section.to_owned(), offset, what: what.into() }
    }

    pub(super) fn map(map: &str, what: impl Into<String>) -> Self {
        ObjectError::Map { map: map.to_owned(), what: what.into() }
    }

    pub(super) fn external(name: &str, what: impl Into<String>) -> Self {
        ObjectError::Extern { name: name.to_owned(), what: what.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        ObjectError::Unsupported { what: what.into() }
    }
}
