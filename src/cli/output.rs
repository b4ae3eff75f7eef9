//! What all commands share of printing: the two formats, and standard output when it cannot be written to.
//!
//! What is printed stands in [`crate::report`].

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;
use thiserror::Error;

use crate::report::told::Look;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What was found cannot be printed, such as to a closed pipe or a full disk.
#[derive(Debug, Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(#[from] io::Error);

/// How messages about an object look: with colours and as wide as it is on a terminal, plain elsewhere.
#[must_use]
pub fn look(object: &Path) -> Look {
    let is_terminal = io::stdout().is_terminal();
    let width = || terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
    Look::of_terminal(object, is_terminal.then(width))
}

/// Prints text as it is.
///
/// # Errors
/// When standard output cannot be written to.
pub fn print(text: &str) -> Result<(), OutputError> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Prints one JSON object on a line of its own.
///
/// # Errors
/// When standard output cannot be written to.
pub fn print_json(value: &impl Serialize) -> Result<(), OutputError> {
    let line = serde_json::to_string(value).map_err(io::Error::from)?;
    print(&format!("{line}\n"))
}
