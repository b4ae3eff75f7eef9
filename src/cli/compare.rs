//! `kptrsim compare`: two tables of verdicts side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use thiserror::Error;

use super::output::{self, OutputError};
use crate::report::veristat::compare::{Comparison, Joined};
use crate::report::veristat::filter::{Condition, Filter, SortKey};
use crate::report::veristat::table::{Table, TableError};
use crate::report::veristat::{Column, Stat};

/// Compare two results of `kptrsim verify` or of veristat: verdicts, instructions, states.
///
/// Each file is CSV (`kptrsim verify --format csv`, `veristat -o csv`) or the JSON lines of `kptrsim verify --format json`. Programs
/// are the same by the object's file name and their own. Columns, filters and orders are veristat's.
///
/// Exits with 0 when no verdict differs among the programs shown, 1 when one does (or is there on one side only) or
/// a program fulfils --fail-if, 2 for wrong use or bad input.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The baseline
    #[arg(value_name = "A")]
    pub baseline: PathBuf,
    /// What is compared with it
    #[arg(value_name = "B")]
    pub other: PathBuf,
    /// Only programs like this: a pattern for either name, FILE/PROGRAM, or a condition such as `insns_diff>0`,
    /// `|insns_pct|>5`, `verdict_diff=mismatch`; with `!` before it, only others
    #[arg(short, long = "filter", value_name = "FILTER", allow_hyphen_values = true)]
    pub filters: Vec<Filter>,
    /// Order: columns such as `insns_diff`, with `^` behind it from the least, with `v` from the greatest
    #[arg(short, long, value_name = "COLUMN", value_delimiter = ',')]
    pub sort: Vec<SortKey>,
    /// Columns to show; by default those that both files have
    #[arg(short, long, value_name = "COLUMN", value_delimiter = ',', value_parser = column)]
    pub emit: Vec<Column>,
    /// The first N programs only
    #[arg(short = 'n', long, value_name = "N")]
    pub top_n: Option<usize>,
    /// Exit with 1 if a program shown fulfils this condition, such as `insns_pct>10`; verdicts then count only if asked for
    #[arg(long, value_name = "CONDITION", allow_hyphen_values = true)]
    pub fail_if: Vec<Condition>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Columns that a table for people has only if they are asked for, as veristat's.
const TOO_MANY: [Column; 2] = [Column::Stat(Stat::MaxStatesPerInsn), Column::Stat(Stat::MaxMarkReadLen)];

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// As `veristat -C -o csv` prints it.
    Csv,
    /// One JSON object a program (docs/schema/kptrsim-1.schema.json).
    Json,
}

/// Why nothing can be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no table.
    #[error("{path}: {source}")]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// A column that one of the files does not have.
    #[error("only one of the files has the column {0}, or neither")]
    Column(&'static str),
    /// Results cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn column(name: &str) -> Result<Column, String> {
    Column::from_name(name).ok_or_else(|| format!("there is no such column; there are {}", Column::names()))
}

/// Compares and prints.
///
/// # Errors
/// [`CompareError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, CompareError> {
    let mut comparison = Comparison::new(read(&args.baseline)?, read(&args.other)?);
    comparison.keep(&args.filters);
    comparison.sort(&args.sort);
    if let Some(most) = args.top_n {
        comparison.rows.truncate(most);
    }
    let differ = comparison.verdicts_that_differ();
    let fulfils = |row: &&Joined| args.fail_if.iter().any(|condition| row.fulfils(condition));
    let failing = comparison.rows.iter().filter(fulfils).count();
    if !args.emit.is_empty() {
        if let Some(missing) = args.emit.iter().find(|column| !comparison.columns.contains(column)) {
            return Err(CompareError::Column(missing.name()));
        }
        comparison.columns.clone_from(&args.emit);
    } else if args.format == Format::Table {
        comparison.columns.retain(|column| !TOO_MANY.contains(column));
    }
    match args.format {
        Format::Csv => output::print(&comparison.csv())?,
        Format::Json => {
            comparison.rows.iter().try_for_each(|row| output::print_record("comparison", &comparison.json(row)))?;
        }
        Format::Table => {
            let count = comparison.rows.len();
            output::print(&comparison.table())?;
            let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            output::print(&format!("{}: {} differ\n", plural(count, "program"), plural(differ, "verdict")))?;
            if !args.fail_if.is_empty() {
                output::print(&format!("{} as in --fail-if\n", plural(failing, "program")))?;
            }
        }
    }
    let bad = if args.fail_if.is_empty() { differ > 0 } else { failing > 0 };
    Ok(ExitCode::from(u8::from(bad)))
}

fn read(path: &Path) -> Result<Table, CompareError> {
    let bytes = fs::read(path).map_err(|source| CompareError::Read { path: path.to_owned(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    Table::read(&text).map_err(|source| CompareError::Table { path: path.to_owned(), source })
}
