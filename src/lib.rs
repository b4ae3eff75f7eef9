//! kptrsim: a userspace verifier and simulator for BPF programs, and an explorer of their schedules.
//!
//! The rooms, ground floor first; a room imports only from those above it in this list:
//!
//! * [`isa`] and [`btf`]: instructions and types, no knowledge of files or kernels. `seeded`: deliberate mistakes, for tests of the tests.
//! * [`object`]: the ELF objects that clang emits.
//! * [`kernel`]: what a kernel build offers, as data.
//! * [`verifier`]: the abstract half. [`machine`]: the concrete half. They never import each other.
//! * [`scenario`]: which programs of an object run where, and what must come of it.
//! * [`explore`]: schedules over the machine: which there are, what goes wrong under them, and one of them again.
//! * [`soundness`]: generated programs, and the machine held against the verifier.
//! * [`crosscheck`]: a real kernel under QEMU as the judge.
//! * [`lessons`]: exercises for learners, and whether they are solved.
//! * [`report`]: what people and tools read. `stepper` (feature `tui`): the machine and the verifier, step by step in a terminal.
//! * `fuzz` (feature `proptest`): campaigns of generated programs, judged by all of these.
//! * [`testing`]: tests of BPF programs in `cargo test`; the stable face of all this.
//! * [`cli`]: the command line.
//!
//! To test your own programs, start at [`testing::Bpf`]; only that module keeps its meaning within a major version.
//! For tools that need more, start at [`object::Object::parse`], then [`verifier::ObjectVerifier`], [`machine::Machine`], or
//! [`scenario::Scenario`] with [`explore::simulation::Simulation`] and [`explore::search::search`]. `docs/verifier.md`,
//! `docs/machine.md` and `docs/soundness.md` go through the rooms.

pub mod btf;
pub mod cli;
pub mod crosscheck;
pub mod explore;
#[cfg(feature = "proptest")]
pub mod fuzz;
pub mod isa;
pub mod kernel;
pub mod lessons;
pub mod machine;
pub mod object;
pub mod report;
pub mod scenario;
#[cfg(not(feature = "seeded-faults"))]
mod seeded;
#[cfg(feature = "seeded-faults")]
pub mod seeded;
pub mod soundness;
#[cfg(feature = "tui")]
pub mod stepper;
pub mod testing;
pub mod verifier;

#[cfg(feature = "proptest")]
pub use soundness::strategies;
