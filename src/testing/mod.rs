//! Tests of BPF programs, in `cargo test`: verify them, run them, explore their schedules, and assert what must come of it.
//!
//! This module is the library's stable face: what it offers keeps its meaning within a major version. The other modules are
//! public for tools that need more, and change as the tool does.
//!
//! Start at [`Bpf`]. What can be used wrongly gives a [`TestError`]; what is asserted panics as `assert!` does, with what
//! `kptrsim` would print: the source line, the rule, the schedule with a token to replay it.
//!
//! # Verify in a unit test
//!
//! ```
//! use kptrsim::testing::Bpf;
//!
//! # fn main() -> Result<(), kptrsim::testing::TestError> {
//! let bpf = Bpf::open("examples/percpu_counter.bpf.o")?;
//! bpf.verify_all().assert_accepted();
//!
//! // The same for a process without capabilities: the kernel refuses, and the test says by which rule.
//! bpf.clone().unprivileged().verify("count")?.assert_rejected_with("program-type-needs-capability");
//! # Ok(())
//! # }
//! ```
//!
//! # Run a scenario in a unit test
//!
//! ```
//! use kptrsim::testing::Bpf;
//!
//! # fn main() -> Result<(), kptrsim::testing::TestError> {
//! let bpf = Bpf::open("examples/percpu_counter.bpf.o")?;
//! let mut machine = bpf.machine(4)?;
//! machine.set("nr_cpus", 4)?;
//! machine.run("create")?.assert_returned(1);
//! for cpu in 0..4 {
//!     machine.run_on(cpu, "count")?.assert_returned(1);
//! }
//! machine.run_on(2, "sum")?.assert_returned(4);
//! assert_eq!(machine.element("slots", 0)["total"]["packets"], 4);
//!
//! machine.run("destroy")?.assert_returned(1);
//! machine.end_grace_period();
//! machine.assert_nothing_owned();
//! # Ok(())
//! # }
//! ```
//!
//! # Explore in a property test
//!
//! However often two CPUs count at the same time, under no schedule do they race, leak, or miss a packet:
//!
//! ```
//! # #[cfg(feature = "proptest")]
//! # fn main() {
//! use kptrsim::testing::Bpf;
//! use proptest::prelude::*;
//!
//! proptest!(ProptestConfig::with_cases(4), |(counts in 1..3_u32, seed: u64)| {
//!     let bpf = Bpf::open("examples/percpu_counter.bpf.o").unwrap();
//!     let mut scenario = bpf.scenario().set("nr_cpus", 2).first("create").seed(seed);
//!     scenario = scenario.on(0, format!("count*{counts}")).on(1, "count");
//!     let last_of_each = format!("returns[{}] == {counts} && returns[{counts}] == 1", counts - 1);
//!     scenario.hold(&last_of_each).explore().unwrap().assert_no_findings().assert_complete();
//! });
//! # }
//! # #[cfg(not(feature = "proptest"))]
//! # fn main() {}
//! ```

mod exploration;
mod machine;
#[cfg(test)]
mod tests;
mod verified;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

pub use crate::kernel::files::FileError;
pub use crate::object::NoProgram;
pub use exploration::{Explored, FoundIssue, Replayed, Scenario};
pub use machine::{Machine, Returned};
pub use serde_json::Value;
pub use verified::{Outcome, ProgramVerdict, Verified};

use crate::explore::search::SearchError;
use crate::explore::simulation::SimulationError;
use crate::kernel::files;
use crate::kernel::{Capabilities, Profile, Tables};
use crate::machine::{SetError, SetupError};
use crate::object::Object;
use crate::scenario::ScenarioError;

/// What was used wrongly, or cannot be had. A test that returns it, or unwraps it, fails with its words.
#[derive(Error)]
#[non_exhaustive]
pub enum TestError {
    /// A file cannot be read, compiled or loaded.
    #[error(transparent)]
    File(#[from] FileError),
    /// The object has no program of that name.
    #[error(transparent)]
    NoProgram(#[from] NoProgram),
    /// A machine cannot be set up so.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A global variable cannot be set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A scenario cannot be meant.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A word of a scenario cannot be meant.
    #[error("{0}")]
    Word(String),
    /// A scenario does not run on the machine.
    #[error(transparent)]
    Simulation(Box<SimulationError>),
    /// The search cannot be made.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The token belongs to something else.
    #[error("the schedule is of another object or scenario: one of them has changed since the token was printed")]
    OtherScenario,
}

impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `cargo test` prints of a test's error is this.
        fmt::Display::fmt(self, f)
    }
}

