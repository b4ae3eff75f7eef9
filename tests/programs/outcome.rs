//! What a story asks of a judge, the kernel or our machine, and whether the judge's answer is what the story says.

use kptrsim::btf::{Btf, Type};
use kptrsim::crosscheck::protocol::{
    GlobalSetting, GlobalValue, MapDump, RunStep, TestRunRequest, TestRunResult, Trigger,
};
use kptrsim::object::Object;
use libtest_mimic::Failed;

use crate::expectation::{Amount, MapPath, Outcome, Story};
use crate::trials::check;
use crate::values::{little_endian, number};

/// Seconds that the programs of one story may take.
const STORY_SECONDS: u32 = 60;

/// What a judge with so many CPUs is asked to do.
///
/// # Errors
/// When a value does not fit into 64 bits.
pub fn request(story: &Story, cpus: u32) -> Result<TestRunRequest, Failed> {
    let global = |(name, amount): &(String, Amount)| {
        let value = GlobalValue::Int(i64::try_from(amount.on(cpus))?);
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
        companions: Vec::new(),
        timeout_seconds: STORY_SECONDS,
    })
}

/// The judge's answer is what the story says: return values, globals, map elements.
///
/// # Errors
/// The first difference.
pub fn compare(story: &Story, cpus: u32, result: &TestRunResult, object: &Object) -> Result<(), Failed> {
    let btf = object.btf.as_deref().ok_or("the object has no BTF")?;
    check(result.steps.len() == story.steps.len(), || "another number of steps")?;
    for (index, (step, ran)) in story.steps.iter().zip(&result.steps).enumerate() {
        let which = || format!("step {}, {}", index + 1, step.program);
        check(ran.errno == 0, || format!("{}: error {}: {:?}", which(), ran.errno, ran.error))?;
        if let Outcome::Returns(amount) = step.outcome {
            let (expected, got) = (amount.on(cpus) as u32 as i32, ran.retval as i32);
            check(expected == got, || format!("{}: expected {expected}, it returned {got}", which()))?;
        }
    }
    for (name, amount) in &story.globals {
        let got = global(&result.maps, name, btf)?;
        let expected = amount.on(cpus);
        check(got == expected, || format!("{name}: expected {expected}, it is {got}"))?;
    }
    for (path, amount) in &story.maps {
        let got = element(&result.maps, path, object, btf)?;
        let expected = amount.on(cpus);
        check(got == expected, || format!("{path}: expected {expected}, it is {got}"))?;
    }
    Ok(())
}

/// A global variable's value in the dumps of the sections.
fn global(maps: &[MapDump], name: &str, btf: &Btf) -> Result<i128, Failed> {
    let found = maps.iter().find_map(|map| Some((map, map.variables.iter().find(|variable| variable.name == name)?)));
    let (map, variable) = found.ok_or_else(|| format!("there is no global {name}"))?;
    let section = value(map, None, 0)?;
    let start = variable.offset as usize;
    let bytes = section.get(start..start + variable.size as usize).ok_or("the section is too short")?;
    let type_id = btf.ids_named(name).find_map(|id| match btf.ty(id) {
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
