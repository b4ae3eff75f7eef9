//! Making a simulation of a scenario: the machine, the globals, the programs that run first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use thiserror::Error;

use super::callbacks::CallbackActor;
use super::{Ahead, Job, Progress, Script, Simulation, Start};
use crate::explore::finding::Finding;
use crate::explore::system::Stability;
use crate::machine::{End, Input, Machine, MachineOptions, SetupError};
use crate::object::Object;
use crate::scenario::names::Names;
use crate::scenario::{Input as Given, MemoryModel, Run, Scenario, ScenarioError, Setting};

/// Why a scenario cannot be run on the machine.
#[derive(Debug, Error)]
pub enum SimulationError {
    /// The scenario does not fit its object.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The machine cannot be set up, or a program not be started.
    #[error("{program}: {error}")]
    Setup {
        /// The program, or the object.
        program: String,
        /// Why.
        error: SetupError,
    },
    /// A kind of finding that there is not.
    #[error("there is no kind of finding `{0}` to allow; there are {1}")]
    NoKind(String, String),
    /// A global that the object does not have.
    #[error("the object has no global `{0}`")]
    NoGlobal(String),
    /// A value that is longer than its global.
    #[error("`{name}` has {size} bytes, and the value has {count}")]
    TooLong {
        /// The global.
        name: String,
        /// Its size in bytes.
        size: usize,
        /// Bytes of the value.
        count: usize,
    },
    /// A program that was to run first did not return.
    #[error("{program}, which runs first, did not return")]
    First {
        /// The program.
        program: String,
        /// How it ended, and the machine in which it did.
        end: Box<(End, Machine)>,
    },
}

impl Simulation {
    /// Sets a scenario up. The object is the scenario's, loaded for the kernel whose types `options` has; CPUs, allocation failures and reuse
    /// of memory are set here as the scenario has them.
    ///
    /// # Errors
    /// [`SimulationError`].
    pub fn new(
        scenario: &Scenario,
        object: &Arc<Object>,
        options: MachineOptions,
    ) -> Result<Simulation, SimulationError> {
        Simulation::prepared(scenario, object, options, |_| {})
    }

    /// The same of a machine to which something is done before the scenario's globals are set and its first programs run.
    ///
    /// # Errors
    /// [`SimulationError`].
    pub fn prepared(
        scenario: &Scenario,
        object: &Arc<Object>,
        options: MachineOptions,
        prepare: impl FnOnce(&mut Machine),
    ) -> Result<Simulation, SimulationError> {
        let judgement = scenario.bind(object)?;
        if let Some(unknown) = scenario.allow.iter().find(|kind| !Finding::kinds().any(|known| known == **kind)) {
            return Err(SimulationError::NoKind(unknown.clone(), Finding::kinds().collect::<Vec<_>>().join(", ")));
        }
        let options = MachineOptions {
            cpus: scenario.cpus,
            allocation_failures: scenario.allocation_failures,
            stocked: scenario.stocked,
            readings: scenario.readings.clone().into(),
            early_reuse: true,
            ..options
        };
        let name = object.name.clone();
        let mut machine = Machine::new(Arc::clone(object), options)
            .map_err(|error| SimulationError::Setup { program: name, error })?;
        prepare(&mut machine);
        set_globals(&mut machine, scenario)?;
        if scenario.stocked {
            let name = machine.object().name.clone();
            machine
                .stock()
                .map_err(|_| SimulationError::Setup { error: SetupError::Memory(name.clone()), program: name })?;
        }
        let tasks = tasks(&mut machine, scenario)?;
        let scripts = scripts(&mut machine, scenario)?;
        for placed in &scenario.first {
            let job = job(&mut machine, &placed.run)?;
            run_first(&mut machine, &placed.run, &job, placed.cpu)?;
        }
        let last = scenario.last.iter().map(|placed| job(&mut machine, &placed.run)).collect::<Result<Vec<_>, _>>()?;
        try_starts(&machine, &scripts, &last, scenario)?;
        // What is left of the programs that ran first is nobody's; memory that they freed can be used again.
        machine.end_grace_period();
        machine.copy_by_pieces();
        if scenario.memory == MemoryModel::Tso {
            machine.use_store_buffers();
        }
        let callbacks = if machine.starts_callbacks() {
            let prepared = machine.prepare_callback_tasks();
            prepared.map_err(|error| SimulationError::Setup { program: machine.object().name.clone(), error })?;
            CallbackActor::all(scenario.cpus)
        } else {
            Vec::new()
        };
        machine.track();
        let mut worker = machine.clone();
        worker.track();
        let start = Start {
            machine,
            last,
            last_cpus: scenario.last.iter().map(|placed| placed.cpu).collect(),
            end_maps: judgement.end_maps(),
            always_maps: judgement.always_maps(),
            has_always: judgement.has_always(),
            judgement,
            allowed: scenario.allow.iter().cloned().collect(),
            leaks: scenario.leaks,
            others: scenario.stocked,
            shares_cpus: tasks.iter().any(|&task| task >= scenario.cpus),
            tasks,
            scripts,
        };
        let mut simulation = Simulation {
            progress: vec![Progress::default(); start.scripts.len()],
            ahead: vec![Ahead::Nothing; start.scripts.len()],
            returns: vec![0; scenario.return_count()],
            start: Arc::new(start),
            machine: worker,
            touches: Vec::new(),
            steps: Vec::new(),
            starts: Vec::new(),
            failed: None::<Finding>,
            callbacks,
            begun: 0,
            others_done: false,
            grace_periods: false,
            stability: Stability::Varies,
            seen: HashMap::default(),
            kept: HashMap::default(),
            checkpoint: None,
        };
        simulation.look_ahead_of_all();
        Ok(simulation)
    }
}

