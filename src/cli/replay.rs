//! `kptrsim replay`: performs a schedule that `explore` printed, step for step.

use std::path::PathBuf;
use std::process::ExitCode;

use super::explore::SHRINK_TRIES;
use super::output::{self, Format, PageArgs, SourceArgs};
use super::scenario::{ExploreError, ScenarioArgs, token_digest};
use crate::explore::schedule::Schedule;
use crate::explore::shrink::shrink;
use crate::report::explore::{Shown, replay_json, replay_text};

/// Repeat a schedule that `kptrsim explore` printed, step for step, and show what happens.
///
/// The token names its scenario's file. If it came of an object and words, give the same words again. The same token
/// gives the same trace on any machine; the digest of the trace is printed.
///
/// Exits with 0 when the run shows nothing wrong, 1 when it does, 2 for wrong use, bad input or a schedule that does not
/// fit, 3 when the run needs something that is not modelled.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The schedule
    #[arg(value_name = "TOKEN")]
    pub token: Schedule,
    /// Scenario or object; by default the one that the token names
    #[arg(value_name = "SCENARIO|OBJ")]
    pub path: Option<PathBuf>,
    /// What runs where.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Make the schedule simpler first: fewer switches, then fewer steps, then fewer CPUs
    #[arg(long)]
    pub shrink: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// A page.
    #[command(flatten)]
    pub page: PageArgs,
    /// Sources.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Performs the schedule and prints what came of it.
///
/// # Errors
/// [`ExploreError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, ExploreError> {
    let name = || (!args.token.name.is_empty()).then(|| PathBuf::from(&args.token.name));
    let path = args.path.clone().or_else(name).ok_or(ExploreError::NoName)?;
    let kernel = args.scenario.kernel.kernel()?;
    let loaded = args.scenario.load(&path, &kernel)?;
    if args.token.digest.is_some() && args.token.digest != token_digest(&loaded) {
        return Err(ExploreError::OtherScenario { name: path.display().to_string() });
    }
    let mut simulation = args.scenario.simulate(&loaded, &kernel)?;
    // A schedule of `kptrsim step` may have them; one of a search names no such step.
    simulation.offer_grace_periods();
    let mut shown = Shown::new(&mut simulation, args.token.clone());
    if args.shrink {
        let key = shown.findings.first().map(|finding| finding.key.clone()).ok_or(ExploreError::NoFinding)?;
        if let Some(simpler) = shrink(&mut simulation, &args.token.choices, &key, SHRINK_TRIES) {
            let schedule = Schedule { choices: simpler.choices, ..args.token.clone() };
            shown = Shown::new(&mut simulation, schedule);
        }
    }
    match args.format {
        Format::Text => output::print(&replay_text(&shown, &output::look(loaded.sources(&args.sources.sources))))?,
        Format::Json => output::print_record("replay", &replay_json(&shown))?,
    }
    #[cfg(feature = "page")]
    if let Some(file) = &args.page.html {
        super::html::write(
            file,
            &crate::report::page::replayed(&mut simulation, &path, &shown, loaded.sources(&args.sources.sources)),
        )?;
    }
    Ok(ExitCode::from(if shown.misfit.is_some() {
        2
    } else if shown.findings.is_empty() {
        0
    } else if shown.findings.iter().all(|finding| finding.undecided) {
        3
    } else {
        1
    }))
}
