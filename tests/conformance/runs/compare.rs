//! Our machine's run of a program against the kernel's. Start at [`compare_all`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kptrsim::btf::Btf;
use kptrsim::crosscheck::machine_run::machine_run;
use kptrsim::crosscheck::protocol::{RunStep, TestRunResult};
use kptrsim::machine::{End, MachineOptions};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Examined;
use super::record::{ObjectRuns, ProgramRun, RunEnd};
use super::values::places_of;

/// CPUs of the guest, and therefore of our machine.
const CPUS: u32 = 4;
/// Instructions that one of our runs may take.
const MAX_INSNS: u64 = 100_000_000;
/// Bytes of simulated memory that one of our runs may take.
const MAX_MEMORY: u64 = 512 << 20;
/// The name of the guest's process.
const GUEST_NAME: &str = "init";
/// Differences of one run that are told.
const MAX_TOLD: usize = 3;

/// How a run compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunAgreement {
    /// Another return value, other bytes, or a fault where the kernel saw none.
    Different,
    /// We panicked.
    Crashed,
    /// Our machine says that it has no model for something.
    NoModel,
    /// The kernel does not load or run it.
    Refused,
    /// Return value and bytes are the same.
    Same,
}

/// One program's run, compared.
#[derive(Debug, Clone, Serialize)]
pub struct RunComparison {
    /// The object's name.
    pub object: String,
    /// The program's name.
    pub program: String,
    /// How it compares.
    pub agreement: RunAgreement,
    /// What differs, what has no model, or why the kernel refuses.
    pub what: String,
}

/// Runs all programs here and compares.
pub fn compare_all(objects: &[Examined], records: &[&ObjectRuns], kernel: &Arc<Btf>) -> Vec<RunComparison> {
    let pairs: Vec<(&Examined, &ProgramRun, &RunStep)> = objects
        .iter()
        .zip(records)
        .flat_map(|(object, record)| {
            let step = |run: &ProgramRun| object.steps.iter().find(|step| step.program == run.program);
            record.runs.iter().filter_map(move |run| Some((object, run, step(run)?)))
        })
        .collect();
    pairs.into_par_iter().map(|(object, run, step)| compare(object, run, step, kernel)).collect()
}

fn compare(object: &Examined, run: &ProgramRun, step: &RunStep, kernel: &Arc<Btf>) -> RunComparison {
    let (agreement, what) = match &run.end {
        RunEnd::Refused(why) => (RunAgreement::Refused, why.clone()),
        _ => match catch_unwind(AssertUnwindSafe(|| ours(object, step, kernel))) {
            Ok(ours) => judge(&ours, run),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                (RunAgreement::Crashed, text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("").to_owned())
            }
        },
    };
    RunComparison { object: object.file.name.clone(), program: run.program.clone(), agreement, what }
}

/// Our run: how it ended, or what the machine cannot do.
struct Ours {
    result: TestRunResult,
    unsupported: Option<String>,
}

fn ours(object: &Examined, step: &RunStep, kernel: &Arc<Btf>) -> Ours {
    let options = MachineOptions {
        cpus: CPUS,
        max_insns: MAX_INSNS,
        max_memory: MAX_MEMORY,
        comm: GUEST_NAME.to_owned(),
        kernel_types: Some(Arc::clone(kernel)),
        ..MachineOptions::default()
    };
    let request = object.request(step, 0);
    match machine_run(&object.object, options, &request) {
        Ok(run) => {
            let unsupported = match run.ends.last() {
                Some(End::Unsupported(what)) => Some(what.what.clone()),
                Some(End::Limit(limit, _)) => Some(limit.to_string()),
                _ => None,
            };
            Ours { result: run.result, unsupported }
        }
        Err(error) => {
            let result = TestRunResult { steps: Vec::new(), maps: Vec::new(), error: None };
            Ours { result, unsupported: Some(error.to_string()) }
        }
    }
}

fn judge(ours: &Ours, kernel: &ProgramRun) -> (RunAgreement, String) {
    if let Some(what) = &ours.unsupported {
        return (RunAgreement::NoModel, what.clone());
    }
    if let Some(error) = &ours.result.error {
        return (RunAgreement::Different, format!("our machine: {error}"));
    }
    let mut told = Vec::new();
    if let (Some(step), RunEnd::Returned(theirs)) = (ours.result.steps.first(), &kernel.end) {
        if step.errno != 0 {
            told.push(format!("ours refuses: errno {}", step.errno));
        } else if step.retval != *theirs {
            told.push(format!("returns {} (kernel {theirs})", step.retval));
        }
    }
    let differences = kernel.kept.differences(&places_of(&ours.result));
    told.extend(differences.into_iter().map(|(place, ours, theirs)| format!("{place} {ours} (kernel {theirs})")));
    let more = told.len().saturating_sub(MAX_TOLD);
    told.truncate(MAX_TOLD);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    if told.is_empty() { (RunAgreement::Same, String::new()) } else { (RunAgreement::Different, told.join("; ")) }
}
