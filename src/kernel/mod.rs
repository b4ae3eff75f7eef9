//! What a kernel build offers to programs, as data.
//!
//! The data stands in `kfuncs/*.toml`, made from the kernel's sources; `kfuncs/README.md` has its schema. This room
//! reads it and answers questions about it: which helpers and kfuncs there are, who may call them, what they take;
//! program, attach and map types; limits. It does not judge programs (the verifier does) and does not run anything
//! (the machine does). Start at [`Tables`].

mod availability;
pub mod contexts;
pub mod default_types;
mod embedded;
mod entries;
mod enums;
mod error;
pub mod files;
mod helper;
pub mod image;
mod kfunc;
mod lexer;
pub mod limits;
mod permissions;
mod profile;
mod prototype;
mod special;
mod struct_ops;
mod tables;

pub use availability::{
    Availability, Capabilities, Condition, HelperTable, IteratorEntry, Outcome, ProgramEntry, ProgramFacts, Row,
    StructOpsEntry, Test,
};
pub use embedded::{Field, Structure, Target, Targets, Typedef, Types};
pub use entries::Entries;
pub use enums::{AttachType, MapType, ProgramType};
pub use error::TablesError;
pub use helper::{AllowedCheck, Arg, ArgKind, BtfReference, Helper, HelperProto, MapHelpers, Ret, RetKind, TypeFlags};
pub use kfunc::{Kfunc, KfuncFlags, Programs, Version};
pub use permissions::Permission;
pub use profile::{HELPER_TAIL_CALL, Profile, is_gpl_compatible};
pub use prototype::{CType, Declaration, Param, Prototype, PrototypeError, Signature};
pub use special::{
    ContextPointer, Destructor, FieldTrust, IteratorTarget, ModifiedReturn, RawTracepoint, SafeFields, Special,
};
pub use struct_ops::{NullableArgument, Promotion, StructOps, Writable, WritableField};
pub use tables::Tables;
