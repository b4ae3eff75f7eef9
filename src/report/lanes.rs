//! A schedule as lanes: a column for each CPU or other actor, time downwards. On a terminal too narrow for columns the
//! steps stand below each other, under the name of whose they are.

use std::fmt::Write as _;

use super::explore::StepLine;
use crate::machine::Moment;
use crate::object::LineInfo;

/// Rows that are shown of a schedule's beginning, and of its end.
const SHOWN_ROWS: usize = 40;
/// Columns of text that a lane needs at least.
const NARROWEST: usize = 26;
/// Columns of text that a lane gets at most.
const WIDEST: usize = 60;

/// What one actor does without a change of line.
struct Row<'s> {
    /// Number of its first step, from 1.
    number: usize,
    actor: &'s str,
    text: String,
    /// Does another actor go on here than before?
    switched: bool,
}

/// The steps as lanes, `width` columns wide. Before the moments that are marked stand their numbers, from 1, in brackets.
#[must_use]
pub fn lanes(steps: &[StepLine], marked: &[Moment], width: usize) -> String {
    let mut actors: Vec<&str> = Vec::new();
    for step in steps {
        if !actors.contains(&step.actor.as_str()) {
            actors.push(&step.actor);
        }
    }
    // CPUs by number, then the others as they come.
    actors.sort_by_key(|actor| cpu_of(actor));
    let (rows, file) = rows(steps, marked);
    let number = steps.len().to_string().len().max(4);
    let each = width.saturating_sub(number + 4) / actors.len().max(1);
    let mut text = String::new();
    if let Some(file) = file {
        let _ = writeln!(text, "  lines of {file}, > marks a switch");
    }
    if each < NARROWEST + 3 {
        below_each_other(&rows, &mut text);
    } else {
        side_by_side(&rows, &actors, number, (each - 3).min(WIDEST), &mut text);
    }
    text
}

fn cpu_of(actor: &str) -> u32 {
    actor.strip_prefix("CPU ").and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(u32::MAX)
}

/// The rows, and the file that most lines are of, which is not named in them.
fn rows<'s>(steps: &'s [StepLine], marked: &[Moment]) -> (Vec<Row<'s>>, Option<&'s str>) {
    let files = || steps.iter().filter_map(|step| step.line.as_ref()).map(name_of);
    let count = |file: &str| files().filter(|other| *other == file).count();
    // Of several that are named as often, the first.
    let file = files().rev().max_by_key(|file| count(file));
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let mark = step.at.and_then(|at| marked.iter().position(|&moment| moment == at));
        let mark = mark.map_or_else(String::new, |mark| format!("({}) ", mark + 1));
        let text = format!("{mark}{}", cell(step, file));
        let last = rows.last();
        if last.is_some_and(|last| last.actor == step.actor && last.text == text) {
            continue;
        }
        let switched = last.is_some_and(|last| last.actor != step.actor);
        rows.push(Row { number: index + 1, actor: &step.actor, text, switched });
    }
    (rows, file)
}

fn name_of(line: &LineInfo) -> &str {
    line.file.rsplit('/').next().unwrap_or(&line.file)
}

fn cell(step: &StepLine, file: Option<&str>) -> String {
    match (&step.line, file) {
        (Some(line), Some(file)) if name_of(line) == file => {
            step.text.strip_prefix(file).and_then(|rest| rest.strip_prefix(':')).unwrap_or(&step.text).to_owned()
        }
        _ => step.text.clone(),
    }
}

/// The rows that are shown; `None` stands for those that are left out.
fn shown<'r, 's>(rows: &'r [Row<'s>]) -> impl Iterator<Item = Option<&'r Row<'s>>> {
    let cut = rows.len() > 2 * SHOWN_ROWS;
    rows.iter().enumerate().filter_map(move |(index, row)| match index {
        SHOWN_ROWS if cut => Some(None),
        index if cut && (SHOWN_ROWS..rows.len() - SHOWN_ROWS).contains(&index) => None,
        _ => Some(Some(row)),
    })
}

