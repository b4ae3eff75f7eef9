//! Campaigns: a seeded part of the long ones, and that they come to the same however they are divided and interrupted.
//!
//! The one with a real kernel boots QEMU, so it runs only when `KPTRSIM_TEST_KERNEL` is 1 (see `crosscheck.rs`).

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use kptrsim::fuzz::bench::Bench;
use kptrsim::fuzz::plan::Plan;
use kptrsim::kernel::Profile;
use kptrsim::soundness::program::Program;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

/// How many programs a campaign without a kernel has; a longer run sets `KPTRSIM_CASES`.
const CASES: &str = "500";
/// How many programs a kernel is asked about.
const KERNEL_CASES: &str = "300";

type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let wanted = env::var("KPTRSIM_TEST_KERNEL").is_ok_and(|value| value == "1");
    let tests: [(&str, Test); 9] = [
        ("a_program_is_judged_as_if_it_were_alone", a_program_is_judged_as_if_it_were_alone),
        ("accepted_programs_are_contained_and_do_not_fault", accepted_programs_are_contained),
        ("a_campaign_goes_on_where_it_was", a_campaign_goes_on_where_it_was),
        ("shares_make_the_whole", shares_make_the_whole),
        ("wrong_use_has_words", wrong_use_has_words),
        ("changed_objects_are_contained_and_do_not_panic", changed_objects_are_contained),
        ("changed_objects_go_on_and_are_shared", changed_objects_go_on_and_are_shared),
        ("what_disagrees_of_an_object_is_left_with_fewer_changes", what_disagrees_has_few_changes),
        ("known_gaps_are_told_when_asked_for", known_gaps_are_told_when_asked_for),
    ];
    let mut trials: Vec<Trial> = tests.map(|(name, test)| Trial::test(name, test)).into();
    let with_kernel: [(&str, Test); 3] = [
        ("the_kernel_agrees", the_kernel_agrees),
        ("the_kernel_agrees_about_changed_objects", the_kernel_agrees_about_changed_objects),
        ("a_fault_is_seen_on_the_kernel", a_fault_is_seen_on_the_kernel),
    ];
    trials.extend(with_kernel.map(|(name, test)| Trial::test(name, test).with_ignored_flag(!wanted)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs a campaign; its exit code and summary.
fn campaign(arguments: &[&str]) -> Result<(i32, Value), Failed> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_kptrsim")).args(["fuzz", "--format", "json"]).args(arguments).output()?;
    let code = output.status.code().ok_or("ended by a signal")?;
    if code == 2 {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok((code, serde_json::from_slice(&output.stdout)?))
}

/// What a campaign's journal says of its programs, by their numbers.
fn journal(folder: &Path) -> Result<Vec<(u64, Value)>, Failed> {
    let text = fs::read_to_string(folder.join("journal.jsonl"))?;
    let lines = text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let programs = lines.into_iter().filter_map(|line| line.get("program").cloned());
    let mut all: Vec<_> = programs.filter_map(|one| Some((one.get("index")?.as_u64()?, one))).collect();
    all.sort_by_key(|(index, _)| *index);
    Ok(all)
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap_or_default()
}

fn accepted_programs_are_contained() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let cases = env::var("KPTRSIM_CASES").unwrap_or(CASES.to_owned());
    let (_, summary) = campaign(&["--no-kernel", "--seed", "6", "--count", &cases, "--dir", path(folder.path())])?;
    assert_eq!(number(&summary, "programs").to_string(), cases);
    for name in ["accepted", "rejected", "runs", "executed", "contained"] {
        assert!(number(&summary, name) > 0, "{name}: {summary}");
    }
    assert_eq!(summary["causes"], Value::Array(Vec::new()), "{summary:#}");
    Ok(())
}

/// Programs of different types stand in another order in an object than that in which they were given.
fn a_program_is_judged_as_if_it_were_alone() -> Result<(), Failed> {
    let plan = Plan { seed: 9, runs: 2, ..Plan::default() };
    let bench = Bench::new(Profile::embedded(), None, plan);
    let programs: Vec<Program> = (0..20).map(|index| bench.plan.program(index)).collect();
    let seeds: Vec<u64> = (0..20).map(|index| bench.plan.run_seed(index)).collect();
    let kinds: HashSet<_> = programs.iter().map(|program| program.kind).collect();
    assert!(kinds.len() > 1);
    let together = bench.judge(&bench.write(&programs)?, Some(&seeds));
    assert_eq!(together.len(), programs.len());
    for ((program, seed), judged) in programs.into_iter().zip(seeds).zip(together) {
        let alone = bench.judge(&bench.write(&[program])?, Some(&[seed])).remove(0);
        assert_eq!((alone.rule, alone.executed, alone.contained), (judged.rule, judged.executed, judged.contained));
        assert_eq!(
            alone.verdict.and_then(|own| own.insns_processed),
            judged.verdict.and_then(|own| own.insns_processed)
        );
    }
    Ok(())
}

fn a_campaign_goes_on_where_it_was() -> Result<(), Failed> {
    let (whole, parts) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let common = ["--no-kernel", "--seed", "7", "--batch", "8", "--samples", "0", "--runs", "2"];
    campaign(&[&common[..], &["--count", "40", "--dir", path(whole.path())]].concat())?;
    campaign(&[&common[..], &["--count", "24", "--dir", path(parts.path())]].concat())?;
    // A kill in the middle of a line.
    let lines = parts.path().join("journal.jsonl");
    let cut = fs::read(&lines)?;
    fs::write(&lines, &cut[..cut.len() - 10])?;
    let (_, summary) = campaign(&["--resume", path(parts.path()), "--count", "40", "--batch", "8", "--samples", "0"])?;
    assert_eq!(number(&summary, "programs"), 40);
    assert_eq!(journal(parts.path())?, journal(whole.path())?);
    Ok(())
}

fn shares_make_the_whole() -> Result<(), Failed> {
    let common = ["--no-kernel", "--seed", "8", "--samples", "0", "--runs", "2", "--count", "31"];
    let whole = tempfile::tempdir()?;
    campaign(&[&common[..], &["--threads", "1", "--dir", path(whole.path())]].concat())?;
    let mut shares = Vec::new();
    for share in ["1/3", "2/3", "3/3"] {
        let folder = tempfile::tempdir()?;
        campaign(&[&common[..], &["--batch", "4", "--shard", share, "--dir", path(folder.path())]].concat())?;
        shares.extend(journal(folder.path())?);
    }
    shares.sort_by_key(|(index, _)| *index);
    assert_eq!(shares, journal(whole.path())?);
    Ok(())
}

fn wrong_use_has_words() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let words = |arguments: &[&str]| match campaign(arguments) {
        Err(error) => error.message().unwrap_or_default().to_owned(),
        Ok(other) => format!("no error: {other:?}"),
    };
    let nothing = words(&["--resume", path(folder.path())]);
    assert!(nothing.contains("holds no campaign"), "{nothing}");
    let begun = ["--no-kernel", "--count", "1", "--dir", path(folder.path())];
    campaign(&begun)?;
    let other = words(&[&begun[..], &["--seed", "9"]].concat());
    assert!(other.contains("holds another campaign"), "{other}");
    Ok(())
}

