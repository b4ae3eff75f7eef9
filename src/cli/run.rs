//! `kptrsim run`: executes programs of an object on simulated CPUs and shows what came of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use thiserror::Error;

use super::output::{self, FindingsArgs, FindingsFormat, OutputError};
use super::target::{KernelArgs, TargetError, load_object, only_program};
use crate::machine::{End, Machine, MachineOptions, SetError, SetupError};
use crate::object::Object;
use crate::report::run::{ProgramRun, RunReport, RunVerdict};
use crate::report::{github, sarif};

/// Run programs of an object on simulated CPUs and show what came of it.
///
/// Exits with 0 when all is well, 1 when a fault or a leak was found, 2 for wrong use or bad input, 3 when the run needs
/// something that is not modelled or reached a limit.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// BPF object; a `.c` file is compiled with the clang that is found
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// Program to run; several run in the order given and share maps
    #[arg(long = "prog", value_name = "NAME")]
    pub programs: Vec<String>,
    /// Number of simulated CPUs
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub cpus: u32,
    /// CPU on which the programs run
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub cpu: u32,
    /// Set a global variable before the run: NAME=VALUE, with NAME going on as `.field` or `[index]`
    #[arg(long = "set", value_name = "GLOBAL=VALUE")]
    pub set: Vec<String>,
    /// Run the whole sequence of programs that many times
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub repeat: u32,
    /// Kernel that the object is relocated against.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Process id of the task in which the programs run
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub pid: u32,
    /// Argument of the traced function, for tracing programs; give it once for each, in order
    #[arg(long = "arg", value_name = "N", allow_hyphen_values = true, value_parser = parse_number)]
    pub arguments: Vec<u64>,
    /// When grace periods end
    #[arg(long, value_enum, default_value_t = GracePeriods::Never)]
    pub grace_period: GracePeriods,
    /// Seed of random numbers that programs ask for
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Instructions that all programs together may execute
    #[arg(long, default_value_t = 100_000_000, value_name = "N")]
    pub max_insns: u64,
    /// How it is shown.
    #[command(flatten)]
    pub shown: FindingsArgs,
}

/// When grace periods end in a run of one program after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GracePeriods {
    /// Not before the end: what waits is shown.
    Never,
    /// After each program.
    AfterEach,
}

/// Why a run cannot be made.
#[derive(Debug, Error)]
pub enum RunError {
    /// There is no such object or kernel.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The machine cannot be set up so.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A global variable cannot be set.
    #[error("--set: {0}")]
    Set(#[from] SetError),
    /// The result cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = match (text.strip_prefix("0x"), text.strip_prefix('-')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (None, Some(_)) => text.parse::<i64>().ok().map(|number| number as u64),
        (None, None) => text.parse().ok(),
    };
    parsed.ok_or_else(|| format!("`{text}` is no 64-bit number"))
}

/// Runs the programs and prints the report.
///
/// Exit codes: 0 all well, 1 a fault or a leak, 3 something that is not modelled or a limit that was reached.
///
/// # Errors
/// [`RunError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, RunError> {
    let kernel = args.kernel.kernel()?;
    let object = load_object(&args.object, &kernel)?;
    let programs = chosen(args, &object)?;
    let options = MachineOptions {
        cpus: args.cpus,
        max_insns: args.max_insns,
        pid: args.pid,
        tid: args.pid,
        seed: args.seed,
        arguments: args.arguments.clone(),
        kernel_types: Some(kernel.profile.btf),
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(Arc::new(object), options)?;
    for assignment in &args.set {
        machine.set_global(assignment)?;
    }
    let runs = run_and_show(&mut machine, &programs, args)?;
    let report = RunReport::new(&machine, &runs);
    let diagnostics = || report.diagnostics(&args.object.display().to_string());
    let tree = args.shown.root.tree();
    match args.shown.format {
        FindingsFormat::Text => output::print(&report.text(&args.shown.sources.look(&args.object)))?,
        FindingsFormat::Json => output::print_record("run", &report.json())?,
        FindingsFormat::Sarif => output::print_document(&sarif::log(&diagnostics(), &[], &tree))?,
        FindingsFormat::Github => {
            diagnostics().iter().try_for_each(|one| output::print(&github::command(one, &tree)))?;
        }
    }
    Ok(match report.verdict() {
        RunVerdict::Fine => ExitCode::SUCCESS,
        RunVerdict::Found => ExitCode::from(1),
        RunVerdict::Undecided => ExitCode::from(3),
    })
}

/// The programs to run: those named, or the only one that there is.
fn chosen(args: &Args, object: &Object) -> Result<Vec<String>, TargetError> {
    match args.programs.as_slice() {
        [] => Ok(vec![only_program(object)?.name.clone()]),
        named => Ok(named.to_vec()),
    }
}

/// Runs the sequence, and writes the page if one is asked for.
fn run_and_show(machine: &mut Machine, programs: &[String], args: &Args) -> Result<Vec<ProgramRun>, RunError> {
    #[cfg(feature = "page")]
    if let Some(path) = &args.shown.page.html {
        let (page, runs) =
            crate::report::page::run(machine, args.shown.sources.beside(&args.object), |machine, recorder| {
                run_all(machine, programs, args, &mut |machine, task| recorder.run(machine, task))
            })?;
        super::html::write(path, &page)?;
        return Ok(runs);
    }
    run_all(machine, programs, args, &mut Machine::run)
}

/// Runs the sequence as often as asked, until something ends otherwise than by returning. The last round's results
/// are returned. `run` runs a task to its end.
fn run_all(
    machine: &mut Machine,
    programs: &[String],
    args: &Args,
    run: &mut dyn FnMut(&mut Machine, u32) -> End,
) -> Result<Vec<ProgramRun>, RunError> {
    let loaded = programs.iter().map(|name| machine.load(name)).collect::<Result<Vec<_>, _>>()?;
    let mut runs = Vec::new();
    for _ in 0..args.repeat {
        runs.clear();
        for (name, &program) in programs.iter().zip(&loaded) {
            machine.start(program, args.cpu)?;
            let end = run(machine, args.cpu);
            let returned = matches!(end, End::Returned(_));
            runs.push(ProgramRun { name: name.clone(), cpu: args.cpu, end });
            if !returned {
                return Ok(runs);
            }
            for (name, cpu, end) in machine.run_callbacks_by(&mut *run)? {
                let returned = matches!(end, End::Returned(_));
                runs.push(ProgramRun { name, cpu, end });
                if !returned {
                    return Ok(runs);
                }
            }
            if args.grace_period == GracePeriods::AfterEach {
                machine.end_grace_period();
            }
        }
    }
    Ok(runs)
}
