//! A rule's page: title, message, why the rule exists, a program that breaks it, the same program mended.
//!
//! Pages are Markdown of one fixed form, which `docs/rules/README.md` describes and [`Page::parse`] insists on.

use serde::Serialize;
use thiserror::Error;

use crate::verifier::RuleEntry;

/// What a line starts with that names options of `kptrsim verify`.
const CHECKED_WITH: &str = "Checked with:";

const FENCE: &str = "```";

/// A page is not written as pages are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("docs/rules/{id}.md: {what}")]
pub struct PageError {
    /// The rule.
    pub id: &'static str,
    /// What is wrong.
    pub what: String,
}

/// A page on a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The rule's name.
    pub id: &'static str,
    /// Its part of the table of rules.
    pub family: &'static str,
    /// The rule in a few plain words.
    pub title: String,
    /// Name of the error number that loading fails with.
    pub errno: String,
    /// The kernel's message, with its fields as words in angle brackets. The page has a backslash before each `<`, which is not in here.
    pub message: String,
    /// Why the rule exists.
    pub why: Vec<Block>,
    /// A program that breaks it, or why there is none.
    pub breaks: Vec<Block>,
    /// The program mended; empty where none breaks the rule.
    pub fixed: Vec<Block>,
    /// Options of `kptrsim verify` with which the programs are checked.
    pub checked_with: Vec<String>,
}

/// A paragraph or a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// A paragraph, on one line. Code in it stands between backticks.
    Text(String),
    /// A program.
    Program(Program),
}

/// A program that can be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// What it is written in.
    pub language: Language,
    /// The text of the file, with a newline at its end.
    pub text: String,
}

/// What a page's program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// C, which includes `kptrsim.h`.
    C,
    /// Assembly text, as clang takes it.
    Asm,
}

impl Language {
    /// The ending of the file's name that compilers go by.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Asm => "s",
        }
    }
}

/// A page's title.
#[must_use]
pub fn title(markdown: &str) -> Option<&str> {
    markdown.lines().next()?.strip_prefix("# ")
}

/// What stands before a page's programs.
#[must_use]
pub fn before_programs(markdown: &str) -> &str {
    markdown.split_once("\n## Breaks it").map_or(markdown, |(before, _)| before)
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// If it has another form than pages have.
    pub fn parse(rule: &'static RuleEntry, markdown: &str) -> Result<Page, PageError> {
        parse(rule, markdown).map_err(|what| PageError { id: rule.id, what })
    }

    /// The program that breaks the rule, if there is one.
    #[must_use]
    pub fn broken_program(&self) -> Option<&Program> {
        program(&self.breaks)
    }

    /// The mended program, if there is one.
    #[must_use]
    pub fn fixed_program(&self) -> Option<&Program> {
        program(&self.fixed)
    }
}

fn program(blocks: &[Block]) -> Option<&Program> {
    blocks.iter().find_map(|block| match block {
        Block::Program(program) => Some(program),
        Block::Text(_) => None,
    })
}

fn parse(rule: &'static RuleEntry, markdown: &str) -> Result<Page, String> {
    let mut sections = markdown.split("\n## ");
    let head = sections.next().unwrap_or_default();
    let (title, head) = head
        .strip_prefix("# ")
        .and_then(|head| head.split_once("\n\n").or_else(|| head.split_once('\n')))
        .ok_or("the first line is no `# title`")?;
    let (meta, quoted) = head.split_once('\n').ok_or("nothing follows the line with the rule's name")?;
    let errno =
        meta.strip_prefix(&format!("`{}` · errno ", rule.id)).ok_or("the second line is not `ID` · errno NAME")?;
    let unescaped = |line: &str| line.trim().replace("\\<", "<");
    let message: Vec<String> = quoted.lines().filter_map(|line| line.strip_prefix('>')).map(unescaped).collect();
    let mut checked_with = Vec::new();
    let mut section = |name: &str| {
        let text = sections.next().and_then(|text| text.strip_prefix(name)?.strip_prefix('\n'));
        text.map(|text| blocks(text, &mut checked_with)).transpose()
    };
    let missing = |name: &str| format!("there is no section `## {name}` where it belongs");
    let why = section("Why")?.ok_or_else(|| missing("Why"))?;
    let breaks = section("Breaks it")?.ok_or_else(|| missing("Breaks it"))?;
    let fixed = section("Fixed")?.unwrap_or_default();
    if sections.next().is_some() {
        return Err("there are sections after the last".to_owned());
    }
    if program(&breaks).is_some() != program(&fixed).is_some() {
        return Err("the sections `Breaks it` and `Fixed` have a program each, or none".to_owned());
    }
    if breaks.is_empty() || why.is_empty() || message.is_empty() {
        return Err("its message or a section is empty".to_owned());
    }
    Ok(Page {
        id: rule.id,
        family: rule.family,
        title: title.to_owned(),
        errno: errno.to_owned(),
        message: message.join("\n"),
        why,
        breaks,
        fixed,
        checked_with,
    })
}

