//! Writing a web page to a file.

use std::fs;
use std::path::Path;

use super::target::TargetError;
use crate::report::page::{html, model::Page};

/// Writes a page and returns its size in bytes.
///
/// # Errors
/// [`TargetError::Write`].
pub fn write(path: &Path, page: &Page) -> Result<usize, TargetError> {
    let text = html(page);
    fs::write(path, &text).map_err(|source| TargetError::Write { path: path.to_owned(), source })?;
    Ok(text.len())
}
