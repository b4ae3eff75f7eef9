//! The command line: arguments, progress and exit codes.

use std::process::ExitCode;

/// Runs the command line and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
