//! The two halves held against each other, and against a real kernel, on programs made for it and on programs that people wrote.
//!
//! [`program`] is what a generated program is: a tree of statements that becomes instructions. [`emission`] writes it as
//! an object or as assembly text. Strategies of `proptest` draw such trees at random. [`containment`] runs accepted programs and asks
//! at each instruction whether the concrete state is one of those that the verifier reckoned with. [`witness`] looks for a run that
//! shows why a program is refused.
//!
//! Neither half knows the other; this room asks both about the same program.

pub mod containment;
pub mod emission;
pub mod program;
#[cfg(feature = "proptest")]
pub mod strategies;
pub mod witness;
