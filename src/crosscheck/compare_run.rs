//! Two runs of the same programs, ours and a kernel's: return values, and the bytes of every map and global.
//!
//! Both sides use the guest's own result type, so that our machine's result is put into it by whoever calls [`compare_runs`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::protocol::{MapDump, StepResult, TestRunResult, Trigger, Variable, from_hex};

/// One thing in which two runs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDifference {
    /// Where: a program, a variable, or a map with key, CPU and byte offset.
    pub place: String,
    /// What we have there.
    pub ours: String,
    /// What the kernel has there.
    pub kernel: String,
}

impl RunDifference {
    fn new(place: impl Into<String>, ours: impl Into<String>, kernel: impl Into<String>) -> RunDifference {
        RunDifference { place: place.into(), ours: ours.into(), kernel: kernel.into() }
    }
}

/// Compares two runs of the same steps; empty when they agree.
///
/// Variables named in `ignored` are left out (a process id is never the same twice). The return value of a step counts only
/// when `BPF_PROG_TEST_RUN` alone ran it: for an attached program the kernel returns something else. Maps that the kernel's side could not
/// read are left out; a map that ours lacks is a difference.
#[must_use]
pub fn compare_runs(ours: &TestRunResult, kernel: &TestRunResult, ignored: &[String]) -> Vec<RunDifference> {
    let mut differences = Vec::new();
    if ours.error != kernel.error && (ours.error.is_none() || kernel.error.is_none()) {
        let text = |error: &Option<String>| error.clone().unwrap_or_else(|| "ran".into());
        differences.push(RunDifference::new("run", text(&ours.error), text(&kernel.error)));
        return differences;
    }
    if ours.steps.len() != kernel.steps.len() {
        let count = |run: &TestRunResult| format!("{} steps", run.steps.len());
        differences.push(RunDifference::new("run", count(ours), count(kernel)));
    }
    for (ours, kernel) in ours.steps.iter().zip(&kernel.steps) {
        differences.extend(compare_step(ours, kernel));
    }
    for map in kernel.maps.iter().filter(|map| map.error.is_none()) {
        match ours.maps.iter().find(|candidate| candidate.name == map.name) {
            Some(own) => compare_map(own, map, ignored, &mut differences),
            None => differences.push(RunDifference::new(format!("map {}", map.name), "no such map", "present")),
        }
    }
    differences
}

fn compare_step(ours: &StepResult, kernel: &StepResult) -> Option<RunDifference> {
    let text = |step: &StepResult| match (&step.error, step.errno) {
        (None, 0) if kernel.trigger == Trigger::TestRun => format!("returns {}", step.retval),
        (None, 0) => "ran".to_owned(),
        (error, errno) => format!("fails: {} (errno {errno})", error.as_deref().unwrap_or("")),
    };
    let (own, theirs) = (text(ours), text(kernel));
    let same = ours.program == kernel.program && own == theirs;
    (!same).then(|| RunDifference::new(format!("program {}", kernel.program), own, theirs))
}

fn compare_map(ours: &MapDump, kernel: &MapDump, ignored: &[String], differences: &mut Vec<RunDifference>) {
    let entries = |map: &MapDump| -> BTreeMap<String, Vec<String>> {
        map.entries.iter().map(|entry| (entry.key.clone(), entry.values.clone())).collect()
    };
    let (own, theirs) = (entries(ours), entries(kernel));
    let keys = own.keys().chain(theirs.keys().filter(|key| !own.contains_key(*key)));
    // Of a map that was not listed to its end, each side may list other entries.
    let whole = !ours.truncated && !kernel.truncated;
    for key in keys.filter(|key| whole || own.contains_key(*key) && theirs.contains_key(*key)) {
        let place = if key.is_empty() { format!("map {}", kernel.name) } else { format!("map {}[{key}]", kernel.name) };
        match (own.get(key), theirs.get(key)) {
            (Some(own), Some(theirs)) if own.len() == theirs.len() => {
                for (cpu, (own, theirs)) in own.iter().zip(theirs).enumerate() {
                    let place = if kernel.entries.iter().any(|entry| entry.values.len() > 1) {
                        format!("{place} on CPU {cpu}")
                    } else {
                        place.clone()
                    };
                    compare_value(&place, own, theirs, &kernel.variables, ignored, differences);
                }
            }
            (own, theirs) => {
                let count = |values: Option<&Vec<String>>| match values {
                    Some(values) => format!("{} values", values.len()),
                    None => "no entry".to_owned(),
                };
                differences.push(RunDifference::new(place, count(own), count(theirs)));
            }
        }
    }
}

