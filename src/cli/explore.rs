//! `kptrsim explore`: runs a scenario under many schedules, and shows those that go wrong.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt;
use super::output::{self, FindingsArgs, FindingsFormat};
use super::scenario::{ExploreError, ScenarioArgs, token_digest};
use crate::explore::finding::Finding;
use crate::explore::records;
use crate::explore::result::Shard;
use crate::explore::schedule::Schedule;
use crate::explore::search::{Control, Progress, SearchOptions, SearchResult, Strategy, search};
use crate::explore::shrink::shrink;
use crate::explore::simulation::Simulation;
use crate::explore::system::Choice;
use crate::report::explore::{ExploreReport, Shown};
use crate::report::{github, sarif};

/// Run a scenario on simulated CPUs under every schedule that matters, or as many as wanted, and show what goes wrong.
///
/// The scenario is a TOML file, or an object with the words --on, --first, --hold and so on. Each failing schedule is
/// printed with a token; `kptrsim replay TOKEN` repeats it.
///
/// Exits with 0 when nothing was found, 1 when something was, 2 for wrong use or bad input, 3 when nothing was found
/// but runs needed something that is not modelled, or were cut.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Scenario (a .toml file), or BPF object; a `.c` file is compiled with the clang that is found
    #[arg(value_name = "SCENARIO|OBJ")]
    pub path: PathBuf,
    /// What runs where.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// How schedules are chosen
    #[arg(long, value_enum, default_value_t = PolicyName::Auto, help_heading = "Search")]
    pub policy: PolicyName,
    /// Orderings that PCT's bugs need
    #[arg(long, default_value_t = 3, value_name = "D", help_heading = "Search")]
    pub depth: usize,
    /// Schedules at most
    #[arg(long, value_name = "N", help_heading = "Search")]
    pub schedules: Option<u64>,
    /// Seconds at most
    #[arg(long, value_name = "SECONDS", help_heading = "Search")]
    pub time: Option<u64>,
    /// Steps of a schedule at most; what is longer is cut, and said to be
    #[arg(long, default_value_t = 10_000, value_name = "N", help_heading = "Search")]
    pub max_steps: usize,
    /// Only schedules with at most so many preemptions (with --policy dfs)
    #[arg(long, value_name = "N", help_heading = "Search")]
    pub preemptions: Option<u32>,
    /// Leave a schedule where it meets a state that was met before (with --policy dfs)
    #[arg(long, help_heading = "Search")]
    pub cache_states: bool,
    /// Seed of what is random
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Search")]
    pub seed: u64,
    /// Threads to search with; by default as many as there are cores
    #[arg(long, value_name = "N", help_heading = "Search")]
    pub threads: Option<usize>,
    /// Only share K of N of the search, from 1; `kptrsim merge` makes one result of the JSON Lines of all
    #[arg(long, value_name = "K/N", help_heading = "Search")]
    pub shard: Option<Shard>,
    /// Make the failing schedules simpler before they are shown
    #[arg(long, help_heading = "Search")]
    pub shrink: bool,
    /// How it is shown.
    #[command(flatten)]
    pub shown: FindingsArgs,
}

/// How schedules are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyName {
    /// Some random ones; then every trace if they are not too many, else more random ones.
    Auto,
    /// A step each in turn: one schedule.
    RoundRobin,
    /// Each choice with the same probability.
    Random,
    /// Random priorities with changes at random points (PCT).
    Pct,
    /// Each interleaving with nearly the same probability (URW).
    Urw,
    /// Every schedule, depth first.
    Dfs,
    /// Every trace once: schedules up to the order of independent steps (optimal DPOR).
    Dpor,
}

impl PolicyName {
    fn strategy(self, depth: usize) -> Strategy {
        match self {
            PolicyName::Auto => Strategy::Automatic,
            PolicyName::RoundRobin => Strategy::RoundRobin,
            PolicyName::Random => Strategy::Random,
            PolicyName::Pct => Strategy::Pct(depth),
            PolicyName::Urw => Strategy::Urw,
            PolicyName::Dfs => Strategy::Dfs,
            PolicyName::Dpor => Strategy::Dpor,
        }
    }
}

