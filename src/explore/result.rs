//! What a search came to, as records that a machine can read: one JSON object a line, nothing in them that differs from one search to its
//! repetition, and the records of a search's shards merge to those of the whole.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One of `count` equal shares of a search, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// Which, from 1.
    pub number: u32,
    /// Of how many.
    pub count: u32,
}

impl Shard {
    /// Is a part of the search in this share?
    #[must_use]
    pub fn holds(self, part: u64) -> bool {
        part % u64::from(self.count.max(1)) == u64::from(self.number.saturating_sub(1))
    }
}

/// A text that names no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share of a search: write K/N, with K from 1 to N")]
pub struct ShardError(String);

impl std::str::FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Shard, ShardError> {
        let parsed = text.split_once('/').and_then(|(number, count)| {
            let (number, count) = (number.parse().ok()?, count.parse().ok()?);
            (1..=count).contains(&number).then_some(Shard { number, count })
        });
        parsed.ok_or_else(|| ShardError(text.to_owned()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.number, self.count)
    }
}

/// Where in a search a run was: its part, and its number among the part's runs. The same however the search was divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Part of the search.
    pub part: u64,
    /// Run of the part, from 0.
    pub run: u64,
}

/// A bug.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// What makes it this bug.
    pub key: String,
    /// The bug, as whoever made the record describes it.
    pub detail: serde_json::Value,
    /// In how many runs it was found.
    pub runs: u64,
    /// The first run that found it.
    pub first_at: Position,
    /// That run's schedule.
    pub first: String,
    /// Steps of the shortest run that found it.
    pub shortest_steps: u64,
    /// Which run that was.
    pub shortest_at: Position,
    /// That run's schedule.
    pub shortest: String,
}

/// Something that can be observed at the end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// What is observed.
    pub outcome: String,
    /// In how many runs.
    pub runs: u64,
    /// The first run that came to it.
    pub at: Position,
    /// That run's schedule.
    pub schedule: String,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Mazurkiewicz traces: schedules that differ only in the order of independent steps are one.
    Traces,
    /// Schedules.
    Schedules,
    /// Runs, of which some may have been alike.
    Runs,
    /// Schedules to states that had not been met before.
    StatePaths,
}

/// How much of all there is a search has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// By what policy.
    pub policy: String,
    /// What is counted.
    pub unit: Unit,
    /// Was that all there is, within the bounds below?
    pub complete: bool,
    /// How many were carried out.
    pub explored: u64,
    /// Of these, how many were cut because they took too many steps: a wait without end, or a bound that is too low.
    pub cut: u64,
    /// Of these, how many got stuck with actors that wait for each other.
    pub stuck: u64,
    /// Runs that were begun and led only to what other runs cover.
    pub in_vain: u64,
    /// Random runs beforehand, which found what else is in the records.
    pub random_runs: u64,
    /// Only schedules with at most so many preemptions, if there are others.
    pub preemptions: Option<u32>,
    /// The most steps of a run.
    pub most_steps: u64,
    /// Which shares of the search; empty for all of it.
    pub shards: Vec<Shard>,
    /// The estimate beforehand of how many there are.
    pub estimate: Option<f64>,
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many) = match self.unit {
            Unit::Traces => (
                "trace (schedule up to the order of independent steps)",
                "traces (schedules up to the order of independent steps)",
            ),
            Unit::Schedules => ("schedule", "schedules"),
            Unit::Runs => ("run", "runs"),
            Unit::StatePaths => ("path to states not met before", "paths to states not met before"),
        };
        let things = if self.explored == 1 { one } else { many };
        match (self.complete, self.estimate) {
            (true, _) if self.explored == 1 => write!(out, "the only {things}")?,
            (true, _) if self.shards.len() == 1 => write!(out, "{} {things}, all", self.explored)?,
            (true, _) => write!(out, "all {} {things}", self.explored)?,
            (false, Some(estimate)) if self.unit != Unit::Runs => {
                write!(out, "{} {things} of about {estimate:.2e} (estimated)", self.explored)?;
            }
            (false, _) => write!(out, "{} {things} of unknown many", self.explored)?,
        }
        if let Some(most) = self.preemptions {
            write!(out, " with at most {most} preemption{}", if most == 1 { "" } else { "s" })?;
        }
        if let [shard] = self.shards[..] {
            write!(out, " in share {shard}")?;
        } else if !self.shards.is_empty() {
            write!(out, " in {} of {} shares", self.shards.len(), self.shards[0].count)?;
        }
        if self.cut > 0 {
            write!(out, "; {} cut for their length, what follows there is not known", self.cut)?;
        }
        if self.random_runs > 0 {
            write!(out, "; {} random runs beforehand", self.random_runs)?;
        }
        Ok(())
    }
}

