//! The judge that is right by definition: a real kernel under QEMU, asked when `KPTRSIM_TEST_KERNEL` is 1.
//!
//! The machine is booted by the first trial that needs it and serves all the others. Needs QEMU, a kernel in the cache
//! (`kptrsim kernel fetch 6.12`), and what the guest is built from (or `KPTRSIM_GUEST`).

use std::env;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use kptrsim::btf::{Btf, Type};
use kptrsim::crosscheck::protocol::{
    GlobalSetting, GlobalValue, MapDump, ProgramVerdict, RunStep, TestRunRequest, TestRunResult, Trigger,
    Verdict as Said,
};
use kptrsim::crosscheck::{BootOptions, Cache, Judge, LoadJob, LoadOptions, guest};
use kptrsim::object::Object;
use libtest_mimic::Failed;

use crate::expectation::{Amount, Expectations, MapPath, Outcome, Rejection, Step, Story, Verdict};
use crate::source::{Clang, Source};
use crate::trials::check;
use crate::values::{little_endian, number};

/// CPUs of the machine that is booted.
const CPUS: u32 = 4;

/// Seconds that the programs of one story may take.
const STORY_SECONDS: u32 = 60;

/// Whether a kernel is to be asked.
pub fn is_wanted() -> bool {
    env::var("KPTRSIM_TEST_KERNEL").is_ok_and(|value| value == "1")
}

static JUDGE: LazyLock<Mutex<Result<Judge, String>>> = LazyLock::new(|| Mutex::new(find()));

fn find() -> Result<Judge, String> {
    let cache = Cache::of_user().map_err(|error| error.to_string())?;
    let image = cache.default_kernel().map_err(|error| error.to_string())?;
    let guest = guest::locate(&cache, None, &mut |line| eprintln!("{line}")).map_err(|error| error.to_string())?;
    Ok(Judge::new(image, BootOptions { cpus: CPUS, ..BootOptions::new(guest) }))
}

fn judge() -> MutexGuard<'static, Result<Judge, String>> {
    JUDGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel gives each program the expected verdict, for the expected reason, at the expected instruction and line.
pub fn verify(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let job = LoadJob { name: source.path(), bytes: source.compiled(clang)?.to_vec(), programs: Vec::new() };
    let options = LoadOptions { log_level: 1, ..LoadOptions::default() };
    let object = Object::parse(&source.name, source.compiled(clang)?, &kptrsim::object::LoadOptions::default())?;
    let mut outcome = None;
    judge().as_mut().map_err(|error| error.clone())?.load([job], &options, |one| outcome = Some(one))?;
    let outcome = outcome.ok_or("the kernel said nothing")?;
    check(outcome.failures.is_empty(), || outcome.failures.join("; "))?;
    check(outcome.verdicts.len() == expectations.programs.len(), || "another number of programs")?;
    for verdict in &outcome.verdicts {
        let said = &verdict.program;
        let expected = expectations.of(&said.program).ok_or_else(|| format!("nothing expected of {}", said.program))?;
        let expected = &expected.verdict;
        let heard = heard(source, &object, said)?;
        check(*expected == heard, || {
            format!("{}: expected {expected:?}, {} says {heard:?}", said.program, verdict.kernel)
        })?;
    }
    Ok(())
}

/// A kernel's verdict in the words of an expectation.
fn heard(source: &Source, object: &Object, said: &ProgramVerdict) -> Result<Verdict, Failed> {
    match said.verdict {
        Said::Accept => Ok(Verdict::Accept),
        Said::Reject => Ok(Verdict::Reject(Rejection {
            errno: said.errno,
            reason: said.reason.clone(),
            insn: refused_at(said),
            line: refused_at(said).and_then(|insn| source.line_at(object, &said.program, insn)),
        })),
        Said::NotReached => Err(format!("{} was not verified: {}", said.program, said.reason).into()),
    }
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
    let harmless = |step: &Step| !matches!(step.outcome, Outcome::Faults(_));
    story.cpus.contains(&CPUS) && story.steps.iter().all(|step| accepted(step) && harmless(step))
}

/// The kernel returns what is expected, and leaves the expected globals and map elements.
pub fn run(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let bytes = source.compiled(clang)?;
    let object = Object::parse(&source.name, bytes, &kptrsim::object::LoadOptions::default())?;
    let btf = object.btf.clone().ok_or("the object has no BTF")?;
    for story in expectations.stories.iter().filter(|story| can_run(&expectations, story)) {
        let result = judge().as_mut().map_err(|error| error.clone())?.test_run(bytes, request(story)?)?;
        compare(story, &result, &object, &btf)?;
    }
    Ok(())
}