/// Two objects with programs that are accepted and others that are not.
const OBJECTS: [&str; 3] = ["--object", "tests/objects/percpu_slot.bpf.o", "examples/percpu_counter.bpf.o"];

fn changed_objects_are_contained() -> Result<(), Failed> {
    for changes in ["instructions", "bytes"] {
        let folder = tempfile::tempdir()?;
        let common = ["--no-kernel", "--seed", "3", "--count", "600", "--changes", changes, "--runs", "2"];
        let (_, summary) = campaign(&[&common[..], &OBJECTS, &["--dir", path(folder.path())]].concat())?;
        assert_eq!(number(&summary, "programs"), 600);
        for name in ["accepted", "rejected", "runs", "executed", "contained"] {
            assert!(number(&summary, name) > 0, "{name}: {summary}");
        }
        assert_eq!(number(&summary, "not_loaded") > 0, changes == "bytes", "{summary:#}");
        assert_eq!(summary["causes"], Value::Array(Vec::new()), "{summary:#}");
    }
    Ok(())
}

fn changed_objects_go_on_and_are_shared() -> Result<(), Failed> {
    let (whole, parts) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let common = ["--no-kernel", "--seed", "4", "--changes", "mixed", "--samples", "0", "--runs", "2"];
    let begun = |more: &[&str]| campaign(&[&common[..], &OBJECTS, more].concat());
    begun(&["--count", "50", "--dir", path(whole.path())])?;
    begun(&["--count", "17", "--dir", path(parts.path())])?;
    let (_, summary) = campaign(&["--resume", path(parts.path()), "--count", "50", "--samples", "0"])?;
    assert_eq!(number(&summary, "programs"), 50);
    assert_eq!(journal(parts.path())?, journal(whole.path())?);
    let mut shares = Vec::new();
    for share in ["1/3", "2/3", "3/3"] {
        let folder = tempfile::tempdir()?;
        begun(&["--count", "50", "--shard", share, "--dir", path(folder.path())])?;
        shares.extend(journal(folder.path())?);
    }
    shares.sort_by_key(|(index, _)| *index);
    assert_eq!(shares, journal(whole.path())?);
    Ok(())
}

/// The program of a known gap, in which most changes change nothing of that.
const KNOWN: &str = "docs/findings/null_copy_of_cpu.s";

