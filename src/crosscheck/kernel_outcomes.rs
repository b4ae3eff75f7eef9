//! A scenario on a real kernel: what comes of it, over many iterations with true concurrency.
//!
//! The guest counts outcomes as bytes (`guest/src/scenario.rs`); here they become the text in which the explorer tells its own, so
//! that the two can be held against each other. Start at [`kernel_outcomes`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::protocol::{
    GlobalSetting, GlobalValue, MapEntry, RunStep, ScenarioOutcome, ScenarioRequest, ScenarioTask, Trigger, from_hex,
    to_hex,
};
use super::{CrosscheckError, Judge};
use crate::object::Object;
use crate::scenario::{
    self, Broken, Judgement, MapContents, Observation, PlacedRun, Run, Scenario, ScenarioError, Setting,
};

/// How long and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRuns {
    /// Iterations at most.
    pub iterations: u64,
    /// Seconds after which no other iteration is begun.
    pub budget_seconds: u32,
    /// Seed of the skew between the tasks' starts.
    pub seed: u64,
}

impl Default for KernelRuns {
    fn default() -> KernelRuns {
        KernelRuns { iterations: 10_000, budget_seconds: 60, seed: 1 }
    }
}

/// What a kernel made of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Iterations that were carried out.
    pub iterations: u64,
    /// Outcomes, and in how many iterations each was seen.
    pub counts: BTreeMap<String, u64>,
    /// Conditions of the end that did not hold, by the outcome in which they did not: `always` is not judged on a kernel.
    pub broken: BTreeMap<String, Vec<Broken>>,
}

/// The outcomes that a kernel was seen to have, as they are kept beside a scenario. How often each comes is noise, and is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The exact kernel build.
    pub kernel: String,
    /// Iterations that they were seen in.
    pub iterations: u64,
    /// Each outcome once, in ascending order.
    pub outcomes: Vec<String>,
}

