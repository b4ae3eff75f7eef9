//! BTF: the type information that clang writes into an object and the kernel carries of itself.
//!
//! [`Btf`] is a table of [`Type`]s indexed by [`TypeId`], with names to look up. [`fields`] finds the fields of a
//! struct that the kernel treats specially (`kptr`, `percpu_kptr`, `spin_lock`, ...), [`check`] decides whether the kernel
//! takes a program's types at all. Nothing here knows programs or kernels. Start reading at [`Btf`].

pub mod check;
pub mod field_search;
pub mod fields;
mod name_index;
mod outline;
mod parse;
pub(crate) mod strings;
mod table;
mod types;
mod walk;
mod write;

pub use table::{Btf, BtfBuilder, BtfError, essential_name};
pub use types::{Composite, IntEncoding, Linkage, Member, Name, Parameter, SectionVariable, Type, TypeId};
pub use walk::FieldPlace;
pub use write::StringTable;
