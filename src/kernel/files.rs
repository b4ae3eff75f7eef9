//! Files that hold objects and kernels' types: read, compiled, parsed. The command line and tests of BPF programs read the same way.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::error::TablesError;
use crate::btf::{Btf, BtfError};
use crate::object::compile::{CompileError, compile_with, is_source, object_name};
use crate::object::{LoadOptions, Object, ObjectError};

/// Why a file does not give what it is taken for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A source file cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// An object is not one that can be loaded.
    #[error("{path}: {source}")]
    Object {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ObjectError,
    },
    /// A kernel's types cannot be read.
    #[error("{path}: {source}")]
    Btf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BtfError,
    },
    /// Descriptions of kfuncs are wrong.
    #[error(transparent)]
    Kfuncs(#[from] TablesError),
}

/// A file's bytes.
///
/// # Errors
/// [`FileError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// A kernel's types, from a BTF file.
///
/// # Errors
/// [`FileError::Read`], [`FileError::Btf`].
pub fn read_btf(path: &Path) -> Result<Btf, FileError> {
    Btf::parse(&read(path)?).map_err(|source| FileError::Btf { path: path.to_owned(), source })
}

/// An object's bytes: those of the file, or what clang makes of it with these options if it is a C or assembly file.
///
/// # Errors
/// [`FileError::Read`], [`FileError::Compile`].
pub fn read_or_compile(path: &Path, clang_options: &[&str]) -> Result<Vec<u8>, FileError> {
    if is_source(path) { Ok(compile_with(path, clang_options)?) } else { read(path) }
}

/// The object that these bytes of a file are.
///
/// # Errors
/// [`FileError::Object`].
pub fn parse_object(path: &Path, bytes: &[u8], options: &LoadOptions<'_>) -> Result<Object, FileError> {
    Object::parse(&object_name(path), bytes, options)
        .map_err(|source| FileError::Object { path: path.to_owned(), source })
}
