//! The table of veristat, the kernel's tool that counts what verification takes (`tools/testing/selftests/bpf/veristat.c`,
//! Linux 6.12): the same columns under the same names, so that either tool reads what the other one wrote.
//!
//! [`Row`] is a program; [`table`] reads and writes them, [`filter`] chooses among them, [`compare`] joins two tables.

pub mod compare;
pub mod filter;
pub mod table;

use std::path::Path;
use std::time::Duration;

use crate::verifier::{Verdict, Verification};

/// A number of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stat {
    /// Was it accepted? As numbers: 0 for failure, 1 for success, 2 for unsupported, which veristat does not have.
    Verdict,
    /// Microseconds that verification took.
    Duration,
    /// Instructions processed.
    TotalInsns,
    /// Checkpoints made.
    TotalStates,
    /// Checkpoints that existed at once.
    PeakStates,
    /// Most checkpoints compared at one instruction.
    MaxStatesPerInsn,
    /// Longest chain of checkpoints that one read marked.
    MaxMarkReadLen,
}

/// A column: a program's name, its file's, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The object's file name, without its folder.
    File,
    /// The program's name.
    Program,
    /// A number.
    Stat(Stat),
}

/// What a column is called: in a table for people, and in CSV with what else is understood.
struct Definition {
    column: Column,
    header: &'static str,
    names: &'static [&'static str],
}

const DEFINITIONS: [Definition; 9] = [
    Definition { column: Column::File, header: "File", names: &["file_name", "filename", "file"] },
    Definition { column: Column::Program, header: "Program", names: &["prog_name", "progname", "prog"] },
    Definition { column: Column::Stat(Stat::Verdict), header: "Verdict", names: &["verdict"] },
    Definition { column: Column::Stat(Stat::Duration), header: "Duration (us)", names: &["duration", "dur"] },
    Definition { column: Column::Stat(Stat::TotalInsns), header: "Insns", names: &["total_insns", "insns"] },
    Definition { column: Column::Stat(Stat::TotalStates), header: "States", names: &["total_states", "states"] },
    Definition { column: Column::Stat(Stat::PeakStates), header: "Peak states", names: &["peak_states"] },
    Definition {
        column: Column::Stat(Stat::MaxStatesPerInsn),
        header: "Max states per insn",
        names: &["max_states_per_insn"],
    },
    Definition {
        column: Column::Stat(Stat::MaxMarkReadLen),
        header: "Max mark read length",
        names: &["max_mark_read_len", "mark_read"],
    },
];

/// Names of the verdicts, by their number.
pub const VERDICTS: [&str; 3] = ["failure", "success", "unsupported"];

impl Column {
    /// All columns, in the order in which veristat writes them.
    pub fn all() -> impl Iterator<Item = Column> {
        DEFINITIONS.iter().map(|definition| definition.column)
    }

    /// The names of all columns, for messages.
    #[must_use]
    pub fn names() -> String {
        Column::all().map(Column::name).collect::<Vec<_>>().join(", ")
    }

    /// The column of that name, or of another name that it goes by.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Column> {
        DEFINITIONS.iter().find(|definition| definition.names.contains(&name)).map(|definition| definition.column)
    }

    fn definition(self) -> &'static Definition {
        DEFINITIONS.iter().find(|definition| definition.column == self).unwrap_or(&DEFINITIONS[0])
    }

    /// Its name in CSV.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.definition().names[0]
    }

    /// Its name in a table for people.
    #[must_use]
    pub fn header(self) -> &'static str {
        self.definition().header
    }
}

/// What is known of one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The object's file name, without its folder.
    pub file: String,
    /// The program's name.
    pub program: String,
    /// Numbers by column; those that the table does not have are absent.
    stats: [Option<i64>; 7],
}

impl Row {
    /// The row of a verification that took so long.
    #[must_use]
    pub fn of(object: &Path, verification: &Verification, took: Duration) -> Row {
        let verdict = match verification.verdict {
            Verdict::Reject(_) => 0,
            Verdict::Accept => 1,
            Verdict::Unsupported(_) => 2,
        };
        let statistics = &verification.statistics;
        let mut row = Row::named(file_name(object), &verification.program);
        row.set(Stat::Verdict, verdict);
        row.set(Stat::Duration, i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
        row.set(Stat::TotalInsns, i64::from(statistics.insns_processed));
        row.set(Stat::TotalStates, i64::from(statistics.total_states));
        row.set(Stat::PeakStates, i64::from(statistics.peak_states));
        row.set(Stat::MaxStatesPerInsn, i64::from(statistics.max_states_per_insn));
        row.set(Stat::MaxMarkReadLen, i64::from(statistics.longest_mark_read));
        row
    }

    /// A row without numbers.
    #[must_use]
    pub fn named(file: impl Into<String>, program: impl Into<String>) -> Row {
        Row { file: file.into(), program: program.into(), ..Row::default() }
    }

    /// A number.
    #[must_use]
    pub fn get(&self, stat: Stat) -> Option<i64> {
        self.stats[stat as usize]
    }

    /// Sets a number.
    pub fn set(&mut self, stat: Stat, value: i64) {
        self.stats[stat as usize] = Some(value);
    }

    /// Is it a verdict at all? veristat has no word for a program that could not be judged.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.get(Stat::Verdict) != Some(2)
    }

    /// A column as text; empty where the row has no such number.
    #[must_use]
    pub fn text(&self, column: Column) -> String {
        match column {
            Column::File => self.file.clone(),
            Column::Program => self.program.clone(),
            Column::Stat(stat) => self.get(stat).map_or(String::new(), |value| stat.text(value)),
        }
    }
}

impl Stat {
    /// A value as text: a verdict's name, or the number.
    #[must_use]
    pub fn text(self, value: i64) -> String {
        match self {
            Stat::Verdict => verdict_name(value).to_owned(),
            _ => value.to_string(),
        }
    }
}

/// A verdict's name.
#[must_use]
pub fn verdict_name(value: i64) -> &'static str {
    usize::try_from(value).ok().and_then(|number| VERDICTS.get(number)).unwrap_or(&"?")
}

/// The last part of a path, as veristat names objects.
#[must_use]
pub fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
