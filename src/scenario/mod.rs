//! Scenarios: an object's programs, which of them run where, and what must come of it.
//!
//! A [`Scenario`] is read from a file ([`file`]) or put together from words of the command line ([`words`]). The explorer runs it
//! on the simulated machine, the crosscheck on a real kernel. Start at [`Scenario`].

mod error;
pub mod file;
mod model;
pub mod words;

pub use error::{Position, ScenarioError};
pub use model::{
    Condition, Input, MAX_CONTEXT, MAX_CPUS, MAX_PACKET, MAX_RUNS, MemoryModel, PlacedRun, Run, Scenario, Setting, Task,
};
