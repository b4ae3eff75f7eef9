//! What all commands share of printing: the formats, and standard output when it cannot be written to.
//!
//! What is printed stands in [`crate::report`].

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use thiserror::Error;

use crate::report::source::Sources;
use crate::report::source_tree::SourceTree;
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

/// Where source files are looked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SourceArgs {
    /// Folder in which source files are looked for, under the end of the path that the compiler kept; may be repeated.
    /// They are found without it where they were compiled, and beside the object
    #[arg(long, value_name = "DIR")]
    pub sources: Vec<PathBuf>,
}

impl SourceArgs {
    /// Looks there, and beside that object.
    #[must_use]
    pub fn beside(&self, object: &Path) -> Sources {
        Sources::beside(object).and_in(&self.sources)
    }

    /// How messages about that object look.
    #[must_use]
    pub fn look(&self, object: &Path) -> Look {
        look(self.beside(object))
    }
}

/// What sarif and github tell source files relative to.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RootArgs {
    /// The repository's root, which sarif and github tell source files relative to; by default the folder upwards with `.git`
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

impl RootArgs {
    /// The folder that was named, else the repository around the current one.
    #[must_use]
    pub fn tree(&self) -> SourceTree {
        self.root.as_deref().map_or_else(|| SourceTree::around(Path::new(".")), SourceTree::at)
    }
}

/// A web page beside what is printed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PageArgs {
    /// Also write a web page to step through what is found: instructions, registers, who owns what, RCU sections
    #[cfg(feature = "page")]
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// How findings are shown.
#[derive(Clone, Debug, clap::Args)]
pub struct FindingsArgs {
    /// Output format; json prints one object a line
    #[arg(long, value_enum, default_value_t = FindingsFormat::Text)]
    pub format: FindingsFormat,
    /// A page.
    #[command(flatten)]
    pub page: PageArgs,
    /// The root.
    #[command(flatten)]
    pub root: RootArgs,
    /// Sources.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// How messages look: with colours and as wide as it is on a terminal, plain elsewhere.
#[must_use]
pub fn look(sources: Sources) -> Look {
    let is_terminal = io::stdout().is_terminal();
    let width = || terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
    Look::of_terminal(sources, is_terminal.then(width))
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
