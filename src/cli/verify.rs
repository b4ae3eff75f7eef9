//! `kptrsim verify`: a verdict for each program of the named objects.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::output::{self, Format, OutputError};
use super::target::{Kernel, KernelArgs, TargetError, load_object};
use crate::kernel::Capabilities;
use crate::object::{Object, Program};
use crate::report::verify as report;
use crate::verifier::{LogLevel, ObjectVerifier, Options, Record, Verdict, Verification};

/// Decide what the Linux verifier would decide, and say why.
///
/// Exits with 0 when all programs are accepted, 1 when one is rejected, 2 when an object cannot be loaded, 3 when the
/// rest is accepted but a program needs something that is not modelled.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// BPF objects; a `.c` file is compiled with the clang that is found.
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,
    /// A program to verify; may be repeated. All when absent.
    #[arg(long, value_name = "NAME")]
    prog: Vec<String>,
    /// Judge for a process without any capability, which the kernel lets load programs where
    /// kernel.unprivileged_bpf_disabled is 0; the processor's mitigations are taken to be on.
    #[arg(long)]
    unpriv: bool,
    #[command(flatten)]
    kernel: KernelArgs,
    /// Print the verifier's log as the kernel prints it: 1 the path of a rejection, 2 all paths.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=2))]
    log_level: Option<u8>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Objects that are verified side by side before their verdicts are printed.
const OBJECTS_AT_ONCE: usize = 16;

/// What all verdicts together come to.
#[derive(Default)]
struct Tally {
    accepted: usize,
    rejected: usize,
    unsupported: usize,
}

/// Runs the command.
///
/// # Errors
/// When the kernel or an object that was named cannot be had.
pub fn run(args: &Args) -> Result<ExitCode, TargetError> {
    let kernel = args.kernel.kernel()?;
    let mut tally = Tally::default();
    let mut failed = false;
    let progress = progress(args.objects.len());
    // A few objects at a time side by side, so that verdicts come out in order and soon.
    for paths in args.objects.chunks(OBJECTS_AT_ONCE) {
        let results: Vec<_> = paths.par_iter().map(|path| verify_object(path, args, &kernel)).collect();
        for (path, result) in paths.iter().zip(results) {
            progress.inc(1);
            match result {
                Ok(verifications) => {
                    for verification in verifications {
                        tally.count(&verification);
                        progress.suspend(|| print(args, path, &kernel.profile.build, &verification))?;
                    }
                }
                Err(error) if args.objects.len() > 1 => {
                    progress.suspend(|| eprintln!("kptrsim: {error}"));
                    failed = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
    progress.finish_and_clear();
    if args.format == Format::Text {
        print_summary(&tally)?;
    }
    Ok(match (failed, tally.rejected, tally.unsupported) {
        (true, ..) => ExitCode::from(2),
        (_, 1.., _) => ExitCode::from(1),
        (_, _, 1..) => ExitCode::from(3),
        _ => ExitCode::SUCCESS,
    })
}

/// Progress on standard error, where the work is long and a person watches.
fn progress(objects: usize) -> ProgressBar {
    if objects > OBJECTS_AT_ONCE && io::stderr().is_terminal() {
        ProgressBar::new(objects as u64)
    } else {
        ProgressBar::hidden()
    }
}

fn verify_object(path: &Path, args: &Args, kernel: &Kernel) -> Result<Vec<Verification>, TargetError> {
    let object = load_object(path, kernel)?;
    let options = Options {
        log_level: level(args.log_level),
        capabilities: capabilities(args.unpriv),
        record: Record::Verdict,
        ..Options::default()
    };
    let verifier = ObjectVerifier::new(&object, &kernel.profile, options);
    Ok(chosen(&object, &args.prog)?.into_iter().map(|program| verifier.verify(program)).collect())
}

impl Tally {
    fn count(&mut self, verification: &Verification) {
        match verification.verdict {
            Verdict::Accept => self.accepted += 1,
            Verdict::Reject(_) => self.rejected += 1,
            Verdict::Unsupported(_) => self.unsupported += 1,
        }
    }
}

/// What the process may do for which a program is judged.
#[must_use]
pub fn capabilities(unprivileged: bool) -> Capabilities {
    if unprivileged { Capabilities::empty() } else { Capabilities::all() }
}

fn level(number: Option<u8>) -> LogLevel {
    match number {
        None | Some(0) => LogLevel::Silent,
        Some(1) => LogLevel::Basic,
        Some(_) => LogLevel::Detailed,
    }
}

/// The named programs of an object in the order of the names, or all of them.
///
/// # Errors
/// If it has no program of a name.
pub fn chosen<'a>(object: &'a Object, names: &[String]) -> Result<Vec<&'a Program>, TargetError> {
    if names.is_empty() {
        return Ok(object.programs.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            object.programs.iter().find(|program| program.name == *name).ok_or_else(|| TargetError::NoProgram {
                object: object.name.clone(),
                name: name.clone(),
                known: object.programs.iter().map(|program| program.name.as_str()).collect::<Vec<_>>().join(", "),
            })
        })
        .collect()
}

fn print(args: &Args, path: &Path, build: &str, verification: &Verification) -> Result<(), OutputError> {
    let object = path.display().to_string();
    match args.format {
        Format::Json => output::print_json(&report::json(&object, build, verification)),
        Format::Text => output::print(&report::text(&object, verification, &output::look(path))),
    }
}

fn print_summary(tally: &Tally) -> Result<(), OutputError> {
    let total = tally.accepted + tally.rejected + tally.unsupported;
    let plural = if total == 1 { "" } else { "s" };
    output::print(&format!(
        "{total} program{plural}: {} accepted, {} rejected, {} unsupported\n",
        tally.accepted, tally.rejected, tally.unsupported
    ))
}
