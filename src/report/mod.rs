//! What people and tools read: text with source lines, and JSON.
//!
//! One file for each thing that is reported: [`verify`], [`run`], [`explore`], [`contain`] and [`witness`]. [`place`] and
//! [`value`] put places and
//! memory into words. Nothing here decides anything.

pub mod contain;
pub mod explore;
pub mod place;
pub mod recorded;
pub mod run;
pub mod value;
pub mod verify;
pub mod witness;
