//! Searches from their options to their results: what they cover, find and count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::collect::{Collection, Observed};
use super::records::Scenario;
use super::replay::replay;
use super::result::{Record, Shard, merge};
use super::schedule::Schedule;
use super::search::{Control, Ended, SearchError, SearchOptions, SearchResult, Strategy, search};
use super::system::System;
use super::toy::{Op, Toy, ToyFinding};

fn run(toy: &Toy, options: &SearchOptions) -> SearchResult<ToyFinding> {
    let stop = AtomicBool::new(false);
    let control = Control { stop: &stop, progress: &|_| () };
    search(&|| toy.clone(), options, control).expect("a toy keeps to its contract")
}

fn by(strategy: Strategy) -> SearchOptions {
    SearchOptions { strategy, ..SearchOptions::default() }
}

/// Three actors that each take two locks, one of them in the other order.
fn crossing() -> Toy {
    let ordered = vec![Op::Lock(0), Op::Lock(1), Op::Add(0, 1), Op::Unlock(1), Op::Unlock(0)];
    let crossed = vec![Op::Lock(1), Op::Lock(0), Op::Add(0, 1), Op::Unlock(0), Op::Unlock(1)];
    Toy::new(vec![ordered.clone(), ordered, crossed], 1, 2)
}

/// Writers of their own variables, and one who reads all.
fn readers() -> Toy {
    let writer = |variable: u8| vec![Op::Write(variable, 1)];
    let reader = (0..3).map(Op::Read).collect();
    Toy::new(vec![writer(0), writer(1), writer(2), reader], 3, 0)
}

/// An allocation that may fail on each of two actors, who share a counter.
fn allocations() -> Toy {
    let program = vec![Op::Choose(2), Op::SkipUnless(0), Op::Add(0, 1), Op::Add(1, 1)];
    Toy::new(vec![program.clone(), program], 2, 0)
}

fn corpus() -> Vec<(&'static str, Toy)> {
    vec![
        ("race of 2 x 3", Toy::race(2, 3)),
        ("race of 3 x 2", Toy::race(3, 2)),
        ("crossing locks", crossing()),
        ("readers", readers()),
        ("allocations", allocations()),
        ("republish", Toy::republish()),
    ]
}

