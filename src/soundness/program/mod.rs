//! Generated programs: a tree of [`Statement`]s, lowered to instructions.
//!
//! A tree names nothing that could be missing. Where a statement needs a register, a pointer or a field it holds a
//! [`Pick`], a number that lowering takes modulo what there is at that point; a statement that finds nothing of what it
//! needs becomes no instruction at all. So every tree is a program, any statement can be taken out of any tree, and
//! what lowering makes is well formed: checks before uses, a release for each reference. A [`Mutation`] then takes
//! one such care away. Start at [`Program`] and [`lower`].

mod assembler;
mod kfunc;
mod lowering;
mod model;
pub mod universe;

pub use assembler::{Code, Function, Line, Reference};
pub use kfunc::{Outcome, Parameter, UserKfunc};
pub use lowering::lower;
pub use model::{
    Access, Condition, Cpu, End, Loop, Mutation, MutationKind, NodeEnd, Pick, Program, ProgramKind, Source, Statement,
    Whole,
};
