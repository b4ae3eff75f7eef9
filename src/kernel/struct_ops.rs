//! Structures of function pointers that `struct_ops` programs implement: `struct_ops.toml`.
//!
//! The kernel says of each which members it calls, which of them may sleep, and what their programs may write
//! (`struct bpf_struct_ops`, `include/linux/bpf.h`, Linux 6.12). Start at [`StructOps`].

use serde::Deserialize;

/// An argument of a member that may be NULL.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullableArgument {
    /// The member.
    pub member: String,
    /// The argument, counted from 0.
    pub argument: usize,
}

/// Pointers to one structure are given to programs as pointers to another, which begins with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// What the prototype says.
    pub from: String,
    /// What programs get.
    pub to: String,
}

/// A field that programs may store to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritableField {
    /// The structure that it is declared in, which stands at the start of the writable one.
    #[serde(rename = "struct")]
    pub structure: String,
    /// Its name; members of members are joined by dots.
    pub field: String,
    /// May a store begin inside it, not only at its start?
    #[serde(default)]
    pub inside: bool,
}

/// What programs may store to (`bpf_verifier_ops.btf_struct_access`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writable {
    /// The structure.
    #[serde(rename = "struct")]
    pub structure: String,
    /// The fields; none: all of it.
    #[serde(default)]
    pub fields: Vec<WritableField>,
}

/// A structure that programs implement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StructOps {
    /// Its name.
    #[serde(rename = "struct")]
    pub structure: String,
    /// The members that programs may implement (`cfi_stubs`).
    pub members: Vec<String>,
    /// The members whose programs may sleep, if not all (`check_member`).
    pub sleepable: Option<Vec<String>>,
    /// Arguments that may be NULL.
    #[serde(default)]
    pub nullable: Vec<NullableArgument>,
    /// Pointers that are given as pointers to something larger.
    pub promoted: Option<Promotion>,
    /// What programs may store to.
    pub writable: Option<Writable>,
}

impl StructOps {
    /// May a program that sleeps implement that member?
    #[must_use]
    pub fn may_sleep(&self, member: &str) -> bool {
        self.sleepable.as_ref().is_none_or(|members| members.iter().any(|name| name == member))
    }

    /// May that argument of that member be NULL?
    #[must_use]
    pub fn is_nullable(&self, member: &str, argument: usize) -> bool {
        self.nullable.iter().any(|row| row.member == member && row.argument == argument)
    }
}
