//! What the real kernel made of each program's run, kept in `results-kernel.jsonl`: one object a line.
//!
//! Each program is run twice, in two boots of the kernel that lay it out at other addresses and in the opposite order, so
//! that addresses, times, random numbers and process ids differ; only what does not differ is kept ([`Kept`]).
//! Start at [`ask`].

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use kptrsim::btf::Btf;
use kptrsim::crosscheck::judge::Job;
use kptrsim::crosscheck::machine_run::{hide_special_fields, trigger};
use kptrsim::crosscheck::protocol::{ReplyBody, RequestBody, RunStep, TestRunResult, TestRunsRequest, Trigger};
use kptrsim::crosscheck::{BootOptions, Cache, Judge, KernelImage, guest, missing_kfuncs};
use serde::{Deserialize, Serialize};

use super::Examined;
use super::values::{Kept, places_of};
use crate::record::progress_bar;

/// The kernel's runs of one object's programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRuns {
    /// The object's file name without `.bpf.o`.
    pub object: String,
    /// SHA-256 of the object that was run.
    pub sha256: String,
    /// The exact kernel build.
    pub kernel: String,
    /// One for each program that was to be run.
    pub runs: Vec<ProgramRun>,
}

/// The kernel's runs of one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRun {
    /// The program's name.
    pub program: String,
    /// How it ended.
    #[serde(flatten)]
    pub end: RunEnd,
    /// What it left behind.
    #[serde(flatten)]
    pub kept: Kept,
}

/// How a program's run in the kernel ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// It ran and returned this.
    Returned(u32),
    /// It ran, and returned something else each time.
    ReturnedAnything,
    /// It could not be loaded or run; the text says why.
    Refused(String),
}

/// Reads the file; none is no record.
pub fn read(path: &Path) -> Result<BTreeMap<String, ObjectRuns>, Box<dyn Error>> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let mut records = BTreeMap::new();
    for (number, line) in fs::read_to_string(path)?.lines().enumerate() {
        let record: ObjectRuns =
            serde_json::from_str(line).map_err(|error| format!("{} line {}: {error}", path.display(), number + 1))?;
        records.insert(record.object.clone(), record);
    }
    Ok(records)
}

/// Writes the file, whole or not at all.
pub fn write(path: &Path, records: &BTreeMap<String, ObjectRuns>) -> Result<(), Box<dyn Error>> {
    let lines: Result<Vec<String>, _> = records.values().map(serde_json::to_string).collect();
    let partial = path.with_extension("partial");
    fs::write(&partial, lines?.join("\n") + "\n")?;
    Ok(fs::rename(&partial, path)?)
}

/// Results by object and program.
type Results = BTreeMap<(String, String), TestRunResult>;

/// Runs all programs of these objects twice.
pub fn ask(
    cache: &Cache,
    image: &KernelImage,
    kernel: &Btf,
    objects: &[&Examined],
    timeout: Duration,
) -> Result<Vec<ObjectRuns>, Box<dyn Error>> {
    let guest = guest::locate(cache, None, &mut |line| eprintln!("{line}"))?;
    let mut passes = Vec::new();
    for second in [false, true] {
        let options = BootOptions { random_addresses: second, ..BootOptions::new(guest.clone()) };
        let mut judge = Judge::new(image.clone(), options);
        passes.push(run_all(&mut judge, kernel, objects, timeout, second)?);
    }
    let (Some(second), Some(first)) = (passes.pop(), passes.pop()) else { return Ok(Vec::new()) };
    let runs = |object: &Examined| {
        let both = |step: &RunStep| {
            let key = (object.file.name.clone(), step.program.clone());
            program_run(object, &step.program, first.get(&key), second.get(&key))
        };
        object.steps.iter().map(both).collect()
    };
    let record = |&object: &&Examined| ObjectRuns {
        object: object.file.name.clone(),
        sha256: object.file.sha256.clone(),
        kernel: image.release.clone(),
        runs: runs(object),
    };
    Ok(objects.iter().map(record).collect())
}

