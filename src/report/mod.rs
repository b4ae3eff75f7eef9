//! What people and tools read: text with source lines, and JSON.
//!
//! One file for each thing that is reported. Nothing here decides anything.

pub mod verify;
