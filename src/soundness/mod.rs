//! Holds the machine against the verifier: neither half knows the other, and this room asks both about the same program.
//!
//! [`containment`] runs accepted programs and asks at each instruction whether the concrete state is one of those that the verifier
//! reckoned with.

pub mod containment;
