//! Does reduction explore each trace, and none twice? Held against depth-first search on small systems of every sort.
//!
//! The traces are told apart here by a normal form of their own, not by the explorer's clocks.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::drive::{Driver, is_schedule};
use super::policy::dfs::{Dfs, DfsOptions};
use super::policy::dpor::Dpor;
use super::policy::{Everything, Policy, RunEnd};
use super::system::{Choice, Stability, System, Touch};
use super::toy::{Op, Toy};

/// The least schedule, by actors, of those that a schedule is equivalent to.
fn normal_form(steps: &[(Choice, Vec<Touch>, bool)]) -> Vec<Choice> {
    let depends = |one: usize, other: usize| {
        let (first, second) = (&steps[one], &steps[other]);
        first.0.actor == second.0.actor
            || first.2
            || second.2
            || first.1.iter().any(|touch| second.1.iter().any(|theirs| touch.conflicts(theirs)))
    };
    let mut left: Vec<usize> = (0..steps.len()).collect();
    let mut form = Vec::new();
    while !left.is_empty() {
        let minimal = |position: &usize| left[..*position].iter().all(|&before| !depends(before, left[*position]));
        let least = (0..left.len()).filter(minimal).min_by_key(|&position| steps[left[position]].0);
        let least = left.remove(least.expect("a finite order has a least element"));
        form.push(steps[least].0);
    }
    form
}

/// The traces of a schedule list: how often each was met.
fn trace_of(system: &Toy, schedule: &[Choice]) -> Vec<Choice> {
    let mut system = system.clone();
    system.reset();
    let steps: Vec<_> = schedule
        .iter()
        .map(|&choice| {
            let failed = system.perform(choice).is_err();
            (choice, system.touches().to_vec(), failed || system.stability() == Stability::Varies)
        })
        .collect();
    normal_form(&steps)
}

#[derive(Debug, Default, PartialEq)]
struct Explored {
    traces: BTreeMap<Vec<Choice>, usize>,
    runs: usize,
    begun: usize,
    results: BTreeSet<String>,
}

fn explore(toy: &Toy, policy: &mut impl Policy, most: usize) -> Option<Explored> {
    let mut driver = Driver::new(toy.clone(), 200, true);
    let mut explored = Explored::default();
    while let Some(run) = driver.run(policy).expect("a toy repeats itself") {
        explored.begun += 1;
        if explored.begun > most {
            return None;
        }
        if is_schedule(&run) {
            assert_eq!(run.end, RunEnd::Over);
            *explored.traces.entry(trace_of(toy, driver.schedule())).or_default() += 1;
            explored.runs += 1;
            explored.results.extend(run.findings.iter().map(Toy::key));
            explored.results.extend(run.outcome);
        }
    }
    Some(explored)
}

fn op() -> impl Strategy<Value = Op> {
    let variable = 0..3_u8;
    let value = 0..3_u8;
    let lock = 0..2_u8;
    prop_oneof![
        3 => variable.clone().prop_map(Op::Read),
        3 => (variable.clone(), value.clone()).prop_map(|(at, value)| Op::Write(at, value)),
        1 => variable.clone().prop_map(Op::Store),
        2 => (variable.clone(), value.clone()).prop_map(|(at, value)| Op::Add(at, value)),
        1 => (variable.clone(), value.clone()).prop_map(|(at, value)| Op::Swap(at, value)),
        1 => variable.clone().prop_map(Op::Acquire),
        2 => lock.clone().prop_map(Op::Lock),
        2 => lock.prop_map(Op::Unlock),
        2 => (variable.clone(), value.clone()).prop_map(|(at, value)| Op::Await(at, value)),
        1 => (1..3_u8).prop_map(Op::Choose),
        1 => value.clone().prop_map(Op::SkipUnless),
        1 => (variable.clone(), 1..3_u8).prop_map(|(at, value)| Op::Fail(at, value)),
        1 => variable.prop_map(Op::Scatter),
    ]
}

/// Instructions of which each touches the same wherever it comes, and none of which ends a run.
fn plain_op() -> impl Strategy<Value = Op> {
    let variable = 0..3_u8;
    prop_oneof![
        3 => variable.clone().prop_map(Op::Read),
        3 => variable.clone().prop_map(|at| Op::Write(at, 1)),
        2 => variable.clone().prop_map(|at| Op::Add(at, 1)),
        1 => variable.prop_map(Op::Acquire),
        2 => (0..2_u8).prop_map(Op::Lock),
        2 => (0..2_u8).prop_map(Op::Unlock),
    ]
}

fn plain_toy() -> impl Strategy<Value = Toy> {
    prop::collection::vec(prop::collection::vec(plain_op(), 0..5), 2..5).prop_map(|programs| Toy::new(programs, 3, 2))
}

fn toy() -> impl Strategy<Value = Toy> {
    prop::collection::vec(prop::collection::vec(op(), 0..5), 2..5).prop_map(|programs| Toy::new(programs, 3, 2))
}

fn check(toy: &Toy) -> Result<Option<Explored>, TestCaseError> {
    let Some(all) = explore(toy, &mut Dfs::new(DfsOptions::default(), Everything), 20_000) else {
        return Ok(None);
    };
    let mut dpor = Dpor::new(toy.actor_count(), 0, Everything);
    let reduced = explore(toy, &mut dpor, 100_000).expect("no more runs than depth-first search");
    let missing: Vec<_> = all.traces.keys().filter(|trace| !reduced.traces.contains_key(*trace)).collect();
    prop_assert!(missing.is_empty(), "missing {} of {}: {:?}", missing.len(), all.traces.len(), missing[0]);
    prop_assert_eq!(reduced.traces.len(), all.traces.len());
    let twice: Vec<_> = reduced.traces.iter().filter(|(_, count)| **count > 1).collect();
    prop_assert!(twice.is_empty(), "twice: {:?}", twice);
    Ok(Some(reduced))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_trace_is_explored_once(toy in toy()) {
        check(&toy).map_err(|error| TestCaseError::fail(format!("{error}\nPROGRAMS {:?}", toy.programs())))?;
    }

    #[test]
    fn no_run_is_in_vain(toy in plain_toy()) {
        let explored = check(&toy).map_err(|error| TestCaseError::fail(format!("{error}\nPROGRAMS {:?}", toy.programs())))?;
        if let Some(explored) = explored {
            prop_assert_eq!(explored.runs, explored.begun, "PROGRAMS {:?}", toy.programs());
        }
    }

    #[test]
    fn steps_that_may_fail_may_be_called_fixed(toy in toy()) {
        let all = explore(&toy, &mut Dfs::new(DfsOptions::default(), Everything), 20_000);
        if let Some(all) = all {
            let toy = toy.with_fixed_failures();
            let mut dpor = Dpor::new(toy.actor_count(), 0, Everything);
            let reduced = explore(&toy, &mut dpor, 100_000).expect("no more runs than depth-first search");
            prop_assert_eq!(&reduced.results, &all.results, "PROGRAMS {:?}", toy.programs());
            prop_assert!(reduced.traces.values().all(|count| *count == 1));
        }
    }
}
