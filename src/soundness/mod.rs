//! The two halves held against each other, and against a real kernel, on programs made for it.
//!
//! [`program`] is what a generated program is: a tree of statements that becomes instructions. [`emission`] writes it as
//! an object or as assembly text. Strategies of `proptest` draw such trees at random. [`witness`] looks for a run that shows why a
//! program is refused.

pub mod emission;
pub mod program;
#[cfg(feature = "proptest")]
pub mod strategies;
pub mod witness;
