//! The pages on rules, `docs/rules/ID.md`: which there are, and finding one by name, by words, or by a kernel's message.
//!
//! [`mod@page`] reads a page, [`text`] prints it for a terminal. The pages are part of the table of rules.

use serde::Serialize;

use crate::verifier::{Rule, RuleEntry};

pub mod page;
pub mod text;

use page::{Page, PageError};

/// How alike two names are at least, from 0 to 1, if one may be meant for the other.
const ALIKE: f64 = 0.55;

/// Most names that are offered for an unknown one.
const OFFERED: usize = 5;

/// A rule as lists have it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub id: &'static str,
    /// Its part of the table.
    pub family: &'static str,
    /// Its page's title.
    pub title: String,
}

/// A rule's page.
///
/// # Errors
/// If the page is not written as pages are.
pub fn page(entry: &'static RuleEntry) -> Result<Page, PageError> {
    Page::parse(entry, entry.page)
}

/// All rules, in the table's order.
#[must_use]
pub fn all() -> Vec<Entry> {
    Rule::TABLE.iter().map(listed).collect()
}

fn listed(entry: &'static RuleEntry) -> Entry {
    let title = page::title(entry.page).map_or_else(|| entry.message(), str::to_owned);
    Entry { id: entry.id, family: entry.family, title }
}

/// The rules whose pages have all of these words, in any case; those first that have more of them in name and title.
#[must_use]
pub fn search(words: &[String]) -> Vec<Entry> {
    let words: Vec<String> = words.iter().flat_map(|word| word.split_whitespace()).map(str::to_lowercase).collect();
    let mut found: Vec<(usize, Entry)> = Vec::new();
    for rule in Rule::TABLE {
        let entry = listed(rule);
        let head = format!("{} {} {}", entry.id, entry.title, rule.text).to_lowercase();
        let body = page::before_programs(rule.page).to_lowercase();
        if words.iter().all(|word| head.contains(word) || body.contains(word)) {
            found.push((words.iter().filter(|word| head.contains(*word)).count(), entry));
        }
    }
    found.sort_by_key(|(in_head, _)| std::cmp::Reverse(*in_head));
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// The rules whose names are most like this one, the likest first.
#[must_use]
pub fn nearest(name: &str) -> Vec<Entry> {
    let mut near: Vec<(f64, &RuleEntry)> =
        Rule::TABLE.iter().map(|entry| (strsim::normalized_damerau_levenshtein(name, entry.id), entry)).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(OFFERED).map(|(_, entry)| listed(entry)).collect()
}

/// The rule that some text is about: a name, a name in brackets as in `error[NAME]: …`, or the last line of a kernel's
/// log that is a rule's message.
#[must_use]
pub fn meant(text: &str) -> Option<&'static RuleEntry> {
    RuleEntry::find(text.trim()).or_else(|| text.lines().rev().find_map(|line| in_line(line.trim())))
}

fn in_line(line: &str) -> Option<&'static RuleEntry> {
    let bracketed = line.split(['[', ']']).skip(1).step_by(2).find_map(RuleEntry::find);
    // Other tools put their own words before the kernel's message.
    let messages = || line.match_indices(": ").filter_map(|(at, colon)| line.get(at + colon.len()..));
    bracketed.or_else(|| std::iter::once(line).chain(messages()).find_map(RuleEntry::of_message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_meant(text: &str) -> Option<&'static str> {
        meant(text).map(|entry| entry.id)
    }

    #[test]
    fn names_and_messages_are_understood() {
        assert_eq!(id_meant(" unreleased-reference\n"), Some("unreleased-reference"));
        assert_eq!(id_meant("error[unreleased-reference]: leak is rejected"), Some("unreleased-reference"));
        assert_eq!(id_meant("leak (a.o) is rejected: bpf_spin_unlock is missing"), Some("missing-unlock"));
        let log = "0: (b7) r0 = 0\n12: (95) exit\nUnreleased reference id=2 alloc_insn=3\nprocessed 13 insns (limit 1000000)\n";
        assert_eq!(id_meant(log), Some("unreleased-reference"));
        assert_eq!(id_meant("nothing that a kernel says"), None);
    }

    #[test]
    fn a_mistyped_name_is_near_the_right_one() {
        assert_eq!(nearest("unreleased-refrence").first().map(|entry| entry.id), Some("unreleased-reference"));
        assert!(nearest("zzzzzz").is_empty());
    }

    #[test]
    fn a_search_wants_all_words() {
        let words = ["reference".to_owned(), "UNRELEASED".to_owned()];
        assert!(search(&words).iter().any(|entry| entry.id == "unreleased-reference"));
        assert!(search(&["unreleased".to_owned(), "qwertz".to_owned()]).is_empty());
    }
}
