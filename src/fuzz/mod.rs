//! Campaigns: many programs, generated or changed, each judged by the verifier, the machine and a real kernel, and what disagrees.
//!
//! * [`plan`]: which programs a campaign draws. Program `i` of a plan is the same everywhere. [`changed`]: existing objects with something
//!   changed, in place of generated programs.
//! * [`mod@bench`] judges programs: the verifier's verdict, what runs in the machine come to, and a [`cause`] for each disagreement.
//! * [`campaign`]: many programs on all cores, with a kernel beside them; [`journal`] is its memory, [`summary`] what it comes to.
//! * [`shrink`] makes a program small, [`replay`] does a run again on a kernel, [`finding`] writes it down with its evidence.
//!
//! Start at [`campaign::Campaign`].

pub mod bench;
pub mod campaign;
pub mod cause;
pub mod changed;
pub mod finding;
pub mod journal;
pub mod plan;
pub mod replay;
pub mod shrink;
pub mod summary;