/// A line of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A bug.
    Finding(FindingRecord),
    /// An observation.
    Outcome(OutcomeRecord),
    /// How much was seen.
    Coverage(Coverage),
}

/// Records that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Two searches by different policies or bounds.
    #[error("these are shares of different searches: one by {0}, one by {1}")]
    Different(String, String),
    /// The same share, or the whole, twice.
    #[error("share {0} is there twice")]
    Twice(String),
}

/// The records of a whole from those of its shards, whatever their order: findings by key, outcomes by text, then the coverage.
///
/// # Errors
/// [`MergeError`] if they are not shards of one search, or one is there twice.
pub fn merge(records: impl IntoIterator<Item = Record>) -> Result<Vec<Record>, MergeError> {
    let mut findings: BTreeMap<String, FindingRecord> = BTreeMap::new();
    let mut outcomes: BTreeMap<String, OutcomeRecord> = BTreeMap::new();
    let mut coverage: Option<Coverage> = None;
    for record in records {
        match record {
            Record::Finding(finding) => match findings.entry(finding.key.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(finding)),
                Entry::Occupied(mut entry) => merge_finding(entry.get_mut(), finding),
            },
            Record::Outcome(outcome) => match outcomes.entry(outcome.outcome.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(outcome)),
                Entry::Occupied(mut entry) => merge_outcome(entry.get_mut(), outcome),
            },
            Record::Coverage(other) => match &mut coverage {
                None => coverage = Some(other),
                Some(coverage) => merge_coverage(coverage, other)?,
            },
        }
    }
    let findings = findings.into_values().map(Record::Finding);
    let outcomes = outcomes.into_values().map(Record::Outcome);
    let coverage = coverage.map(|mut coverage| {
        let whole = coverage.shards.first().map_or(0, |shard| shard.count as usize);
        if coverage.shards.len() == whole {
            coverage.shards.clear();
        }
        Record::Coverage(coverage)
    });
    Ok(findings.chain(outcomes).chain(coverage).collect())
}

fn merge_finding(into: &mut FindingRecord, other: FindingRecord) {
    into.runs += other.runs;
    if other.first_at < into.first_at {
        (into.first_at, into.first, into.detail) = (other.first_at, other.first, other.detail);
    }
    if (other.shortest_steps, other.shortest_at) < (into.shortest_steps, into.shortest_at) {
        (into.shortest_steps, into.shortest_at, into.shortest) =
            (other.shortest_steps, other.shortest_at, other.shortest);
    }
}

fn merge_outcome(into: &mut OutcomeRecord, other: OutcomeRecord) {
    into.runs += other.runs;
    if other.at < into.at {
        (into.at, into.schedule) = (other.at, other.schedule);
    }
}

