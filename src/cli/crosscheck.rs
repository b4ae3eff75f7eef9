//! `kptrsim crosscheck`: asks a real kernel, and compares its verdicts with ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;

use indicatif::ProgressBar;
use rayon::prelude::*;

use super::kernel_scenario::{self, ScenarioArgs};
use super::output::{self, Format, OutputError, print_record};
use super::target::{Kernel, TargetError, kernel_of_image, parse_object, read_or_compile};
use super::verify::capabilities;
use crate::crosscheck::compare::{self, OurVerdict, Overall};
use crate::crosscheck::compare_run::{self, RunDifference};
use crate::crosscheck::protocol::{
    GlobalSetting, GlobalValue, MapDump, RunStep, TestRunRequest, TestRunResult, Trigger, Verdict, from_hex,
};
use crate::crosscheck::{
    BootOptions, Cache, CrosscheckError, Judge, KernelImage, KernelVerdict, LoadJob, LoadOptions, ObjectOutcome, guest,
    machine_run, missing_kfuncs,
};
use crate::machine::MachineOptions;
use crate::object::Object;
use crate::scenario::file::is_scenario;
use crate::verifier::{ObjectVerifier, Options};

/// Ask a real kernel under QEMU about programs, and compare its verdicts with ours.
///
/// Of a scenario (a .toml file) it prints the outcomes that the kernel has under true concurrency, and how often each was seen.
/// Exits with 0 when all agree, 1 when one does not, 2 when something is missing, 3 when some programs are unsupported.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Objects to load; a `.c` file is compiled with the clang that is found. Or scenarios.
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,
    /// Ask the kernel only, and print what it says. Exits with 0 when all are accepted, 1 when one is not.
    #[arg(long)]
    kernel_only: bool,
    /// Load the named programs together, run them in order, and compare return values, globals and maps.
    /// With --kernel-only, print the kernel's as JSON.
    #[arg(long, requires = "prog")]
    run: bool,
    /// Load as a process without any capability, and compare with what `verify --unpriv` says.
    #[arg(long, conflicts_with = "run")]
    unpriv: bool,
    /// A program to load; may be repeated. All when absent.
    #[arg(long, value_name = "NAME")]
    prog: Vec<String>,
    /// With --run: set a global before loading; VALUE is a number, `hex:DIGITS`, `@pid` or `@cpus`. May be repeated.
    #[arg(long, value_name = "GLOBAL=VALUE", value_parser = parse_setting, requires = "run")]
    set: Vec<GlobalSetting>,
    /// With --run: the CPU to run on. CPU 0 when absent; with --kernel-only any.
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
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// When an object cannot be read or compiled, something that is needed is missing, or no machine can be booted.
pub fn run(args: &Args) -> Result<ExitCode, TargetError> {
    let scenarios = args.objects.iter().any(|path| is_scenario(path));
    if let Some(other) = args.objects.iter().find(|path| scenarios && !is_scenario(path)) {
        return Err(TargetError::Mixed(other.clone()));
    }
    let cache = Cache::of_user()?;
    let image = match &args.kernel_image {
        Some(path) => KernelImage::open(path)?,
        None => cache.default_kernel()?,
    };
    let guest = guest::locate(&cache, args.guest.as_deref(), &mut |line| eprintln!("{line}"))?;
    let boot =
        BootOptions { cpus: args.cpus, memory_mib: args.memory, mitigations: args.unpriv, ..BootOptions::new(guest) };
    if scenarios {
        return kernel_scenario::run(&args.objects, &args.scenario, &image, &boot, args.format);
    }
    let jobs = args.objects.par_iter().map(|path| read_job(path, &args.prog)).collect::<Result<Vec<_>, _>>()?;
    let mut judge = Judge::new(image.clone(), boot);
    match (args.run, args.kernel_only) {
        (true, _) => test_run(args, &image, &mut judge, &jobs),
        (false, true) => kernel_only(args, &mut judge, jobs),
        (false, false) => comparison(args, &image, &mut judge, jobs),
    }
}

fn read_job(path: &Path, programs: &[String]) -> Result<LoadJob, TargetError> {
    let bytes = read_or_compile(path)?;
    Ok(LoadJob { name: path.display().to_string(), bytes, programs: programs.to_vec() })
}

