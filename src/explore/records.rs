//! A search's result as records.

use super::result::{FindingRecord, OutcomeRecord, Record};
use super::schedule::Schedule;
use super::search::SearchResult;
use super::system::Choice;

/// What the records of a search say about its scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Digest of all that the schedules are choices of.
    pub digest: Option<u64>,
    /// What it is called.
    pub name: String,
}

impl Scenario {
    /// A run's choices as a token.
    #[must_use]
    pub fn token(&self, choices: &[Choice]) -> String {
        Schedule { choices: choices.to_vec(), digest: self.digest, name: self.name.clone() }.to_string()
    }
}

impl<F> SearchResult<F> {
    /// The records: findings by key, outcomes by text, then the coverage. `detail` describes a finding.
    pub fn records(&self, scenario: &Scenario, mut detail: impl FnMut(&F) -> serde_json::Value) -> Vec<Record> {
        let findings = self.findings.iter().map(|(key, found)| {
            Record::Finding(FindingRecord {
                key: key.clone(),
                detail: detail(&found.finding),
                runs: found.runs,
                first_at: found.first.at,
                first: scenario.token(&found.first.choices),
                shortest_steps: found.shortest.choices.len() as u64,
                shortest_at: found.shortest.at,
                shortest: scenario.token(&found.shortest.choices),
            })
        });
        let outcomes = self.outcomes.iter().map(|(outcome, observed)| {
            Record::Outcome(OutcomeRecord {
                outcome: outcome.clone(),
                runs: observed.runs,
                at: observed.first.at,
                schedule: scenario.token(&observed.first.choices),
            })
        });
        findings.chain(outcomes).chain([Record::Coverage(self.coverage.clone())]).collect()
    }
}
