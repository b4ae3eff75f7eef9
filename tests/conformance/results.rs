//! The tables, on the terminal and in `RESULTS.md` alike: Markdown, lined up to be read as it is.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::differences::Differences;
use crate::family::{self, Family};
use crate::loading::Loading;
use crate::outcome::{Agreement, Comparison, Exam, without_numbers};

/// Numbers of a row.
#[derive(Default)]
struct Tally {
    programs: usize,
    by_agreement: BTreeMap<Agreement, usize>,
    rejected_by_both: usize,
    accepted_by_both: usize,
}

impl Tally {
    fn of<'a>(comparisons: impl Iterator<Item = &'a Comparison>) -> Tally {
        let mut tally = Tally::default();
        for one in comparisons {
            tally.programs += 1;
            *tally.by_agreement.entry(one.agreement).or_default() += 1;
            if one.agreement.same_verdict() {
                *if one.accepted { &mut tally.accepted_by_both } else { &mut tally.rejected_by_both } += 1;
            }
        }
        tally
    }

    fn count(&self, agreement: Agreement) -> usize {
        self.by_agreement.get(&agreement).copied().unwrap_or(0)
    }

    fn cells(&self, name: &str) -> Vec<String> {
        use Agreement::{Count, Crashed, Errno, Numbers, Reason, Unsupported, WrongAccept, WrongReject};
        let other_reason = self.count(Reason);
        let same_reason = self.rejected_by_both - other_reason;
        let of = |part: usize, whole: usize| format!("{part} of {whole}");
        vec![
            name.to_owned(),
            self.programs.to_string(),
            (self.accepted_by_both + self.rejected_by_both).to_string(),
            self.count(WrongAccept).to_string(),
            self.count(WrongReject).to_string(),
            self.count(Unsupported).to_string(),
            self.count(Crashed).to_string(),
            of(same_reason - self.count(Numbers), self.rejected_by_both),
            of(same_reason, self.rejected_by_both),
            of(self.rejected_by_both - other_reason - self.count(Errno), self.rejected_by_both),
            of(self.accepted_by_both - self.count(Count), self.accepted_by_both),
        ]
    }
}

const TITLES: [&str; 11] = [
    "family",
    "programs",
    "agree",
    "wrong accept",
    "wrong reject",
    "unsupported",
    "crashed",
    "reason equal",
    "but for numbers",
    "errno equal",
    "count equal",
];

/// The table by family and the totals.
pub fn tables(exam: &Exam, families: &[Family]) -> String {
    let mut members: Vec<Vec<&Comparison>> = families.iter().map(|_| Vec::new()).collect();
    for one in &exam.comparisons {
        if let Some(place) = family::of(families, &one.object) {
            members[place].push(one);
        }
    }
    let mut rows = vec![TITLES.map(str::to_owned).to_vec()];
    for (family, members) in families.iter().zip(&members).filter(|(_, members)| !members.is_empty()) {
        rows.push(Tally::of(members.iter().copied()).cells(&format!("`{}`", family.name)));
    }
    let whole = |ownership: bool| {
        let chosen = families.iter().zip(&members).filter(move |(family, _)| family.ownership == ownership);
        Tally::of(chosen.flat_map(|(_, members)| members.iter().copied()))
    };
    rows.push(whole(true).cells("**ownership**"));
    rows.push(whole(false).cells("**all others**"));
    rows.push(Tally::of(exam.comparisons.iter()).cells("**all**"));
    let mut text = markdown(&rows);
    let same: Vec<bool> = exam.comparisons.iter().filter_map(|one| one.same_states).collect();
    let _ = writeln!(
        text,
        "\n{}: {} objects, {} programs; {} reach the verifier, {} do not. Of the {} that both accept, {} keep as many states.",
        exam.kernel,
        exam.objects,
        exam.programs,
        exam.comparisons.len(),
        exam.not_reached.len(),
        same.len(),
        same.iter().filter(|same| **same).count(),
    );
    text
}

/// The list of what differs.
pub fn differences(found: &Differences) -> String {
    let mut text = String::new();
    let mut unsupported: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in found.iter() {
        if one.kind == Agreement::Unsupported {
            let program = format!("`{}` {}", one.object, one.program);
            unsupported.entry(without_numbers(&one.ours)).or_default().push(program);
            continue;
        }
        let cause = if one.cause.is_empty() { "not known yet" } else { &one.cause };
        let _ = writeln!(
            text,
            "- `{}` {}: {}. Kernel: {}; ours: {}. Cause: {cause}",
            one.object,
            one.program,
            words(one.kind),
            one.kernel,
            one.ours
        );
    }
    let mut unsupported: Vec<_> = unsupported.into_iter().collect();
    unsupported.sort_by_key(|(_, programs)| std::cmp::Reverse(programs.len()));
    for (what, programs) in unsupported {
        let _ = writeln!(text, "- unsupported, {what} ({}): {}", programs.len(), programs.join(", "));
    }
    if text.is_empty() { "None.\n".to_owned() } else { text }
}

fn words(kind: Agreement) -> &'static str {
    match kind {
        Agreement::WrongAccept => "wrong accept",
        Agreement::Crashed => "crashed",
        Agreement::WrongReject => "wrong reject",
        Agreement::Reason => "other reason",
        Agreement::Errno => "other error number",
        Agreement::Numbers => "other numbers in the reason",
        Agreement::Count => "other count",
        Agreement::Unsupported => "unsupported",
        Agreement::Agree => "agrees",
    }
}

/// The whole of `RESULTS.md`, or of its sibling.
pub fn document(loading: Loading, exam: &Exam, families: &[Family], found: &Differences) -> String {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for reason in &exam.not_reached {
        *reasons.entry(kind_of_failure(reason).to_owned()).or_default() += 1;
    }
    let mut rows = vec![vec!["why".to_owned(), "programs".to_owned()]];
    rows.extend(reasons.into_iter().map(|(reason, count)| vec![reason, count.to_string()]));
    format!(
        "{}{}\n## What differs\n\n{}\n## Programs that do not reach the kernel's verifier\n\n{}",
        loading.introduction(),
        tables(exam, families),
        differences(found),
        markdown(&rows)
    )
}

/// Which of a few kinds a failure before the verifier is of.
fn kind_of_failure(reason: &str) -> &'static str {
    const KINDS: [(&str, &str); 12] = [
        ("calls a kfunc that the kernel lacks", "a kfunc that this kernel lacks, or has in a module"),
        ("(func ksym)", "a kfunc that this kernel lacks, or has in a module"),
        ("(strong): not resolved", "a symbol or option that this kernel lacks"),
        ("not found in kernel", "a type or variable that this kernel lacks, or has in a module"),
        ("failed to find kernel BTF type ID", "an attach target that this kernel lacks, or has in a module"),
        ("attach program FD", "an attach target that is set at run time"),
        ("attach target", "an attach target that is set at run time"),
        ("failed to create: -EPERM", "a map that takes a capability"),
        ("BPF program load failed: -E2BIG", "a program that is too long without capabilities"),
        ("failed to create", "a map that is sized at run time"),
        ("missing BPF prog type", "a section whose program type is set at run time"),
        ("no answer within", "the emulated kernel is too slow for it"),
    ];
    let known = KINDS.iter().find(|(words, _)| reason.contains(words));
    known.map_or("libbpf or the kernel refuses the object for another reason", |(_, kind)| kind)
}

/// A Markdown table with lined-up columns.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if number == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(text, "| {} |", lines.join(" | "));
        }
    }
    text
}
