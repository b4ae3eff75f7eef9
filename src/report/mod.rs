//! What people and tools read: text with source lines, and JSON.
//!
//! [`run`] reports what a run on the machine showed. [`place`] and [`value`] put places and memory into words.

pub mod place;
pub mod run;
pub mod value;
