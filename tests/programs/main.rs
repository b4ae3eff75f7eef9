//! Runs the BPF programs under `tests/programs` and `examples` against what stands on top of each file.
//!
//! Every program becomes a few trials, one for each judge: `format` (the expectation itself is well-formed and complete) and
//! `compile` (clang makes exactly these programs of it). README.md in this folder describes the format; [`expectation`]
//! reads it, [`source`] finds and compiles the files, [`trials`] holds what is checked. Start at [`main`].

mod expectation;
mod format_tests;
mod source;
mod trials;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Conclusion};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match trials::all() {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    conclusion.exit_code()
}
