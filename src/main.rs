//! The `kptrsim` binary: all of it is in [`kptrsim::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    kptrsim::cli::main()
}
