//! What all commands share of printing: the formats, and standard output when it cannot be written to.
//!
//! What is printed stands in [`crate::report`].

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

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

/// How what is wrong with programs is printed, beside what all commands have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FindingsFormat {
    /// For people.
    Text,
    /// One JSON object a line (docs/schema/kptrsim-1.schema.json).
    Json,
    /// One SARIF 2.1.0 document, for code scanning.
    Sarif,
    /// Annotation commands for a step of a GitHub workflow.
    Github,
}

/// The version of the JSON records, which `docs/schema/kptrsim-1.schema.json` describes. Within a version members are added, none is
/// renamed, removed or given another meaning.
pub const SCHEMA: u32 = 1;

/// A record with the version before it.
#[derive(Serialize)]
struct Versioned<'a, T> {
    schema: u32,
    #[serde(flatten)]
    record: &'a T,
}

/// A record with its name before it.
#[derive(Serialize)]
struct Named<'a, T> {
    record: &'static str,
    #[serde(flatten)]
    value: &'a T,
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

/// The same where sources may be in other folders, too.
#[must_use]
pub fn look_in(object: &Path, folders: &[PathBuf]) -> Look {
    let look = look(object);
    Look { sources: look.sources.and_in(folders), ..look }
}

/// The exit code of a process whose reader went away, as shells have it: 128 and the number of `SIGPIPE`.
const READER_GONE: i32 = 141;

/// Prints text as it is. Where the reader has gone, such as `head` when it has its lines, the process ends without a word, as
/// others do.
///
/// # Errors
/// When standard output cannot be written to.
pub fn print(text: &str) -> Result<(), OutputError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(READER_GONE),
        result => Ok(result?),
    }
}

/// Prints one JSON object on a line of its own; it names itself by its member `record`.
///
/// # Errors
/// When standard output cannot be written to.
pub fn print_json(record: &impl Serialize) -> Result<(), OutputError> {
    let line = serde_json::to_string(&Versioned { schema: SCHEMA, record }).map_err(io::Error::from)?;
    print(&format!("{line}\n"))
}

/// Prints one JSON object of that name on a line of its own.
///
/// # Errors
/// When standard output cannot be written to.
pub fn print_record(record: &'static str, value: &impl Serialize) -> Result<(), OutputError> {
    print_json(&Named { record, value })
}

/// Prints one JSON document, for people to read as well.
///
/// # Errors
/// When standard output cannot be written to.
pub fn print_document(document: &impl Serialize) -> Result<(), OutputError> {
    let text = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
    print(&format!("{text}\n"))
}
