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
    let tests: [(&str, Test); 5] = [
        ("a_program_is_judged_as_if_it_were_alone", a_program_is_judged_as_if_it_were_alone),
        ("accepted_programs_are_contained_and_do_not_fault", accepted_programs_are_contained),
        ("a_campaign_goes_on_where_it_was", a_campaign_goes_on_where_it_was),
        ("shares_make_the_whole", shares_make_the_whole),
        ("wrong_use_has_words", wrong_use_has_words),
    ];
    let mut trials: Vec<Trial> = tests.map(|(name, test)| Trial::test(name, test)).into();
    trials.push(Trial::test("the_kernel_agrees", the_kernel_agrees).with_ignored_flag(!wanted));
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
    let bench = Bench { profile: Profile::embedded(), config: None, plan };
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