/// Compares one value: variable by variable when they are known, else as a whole.
fn compare_value(
    place: &str,
    ours: &str,
    kernel: &str,
    variables: &[Variable],
    ignored: &[String],
    differences: &mut Vec<RunDifference>,
) {
    if ours.eq_ignore_ascii_case(kernel) {
        return;
    }
    if variables.is_empty() {
        let (Some(own), Some(theirs)) = (from_hex(ours), from_hex(kernel)) else {
            return differences.push(RunDifference::new(place, ours, kernel));
        };
        let first = own.iter().zip(&theirs).position(|(own, theirs)| own != theirs);
        let first = first.unwrap_or_else(|| own.len().min(theirs.len()));
        return differences.push(RunDifference::new(format!("{place} from byte {first}"), ours, kernel));
    }
    for variable in variables.iter().filter(|variable| !ignored.contains(&variable.name)) {
        let digits = |value: &str| {
            let start = usize::try_from(variable.offset).ok()?.checked_mul(2)?;
            let end = usize::try_from(variable.size).ok()?.checked_mul(2)?.checked_add(start)?;
            value.get(start..end).map(str::to_ascii_lowercase)
        };
        let (own, theirs) = (digits(ours), digits(kernel));
        if own != theirs {
            let text = |digits: Option<String>| digits.unwrap_or_else(|| "missing".into());
            differences.push(RunDifference::new(format!("variable {}", variable.name), text(own), text(theirs)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crosscheck::protocol::MapEntry;

    fn map(name: &str, values: &[&str], variables: &[(&str, u32, u32)]) -> MapDump {
        MapDump {
            name: name.into(),
            map_type: "array".into(),
            key_size: 4,
            value_size: 8,
            entries: vec![MapEntry {
                key: "00000000".into(),
                values: values.iter().map(|&value| value.into()).collect(),
            }],
            truncated: false,
            error: None,
            variables: variables
                .iter()
                .map(|&(name, offset, size)| Variable { name: name.into(), offset, size })
                .collect(),
        }
    }

    fn run(retval: u32, trigger: Trigger, maps: Vec<MapDump>) -> TestRunResult {
        let step = StepResult {
            program: "prog".into(),
            trigger,
            errno: 0,
            retval,
            data_out: None,
            ctx_out: None,
            error: None,
        };
        TestRunResult { steps: vec![step], maps, error: None }
    }

    fn places(ours: &TestRunResult, kernel: &TestRunResult, ignored: &[&str]) -> Vec<String> {
        let ignored: Vec<String> = ignored.iter().map(|&name| name.to_owned()).collect();
        compare_runs(ours, kernel, &ignored).into_iter().map(|difference| difference.place).collect()
    }

    #[test]
    fn return_values_count_only_where_the_kernel_gives_them() {
        let none: [&str; 0] = [];
        let (one, two) = (run(1, Trigger::TestRun, vec![]), run(2, Trigger::TestRun, vec![]));
        assert_eq!(places(&one, &one, &[]), none);
        assert_eq!(places(&one, &two, &[]), ["program prog"]);
        assert_eq!(places(&one, &run(0, Trigger::AttachAndTestRun, vec![]), &[]), none);
    }

    #[test]
    fn globals_are_compared_variable_by_variable() {
        let variables = [("sum", 0, 4), ("my_pid", 4, 4)];
        let ours = run(0, Trigger::TestRun, vec![map(".bss", &["0100000005000000"], &variables)]);
        let kernel = run(0, Trigger::TestRun, vec![map(".bss", &["0200000009000000"], &variables)]);
        assert_eq!(places(&ours, &kernel, &[]), ["variable sum", "variable my_pid"]);
        assert_eq!(places(&ours, &kernel, &["my_pid"]), ["variable sum"]);
    }

    #[test]
    fn a_value_names_its_map_key_cpu_and_byte() {
        let ours = run(0, Trigger::TestRun, vec![map("m", &["00ff", "0000"], &[])]);
        let kernel = run(0, Trigger::TestRun, vec![map("m", &["00ff", "0001"], &[])]);
        assert_eq!(places(&ours, &kernel, &[]), ["map m[00000000] on CPU 1 from byte 1"]);
    }

    #[test]
    fn a_map_or_an_entry_that_one_side_lacks_is_a_difference() {
        let full = run(0, Trigger::TestRun, vec![map("m", &["00"], &[])]);
        assert_eq!(places(&run(0, Trigger::TestRun, vec![]), &full, &[]), ["map m"]);
        let mut empty = full.clone();
        empty.maps[0].entries.clear();
        assert_eq!(places(&empty, &full, &[]), ["map m[00000000]"]);
        assert_eq!(places(&full, &empty, &[]), ["map m[00000000]"]);
    }

    #[test]
    fn a_run_that_only_one_side_finished_is_a_difference() {
        let good = run(0, Trigger::TestRun, vec![]);
        let bad = TestRunResult { error: Some("rejected".into()), ..good.clone() };
        assert_eq!(places(&good, &bad, &[]), ["run"]);
        assert_eq!(places(&bad, &bad, &[]), Vec::<String>::new());
    }
}
