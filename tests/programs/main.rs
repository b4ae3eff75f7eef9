//! Runs the BPF programs under `tests/programs` and `examples` against what stands on top of each file.
//!
//! Every file becomes a few trials: `format` (the expectation itself is well-formed and complete), `compile` (clang makes exactly these
//! programs of it), `load` (our loader takes them), `verify` and `run` (our verifier and our machine agree with it), and, where a real
//! kernel is asked, `kernel verify` and `kernel run`.
//! README.md in this folder describes the format; [`expectation`] reads it, [`source`] finds and compiles the files,
//! [`trials`] holds what is checked, [`rejected`] what is of the rejected examples; [`verifier`], [`machine`] and [`kernel`] are the judges. Start at [`main`].

mod expectation;
mod format_tests;
mod kernel;
mod machine;
mod outcome;
mod rejected;
mod source;
mod trials;
mod values;
mod verifier;

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
