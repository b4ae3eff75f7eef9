//! `kptrsim report`: a web page to step through a verification, an exploration or a schedule.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use thiserror::Error;

use super::output::{self, OutputError, SourceArgs};
use super::scenario::ExploreError;
use super::target::{KernelArgs, TargetError, load_object};
use super::{explore, html, replay, verify};
use crate::explore::schedule::Schedule;
use crate::report::page::verification;
use crate::scenario::file::is_scenario;
use crate::verifier::{Options, Record};

/// Write a web page to step through: a program's verification, a scenario's findings, or a schedule.
///
/// The page is one file that needs no server and no network. Of an object it shows each program's verdict and the paths
/// that led to it: source, bytecode, registers, stack, references, and the control-flow graph. Of a scenario (a .toml
/// file) it shows what `kptrsim explore` finds, of a token the schedule that `kptrsim replay` performs: what each CPU
/// does, RCU sections and grace periods, and the lives of objects. The commands run, explore and replay write such a
/// page too, with --html FILE, and have more to choose from.
///
/// Exits with 0 when the page is written, whatever it shows; 2 for wrong use or bad input.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// BPF object (a `.c` file is compiled with the clang that is found), scenario, or token of a schedule
    #[arg(value_name = "OBJ|SCENARIO|TOKEN")]
    pub target: OsString,
    /// File to write; by default named after the object or scenario, in the current folder
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// A program to show; may be repeated. All of the object's when absent
    #[arg(long, value_name = "NAME")]
    pub prog: Vec<String>,
    /// Judge for a process without any capability
    #[arg(long)]
    pub unpriv: bool,
    /// Kernel to judge for.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Sources.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Why no page is written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// There is no such object or kernel, or the file cannot be written.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The scenario or the schedule cannot be run.
    #[error(transparent)]
    Explore(#[from] ExploreError),
    /// Words for another kind of page.
    #[error("--prog and --unpriv are for objects, and {0} is a scenario or a token")]
    OnlyObjects(String),
    /// Nothing can be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The arguments of a command, alone.
#[derive(Debug, Parser)]
struct Alone<T: clap::Args> {
    #[command(flatten)]
    args: T,
}

/// Another command's arguments, with that target and what it takes by default.
fn defaults<T: clap::Args>(target: &OsString) -> T {
    let words = [OsString::from("kptrsim"), OsString::from("--"), target.clone()];
    Alone::<T>::parse_from(words).args
}

/// Steps of paths that are kept of one program, at most.
const STEPS: usize = 4_000;

/// Writes the page.
///
/// # Errors
/// [`ReportError`]; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, ReportError> {
    let path = Path::new(&args.target);
    let token = args.target.to_str().and_then(|word| word.parse::<Schedule>().ok());
    if token.is_none() && !is_scenario(path) {
        return of_object(args, path);
    }
    if !args.prog.is_empty() || args.unpriv {
        return Err(ReportError::OnlyObjects(args.target.to_string_lossy().into_owned()));
    }
    if let Some(token) = token {
        let mut other: replay::Args = defaults(&args.target);
        other.scenario.kernel = args.kernel.clone();
        other.sources = args.sources.clone();
        other.page.html = Some(output(args, Path::new(&token.name)));
        replay::run(&other)?;
    } else {
        let mut other: explore::Args = defaults(&args.target);
        other.scenario.kernel = args.kernel.clone();
        other.shown.sources = args.sources.clone();
        other.shown.page.html = Some(output(args, path));
        explore::run(&other)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn of_object(args: &Args, path: &Path) -> Result<ExitCode, ReportError> {
    let kernel = args.kernel.kernel()?;
    let object = load_object(path, &kernel)?;
    let chosen = verify::chosen(&object, &args.prog)?;
    let capabilities = verify::capabilities(args.unpriv);
    let options = Options { capabilities, record: Record::Tree { steps: STEPS }, ..Options::default() };
    let page = verification::of_object(path, &object, &kernel.profile, &chosen, options, args.sources.beside(path));
    let output = output(args, path);
    let size = html::write(&output, &page)?;
    let counts = page.facts.iter().filter(|fact| fact.name != "kernel");
    let facts: Vec<String> = counts.map(|fact| format!("{} {}", fact.value, fact.name)).collect();
    output::print(&format!("{}: {}; {} kB\n", output.display(), facts.join(", "), size.div_ceil(1000)))?;
    Ok(ExitCode::SUCCESS)
}

/// The file to write.
fn output(args: &Args, path: &Path) -> PathBuf {
    args.output.clone().unwrap_or_else(|| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("report");
        PathBuf::from(format!("{stem}.html"))
    })
}
