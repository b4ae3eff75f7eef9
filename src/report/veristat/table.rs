//! Tables as files: CSV as veristat writes it, and the verdicts of `kptrsim verify --format json`.

use serde_json::Value;
use thiserror::Error;

use super::{Column, Row, Stat, VERDICTS, file_name};

/// Why a file is no table.
#[derive(Debug, Error)]
pub enum TableError {
    /// Not CSV.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// Not JSON.
    #[error("line {line}: {source}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// JSON, but no verdicts.
    #[error("line {0}: this is no record of `kptrsim verify --format json`")]
    NoVerdict(usize),
    /// A column that the table does not have.
    #[error("there is no column `{0}`; veristat's are {names}", names = Column::names())]
    Column(String),
    /// A column without which rows have no name.
    #[error("the table has no column `{0}`")]
    Unnamed(&'static str),
    /// A value that is no number.
    #[error("row {row}: `{value}` is no {column}")]
    Value {
        /// The row, from 1.
        row: usize,
        /// The column's name.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// The same program twice: it cannot be said which is compared.
    #[error("{file} has {program} twice; name objects so that their file names differ")]
    Twice {
        /// The object.
        file: String,
        /// The program.
        program: String,
    },
}

/// A table with the columns that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Columns, in the file's order.
    pub columns: Vec<Column>,
    /// Rows, by file and program.
    pub rows: Vec<Row>,
}

impl Table {
    /// Reads CSV, or JSON lines, whichever it is.
    ///
    /// # Errors
    /// If it is neither, or a program is there twice.
    pub fn read(text: &str) -> Result<Table, TableError> {
        let mut table = if text.trim_start().starts_with('{') { read_json(text) } else { read_csv(text) }?;
        table.rows.sort_by(|a, b| (&a.file, &a.program).cmp(&(&b.file, &b.program)));
        let twice = table.rows.windows(2).find(|two| two[0].file == two[1].file && two[0].program == two[1].program);
        match twice {
            Some(two) => Err(TableError::Twice { file: two[0].file.clone(), program: two[0].program.clone() }),
            None => Ok(table),
        }
    }
}

/// The first line of CSV.
#[must_use]
pub fn csv_header(columns: &[Column]) -> String {
    csv_line(columns.iter().map(|column| column.name().to_owned()))
}

/// A row of CSV.
#[must_use]
pub fn csv_row(row: &Row, columns: &[Column]) -> String {
    csv_line(columns.iter().map(|&column| row.text(column)))
}

/// A line of CSV (RFC 4180): quoted only where it must be, since veristat does not know quotes.
pub fn csv_line(fields: impl IntoIterator<Item = String>) -> String {
    let fields = fields.into_iter().map(|field| {
        if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    });
    fields.collect::<Vec<_>>().join(",") + "\n"
}

fn read_csv(text: &str) -> Result<Table, TableError> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader
        .headers()?
        .iter()
        .map(|name| Column::from_name(name.trim()).ok_or_else(|| TableError::Column(name.trim().to_owned())));
    let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
    if let Some(missing) = [Column::File, Column::Program].into_iter().find(|column| !columns.contains(column)) {
        return Err(TableError::Unnamed(missing.name()));
    }
    let mut rows = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let mut row = Row::default();
        for (&column, value) in columns.iter().zip(&record?) {
            put(&mut row, column, value.trim(), number + 1)?;
        }
        rows.push(row);
    }
    Ok(Table { columns, rows })
}

fn put(row: &mut Row, column: Column, value: &str, number: usize) -> Result<(), TableError> {
    match column {
        Column::File => row.file = value.to_owned(),
        Column::Program => row.program = value.to_owned(),
        Column::Stat(stat) => {
            let verdict = || VERDICTS.iter().position(|&name| name == value).and_then(|at| i64::try_from(at).ok());
            let parsed = if stat == Stat::Verdict { verdict() } else { value.parse().ok() };
            let wrong = || TableError::Value { row: number, column: column.name(), value: value.to_owned() };
            row.set(stat, parsed.ok_or_else(wrong)?);
        }
    }
    Ok(())
}

/// Members of a verdict, as JSON has it, that are columns.
const MEMBERS: [(&str, Stat); 5] = [
    ("insns_processed", Stat::TotalInsns),
    ("total_states", Stat::TotalStates),
    ("peak_states", Stat::PeakStates),
    ("max_states_per_insn", Stat::MaxStatesPerInsn),
    ("longest_mark_read", Stat::MaxMarkReadLen),
];

fn read_json(text: &str) -> Result<Table, TableError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(index, line)| {
        let line_number = index + 1;
        let record: Value =
            serde_json::from_str(line).map_err(|source| TableError::Json { line: line_number, source })?;
        json_row(&record).ok_or(TableError::NoVerdict(line_number))
    });
    let rows = rows.collect::<Result<_, _>>()?;
    let stats = MEMBERS.iter().map(|&(_, stat)| Column::Stat(stat));
    let columns = [Column::File, Column::Program, Column::Stat(Stat::Verdict)].into_iter().chain(stats).collect();
    Ok(Table { columns, rows })
}

fn json_row(record: &Value) -> Option<Row> {
    let object = record["object"].as_str()?;
    let mut row = Row::named(file_name(object.as_ref()), record["program"].as_str()?);
    let verdict = match record["verdict"].as_str()? {
        "reject" => 0,
        "accept" => 1,
        "unsupported" => 2,
        _ => return None,
    };
    row.set(Stat::Verdict, verdict);
    for (member, stat) in MEMBERS {
        row.set(stat, record[member].as_i64()?);
    }
    Some(row)
}
