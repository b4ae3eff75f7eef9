//! kptrsim: a userspace verifier and simulator for BPF programs.
//!
//! The rooms, ground floor first; a room imports only from those above it in this list:
//!
//! * [`isa`] and [`btf`]: instructions and types, no knowledge of files or kernels.
//! * [`object`]: the ELF objects that clang emits.
//! * [`kernel`]: what a kernel build offers, as data.
//! * [`verifier`]: the abstract half. [`machine`]: the concrete half. They never import each other.
//! * [`scenario`]: which programs run where, and what must come of it.
//! * [`explore`]: schedules over the machine.
//! * [`crosscheck`]: a real kernel under QEMU as the judge.
//! * [`report`]: what people and tools read. [`cli`]: the command line.
//!
//! Start at [`object::Object::parse`], then [`verifier::verify`].

pub mod btf;
pub mod cli;
pub mod crosscheck;
pub mod explore;
pub mod isa;
pub mod kernel;
pub mod machine;
pub mod object;
pub mod report;
pub mod scenario;
pub mod verifier;