fn request(story: &Story) -> Result<TestRunRequest, Failed> {
    let global = |(name, amount): &(String, Amount)| {
        let value = GlobalValue::Int(i64::try_from(amount.on(CPUS))?);
        Ok::<_, Failed>(GlobalSetting { name: name.clone(), offset: 0, value })
    };
    let steps = story.steps.iter().map(|step| RunStep {
        program: step.program.clone(),
        trigger: Trigger::Auto,
        data_in: None,
        ctx_in: None,
        repeat: 0,
        cpu: Some(step.cpu as usize),
    });
    Ok(TestRunRequest {
        globals: story.set.iter().map(global).collect::<Result<_, _>>()?,
        steps: steps.collect(),
        timeout_seconds: STORY_SECONDS,
    })
}

fn compare(story: &Story, result: &TestRunResult, object: &Object, btf: &Arc<Btf>) -> Result<(), Failed> {
    check(result.error.is_none(), || result.error.clone().unwrap_or_default())?;
    check(result.steps.len() == story.steps.len(), || "another number of steps")?;
    for (index, (step, ran)) in story.steps.iter().zip(&result.steps).enumerate() {
        let which = || format!("step {}, {}", index + 1, step.program);
        check(ran.errno == 0, || format!("{}: error {}: {:?}", which(), ran.errno, ran.error))?;
        if let Outcome::Returns(amount) = step.outcome {
            let (expected, got) = (amount.on(CPUS) as u32 as i32, ran.retval as i32);
            check(expected == got, || format!("{}: expected {expected}, the kernel returned {got}", which()))?;
        }
    }
    for (name, amount) in &story.globals {
        let got = global(&result.maps, name, btf)?;
        let expected = amount.on(CPUS);
        check(got == expected, || format!("{name}: expected {expected}, the kernel has {got}"))?;
    }
    for (path, amount) in &story.maps {
        let got = element(&result.maps, path, object, btf)?;
        let expected = amount.on(CPUS);
        check(got == expected, || format!("{path}: expected {expected}, the kernel has {got}"))?;
    }
    Ok(())
}

/// A global variable's value in the dumps of the sections.
fn global(maps: &[MapDump], name: &str, btf: &Btf) -> Result<i128, Failed> {
    let found = maps.iter().find_map(|map| Some((map, map.variables.iter().find(|variable| variable.name == name)?)));
    let (map, variable) = found.ok_or_else(|| format!("the kernel has no global {name}"))?;
    let section = value(map, None, 0)?;
    let start = variable.offset as usize;
    let bytes = section.get(start..start + variable.size as usize).ok_or("the section is too short")?;
    let type_id = btf.ids_named(name).iter().find_map(|&id| match btf.ty(id) {
        Type::Variable { type_id, .. } => Some(*type_id),
        _ => None,
    });
    match type_id {
        Some(type_id) => Ok(number(btf, type_id, "", bytes)?),
        None => Ok(little_endian(bytes, true)),
    }
}

/// A number in a map element.
fn element(maps: &[MapDump], path: &MapPath, object: &Object, btf: &Btf) -> Result<i128, Failed> {
    let dump = maps.iter().find(|map| map.name == path.map).ok_or_else(|| format!("no map {}", path.map))?;
    let map = object.maps.iter().find(|map| map.name == path.map).ok_or_else(|| format!("no map {}", path.map))?;
    let bytes = value(dump, Some(path.key), path.cpu.unwrap_or(0))?;
    Ok(number(btf, map.definition.value_type, &path.members, &bytes)?)
}

/// The bytes of the element with this key, or of the only one.
fn value(map: &MapDump, key: Option<u32>, cpu: u32) -> Result<Vec<u8>, Failed> {
    let is_it = |text: &str| {
        key.is_none_or(|key| bytes_of(text).is_some_and(|bytes| little_endian(&bytes, false) == i128::from(key)))
    };
    let entry = map.entries.iter().find(|entry| is_it(&entry.key));
    let text = entry.and_then(|entry| entry.values.get(cpu as usize));
    let text = text.ok_or_else(|| format!("{} has no element {key:?} for CPU {cpu}: {:?}", map.name, map.error))?;
    bytes_of(text).ok_or_else(|| "no hexadecimal digits".into())
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    kptrsim::crosscheck::protocol::from_hex(hex)
}
