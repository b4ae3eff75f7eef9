//! Child processes: start one, give it a time limit, learn how it ended.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ended by itself.
    Exit,
    /// This signal ended it.
    Signal(i32),
}

impl Ending {
    /// What to tell the host; `None` when the child ended by itself.
    pub fn complaint(self, seconds: u32) -> Option<String> {
        match self {
            Ending::Exit => None,
            Ending::Signal(libc::SIGALRM) => Some(format!("gave no answer within {seconds} s")),
            Ending::Signal(signal) => Some(format!("the loading process was ended by signal {signal}")),
        }
    }
}

/// Runs `work` in a child and returns the child's id. The child ends when `work` returns, and after `seconds` at the latest.
pub fn spawn(seconds: u32, work: impl FnOnce()) -> io::Result<libc::pid_t> {
    // SAFETY: this process has one thread, so the child may go on like any single-threaded program.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            set_deadline(seconds);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let status = i32::from(outcome.is_err());
            // SAFETY: ends this child at once, without running the parent's exit handlers.
            unsafe { libc::_exit(status) }
        }
        child => Ok(child),
    }
}

/// Ends this process by `SIGALRM` in `seconds`; 0 takes the limit away.
pub fn set_deadline(seconds: u32) {
    // SAFETY: takes a number only.
    unsafe { libc::alarm(seconds) };
}

/// Waits for one child.
pub fn wait_for(child: libc::pid_t) -> Ending {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the answer.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
    if libc::WIFSIGNALED(status) { Ending::Signal(libc::WTERMSIG(status)) } else { Ending::Exit }
}

/// A pipe: where to read, where to write.
pub fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are new and owned by nobody else.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}
