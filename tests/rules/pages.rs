//! The pages as they stand in `docs/rules`, and what must be true of each without compiling anything.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use kptrsim::report::rules::page::Page;
use kptrsim::verifier::{Rule, RuleEntry};
use libtest_mimic::Failed;

/// Most lines of a page: it is to be read at a glance.
const MOST_LINES: usize = 110;

/// A rule's page.
#[derive(Clone)]
pub struct RulePage {
    pub rule: &'static RuleEntry,
    pub markdown: String,
    /// What clang made of its programs, once it was asked.
    pub objects: Arc<Objects>,
}

/// The object of a page's program, or why there is none.
type MadeOnce = OnceLock<Result<Vec<u8>, String>>;

/// The objects of a page's two programs.
#[derive(Default)]
pub struct Objects {
    pub broken: MadeOnce,
    pub fixed: MadeOnce,
}

impl RulePage {
    /// Its parts.
    pub fn page(&self) -> Result<Page, Failed> {
        Ok(Page::parse(self.rule, &self.markdown)?)
    }
}

/// What stands in the folder.
pub struct Found {
    pub pages: Vec<RulePage>,
    /// Files that are nothing else.
    pub strays: Vec<String>,
}

/// Reads the folder.
pub fn read() -> Result<Found, String> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules"));
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Found { pages: Vec::new(), strays: Vec::new() };
    for entry in fs::read_dir(&folder).map_err(said)? {
        let name = entry.map_err(said)?.file_name().to_string_lossy().into_owned();
        let text = || fs::read_to_string(folder.join(&name)).map_err(said);
        match name.strip_suffix(".md").and_then(RuleEntry::find) {
            Some(rule) => found.pages.push(RulePage { rule, markdown: text()?, objects: Arc::default() }),
            None if name == "README.md" => {}
            None => found.strays.push(name),
        }
    }
    found.pages.sort_by_key(|page| page.rule.id);
    Ok(found)
}

/// Nothing but the rules' pages and what describes them. That each rule has a page the compiler sees to.
pub fn complete(found: &Found) -> Result<(), Failed> {
    if found.pages.len() != Rule::TABLE.len() {
        return Err(format!("{} pages on {} rules", found.pages.len(), Rule::TABLE.len()).into());
    }
    match found.strays.as_slice() {
        [] => Ok(()),
        strays => Err(format!("no rule's page: {}", strays.join(", ")).into()),
    }
}

/// A page has the rule's message and error number, and is short.
pub fn tells_the_rule(page: &RulePage) -> Result<(), Failed> {
    let parsed = page.page()?;
    let lines = page.markdown.lines().count();
    if lines > MOST_LINES {
        return Err(format!("{lines} lines; at most {MOST_LINES}").into());
    }
    let errno = page.rule.errno.name();
    if parsed.errno.split(' ').next() != Some(errno) {
        return Err(format!("errno {}, the rule's is {errno}", parsed.errno).into());
    }
    let (wanted, told) = (page.rule.pieces(), around_fields(&parsed.message));
    let silent = page.rule.text.is_empty();
    if let Some(line) = bare_brackets(&page.markdown) {
        return Err(format!("rendered, this line loses what stands in angle brackets; write `\\<`: {line}").into());
    }
    if !silent && wanted != told {
        return Err(format!("the message is `{}`, the rule's is `{}`", parsed.message, page.rule.text).into());
    }
    Ok(())
}

/// A line with an angle bracket that Markdown takes for HTML: neither code, nor with a backslash before it.
fn bare_brackets(markdown: &str) -> Option<&str> {
    let mut in_code = false;
    markdown.lines().find(|line| {
        in_code ^= line.starts_with("```");
        // What is between backticks is every second piece.
        let is_bare = |text: &str| text.replace("\\<", "").contains('<');
        !in_code && line.split('`').step_by(2).any(is_bare)
    })
}

/// The text around fields in angle brackets. A field begins with a letter right after its bracket.
fn around_fields(message: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once('<') {
        piece.push_str(before);
        match after.split_once('>') {
            Some((field, behind)) if field.starts_with(char::is_alphabetic) => {
                pieces.push(std::mem::take(&mut piece));
                rest = behind;
            }
            _ => {
                piece.push('<');
                rest = after;
            }
        }
    }
    pieces.push(piece + rest);
    pieces
}
