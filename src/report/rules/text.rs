//! A rule's page, and lists of rules, for people at a terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::Entry;
use super::page::{Block, Page, Program};

const HEADING: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const CODE: Style = AnsiColor::Cyan.on_default();
const WRONG: Style = AnsiColor::Red.on_default().bold();
const RIGHT: Style = AnsiColor::Green.on_default().bold();

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether it shows colours.
    pub colour: bool,
    /// Letters in a line.
    pub width: usize,
}

/// What a program is compared with.
#[derive(Clone, Copy)]
struct Changes<'a> {
    from: &'a Program,
    /// Of the lines that are not in it.
    style: Style,
}

impl Terminal {
    fn styled(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Code between backticks in a colour of its own. The lines are broken before.
    fn with_code(self, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let mut styled = String::new();
        for (number, part) in text.split('`').enumerate() {
            if number % 2 == 1 {
                styled.push_str(&self.styled(CODE, part));
            } else {
                styled.push_str(part);
            }
        }
        styled
    }
}

/// A page.
#[must_use]
pub fn page(page: &Page, terminal: Terminal) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", terminal.styled(HEADING, &page.title));
    let about = format!("{} · errno {} · {}", page.id, page.errno, page.family);
    let _ = writeln!(text, "{}\n", terminal.styled(QUIET, &about));
    for line in page.message.lines() {
        let _ = writeln!(text, "  {}", terminal.styled(WRONG, line));
    }
    let parts = [
        ("Why", &page.why, None),
        ("Breaks it", &page.breaks, page.fixed_program().map(|other| Changes { from: other, style: WRONG })),
        ("Fixed", &page.fixed, page.broken_program().map(|other| Changes { from: other, style: RIGHT })),
    ];
    for (name, blocks, changes) in parts {
        if !blocks.is_empty() {
            let _ = writeln!(text, "\n{}", terminal.styled(HEADING, name));
            for (number, block) in blocks.iter().enumerate() {
                let gap = if number == 0 { "" } else { "\n" };
                let _ = write!(text, "{gap}{}", block_text(block, changes, terminal));
            }
        }
    }
    if page.broken_program().is_some() {
        let try_it = format!("Try it: {}", commands(page));
        let _ = writeln!(text, "\n{}", terminal.styled(QUIET, &try_it));
    }
    text
}

/// How to see the rule broken.
fn commands(page: &Page) -> String {
    let extension = page.broken_program().map_or("c", |program| program.language.extension());
    let options: String = page.checked_with.iter().map(|option| format!(" {option}")).collect();
    let (id, file) = (page.id, format!("broken.bpf.{extension}"));
    format!("kptrsim explain {id} --program breaks > {file} && kptrsim verify{options} {file}")
}

fn block_text(block: &Block, changes: Option<Changes<'_>>, terminal: Terminal) -> String {
    match block {
        Block::Text(paragraph) => {
            let lines = textwrap::wrap(paragraph, terminal.width.saturating_sub(2).max(20));
            let wrapped = lines.join("\n");
            terminal.with_code(&wrapped).lines().map(|line| format!("  {line}\n")).collect()
        }
        Block::Program(program) => program_text(program, changes, terminal),
    }
}

/// Code, the lines in a colour that the other program does not have.
fn program_text(program: &Program, changes: Option<Changes<'_>>, terminal: Terminal) -> String {
    let mut text = String::new();
    for line in program.text.lines() {
        let shown = format!("    {}", line.replace('\t', "    "));
        let changed = changes.filter(|changes| !changes.from.text.lines().any(|other| other == line));
        let shown = match changed {
            Some(changes) => terminal.styled(changes.style, &shown),
            None => shown,
        };
        let _ = writeln!(text, "{}", shown.trim_end());
    }
    text
}

/// A list of rules by family.
#[must_use]
pub fn list(entries: &[Entry], terminal: Terminal) -> String {
    let longest = entries.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut family = "";
    for entry in entries {
        if entry.family != family {
            let gap = if family.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{}", terminal.styled(HEADING, entry.family));
            family = entry.family;
        }
        let _ = writeln!(text, "  {}  {}", terminal.styled(CODE, &format!("{:longest$}", entry.id)), entry.title);
    }
    text
}

/// A list of rules in the order of how well they fit.
#[must_use]
pub fn found(entries: &[Entry], terminal: Terminal) -> String {
    let longest = entries.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
    let line =
        |entry: &Entry| format!("  {}  {}\n", terminal.styled(CODE, &format!("{:longest$}", entry.id)), entry.title);
    entries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::RuleEntry;

    const PAGE: &str = "# Title\n\n`missing-unlock` · errno EINVAL\n\n> bpf_spin_unlock is missing\n\n## Why\nSay `it` twice.\n\n## Breaks it\n```c\nint a;\t// wrong\n```\n\n## Fixed\n```c\nint b;\n```\n";

    fn shown(colour: bool) -> String {
        let parsed = Page::parse(RuleEntry::find("missing-unlock").unwrap(), PAGE).unwrap();
        page(&parsed, Terminal { colour, width: 80 })
    }

    #[test]
    fn a_page_without_colours_is_plain_text() {
        assert_eq!(
            shown(false),
            "Title\nmissing-unlock · errno EINVAL · Locks and sections\n\n  bpf_spin_unlock is missing\n\nWhy\n  Say `it` \
             twice.\n\nBreaks it\n    int a;    // wrong\n\nFixed\n    int b;\n\nTry it: kptrsim explain \
             missing-unlock --program breaks > broken.bpf.c && kptrsim verify broken.bpf.c\n"
        );
    }

    #[test]
    fn colours_change_no_letter_but_backticks() {
        let colourless: String = anstyle_free(&shown(true));
        assert_eq!(colourless, shown(false).replace('`', ""));
    }

    /// Without escape sequences.
    fn anstyle_free(text: &str) -> String {
        let mut parts = text.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    }
}
