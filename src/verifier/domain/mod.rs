//! The scalar value domain: what the verifier knows about a 64-bit number it cannot compute.
//!
//! A [`Scalar`] joins five views of one set of numbers: known bits ([`Tnum`]) and signed and unsigned
//! ranges, each of the whole register and of its low 32 bits. Linux keeps the same record for the variable
//! part of a pointer's offset, and so do we. Every function here is pure and gives bit for bit what
//! Linux 6.12.117 computes, imprecision included: logs, pruning and instruction counts depend on it.
//!
//! What is not here: registers, identities, precision marks, pointers, states.
//!
//! Start at [`scalar`], then [`mod@sync`] (how the views teach each other), [`alu`] (arithmetic),
//! [`resize`] (extension and truncation), [`branch`] (comparisons) and [`text`] (the log's wording).

pub mod alu;
mod bounds;
pub mod branch;
pub mod resize;
pub mod scalar;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tnum;

pub use branch::{Edges, branch_taken, refine_edges, refine_edges_of_one};
pub use scalar::{InvariantRule, InvariantViolation, Scalar};
pub use tnum::Tnum;
