//! A search: runs of a system, as a policy and its bounds decide, on several threads, and what they add up to.
//!
//! A search is cut into parts: ranges of runs for random policies, subtrees for exhaustive ones. Threads take parts as they come free and
//! shards take every so-manieth part; parts do not depend on each other, so that a result does not depend on who explored what.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::collect::{Collection, Found, Observed, Seen};
use super::drive::{DriveError, Driver};
use super::estimate::{Estimate, estimate};
use super::policy::dfs::{Dfs, DfsOptions};
use super::policy::dpor::Dpor;
use super::policy::mix::Mix;
use super::policy::pct::Pct;
use super::policy::random::RandomWalk;
use super::policy::round_robin::RoundRobin;
use super::policy::urw::Urw;
use super::policy::{Parts, Policy};
use super::result::{Coverage, Shard, Unit};
use super::system::System;

/// How schedules are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Some runs of PCT and URW; then every trace, if the estimate says that they are not too many; else more runs of both. With a bound on
    /// preemptions or with state caching, depth-first search.
    #[default]
    Automatic,
    /// One run, a step each in turn.
    RoundRobin,
    /// Random walks.
    Random,
    /// Probabilistic concurrency testing for bugs of a depth.
    Pct(usize),
    /// Uniform random walks.
    Urw,
    /// Every schedule.
    Dfs,
    /// Every trace.
    Dpor,
}

/// What a search may do.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// How schedules are chosen.
    pub strategy: Strategy,
    /// Of what is random.
    pub seed: u64,
    /// The most runs; `None`: as many as there are, and [`RANDOM_RUNS`] for random strategies.
    pub schedules: Option<u64>,
    /// The most time.
    pub time: Option<Duration>,
    /// The most steps of a run.
    pub max_steps: usize,
    /// The most preemptions of a schedule; of the strategies, only depth-first search can bound them.
    pub preemptions: Option<u32>,
    /// Leave a run where it meets a state that was met before; of the strategies, only depth-first search can.
    pub cache_states: bool,
    /// Look for data races.
    pub races: bool,
    /// On how many threads; at least 1.
    pub threads: usize,
    /// Which share of the search.
    pub shard: Option<Shard>,
}

impl Default for SearchOptions {
    fn default() -> SearchOptions {
        SearchOptions {
            strategy: Strategy::Automatic,
            seed: 0,
            schedules: None,
            time: None,
            max_steps: 10_000,
            preemptions: None,
            cache_states: false,
            races: true,
            threads: 1,
            shard: None,
        }
    }
}

/// Runs of a random strategy, unless told otherwise.
pub const RANDOM_RUNS: u64 = 10_000;
/// Runs of the automatic strategy before it looks for all traces, and in all if these are too many.
const HUNT: u64 = 64;
const HUNT_ONLY: u64 = 100_000;
/// Traces that the automatic strategy sets out to explore.
const MANY_TRACES: f64 = 5e6;
/// Random runs that make a part.
const PART_RUNS: u64 = 64;
/// Runs that are tried in one part before a tree is split, the parts that are then sought, and for each shard.
const UNSPLIT: u64 = 50_000;
const PARTS: usize = 256;
const PARTS_PER_SHARD: usize = 32;
const MAX_SPLIT_DEPTH: usize = 24;
/// Parts of the exhaustive phase come after those of the hunt.
const TREE_PARTS: u64 = 1 << 32;
/// Probes of an estimate.
pub const PROBES: u64 = 64;

/// Why there is no search.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The system broke its contract.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// Options that would make a result say what is not so.
    #[error("{what} cannot be combined with {strategy}: {why}")]
    Incompatible {
        /// The option.
        what: &'static str,
        /// The strategy.
        strategy: &'static str,
        /// Why, and what to do.
        why: &'static str,
    },
}

/// Why a search came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There was nothing left to run.
    Exhausted,
    /// It had run as many schedules as it might.
    Schedules,
    /// Its time was over.
    Time,
    /// It was told to stop.
    Stopped,
}

/// How far a search has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Runs carried out.
    pub runs: u64,
    /// Estimate of all, if there is one.
    pub estimate: Option<f64>,
}

/// How a search hears and is heard from outside.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Set it, and the search ends soon with what it has.
    pub stop: &'a AtomicBool,
    /// Called now and then.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct SearchResult<F> {
    /// Bugs by key.
    pub findings: BTreeMap<String, Found<F>>,
    /// What can be observed at the end of a run.
    pub outcomes: BTreeMap<String, Observed>,
    /// How much was seen.
    pub coverage: Coverage,
    /// The first run that was cut for its length.
    pub cut: Option<Seen>,
    /// The first run that got stuck.
    pub stuck: Option<Seen>,
    /// Why it ended.
    pub ended: Ended,
    /// The estimate that was made first, if any.
    pub estimate: Option<Estimate>,
}