/// Asks the kernel about all objects and hands over the answers in the objects' order, each as soon as it is its turn.
fn ask(
    args: &Args,
    judge: &mut Judge,
    jobs: Vec<LoadJob>,
    mut on_outcome: impl FnMut(ObjectOutcome),
) -> Result<(), CrosscheckError> {
    let options = LoadOptions {
        log_level: args.log_level.unwrap_or(0),
        want_log: args.log_level.is_some(),
        want_insns: args.insns,
        unprivileged: args.unpriv,
        timeout: Duration::from_secs(u64::from(args.timeout)),
        overall: args.overall_timeout.map(Duration::from_secs),
    };
    let progress = ProgressBar::new(jobs.len() as u64);
    let order: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let mut turns = order.iter();
    let mut turn = turns.next();
    let mut early: Vec<ObjectOutcome> = Vec::new();
    judge.load(jobs, &options, |outcome| {
        progress.inc(1);
        early.push(outcome);
        while let Some(place) = early.iter().position(|outcome| turn == Some(&outcome.name)) {
            let outcome = early.swap_remove(place);
            for failure in &outcome.failures {
                progress.suspend(|| eprintln!("{}: {failure}", outcome.name));
            }
            on_outcome(outcome);
            turn = turns.next();
        }
    })?;
    progress.finish_and_clear();
    Ok(())
}

/// Prints what the kernel says, and nothing of ours.
fn kernel_only(args: &Args, judge: &mut Judge, jobs: Vec<LoadJob>) -> Result<ExitCode, TargetError> {
    let mut printed = Ok(());
    let mut all_accepted = true;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    ask(args, judge, jobs, |outcome| {
        all_accepted &= outcome.failures.is_empty();
        for verdict in &outcome.verdicts {
            all_accepted &= verdict.program.verdict == Verdict::Accept;
            *counts.entry(compare::verdict_word(verdict.program.verdict)).or_default() += 1;
            let result = match args.format {
                Format::Json => print_record("kernel_verdict", verdict),
                Format::Text => output::print(&kernel_text(verdict)),
            };
            if printed.is_ok() {
                printed = result;
            }
        }
    })?;
    printed?;
    if args.format == Format::Text {
        let parts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        output::print(&format!("{} programs: {}\n", counts.values().sum::<usize>(), parts.join(", ")))?;
    }
    Ok(ExitCode::from(u8::from(!all_accepted)))
}

/// A line for a program, with the log above it when it was asked for.
fn kernel_text(verdict: &KernelVerdict) -> String {
    let program = &verdict.program;
    let word = compare::verdict_word(program.verdict);
    let log = program.log.as_deref().unwrap_or("");
    let stats = program.stats.as_ref().map_or(String::new(), |stats| format!(" insns={}", stats.insns_processed));
    let errno = if program.errno == 0 { String::new() } else { format!(" errno={}", program.errno) };
    let insn = program.last_insn.map_or(String::new(), |insn| format!(" insn={insn}"));
    let reason = if program.reason.is_empty() { String::new() } else { format!(": {}", program.reason) };
    let (object, name, kernel) = (&verdict.object, &program.program, &verdict.kernel);
    format!("{log}{object} {name} [{kernel}] {word}{errno}{insn}{stats}{reason}\n")
}

