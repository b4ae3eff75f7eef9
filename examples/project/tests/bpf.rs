//! Tests of the BPF programs: no root, no kernel, no BPF system call. They need clang, which compiles the programs.

use kptrsim::testing::{Bpf, TestError};
use proptest::prelude::*;

fn admission() -> Result<Bpf, TestError> {
    Bpf::open("bpf/admission.bpf.c")
}

/// The kernel would load every program.
#[test]
fn the_kernel_would_load_it() -> Result<(), TestError> {
    admission()?.verify_all().assert_accepted().assert_processed_at_most(1000);
    Ok(())
}

/// A mistake that was made once stays refused, by the rule that it was refused by.
#[test]
fn forgetting_the_old_object_is_refused() -> Result<(), TestError> {
    let leaky = Bpf::open("bpf/leaky.bpf.c")?.verify("replace")?;
    leaky.assert_rejected_with("unreleased-reference");
    assert_eq!(leaky.verdicts()[0].errno, 22, "EINVAL");
    Ok(())
}

/// One packet after another: the first ones pass, the others do not, and each CPU has counted its own.
#[test]
fn the_first_packets_pass() -> Result<(), TestError> {
    let bpf = admission()?;
    let mut machine = bpf.machine(2)?;
    machine.set("limit", 2)?;
    machine.run("setup")?.assert_returned(1);
    machine.run_on(0, "admit")?.assert_returned(1);
    machine.run_on(1, "admit")?.assert_returned(1);
    machine.run_on(1, "admit")?.assert_returned(0);
    assert_eq!(machine.global("taken"), 3);
    let copies = &machine.json()["owned"][0]["values"];
    assert_eq!(copies[0]["admitted"], 1);
    assert_eq!(copies[1]["refused"], 1);
    machine.assert_no_leaks();
    Ok(())
}

/// Packets on two CPUs at the same time, in every order: never more than the limit.
#[test]
fn never_more_than_the_limit() -> Result<(), TestError> {
    let scenario = admission()?.scenario().set("limit", 1).first("setup");
    let scenario = scenario.on(0, "admit").on(1, "admit").hold("returns[0] + returns[1] == 1");
    scenario.explore()?.assert_no_findings().assert_complete();
    Ok(())
}

/// The first attempt let both through, under a schedule that the test names.
#[test]
fn the_first_attempt_let_too_many_pass() -> Result<(), TestError> {
    let scenario = || {
        let scenario = admission()?.scenario().set("limit", 1).hold("returns[0] + returns[1] == 1");
        Ok::<_, TestError>(scenario.on(0, "admit_racy").on(1, "admit_racy"))
    };
    let explored = scenario()?.explore()?;
    explored.assert_found("broken-condition").assert_found("data-race");
    // What was found once can be run again by its token, step for step.
    let broken = explored.findings().iter().find(|finding| finding.kind == "broken-condition");
    let token = &broken.expect("it was just asserted").token;
    scenario()?.replay(token)?.assert_found("broken-condition");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The same for any limit and any number of packets on either CPU.
    #[test]
    fn the_limit_holds_for_any_number_of_packets(limit in 0..4_u32, on_first in 1..3_u32, on_second in 1..3_u32) {
        let expected = limit.min(on_first + on_second);
        let scenario = admission().unwrap().scenario().set("limit", limit);
        let scenario = scenario.on(0, format!("admit*{on_first}")).on(1, format!("admit*{on_second}"));
        let sum = (0..on_first + on_second).map(|run| format!("returns[{run}]")).collect::<Vec<_>>().join(" + ");
        scenario.hold(&format!("{sum} == {expected}")).explore().unwrap().assert_no_findings();
    }
}
