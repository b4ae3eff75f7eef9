//! What the runs of a search add up to. Collections merge to the same whatever their order: that is what makes a search the same on any
//! number of threads.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::drive::{Run, in_vain, is_schedule};
use super::policy::RunEnd;
use super::result::Position;
use super::system::{Choice, System};

/// A run, by where in the search it was and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where in the search.
    pub at: Position,
    /// What it did.
    pub choices: Vec<Choice>,
}

/// A bug.
#[derive(Clone, Debug)]
pub struct Found<F> {
    /// What the first run that found it says.
    pub finding: F,
    /// In how many runs.
    pub runs: u64,
    /// The first of them.
    pub first: Seen,
    /// The shortest of them; of those, the first.
    pub shortest: Seen,
}

/// An observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// In how many runs.
    pub runs: u64,
    /// The first of them.
    pub first: Seen,
}

/// Counts of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Carried out.
    pub explored: u64,
    /// Of these, cut for their length.
    pub cut: u64,
    /// Of these, stuck.
    pub stuck: u64,
    /// Begun, and given up as covered by others.
    pub in_vain: u64,
    /// Steps of the longest.
    pub most_steps: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.explored += other.explored;
        self.cut += other.cut;
        self.stuck += other.stuck;
        self.in_vain += other.in_vain;
        self.most_steps = self.most_steps.max(other.most_steps);
    }
}

/// What runs add up to.
#[derive(Clone, Debug)]
pub struct Collection<F> {
    /// Bugs by key.
    pub findings: BTreeMap<String, Found<F>>,
    /// Observations.
    pub outcomes: FxHashMap<String, Observed>,
    /// Counts.
    pub counts: Counts,
    /// The first run that was cut for its length.
    pub cut: Option<Seen>,
    /// The first run that got stuck.
    pub stuck: Option<Seen>,
    at: Position,
    keys: Vec<String>,
}

impl<F> Default for Collection<F> {
    fn default() -> Collection<F> {
        Collection {
            findings: BTreeMap::new(),
            outcomes: FxHashMap::default(),
            counts: Counts::default(),
            cut: None,
            stuck: None,
            at: Position::default(),
            keys: Vec::new(),
        }
    }
}

fn earlier(into: &mut Option<Seen>, other: Option<Seen>) {
    if let Some(other) = other
        && into.as_ref().is_none_or(|seen| other.at < seen.at)
    {
        *into = Some(other);
    }
}

impl<F: Clone> Collection<F> {
    /// The runs to come belong to this part.
    pub fn enter(&mut self, part: u64) {
        if self.at.part != part {
            self.at = Position { part, run: 0 };
        }
    }

    /// Adds a run.
    pub fn add<S: System<Finding = F>>(&mut self, run: Run<F>, choices: &[Choice]) {
        if !is_schedule(&run) {
            self.counts.in_vain += u64::from(in_vain(&run));
            return;
        }
        let at = self.at;
        self.at.run += 1;
        let seen = || Seen { at, choices: choices.to_vec() };
        self.counts.explored += 1;
        self.counts.most_steps = self.counts.most_steps.max(choices.len() as u64);
        if run.end == RunEnd::Cut {
            self.counts.cut += 1;
            earlier(&mut self.cut, Some(Seen { at, choices: choices[..choices.len().min(1 << 16)].to_vec() }));
        }
        if run.stuck {
            self.counts.stuck += 1;
            if self.stuck.is_none() {
                self.stuck = Some(seen());
            }
        }
        self.keys.clear();
        for finding in run.findings {
            let key = S::key(&finding);
            if self.keys.contains(&key) {
                continue;
            }
            match self.findings.get_mut(&key) {
                Some(found) => {
                    found.runs += 1;
                    if (choices.len(), at) < (found.shortest.choices.len(), found.shortest.at) {
                        found.shortest = seen();
                    }
                    if at < found.first.at {
                        (found.first, found.finding) = (seen(), finding);
                    }
                }
                None => {
                    let found = Found { finding, runs: 1, first: seen(), shortest: seen() };
                    self.findings.insert(key.clone(), found);
                }
            }
            self.keys.push(key);
        }
        if let Some(outcome) = run.outcome {
            match self.outcomes.get_mut(&outcome) {
                Some(observed) => {
                    observed.runs += 1;
                    if at < observed.first.at {
                        observed.first = seen();
                    }
                }
                None => drop(self.outcomes.insert(outcome, Observed { runs: 1, first: seen() })),
            }
        }
    }

    /// Adds what another collection holds.
    pub fn merge(&mut self, other: Collection<F>) {
        self.counts.add(other.counts);
        earlier(&mut self.cut, other.cut);
        earlier(&mut self.stuck, other.stuck);
        for (key, theirs) in other.findings {
            let Some(ours) = self.findings.get_mut(&key) else {
                self.findings.insert(key, theirs);
                continue;
            };
            ours.runs += theirs.runs;
            let length = |seen: &Seen| (seen.choices.len(), seen.at);
            if length(&theirs.shortest) < length(&ours.shortest) {
                ours.shortest = theirs.shortest;
            }
            if theirs.first.at < ours.first.at {
                (ours.first, ours.finding) = (theirs.first, theirs.finding);
            }
        }
        for (outcome, theirs) in other.outcomes {
            let Some(ours) = self.outcomes.get_mut(&outcome) else {
                self.outcomes.insert(outcome, theirs);
                continue;
            };
            ours.runs += theirs.runs;
            if theirs.first.at < ours.first.at {
                ours.first = theirs.first;
            }
        }
    }
}
