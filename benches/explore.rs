//! Schedules per second, and searches to their end, on systems as small as they come: what the explorer itself costs.

use std::sync::atomic::AtomicBool;

use divan::counter::ItemsCount;
use kptrsim::explore::drive::Driver;
use kptrsim::explore::policy::Policy;
use kptrsim::explore::policy::mix::Mix;
use kptrsim::explore::policy::random::RandomWalk;
use kptrsim::explore::search::{Control, SearchOptions, Strategy, search};
use kptrsim::explore::toy::Toy;

fn main() {
    divan::main();
}

/// All traces of actors that race for one variable: 12,870 of 2 x 8, 34,650 of 3 x 4.
#[divan::bench(args = [(2, 8, 12_870), (3, 4, 34_650)], sample_count = 10)]
fn all_traces(bencher: divan::Bencher<'_, '_>, (actors, steps, traces): (usize, usize, u64)) {
    bencher.counter(ItemsCount::new(traces)).bench(|| exhaust(actors, steps, 1, traces));
}

/// All 17,153,136 traces of 3 x 6, on two threads.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn all_traces_of_3_x_6() {
    exhaust(3, 6, 2, 17_153_136);
}

fn exhaust(actors: usize, steps: usize, threads: usize, traces: u64) {
    let stop = AtomicBool::new(false);
    let control = Control { stop: &stop, progress: &|_| () };
    let options = SearchOptions { strategy: Strategy::Dpor, threads, ..SearchOptions::default() };
    let result = search(&|| Toy::race(actors, steps), &options, control).map(|result| result.coverage);
    assert!(result.is_ok_and(|coverage| coverage.complete && coverage.explored == traces));
}

/// Random walks, 1000 of 2 x 8.
#[divan::bench]
fn random(bencher: divan::Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(1000_u64)).bench(|| runs(&mut RandomWalk::new(1, 0..1000)));
}

/// PCT and URW by turns, 1000 runs of 2 x 8.
#[divan::bench]
fn mix(bencher: divan::Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(1000_u64)).bench(|| runs(&mut Mix::new(1, 0..1000, vec![8, 8])));
}

fn runs(policy: &mut impl Policy) {
    let mut driver = Driver::new(Toy::race(2, 8), 1000, true);
    while let Ok(Some(run)) = driver.run(policy) {
        divan::black_box(run);
    }
}
