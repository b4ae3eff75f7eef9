//! What does not agree, as `differences.toml` lists it with its cause: the mark below which nothing may fall.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::outcome::{Agreement, Exam};

/// One program that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The object's name.
    pub object: String,
    /// The program's name.
    pub program: String,
    /// How it differs.
    pub kind: Agreement,
    /// What the kernel says.
    pub kernel: String,
    /// What we say.
    pub ours: String,
    /// Why; written by hand and kept. For the unsupported, what we say is the cause.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { object, program, kind, kernel, ours, .. } = self;
        write!(f, "{object} {program}: {kind:?}\n    kernel: {kernel}\n    ours:   {ours}")
    }
}

/// All differences, by object and program.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Differences {
    #[serde(default)]
    difference: Vec<Difference>,
}

impl Differences {
    /// Reads the list; none is an empty one.
    pub fn read(path: &Path) -> Result<Differences, Box<dyn Error>> {
        if !path.exists() {
            return Ok(Differences::default());
        }
        toml::from_str(&fs::read_to_string(path)?).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Writes the list.
    pub fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let head = "# What differs between our verdicts and the kernel's. Written by `tests/conformance/run --update`,\n\
                    # which keeps the causes; those are written by hand.\n\n";
        Ok(fs::write(path, format!("{head}{}", toml::to_string(self)?))?)
    }

    /// What differs in an exam, with the causes that are known.
    pub fn of(exam: &Exam, known: &Differences) -> Differences {
        let causes = known.by_program();
        let differing = exam.comparisons.iter().filter(|one| one.agreement != Agreement::Agree);
        let difference = differing.map(|one| Difference {
            object: one.object.clone(),
            program: one.program.clone(),
            kind: one.agreement,
            kernel: one.kernel.clone(),
            ours: one.ours.clone(),
            cause: causes
                .get(&(one.object.as_str(), one.program.as_str()))
                .filter(|known| known.kind == one.agreement)
                .map_or_else(String::new, |known| known.cause.clone()),
        });
        Differences { difference: difference.collect() }
    }

    /// Those that the other list does not have, or has as a milder one.
    pub fn not_in<'a>(&'a self, other: &Differences) -> Vec<&'a Difference> {
        let listed = other.by_program();
        let is_new = |one: &&Difference| {
            listed.get(&(one.object.as_str(), one.program.as_str())).is_none_or(|listed| one.kind < listed.kind)
        };
        self.difference.iter().filter(is_new).collect()
    }

    /// In the order of objects and programs.
    pub fn iter(&self) -> impl Iterator<Item = &Difference> {
        self.difference.iter()
    }

    fn by_program(&self) -> BTreeMap<(&str, &str), &Difference> {
        self.difference.iter().map(|one| ((one.object.as_str(), one.program.as_str()), one)).collect()
    }
}
