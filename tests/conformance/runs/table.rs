//! The table of results by family, and what is behind its numbers, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::causes::Causes;
use super::compare::{RunAgreement, RunComparison};
use crate::family::{self, Family};
use crate::outcome::without_numbers;
use crate::results::markdown;

const COLUMNS: [(RunAgreement, &str); 5] = [
    (RunAgreement::Same, "same"),
    (RunAgreement::NoModel, "no model"),
    (RunAgreement::Different, "different"),
    (RunAgreement::Crashed, "crashed"),
    (RunAgreement::Refused, "kernel refuses"),
];

/// The table by family.
pub fn table(comparisons: &[RunComparison], families: &[Family]) -> String {
    let mut rows = vec![["family", "programs"].map(str::to_owned).to_vec()];
    rows[0].extend(COLUMNS.iter().map(|(_, title)| (*title).to_owned()));
    let row = |name: String, members: &[&RunComparison]| {
        let mut cells = vec![name, members.len().to_string()];
        let count = |agreement| members.iter().filter(|one| one.agreement == agreement).count();
        cells.extend(COLUMNS.iter().map(|(agreement, _)| count(*agreement).to_string()));
        cells
    };
    for (place, family) in families.iter().enumerate() {
        let members: Vec<_> =
            comparisons.iter().filter(|one| family::of(families, &one.object) == Some(place)).collect();
        if !members.is_empty() {
            rows.push(row(format!("`{}`", family.name), &members));
        }
    }
    rows.push(row("**all**".to_owned(), &comparisons.iter().collect::<Vec<_>>()));
    markdown(&rows)
}

/// Programs by what they have in common, the most frequent first.
fn grouped(comparisons: &[RunComparison], agreement: RunAgreement) -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in comparisons.iter().filter(|one| one.agreement == agreement) {
        groups.entry(without_numbers(&one.what)).or_default().push(format!("`{}` {}", one.object, one.program));
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, programs)| std::cmp::Reverse(programs.len()));
    let mut text = String::new();
    for (what, programs) in groups {
        let _ = writeln!(text, "- {what} ({}): {}", programs.len(), programs.join(", "));
    }
    if text.is_empty() { "None.\n".to_owned() } else { text }
}

/// Each program that ends otherwise, with its cause.
fn different(comparisons: &[RunComparison], causes: &Causes) -> String {
    let mut text = String::new();
    for one in comparisons.iter().filter(|one| matches!(one.agreement, RunAgreement::Different | RunAgreement::Crashed))
    {
        let cause = causes.of(one).unwrap_or("not known yet");
        let _ = writeln!(text, "- `{}` {}: {}. Cause: {cause}", one.object, one.program, one.what);
    }
    if text.is_empty() { "None.\n".to_owned() } else { text }
}

/// The whole of `RUNS.md`.
pub fn document(kernel: &str, comparisons: &[RunComparison], families: &[Family], causes: &Causes) -> String {
    format!(
        "# Results\n\n\
         Every selftest program that {kernel} accepts and `BPF_PROG_TEST_RUN` can run, run once there and once on our\n\
         machine with the same input. Written by `tests/conformance/run --runs --update`; `README.md` beside this file tells what is\n\
         compared and how to repeat it.\n\n\
         {}\n## What differs\n\n{}\n## What has no model\n\n{}\n## What the kernel refuses to load or run\n\n{}",
        table(comparisons, families),
        different(comparisons, causes),
        grouped(comparisons, RunAgreement::NoModel),
        grouped(comparisons, RunAgreement::Refused),
    )
}

/// The same lists for the terminal.
pub fn details(comparisons: &[RunComparison], causes: &Causes) -> String {
    format!(
        "\n## What differs\n\n{}\n## What has no model\n\n{}",
        different(comparisons, causes),
        grouped(comparisons, RunAgreement::NoModel)
    )
}
