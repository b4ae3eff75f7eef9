//! Exercises for those who know C and have never seen a verifier: programs to mend, and what is asked of them.
//!
//! The exercises stand in `lessons/`, a folder each, and are built in: [`Lesson::all`]. [`mod@check`] asks verifier, machine and explorer
//! whether a program is mended, [`Workshop`] is the learner's folder with the files to edit, [`Progress`] is how far they are.
//! The command line around them is [`crate::cli::learn`].

mod catalogue;
pub mod check;
mod progress;
mod workshop;

pub use catalogue::{FindError, Lesson, ManifestError, RunCheck, Shipped, Stage, Step, find};
pub use check::{Failure, check};
pub use progress::{PROGRESS_FILE, Progress, ProgressError};
pub use workshop::{Reset, Workshop, WorkshopError, Written};
