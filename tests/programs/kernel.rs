//! The judge that is right by definition: a real kernel under QEMU, asked when `KPTRSIM_TEST_KERNEL` is 1.
//!
//! The machine is booted by the first trial that needs it and serves all the others. Needs QEMU, a kernel in the cache
//! (`kptrsim kernel fetch 6.12`), and what the guest is built from (or `KPTRSIM_GUEST`).

use std::env;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use kptrsim::crosscheck::protocol::{ProgramVerdict, Verdict as Said};
use kptrsim::crosscheck::{BootOptions, Cache, Judge, LoadJob, LoadOptions, guest};
use kptrsim::object::Object;
use libtest_mimic::Failed;

use crate::expectation::{Expectations, Outcome, Rejection, Step, Story, Verdict};
use crate::outcome;
use crate::source::{Clang, Source};
use crate::trials::check;

/// CPUs of the machine that is booted.
const CPUS: u32 = 4;

/// Whether a kernel is to be asked.
pub fn is_wanted() -> bool {
    env::var("KPTRSIM_TEST_KERNEL").is_ok_and(|value| value == "1")
}

static JUDGE: LazyLock<Mutex<Result<Judge, String>>> = LazyLock::new(|| Mutex::new(find()));

fn find() -> Result<Judge, String> {
    let cache = Cache::of_user().map_err(|error| error.to_string())?;
    let image = cache.default_kernel().map_err(|error| error.to_string())?;
    let guest = guest::locate(&cache, None, &mut |line| eprintln!("{line}")).map_err(|error| error.to_string())?;
    Ok(Judge::new(image, BootOptions { cpus: CPUS, mitigations: true, ..BootOptions::new(guest) }))
}

fn judge() -> MutexGuard<'static, Result<Judge, String>> {
    JUDGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel says of each program of a file.
pub fn verdicts(source: &Source, clang: &Clang, unprivileged: bool) -> Result<Vec<ProgramVerdict>, Failed> {
    let job = LoadJob { name: source.path(), bytes: source.compiled(clang)?.to_vec(), programs: Vec::new() };
    let options = LoadOptions { log_level: 1, unprivileged, ..LoadOptions::default() };
    let mut outcome = None;
    judge().as_mut().map_err(|error| error.clone())?.load([job], &options, |one| outcome = Some(one))?;
    let outcome = outcome.ok_or("the kernel said nothing")?;
    check(outcome.failures.is_empty(), || outcome.failures.join("; "))?;
    Ok(outcome.verdicts.into_iter().map(|verdict| verdict.program).collect())
}

/// The error number and the reason of a rejection; `None` if the program is accepted.
pub fn reason(said: &ProgramVerdict) -> Result<Option<(i32, String)>, Failed> {
    match said.verdict {
        Said::Accept => Ok(None),
        Said::Reject => Ok(Some((said.errno, said.reason.clone()))),
        Said::NotReached => Err(format!("{} was not verified: {}", said.program, said.reason).into()),
    }
}

/// The kernel gives each program the expected verdict, for the expected reason, at the expected instruction and line.
pub fn verify(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let object = Object::parse(&source.name, source.compiled(clang)?, &kptrsim::object::LoadOptions::default())?;
    let verdicts = verdicts(source, clang, expectations.unprivileged)?;
    check(verdicts.len() == expectations.programs.len(), || "another number of programs")?;
    for said in &verdicts {
        let expected = expectations.of(&said.program).ok_or_else(|| format!("nothing expected of {}", said.program))?;
        let expected = &expected.verdict;
        let heard = heard(source, &object, said)?;
        check(*expected == heard, || format!("{}: expected {expected:?}, the kernel says {heard:?}", said.program))?;
    }
    Ok(())
}

/// A kernel's verdict in the words of an expectation.
fn heard(source: &Source, object: &Object, said: &ProgramVerdict) -> Result<Verdict, Failed> {
    let Some((errno, reason)) = reason(said)? else { return Ok(Verdict::Accept) };
    let insn = refused_at(said);
    let line = insn.and_then(|insn| source.line_at(object, &said.program, insn));
    Ok(Verdict::Reject(Rejection { errno, reason, insn, line }))
}

/// The instruction at which a program was refused: the last one that the log shows. An endless loop is found before the
/// instruction that closes it is shown, and the reason names it.
fn refused_at(said: &ProgramVerdict) -> Option<u32> {
    match said.reason.strip_prefix("infinite loop detected at insn ") {
        Some(insn) => insn.parse().ok(),
        None => said.last_insn,
    }
}

/// Whether a kernel can be asked to run any of a file's stories.
pub fn runs_any(expectations: &Expectations) -> bool {
    expectations.stories.iter().any(|story| can_run(expectations, story))
}

/// A kernel runs what its verifier accepts, on the CPUs that it has; and nothing that would bring it down.
fn can_run(expectations: &Expectations, story: &Story) -> bool {
    let accepted =
        |step: &Step| expectations.of(&step.program).is_some_and(|program| program.verdict == Verdict::Accept);
    let harmless = |step: &Step| !matches!(step.outcome, Outcome::Faults(_) | Outcome::Unsupported(_));
    story.cpus.contains(&CPUS) && story.steps.iter().all(|step| accepted(step) && harmless(step))
}

/// The kernel returns what is expected, and leaves the expected globals and map elements.
pub fn run(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let bytes = source.compiled(clang)?;
    let object = Object::parse(&source.name, bytes, &kptrsim::object::LoadOptions::default())?;
    for story in expectations.stories.iter().filter(|story| can_run(&expectations, story)) {
        let result =
            judge().as_mut().map_err(|error| error.clone())?.test_run(bytes, outcome::request(story, CPUS)?)?;
        check(result.error.is_none(), || result.error.clone().unwrap_or_default())?;
        outcome::compare(story, CPUS, &result, &object)?;
    }
    Ok(())
}
