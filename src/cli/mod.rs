//! The command line: arguments, progress and exit codes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod run;

/// A userspace verifier and simulator for BPF programs.
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
}

/// Runs the command line and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("kptrsim: {error}");
        ExitCode::from(2)
    })
}