/// Runs everything once; what a dying machine took with it is asked again, program by program.
fn run_all(
    judge: &mut Judge,
    kernel: &Btf,
    objects: &[&Examined],
    timeout: Duration,
    backwards: bool,
) -> Result<Results, Box<dyn Error>> {
    let mut results = Results::new();
    // Attached programs would run for everyone; they come last, one at a time.
    for exclusive in [false, true] {
        let mut jobs = Vec::new();
        for object in objects {
            let attached = |step: &&RunStep| (attaches(object, step)) == exclusive;
            let mut steps: Vec<RunStep> = object.steps.iter().filter(attached).cloned().collect();
            if backwards {
                steps.reverse();
            }
            if !steps.is_empty() {
                jobs.push((*object, steps));
            }
        }
        if backwards {
            jobs.reverse();
        }
        let unanswered = pass(judge, kernel, jobs, exclusive, timeout, &mut results)?;
        let singly = unanswered.into_iter().map(|(object, step)| (object, vec![step])).collect();
        for (object, step) in pass(judge, kernel, singly, exclusive, timeout, &mut results)? {
            let error = Some("the kernel gave no answer or died".to_owned());
            let result = TestRunResult { steps: Vec::new(), maps: Vec::new(), error };
            results.insert((object.file.name.clone(), step.program), result);
        }
    }
    Ok(results)
}

fn attaches(object: &Examined, step: &RunStep) -> bool {
    let program = object.object.programs.iter().find(|program| program.name == step.program);
    program.is_some_and(|program| trigger(&program.section) != Trigger::TestRun)
}

/// One request an object; returns the runs that got no answer.
fn pass<'o>(
    judge: &mut Judge,
    kernel: &Btf,
    jobs: Vec<(&'o Examined<'o>, Vec<RunStep>)>,
    exclusive: bool,
    timeout: Duration,
    results: &mut Results,
) -> Result<Vec<(&'o Examined<'o>, RunStep)>, Box<dyn Error>> {
    let progress = progress_bar(jobs.len());
    let request = |(index, (object, steps)): (usize, &(&Examined, Vec<RunStep>))| {
        let run = |step: &RunStep| object.request(step, timeout.as_secs() as u32);
        let body = TestRunsRequest { runs: steps.iter().map(run).collect(), exclusive };
        let bytes = &object.file.bytes;
        Job {
            name: index.to_string(),
            bytes: missing_kfuncs::weaken(bytes, kernel).unwrap_or_else(|| bytes.clone()),
            body: RequestBody::TestRuns(body),
        }
    };
    let mut unanswered = Vec::new();
    judge.ask(jobs.iter().enumerate().map(request), timeout, None, |outcome| {
        progress.inc(1);
        let Some((object, steps)) = outcome.name.parse().ok().and_then(|index: usize| jobs.get(index)) else { return };
        let mut replies = outcome.replies.into_iter();
        for step in steps {
            match replies.next() {
                Some(ReplyBody::TestRun(result)) => {
                    results.insert((object.file.name.clone(), step.program.clone()), result);
                }
                _ => unanswered.push((*object, step.clone())),
            }
        }
    })?;
    progress.finish_and_clear();
    Ok(unanswered)
}

fn program_run(
    object: &Examined,
    program: &str,
    first: Option<&TestRunResult>,
    second: Option<&TestRunResult>,
) -> ProgramRun {
    let refused =
        |why: String| ProgramRun { program: program.to_owned(), end: RunEnd::Refused(why), kept: Kept::default() };
    let (Some(first), Some(second)) = (first, second) else { return refused("no answer".into()) };
    let (first, second) = (hidden(object, first), hidden(object, second));
    for result in [&first, &second] {
        if let Some(error) = &result.error {
            return refused(error.clone());
        }
        match result.steps.first() {
            None => return refused("no answer".into()),
            Some(step) if step.errno != 0 => {
                let call = step.error.as_deref().unwrap_or("").to_owned();
                return refused(format!("{call} (errno {})", step.errno));
            }
            Some(_) => {}
        }
    }
    let returned = |result: &TestRunResult| result.steps.first().map(|step| step.retval);
    let end = match (returned(&first), returned(&second)) {
        (Some(one), Some(two)) if one == two => RunEnd::Returned(one),
        _ => RunEnd::ReturnedAnything,
    };
    ProgramRun { program: program.to_owned(), end, kept: Kept::of(&places_of(&first), &places_of(&second)) }
}

fn hidden(object: &Examined, result: &TestRunResult) -> TestRunResult {
    let mut result = result.clone();
    hide_special_fields(&object.object, &mut result);
    result
}
