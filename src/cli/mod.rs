//! The command line: arguments, progress and exit codes.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod crosscheck;
pub mod kernel;
pub mod run;

#[derive(Debug, Parser)]
#[command(name = "kptrsim", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run programs of an object on simulated CPUs
    Run(run::Args),
    Crosscheck(crosscheck::Args),
    Kernel(kernel::Args),
}

/// Runs the command line and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let outcome: Result<ExitCode, Box<dyn Error>> = match Cli::parse().command {
        Command::Run(args) => run::run(&args).map_err(Into::into),
        Command::Crosscheck(args) => crosscheck::run(&args).map_err(Into::into),
        Command::Kernel(args) => kernel::run(&args).map_err(Into::into),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("kptrsim: {error}");
        ExitCode::from(2)
    })
}
