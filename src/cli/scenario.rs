//! Scenarios as the command line has them: a file, or an object and words, and the simulation that comes of either.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::output::OutputError;
use super::target::{Kernel, KernelArgs, LoadedScenario, TargetError, load_scenario, parse_object, read_or_compile};
use crate::explore::search::SearchError;
use crate::explore::simulation::{Simulation, SimulationError};
use crate::machine::{End, MachineOptions};
use crate::report::run::end_text;
use crate::scenario::file::is_scenario;
use crate::scenario::words::{Builder, OnWord, PlacedWord, SetWord};
use crate::scenario::{MemoryModel, Scenario, ScenarioError};

/// What runs where, and what must come of it.
#[derive(Clone, Debug, clap::Args)]
#[allow(rustdoc::broken_intra_doc_links, reason = "square brackets are part of the help's text")]
pub struct ScenarioArgs {
    /// Programs that a CPU runs one after another: CPU:PROGRAM[*N][,PROGRAM...]
    #[arg(long = "on", value_name = "CPU:PROGRAMS", help_heading = "Scenario")]
    pub on: Vec<OnWord>,
    /// Program to run before all others: [CPU:]PROGRAM[*N]
    #[arg(long, value_name = "PROGRAM", help_heading = "Scenario")]
    pub first: Vec<PlacedWord>,
    /// Program to run after all others: [CPU:]PROGRAM[*N]
    #[arg(long, value_name = "PROGRAM", help_heading = "Scenario")]
    pub last: Vec<PlacedWord>,
    /// Set a global before the start: NAME=NUMBER, or @pid, @cpus, hex:BYTES
    #[arg(long = "set", value_name = "GLOBAL=VALUE", help_heading = "Scenario")]
    pub set: Vec<SetWord>,
    /// What must hold at the end (CEL): `globals.sum == 4`, `maps.slots[0].used`, `returns[1] != 2`
    #[arg(long, value_name = "EXPRESSION", help_heading = "Scenario")]
    pub hold: Vec<String>,
    /// What must hold after each step (CEL)
    #[arg(long, value_name = "EXPRESSION", help_heading = "Scenario")]
    pub always: Vec<String>,
    /// What makes an outcome (CEL); by default return values and all globals that programs can write
    #[arg(long, value_name = "EXPRESSION", help_heading = "Scenario")]
    pub observe: Vec<String>,
    /// Kind of finding that is none here, such as data-race
    #[arg(long, value_name = "KIND", help_heading = "Scenario")]
    pub allow: Vec<String>,
    /// Number of CPUs; by default as many as are named
    #[arg(long, value_name = "N", help_heading = "Scenario")]
    pub cpus: Option<u32>,
    /// References that a program leaves behind are no finding
    #[arg(long, help_heading = "Scenario")]
    pub no_leaks: bool,
    /// Any allocation may fail
    #[arg(long, help_heading = "Scenario")]
    pub allocation_failures: bool,
    /// Maps and the arguments of traced functions are not empty at the start, as if other objects' programs had filled them
    #[arg(long, help_heading = "Scenario")]
    pub stocked: bool,
    /// Number that a program reads of what is not modelled: of a clock, a random number or, with --stocked, a field of a kernel
    /// struct (of a pointer: 1 for NULL, 2 for an object that was freed, 0 for one that is there, each modulo 3). May be repeated,
    /// in order. With --stocked the first also stands in plain bytes of maps' values, and an odd one leaves the rest of them empty
    #[arg(long, value_name = "N", help_heading = "Scenario")]
    pub reading: Vec<u64>,
    /// What memory CPUs see: sc (stores are seen at once) or tso (x86: stores may be seen late)
    #[arg(long, value_name = "MODEL", value_parser = memory_model, help_heading = "Scenario")]
    pub memory: Option<MemoryModel>,
    /// Kernel that the object is relocated against.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Instructions that all programs of one run may execute
    #[arg(long, default_value_t = 10_000_000, value_name = "N")]
    pub max_insns: u64,
}