fn left_out(rows: &[Row<'_>]) -> usize {
    let end = rows.len().saturating_sub(SHOWN_ROWS);
    let number = |index: usize| rows.get(index).map_or(0, |row| row.number);
    number(end).saturating_sub(number(SHOWN_ROWS))
}

fn side_by_side(rows: &[Row<'_>], actors: &[&str], number: usize, width: usize, text: &mut String) {
    let heads: Vec<String> = actors.iter().map(|actor| fitted(actor, width)).collect();
    let _ = writeln!(text, "  {:>number$}  {}", "step", heads.join(" | ").trim_end());
    let rules: Vec<String> = actors.iter().map(|_| "-".repeat(width)).collect();
    let _ = writeln!(text, "  {}  {}", "-".repeat(number), rules.join("-+-"));
    for row in shown(rows) {
        let Some(row) = row else {
            let _ = writeln!(text, "  {:>number$}  ... {} steps ...", "", left_out(rows));
            continue;
        };
        let cells: Vec<String> = actors
            .iter()
            .map(|actor| if *actor == row.actor { fitted(&row.text, width) } else { " ".repeat(width) })
            .collect();
        let mark = if row.switched { '>' } else { ' ' };
        let _ = writeln!(text, "{mark} {:>number$}  {}", row.number, cells.join(" | ").trim_end());
    }
}

fn below_each_other(rows: &[Row<'_>], text: &mut String) {
    let mut last = None;
    for row in shown(rows) {
        let Some(row) = row else {
            let _ = writeln!(text, "      ... {} steps ...", left_out(rows));
            last = None;
            continue;
        };
        if last != Some(row.actor) {
            let _ = writeln!(text, "  {} {}", if row.switched { '>' } else { ' ' }, row.actor);
            last = Some(row.actor);
        }
        let _ = writeln!(text, "      {}", row.text);
    }
}

/// A text in exactly so many columns. What is shown is ASCII, but for what stands in the user's source.
fn fitted(text: &str, width: usize) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.chars().count() <= width {
        let missing = width - text.chars().count();
        return format!("{text}{}", " ".repeat(missing));
    }
    let cut: String = text.chars().take(width.saturating_sub(3)).collect();
    format!("{cut}...")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn step(actor: &str, line: u32, text: &str) -> StepLine {
        let line = LineInfo { insn: 0, file: "/src/a.bpf.c".into(), text: text.into(), line, column: 0 };
        let text = format!("a.bpf.c:{}: {text}", line.line);
        let place = crate::machine::Place { program: 0, insn: line.line };
        let at = Some(Moment { place, cpu: 0, step: line.line.into() });
        StepLine { actor: actor.to_owned(), text, line: Some(line), at, json: Value::Null }
    }

    fn schedule() -> Vec<StepLine> {
        vec![
            step("CPU 1", 7, "x = 1;"),
            step("CPU 1", 7, "x = 1;"),
            step("CPU 0", 7, "x = 1;"),
            step("CPU 1", 8, "return a_function_with_a_name_that_is_far_too_long(x);"),
        ]
    }

    #[test]
    fn a_column_for_each_actor() {
        insta::assert_snapshot!(lanes(&schedule(), &schedule()[3].at.into_iter().collect::<Vec<_>>(), 72));
    }

    #[test]
    fn below_each_other_where_it_is_narrow() {
        insta::assert_snapshot!(lanes(&schedule(), &[], 60));
    }

    #[test]
    fn of_a_long_schedule_the_ends() {
        let steps: Vec<_> = (0..200).map(|line| step("CPU 0", line, "x++;")).collect();
        let text = lanes(&steps, &[], 80);
        assert_eq!(text.lines().count(), 3 + 2 * SHOWN_ROWS + 1, "{text}");
        assert!(text.contains("... 120 steps ...") && text.contains("199: x++;"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