fn what_disagrees_has_few_changes() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let arguments = ["--no-kernel", "--known", "--object", KNOWN, "--count", "12", "--dir", path(folder.path())];
    // It takes a clang to assemble it.
    let (code, summary) = match campaign(&arguments) {
        Err(error) if error.message().is_some_and(|words| words.contains("clang")) => return Ok(()),
        other => other?,
    };
    assert_eq!(code, 1);
    let causes = summary["causes"].as_array().ok_or("no causes")?;
    let fault = causes.iter().find(|one| one["cause"]["class"] == "accepted-faults").ok_or("no fault")?;
    let recorded = &fault["recorded"][0];
    assert_eq!(recorded["changes"], 0, "{summary:#}");
    let file = folder.path().join("findings").join(recorded["file"].as_str().unwrap_or_default());
    let page = fs::read_to_string(file.with_extension("md"))?;
    assert!(page.contains("nothing: the object shows it as it is") && page.contains("`null-copy-of-cpu`"), "{page}");
    let verdict =
        Command::new(env!("CARGO_BIN_EXE_kptrsim")).arg("verify").arg(file.with_extension("bpf.o")).status()?;
    assert!(verdict.success());
    Ok(())
}

/// A generated program that reads the copy of a CPU that does not exist.
const FAULTS: [&str; 11] =
    ["--subjects", "ownership", "--mutated", "100", "--seed", "2", "--count", "7250", "--shard", "7250/7250", "--dir"];

fn known_gaps_are_told_when_asked_for() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let (code, summary) = campaign(&[&["--no-kernel"], &FAULTS[..], &[path(folder.path())]].concat())?;
    assert_eq!((code, number(&summary, "programs")), (0, 1), "{summary:#}");
    let folder = tempfile::tempdir()?;
    let (code, summary) = campaign(&[&["--no-kernel", "--known"], &FAULTS[..], &[path(folder.path())]].concat())?;
    assert_eq!(code, 1);
    assert_eq!(summary["classes"]["accepted-faults"], 1, "{summary:#}");
    assert_eq!(summary["classes"]["not-contained"], 1, "{summary:#}");
    Ok(())
}

/// The whole way of a finding about the kernel: drawn, accepted, faulting, made small, and fatal to a kernel that was booted for it.
fn a_fault_is_seen_on_the_kernel() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let image = env::var("KPTRSIM_TEST_IMAGE").ok();
    let image: Vec<&str> = image.iter().flat_map(|image| ["--kernel-image", image]).collect();
    let (code, summary) =
        campaign(&[&["--known", "--kernel-cpus", "2"], &image[..], &FAULTS, &[path(folder.path())]].concat())?;
    assert_eq!(code, 1);
    let causes = summary["causes"].as_array().ok_or("no causes")?;
    let is_fault = |one: &&Value| one["cause"]["class"] == "kernel-accepts-machine-faults";
    let recorded = &causes.iter().find(is_fault).ok_or_else(|| format!("no fault: {summary:#}"))?["recorded"][0];
    assert!(number(recorded, "instructions") < 50, "{recorded}");
    let file = folder.path().join("findings").join(recorded["file"].as_str().unwrap_or_default());
    assert!(fs::read_to_string(file.with_extension("s"))?.contains("call 153"));
    let page = fs::read_to_string(file.with_extension("md"))?;
    for words in ["The kernel died", "BUG: kernel NULL pointer dereference", "RIP: 0010:bpf_prog_", "Kernel panic"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    Ok(())
}

fn the_kernel_agrees_about_changed_objects() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let image = env::var("KPTRSIM_TEST_IMAGE").ok();
    let image: Vec<&str> = image.iter().flat_map(|image| ["--kernel-image", image]).collect();
    let common = ["--seed", "5", "--count", "66", "--runs", "2", "--dir", path(folder.path())];
    let (code, summary) = campaign(&[&common[..], &image, &OBJECTS].concat())?;
    assert_eq!(code, 0, "{summary:#}");
    assert_eq!(number(&summary, "kernel_verdicts"), 66, "{summary:#}");
    assert_eq!(number(&summary, "equal_verdicts"), 66, "{summary:#}");
    Ok(())
}

fn the_kernel_agrees() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut arguments = vec!["--seed", "6", "--count", KERNEL_CASES, "--dir", path(folder.path())];
    let image = env::var("KPTRSIM_TEST_IMAGE").ok();
    if let Some(image) = &image {
        arguments.extend(["--kernel-image", image]);
    }
    let (_, summary) = campaign(&arguments)?;
    assert_eq!(number(&summary, "programs").to_string(), KERNEL_CASES);
    assert_eq!(number(&summary, "kernel_verdicts").to_string(), KERNEL_CASES, "{summary:#}");
    let classes = &summary["classes"];
    for class in ["kernel-died", "wrong-accept", "kernel-accepts-machine-faults", "not-contained", "panic"] {
        assert_eq!(classes[class], 0, "{summary:#}");
    }
    let equal = number(&summary, "equal_verdicts") - number(classes, "reason-differs");
    assert!(equal * 100 >= 99 * number(&summary, "kernel_verdicts"), "{summary:#}");
    Ok(())
}
