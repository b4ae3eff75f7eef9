//! Scenarios: an object's programs, which of them run where, and what must come of it.
//!
//! A [`Scenario`] is read from a file ([`mod@file`]) or put together from words of the command line ([`words`]). The explorer runs it
//! on the simulated machine, the crosscheck on a real kernel; each fills an [`Observation`], of which a [`Judgement`] says what does not
//! hold, and what the outcome is. Start at [`Scenario`].

mod error;
pub mod file;
mod judgement;
pub mod layout;
mod model;
pub mod names;
mod observation;
mod shape;
pub mod words;

pub use error::{Position, ScenarioError};
pub use judgement::{Broken, Judgement};
pub use model::{
    Condition, Input, MAX_CONTEXT, MAX_CPUS, MAX_PACKET, MAX_RUNS, MemoryModel, PlacedRun, Run, Scenario, Setting, Task,
};
pub use observation::{MapContents, MapEntry, Observation};
