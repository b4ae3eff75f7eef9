//! `kptrsim witness`: for each rejected program, a run that shows the harm that the rejection names.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use indicatif::ProgressBar;

use super::interrupt;
use super::output::{self, FindingsFormat, RootArgs, SourceArgs};
use super::scenario::{ExploreError, token_digest};
use super::target::{Kernel, KernelArgs, LoadedScenario, parse_object, read_or_compile};
use super::verify::chosen;
use crate::explore::schedule::Schedule;
use crate::explore::simulation::Simulation;
use crate::machine::MachineOptions;
use crate::object::Object;
use crate::report::diagnostic::Diagnostic;
use crate::report::explore::Shown;
use crate::report::source_tree::SourceTree;
use crate::report::witness::WitnessReport;
use crate::report::{github, sarif};
use crate::soundness::witness::{Answer, Bounds, Subject, Witness, hunt};
use crate::verifier::{ObjectVerifier, Options, Verdict, Verification};

/// For each rejected program, look for a run that shows what the verifier warns of.
///
/// Inputs, companions of the same object, schedules, failing allocations and the ends of grace periods are tried until a
/// run shows the harm that the broken rule names. It is printed with a token; `kptrsim replay` repeats it.
///
/// Exits with 0 when no witness was found (or nothing is rejected), 1 when one was, 2 for wrong use or bad input, 3 when none
/// was found and runs needed something that is not modelled.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// BPF object; a `.c` file is compiled with the clang that is found
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// A program; may be repeated. All that are rejected when absent
    #[arg(long, value_name = "NAME")]
    pub prog: Vec<String>,
    /// Kernel to judge for.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Runs for each program at most, beside those of the small scenarios of which all are tried
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub runs: u64,
    /// Seconds for each program at most
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// Seed of what is random
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Instructions that one run may execute; one that goes on is taken to have no end
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub max_insns: u64,
    /// Output format; json prints one object a line
    #[arg(long, value_enum, default_value_t = FindingsFormat::Text)]
    pub format: FindingsFormat,
    /// Root.
    #[command(flatten)]
    pub root: RootArgs,
    /// Sources.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Instructions that a replay executes unless told otherwise.
const REPLAYED: u64 = 10_000_000;

/// What all answers together come to.
#[derive(Default)]
struct Tally {
    shown: usize,
    none: usize,
    no_harm: usize,
    harmless: usize,
    unsupported: usize,
    /// The harms that are shown, where they are printed all together.
    diagnostics: Vec<Diagnostic>,
}

/// Looks for witnesses and prints what was found.
///
/// # Errors
/// [`ExploreError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, ExploreError> {
    let kernel = args.kernel.kernel()?;
    let bytes = read_or_compile(&args.object)?;
    let object = Arc::new(parse_object(&args.object, &bytes, &kernel)?);
    let verifier = ObjectVerifier::new(&object, &kernel.profile, Options::default());
    let all: Vec<_> = object.programs.iter().map(|program| verifier.verify(program)).collect();
    let wanted: Vec<_> = chosen(&object, &args.prog)?.iter().map(|program| program.name.as_str()).collect();
    let rejected: Vec<_> = all.iter().filter(|one| wanted.contains(&one.program.as_str())).collect();
    let stop = interrupt::stop_flag()?;
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(rejected.len() as u64) } else { ProgressBar::hidden() };
    let tree = args.root.tree();
    let command =
        Hunting { args, kernel: &kernel, object: &object, bytes: &bytes, all: &all, stop: &stop, tree: &tree };
    let mut tally = Tally::default();
    for verification in rejected {
        command.program(verification, &mut tally)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.format == FindingsFormat::Sarif {
        output::print_document(&sarif::log(&tally.diagnostics, &[], &tree))?;
    }
    if matches!(args.format, FindingsFormat::Text | FindingsFormat::Github) {
        let &Tally { shown, none, no_harm, harmless, .. } = &tally;
        output::print(&format!(
            "{} rejected: {shown} with a witness, {none} without, {harmless} of which no run does harm, {no_harm} for a rule that names none\n",
            shown + none + no_harm + harmless
        ))?;
    }
    Ok(ExitCode::from(match tally {
        Tally { shown: 1.., .. } => 1,
        Tally { unsupported: 1.., .. } => 3,
        _ => 0,
    }))
}

