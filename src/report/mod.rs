//! What people and tools read: text with source lines, and JSON.
//!
//! One file for each thing that is reported: [`verify`], [`run`], [`explore`], [`contain`] and [`witness`]; the pages on rules in
//! [`rules`], web pages in `page`. [`diagnostic`] has what is wrong in the shape of [`sarif`] and [`github`] annotations,
//! [`veristat`] the counts as CSV, [`graph`] a program's control flow. [`place`] and [`value`] put places and memory into
//! words. Nothing here decides anything.

pub mod contain;
pub mod diagnostic;
pub mod explore;
pub mod github;
pub mod graph;
pub mod lanes;
#[cfg(feature = "page")]
pub mod page;
pub mod place;
pub mod recorded;
pub mod rule_help;
pub mod rules;
pub mod run;
pub mod sarif;
pub mod source;
pub mod source_tree;
pub mod told;
pub mod value;
pub mod verify;
#[cfg(test)]
mod verify_tests;
pub mod veristat;
pub mod witness;
