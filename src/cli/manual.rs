//! `kptrsim completions` and `kptrsim man`: what shells and `man` know of the command line, made of its description.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use thiserror::Error;

use super::output::{self, OutputError};

/// Print completions for a shell.
///
/// For bash: `kptrsim completions bash > ~/.local/share/bash-completion/completions/kptrsim`. For zsh, write it to `_kptrsim` in a
/// folder of $fpath; for fish, to ~/.config/fish/completions/kptrsim.fish.
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Print a manual page, or write all of them to a folder.
///
/// `kptrsim man | man -l -` shows the first page, `kptrsim man verify | man -l -` that of a command.
#[derive(Clone, Debug, clap::Args)]
pub struct ManArgs {
    /// The command whose page is wanted; the page of `kptrsim` itself when absent
    pub command: Option<String>,
    /// Write kptrsim.1 and a page for each command into this folder, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// Why there is no page.
#[derive(Debug, Error)]
pub enum ManualError {
    /// A page cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The page.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A page cannot be made.
    #[error("cannot make a manual page: {0}")]
    Render(io::Error),
    /// There is no such command.
    #[error("there is no command `{0}`; see `kptrsim help`")]
    Command(String),
    /// It cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Prints completions.
///
/// # Errors
/// If standard output cannot be written to.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode, ManualError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "kptrsim", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints or writes manual pages.
///
/// # Errors
/// [`ManualError`] if a page cannot be written, or there is no such command.
pub fn man(args: &ManArgs) -> Result<ExitCode, ManualError> {
    let pages = pages()?;
    if let Some(folder) = &args.dir {
        fs::create_dir_all(folder).map_err(|source| ManualError::Write { path: folder.clone(), source })?;
        for (name, page) in pages {
            let path = folder.join(format!("{name}.1"));
            fs::write(&path, page).map_err(|source| ManualError::Write { path, source })?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = args.command.as_ref().map_or("kptrsim".to_owned(), |command| format!("kptrsim-{command}"));
    let page = pages.into_iter().find(|(name, _)| *name == wanted);
    let (_, page) = page.ok_or_else(|| ManualError::Command(args.command.clone().unwrap_or_default()))?;
    output::print(&page)?;
    Ok(ExitCode::SUCCESS)
}

/// All pages with their names: that of `kptrsim`, then one for each command and each command of a command.
fn pages() -> Result<Vec<(String, String)>, ManualError> {
    let mut whole = super::command().disable_help_subcommand(true);
    whole.build();
    let mut pages = Vec::new();
    add_page(whole, "kptrsim".to_owned(), "kptrsim".to_owned(), &mut pages)?;
    Ok(pages)
}

fn add_page(
    command: Command,
    name: String,
    shown: String,
    pages: &mut Vec<(String, String)>,
) -> Result<(), ManualError> {
    let command = command.name(name.clone()).bin_name(shown.clone()).version(env!("CARGO_PKG_VERSION"));
    let inner: Vec<Command> = command.get_subcommands().cloned().collect();
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(ManualError::Render)?;
    pages.push((name.clone(), String::from_utf8_lossy(&page).into_owned()));
    for command in inner {
        let word = command.get_name().to_owned();
        add_page(command, format!("{name}-{word}"), format!("{shown} {word}"), pages)?;
    }
    Ok(())
}
