//! What a failing assertion tells.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

const COUNTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/percpu_counter.bpf.o");

fn counter() -> Bpf {
    Bpf::open(COUNTER).expect("the example loads")
}

/// The message of an assertion that fails.
fn failure<T>(assert: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(assert()))).expect_err("the assertion holds");
    *panic.downcast::<String>().expect("a message")
}

#[test]
fn a_verdict_that_was_not_expected_is_told_as_the_tool_prints_it() {
    let unprivileged = counter().unprivileged().verify("count").expect("there is one");
    let message = failure(|| unprivileged.assert_accepted().text());
    assert!(message.starts_with("expected accepted, but:\nerror[program-type-needs-capability]: count ("), "{message}");
    let accepted = counter().verify("count").expect("there is one");
    let message = failure(|| accepted.assert_rejected_with("leak").text());
    assert!(message.starts_with("expected rejected by leak, but:\naccepted: count ("), "{message}");
    let message = failure(|| accepted.assert_processed_at_most(3).text());
    assert!(message.contains("expected 3 instructions at most"), "{message}");
    let error = counter().verify("nothing").expect_err("there is none").to_string();
    assert_eq!(error, "percpu_counter has no program nothing; it has create, count, sum, destroy");
    let unwrapped = failure(|| counter().verify("nothing").unwrap());
    assert!(unwrapped.ends_with(&error), "{unwrapped}");
}

#[test]
fn a_run_that_ends_otherwise_is_told_with_its_place() {
    let mut machine = counter().machine(2).expect("a machine");
    let message = failure(|| machine.run("create").expect("it runs").assert_returned(7).text().to_owned());
    assert_eq!(message, "expected that create returns 7, but:\ncreate on CPU 0: returned 1");
    let message = failure(|| machine.assert_nothing_owned().text());
    assert!(message.starts_with("expected nothing owned, but:\n"), "{message}");
    assert!(message.contains("held by slots[0].live"), "{message}");
    machine.assert_no_leaks();
    assert_eq!(machine.element("slots", 1), Value::Null);
    assert!(matches!(machine.set("nothing", 1), Err(TestError::Set(_))));
    assert!(matches!(machine.run("nothing"), Err(TestError::Setup(_))));
}

#[test]
fn a_race_is_told_with_a_token_that_repeats_it() {
    let twice = || counter().scenario().set("nr_cpus", 2).on(0, "create").on(1, "create");
    let explored = twice().explore().expect("it runs");
    explored.assert_complete().assert_found("data-race").assert_outcomes(&["returns=[1, 1]"]);
    let message = failure(|| explored.assert_no_findings().schedules());
    let token = &explored.findings()[0].token;
    assert!(message.starts_with("expected no findings, but:\n") && message.contains(token), "{message}");
    let again = twice().replay(token).expect("it fits");
    again.assert_found("data-race");
    failure(|| again.assert_no_findings().text().to_owned());
    let other = counter().scenario().set("nr_cpus", 2).on(0, "count").on(1, "create");
    assert!(matches!(other.replay(token), Err(TestError::OtherScenario)));
}

#[test]
fn words_that_cannot_be_meant_are_told_at_the_end() {
    let wrong = counter().scenario().on(0, "create*many").set("nr_cpus", 2).explore();
    assert_eq!(wrong.expect_err("no number").to_string(), "'many' is no number of times");
    let wrong = counter().scenario().on(0, "create").hold("returns[").explore();
    assert!(matches!(wrong, Err(TestError::Scenario(_))));
}
