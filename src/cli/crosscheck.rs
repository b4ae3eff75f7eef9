//! `kptrsim crosscheck`: asks a real kernel, and compares its verdicts with ours.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use crate::crosscheck::compare::{self, OurVerdict, Overall};
use crate::crosscheck::protocol::{GlobalSetting, GlobalValue, RunStep, TestRunRequest, Trigger};
use crate::crosscheck::{
    BootOptions, Cache, CrosscheckError, Judge, KernelImage, KernelVerdict, LoadJob, LoadOptions, ObjectOutcome, guest,
};

/// Ask a real kernel under QEMU about programs, and compare its verdicts with ours.
///
/// Exits with 0 when all agree, 1 when one does not, 2 when something is missing, 3 when some programs are unsupported.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Objects to load.
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,
    /// Ask the kernel only, and print what it says. Exits with 0 when all are accepted, 1 when one is not.
    #[arg(long)]
    kernel_only: bool,
    /// Load the named programs together and run them in order (with --kernel-only); prints results and maps as JSON.
    #[arg(long, requires_all = ["kernel_only", "prog"])]
    run: bool,
    /// A program to load; may be repeated. All when absent.
    #[arg(long, value_name = "NAME")]
    prog: Vec<String>,
    /// With --run: set a global before loading; VALUE is a number, `hex:DIGITS`, `@pid` or `@cpus`. May be repeated.
    #[arg(long, value_name = "GLOBAL=VALUE", value_parser = parse_setting, requires = "run")]
    set: Vec<GlobalSetting>,
    /// With --run: the CPU to run on.
    #[arg(long, requires = "run")]
    cpu: Option<usize>,
    /// The kernel to boot: any bzImage. The newest fetched one when absent.
    #[arg(long, value_name = "FILE")]
    kernel_image: Option<PathBuf>,
    /// The guest program. Built and cached when absent (also KPTRSIM_GUEST).
    #[arg(long, value_name = "FILE")]
    guest: Option<PathBuf>,
    /// Seconds that one program may take.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u32,
    /// Seconds that everything may take.
    #[arg(long, value_name = "SECONDS")]
    overall_timeout: Option<u64>,
    /// With --kernel-only: print the whole verifier log at this level (1 or 2).
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=7), requires = "kernel_only")]
    log_level: Option<u32>,
    /// With --kernel-only and JSON: the instructions as libbpf relocated them.
    #[arg(long, requires = "kernel_only")]
    insns: bool,
    /// CPUs of the machine.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// Memory of the machine, in MiB.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..))]
    memory: u32,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the command.
///
/// # Errors
/// When an object cannot be read, something that is needed is missing, or no machine can be booted.
pub fn run(args: &Args) -> Result<ExitCode, CrosscheckError> {
    let jobs = args.objects.iter().map(|path| read_job(path, &args.prog)).collect::<Result<Vec<_>, _>>()?;
    let cache = Cache::of_user()?;
    let image = match &args.kernel_image {
        Some(path) => KernelImage::open(path)?,
        None => cache.default_kernel()?,
    };
    let guest = guest::locate(&cache, args.guest.as_deref(), &mut |line| eprintln!("{line}"))?;
    let boot = BootOptions { cpus: args.cpus, memory_mib: args.memory, ..BootOptions::new(guest) };
    let mut judge = Judge::new(image, boot);
    if args.run {
        return test_run(args, &mut judge, &jobs);
    }
    let outcomes = ask(args, &mut judge, jobs)?;
    if args.kernel_only { print_kernel_only(args, &outcomes) } else { print_comparison(args, outcomes) }
}

fn read_job(path: &Path, programs: &[String]) -> Result<LoadJob, CrosscheckError> {
    let bytes = fs::read(path).map_err(|error| CrosscheckError::io(path, error))?;
    Ok(LoadJob { name: path.display().to_string(), bytes, programs: programs.to_vec() })
}

/// Asks the kernel about all objects; the answers are in the objects' order.
fn ask(args: &Args, judge: &mut Judge, jobs: Vec<LoadJob>) -> Result<Vec<ObjectOutcome>, CrosscheckError> {
    let options = LoadOptions {
        log_level: args.log_level.unwrap_or(0),
        want_log: args.log_level.is_some(),
        want_insns: args.insns,
        timeout: Duration::from_secs(u64::from(args.timeout)),
        overall: args.overall_timeout.map(Duration::from_secs),
    };
    let order: BTreeMap<String, usize> = jobs.iter().enumerate().map(|(index, job)| (job.name.clone(), index)).collect();
    let mut outcomes = Vec::new();
    judge.load(jobs, &options, |outcome| outcomes.push(outcome))?;
    outcomes.sort_by_key(|outcome: &ObjectOutcome| order.get(&outcome.name).copied());
    Ok(outcomes)
}

fn print_kernel_only(args: &Args, outcomes: &[ObjectOutcome]) -> Result<ExitCode, CrosscheckError> {
    let mut out = io::stdout().lock();
    let verdicts: Vec<&KernelVerdict> = outcomes.iter().flat_map(|outcome| &outcome.verdicts).collect();
    match args.format {
        Format::Json => verdicts.iter().try_for_each(|verdict| print_json(&mut out, verdict)),
        Format::Text => write!(out, "{}", kernel_text(&verdicts)),
    }
    .map_err(stdout_error)?;
    report_failures(outcomes);
    let accepted = |verdict: &&KernelVerdict| verdict.program.errno == 0 && verdict.program.reason.is_empty();
    let clean = outcomes.iter().all(|outcome| outcome.failures.is_empty());
    Ok(ExitCode::from(u8::from(!(clean && verdicts.iter().all(accepted)))))
}

