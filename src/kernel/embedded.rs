//! Kernel types and attach targets that are built in, for use without a kernel's BTF: `types.toml`, `attach.toml`.
//!
//! Offsets and sizes are those of one build. A structure that is not complete lists only some fields; a structure
//! that is not here at all is opaque. Start at [`Types`] and [`Targets`].

use serde::Deserialize;

use super::prototype::{CType, Declaration, Prototype};

/// A member of a [`Structure`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Bytes from the structure's start.
    pub offset: u32,
    /// `struct css_set *cgroups`. Members without a type of their own name are `struct __size_N`, N bytes long.
    pub declaration: Declaration,
    /// For bit-fields: the first bit in the byte at `offset`.
    pub bit: Option<u8>,
    /// For bit-fields: number of bits.
    pub bits: Option<u8>,
}

/// A structure's layout.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Structure {
    /// Name.
    pub name: String,
    /// Bytes.
    pub size: u32,
    /// Are all fields listed?
    pub complete: bool,
    /// By ascending offset; those of anonymous members stand among them.
    pub fields: Vec<Field>,
}

/// A typedef.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typedef {
    /// Name.
    pub name: String,
    /// What it stands for; none for a structure without a name.
    #[serde(rename = "type")]
    pub target: Option<Declaration>,
    /// Bytes of such a structure.
    pub size: Option<u32>,
}

/// `types.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Types {
    /// Structures.
    #[serde(default, rename = "struct")]
    pub structures: Vec<Structure>,
    /// Typedefs.
    #[serde(default, rename = "typedef")]
    pub typedefs: Vec<Typedef>,
}

impl Types {
    /// The layout of a structure.
    pub fn structure(&self, name: &str) -> Option<&Structure> {
        self.structures.iter().find(|one| one.name == name)
    }

    /// What a typedef stands for.
    pub fn typedef(&self, name: &str) -> Option<&CType> {
        self.typedefs.iter().find(|one| one.name == name)?.target.as_ref().map(|declaration| &declaration.ty)
    }
}

/// A function, tracepoint or hook.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Its parameters are what a program attached to it sees. A tracepoint's begins with the kernel's `void *__data`.
    pub prototype: Prototype,
}

/// `attach.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// For fentry, fexit and fmod_ret.
    #[serde(default, rename = "function")]
    pub functions: Vec<Target>,
    /// For raw tracepoints and `tp_btf`, without the prefix `btf_trace_`.
    #[serde(default, rename = "tracepoint")]
    pub tracepoints: Vec<Target>,
    /// LSM hooks, named `bpf_lsm_…`.
    #[serde(default, rename = "lsm")]
    pub lsm_hooks: Vec<Target>,
}

impl Targets {
    /// A function or LSM hook.
    pub fn function(&self, name: &str) -> Option<&Target> {
        self.functions.iter().chain(&self.lsm_hooks).find(|one| one.name == name)
    }

    /// A tracepoint.
    pub fn tracepoint(&self, name: &str) -> Option<&Target> {
        self.tracepoints.iter().find(|one| one.name == name)
    }
}