#[test]
fn runs_that_each_policy_explores() {
    let count = |toy: &Toy, options: SearchOptions| {
        let result = run(toy, &options);
        let coverage = &result.coverage;
        let whole = if coverage.complete { "all" } else { "some" };
        format!("{whole} {}", coverage.explored)
    };
    let mut table = String::new();
    for (name, toy) in corpus() {
        let bounded = |most| SearchOptions { preemptions: Some(most), ..by(Strategy::Dfs) };
        let cached = SearchOptions { cache_states: true, ..by(Strategy::Dfs) };
        let columns = [
            ("dfs", by(Strategy::Dfs)),
            ("dpor", by(Strategy::Dpor)),
            ("1 preemption", bounded(1)),
            ("2 preemptions", bounded(2)),
            ("cached", cached),
            ("automatic", by(Strategy::Automatic)),
            ("round robin", by(Strategy::RoundRobin)),
        ];
        let columns = columns.map(|(column, options)| format!("{column}: {}", count(&toy, options)));
        table.push_str(&format!("{name}: {}\n", columns.join(", ")));
    }
    insta::assert_snapshot!(table, @r"
    race of 2 x 3: dfs: all 20, dpor: all 20, 1 preemption: all 6, 2 preemptions: all 14, cached: all 17, automatic: all 20, round robin: some 1
    race of 3 x 2: dfs: all 90, dpor: all 90, 1 preemption: all 24, 2 preemptions: all 60, cached: all 90, automatic: all 90, round robin: some 1
    crossing locks: dfs: all 26, dpor: all 10, 1 preemption: all 24, 2 preemptions: all 26, cached: all 13, automatic: all 10, round robin: some 1
    readers: dfs: all 120, dpor: all 8, 1 preemption: all 96, 2 preemptions: all 120, cached: all 7, automatic: all 8, round robin: some 1
    allocations: dfs: all 160, dpor: all 10, 1 preemption: all 28, 2 preemptions: all 78, cached: all 12, automatic: all 10, round robin: some 1
    republish: dfs: all 32408, dpor: all 21, 1 preemption: all 17, 2 preemptions: all 133, cached: all 21, automatic: all 21, round robin: some 1
    ");
}

/// What must be the same however a search is divided.
fn comparable(result: &SearchResult<ToyFinding>) -> impl PartialEq + std::fmt::Debug + use<> {
    let findings: BTreeMap<_, _> = result
        .findings
        .iter()
        .map(|(key, found)| (key.clone(), (found.runs, found.first.clone(), found.shortest.clone())))
        .collect();
    (findings, result.outcomes.clone(), result.coverage.clone(), result.stuck.clone())
}

#[test]
fn a_search_is_the_same_on_any_number_of_threads() {
    let toy = Toy::race(3, 4);
    for strategy in [Strategy::Dpor, Strategy::Urw, Strategy::Pct(3), Strategy::Random, Strategy::Automatic] {
        let on =
            |threads| run(&toy, &SearchOptions { threads, shard: Some(Shard { number: 1, count: 3 }), ..by(strategy) });
        assert_eq!(comparable(&on(1)), comparable(&on(3)), "{strategy:?}");
    }
}

#[test]
fn shards_are_the_whole_search() {
    for (name, toy) in [("race", Toy::race(3, 3)), ("locks", crossing())] {
        for strategy in [Strategy::Dpor, Strategy::Dfs, Strategy::Urw] {
            let whole = run(&toy, &by(strategy));
            let mut all: Collection<ToyFinding> = Collection::default();
            let mut explored = 0;
            for number in 1..=4 {
                let shard = Some(Shard { number, count: 4 });
                let part = run(&toy, &SearchOptions { shard, ..by(strategy) });
                explored += part.coverage.explored;
                for (outcome, Observed { runs, first }) in part.outcomes {
                    let mut one: Collection<ToyFinding> = Collection::default();
                    one.outcomes.insert(outcome, Observed { runs, first });
                    all.merge(one);
                }
            }
            let runs = |outcome: (&String, &Observed)| (outcome.0.clone(), outcome.1.runs);
            let sharded: BTreeMap<_, _> = all.outcomes.iter().map(runs).collect();
            assert_eq!(sharded, whole.outcomes.iter().map(runs).collect(), "{name} by {strategy:?}");
            assert_eq!(explored, whole.coverage.explored, "{name} by {strategy:?}");
        }
    }
}

#[test]
fn what_is_found_can_be_replayed() {
    for (name, toy) in corpus() {
        let result = run(&toy, &by(Strategy::Dpor));
        for (key, found) in &result.findings {
            for seen in [&found.first, &found.shortest] {
                let again = replay(&mut toy.clone(), &seen.choices, |_, _| ());
                assert!(again.findings.iter().any(|finding| Toy::key(finding) == *key), "{name}: {key}");
            }
        }
        for (outcome, observed) in &result.outcomes {
            let again = replay(&mut toy.clone(), &observed.first.choices, |_, _| ());
            assert_eq!(again.outcome.as_ref(), Some(outcome), "{name}");
        }
    }
}

#[test]
fn the_automatic_strategy_finds_a_republish_bug_within_200_runs() {
    for seed in 0..50 {
        let options = SearchOptions { seed, schedules: Some(200), ..by(Strategy::Automatic) };
        let result = run(&Toy::republish(), &options);
        assert!(result.findings.contains_key("failed 1 12"), "seed {seed}");
    }
}

#[test]
fn a_deadlock_is_found_and_counted() {
    let result = run(&crossing(), &by(Strategy::Dpor));
    assert!(result.findings.contains_key("deadlock"));
    assert!(result.coverage.stuck > 0 && result.stuck.is_some());
}

#[test]
fn a_wait_without_end_is_cut_and_counted() {
    let spin: Vec<Op> = std::iter::repeat_n(Op::Acquire(0), 50).collect();
    let options = SearchOptions { max_steps: 20, ..by(Strategy::Dpor) };
    let result = run(&Toy::new(vec![spin], 1, 0), &options);
    assert_eq!((result.coverage.cut, result.coverage.complete), (1, false));
    assert!(result.coverage.to_string().ends_with("; 1 cut for their length, what follows there is not known"));
}

#[test]
fn a_bound_is_told_and_refused_where_it_would_mislead() {
    let bounded = |strategy, most| SearchOptions { preemptions: Some(most), ..by(strategy) };
    let result = run(&Toy::race(2, 3), &bounded(Strategy::Dfs, 1));
    assert!(result.coverage.to_string().ends_with(" schedules with at most 1 preemption"), "{}", result.coverage);
    let unbounded = run(&Toy::race(2, 1), &bounded(Strategy::Dfs, 1));
    assert_eq!(unbounded.coverage.to_string(), "all 2 schedules");
    let stop = AtomicBool::new(false);
    let control = Control { stop: &stop, progress: &|_| () };
    for options in [bounded(Strategy::Dpor, 1), SearchOptions { cache_states: true, ..by(Strategy::Dpor) }] {
        let error = search(&|| Toy::race(2, 2), &options, control).expect_err("refused");
        assert!(matches!(error, SearchError::Incompatible { strategy: "DPOR", .. }));
        assert!(error.to_string().contains("use depth-first search"));
    }
}

#[test]
fn the_records_of_shards_are_those_of_the_whole() {
    let toy = crossing();
    let scenario = Scenario { digest: Some(7), name: "crossing".to_owned() };
    let records = |shard| {
        let result = run(&toy, &SearchOptions { shard, ..by(Strategy::Dpor) });
        result.records(&scenario, |finding| Toy::key(finding).into())
    };
    let shards = (1..=3).flat_map(|number| records(Some(Shard { number, count: 3 })));
    let merged = merge(shards).expect("shares of one search");
    let keys = |records: &[Record]| -> Vec<(String, u64)> {
        let key = |record: &Record| match record {
            Record::Finding(finding) => (finding.key.clone(), finding.runs),
            Record::Outcome(outcome) => (outcome.outcome.clone(), outcome.runs),
            Record::Coverage(coverage) => (coverage.to_string(), coverage.explored),
        };
        records.iter().map(key).collect()
    };
    assert_eq!(keys(&merged), keys(&records(None)));
    for record in &merged {
        if let Record::Finding(finding) = record {
            let schedule: Schedule = finding.shortest.parse().expect("our own token");
            let again = replay(&mut toy.clone(), &schedule.choices, |_, _| ());
            assert!(again.findings.iter().any(|found| Toy::key(found) == finding.key));
        }
    }
}

#[test]
fn a_stop_gives_what_was_found_so_far() {
    let stop = AtomicBool::new(false);
    let control = Control { stop: &stop, progress: &|_| stop.store(true, Ordering::Relaxed) };
    let toy = Toy::race(3, 6);
    let result = search(&|| toy.clone(), &by(Strategy::Dpor), control).expect("a toy keeps to its contract");
    assert_eq!(result.ended, Ended::Stopped);
    assert!(!result.coverage.complete && result.coverage.explored >= 64);
}
