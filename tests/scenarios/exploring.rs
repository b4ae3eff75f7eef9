//! Each scenario under every policy: how many schedules are explored, what is observed and found; that policies agree; that every finding's
//! token repeats it; and that the outcomes which a kernel was seen to have are among those of x86's memory model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kptrsim::crosscheck::kernel_outcomes::Record;
use kptrsim::explore::finding::Finding;
use kptrsim::explore::replay::replay;
use kptrsim::explore::schedule::Schedule;
use kptrsim::explore::search::{Control, SearchOptions, SearchResult, Strategy, search};
use kptrsim::explore::shrink::shrink;
use kptrsim::explore::simulation::Simulation;
use kptrsim::kernel::Profile;
use kptrsim::machine::MachineOptions;
use kptrsim::object::Object;
use kptrsim::scenario::{MemoryModel, Scenario};
use libtest_mimic::Failed;

/// Schedules that a depth-first search may take: small scenarios have fewer.
const DFS_SCHEDULES: u64 = 3_000;
/// Runs of the random policies.
const RANDOM_RUNS: u64 = 100;
/// Schedules that are tried to make one simpler.
const SHRINK_TRIES: usize = 2_000;

/// The policies that are held against each other, by name.
const STRATEGIES: [(&str, Strategy, Option<u64>); 7] = [
    ("round robin", Strategy::RoundRobin, None),
    ("random", Strategy::Random, Some(RANDOM_RUNS)),
    ("PCT 3", Strategy::Pct(3), Some(RANDOM_RUNS)),
    ("URW", Strategy::Urw, Some(RANDOM_RUNS)),
    ("DFS", Strategy::Dfs, Some(DFS_SCHEDULES)),
    ("DPOR", Strategy::Dpor, None),
    ("auto", Strategy::Automatic, None),
];

type Searched = SearchResult<Finding>;

fn simulation(scenario: &Scenario, object: &Arc<Object>, memory: MemoryModel) -> Result<Simulation, Failed> {
    let scenario = Scenario { memory, ..scenario.clone() };
    let types = Some(Profile::embedded().btf);
    Ok(Simulation::new(&scenario, object, MachineOptions { kernel_types: types, ..MachineOptions::default() })?)
}

fn run(simulation: &Simulation, strategy: Strategy, schedules: Option<u64>) -> Result<Searched, Failed> {
    let options = SearchOptions { strategy, schedules, threads: 1, ..SearchOptions::default() };
    let stop = AtomicBool::new(false);
    Ok(search(&|| simulation.clone(), &options, Control { stop: &stop, progress: &|_| () })?)
}

fn outcomes(result: &Searched) -> BTreeSet<&str> {
    result.outcomes.keys().map(String::as_str).collect()
}

fn kinds(result: &Searched) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for found in result.findings.values() {
        *kinds.entry(found.finding.kind()).or_default() += 1;
    }
    kinds
}

fn line(memory: MemoryModel, name: &str, result: &Searched) -> String {
    let kinds: Vec<_> = kinds(result).into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let findings = if kinds.is_empty() { "nothing found".to_owned() } else { kinds.join(", ") };
    format!("{} {name}: {}; {} outcomes; {findings}\n", memory.name(), result.coverage, result.outcomes.len())
}

/// Explores a scenario by every policy, and checks what must agree. The text tells how much each explored.
pub fn explored(scenario: &Scenario, object: &Arc<Object>) -> Result<String, Failed> {
    let start = simulation(scenario, object, MemoryModel::Sc)?;
    let mut text = String::new();
    let all = run(&start, Strategy::Dpor, None)?;
    for (name, strategy, schedules) in STRATEGIES {
        let result = run(&start, strategy, schedules)?;
        text.push_str(&line(MemoryModel::Sc, name, &result));
        if !outcomes(&result).is_subset(&outcomes(&all)) {
            return Err(format!("{name} sees an outcome that DPOR does not").into());
        }
        if result.coverage.complete && strategy == Strategy::Dfs {
            let same = outcomes(&result) == outcomes(&all) && kinds(&result) == kinds(&all);
            same.then_some(()).ok_or("depth-first search and DPOR differ")?;
        }
    }
    for (key, found) in &all.findings {
        repeats(&start, key, &found.shortest.choices)?;
    }
    let late = run(&simulation(scenario, object, MemoryModel::Tso)?, Strategy::Dpor, None)?;
    text.push_str(&line(MemoryModel::Tso, "DPOR", &late));
    if !outcomes(&all).is_subset(&outcomes(&late)) {
        return Err("an outcome of sequential consistency is none of x86's memory model".into());
    }
    Ok(text)
}

/// A failing schedule goes through its token, fails the same way twice, and fails still when it is made simpler.
fn repeats(start: &Simulation, key: &str, choices: &[kptrsim::explore::system::Choice]) -> Result<(), Failed> {
    let schedule = Schedule { choices: choices.to_vec(), digest: Some(1), name: "a scenario.toml".into() };
    let token: Schedule = schedule.to_string().parse()?;
    if token != schedule {
        return Err(format!("{key}: its token is read as another schedule").into());
    }
    let mut simulation = start.clone();
    let fails = |result: &kptrsim::explore::replay::Replay<Finding>| {
        result.misfit.is_none() && result.findings.iter().any(|finding| finding.key() == key)
    };
    let once = replay(&mut simulation, &token.choices, |_, _| ());
    let twice = replay(&mut start.clone(), &token.choices, |_, _| ());
    if !fails(&once) || once.digest != twice.digest || once.outcome != twice.outcome {
        return Err(format!("{key}: its schedule does not repeat it").into());
    }
    let simpler = shrink(&mut simulation, &token.choices, key, SHRINK_TRIES).ok_or("it does not shrink")?;
    if !fails(&replay(&mut simulation, &simpler.choices, |_, _| ())) || simpler.choices.len() > choices.len() {
        return Err(format!("{key}: the simpler schedule does not show it").into());
    }
    Ok(())
}

/// Outcomes that a kernel had are among those of the explorer under x86's memory model.
pub fn kernel_is_covered<'o>(
    scenario: &Scenario,
    object: &Arc<Object>,
    seen: impl IntoIterator<Item = &'o String>,
) -> Result<(), Failed> {
    let all = run(&simulation(scenario, object, MemoryModel::Tso)?, Strategy::Dpor, None)?;
    if !all.coverage.complete {
        return Err(format!("not everything was explored: {}", all.coverage).into());
    }
    match seen.into_iter().find(|outcome| !all.outcomes.contains_key(*outcome)) {
        Some(outcome) => Err(format!("the kernel had an outcome that the explorer does not find: {outcome}").into()),
        None => Ok(()),
    }
}

/// The recorded outcomes beside a scenario.
pub fn record(path: &Path) -> Result<Record, Failed> {
    Ok(serde_json::from_slice(&std::fs::read(path.with_extension("kernel.json"))?)?)
}
