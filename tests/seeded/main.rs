//! Does each deliberate mistake of `kptrsim::seeded` get found, by the suite and within the cases that its table says?
//!
//! First each suite must find nothing where there is no mistake; then each mistake is made, and its suite runs until it complains. One
//! mistake alone: `cargo test --features seeded-faults --test seeded -- KeepAliasAfterRcu`. With `KPTRSIM_SEEDED_ANY=Alias,Shift` every
//! suite is asked about the mistakes with such names, whatever the table says; with `KPTRSIM_SEEDED_RECORD=1` a kernel is asked about the programs of
//! `recorded.jsonl`, and nothing is tested.

#[path = "../../src/verifier/domain/tests/concrete.rs"]
mod concrete;
mod containment;
mod domain;
#[path = "../programs/expectation.rs"]
#[allow(dead_code)]
mod expectation;
#[path = "../programs/machine.rs"]
mod machine;
#[path = "../programs/outcome.rs"]
#[allow(dead_code)]
mod outcome;
mod own;
mod peer;
mod programs;
mod reduction;
mod scenarios;
#[path = "../programs/source.rs"]
#[allow(dead_code)]
mod source;
mod trials;
#[path = "../programs/values.rs"]
#[allow(dead_code)]
mod values;
mod verdicts;

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

// Where `concrete` looks for it.
use kptrsim::isa;
use kptrsim::seeded::{self, Fault, Seeded, Suite, TABLE};
use libtest_mimic::{Arguments, Failed, Trial};
use rayon::prelude::*;

/// Cases that are given to the processors at once; which is found first does not depend on it.
const AT_ONCE: usize = 64;

/// What is asked case by case.
pub trait Cases: Sync {
    /// How many cases there are.
    fn count(&self) -> usize;

    /// Asks about one.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, case: usize) -> Result<(), String>;
}

static CONTAINMENT: LazyLock<containment::Containment> = LazyLock::new(containment::Containment::prepare);
static VERDICTS: LazyLock<verdicts::Verdicts> = LazyLock::new(verdicts::Verdicts::prepare);
static OWN: LazyLock<own::Own> = LazyLock::new(own::Own::prepare);
static SCENARIOS: LazyLock<scenarios::Scenarios> = LazyLock::new(scenarios::Scenarios::prepare);

const SUITES: [Suite; 7] =
    [Suite::Containment, Suite::Verdicts, Suite::Own, Suite::Domain, Suite::Peer, Suite::Reduction, Suite::Scenarios];

/// A suite's cases. What they are made of is made where no mistake is active.
fn cases(suite: Suite) -> &'static dyn Cases {
    match suite {
        Suite::Containment => &*CONTAINMENT,
        Suite::Verdicts => &*VERDICTS,
        Suite::Own => &*OWN,
        Suite::Domain => &domain::Domain,
        Suite::Peer => &peer::Peer,
        Suite::Reduction => &reduction::Reduction,
        Suite::Scenarios => &*SCENARIOS,
    }
}

/// The first case that complains, from 1, and what about.
fn first_complaint(suite: Suite, fault: Option<Fault>, most: usize) -> Option<(usize, String)> {
    seeded::choose(None);
    let cases = cases(suite);
    seeded::choose(fault);
    let most = most.min(cases.count());
    let found = (0..most).step_by(AT_ONCE).find_map(|start| {
        (start..most.min(start + AT_ONCE)).into_par_iter().with_max_len(1).find_map_first(|case| {
            let answer = catch_unwind(AssertUnwindSafe(|| cases.check(case)));
            Some((case + 1, answer.unwrap_or_else(|_| Err("it panics".to_owned())).err()?))
        })
    });
    seeded::choose(None);
    found
}

/// Cases that the table asks of a suite, at most.
fn most_cases(suite: Suite) -> usize {
    TABLE.iter().filter(|seeded| seeded.suite == suite).map(|seeded| seeded.cases).max().unwrap_or(0)
}

fn without_mistake(suite: Suite) -> Result<(), Failed> {
    match first_complaint(suite, None, most_cases(suite)) {
        None => Ok(()),
        Some((case, what)) => Err(format!("no mistake is made, and case {case} complains: {what}").into()),
    }
}

type Score = BTreeMap<&'static str, String>;

fn with_mistake(seeded: &Seeded, score: &Mutex<Score>) -> Result<(), Failed> {
    let found = first_complaint(seeded.suite, Some(seeded.fault), seeded.cases);
    let line = match &found {
        Some((case, what)) => {
            format!("{:?}, case {case} of {}: {}", seeded.suite, seeded.cases, what.lines().next().unwrap_or_default())
        }
        None => format!("{:?}, NOT FOUND in {} cases", seeded.suite, seeded.cases),
    };
    score.lock().unwrap_or_else(PoisonError::into_inner).insert(seeded.name, line);
    found.map(drop).ok_or_else(|| format!("{} ({}) is not found: {}", seeded.name, seeded.place, seeded.forgets).into())
}

/// Asks every suite about mistakes with one of these words in their names, for the table's author.
fn ask_all(names: &str) {
    for seeded in TABLE.iter().filter(|seeded| names.split(',').any(|name| seeded.name.contains(name))) {
        for suite in SUITES {
            if let Some((case, what)) = first_complaint(suite, Some(seeded.fault), most_cases(suite)) {
                println!("{} {suite:?} {case} {}", seeded.name, what.lines().next().unwrap_or_default());
            }
        }
        println!("{} asked", seeded.name);
    }
}

fn main() -> ExitCode {
    // A mistake may well end in a panic; that is a complaint like others.
    std::panic::set_hook(Box::new(|_| ()));
    let is_set = |name| env::var_os(name).is_some_and(|value| value == "1");
    if is_set("KPTRSIM_SEEDED_RECORD") {
        return match verdicts::record() {
            Ok(said) => {
                println!("{said}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Ok(names) = env::var("KPTRSIM_SEEDED_ANY") {
        ask_all(&names);
        return ExitCode::SUCCESS;
    }
    // One mistake at a time is active in the whole process.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let score = Arc::new(Mutex::new(Score::new()));
    let clean = SUITES.map(|suite| Trial::test(format!("{suite:?} without a mistake"), move || without_mistake(suite)));
    let mistakes = TABLE.iter().map(|seeded| {
        let score = Arc::clone(&score);
        Trial::test(format!("{:?}/{}", seeded.suite, seeded.name), move || with_mistake(seeded, &score))
    });
    let conclusion = libtest_mimic::run(&arguments, clean.into_iter().chain(mistakes).collect());
    let score = score.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, line) in score.iter() {
        println!("{name}: {line}");
    }
    let missed = score.values().filter(|line| line.contains("NOT FOUND")).count();
    println!("{} of {} seeded faults found, {} in the table", score.len() - missed, score.len(), TABLE.len());
    conclusion.exit_code()
}
