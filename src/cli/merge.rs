//! `kptrsim merge`: one result from those of a search's shares.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thiserror::Error;

use super::output::{self, OutputError};
use crate::explore::result::{MergeError, Record, merge};

/// Merge the JSON Lines that `kptrsim explore --shard K/N --format json` printed into those of the whole search.
///
/// Exits with 0 when the merged result has no finding, 1 when it has, 2 for wrong use or bad input.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Files of JSON Lines; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Why results cannot be merged.
#[derive(Debug, Error)]
pub enum MergeCommandError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("{path}:{line}: this is no record of `kptrsim explore --format json`: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// The records do not belong together.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Results cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Merges and prints.
///
/// # Errors
/// [`MergeCommandError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, MergeCommandError> {
    let mut records = Vec::new();
    for path in &args.files {
        let text = read(path).map_err(|source| MergeCommandError::Read { path: path.clone(), source })?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let record: Record = serde_json::from_str(line).map_err(|source| MergeCommandError::Line {
                path: path.clone(),
                line: number + 1,
                source,
            })?;
            records.push(record);
        }
    }
    let merged = merge(records)?;
    merged.iter().try_for_each(output::print_json)?;
    Ok(ExitCode::from(u8::from(merged.iter().any(|record| matches!(record, Record::Finding(_))))))
}

fn read(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