/// Why there are no outcomes.
#[derive(Debug, Error)]
pub enum OutcomesError {
    /// The scenario does not fit the object.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// No kernel could be asked.
    #[error(transparent)]
    Crosscheck(#[from] CrosscheckError),
    /// The kernel could not run it.
    #[error("the kernel cannot run the scenario: {0}")]
    Run(String),
}

/// Runs a scenario on the judge's kernel, which should have as many CPUs as the scenario: programs can count them.
///
/// `bytes` are the object's, as it was loaded.
///
/// # Errors
/// [`OutcomesError`] when the scenario does not fit, no kernel can be asked, or a program does not run.
pub fn kernel_outcomes(
    judge: &mut Judge,
    scenario: &Scenario,
    object: &Object,
    bytes: &[u8],
    runs: &KernelRuns,
) -> Result<Outcomes, OutcomesError> {
    let judgement = scenario.bind(object)?;
    let maps: Vec<usize> = judgement.end_maps().into_iter().collect();
    let result = judge.scenario(bytes, request(scenario, object, &maps, runs))?;
    if let Some(error) = result.error {
        return Err(OutcomesError::Run(error));
    }
    let mut outcomes = Outcomes { iterations: result.iterations, ..Outcomes::default() };
    for outcome in result.outcomes {
        let count = outcome.count;
        let seen = observation(&outcome, object, &maps).map_err(OutcomesError::Run)?;
        add(&mut outcomes, &judgement, &seen, count);
    }
    Ok(outcomes)
}

fn add(outcomes: &mut Outcomes, judgement: &Judgement, seen: &Observation, count: u64) {
    let text = judgement.outcome(seen);
    *outcomes.counts.entry(text.clone()).or_default() += count;
    let broken = judgement.broken(seen);
    if !broken.is_empty() {
        let known = outcomes.broken.entry(text).or_default();
        known.extend(broken.into_iter().filter(|one| !known.contains(one)).collect::<Vec<_>>());
    }
}

/// The scenario as the guest is asked for it.
fn request(scenario: &Scenario, object: &Object, maps: &[usize], runs: &KernelRuns) -> ScenarioRequest {
    /// Seconds beyond the budget: loading, and the iteration in which the budget ends.
    const SLACK: u32 = 60;
    let setting = |(name, setting): (&String, &Setting)| GlobalSetting {
        name: name.clone(),
        offset: 0,
        value: match setting {
            Setting::Number(number) => GlobalValue::Int(*number),
            Setting::Bytes(bytes) => GlobalValue::Hex(to_hex(bytes)),
            Setting::Pid => GlobalValue::Pid,
            Setting::Cpus => GlobalValue::PossibleCpus,
        },
    };
    let placed = |list: &[PlacedRun]| list.iter().map(|one| step(&one.run, one.cpu)).collect();
    let task = |task: &scenario::Task| ScenarioTask {
        cpu: task.cpu as usize,
        steps: task.run.iter().map(|run| step(run, task.cpu)).collect(),
    };
    ScenarioRequest {
        globals: scenario.globals.iter().map(setting).collect(),
        first: placed(&scenario.first),
        tasks: scenario.on.iter().map(task).collect(),
        last: placed(&scenario.last),
        read: maps.iter().filter_map(|&map| object.maps.get(map)).map(|map| map.name.clone()).collect(),
        iterations: runs.iterations,
        budget_seconds: runs.budget_seconds,
        seed: runs.seed,
        timeout_seconds: runs.budget_seconds.saturating_add(SLACK),
    }
}

fn step(run: &Run, cpu: u32) -> RunStep {
    let digits = |bytes: &[u8]| (!bytes.is_empty()).then(|| to_hex(bytes));
    RunStep {
        program: run.program.clone(),
        trigger: Trigger::Auto,
        data_in: digits(run.input.packet().unwrap_or_default()),
        ctx_in: digits(&run.input.context()),
        repeat: run.repeat,
        cpu: Some(cpu as usize),
    }
}

/// What the guest saw, in the words in which it is judged.
fn observation(outcome: &ScenarioOutcome, object: &Object, maps: &[usize]) -> Result<Observation, String> {
    let contents = |(&map, entries): (&usize, &Vec<MapEntry>)| {
        let mut entries = entries.iter().map(entry).collect::<Option<Vec<_>>>()?;
        if is_array(object, map) {
            entries.sort_by_key(|entry| entry.key.iter().rev().copied().collect::<Vec<u8>>());
        }
        Some(MapContents { map, entries })
    };
    let contents = maps.iter().zip(&outcome.maps).map(contents).collect::<Option<Vec<_>>>();
    let numbers = |list: &[u32]| list.iter().map(|number| number.cast_signed()).collect();
    Ok(Observation {
        returns: numbers(&outcome.returns),
        last: numbers(&outcome.last),
        maps: contents.ok_or("the guest's answer is not hexadecimal")?,
        kernel_pointers: false,
    })
}

/// Are the keys of that map indices, whose little-endian bytes are in another order than they are?
fn is_array(object: &Object, map: usize) -> bool {
    // BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY.
    object.maps.get(map).is_some_and(|map| matches!(map.definition.map_type, 2 | 6))
}

fn entry(entry: &MapEntry) -> Option<scenario::MapEntry> {
    let values = entry.values.iter().map(|digits| from_hex(digits)).collect::<Option<Vec<_>>>()?;
    Some(scenario::MapEntry { key: from_hex(&entry.key)?, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{LoadOptions, Section};
    use crate::scenario::words::{Builder, OnWord, SetWord};

    const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/percpu_slot.bpf.o"));

    /// The object, with its programs as `syscall` programs, so that what they return is told.
    fn object() -> Object {
        let mut object = Object::parse("percpu_slot", OBJECT, &LoadOptions::default()).expect("it loads");
        for program in &mut object.programs {
            program.section = Section::parse("syscall");
        }
        object
    }

    fn scenario() -> Scenario {
        let on = |text: &str| text.parse::<OnWord>().expect("a word");
        let set = "cpus=@cpus".parse::<SetWord>().expect("a word");
        let builder = Builder::about("a.o").on(on("1:make*2,sum")).on(on("0:count")).set(set);
        builder.hold("globals.total < 6").build().expect("it makes sense")
    }

    #[test]
    fn the_guest_is_asked_for_what_the_scenario_says() {
        let (object, scenario) = (object(), scenario());
        let maps: Vec<usize> = scenario.bind(&object).expect("it fits").end_maps().into_iter().collect();
        let asked = request(&scenario, &object, &maps, &KernelRuns::default());
        assert_eq!(asked.globals[0].value, GlobalValue::PossibleCpus);
        let tasks: Vec<_> = asked.tasks.iter().map(|task| (task.cpu, task.steps.len(), task.steps[0].repeat)).collect();
        assert_eq!(tasks, [(1, 2, 2), (0, 1, 1)]);
        assert_eq!(asked.read, [".bss"]);
    }

    #[test]
    fn answers_become_outcomes_and_are_judged() {
        let (object, scenario) = (object(), scenario());
        let judgement = scenario.bind(&object).expect("it fits");
        let maps: Vec<usize> = judgement.end_maps().into_iter().collect();
        let mut outcomes = Outcomes::default();
        for (count, total) in [(3, 5_i64), (4, 7), (1, 5)] {
            let entry = MapEntry { key: "00000000".into(), values: vec![to_hex(&total.to_le_bytes())] };
            let answer =
                ScenarioOutcome { count, returns: vec![0, 0, 0, u32::MAX], last: Vec::new(), maps: vec![vec![entry]] };
            let seen = observation(&answer, &object, &maps).expect("it is well formed");
            add(&mut outcomes, &judgement, &seen, count);
        }
        let counts: Vec<_> = outcomes.counts.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        assert_eq!(
            counts,
            [("returns=[0, 0, 0, -1] globals.total=5", 4), ("returns=[0, 0, 0, -1] globals.total=7", 4)]
        );
        let broken: Vec<_> = outcomes.broken.keys().map(String::as_str).collect();
        assert_eq!(broken, ["returns=[0, 0, 0, -1] globals.total=7"]);
    }
}
