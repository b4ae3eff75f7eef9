//! Schedules over the machine: which actor takes the next step, what a search covers, and what it finds.
//!
//! Start at [`system::System`], which is all that the explorer knows of what it drives; then [`policy::Policy`], which decides, and
//! [`search::search`], which drives one by the other. Of a search come [`result`]s, of a failing run a [`schedule`] that
//! [`replay`] repeats and [`shrink`] makes simpler.

pub mod causality;
pub mod clock;
pub mod collect;
pub mod drive;
pub mod estimate;
pub mod finding;
pub mod observe;
pub mod places;
pub mod policy;
pub mod race;
pub mod random;
pub mod records;
pub mod replay;
pub mod result;
pub mod schedule;
pub mod search;
pub mod shrink;
pub mod simulation;
pub mod system;
pub mod toy;
pub mod watch;

#[cfg(test)]
mod exactness;
#[cfg(test)]
mod search_tests;
