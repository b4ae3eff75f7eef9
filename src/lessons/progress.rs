//! How far a learner is: a small file in their folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use thiserror::Error;

/// What the file is called. A folder that has it is a learner's.
pub const PROGRESS_FILE: &str = "kptrsim-learn.toml";

/// The version of the file's format.
const VERSION: u32 = 1;

/// Bytes of a progress file that are read; one has some hundreds.
const MAX_FILE: u64 = 1 << 16;

const HEAD: &str = "# How far you are; `kptrsim learn` reads and writes this file.\n";

/// How far a learner is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    version: u32,
    /// Names of exercises that have passed their check at least once.
    #[serde(default)]
    pub solved: BTreeSet<String>,
    /// How many hints have been shown, by exercise.
    #[serde(default)]
    pub hints: BTreeMap<String, usize>,
}

/// What can be read of a file of any version.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress { version: VERSION, solved: BTreeSet::new(), hints: BTreeMap::new() }
    }
}

/// Why progress cannot be read or written. Nothing is lost: the file stays as it was.
#[derive(Debug, Error)]
pub enum ProgressError {
    /// The file cannot be read or written.
    #[error("cannot {verb} {path}: {source}")]
    Access {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what was written.
    #[error(
        "{path} is damaged: {reason}\nnothing was changed. Mend that line, or delete the file and run \
         `kptrsim learn init` and `kptrsim learn check --all` in its folder: your exercises are kept, and what is solved is \
         found again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
    /// It was written by a kptrsim that is newer than this one.
    #[error("{path} has version {version}; this kptrsim knows version {VERSION} and is too old for it")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl Progress {
    /// The progress in that folder.
    ///
    /// # Errors
    /// [`ProgressError`] if there is none, or none that can be read.
    pub fn read(folder: &Path) -> Result<Progress, ProgressError> {
        let path = folder.join(PROGRESS_FILE);
        let access = |source| ProgressError::Access { verb: "read", path: path.clone(), source };
        let damaged = |reason: String| ProgressError::Damaged { path: path.clone(), reason };
        if fs::metadata(&path).map_err(access)?.len() > MAX_FILE {
            return Err(damaged(format!("it has more than {MAX_FILE} bytes")));
        }
        let text = String::from_utf8(fs::read(&path).map_err(access)?).map_err(|error| damaged(error.to_string()))?;
        let wrong = |error: toml::de::Error| damaged(error.to_string().trim().to_owned());
        let Versioned { version } = toml::from_str(&text).map_err(wrong)?;
        if version != VERSION {
            return Err(ProgressError::Version { path, version });
        }
        toml::from_str(&text).map_err(wrong)
    }

    /// Writes it into that folder: whole, or not at all.
    ///
    /// # Errors
    /// [`ProgressError::Access`].
    pub fn write(&self, folder: &Path) -> Result<(), ProgressError> {
        let path = folder.join(PROGRESS_FILE);
        let access = |source| ProgressError::Access { verb: "write", path: path.clone(), source };
        // Texts, numbers and tables alone always have a TOML form.
        let text = toml::to_string(self).unwrap_or_default();
        let beside = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut file = NamedTempFile::new_in(beside).map_err(access)?;
        write!(file, "{HEAD}{text}").map_err(access)?;
        file.as_file().sync_all().map_err(access)?;
        file.persist(&path).map_err(|error| access(error.error))?;
        Ok(())
    }

    /// Changes what is in the folder's file now, which another kptrsim may have written in the meantime.
    ///
    /// # Errors
    /// As [`Progress::read`] and [`Progress::write`].
    pub fn update(folder: &Path, change: impl FnOnce(&mut Progress)) -> Result<Progress, ProgressError> {
        let before = Progress::read(folder)?;
        let mut progress = before.clone();
        change(&mut progress);
        if progress != before {
            progress.write(folder)?;
        }
        Ok(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder can be made");
        fs::write(folder.path().join(PROGRESS_FILE), text).expect("it can be written");
        folder
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        Progress::default().write(folder.path()).expect("it is written");
        let changed = Progress::update(folder.path(), |progress| {
            progress.solved.insert("01_return".into());
            progress.hints.insert("02_null_check".into(), 2);
        });
        let changed = changed.expect("it is changed");
        assert_eq!(Progress::read(folder.path()).expect("it is read"), changed);
        assert_eq!(changed.hints["02_null_check"], 2);
        let names: Vec<_> = fs::read_dir(folder.path()).expect("it is read").collect();
        assert_eq!(names.len(), 1, "nothing is left beside the file");
    }

    #[test]
    fn a_damaged_file_is_told_and_kept() {
        for (text, says) in [
            ("version = 1\nsolved = [\"01_ret", "line 2"),
            ("", "version"),
            ("version = 1\nsolved = 3\n", "line 2"),
            ("version = 2\nbadges = []\n", "has version 2"),
        ] {
            let folder = folder_with(text);
            let error = Progress::update(folder.path(), |progress| {
                progress.solved.clear();
            });
            let error = error.expect_err("it is damaged").to_string();
            assert!(error.contains(says), "{error}");
            assert_eq!(fs::read_to_string(folder.path().join(PROGRESS_FILE)).expect("it is there"), text);
        }
        assert!(Progress::read(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn bytes_that_are_no_text_and_files_without_end_are_refused() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join(PROGRESS_FILE);
        fs::write(&path, [0xff, 0xfe, 0]).expect("it can be written");
        assert!(matches!(Progress::read(folder.path()), Err(ProgressError::Damaged { .. })));
        fs::write(&path, vec![b' '; MAX_FILE as usize + 1]).expect("it can be written");
        assert!(matches!(Progress::read(folder.path()), Err(ProgressError::Damaged { .. })));
    }
}