/// A search under way.
struct Search<'a, M> {
    make: &'a M,
    options: &'a SearchOptions,
    control: Control<'a>,
    start: Instant,
    runs: AtomicU64,
    estimate: Option<f64>,
}

/// Searches the systems that `make` makes, which are all alike.
///
/// # Errors
/// [`SearchError`] if the options contradict each other or the system its contract.
pub fn search<S, M>(
    make: &M,
    options: &SearchOptions,
    control: Control<'_>,
) -> Result<SearchResult<S::Finding>, SearchError>
where
    S: System,
    M: Fn() -> S + Sync,
{
    let mut options = options.clone();
    if options.strategy == Strategy::Automatic && (options.preemptions.is_some() || options.cache_states) {
        options.strategy = Strategy::Dfs;
    }
    check(&options)?;
    let options = &options;
    let mut search = Search { make, options, control, start: Instant::now(), runs: AtomicU64::new(0), estimate: None };
    match options.strategy {
        Strategy::Automatic => search.automatic(),
        Strategy::Dfs | Strategy::Dpor => search.exhaustive(Collection::default()),
        _ => search.sampled(),
    }
}

fn check(options: &SearchOptions) -> Result<(), SearchError> {
    let strategy = match options.strategy {
        Strategy::Dfs => return Ok(()),
        Strategy::Dpor => "DPOR",
        _ => "a strategy that is not exhaustive",
    };
    if options.preemptions.is_some() {
        let why =
            "reduction would leave out schedules for the sake of others that the bound forbids; use depth-first search";
        return Err(SearchError::Incompatible { what: "a bound on preemptions", strategy, why });
    }
    if options.cache_states {
        let why = "reduction needs the steps behind a state to know what to reverse before it; use depth-first search";
        return Err(SearchError::Incompatible { what: "state caching", strategy, why });
    }
    Ok(())
}

