//! What a scenario says, however it was written.
//!
//! Start at [`Scenario`]. Its fields are what the user wrote, checked for sense but not yet against an object.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{Position, ScenarioError};

/// CPUs that a scenario may ask for at most.
pub const MAX_CPUS: u32 = 64;

/// Program runs that a scenario may ask for at most, repeats counted one by one.
pub const MAX_RUNS: u64 = 4096;

/// Bytes of a context: `BPF_PROG_TEST_RUN` of a `syscall` program takes at most so many (`bpf_prog_test_run_syscall`, Linux 6.12).
pub const MAX_CONTEXT: usize = u16::MAX as usize;

/// Bytes of a packet that a scenario may give: as many as an IP packet can have. A test run of the kernel takes at most a page.
pub const MAX_PACKET: usize = u16::MAX as usize;

/// A program or several, what runs where, and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The object or its C source, relative to the scenario's own folder.
    pub object: PathBuf,
    /// Number of CPUs, 1 to [`MAX_CPUS`].
    pub cpus: u32,
    /// Globals to set before the object is loaded.
    pub globals: BTreeMap<String, Setting>,
    /// Programs to run before, one after another.
    pub first: Vec<PlacedRun>,
    /// What runs concurrently. Tasks on one CPU take turns there, where the kernel lets one be preempted.
    pub on: Vec<Task>,
    /// Programs to run after all tasks have ended, one after another: what they compute can be observed.
    pub last: Vec<PlacedRun>,
    /// What must hold when all is over.
    pub hold: Vec<Condition>,
    /// What must hold after each step. May not ask for return values.
    pub always: Vec<Condition>,
    /// What an outcome consists of; `None` for the default: return values and all globals that programs can write.
    pub observe: Option<Vec<Condition>>,
    /// Kinds of findings that are no fault of this scenario, such as `data-race`.
    pub allow: Vec<String>,
    /// Are references that a program leaves behind a finding?
    pub leaks: bool,
    /// May any allocation fail?
    pub allocation_failures: bool,
    /// Are maps and arguments of traced functions not empty at the start, as if other objects' programs had filled them?
    pub stocked: bool,
    /// What programs read of what is not modelled, in order: clocks, random numbers and, where maps are filled, fields of the kernel's
    /// structs.
    pub readings: Vec<u64>,
    /// Which memory the CPUs see.
    pub memory: MemoryModel,
}

/// A value for a global.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// This number, little-endian, in as many bytes as the variable has (at most eight).
    Number(i64),
    /// These bytes.
    Bytes(Vec<u8>),
    /// The id of the process that the programs run in.
    Pid,
    /// How many CPUs are possible.
    Cpus,
}

/// Programs that run on one CPU, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The CPU.
    pub cpu: u32,
    /// What runs there, in this order.
    pub run: Vec<Run>,
}

/// One program with its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program's name.
    pub program: String,
    /// What it is given.
    pub input: Input,
    /// How often it runs, one time after the other; at least 1.
    pub repeat: u32,
    /// Where this is written.
    pub position: Position,
}

/// What a program is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing: a packet of zeros and a context of zeros where the program's type has one.
    #[default]
    Nothing,
    /// Arguments of eight bytes each: a tracing program's, or the context of a `syscall` or `raw_tp` program.
    Arguments(Vec<u64>),
    /// A context if it is not empty, and a packet.
    Bytes {
        /// The context.
        context: Vec<u8>,
        /// The packet; one of zeros if there is none.
        packet: Option<Vec<u8>>,
    },
}

impl Input {
    /// The context's bytes; empty where none was given.
    #[must_use]
    pub fn context(&self) -> Vec<u8> {
        match self {
            Input::Nothing => Vec::new(),
            Input::Arguments(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Input::Bytes { context, .. } => context.clone(),
        }
    }

    /// The packet's bytes, if a packet was given.
    #[must_use]
    pub fn packet(&self) -> Option<&[u8]> {
        match self {
            Input::Bytes { packet, .. } => packet.as_deref(),
            _ => None,
        }
    }
}

/// A program that runs alone, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedRun {
    /// The CPU.
    pub cpu: u32,
    /// The program.
    pub run: Run,
}

/// An expression of a scenario, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The expression, in CEL.
    pub text: String,
    /// Where it is written.
    pub position: Position,
}

