//! What can be wrong with a file of kernel data.

use std::path::PathBuf;

/// Why a file of `kfuncs/`, or of a user's own, was refused.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// The folder or file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Folder or file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is too long.
    #[error("{}: {bytes} bytes, but a file of kfuncs has at most {limit}", path.display())]
    TooLong {
        /// File.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The greatest length.
        limit: u64,
    },
    /// The text is no TOML, or not what the schema in `kfuncs/README.md` asks for.
    #[error("{}:{line}:{column}: {message}{}", path.display(), near(text))]
    Syntax {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// The line's text, which names the key.
        text: String,
    },
    /// The prototype declares another function than the entry's name says.
    #[error("{}:{line}: kfunc `{name}` has a prototype of `{declared}`", path.display())]
    Name {
        /// File.
        path: PathBuf,
        /// Line of the entry's name, from 1.
        line: usize,
        /// The entry's name.
        name: String,
        /// The prototype's name.
        declared: String,
    },
}

fn near(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" (at `{text}`)") }
}

/// Line and column from 1, and the line's text cut to 80 characters, of a byte offset.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize, String) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or("").chars().count() + 1;
    let shown = text.lines().nth(line).unwrap_or("").trim().chars().take(80).collect();
    (line + 1, column, shown)
}