impl<S: System, M: Fn() -> S + Sync> Search<'_, M> {
    /// Why the search must end now, if it must.
    fn over(&self) -> Option<Ended> {
        if self.control.stop.load(Ordering::Relaxed) {
            return Some(Ended::Stopped);
        }
        self.options.time.filter(|time| self.start.elapsed() >= *time).map(|_| Ended::Time)
    }

    fn driver(&self) -> Driver<S> {
        Driver::new((self.make)(), self.options.max_steps, self.options.races)
    }

    fn holds(&self, part: u64) -> bool {
        self.options.shard.is_none_or(|shard| shard.holds(part))
    }

    /// Runs a policy to its end; `part` tells what part the run just done is of.
    fn work(
        &self,
        driver: &mut Driver<S>,
        policy: &mut impl Policy,
        limit: u64,
        part: &Cell<u64>,
        into: &mut Collection<S::Finding>,
    ) -> Result<Ended, DriveError> {
        let mut number = 0_u64;
        let before = into.counts.explored;
        loop {
            if into.counts.explored - before >= limit {
                return Ok(Ended::Schedules);
            }
            if let Some(ended) = self.over() {
                return Ok(ended);
            }
            let Some(run) = driver.run(policy)? else { return Ok(Ended::Exhausted) };
            into.enter(part.get());
            into.add::<S>(run, driver.schedule());
            number += 1;
            if number.is_multiple_of(64) {
                let runs = self.runs.fetch_add(64, Ordering::Relaxed) + 64;
                (self.control.progress)(Progress { runs, estimate: self.estimate });
            }
        }
    }

    /// Lets threads work, each with a collection of its own, and merges what they have.
    fn on_threads(
        &self,
        worker: impl Fn(&mut Collection<S::Finding>) -> Result<Ended, DriveError> + Sync,
        into: &mut Collection<S::Finding>,
    ) -> Result<Ended, DriveError> {
        let all = Mutex::new((std::mem::take(into), Ok(Ended::Exhausted)));
        std::thread::scope(|scope| {
            for _ in 0..self.options.threads.max(1) {
                scope.spawn(|| {
                    let mut mine = Collection::default();
                    let ended = worker(&mut mine);
                    let mut all = all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    all.0.merge(mine);
                    if ended != Ok(Ended::Exhausted) && all.1.is_ok() {
                        all.1 = ended;
                    }
                });
            }
        });
        let (collection, ended) = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        *into = collection;
        ended
    }

    /// The steps of each actor in a run, each a step in turn.
    fn lengths(&self) -> Result<Vec<usize>, DriveError> {
        let mut driver = self.driver();
        let mut lengths = vec![0; driver.system().actor_count()];
        driver.run(&mut RoundRobin::new(1))?;
        for choice in driver.schedule() {
            if let Some(length) = lengths.get_mut(usize::from(choice.actor.0)) {
                *length += 1;
            }
        }
        Ok(lengths)
    }

    /// Random runs of these numbers.
    fn sample(&self, runs: std::ops::Range<u64>, into: &mut Collection<S::Finding>) -> Result<Ended, DriveError> {
        let lengths = self.lengths()?;
        let steps = lengths.iter().sum();
        let next = AtomicU64::new(runs.start / PART_RUNS);
        let worker = |mine: &mut Collection<S::Finding>| {
            let mut driver = self.driver();
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                let range = (part * PART_RUNS).max(runs.start)..((part + 1) * PART_RUNS).min(runs.end);
                if range.is_empty() {
                    return Ok(Ended::Exhausted);
                }
                if !self.holds(part) {
                    continue;
                }
                let (seed, cell) = (self.options.seed, Cell::new(part));
                let ended = match self.options.strategy {
                    Strategy::Random => {
                        self.work(&mut driver, &mut RandomWalk::new(seed, range), u64::MAX, &cell, mine)
                    }
                    Strategy::Pct(depth) => {
                        self.work(&mut driver, &mut Pct::new(seed, range, depth, steps), u64::MAX, &cell, mine)
                    }
                    Strategy::Urw => {
                        self.work(&mut driver, &mut Urw::new(seed, range, lengths.clone()), u64::MAX, &cell, mine)
                    }
                    _ => self.work(&mut driver, &mut Mix::new(seed, range, lengths.clone()), u64::MAX, &cell, mine),
                }?;
                if ended != Ended::Exhausted {
                    return Ok(ended);
                }
            }
        };
        self.on_threads(worker, into)
    }

    fn sampled(&mut self) -> Result<SearchResult<S::Finding>, SearchError> {
        let mut all = Collection::default();
        if self.options.strategy == Strategy::RoundRobin {
            if self.holds(0) {
                let cell = Cell::new(0);
                self.work(&mut self.driver(), &mut RoundRobin::new(1), u64::MAX, &cell, &mut all)?;
            }
            return Ok(self.result(all, 0, "round robin", Unit::Runs, false, Ended::Exhausted, None));
        }
        let ended = self.sample(0..self.options.schedules.unwrap_or(RANDOM_RUNS), &mut all)?;
        let name = match self.options.strategy {
            Strategy::Random => "random",
            Strategy::Pct(_) => "pct",
            _ => "urw",
        };
        let ended = if ended == Ended::Exhausted { Ended::Schedules } else { ended };
        Ok(self.result(all, 0, name, Unit::Runs, false, ended, None))
    }

    fn automatic(&mut self) -> Result<SearchResult<S::Finding>, SearchError> {
        let mut all = Collection::default();
        let hunt = HUNT.min(self.options.schedules.map_or(HUNT, |most| most / 2));
        let ended = self.sample(0..hunt, &mut all)?;
        if ended != Ended::Exhausted {
            return Ok(self.result(all, 0, "pct and urw", Unit::Runs, false, ended, None));
        }
        let guess =
            estimate((self.make)(), self.options.seed, PROBES, self.options.max_steps, || self.over().is_some())?;
        let affordable = self.options.schedules.map_or(MANY_TRACES, |most| (most - hunt) as f64);
        let affordable = self.options.time.map_or(affordable, |time| affordable.min(time.as_secs_f64() * 1e5));
        self.estimate = guess.traces;
        if guess.traces.is_some_and(|traces| traces <= affordable) {
            let mut result = self.exhaustive(all)?;
            result.estimate = Some(guess);
            return Ok(result);
        }
        let ended = self.sample(hunt..self.options.schedules.unwrap_or(HUNT_ONLY), &mut all)?;
        let ended = if ended == Ended::Exhausted { Ended::Schedules } else { ended };
        Ok(self.result(all, 0, "pct and urw", Unit::Runs, false, ended, Some(guess)))
    }

    fn exhaustive(&mut self, mut all: Collection<S::Finding>) -> Result<SearchResult<S::Finding>, SearchError> {
        let hunted = std::mem::take(&mut all.counts);
        let dfs = self.options.strategy == Strategy::Dfs;
        let alone = self.options.shard.is_none();
        let limit = self.options.schedules.map(|most| most.saturating_sub(hunted.explored));
        let mut first = Collection::default();
        let mut left_out = Cell::new(false);
        let mut ended = Ended::Schedules;
        let whole = alone && (limit.is_some() || self.options.cache_states);
        if alone {
            let limit = limit.unwrap_or(if whole { u64::MAX } else { UNSPLIT });
            let parts = |_: usize| true;
            ended = self.tree(0, parts, limit, &Cell::new(TREE_PARTS), &left_out, &mut first)?;
        }
        if whole || (alone && ended != Ended::Schedules) {
            all.merge(first);
        } else {
            left_out = Cell::new(false);
            drop(first);
            ended = self.in_parts(limit, &left_out, &mut all)?;
        }
        let name = if dfs { "dfs" } else { "dpor" };
        let unit = match (dfs, self.options.cache_states) {
            (true, true) => Unit::StatePaths,
            (true, false) => Unit::Schedules,
            (false, _) => Unit::Traces,
        };
        let complete = ended == Ended::Exhausted;
        let mut result = self.result(all, hunted.explored, name, unit, complete, ended, None);
        if !left_out.get() && complete {
            // The bound kept nothing out.
            result.coverage.preemptions = None;
        }
        Ok(result)
    }

    /// Explores the parts of a tree that `parts` takes.
    fn tree(
        &self,
        split_depth: usize,
        parts: impl Parts,
        limit: u64,
        part: &Cell<u64>,
        left_out: &Cell<bool>,
        into: &mut Collection<S::Finding>,
    ) -> Result<Ended, DriveError> {
        let mut driver = self.driver();
        if self.options.strategy == Strategy::Dfs {
            let SearchOptions { preemptions, cache_states, .. } = *self.options;
            let mut dfs = Dfs::new(DfsOptions { preemptions, cache_states, split_depth }, parts);
            let ended = self.work(&mut driver, &mut dfs, limit, part, into);
            left_out.set(left_out.get() || dfs.left_out());
            return ended;
        }
        let mut dpor = Dpor::new(driver.system().actor_count(), split_depth, parts);
        self.work(&mut driver, &mut dpor, limit, part, into)
    }

    /// Splits the tree at a depth that gives parts enough, and explores those of this shard.
    fn in_parts(
        &self,
        limit: Option<u64>,
        left_out: &Cell<bool>,
        into: &mut Collection<S::Finding>,
    ) -> Result<Ended, DriveError> {
        let wanted = self.options.shard.map_or(PARTS, |shard| PARTS.max(PARTS_PER_SHARD * shard.count as usize));
        let (mut depth, mut count) = (0, 0);
        while depth < MAX_SPLIT_DEPTH && count < wanted && self.over().is_none() {
            depth += 1;
            let met = Cell::new(0);
            let counter = |number: usize| {
                met.set(number + 1);
                false
            };
            self.tree(depth, counter, u64::MAX, &Cell::new(0), &Cell::new(false), &mut Collection::default())?;
            count = met.get();
        }
        let taken: Vec<AtomicBool> = (0..count).map(|number| AtomicBool::new(!self.holds(number as u64))).collect();
        let any_left_out = AtomicBool::new(left_out.get());
        let worker = |mine: &mut Collection<S::Finding>| {
            let (part, left_out) = (Cell::new(TREE_PARTS), Cell::new(false));
            let take = |number: usize| {
                let free = taken.get(number).is_some_and(|taken| !taken.swap(true, Ordering::Relaxed));
                if free {
                    part.set(TREE_PARTS + number as u64);
                }
                free
            };
            let ended = self.tree(depth, take, limit.unwrap_or(u64::MAX), &part, &left_out, mine);
            any_left_out.fetch_or(left_out.get(), Ordering::Relaxed);
            ended
        };
        // What a limit leaves out must not depend on who was faster.
        let ended = if limit.is_some() { worker(into) } else { self.on_threads(worker, into) };
        left_out.set(any_left_out.load(Ordering::Relaxed));
        ended
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the result")]
    fn result(
        &self,
        all: Collection<S::Finding>,
        random_runs: u64,
        policy: &str,
        unit: Unit,
        complete: bool,
        ended: Ended,
        estimate: Option<Estimate>,
    ) -> SearchResult<S::Finding> {
        let coverage = Coverage {
            policy: policy.to_owned(),
            unit,
            complete: complete && all.counts.cut == 0,
            explored: all.counts.explored,
            cut: all.counts.cut,
            stuck: all.counts.stuck,
            in_vain: all.counts.in_vain,
            random_runs,
            preemptions: self.options.preemptions,
            most_steps: all.counts.most_steps,
            shards: self.options.shard.into_iter().collect(),
            estimate: estimate.and_then(|estimate| estimate.traces).or(self.estimate),
        };
        SearchResult {
            findings: all.findings,
            outcomes: all.outcomes.into_iter().collect(),
            coverage,
            cut: all.cut,
            stuck: all.stuck,
            ended,
            estimate,
        }
    }
}
