//! `kptrsim crosscheck SCENARIO.toml`: what a real kernel makes of a scenario, under true concurrency.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::output::{self, Format};
use super::target::{LoadedScenario, TargetError, kernel_of_image, load_scenario};
use crate::crosscheck::kernel_outcomes::{KernelRuns, Outcomes, Record, kernel_outcomes};
use crate::crosscheck::{BootOptions, Judge, KernelImage};

/// How a scenario is run on a real kernel.
#[derive(Clone, Debug, ClapArgs)]
pub struct ScenarioArgs {
    /// With a scenario: how often to run it.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    iterations: u64,
    /// With a scenario: seconds after which no other iteration is begun.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    budget: u32,
    /// With a scenario: seed of the skew between the tasks' starts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// With a scenario: add the outcomes to NAME.kernel.json beside it.
    #[arg(long)]
    record: bool,
}

/// One line of JSON for a scenario.
#[derive(Serialize)]
struct Line<'a> {
    scenario: String,
    kernel: &'a str,
    digest: String,
    iterations: u64,
    outcomes: Vec<OutcomeLine<'a>>,
}

/// One outcome of it.
#[derive(Serialize)]
struct OutcomeLine<'a> {
    outcome: &'a str,
    count: u64,
    broken: Vec<String>,
}

/// Runs scenarios on a kernel, one after another, each on a machine with as many CPUs as it asks for.
///
/// # Errors
/// When a scenario or its object cannot be read, does not fit, or does not run.
pub fn run(
    paths: &[PathBuf],
    args: &ScenarioArgs,
    image: &KernelImage,
    boot: &BootOptions,
    format: Format,
) -> Result<ExitCode, TargetError> {
    let kernel = kernel_of_image(image)?;
    let loaded = paths.iter().map(|path| load_scenario(path, &kernel)).collect::<Result<Vec<_>, _>>()?;
    // What does not fit is told before anything boots.
    loaded.iter().try_for_each(|one| one.scenario.bind(&one.object).map(drop))?;
    let cpus: BTreeSet<u32> = loaded.iter().map(|one| one.scenario.cpus).collect();
    let mut good = true;
    for cpus in cpus {
        let mut judge = Judge::new(image.clone(), BootOptions { cpus, ..boot.clone() });
        for one in loaded.iter().filter(|one| one.scenario.cpus == cpus) {
            good &= run_one(one, args, image, &mut judge, format)?;
        }
    }
    Ok(ExitCode::from(u8::from(!good)))
}

/// Runs one scenario and prints what came of it; whether all held.
fn run_one(
    loaded: &LoadedScenario,
    args: &ScenarioArgs,
    image: &KernelImage,
    judge: &mut Judge,
    format: Format,
) -> Result<bool, TargetError> {
    let LoadedScenario { path, scenario, bytes, object } = loaded;
    let runs = KernelRuns { iterations: args.iterations, budget_seconds: args.budget, seed: args.seed };
    let outcomes = kernel_outcomes(judge, scenario, object, bytes, &runs)
        .map_err(|source| TargetError::Outcomes { path: path.clone(), source })?;
    match format {
        Format::Json => output::print_record("kernel_outcomes", &line(loaded, image, &outcomes))?,
        Format::Text => output::print(&text(path, image, &outcomes))?,
    }
    if args.record {
        record(path, image, &outcomes)?;
    }
    Ok(outcomes.broken.is_empty())
}

fn line<'a>(loaded: &LoadedScenario, image: &'a KernelImage, outcomes: &'a Outcomes) -> Line<'a> {
    let outcome = |(text, count): (&'a String, &u64)| OutcomeLine {
        outcome: text,
        count: *count,
        broken: outcomes.broken.get(text).into_iter().flatten().map(|one| one.condition.text.clone()).collect(),
    };
    Line {
        scenario: loaded.path.display().to_string(),
        kernel: &image.release,
        digest: loaded.scenario.digest(&loaded.bytes),
        iterations: outcomes.iterations,
        outcomes: outcomes.counts.iter().map(outcome).collect(),
    }
}

fn text(path: &Path, image: &KernelImage, outcomes: &Outcomes) -> String {
    let (count, iterations) = (outcomes.counts.len(), outcomes.iterations);
    let mut text = format!("{} [{}] {iterations} iterations, {count} outcomes\n", path.display(), image.release);
    for (outcome, count) in &outcomes.counts {
        text.push_str(&format!("{count:>9}  {outcome}\n"));
        for broken in outcomes.broken.get(outcome).into_iter().flatten() {
            let why = broken.error.as_ref().map_or(String::new(), |error| format!(" ({error})"));
            text.push_str(&format!("           breaks `{}`{why}\n", broken.condition.text));
        }
    }
    text
}

/// Adds outcomes to those that were seen before on the same kernel.
fn record(scenario: &Path, image: &KernelImage, outcomes: &Outcomes) -> Result<(), TargetError> {
    let path = scenario.with_extension("kernel.json");
    let before = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    let before = before.filter(|record| record.kernel == image.release);
    let (iterations, seen) = before.map_or((0, Vec::new()), |record| (record.iterations, record.outcomes));
    let all: BTreeSet<String> = seen.into_iter().chain(outcomes.counts.keys().cloned()).collect();
    let record = Record {
        kernel: image.release.clone(),
        iterations: iterations + outcomes.iterations,
        outcomes: all.into_iter().collect(),
    };
    let written = serde_json::to_string_pretty(&record).map_err(std::io::Error::from);
    let written = written.and_then(|text| fs::write(&path, text + "\n"));
    written.map_err(|source| TargetError::Write { path, source })
}
