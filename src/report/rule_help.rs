//! A few sentences on each rule and each kind of finding, for formats that carry help with a result.

use super::rules;
use super::rules::page::Block;
use crate::verifier::RuleEntry;

/// Help on a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHelp {
    /// What is wrong, in a few words.
    pub short: String,
    /// What is wrong, in a sentence or two.
    pub full: String,
    /// Help as plain text.
    pub text: String,
    /// Help as Markdown.
    pub markdown: String,
    /// Which half of the tool finds it.
    pub tag: &'static str,
}

/// Kinds of findings of the machine and the explorer, with what each means and what to do.
const FINDINGS: &[(&str, &str, &str)] = &[
    (
        "data-race",
        "Nothing orders two accesses to the same memory",
        "Two programs touch the same bytes, one of them writes, and neither a lock nor an atomic operation nor RCU orders them: use an atomic operation, a bpf_spin_lock, or a copy for each CPU.",
    ),
    (
        "leak",
        "A reference is never given back",
        "The program ends and still holds a reference: release it, or move it into a map with bpf_kptr_xchg, on every path.",
    ),
    (
        "overwritten-reference",
        "A plain store overwrote the only pointer to an object",
        "The object that a kptr field held is lost: exchange the pointer with bpf_kptr_xchg and drop what comes back.",
    ),
    (
        "broken-condition",
        "A condition of the scenario does not hold",
        "Some schedule ends with the condition broken: `kptrsim replay` with the token shows it step for step.",
    ),
    (
        "deadlock",
        "Nobody can go on",
        "Each program waits for what another one holds: take locks in one order, and none twice.",
    ),
    ("null-dereference", "A NULL pointer is dereferenced", "Check the pointer for NULL before it is used."),
    (
        "use-after-free",
        "Memory is used after its grace period has ended",
        "Hold the RCU section, or a reference, as long as the pointer is used.",
    ),
    (
        "use-without-rcu",
        "Freed memory is used that no RCU section holds back",
        "Enter an RCU section before the pointer is loaded, and leave it after its last use.",
    ),
    (
        "out-of-bounds",
        "An access leaves the memory that it belongs to",
        "Check the index or offset against the size before the access.",
    ),
    ("never-written", "Bytes are read that nobody has written", "Initialise the memory before it is read."),
    (
        "unsupported",
        "The program needs something that is not modelled",
        "This is no verdict: nothing is known to be wrong. The message names the construct that is missing.",
    ),
    ("limit", "A run reached a limit", "The run was cut: raise the limit, or look for a loop without an end."),
];

/// What is known about a rule or a kind of finding, whatever its name.
#[must_use]
pub fn rule_help(id: &str) -> RuleHelp {
    if let Some((_, short, advice)) = FINDINGS.iter().find(|(name, ..)| *name == id) {
        let text = format!("{short}. {advice}");
        return RuleHelp {
            short: (*short).to_owned(),
            full: text.clone(),
            markdown: format!("**{short}.** {advice}\n"),
            text,
            tag: "execution",
        };
    }
    let words = id.replace('-', " ");
    if let Some(entry) = RuleEntry::find(id) {
        return of_rule(entry);
    }
    let text = format!("A run ends with the fault `{id}`. `kptrsim replay` with the token shows it step for step.");
    RuleHelp { short: words, full: text.clone(), markdown: text.clone(), text, tag: "execution" }
}

/// A rule of the verifier: its page.
fn of_rule(entry: &'static RuleEntry) -> RuleHelp {
    let more = format!("`kptrsim explain {}` prints the page on this rule.", entry.id);
    let page = rules::page(entry).ok();
    let title = page.as_ref().map_or_else(|| entry.id.replace('-', " "), |page| page.title.clone());
    let why = page.iter().flat_map(|page| &page.why).find_map(|block| match block {
        Block::Text(text) => Some(text.clone()),
        Block::Program(_) => None,
    });
    let full = why.unwrap_or_else(|| format!("The Linux verifier refuses the program: {}.", entry.text));
    RuleHelp { short: title, text: format!("{full}\n\n{more}"), full, markdown: entry.page.to_owned(), tag: "verifier" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::finding::Finding;
    use crate::verifier::Rule;

    #[test]
    fn every_rule_and_kind_has_help() {
        for id in Rule::ALL.iter().copied().chain(Finding::kinds()).chain(["unsupported", "limit"]) {
            let help = rule_help(id);
            assert!(!help.short.is_empty() && !help.full.is_empty() && !help.markdown.is_empty(), "{id}");
        }
        assert_eq!(rule_help(Rule::ALL[0]).tag, "verifier");
        assert_eq!(rule_help("wild-access").tag, "execution");
    }

    #[test]
    fn what_has_help_of_its_own_exists() {
        let kinds: Vec<_> = Finding::kinds().chain(["unsupported", "limit"]).collect();
        for (id, ..) in FINDINGS {
            assert!(kinds.contains(id), "{id}");
        }
    }
}
