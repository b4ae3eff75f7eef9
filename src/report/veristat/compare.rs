//! Two tables side by side, as veristat's comparison mode prints them: each number of A, of B, and how they differ.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::filter::{Condition, Filter, Measure, SortKey, Variant, fits};
use super::table::{Table, csv_line};
use super::{Column, Row, Stat};

/// A program of either table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The object's file name.
    pub file: String,
    /// The program.
    pub program: String,
    /// The baseline's row.
    pub a: Option<Row>,
    /// The other table's row.
    pub b: Option<Row>,
}

/// Two tables, joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The columns that both have, in the baseline's order.
    pub columns: Vec<Column>,
    /// All programs, by file and name.
    pub rows: Vec<Joined>,
}

impl Comparison {
    /// Joins two tables.
    #[must_use]
    pub fn new(a: Table, b: Table) -> Comparison {
        let columns = a.columns.iter().copied().filter(|column| b.columns.contains(column)).collect();
        let mut rows = Vec::new();
        let (mut left, mut right) = (a.rows.into_iter().peekable(), b.rows.into_iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => (&a.file, &a.program).cmp(&(&b.file, &b.program)),
            };
            let a = if order.is_le() { left.next() } else { None };
            let b = if order.is_ge() { right.next() } else { None };
            let (file, program) =
                a.as_ref().or(b.as_ref()).map_or_else(Default::default, |row| (row.file.clone(), row.program.clone()));
            rows.push(Joined { file, program, a, b });
        }
        Comparison { columns, rows }
    }

    /// Keeps the rows that filters let through: none that one denies, and, if any allow, only what one of these allows; of
    /// conditions on names and conditions on numbers each for itself, as veristat has it.
    pub fn keep(&mut self, filters: &[Filter]) {
        let named = |filter: &Filter| !matches!(filter.condition, Condition::Number(..));
        self.rows.retain(|row| {
            let denied = filters.iter().any(|filter| filter.denies && row.fulfils(&filter.condition));
            let allowed = [true, false].into_iter().all(|about_names| {
                let mut allowing =
                    filters.iter().filter(|filter| !filter.denies && named(filter) == about_names).peekable();
                allowing.peek().is_none() || allowing.any(|filter| row.fulfils(&filter.condition))
            });
            !denied && allowed
        });
    }

    /// Orders the rows; those that are alike by file and program.
    pub fn sort(&mut self, keys: &[SortKey]) {
        self.rows.sort_by(|one, other| {
            let by_keys = keys.iter().map(|key| {
                let order = one.compare(other, key.measure);
                if key.ascending { order } else { order.reverse() }
            });
            let names = (&one.file, &one.program).cmp(&(&other.file, &other.program));
            by_keys.chain([names]).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
    }

    /// How many programs' verdicts differ, or are known on one side only.
    #[must_use]
    pub fn verdicts_that_differ(&self) -> usize {
        let verdict = |row: &Option<Row>| row.as_ref().and_then(|row| row.get(Stat::Verdict));
        let differ =
            |row: &&Joined| self.columns.contains(&Column::Stat(Stat::Verdict)) && verdict(&row.a) != verdict(&row.b);
        self.rows.iter().filter(differ).count()
    }

    /// The cells of a row: one for a name, three for a number.
    fn cells(&self, row: &Joined) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &column in &self.columns {
            match column {
                Column::File => cells.push(Cell::left(row.file.clone())),
                Column::Program => cells.push(Cell::left(row.program.clone())),
                Column::Stat(stat) => {
                    let side = |of: &Option<Row>| {
                        of.as_ref().and_then(|of| of.get(stat)).map_or("N/A".to_owned(), |value| stat.text(value))
                    };
                    let text = [side(&row.a), side(&row.b), row.difference(stat)];
                    cells.extend(text.map(|text| Cell { text, left: stat == Stat::Verdict }));
                }
            }
        }
        cells
    }

    /// The names of the cells, with what stands behind those of each side.
    fn heads(&self, name: fn(Column) -> &'static str, endings: [&str; 3]) -> Vec<String> {
        let mut heads = Vec::new();
        for &column in &self.columns {
            match column {
                Column::Stat(_) => heads.extend(endings.map(|ending| format!("{}{ending}", name(column)))),
                _ => heads.push(name(column).to_owned()),
            }
        }
        heads
    }

    /// As CSV, with veristat's names.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = csv_line(self.heads(Column::name, ["_base", "_comp", "_diff"]));
        for row in &self.rows {
            text.push_str(&csv_line(self.cells(row).into_iter().map(|cell| cell.text)));
        }
        text
    }

    /// As a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let heads = self.heads(Column::header, [" (A)", " (B)", " (DIFF)"]);
        let rows: Vec<Vec<Cell>> = self.rows.iter().map(|row| self.cells(row)).collect();
        let width = |at: usize| {
            rows.iter().map(|row| row[at].text.chars().count()).chain([heads[at].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let rule = widths.iter().map(|&width| "-".repeat(width)).collect::<Vec<_>>().join("  ");
        let mut lines = vec![line(heads.iter().map(|head| Cell::left(head.clone())), &widths), rule.clone()];
        lines.extend(rows.into_iter().map(|row| line(row, &widths)));
        lines.push(rule);
        lines.join("\n") + "\n"
    }

    /// A row as a JSON record.
    #[must_use]
    pub fn json(&self, row: &Joined) -> Value {
        let mut record = json!({"file": row.file, "program": row.program});
        for &column in &self.columns {
            let Column::Stat(stat) = column else { continue };
            let side = |of: &Option<Row>| match of.as_ref().and_then(|of| of.get(stat)) {
                Some(value) if stat == Stat::Verdict => json!(stat.text(value)),
                Some(value) => json!(value),
                None => Value::Null,
            };
            let mut cell = Map::new();
            cell.insert("a".to_owned(), side(&row.a));
            cell.insert("b".to_owned(), side(&row.b));
            match (row.value(stat, Variant::Difference), stat) {
                (Some(same), Stat::Verdict) => drop(cell.insert("same".to_owned(), json!(same != 0.0))),
                (difference, _) => {
                    let difference = difference.map(|number| number as i64);
                    cell.insert("difference".to_owned(), json!(difference));
                    cell.insert("percent".to_owned(), json!(row.value(stat, Variant::Percent)));
                }
            }
            record[column.name()] = Value::Object(cell);
        }
        record
    }
}

/// Text in a table.
struct Cell {
    text: String,
    left: bool,
}

impl Cell {
    fn left(text: String) -> Cell {
        Cell { text, left: true }
    }
}

fn line(cells: impl IntoIterator<Item = Cell>, widths: &[usize]) -> String {
    let padded = cells.into_iter().zip(widths).map(|(cell, &width)| {
        let blanks = " ".repeat(width.saturating_sub(cell.text.chars().count()));
        if cell.left { cell.text + &blanks } else { blanks + &cell.text }
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

impl Joined {
    /// A number; `None` where a side that it needs has none.
    #[must_use]
    pub fn value(&self, stat: Stat, variant: Variant) -> Option<f64> {
        let side = |of: &Option<Row>| of.as_ref().and_then(|of| of.get(stat));
        let (a, b) = (side(&self.a), side(&self.b));
        match variant {
            Variant::A => a.map(|value| value as f64),
            Variant::B => b.map(|value| value as f64),
            Variant::Difference if stat == Stat::Verdict => Some(f64::from(u8::from(a? == b?))),
            Variant::Difference => Some(b?.saturating_sub(a?) as f64),
            Variant::Percent => Some(percent(a?, b?)),
        }
    }

    fn measured(&self, measure: Measure) -> Option<f64> {
        let Column::Stat(stat) = measure.column else { return None };
        let value = self.value(stat, measure.variant)?;
        Some(if measure.absolute { value.abs() } else { value })
    }

    /// Does it fulfil a condition? What has no number fulfils none about it.
    #[must_use]
    pub fn fulfils(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Number(measure, operator, wanted) => {
                self.measured(*measure).is_some_and(|value| operator.holds(value, *wanted))
            }
            Condition::Either(pattern) => fits(pattern, &self.file) || fits(pattern, &self.program),
            Condition::Both(file, program) => {
                (file.is_empty() || fits(file, &self.file)) && (program.is_empty() || fits(program, &self.program))
            }
        }
    }

    /// Before or after another by a measure; what has no number comes before what has one.
    fn compare(&self, other: &Joined, measure: Measure) -> Ordering {
        match measure.column {
            Column::File => self.file.cmp(&other.file),
            Column::Program => self.program.cmp(&other.program),
            Column::Stat(_) => {
                let (one, two) = (self.measured(measure), other.measured(measure));
                one.partial_cmp(&two).unwrap_or(Ordering::Equal)
            }
        }
    }

    fn difference(&self, stat: Stat) -> String {
        match (self.value(stat, Variant::Difference), stat) {
            (None, _) => "N/A".to_owned(),
            (Some(same), Stat::Verdict) => if same != 0.0 { "MATCH" } else { "MISMATCH" }.to_owned(),
            (Some(difference), _) => {
                let share = self.value(stat, Variant::Percent).unwrap_or(0.0);
                format!("{difference:+.0} ({share:+.2}%)")
            }
        }
    }
}

/// B less A in per cent of A; 100 where A is none.
fn percent(a: i64, b: i64) -> f64 {
    match (a, b.cmp(&a)) {
        (_, Ordering::Equal) => 0.0,
        (0, Ordering::Less) => -100.0,
        (0, Ordering::Greater) => 100.0,
        _ => b.saturating_sub(a) as f64 * 100.0 / a as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "file_name,prog_name,verdict,duration,total_insns\n\
                     a.bpf.o,one,success,12,100\n\
                     a.bpf.o,two,failure,3,0\n\
                     b.bpf.o,gone,success,1,7\n";
    const B: &str = "file_name,prog_name,verdict,duration,total_insns\n\
                     a.bpf.o,one,success,15,97\n\
                     a.bpf.o,two,success,4,20\n\
                     b.bpf.o,new,success,1,7\n";

    fn comparison() -> Comparison {
        Comparison::new(Table::read(A).expect("a table"), Table::read(B).expect("a table"))
    }

    fn programs(comparison: &Comparison) -> Vec<&str> {
        comparison.rows.iter().map(|row| row.program.as_str()).collect()
    }

    /// The lines are what veristat of Linux 6.12 prints for the same two files.
    #[test]
    fn csv_and_table_are_veristats() {
        assert_eq!(
            comparison().csv(),
            "file_name,prog_name,verdict_base,verdict_comp,verdict_diff,duration_base,duration_comp,duration_diff,\
             total_insns_base,total_insns_comp,total_insns_diff\n\
             a.bpf.o,one,success,success,MATCH,12,15,+3 (+25.00%),100,97,-3 (-3.00%)\n\
             a.bpf.o,two,failure,success,MISMATCH,3,4,+1 (+33.33%),0,20,+20 (+100.00%)\n\
             b.bpf.o,gone,success,N/A,N/A,1,N/A,N/A,7,N/A,N/A\n\
             b.bpf.o,new,N/A,success,N/A,N/A,1,N/A,N/A,7,N/A\n"
        );
    }

    #[test]
    fn filters_and_orders_choose() {
        let shown = |filters: &[&str]| {
            let mut comparison = comparison();
            let filters: Vec<Filter> = filters.iter().map(|text| text.parse().expect("a filter")).collect();
            comparison.keep(&filters);
            programs(&comparison).join(" ")
        };
        assert_eq!(shown(&["insns_diff<0"]), "one");
        assert_eq!(shown(&["verdict_diff=mismatch"]), "two");
        assert_eq!(shown(&["a*/", "!two"]), "one");
        assert_eq!(shown(&["a*", "insns_pct>=100"]), "two");
        let mut sorted = comparison();
        sorted.sort(&["insns_diff".parse().expect("a key")]);
        assert_eq!(programs(&sorted), ["two", "one", "gone", "new"]);
        assert_eq!(sorted.verdicts_that_differ(), 3);
    }

    #[test]
    fn verdicts_of_our_own_are_a_table_too() {
        let line = r#"{"object":"x/a.bpf.o","program":"one","verdict":"unsupported","insns_processed":1,"total_states":2,"peak_states":3,"max_states_per_insn":4,"longest_mark_read":5}"#;
        let table = Table::read(line).expect("a table");
        let joined = Comparison::new(Table::read(A).expect("a table"), table);
        assert_eq!(joined.columns.len(), 4, "only what both have");
        assert_eq!(joined.rows[0].value(Stat::Verdict, Variant::B), Some(2.0));
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for (text, why) in [
            ("file_name,prog_name,speed\n", "there is no column `speed`"),
            ("prog_name,verdict\n", "the table has no column `file_name`"),
            ("file_name,prog_name,verdict\na,b,maybe\n", "row 1: `maybe` is no verdict"),
            ("file_name,prog_name\na,b\na,b\n", "a has b twice"),
            ("{\"record\":\"finding\"}", "line 1: this is no record"),
        ] {
            let error = Table::read(text).expect_err("no table").to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
