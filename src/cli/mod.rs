//! The command line: arguments, progress and exit codes.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub mod compare;
pub mod contain;
pub mod crosscheck;
pub mod explain;
pub mod explore;
#[cfg(feature = "proptest")]
pub mod fuzz;
pub mod graph;
#[cfg(feature = "page")]
mod html;
pub mod interrupt;
pub mod kernel;
mod kernel_scenario;
pub mod learn;
pub mod manual;
pub mod merge;
pub mod output;
pub mod replay;
#[cfg(feature = "page")]
pub mod report;
pub mod run;
pub mod scenario;
#[cfg(feature = "tui")]
pub mod step;
pub mod target;
pub mod verify;
pub mod witness;

/// What the environment can say, for all commands.
const ENVIRONMENT: &str = "\
Environment:
  KPTRSIM_CLANG_OPTIONS  More options for clang where a source file is given, such as `-Iinclude -DDEBUG`
  KPTRSIM_CACHE          The folder of fetched kernels and the guest program
  KPTRSIM_GUEST          A guest program to boot kernels with, instead of one that is built
  NO_COLOR               No colours, on a terminal either";

#[derive(Debug, Parser)]
#[command(name = "kptrsim", version, about, after_help = ENVIRONMENT)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(verify::Args),
    Explain(explain::Args),
    Run(run::Args),
    Explore(explore::Args),
    Replay(replay::Args),
    #[cfg(feature = "page")]
    Report(report::Args),
    #[cfg(feature = "tui")]
    Step(step::Args),
    Merge(merge::Args),
    Witness(witness::Args),
    Contain(contain::Args),
    #[cfg(feature = "proptest")]
    Fuzz(fuzz::Args),
    Crosscheck(crosscheck::Args),
    Kernel(kernel::Args),
    Learn(learn::Args),
    Compare(compare::Args),
    Graph(graph::Args),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// The command line as a description: of what help, manual pages and completions are made.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Verify(args) => verify::run(&args).map_err(|error| error.to_string()),
        Command::Explain(args) => explain::run(&args).map_err(|error| error.to_string()),
        Command::Run(args) => run::run(&args).map_err(|error| error.to_string()),
        Command::Explore(args) => explore::run(&args).map_err(|error| error.to_string()),
        #[cfg(feature = "page")]
        Command::Report(args) => report::run(&args).map_err(|error| error.to_string()),
        Command::Merge(args) => merge::run(&args).map_err(|error| error.to_string()),
        Command::Contain(args) => contain::run(&args).map_err(|error| error.to_string()),
        #[cfg(feature = "proptest")]
        Command::Fuzz(args) => fuzz::run(&args).map_err(|error| error.to_string()),
        Command::Replay(args) => replay::run(&args).map_err(|error| error.to_string()),
        #[cfg(feature = "tui")]
        Command::Step(args) => step::run(&args).map_err(|error| error.to_string()),
        Command::Witness(args) => witness::run(&args).map_err(|error| error.to_string()),
        Command::Crosscheck(args) => crosscheck::run(&args).map_err(|error| error.to_string()),
        Command::Learn(args) => learn::run(&args).map_err(|error| error.to_string()),
        Command::Kernel(args) => kernel::run(&args).map_err(|error| error.to_string()),
        Command::Compare(args) => compare::run(&args).map_err(|error| error.to_string()),
        Command::Graph(args) => graph::run(&args).map_err(|error| error.to_string()),
        Command::Completions(args) => manual::completions(&args).map_err(|error| error.to_string()),
        Command::Man(args) => manual::man(&args).map_err(|error| error.to_string()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("kptrsim: {error}");
        ExitCode::from(2)
    })
}