/// Schedules that are tried to make one simpler.
pub const SHRINK_TRIES: usize = 20_000;

/// Explores and prints what was found.
///
/// # Errors
/// [`ExploreError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, ExploreError> {
    let kernel = args.scenario.kernel.kernel()?;
    let loaded = args.scenario.load(&args.path, &kernel)?;
    let simulation = args.scenario.simulate(&loaded, &kernel)?;
    let result = explore(args, &simulation)?;
    let like = records::Scenario { digest: token_digest(&loaded), name: args.path.display().to_string() };
    let shown = shown(args, &like, &simulation, &result);
    let report =
        ExploreReport { path: &args.path, scenario: &loaded.scenario, result: &result, like: &like, shown: &shown };
    let tree = args.shown.root.tree();
    match args.shown.format {
        FindingsFormat::Text => {
            output::print(&report.text(&output::look(loaded.sources(&args.shown.sources.sources))))?
        }
        FindingsFormat::Json => report.records().iter().try_for_each(output::print_json)?,
        FindingsFormat::Sarif => output::print_document(&sarif::log(&report.diagnostics(), &[], &tree))?,
        FindingsFormat::Github => {
            report.diagnostics().iter().try_for_each(|one| output::print(&github::command(one, &tree)))?;
            output::print(&format!("explored: {}; findings: {}\n", result.coverage, result.findings.len()))?;
        }
    }
    #[cfg(feature = "page")]
    if let Some(path) = &args.shown.page.html {
        super::html::write(
            path,
            &crate::report::page::exploration(&simulation, &report, loaded.sources(&args.shown.sources.sources)),
        )?;
    }
    let decided = |kind: fn(&Finding) -> bool| result.findings.values().any(|found| kind(&found.finding));
    Ok(if decided(|finding| !finding.is_undecided()) {
        ExitCode::from(1)
    } else if decided(Finding::is_undecided) || result.coverage.cut > 0 {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}

fn explore(args: &Args, simulation: &Simulation) -> Result<SearchResult<Finding>, ExploreError> {
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let options = SearchOptions {
        strategy: args.policy.strategy(args.depth),
        seed: args.seed,
        schedules: args.schedules,
        time: args.time.map(Duration::from_secs),
        max_steps: args.max_steps,
        preemptions: args.preemptions,
        cache_states: args.cache_states,
        races: true,
        threads: threads.max(1),
        shard: args.shard,
    };
    let stop = interrupt::stop_flag()?;
    let bar = progress_bar();
    let progress = |progress: Progress| {
        bar.set_position(progress.runs);
        if let Some(estimate) = progress.estimate {
            bar.set_message(format!("of about {estimate:.3e}"));
        }
    };
    let result = search(&|| simulation.clone(), &options, Control { stop: &stop, progress: &progress });
    bar.finish_and_clear();
    Ok(result?)
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} schedules {msg} {elapsed} ({per_sec})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The schedules that are shown: of each finding the shortest, or a simpler one.
fn shown(
    args: &Args,
    like: &records::Scenario,
    simulation: &Simulation,
    result: &SearchResult<Finding>,
) -> Vec<(String, Shown)> {
    let mut simulation = simulation.clone();
    let mut show = |choices: &[Choice], key: Option<&str>| {
        let simpler = key.filter(|_| args.shrink).and_then(|key| shrink(&mut simulation, choices, key, SHRINK_TRIES));
        let choices = simpler.map_or_else(|| choices.to_vec(), |shrunk| shrunk.choices);
        Shown::new(&mut simulation, Schedule { choices, digest: like.digest, name: like.name.clone() })
    };
    let found = result.findings.iter().map(|(key, found)| (key.clone(), show(&found.shortest.choices, Some(key))));
    let mut all: Vec<_> = found.collect();
    all.extend(result.cut.iter().map(|seen| ("cut".to_owned(), show(&seen.choices, None))));
    all
}
