//! verifier

pub mod domain;
