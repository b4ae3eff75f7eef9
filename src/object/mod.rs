//! The ELF objects that clang emits for BPF, loaded as libbpf would load them.
//!
//! [`Object::parse`] reads the sections, maps, globals, externs, programs and their types and source lines, and
//! relocates every program: after it, a program's slots name maps and externs by index into the object's tables.
//! Nothing here decides whether a program is allowed to do what it does. Start reading at [`Object`] for what comes
//! out, and at `load.rs` for the order of the steps.

mod assemble;
mod co_re;
mod code;
pub mod compile;
mod datasec;
mod elf;
mod error;
mod ext;
mod externs;
mod kconfig;
mod layout;
mod load;
mod map_definition;
mod maps;
mod model;
mod relocate;
mod sections;

pub use co_re::types_are_compatible;
pub use error::{NoProgram, ObjectError};
pub use layout::{FunctionLayout, function_layouts};
pub use load::LoadOptions;
pub use model::{
    AttachKind, Extern, ExternKind, FuncInfo, Function, GlobalSection, LineInfo, LinePlace, Map, MapDefinition, Object,
    Program, Section, Unresolved,
};
pub use relocate::RAW_REFERENCE;
pub use sections::{SLEEPABLE, XDP_HAS_FRAGS};