/// Compares the kernel's verdicts with ours.
fn comparison(
    args: &Args,
    image: &KernelImage,
    judge: &mut Judge,
    jobs: Vec<LoadJob>,
) -> Result<ExitCode, TargetError> {
    let kernel = kernel_of_image(image)?;
    let mut jobs = jobs;
    let mut ours = BTreeMap::new();
    for job in &jobs {
        // What our loader refuses has no verdicts; if the kernel has some, they show as missing.
        match our_verdicts(job, &kernel, args.unpriv) {
            Ok(verdicts) => drop(ours.insert(job.name.clone(), verdicts)),
            Err(error) => eprintln!("kptrsim: {error}"),
        }
    }
    let mut weakened = BTreeSet::new();
    for job in &mut jobs {
        if let Some(bytes) = missing_kfuncs::weaken(&job.bytes, &kernel.profile.btf) {
            job.bytes = bytes;
            weakened.insert(job.name.clone());
        }
    }
    let mut failed = false;
    let mut comparisons = Vec::new();
    ask(args, judge, jobs, |outcome| {
        failed |= !outcome.failures.is_empty();
        let ours = ours.get(&outcome.name).map_or(&[][..], Vec::as_slice);
        comparisons.extend(outcome.verdicts.into_iter().map(|mut verdict| {
            if weakened.contains(&outcome.name) {
                missing_kfuncs::take_back(&mut verdict.program);
            }
            let own = ours.iter().find(|own| own.program == verdict.program.program);
            compare::compare(own.cloned(), verdict)
        }));
    })?;
    match args.format {
        Format::Json => comparisons.iter().try_for_each(|one| print_record("crosscheck", one)),
        Format::Text => output::print(&compare::table(&comparisons)),
    }?;
    Ok(match compare::overall(&comparisons) {
        Overall::Disagree => ExitCode::from(1),
        _ if failed => ExitCode::from(1),
        Overall::UnsupportedOnly => ExitCode::from(3),
        Overall::AllAgree => ExitCode::SUCCESS,
    })
}

/// What our own verifier says about the programs of an object, for this kernel.
fn our_verdicts(job: &LoadJob, kernel: &Kernel, unprivileged: bool) -> Result<Vec<OurVerdict>, TargetError> {
    let object = parse_object(Path::new(&job.name), &job.bytes, kernel)?;
    let options = Options { capabilities: capabilities(unprivileged), ..Options::default() };
    let verifier = ObjectVerifier::new(&object, &kernel.profile, options);
    let programs = object.programs.iter().filter(|one| job.programs.is_empty() || job.programs.contains(&one.name));
    Ok(programs.map(|program| OurVerdict::from(&verifier.verify(program))).collect())
}

/// What our own machine makes of the same run.
///
/// Settings become what they were in the guest: its process id is read from the variable that it was written to. What the
/// machine cannot do is the result's `error`.
fn our_run(
    args: &Args,
    kernel: &Kernel,
    object: &Object,
    request: &TestRunRequest,
    theirs: &TestRunResult,
) -> TestRunResult {
    let pid = request.globals.iter().find_map(|setting| guest_pid(setting, theirs));
    let pid = pid.unwrap_or(MachineOptions::default().pid);
    let options = MachineOptions {
        cpus: args.cpus,
        pid,
        tid: pid,
        comm: GUEST_NAME.to_owned(),
        kernel_types: Some(kernel.profile.btf.clone()),
        ..MachineOptions::default()
    };
    let failed = |error: String| TestRunResult { steps: Vec::new(), maps: Vec::new(), error: Some(error) };
    let not_once =
        object.programs.iter().find(|one| args.prog.contains(&one.name) && !machine_run::runs_once(&one.section));
    if let Some(program) = not_once {
        return failed(format!("unsupported: how often {} runs ({})", program.name, program.section.name));
    }
    machine_run::machine_run(object, options, request).map_or_else(|error| failed(error.to_string()), |run| run.result)
}

/// The name of the guest's process, as `bpf_get_current_comm` gives it.
const GUEST_NAME: &str = "init";

/// The guest's process id, out of a variable that was set to it.
fn guest_pid(setting: &GlobalSetting, theirs: &TestRunResult) -> Option<u32> {
    if setting.value != GlobalValue::Pid {
        return None;
    }
    let place = |map: &MapDump| {
        let variable = map.variables.iter().find(|one| one.name == setting.name)?;
        let bytes = from_hex(map.entries.first()?.values.first()?)?;
        let start = usize::try_from(variable.offset).ok()?.checked_add(setting.offset)?;
        Some(u32::from_le_bytes(*bytes.get(start..)?.first_chunk()?))
    };
    theirs.maps.iter().find_map(place).filter(|&pid| pid > 0)
}