/// An object under test: what clang made of a BPF source file.
#[derive(Clone, Debug)]
pub struct Bpf {
    path: PathBuf,
    bytes: Arc<[u8]>,
    object: Arc<Object>,
    profile: Profile,
    capabilities: Capabilities,
}

impl Bpf {
    /// Opens an object; a `.c` file is compiled first, with the clang that is found. It is judged for the kernel whose tables are built
    /// in; see [`Bpf::kernel_btf`].
    ///
    /// # Errors
    /// If it cannot be read, compiled or loaded.
    pub fn open(path: impl AsRef<Path>) -> Result<Bpf, TestError> {
        Bpf::open_with(path, &[])
    }

    /// The same with options for clang, such as `-Ibpf/include` or `-DDEBUG`.
    ///
    /// # Errors
    /// If it cannot be read, compiled or loaded.
    pub fn open_with(path: impl AsRef<Path>, clang_options: &[&str]) -> Result<Bpf, TestError> {
        let path = path.as_ref().to_owned();
        let bytes = files::read_or_compile(&path, clang_options)?;
        Bpf::load(path, bytes.into(), Profile::embedded())
    }

    fn load(path: PathBuf, bytes: Arc<[u8]>, profile: Profile) -> Result<Bpf, TestError> {
        let object = files::parse_object(&path, &bytes, &profile.load_options())?;
        Ok(Bpf { path, bytes, object: Arc::new(object), profile, capabilities: Capabilities::all() })
    }

    /// The same object, loaded and judged for the kernel of that BTF file, such as `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// If the file cannot be read, or the object not be loaded with its types.
    pub fn kernel_btf(self, btf: impl AsRef<Path>) -> Result<Bpf, TestError> {
        let path = btf.as_ref().to_owned();
        let profile = self.profile.with_types(path.display().to_string(), files::read_btf(&path)?);
        Ok(Bpf { capabilities: self.capabilities, ..Bpf::load(self.path, self.bytes, profile)? })
    }

    /// The same object with kfuncs of your own, described by the TOML files of a folder (`kfuncs/README.md`).
    ///
    /// # Errors
    /// If the files cannot be read, or the object not be loaded with them.
    pub fn kfuncs(self, folder: impl AsRef<Path>) -> Result<Bpf, TestError> {
        let profile = self.profile.and_tables(Tables::with_files(folder.as_ref()).map_err(FileError::from)?);
        Ok(Bpf { capabilities: self.capabilities, ..Bpf::load(self.path, self.bytes, profile)? })
    }

    /// The same object, loaded by a process without any capability.
    #[must_use]
    pub fn unprivileged(self) -> Bpf {
        Bpf { capabilities: Capabilities::empty(), ..self }
    }

    /// The names of its programs, in its order.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.object.programs.iter().map(|program| program.name.as_str())
    }

    /// Verifies one program, as if it were the only one to be loaded.
    ///
    /// # Errors
    /// If the object has no program of that name.
    pub fn verify(&self, program: &str) -> Result<Verified, TestError> {
        Ok(Verified::new(self, &[self.object.program(program)?]))
    }

    /// Verifies all programs, each alone.
    pub fn verify_all(&self) -> Verified {
        Verified::new(self, &self.object.programs.iter().collect::<Vec<_>>())
    }

    /// A simulated machine with the object's maps, to run programs on one after another.
    ///
    /// # Errors
    /// If there are no or too many CPUs, or something of the object is not modelled.
    pub fn machine(&self, cpus: u32) -> Result<Machine, TestError> {
        Machine::new(self, cpus)
    }

    /// A scenario: programs on several CPUs at once, to be explored.
    pub fn scenario(&self) -> Scenario {
        Scenario::about(self)
    }
}