/// Paragraphs and programs; options go where `checked_with` says.
fn blocks(text: &str, checked_with: &mut Vec<String>) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let opening = line.strip_prefix(FENCE);
        if (opening.is_some() || line.trim().is_empty()) && !paragraph.is_empty() {
            blocks.push(Block::Text(std::mem::take(&mut paragraph).join(" ")));
        }
        if let Some(language) = opening {
            blocks.push(Block::Program(fenced(language, &mut lines)?));
        } else if let Some(options) = line.strip_prefix(CHECKED_WITH) {
            checked_with.extend(options.split_whitespace().map(|option| option.trim_matches('`').to_owned()));
        } else if !line.trim().is_empty() {
            paragraph.push(line.trim());
        }
    }
    if !paragraph.is_empty() {
        blocks.push(Block::Text(paragraph.join(" ")));
    }
    Ok(blocks)
}

fn fenced<'a>(language: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<Program, String> {
    let language = match language {
        "c" => Language::C,
        "asm" => Language::Asm,
        other => return Err(format!("a program is in `{other}`, not in c or asm")),
    };
    let mut text = String::new();
    for line in lines {
        if line == FENCE {
            return Ok(Program { language, text });
        }
        text.push_str(line);
        text.push('\n');
    }
    Err("a program has no end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Give it back\n\n`missing-unlock` · errno EINVAL\n\n> bpf_spin_unlock is missing\n\n## Why\n\nOne\nparagraph.\n\nAnother.\n\n## Breaks it\nChecked with: --unpriv\n\n```c\nint a;\n\nint b;\n```\n\n## Fixed\n\n```asm\nexit\n```\n";

    fn parsed(text: &str) -> Result<Page, PageError> {
        Page::parse(RuleEntry::find("missing-unlock").unwrap(), text)
    }

    #[test]
    fn a_page_has_its_parts() {
        let page = parsed(PAGE).unwrap();
        assert_eq!(page.title, "Give it back");
        assert_eq!(page.errno, "EINVAL");
        assert_eq!(page.message, "bpf_spin_unlock is missing");
        assert_eq!(page.why, [Block::Text("One paragraph.".to_owned()), Block::Text("Another.".to_owned())]);
        assert_eq!(page.broken_program().unwrap().text, "int a;\n\nint b;\n");
        assert_eq!(page.fixed_program().unwrap().language, Language::Asm);
        assert_eq!(page.checked_with, ["--unpriv"]);
    }

    #[test]
    fn fields_of_the_message_are_escaped_in_the_page() {
        let page = parsed(&PAGE.replace("> bpf_spin_unlock is missing", "> \\<register> is \\<what>")).unwrap();
        assert_eq!(page.message, "<register> is <what>");
    }

    #[test]
    fn another_form_is_refused() {
        assert!(parsed(&PAGE.replace("missing-unlock", "two-locks")).is_err());
        assert!(parsed(&PAGE.replace("## Why", "## How")).is_err());
        assert!(parsed(&PAGE.replace("```asm", "```rust")).is_err());
        assert!(parsed(&PAGE.replace("exit\n```", "exit")).is_err());
        assert!(parsed(PAGE.split("## Fixed").next().unwrap()).is_err());
    }
}