/// The machine's task for each of the scenario's: the CPU's own for the first on a CPU, another for each further one.
fn tasks(machine: &mut Machine, scenario: &Scenario) -> Result<Vec<u32>, SimulationError> {
    let mut taken = BTreeSet::new();
    let task = |task: &crate::scenario::Task| {
        if taken.insert(task.cpu) {
            return Ok(task.cpu);
        }
        let program = task.run.first().map_or_else(String::new, |run| run.program.clone());
        machine.add_task(task.cpu).map_err(|error| SimulationError::Setup { program, error })
    };
    scenario.on.iter().map(task).collect()
}

fn set_globals(machine: &mut Machine, scenario: &Scenario) -> Result<(), SimulationError> {
    let names = Names::of(machine.object());
    for (name, setting) in &scenario.globals {
        let Some(global) = names.globals.get(name) else { return Err(SimulationError::NoGlobal(name.clone())) };
        let size = global.size as usize;
        let number = |value: i64| value.to_le_bytes().into_iter().take(size).collect::<Vec<_>>();
        let bytes = match setting {
            Setting::Number(value) => number(*value),
            Setting::Bytes(bytes) => bytes.clone(),
            Setting::Pid => number(machine.options().pid.into()),
            Setting::Cpus => number(scenario.cpus.into()),
        };
        if bytes.len() > size {
            return Err(SimulationError::TooLong { name: name.clone(), size, count: bytes.len() });
        }
        machine.write_global(global.map as u32, global.offset, &bytes);
    }
    Ok(())
}

fn job(machine: &mut Machine, run: &Run) -> Result<Job, SimulationError> {
    let program =
        machine.load(&run.program).map_err(|error| SimulationError::Setup { program: run.program.clone(), error })?;
    let input = match &run.input {
        Given::Nothing => Input::default(),
        given => {
            let context = given.context();
            Input { context: (!context.is_empty()).then_some(context), packet: given.packet().map(<[u8]>::to_vec) }
        }
    };
    Ok(Job { program, repeat: run.repeat, input })
}

fn scripts(machine: &mut Machine, scenario: &Scenario) -> Result<Vec<Script>, SimulationError> {
    let mut first_return = 0;
    let mut scripts = Vec::new();
    for task in &scenario.on {
        let jobs = task.run.iter().map(|run| job(machine, run)).collect::<Result<Vec<_>, _>>()?;
        let returns: usize = task.run.iter().map(|run| run.repeat as usize).sum();
        scripts.push(Script { jobs, first_return });
        first_return += returns;
    }
    Ok(scripts)
}

fn run_first(machine: &mut Machine, run: &Run, job: &Job, cpu: u32) -> Result<(), SimulationError> {
    for _ in 0..run.repeat {
        let started = machine.start_with(job.program, cpu, &job.input);
        started.map_err(|error| SimulationError::Setup { program: run.program.clone(), error })?;
        match machine.run(cpu) {
            End::Returned(_) => {}
            end => {
                let end = Box::new((end, machine.clone()));
                return Err(SimulationError::First { program: run.program.clone(), end });
            }
        }
    }
    Ok(())
}

/// Starts each program once, on a machine that is thrown away: an input that a program cannot be given is known before the search.
fn try_starts(machine: &Machine, scripts: &[Script], last: &[Job], scenario: &Scenario) -> Result<(), SimulationError> {
    let runs = scenario.on.iter().flat_map(|task| &task.run).chain(scenario.last.iter().map(|placed| &placed.run));
    for (job, run) in scripts.iter().flat_map(|script| &script.jobs).chain(last).zip(runs) {
        let started = machine.clone().start_with(job.program, 0, &job.input);
        started.map_err(|error| SimulationError::Setup { program: run.program.clone(), error })?;
    }
    Ok(())
}
