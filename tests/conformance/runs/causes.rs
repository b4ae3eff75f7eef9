//! `runs.toml`: programs whose run is not the same as the kernel's, each with its cause: the mark below which nothing
//! may fall.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::compare::{RunAgreement, RunComparison};

/// One program that does not run the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    object: String,
    program: String,
    kind: RunAgreement,
    /// Written by hand and kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cause: String,
}

/// All programs that do not run the same.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Causes {
    #[serde(default)]
    run: Vec<Entry>,
}

impl Causes {
    /// Reads the list; none is an empty one.
    pub fn read(path: &Path) -> Result<Causes, Box<dyn Error>> {
        if !path.exists() {
            return Ok(Causes::default());
        }
        toml::from_str(&fs::read_to_string(path)?).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Writes the list.
    pub fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let head = "# Programs whose run here is not the kernel's. Written by `tests/conformance/run --runs --update`, which keeps\n\
                    # the causes; those are written by hand.\n\n";
        Ok(fs::write(path, format!("{head}{}", toml::to_string(self)?))?)
    }

    /// The list of what was found, with the causes that are known.
    pub fn found(&self, comparisons: &[RunComparison]) -> Causes {
        let entry = |one: &RunComparison| Entry {
            object: one.object.clone(),
            program: one.program.clone(),
            kind: one.agreement,
            cause: self.of(one).unwrap_or("").to_owned(),
        };
        let listed = |one: &&RunComparison| !matches!(one.agreement, RunAgreement::Same | RunAgreement::Refused);
        Causes { run: comparisons.iter().filter(listed).map(entry).collect() }
    }

    /// Why a program's run differs, where that is known.
    pub fn of(&self, one: &RunComparison) -> Option<&str> {
        let same =
            |entry: &&Entry| entry.object == one.object && entry.program == one.program && entry.kind == one.agreement;
        self.run.iter().find(same).map(|entry| entry.cause.as_str()).filter(|cause| !cause.is_empty())
    }

    /// Is a program listed as no better than this?
    pub fn expects(&self, one: &RunComparison) -> bool {
        let worse =
            |entry: &Entry| entry.object == one.object && entry.program == one.program && entry.kind <= one.agreement;
        matches!(one.agreement, RunAgreement::Same | RunAgreement::Refused) || self.run.iter().any(worse)
    }
}
