//! What can go wrong on the way to a kernel's verdict.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

/// Why a kernel could not be asked.
#[derive(Debug, Error)]
pub enum CrosscheckError {
    /// Something that has to be installed or given is not there.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do about it, as one line.
        remedy: String,
    },
    /// A file or a process could not be used.
    #[error("{place}: {source}")]
    Io {
        /// The file or the program.
        place: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A kernel image is not what it should be.
    #[error("{}: not a usable kernel image: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A kernel could not be fetched.
    #[error("cannot fetch kernel {wanted}: {reason}")]
    Fetch {
        /// What was asked for.
        wanted: String,
        /// What went wrong.
        reason: String,
    },
    /// The guest program could not be built.
    #[error("cannot build the guest program; cargo says:\n{output}")]
    GuestBuild {
        /// The end of cargo's output.
        output: String,
    },
    /// The machine ended, or never came up.
    #[error("the guest {how}; its console ends with:\n{console}")]
    Died {
        /// What was seen of it.
        how: String,
        /// The console's last lines.
        console: String,
    },
    /// Bytes of an answer were lost on their way.
    #[error("the guest sent something that is no reply ({what}); its console ends with:\n{console}")]
    Garbled {
        /// What is wrong with it.
        what: String,
        /// The console's last lines.
        console: String,
    },
    /// The machine gave no answer in time.
    #[error("the guest gave no answer within {} s; its console ends with:\n{console}", after.as_secs())]
    Timeout {
        /// How long it was waited for.
        after: Duration,
        /// The console's last lines.
        console: String,
    },
    /// The guest said that it could not do what was asked.
    #[error("the guest refused: {message}")]
    Refused {
        /// Its reason.
        message: String,
    },
}

impl CrosscheckError {
    /// An error about a file.
    pub(crate) fn io(path: &Path, source: io::Error) -> CrosscheckError {
        CrosscheckError::Io { place: path.display().to_string(), source }
    }

    /// An error about a program that was to be started; says what to install when it is not there.
    pub(crate) fn program(name: &str, remedy: &str, source: io::Error) -> CrosscheckError {
        if source.kind() == io::ErrorKind::NotFound {
            CrosscheckError::Missing { what: name.to_owned(), remedy: remedy.to_owned() }
        } else {
            CrosscheckError::Io { place: name.to_owned(), source }
        }
    }
}