/// One line for each program, with the log above it when it was asked for, and counts at the end.
fn kernel_text(verdicts: &[&KernelVerdict]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in verdicts {
        let program = &verdict.program;
        let word = compare::verdict_word(program.verdict);
        *counts.entry(word).or_default() += 1;
        if let Some(log) = &program.log {
            text.push_str(log);
        }
        let stats = program.stats.as_ref().map_or(String::new(), |stats| format!(" insns={}", stats.insns_processed));
        let errno = if program.errno == 0 { String::new() } else { format!(" errno={}", program.errno) };
        let insn = program.last_insn.map_or(String::new(), |insn| format!(" insn={insn}"));
        let reason = if program.reason.is_empty() { String::new() } else { format!(": {}", program.reason) };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {} [{}] {word}{errno}{insn}{stats}{reason}",
            verdict.object, program.program, verdict.kernel
        );
    }
    let counts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let _ = writeln!(text, "{} programs: {}", verdicts.len(), counts.join(", "));
    text
}

fn print_comparison(args: &Args, outcomes: Vec<ObjectOutcome>) -> Result<ExitCode, CrosscheckError> {
    report_failures(&outcomes);
    let failed = outcomes.iter().any(|outcome| !outcome.failures.is_empty());
    let mut comparisons = Vec::new();
    for outcome in outcomes {
        let mut ours = our_verdicts(Path::new(&outcome.name), &args.prog)?;
        for verdict in outcome.verdicts {
            let place = ours.iter().position(|ours| ours.program == verdict.program.program);
            comparisons.push(compare::compare(place.map(|place| ours.swap_remove(place)), verdict));
        }
    }
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => comparisons.iter().try_for_each(|one| print_json(&mut out, one)),
        Format::Text => write!(out, "{}", compare::table(&comparisons)),
    }
    .map_err(stdout_error)?;
    Ok(match compare::overall(&comparisons) {
        Overall::Disagree => ExitCode::from(1),
        _ if failed => ExitCode::from(1),
        Overall::UnsupportedOnly => ExitCode::from(3),
        Overall::AllAgree => ExitCode::SUCCESS,
    })
}

/// What our own verifier says about the programs of an object: THE PLACE TO CONNECT IT.
///
/// Until then there is nothing to compare with, and the command says so.
fn our_verdicts(_object: &Path, _programs: &[String]) -> Result<Vec<OurVerdict>, CrosscheckError> {
    Err(CrosscheckError::Missing {
        what: "our own verifier".into(),
        remedy: "use --kernel-only until it is connected".into(),
    })
}

fn report_failures(outcomes: &[ObjectOutcome]) {
    for outcome in outcomes {
        for failure in &outcome.failures {
            eprintln!("{}: {failure}", outcome.name);
        }
    }
}

/// Loads programs together, runs them, and prints the result as JSON, one line an object.
fn test_run(args: &Args, judge: &mut Judge, jobs: &[LoadJob]) -> Result<ExitCode, CrosscheckError> {
    let steps = args.prog.iter().map(|program| RunStep {
        program: program.clone(),
        trigger: Trigger::Auto,
        data_in: None,
        ctx_in: None,
        repeat: 0,
        cpu: args.cpu,
    });
    let request = TestRunRequest { globals: args.set.clone(), steps: steps.collect(), timeout_seconds: args.timeout };
    let mut failed = false;
    for job in jobs {
        let result = judge.test_run(&job.bytes, request.clone())?;
        failed |= result.error.is_some() || result.steps.iter().any(|step| step.errno != 0);
        print_json(&mut io::stdout().lock(), &result).map_err(stdout_error)?;
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// Reads `GLOBAL=VALUE`.
fn parse_setting(text: &str) -> Result<GlobalSetting, String> {
    let (name, value) = text.split_once('=').ok_or("expected GLOBAL=VALUE")?;
    let value = match value {
        "@pid" => GlobalValue::Pid,
        "@cpus" => GlobalValue::PossibleCpus,
        _ => match value.strip_prefix("hex:") {
            Some(digits) => GlobalValue::Hex(digits.to_owned()),
            None => GlobalValue::Int(value.parse().map_err(|_| format!("'{value}' is no number, hex:DIGITS, @pid or @cpus"))?),
        },
    };
    Ok(GlobalSetting { name: name.to_owned(), offset: 0, value })
}

fn print_json(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

fn stdout_error(source: io::Error) -> CrosscheckError {
    CrosscheckError::Io { place: "standard output".into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_numbers_bytes_or_what_the_guest_knows() {
        let value = |text| parse_setting(text).map(|setting| setting.value);
        assert_eq!(value("a=-3"), Ok(GlobalValue::Int(-3)));
        assert_eq!(value("a=hex:0a0b"), Ok(GlobalValue::Hex("0a0b".into())));
        assert_eq!(value("a=@pid"), Ok(GlobalValue::Pid));
        assert_eq!(value("a=@cpus"), Ok(GlobalValue::PossibleCpus));
        assert!(value("a").is_err());
        assert!(value("a=x").is_err());
    }
}
