//! `kptrsim verify`: a verdict for each program of the named objects.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, ValueEnum};
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::output::{self, OutputError, RootArgs, SourceArgs};
use super::target::{Kernel, KernelArgs, TargetError, load_object};
use crate::kernel::Capabilities;
use crate::object::{Object, Program};
use crate::report::diagnostic::{Diagnostic, of_verification};
use crate::report::source_tree::SourceTree;
use crate::report::veristat::{Column, Row, table};
use crate::report::{github, sarif, verify as report};
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
    #[command(flatten)]
    sources: SourceArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    root: RootArgs,
}

/// How verdicts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a program (docs/schema/kptrsim-1.schema.json).
    Json,
    /// A table with the columns of `veristat -o csv`; programs that cannot be judged are left out.
    Csv,
    /// One SARIF 2.1.0 document, for code scanning.
    Sarif,
    /// Annotation commands for a step of a GitHub workflow.
    Github,
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

/// A program's verdict, and how long it took.
type Timed = (Verification, Duration);

/// Runs the command.
///
/// # Errors
/// When the kernel or an object that was named cannot be had.
pub fn run(args: &Args) -> Result<ExitCode, TargetError> {
    let kernel = args.kernel.kernel()?;
    let mut tally = Tally::default();
    let mut printer = Printer::new(args, &kernel)?;
    let mut failures = Vec::new();
    let progress = progress(args.objects.len());
    // A few objects at a time side by side, so that verdicts come out in order and soon.
    for paths in args.objects.chunks(OBJECTS_AT_ONCE) {
        let results: Vec<_> = paths.par_iter().map(|path| verify_object(path, args, &kernel)).collect();
        for (path, result) in paths.iter().zip(results) {
            progress.inc(1);
            match result {
                Ok(verifications) => {
                    for timed in verifications {
                        tally.count(&timed.0);
                        progress.suspend(|| printer.print(path, &timed))?;
                    }
                }
                Err(error) if args.objects.len() > 1 || args.format == Format::Sarif => {
                    progress.suspend(|| eprintln!("kptrsim: {error}"));
                    failures.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }
    progress.finish_and_clear();
    printer.finish(&tally, &failures)?;
    Ok(match (failures.is_empty(), tally.rejected, tally.unsupported) {
        (false, ..) => ExitCode::from(2),
        (_, 1.., _) => ExitCode::from(1),
        (_, _, 1..) => ExitCode::from(3),
        _ => ExitCode::SUCCESS,
    })
}

/// Prints verdicts as they come, in the format that was asked for.
struct Printer<'a> {
    format: Format,
    build: &'a str,
    tree: SourceTree,
    /// Of the table.
    columns: Vec<Column>,
    sources: &'a SourceArgs,
    /// What a document has that is printed at the end.
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Printer<'a> {
    fn new(args: &'a Args, kernel: &'a Kernel) -> Result<Printer<'a>, OutputError> {
        let columns: Vec<Column> = Column::all().collect();
        if args.format == Format::Csv {
            output::print(&table::csv_header(&columns))?;
        }
        Ok(Printer {
            format: args.format,
            build: &kernel.profile.build,
            tree: args.root.tree(),
            columns,
            sources: &args.sources,
            diagnostics: Vec::new(),
        })
    }

    fn print(&mut self, path: &Path, (verification, took): &Timed) -> Result<(), OutputError> {
        let object = path.display().to_string();
        let diagnostic = || of_verification(&object, verification);
        match self.format {
            Format::Text => output::print(&report::text(&object, verification, &self.sources.look(path))),
            Format::Json => output::print_record("verdict", &report::json(&object, self.build, verification)),
            Format::Csv => {
                let row = Row::of(path, verification, *took);
                if row.is_judged() { output::print(&table::csv_row(&row, &self.columns)) } else { Ok(()) }
            }
            Format::Github => diagnostic().map_or(Ok(()), |one| output::print(&github::command(&one, &self.tree))),
            Format::Sarif => {
                self.diagnostics.extend(diagnostic());
                Ok(())
            }
        }
    }

    fn finish(&self, tally: &Tally, failures: &[String]) -> Result<(), OutputError> {
        match self.format {
            Format::Text | Format::Github => print_summary(tally),
            Format::Sarif => output::print_document(&sarif::log(&self.diagnostics, failures, &self.tree)),
            Format::Csv if tally.unsupported > 0 => {
                eprintln!(
                    "kptrsim: {} programs are not in the table: unsupported, which veristat has no word for",
                    tally.unsupported
                );
                Ok(())
            }
            Format::Csv | Format::Json => Ok(()),
        }
    }
}

/// Progress on standard error, where the work is long and a person watches.
fn progress(objects: usize) -> ProgressBar {
    if objects > OBJECTS_AT_ONCE && io::stderr().is_terminal() {
        ProgressBar::new(objects as u64)
    } else {
        ProgressBar::hidden()
    }
}

fn verify_object(path: &Path, args: &Args, kernel: &Kernel) -> Result<Vec<Timed>, TargetError> {
    let object = load_object(path, kernel)?;
    let options = Options {
        log_level: level(args.log_level),
        capabilities: capabilities(args.unpriv),
        // A table has no stories, and its times are those of the verdicts.
        record: if args.format == Format::Csv { Record::No } else { Record::Verdict },
        ..Options::default()
    };
    let verifier = ObjectVerifier::new(&object, &kernel.profile, options);
    let timed = |program| {
        let start = Instant::now();
        (verifier.verify(program), start.elapsed())
    };
    Ok(chosen(&object, &args.prog)?.into_iter().map(timed).collect())
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
    names.iter().map(|name| Ok(object.program(name)?)).collect()
}

fn print_summary(tally: &Tally) -> Result<(), OutputError> {
    let total = tally.accepted + tally.rejected + tally.unsupported;
    let plural = if total == 1 { "" } else { "s" };
    output::print(&format!(
        "{total} program{plural}: {} accepted, {} rejected, {} unsupported\n",
        tally.accepted, tally.rejected, tally.unsupported
    ))
}
