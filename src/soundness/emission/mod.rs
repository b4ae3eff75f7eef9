//! Lowered programs written down: as an ELF object that [`Object::parse`](crate::object::Object::parse) and libbpf
//! load, and as assembly text that clang makes the same object of.
//!
//! A [`Batch`] is what both are made from: any number of programs, the types that they name, and the kernel functions
//! that they call. Start at [`Batch::new`], then [`Batch::object`] or [`Batch::assembly`].

mod assembly;
mod elf;
mod ext;
mod types;

use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::kernel::{CType, Prototype, Tables};
use crate::soundness::program::{Code, Function, Reference};
use types::Types;

/// Why programs cannot be written down.
#[derive(Debug, Error)]
pub enum EmissionError {
    /// A program calls what no table knows.
    #[error("no table has a kernel function {0}; describe it in a file for --kfuncs")]
    UnknownKfunc(String),
    /// The types do not fit together.
    #[error(transparent)]
    Types(#[from] crate::btf::BtfError),
    /// The object cannot be written.
    #[error("the object cannot be written: {0}")]
    Write(#[from] object::write::Error),
}

/// Programs that go into one object.
#[derive(Debug)]
pub struct Batch<'a> {
    programs: Vec<(String, &'a Code)>,
    types: Types,
    /// Where each callback starts in `.text`, in bytes: by program and function.
    callbacks: FxHashMap<(usize, usize), u64>,
}

impl<'a> Batch<'a> {
    /// Programs with their names, which must differ.
    ///
    /// # Errors
    /// If one calls a kernel function that `tables` does not know.
    pub fn new(programs: impl IntoIterator<Item = (String, &'a Code)>, tables: &Tables) -> Result<Self, EmissionError> {
        let programs: Vec<(String, &Code)> = programs.into_iter().collect();
        let mut types = Types::new();
        for (name, code) in &programs {
            for reference in references(code) {
                if let Reference::Kfunc(kfunc) = reference {
                    let known = tables.kfunc(kfunc).map(|found| &found.prototype);
                    let known = known.ok_or_else(|| EmissionError::UnknownKfunc(kfunc.clone()))?;
                    types.add_kfunc(known);
                }
            }
            for (index, function) in code.functions.iter().enumerate() {
                types.add_function(&function_name(name, index), code.kind, index, function.arguments);
            }
        }
        types.finish();
        Ok(Batch { callbacks: callback_places(&programs), programs, types })
    }

    /// The programs numbered: `p0000`, `p0001` and so on.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub fn numbered(codes: &'a [Code], tables: &Tables) -> Result<Self, EmissionError> {
        Self::new(codes.iter().enumerate().map(|(index, code)| (format!("p{index:04}"), code)), tables)
    }

    /// The functions of `.text`: program, index of the function, the function; by ascending address.
    fn text(&self) -> impl Iterator<Item = (usize, usize, &'a Function)> {
        self.programs.iter().enumerate().flat_map(|(program, (_, code))| {
            code.functions.iter().enumerate().skip(1).map(move |(index, function)| (program, index, function))
        })
    }

    /// Where a callback starts in `.text`, in bytes.
    fn callback_place(&self, program: usize, index: usize) -> u64 {
        self.callbacks.get(&(program, index)).copied().unwrap_or(0)
    }
}

fn references(code: &Code) -> impl Iterator<Item = &Reference> {
    code.functions.iter().flat_map(|function| &function.lines).filter_map(|line| line.reference.as_ref())
}

/// Bytes of a function.
fn bytes_of(function: &Function) -> u64 {
    function.lines.iter().map(|line| 8 * line.slots() as u64).sum()
}

fn callback_places(programs: &[(String, &Code)]) -> FxHashMap<(usize, usize), u64> {
    let mut places = FxHashMap::default();
    let mut at = 0;
    for (program, (_, code)) in programs.iter().enumerate() {
        for (index, function) in code.functions.iter().enumerate().skip(1) {
            places.insert((program, index), at);
            at += bytes_of(function);
        }
    }
    places
}

/// The symbol of a program's function: the program's own name for the first.
fn function_name(program: &str, index: usize) -> String {
    if index == 0 { program.to_owned() } else { format!("{program}_callback{index}") }
}

/// The kernel's programs are handed `int`.
fn returns() -> CType {
    CType::Int { bytes: 4, signed: true }
}

/// A prototype's types, in order: result first.
fn signature(prototype: &Prototype) -> impl Iterator<Item = &CType> {
    std::iter::once(&prototype.ret).chain(prototype.params.iter().map(|param| &param.ty))
}
