//! Error numbers of the `bpf()` system call.

use serde::Serialize;

/// Error numbers of the `bpf()` system call, as Linux numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Errno {
    /// `EACCES`.
    Access,
    /// `EINVAL`.
    Invalid,
    /// `E2BIG`.
    TooBig,
    /// `EFAULT`.
    Fault,
    /// `EPROTO`.
    Protocol,
    /// `EBADF`.
    BadDescriptor,
    /// `ERANGE`.
    Range,
    /// `ENOTSUPP`, which the kernel does not translate for user space.
    NotSupported,
    /// `EOPNOTSUPP`.
    OperationNotSupported,
    /// `ENOENT`.
    NoEntry,
    /// `ESRCH`.
    NoProcess,
    /// `EEXIST`.
    Exists,
    /// `EBUSY`.
    Busy,
    /// `EPERM`.
    Permission,
}

impl Errno {
    /// All of them.
    pub const ALL: [Errno; 14] = [
        Errno::Permission,
        Errno::Access,
        Errno::Invalid,
        Errno::TooBig,
        Errno::Fault,
        Errno::Protocol,
        Errno::BadDescriptor,
        Errno::Range,
        Errno::NotSupported,
        Errno::OperationNotSupported,
        Errno::NoEntry,
        Errno::NoProcess,
        Errno::Exists,
        Errno::Busy,
    ];

    /// The number, positive.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Errno::Permission => 1,
            Errno::Access => 13,
            Errno::Invalid => 22,
            Errno::TooBig => 7,
            Errno::Fault => 14,
            Errno::Protocol => 71,
            Errno::BadDescriptor => 9,
            Errno::Range => 34,
            Errno::NotSupported => 524,
            Errno::OperationNotSupported => 95,
            Errno::NoEntry => 2,
            Errno::NoProcess => 3,
            Errno::Exists => 17,
            Errno::Busy => 16,
        }
    }

    /// Its name in `errno.h`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Errno::Permission => "EPERM",
            Errno::Access => "EACCES",
            Errno::Invalid => "EINVAL",
            Errno::TooBig => "E2BIG",
            Errno::Fault => "EFAULT",
            Errno::Protocol => "EPROTO",
            Errno::BadDescriptor => "EBADF",
            Errno::Range => "ERANGE",
            Errno::NotSupported => "ENOTSUPP",
            Errno::OperationNotSupported => "EOPNOTSUPP",
            Errno::NoEntry => "ENOENT",
            Errno::NoProcess => "ESRCH",
            Errno::Exists => "EEXIST",
            Errno::Busy => "EBUSY",
        }
    }
}
