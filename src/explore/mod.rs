//! Schedules over the machine: which actor takes the next step, what a search covers, and what it finds.
//!
//! Start at [`system::System`], which is all that the explorer knows of what it drives.

pub mod system;