/// Loads programs together and runs them; prints the kernel's result as JSON, or what differs from ours.
fn test_run(args: &Args, image: &KernelImage, judge: &mut Judge, jobs: &[LoadJob]) -> Result<ExitCode, TargetError> {
    // Which CPU it is must be the same on both sides.
    let cpu = if args.kernel_only { args.cpu } else { Some(args.cpu.unwrap_or(0)) };
    let steps = args.prog.iter().map(|program| RunStep {
        program: program.clone(),
        trigger: Trigger::Auto,
        data_in: None,
        ctx_in: None,
        repeat: 0,
        cpu,
    });
    let request = TestRunRequest {
        globals: args.set.clone(),
        steps: steps.collect(),
        companions: Vec::new(),
        timeout_seconds: args.timeout,
    };
    let kernel = kernel_of_image(image)?;
    let mut good = true;
    for job in jobs {
        let mut theirs = judge.test_run(&job.bytes, request.clone())?;
        if args.kernel_only {
            good &= theirs.error.is_none() && theirs.steps.iter().all(|step| step.errno == 0);
            print_record("kernel_run", &theirs)?;
        } else {
            let object = parse_object(Path::new(&job.name), &job.bytes, &kernel)?;
            let ours = our_run(args, &kernel, &object, &request, &theirs);
            machine_run::hide_special_fields(&object, &mut theirs);
            let differences = compare_run::compare_runs(&ours, &theirs, &[]);
            good &= differences.is_empty() && theirs.error.is_none();
            print_differences(args.format, job, image, &theirs, &differences)?;
        }
    }
    Ok(ExitCode::from(u8::from(!good)))
}

fn print_differences(
    format: Format,
    job: &LoadJob,
    image: &KernelImage,
    theirs: &TestRunResult,
    differences: &[RunDifference],
) -> Result<(), OutputError> {
    if format == Format::Json {
        let line = serde_json::json!({ "object": job.name, "kernel": image.release, "differences": differences });
        return print_record("crosscheck_run", &line);
    }
    let verdict = match (&theirs.error, differences.is_empty()) {
        (Some(error), true) => format!("runs nowhere: {error}"),
        (None, true) => {
            let read = theirs.maps.iter().filter(|map| map.error.is_none()).count();
            format!("runs alike: {} programs, {read} maps and sections of globals", theirs.steps.len())
        }
        (_, false) => "runs differ".to_owned(),
    };
    output::print(&format!("{} [{}] {verdict}\n", job.name, image.release))?;
    differences
        .iter()
        .try_for_each(|one| output::print(&format!("  {}: ours {}, kernel's {}\n", one.place, one.ours, one.kernel)))
}

/// Reads `GLOBAL=VALUE`.
fn parse_setting(text: &str) -> Result<GlobalSetting, String> {
    let (name, value) = text.split_once('=').ok_or("expected GLOBAL=VALUE")?;
    let value = match value {
        "@pid" => GlobalValue::Pid,
        "@cpus" => GlobalValue::PossibleCpus,
        _ => match value.strip_prefix("hex:") {
            Some(digits) => GlobalValue::Hex(digits.to_owned()),
            None => GlobalValue::Int(
                value.parse().map_err(|_| format!("'{value}' is no number, hex:DIGITS, @pid or @cpus"))?,
            ),
        },
    };
    Ok(GlobalSetting { name: name.to_owned(), offset: 0, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crosscheck::protocol::{MapEntry, Variable};

    #[test]
    fn the_process_id_is_read_where_the_guest_wrote_it() {
        let setting = |name: &str, value| GlobalSetting { name: name.into(), offset: 0, value };
        let map = MapDump {
            name: ".bss".into(),
            map_type: "array".into(),
            key_size: 4,
            value_size: 8,
            entries: vec![MapEntry { key: "00000000".into(), values: vec!["0100000039300000".into()] }],
            truncated: false,
            error: None,
            variables: vec![Variable { name: "my_pid".into(), offset: 4, size: 4 }],
        };
        let theirs = TestRunResult { steps: Vec::new(), maps: vec![map], error: None };
        assert_eq!(guest_pid(&setting("my_pid", GlobalValue::Pid), &theirs), Some(12345));
        assert_eq!(guest_pid(&setting("my_pid", GlobalValue::Int(3)), &theirs), None);
        assert_eq!(guest_pid(&setting("other", GlobalValue::Pid), &theirs), None);
    }

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