/// Which memory the CPUs of a machine see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryModel {
    /// Sequential consistency: a store is seen by all at once.
    #[default]
    Sc,
    /// x86's total store order: a store waits in its CPU's buffer until it is seen by others.
    Tso,
}

impl MemoryModel {
    /// Its name: `sc` or `tso`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MemoryModel::Sc => "sc",
            MemoryModel::Tso => "tso",
        }
    }

    /// The model of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<MemoryModel> {
        [MemoryModel::Sc, MemoryModel::Tso].into_iter().find(|model| model.name() == name)
    }
}

impl Scenario {
    /// A scenario about an object that says nothing else yet: two CPUs, nothing to run.
    #[must_use]
    pub fn about(object: impl Into<PathBuf>) -> Scenario {
        Scenario {
            object: object.into(),
            cpus: 2,
            globals: BTreeMap::new(),
            first: Vec::new(),
            on: Vec::new(),
            last: Vec::new(),
            hold: Vec::new(),
            always: Vec::new(),
            observe: None,
            allow: Vec::new(),
            leaks: true,
            allocation_failures: false,
            stocked: false,
            readings: Vec::new(),
            memory: MemoryModel::Sc,
        }
    }

    /// Every program that is run, in the order in which they are written; one that is run several times comes several times.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        let before = self.first.iter().map(|placed| &placed.run);
        let among = self.on.iter().flat_map(|task| &task.run);
        before.chain(among).chain(self.last.iter().map(|placed| &placed.run))
    }

    /// How many return values the concurrent part has: `returns` in expressions, one for each run of each task, tasks in the
    /// order in which they are written, repeats one by one.
    #[must_use]
    pub fn return_count(&self) -> usize {
        self.on.iter().flat_map(|task| &task.run).map(|run| run.repeat as usize).sum()
    }

    /// How many return values the programs of `last` have.
    #[must_use]
    pub fn last_count(&self) -> usize {
        self.last.iter().map(|placed| placed.run.repeat as usize).sum()
    }

    /// Checks what can be checked without the object. `place` says where a key is written.
    pub(super) fn check(&self, place: impl Fn(&str) -> Position) -> Result<(), ScenarioError> {
        let refuse = |key: &str, reason: String| Err(ScenarioError { position: place(key), reason });
        if self.object.as_os_str().is_empty() {
            return refuse("object", "a scenario needs an object".into());
        }
        if self.cpus == 0 || self.cpus > MAX_CPUS {
            return refuse("cpus", format!("{} CPUs are not possible; give 1 to {MAX_CPUS}", self.cpus));
        }
        if self.on.is_empty() {
            return refuse(
                "on",
                "nothing runs: a scenario needs at least one [[on]] table, or --on CPU:PROGRAM".into(),
            );
        }
        self.check_places()?;
        let total: u64 = self.runs().map(|run| u64::from(run.repeat)).sum();
        if total > MAX_RUNS {
            return refuse("on", format!("{total} program runs are too many; at most {MAX_RUNS}"));
        }
        if let Some(word) = self.allow.iter().find(|word| !is_kind(word)) {
            return refuse("allow", format!("'{word}' is no kind of finding; they are written like `data-race`"));
        }
        Ok(())
    }

    fn check_places(&self) -> Result<(), ScenarioError> {
        let placed = self.first.iter().chain(&self.last).map(|placed| (placed.cpu, &placed.run));
        let tasks = self.on.iter().flat_map(|task| task.run.iter().map(|run| (task.cpu, run)));
        for (cpu, run) in placed.chain(tasks) {
            let refuse = |reason: String| Err(ScenarioError::at(&run.position, reason));
            if cpu >= self.cpus {
                return refuse(format!("there is no CPU {cpu}: the scenario has {}, numbered from 0", self.cpus));
            }
            if run.program.is_empty() {
                return refuse("a program's name is missing".into());
            }
            if run.repeat == 0 {
                return refuse("a program that runs 0 times; leave it out".into());
            }
            if run.input.context().len() > MAX_CONTEXT {
                return refuse(format!("a context of more than {MAX_CONTEXT} bytes"));
            }
            if run.input.packet().is_some_and(|packet| packet.len() > MAX_PACKET) {
                return refuse(format!("a packet of more than {MAX_PACKET} bytes"));
            }
        }
        Ok(())
    }
}

/// Is it written as kinds of findings are: lower-case words joined by dashes?
fn is_kind(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
