//! The web page: one HTML file with all that it needs, to step through a verification or a run.
//!
//! What it shows is data first ([`model::Page`]), made here from verdicts and runs, and embedded as JSON. The script under `script/`
//! draws that and nothing else; it has no library, asks no server, and a policy in the page's head forbids it to. Start at [`verification`],
//! [`run`], [`exploration`] or [`replayed`], then [`html`]. `docs/page.md` has the schema.
//!
//! Names in objects are whatever somebody wrote: they reach the page only as JSON in which no tag can be, or escaped by the template, and
//! the script makes text nodes of them.

pub mod code;
mod graph;
mod html;
mod layout;
mod lives;
pub mod model;
pub mod recorder;
mod registers;
pub mod runs;
mod sections;
mod texts;
pub mod verification;

use std::path::Path;

use code::Shared;
use model::{Kind, Page};
use recorder::Recorder;
use runs::fact;

pub use html::html;

use super::explore::{ExploreReport, Shown};
use super::run::ProgramRun;
use super::source::Sources;
use super::told::Look;
use crate::explore::simulation::Simulation;
use crate::machine::Machine;

fn page(kind: Kind, title: String, shared: Shared) -> Page {
    let (files, programs, texts) = shared.finish();
    Page {
        schema: model::SCHEMA,
        version: model::VERSION,
        generator: concat!("kptrsim ", env!("CARGO_PKG_VERSION")).to_owned(),
        kind,
        title,
        facts: Vec::new(),
        report: String::new(),
        files,
        programs,
        outcomes: Vec::new(),
        views: Vec::new(),
        texts,
    }
}

/// A run of programs, whose source files are looked for in `sources`: `drive` is given the machine and who looks on, and runs them.
///
/// # Errors
/// Those of `drive`.
pub fn run<E>(
    machine: &mut Machine,
    sources: Sources,
    drive: impl FnOnce(&mut Machine, &mut Recorder<'_>) -> Result<Vec<ProgramRun>, E>,
) -> Result<(Page, Vec<ProgramRun>), E> {
    let mut shared = Shared::new(sources);
    let mut recorder = Recorder::new(&mut shared, machine);
    let runs = drive(machine, &mut recorder)?;
    let (mut view, recording) = runs::of_run(recorder, machine, &runs);
    runs::add_run_findings(&mut view, &shared, &recording, machine, &runs);
    let mut page = page(Kind::Run, machine.object().name.clone(), shared);
    page.facts = vec![fact("CPUs", machine.cpu_count())];
    page.views.push(view);
    Ok((page, runs))
}

/// What an exploration found.
#[must_use]
pub fn exploration(simulation: &Simulation, report: &ExploreReport<'_>, sources: Sources) -> Page {
    let mut shared = Shared::new(sources);
    let views = runs::of_exploration(&mut shared, simulation, report);
    let mut page = page(Kind::Exploration, title(report.path), shared);
    page.facts = vec![
        fact("CPUs", report.scenario.cpus),
        fact("memory", report.scenario.memory.name().to_uppercase()),
        fact("policy", &report.result.coverage.policy),
        fact("explored", &report.result.coverage),
        fact("findings", report.result.findings.len()),
        fact("outcomes", report.result.outcomes.len()),
    ];
    page.outcomes = runs::outcomes(report);
    page.report = report.text(&Look::plain());
    page.views = views;
    page
}

/// A schedule that was performed again.
#[must_use]
pub fn replayed(simulation: &mut Simulation, path: &Path, shown: &Shown, sources: Sources) -> Page {
    let mut shared = Shared::new(sources);
    let view = runs::of_schedule(&mut shared, simulation, shown, ("schedule", "the schedule"), None);
    let mut page = page(Kind::Replay, title(path), shared);
    page.facts = vec![fact("CPUs", simulation.machine().cpu_count())];
    page.views.push(view);
    page
}

fn title(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
