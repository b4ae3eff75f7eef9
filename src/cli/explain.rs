//! `kptrsim explain`: the page on a rule.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use thiserror::Error;

use super::output::{self, OutputError};
use crate::report::rules::page::{Page, PageError};
use crate::report::rules::text::{self, Terminal};
use crate::report::rules::{self, Entry};
use crate::verifier::RuleEntry;

/// Letters in a line where no terminal says how many it shows, and most anywhere.
const WIDTH: usize = 100;

/// Bytes of a log that are read from standard input; a kernel's largest is 16 MiB.
const MAX_LOG: u64 = 16 << 20;

/// Say why a rule of the verifier exists, with a program that breaks it and the same program mended.
///
/// Without a rule: list all of them. Exits with 2 when no such rule is known.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A rule's name as a rejection shows it in brackets, or a message of the kernel's verifier such as "R1 !read_ok", or `-`
    /// to find that in a log on standard input.
    #[arg(value_name = "RULE")]
    rule: Vec<String>,
    /// List the rules whose pages have all of these words.
    #[arg(long, value_name = "WORDS", num_args = 1.., conflicts_with = "rule")]
    search: Vec<String>,
    /// Print only a program, ready to compile.
    #[arg(long, value_enum, requires = "rule", conflicts_with = "format")]
    program: Option<Which>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = PageFormat::Text)]
    format: PageFormat,
}

/// Which program of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The one that breaks the rule.
    Breaks,
    /// The mended one.
    Fixed,
}

/// How pages are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PageFormat {
    /// For people at a terminal.
    Text,
    /// One JSON object a line.
    Json,
    /// As it is written.
    Markdown,
}

/// Why nothing is explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// No rule of that name, and no message of a rule.
    #[error("no rule is called {name:?}, and no rule has such a message{}", offers(.near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Rules that may be meant.
        near: Vec<Entry>,
    },
    /// No page has the words.
    #[error("no page on a rule has all of the words {0:?}; `kptrsim explain` lists all rules")]
    NotFound(String),
    /// The rule's page has no programs.
    #[error("no program breaks {0}; `kptrsim explain {0}` says why")]
    NoProgram(&'static str),
    /// A page is not written as pages are.
    #[error(transparent)]
    Page(#[from] PageError),
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    /// What was found cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn offers(near: &[Entry]) -> String {
    if near.is_empty() {
        return "; `kptrsim explain` lists all rules, `kptrsim explain --search WORDS` looks into their pages"
            .to_owned();
    }
    let lines: Vec<String> = near.iter().map(|entry| format!("\n  {}  {}", entry.id, entry.title)).collect();
    format!("; do you mean one of these?{}", lines.concat())
}

/// Runs the command.
///
/// # Errors
/// When no such rule is known, or nothing can be printed.
pub fn run(args: &Args) -> Result<ExitCode, ExplainError> {
    if !args.search.is_empty() {
        let found = rules::search(&args.search);
        if found.is_empty() {
            return Err(ExplainError::NotFound(args.search.join(" ")));
        }
        print_list(&found, args.format, text::found)?;
    } else if args.rule.is_empty() {
        print_list(&rules::all(), args.format, text::list)?;
    } else {
        let rule = rule_of(&args.rule.join(" "))?;
        let page = rules::page(rule)?;
        match args.program {
            Some(which) => print_program(&page, which)?,
            None => print_page(rule, &page, args.format)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rule_of(words: &str) -> Result<&'static RuleEntry, ExplainError> {
    let mut text = words.to_owned();
    if words == "-" {
        let mut log = Vec::new();
        io::stdin().take(MAX_LOG).read_to_end(&mut log).map_err(ExplainError::Input)?;
        text = String::from_utf8_lossy(&log).into_owned();
    }
    rules::meant(&text).ok_or_else(|| {
        let near = rules::nearest(words);
        let near = if near.is_empty() { rules::search(&[words.replace('-', " ")]) } else { near };
        ExplainError::Unknown { name: words.to_owned(), near: near.into_iter().take(10).collect() }
    })
}

fn terminal() -> Terminal {
    let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0).min(WIDTH));
    Terminal { colour: io::stdout().is_terminal(), width }
}

fn print_page(rule: &RuleEntry, page: &Page, format: PageFormat) -> Result<(), OutputError> {
    match format {
        PageFormat::Text => output::print(&text::page(page, terminal())),
        PageFormat::Json => output::print_record("rule", page),
        PageFormat::Markdown => output::print(rule.page),
    }
}

fn print_program(page: &Page, which: Which) -> Result<(), ExplainError> {
    let program = match which {
        Which::Breaks => page.broken_program(),
        Which::Fixed => page.fixed_program(),
    };
    Ok(output::print(&program.ok_or(ExplainError::NoProgram(page.id))?.text)?)
}

fn print_list(
    entries: &[Entry],
    format: PageFormat,
    text: fn(&[Entry], Terminal) -> String,
) -> Result<(), OutputError> {
    match format {
        PageFormat::Text => output::print(&text(entries, terminal())),
        PageFormat::Json => entries.iter().try_for_each(|entry| output::print_record("rule_entry", entry)),
        PageFormat::Markdown => entries
            .iter()
            .try_for_each(|entry| output::print(&format!("- [`{0}`]({0}.md): {1}\n", entry.id, entry.title))),
    }
}