fn merge_coverage(into: &mut Coverage, other: Coverage) -> Result<(), MergeError> {
    let kind = |coverage: &Coverage| {
        let count = coverage.shards.first().map_or(1, |shard| shard.count);
        let bound = coverage.preemptions.map_or(String::new(), |most| format!(" within {most} preemptions"));
        format!("{}{bound} in {count} shares", coverage.policy)
    };
    if kind(into) != kind(&other) {
        return Err(MergeError::Different(kind(into), kind(&other)));
    }
    if let Some(twice) = other.shards.iter().find(|shard| into.shards.contains(shard)) {
        return Err(MergeError::Twice(twice.to_string()));
    }
    if into.shards.is_empty() || other.shards.is_empty() {
        return Err(MergeError::Twice("1/1".to_owned()));
    }
    into.shards.extend(other.shards);
    into.shards.sort_unstable();
    into.complete &= other.complete;
    into.explored += other.explored;
    into.cut += other.cut;
    into.stuck += other.stuck;
    into.in_vain += other.in_vain;
    into.random_runs += other.random_runs;
    into.most_steps = into.most_steps.max(other.most_steps);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(shard: Option<Shard>, explored: u64) -> Coverage {
        Coverage {
            policy: "dpor".to_owned(),
            unit: Unit::Traces,
            complete: true,
            explored,
            cut: 0,
            stuck: 1,
            in_vain: 0,
            random_runs: 0,
            preemptions: None,
            most_steps: explored,
            shards: shard.into_iter().collect(),
            estimate: None,
        }
    }

    fn share(number: u32, part: u64, steps: u64) -> Vec<Record> {
        let at = Position { part, run: 0 };
        let finding = FindingRecord {
            key: "leak".to_owned(),
            detail: serde_json::json!({ "share": number }),
            runs: 2,
            first_at: at,
            first: format!("first of {number}"),
            shortest_steps: steps,
            shortest_at: at,
            shortest: format!("shortest of {number}"),
        };
        let outcome =
            OutcomeRecord { outcome: "x = 1".to_owned(), runs: 3, at, schedule: format!("outcome of {number}") };
        let shard = Shard { number, count: 2 };
        vec![Record::Finding(finding), Record::Outcome(outcome), Record::Coverage(coverage(Some(shard), 100))]
    }

    #[test]
    fn shards_merge_to_the_whole_whatever_their_order() {
        let (one, two) = (share(1, 4, 9), share(2, 3, 11));
        let merged = merge([one.clone(), two.clone()].concat()).expect("shares of one search");
        assert_eq!(merged, merge([two, one].concat()).expect("shares of one search"));
        let [Record::Finding(finding), Record::Outcome(outcome), Record::Coverage(coverage)] = &merged[..] else {
            panic!("{merged:?}")
        };
        assert_eq!(
            (finding.runs, finding.first.as_str(), finding.shortest.as_str()),
            (4, "first of 2", "shortest of 1")
        );
        assert_eq!((outcome.runs, outcome.schedule.as_str()), (6, "outcome of 2"));
        assert_eq!((coverage.explored, coverage.stuck, coverage.shards.len()), (200, 2, 0));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let twice = merge([share(1, 0, 1), share(1, 0, 1)].concat()).expect_err("twice");
        assert_eq!(twice.to_string(), "share 1/2 is there twice");
        let whole = merge([share(1, 0, 1), vec![Record::Coverage(coverage(None, 5))]].concat()).expect_err("whole");
        assert!(whole.to_string().starts_with("these are shares of different searches"), "{whole}");
    }

    #[test]
    fn a_record_is_a_line_that_comes_back() {
        for record in share(1, 0, 1) {
            let line = serde_json::to_string(&record).expect("serialisable");
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Record>(&line).expect("our own"), record);
        }
    }

    #[test]
    fn coverage_is_a_statement() {
        let text = |coverage: &Coverage| coverage.to_string();
        let mut coverage = coverage(None, 214);
        assert_eq!(text(&coverage), "all 214 traces (schedules up to the order of independent steps)");
        coverage.unit = Unit::Schedules;
        coverage.preemptions = Some(2);
        assert_eq!(text(&coverage), "all 214 schedules with at most 2 preemptions");
        (coverage.unit, coverage.preemptions, coverage.complete) = (Unit::Runs, None, false);
        coverage.explored = 10_000;
        assert_eq!(text(&coverage), "10000 runs of unknown many");
        coverage.unit = Unit::Traces;
        coverage.shards = vec![Shard { number: 2, count: 8 }];
        assert_eq!(
            text(&coverage),
            "10000 traces (schedules up to the order of independent steps) of unknown many in share 2/8"
        );
    }

    #[test]
    fn a_shard_is_read_as_it_is_written() {
        assert_eq!("2/8".parse(), Ok(Shard { number: 2, count: 8 }));
        for bad in ["0/8", "9/8", "1", "a/b", ""] {
            let error = bad.parse::<Shard>().expect_err("no share").to_string();
            assert!(error.ends_with("write K/N, with K from 1 to N"), "{error}");
        }
    }
}
