//! `kptrsim contain`: runs accepted programs and holds each state against those of the verifier.

use std::collections::BTreeSet;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

use super::output::{self, Format, OutputError, SourceArgs};
use super::target::{Kernel, KernelArgs, TargetError, load_object, load_scenario};
use super::verify::chosen;
use crate::machine::MachineOptions;
use crate::object::{Object, Program};
use crate::report::contain::{Checked, Judged};
use crate::scenario::Scenario;
use crate::scenario::file::is_scenario;
use crate::soundness::containment::{Accepted, Check, CheckError, TraceError};

/// Run accepted programs, and check that the verifier had reckoned with every state that they come to.
///
/// Programs of an object run on random inputs, by themselves and on several CPUs at once; a scenario (a .toml file) runs under random
/// schedules. Before each instruction, all registers, stack slots and references must lie in one of the abstract states that the
/// verifier had there, and no accepted program may fault. The states are our verifier's, or those of a log that a kernel printed.
///
/// Exits with 0 when all is contained, 1 when something is not or a program faults, 2 for wrong use or bad input, 3 when nothing of that
/// was found but a program could not be checked.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// BPF object, or scenario (a .toml file); a `.c` file is compiled with the clang that is found
    #[arg(value_name = "OBJ|SCENARIO")]
    pub path: PathBuf,
    /// A program to run; may be repeated. All when absent
    #[arg(long, value_name = "NAME")]
    pub prog: Vec<String>,
    /// Log of level 2 of a kernel that accepted the program, to be held against in place of our own verifier's states
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Runs of each program, or of the scenario
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub runs: u64,
    /// Only the run of this number
    #[arg(long, value_name = "N", conflicts_with = "runs")]
    pub only: Option<u64>,
    /// CPUs on which a program runs at once, in every other run
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub cpus: u32,
    /// Seed of inputs and schedules
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Steps of a schedule at most; what is longer is cut, and said to be
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub max_steps: usize,
    /// Instructions that all programs of one run may execute
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub max_insns: u64,
    /// Report known gaps of the kernel's verifier as findings too, and what runs come to behind them; otherwise they are only counted
    #[arg(long)]
    pub known: bool,
    /// Kernel to verify for.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Sources.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Output format; json prints one object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROGRAM_ARRAY: u32 = 3;

/// Why nothing can be checked.
#[derive(Debug, Error)]
pub enum ContainError {
    /// A file, a kernel or an object.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The log cannot be read.
    #[error("cannot read {path}: {source}")]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log cannot be followed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// One log, several programs.
    #[error("--log is the log of one program; name it with --prog")]
    WhichProgram,
    /// The log is none of an accepted program, or of level 1.
    #[error("{0} has no instruction of a log of level 2")]
    EmptyLog(PathBuf),
    /// It does not run.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Results cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Runs, checks and prints.
///
/// # Errors
/// [`ContainError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, ContainError> {
    let kernel = args.kernel.kernel()?;
    let mut result = Judged::Contained;
    let look = args.sources.look(&args.path);
    let mut show = |checked: Checked| {
        result = result.max(checked.result());
        match args.format {
            Format::Text => output::print(&checked.text(&args.path, &look)),
            Format::Json => output::print_record("containment", &checked.json(&args.path)),
        }
    };
    if is_scenario(&args.path) {
        let loaded = load_scenario(&args.path, &kernel)?;
        show(check_scenario(args, &kernel, loaded.object, &loaded.scenario)?)?;
    } else {
        let object = Arc::new(load_object(&args.path, &kernel)?);
        let programs = chosen(&object, &args.prog)?;
        if args.log.is_some() && programs.len() != 1 {
            return Err(ContainError::WhichProgram);
        }
        let bar = progress(programs.len());
        // A tail call may begin any program.
        let calls_any = object.maps.iter().any(|map| map.definition.map_type == PROGRAM_ARRAY);
        let traced = if calls_any && args.log.is_none() { object.programs.iter().collect() } else { programs.clone() };
        let accepted = accepted(args, &kernel, &object, &traced)?;
        for program in programs {
            let checked = check_program(args, &kernel, &object, &accepted, program)?;
            bar.suspend(|| show(checked))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    Ok(match result {
        Judged::Contained => ExitCode::SUCCESS,
        Judged::Found => ExitCode::from(1),
        Judged::Undecided => ExitCode::from(3),
    })
}

fn progress(programs: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(programs as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} of {len} programs {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn check(args: &Args, kernel: &Kernel, object: Arc<Object>, accepted: Accepted) -> Check {
    let options = MachineOptions {
        max_insns: args.max_insns,
        kernel_types: Some(Arc::clone(&kernel.profile.btf)),
        ..MachineOptions::default()
    };
    Check { object, accepted, options, max_steps: args.max_steps, seed: args.seed, known: args.known }
}

fn runs(args: &Args) -> std::ops::Range<u64> {
    args.only.map_or(0..args.runs, |number| number..number.saturating_add(1))
}

fn accepted(args: &Args, kernel: &Kernel, object: &Object, programs: &[&Program]) -> Result<Accepted, ContainError> {
    let (Some(path), [program]) = (&args.log, programs) else {
        return Ok(Accepted::verify(object, &kernel.profile, programs.iter().copied())?);
    };
    let mut accepted = Accepted::default();
    let log = read(path)?;
    accepted.add_log(&program.name, &log)?;
    if accepted.traces.values().all(|trace| trace.items().is_empty()) {
        return Err(ContainError::EmptyLog(path.clone()));
    }
    Ok(accepted)
}

fn read(path: &Path) -> Result<String, ContainError> {
    fs::read_to_string(path).map_err(|source| ContainError::Log { path: path.to_owned(), source })
}

fn check_program(
    args: &Args,
    kernel: &Kernel,
    object: &Arc<Object>,
    accepted: &Accepted,
    program: &Program,
) -> Result<Checked, ContainError> {
    let outcome = match accepted.skipped.get(&program.name) {
        Some(skipped) => Err(skipped.clone()),
        None => {
            let check = check(args, kernel, Arc::clone(object), accepted.clone());
            Ok(check.program(program, args.cpus, runs(args))?)
        }
    };
    Ok(Checked { name: program.name.clone(), is_program: true, outcome })
}

fn check_scenario(args: &Args, kernel: &Kernel, object: Object, scenario: &Scenario) -> Result<Checked, ContainError> {
    let names: BTreeSet<_> = scenario.runs().map(|run| run.program.clone()).collect();
    let programs = chosen(&object, &names.into_iter().collect::<Vec<_>>())?;
    if args.log.is_some() && programs.len() != 1 {
        return Err(ContainError::WhichProgram);
    }
    let mut accepted = accepted(args, kernel, &object, &programs)?;
    let skipped = accepted.skipped.pop_first();
    let outcome = match skipped {
        Some((_, skipped)) => Err(skipped),
        None => Ok(check(args, kernel, Arc::new(object), accepted).scenario(scenario, runs(args))?),
    };
    Ok(Checked { name: args.path.display().to_string(), is_program: false, outcome })
}
