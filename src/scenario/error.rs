//! Why a scenario is refused: which file, which line, which key, and what to write instead.

use std::fmt;

use thiserror::Error;

/// Where a scenario was written: a file, or the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The file's name as the user gave it; `command line` for words of the command line.
    pub file: String,
    /// The line, from 1; `None` where there are no lines.
    pub line: Option<usize>,
    /// The key, as `on[1].run[0]`, or the option.
    pub key: String,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if self.key.is_empty() { Ok(()) } else { write!(f, ": {}", self.key) }
    }
}

/// Something in a scenario that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{position}: {reason}")]
pub struct ScenarioError {
    /// Where it is written.
    pub position: Position,
    /// What is wrong, and what there is instead.
    pub reason: String,
}

impl ScenarioError {
    /// An error at a place.
    pub(super) fn at(position: &Position, reason: impl Into<String>) -> ScenarioError {
        ScenarioError { position: position.clone(), reason: reason.into() }
    }
}
