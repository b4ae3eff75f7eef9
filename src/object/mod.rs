//! The ELF objects that clang emits for BPF, loaded as libbpf would load them.
//!
//! [`Object::parse`] reads the sections, maps, globals, externs, programs and their types and source lines, and
//! relocates every program: after it, a program's slots name maps and externs by index into the object's tables.
//! Nothing here decides whether a program is allowed to do what it does. Start reading at [`Object`].

mod model;

pub use model::{
    AttachKind, Extern, ExternKind, Function, GlobalSection, LineInfo, Map, MapDefinition, Object, Program, Section,
};