/// What the hunts of one call of the command share.
struct Hunting<'a> {
    args: &'a Args,
    kernel: &'a Kernel,
    object: &'a Arc<Object>,
    bytes: &'a [u8],
    all: &'a [Verification],
    stop: &'a AtomicBool,
    tree: &'a SourceTree,
}

impl Hunting<'_> {
    fn program(&self, verification: &Verification, tally: &mut Tally) -> Result<(), ExploreError> {
        let Verdict::Reject(rejection) = &verification.verdict else { return Ok(()) };
        let Some(program) = self.object.programs.iter().find(|program| program.name == verification.program) else {
            return Ok(());
        };
        let siblings = siblings(self.all, &verification.program);
        let subject = Subject {
            object: self.object,
            path: &self.args.object,
            program,
            rejection,
            insn: verification.place.as_ref().map(|place| place.insn),
            siblings: &siblings,
        };
        let Args { runs, seconds, seed, max_insns, .. } = *self.args;
        let bounds = Bounds { runs, time: seconds.map(Duration::from_secs), seed, max_insns };
        let options =
            MachineOptions { kernel_types: Some(Arc::clone(&self.kernel.profile.btf)), ..MachineOptions::default() };
        let answer = hunt(&subject, &options, &bounds, self.stop);
        let shown = match &answer {
            Answer::Shown(witness, _) => Some(self.shown(witness, options)?),
            _ => None,
        };
        match &answer {
            Answer::Shown(..) => tally.shown += 1,
            Answer::NoHarm(_) => tally.no_harm += 1,
            Answer::Harmless(_) => tally.harmless += 1,
            Answer::NotFound(tried) => {
                tally.none += 1;
                tally.unsupported += usize::from(!tried.unsupported.is_empty());
            }
        }
        let report = WitnessReport {
            object: &self.args.object.display().to_string(),
            verification,
            rejection,
            answer: &answer,
            shown: shown.as_ref(),
            options: &self.replay_options(&answer),
        };
        match self.args.format {
            FindingsFormat::Text => output::print(&report.text(&self.args.sources.look(&self.args.object)))?,
            FindingsFormat::Json => output::print_json(&report.json())?,
            FindingsFormat::Sarif => tally.diagnostics.extend(report.diagnostic()),
            FindingsFormat::Github => {
                report.diagnostic().map_or(Ok(()), |one| output::print(&github::command(&one, self.tree)))?;
            }
        }
        Ok(())
    }

    /// Performs the witness's run, as `replay` does.
    fn shown(&self, witness: &Witness, options: MachineOptions) -> Result<Shown, ExploreError> {
        let loaded = LoadedScenario {
            path: self.args.object.clone(),
            scenario: witness.scenario.clone(),
            bytes: self.bytes.to_vec(),
            object: Object::clone(self.object),
        };
        let options = MachineOptions { max_insns: witness.max_insns, ..options };
        let mut simulation = Simulation::new(&witness.scenario, self.object, options)?;
        let name = self.args.object.display().to_string();
        let schedule = Schedule { choices: witness.choices.clone(), digest: token_digest(&loaded), name };
        Ok(Shown::new(&mut simulation, schedule))
    }

    /// What a replay has to be told beside the scenario.
    fn replay_options(&self, answer: &Answer) -> String {
        let mut options = String::new();
        let KernelArgs { btf, kernel, kconfig, kfuncs } = &self.args.kernel;
        let paths = [("--btf", btf), ("--kconfig", kconfig), ("--kfuncs", kfuncs)];
        for (option, path) in paths {
            if let Some(path) = path {
                options.push_str(&format!(" {option} {}", path.display()));
            }
        }
        if let Some(build) = kernel {
            options.push_str(&format!(" --kernel {build}"));
        }
        if let Answer::Shown(witness, _) = answer
            && (witness.finding.is_undecided() || witness.max_insns > REPLAYED)
        {
            options.push_str(&format!(" --max-insns {}", witness.max_insns));
        }
        options
    }
}

/// The other programs: those that are accepted first, each group in the object's order.
fn siblings<'a>(all: &'a [Verification], program: &str) -> Vec<&'a str> {
    let others = all.iter().filter(|one| one.program != program);
    let (accepted, others): (Vec<_>, Vec<_>) = others.partition(|one| one.verdict == Verdict::Accept);
    accepted.into_iter().chain(others).map(|one| one.program.as_str()).collect()
}
