//! A campaign's memory: what it is about, and what became of each program, in files that are only ever added to.
//!
//! `campaign.json` is written once. `journal.jsonl` gets the lines of several programs with one write; a line that a kill cut
//! short is taken away when the campaign goes on, and its program is judged again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::cause::Cause;
use super::plan::Plan;
use crate::crosscheck::compare::OurDecision;
use crate::crosscheck::protocol::Verdict;
use crate::explore::result::Shard;

/// What a campaign is about. Going on with it changes nothing of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Which programs, and what is done with them.
    pub plan: Plan,
    /// Which share of them, as `K/N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The build of the kernel that is asked; `None` if none is.
    pub kernel: Option<String>,
    /// The kernel that our verifier judges for.
    pub profile: String,
    /// The version of this program.
    pub version: String,
}

impl Header {
    /// The share.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        self.shard.as_ref().and_then(|text| text.parse().ok())
    }
}

/// What became of one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Its number.
    pub index: u64,
    /// Our verdict; `None` if there is none.
    pub ours: Option<OurDecision>,
    /// The rule that rejects it, or what is not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Instructions that our verifier processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<u64>,
    /// The kernel's verdict, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Verdict>,
    /// Instructions that the kernel processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_processed: Option<u64>,
    /// Runs in the machine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub runs: u64,
    /// Instructions that they executed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub executed: u64,
    /// Those before which the state lay in one of the verifier's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contained: u64,
    /// Runs that decided nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub undecided: u64,
    /// What disagrees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A disagreement that was made small and written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// What disagrees.
    pub cause: Cause,
    /// The program in which it was found.
    pub index: u64,
    /// Instructions of the small program, if it was generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<usize>,
    /// What is left of the changes to an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<usize>,
    /// Its file without the ending, in the findings' folder.
    pub file: String,
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A program was judged.
    Program(Judged),
    /// A finding was recorded.
    Finding(Recorded),
}

/// Why a campaign's folder cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is none of a campaign's.
    #[error("{path}:{line}: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// The folder holds another campaign.
    #[error("{0} holds another campaign; go on with it by `--resume {0}`, or give another folder")]
    Other(PathBuf),
    /// There is nothing to go on with.
    #[error("{0} holds no campaign; begin one with `--dir {0}`")]
    Nothing(PathBuf),
    /// Somebody works on it.
    #[error("a campaign is under way in {0}")]
    Busy(PathBuf),
}

/// The open journal of a campaign.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

const HEADER: &str = "campaign.json";
const LINES: &str = "journal.jsonl";

/// What the campaign in a folder is about; `None` if there is none.
///
/// # Errors
/// If it cannot be read.
pub fn header(folder: &Path) -> Result<Option<Header>, JournalError> {
    let path = folder.join(HEADER);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(JournalError::Io { path, source }),
    };
    serde_json::from_str(&text).map(Some).map_err(|source| JournalError::Line { path, line: 1, source })
}

impl Journal {
    /// Begins a campaign in a folder, which is made if it is not there, or goes on with the one that is in it. Hands over each line
    /// that is there.
    ///
    /// # Errors
    /// If another campaign is in it, somebody works on it, or files cannot be read or written.
    pub fn open(folder: &Path, wanted: &Header, each: impl FnMut(Entry)) -> Result<Journal, JournalError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(LINES);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed(&path))?;
        file.try_lock().map_err(|_| JournalError::Busy(folder.to_owned()))?;
        match header(folder)? {
            Some(found) if found == *wanted => {}
            Some(_) => return Err(JournalError::Other(folder.to_owned())),
            None => write_whole(&folder.join(HEADER), &serde_json::to_vec(wanted).unwrap_or_default())?,
        }
        let mut journal = Journal { path, file };
        journal.read(each)?;
        Ok(journal)
    }

    fn read(&mut self, mut each: impl FnMut(Entry)) -> Result<(), JournalError> {
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        let mut reader = BufReader::new(&self.file);
        let (mut line, mut number, mut whole) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if length == 0 || line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            let bad = |source| JournalError::Line { path: self.path.clone(), line: number, source };
            each(serde_json::from_slice(&line).map_err(bad)?);
            whole += length as u64;
        }
        // What a kill cut short.
        self.file.set_len(whole).map_err(failed)?;
        self.file.seek(io::SeekFrom::End(0)).map_err(failed)?;
        Ok(())
    }

    /// Adds lines with one write.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let mut lines = Vec::new();
        for entry in entries {
            let written = serde_json::to_writer(&mut lines, entry).map_err(io::Error::from);
            written.map_err(|source| JournalError::Io { path: self.path.clone(), source })?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines).map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }
}

/// Writes a file that is there as a whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), JournalError> {
    let failed = |source| JournalError::Io { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    fs::write(&beside, content).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(seed: u64) -> Header {
        let plan = Plan { seed, ..Plan::default() };
        Header { plan, shard: None, kernel: None, profile: "6.12".into(), version: "0".into() }
    }

    fn program(index: u64) -> Entry {
        Entry::Program(Judged {
            index,
            ours: Some(OurDecision::Accept),
            why: None,
            processed: Some(3),
            kernel: None,
            kernel_processed: None,
            runs: 1,
            executed: 3,
            contained: 3,
            undecided: 0,
            causes: Vec::new(),
        })
    }

    fn lines(folder: &Path) -> Vec<Entry> {
        let mut all = Vec::new();
        drop(Journal::open(folder, &about(1), |entry| all.push(entry)).expect("it opens"));
        all
    }

    #[test]
    fn what_was_written_is_there_and_what_was_cut_short_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::open(folder.path(), &about(1), |_| panic!("nothing is there")).expect("it opens");
        journal.append(&[program(0), program(1)]).expect("it is written");
        drop(journal);
        let path = folder.path().join(LINES);
        let before = fs::read(&path).expect("it is there");
        fs::write(&path, [&before[..], b"{\"program\":{\"ind"].concat()).expect("it is written");
        assert_eq!(lines(folder.path()), [program(0), program(1)]);
        assert_eq!(fs::read(&path).expect("it is there"), before);
    }

    #[test]
    fn a_folder_belongs_to_one_campaign_and_one_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |seed| Journal::open(folder.path(), &about(seed), |_| {});
        let first = open(1).expect("it opens");
        assert!(matches!(open(1), Err(JournalError::Busy(_))));
        drop(first);
        assert!(matches!(open(2), Err(JournalError::Other(_))));
        assert!(open(1).is_ok());
        assert_eq!(header(folder.path()).expect("it is read"), Some(about(1)));
    }
}
