//! Small systems: what optimal reduction observes and finds is what depth-first search over all schedules does.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use kptrsim::explore::search::{Control, SearchOptions, Strategy, search};
use kptrsim::explore::toy::{Op, Toy};

use crate::Cases;
use crate::domain::Numbers;

/// Systems that can be drawn.
const COUNT: usize = 200;
/// Schedules past which a system is left out.
const MOST: u64 = 5_000;

/// The systems.
pub struct Reduction;

fn op(numbers: &mut Numbers) -> Op {
    let variable = numbers.below(2) as u8;
    let value = numbers.below(3) as u8;
    match numbers.below(10) {
        0 | 1 => Op::Read(variable),
        2 | 3 => Op::Write(variable, value),
        4 => Op::Store(variable),
        5 => Op::Add(variable, value),
        6 => Op::Swap(variable, value),
        7 => Op::Lock(0),
        8 => Op::Unlock(0),
        _ => Op::Await(variable, value),
    }
}

impl Cases for Reduction {
    fn count(&self) -> usize {
        COUNT
    }

    fn check(&self, case: usize) -> Result<(), String> {
        let mut numbers = Numbers(case as u64);
        let programs = (0..2 + numbers.below(2)).map(|_| (0..1 + numbers.below(4)).map(|_| op(&mut numbers)).collect());
        let toy = Toy::new(programs.collect(), 2, 1);
        let observed = |strategy| {
            let options = SearchOptions { strategy, schedules: Some(MOST), threads: 1, ..SearchOptions::default() };
            let stop = AtomicBool::new(false);
            let result = search(&|| toy.clone(), &options, Control { stop: &stop, progress: &|_| () });
            let result = result.map_err(|error| error.to_string())?;
            let all: BTreeSet<String> = result.outcomes.keys().chain(result.findings.keys()).cloned().collect();
            Ok::<_, String>((result.coverage.complete, all))
        };
        let (complete, all) = observed(Strategy::Dfs)?;
        let (_, reduced) = observed(Strategy::Dpor)?;
        if !complete || all == reduced {
            return Ok(());
        }
        Err(format!("{} outcomes and findings by depth-first search, {} by reduction", all.len(), reduced.len()))
    }
}