/// Why a scenario cannot be explored or replayed.
#[derive(Debug, Error)]
pub enum ExploreError {
    /// A file, a kernel or an object.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The scenario itself.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// It does not run on the machine.
    #[error(transparent)]
    Simulation(SimulationError),
    /// A program that runs first does not return; the text tells the end.
    #[error("{program}, which runs first, does not return:\n{text}")]
    First {
        /// The program.
        program: String,
        /// How it ended.
        text: String,
    },
    /// The search cannot be made.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The token belongs to something else.
    #[error(
        "this schedule belongs to another state of {name}: the scenario, the object or the command line's words have \
         changed since the token was printed"
    )]
    OtherScenario {
        /// The scenario or object.
        name: String,
    },
    /// The token names no scenario file.
    #[error("the token names no scenario file; give the object and the words that `explore` was given")]
    NoName,
    /// A schedule that does not fail.
    #[error("nothing to shrink: this schedule shows no finding")]
    NoFinding,
    /// Ctrl-C cannot be listened for.
    #[error("cannot listen for Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    /// Results cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl From<SimulationError> for ExploreError {
    fn from(error: SimulationError) -> ExploreError {
        match error {
            SimulationError::First { program, end } => {
                let (end, machine): (End, _) = *end;
                ExploreError::First { program, text: end_text(&machine, &end) }
            }
            other => ExploreError::Simulation(other),
        }
    }
}

fn memory_model(name: &str) -> Result<MemoryModel, String> {
    MemoryModel::from_name(name).ok_or_else(|| format!("`{name}` is no memory model; there are sc and tso"))
}

impl ScenarioArgs {
    /// Reads the scenario of that file, or makes one about that object; words are added to either.
    ///
    /// # Errors
    /// If something cannot be read, compiled or loaded, or the words cannot be meant.
    pub fn load(&self, path: &PathBuf, kernel: &Kernel) -> Result<LoadedScenario, ExploreError> {
        if is_scenario(path) {
            let loaded = load_scenario(path, kernel)?;
            let scenario = self.add_to(Builder::from(loaded.scenario))?;
            return Ok(LoadedScenario { scenario, ..loaded });
        }
        let scenario = self.add_to(Builder::about(path))?;
        let bytes = read_or_compile(path)?;
        let object = parse_object(path, &bytes, kernel)?;
        Ok(LoadedScenario { path: path.clone(), scenario, bytes, object })
    }

    fn add_to(&self, builder: Builder) -> Result<Scenario, ScenarioError> {
        let mut builder = builder;
        builder = self.on.iter().cloned().fold(builder, Builder::on);
        builder = self.first.iter().cloned().fold(builder, Builder::first);
        builder = self.last.iter().cloned().fold(builder, Builder::last);
        builder = self.set.iter().cloned().fold(builder, Builder::set);
        builder = self.hold.iter().fold(builder, Builder::hold);
        builder = self.always.iter().fold(builder, Builder::always);
        builder = self.observe.iter().fold(builder, Builder::observe);
        builder = self.allow.iter().fold(builder, Builder::allow);
        if let Some(cpus) = self.cpus {
            builder = builder.cpus(cpus);
        }
        if self.no_leaks {
            builder = builder.leaks(false);
        }
        if self.allocation_failures {
            builder = builder.allocation_failures(true);
        }
        if self.stocked {
            builder = builder.stocked(true);
        }
        builder = self.reading.iter().fold(builder, |builder, &reading| builder.reading(reading));
        if let Some(memory) = self.memory {
            builder = builder.memory(memory);
        }
        builder.build()
    }

    /// The scenario on the machine.
    ///
    /// # Errors
    /// If it does not fit its object, or the machine cannot be set up so.
    pub fn simulate(&self, loaded: &LoadedScenario, kernel: &Kernel) -> Result<Simulation, ExploreError> {
        let types = Arc::clone(&kernel.profile.btf);
        let options =
            MachineOptions { max_insns: self.max_insns, kernel_types: Some(types), ..MachineOptions::default() };
        Ok(Simulation::new(&loaded.scenario, &Arc::new(loaded.object.clone()), options)?)
    }
}

/// The digest of scenario and object, as tokens carry it.
#[must_use]
pub fn token_digest(loaded: &LoadedScenario) -> Option<u64> {
    loaded.scenario.token_digest(&loaded.bytes)
}
