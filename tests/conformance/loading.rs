//! The two exams of verdicts: programs loaded by a process that may do all, and by one without any capability.

use kptrsim::object::{LoadOptions, Object};

use crate::SelftestObject;

/// Who loads the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// The machine's administrator.
    Privileged,
    /// A process without capabilities, where the kernel lets such load programs.
    Unprivileged,
}

impl Loading {
    /// Which exam the command line asks for.
    pub fn of(unprivileged: bool) -> Loading {
        if unprivileged { Loading::Unprivileged } else { Loading::Privileged }
    }

    /// The file of what the kernel said.
    pub fn records(self) -> &'static str {
        match self {
            Loading::Privileged => "kernel.jsonl",
            Loading::Unprivileged => "kernel-unpriv.jsonl",
        }
    }

    /// The file of what differs.
    pub fn differences(self) -> &'static str {
        match self {
            Loading::Privileged => "differences.toml",
            Loading::Unprivileged => "differences-unpriv.toml",
        }
    }

    /// The file of the table.
    pub fn results(self) -> &'static str {
        match self {
            Loading::Privileged => "RESULTS.md",
            Loading::Unprivileged => "RESULTS-UNPRIV.md",
        }
    }

    /// The beginning of that file.
    pub fn introduction(self) -> &'static str {
        match self {
            Loading::Privileged => {
                "# The exam\n\n\
                 Verdicts of `kptrsim verify` on the kernel's own BPF selftests, against those of the kernel itself. Written by\n\
                 `tests/conformance/run --update`; `README.md` beside this file tells how to read and repeat it.\n\n"
            }
            Loading::Unprivileged => {
                "# The exam, unprivileged\n\n\
                 Verdicts of `kptrsim verify --unpriv` on those programs of the kernel's own BPF selftests that a process without\n\
                 any capability may load (socket filters and cgroup's packet filters), against those of the kernel itself, loaded by\n\
                 such a process. Written by `tests/conformance/run --unpriv --update`; `README.md` beside this file tells how to read\n\
                 and repeat it.\n\n"
            }
        }
    }

    /// The programs of an object that are worth asking about; `None`: not one. An empty list means all.
    pub fn programs(self, object: &SelftestObject) -> Option<Vec<String>> {
        if self == Loading::Privileged {
            return Some(Vec::new());
        }
        let parsed = Object::parse(&object.name, &object.bytes, &LoadOptions::default()).ok()?;
        let loadable = parsed.programs.iter().filter(|one| UNPRIVILEGED_TYPES.contains(&one.section.program_type));
        let names: Vec<String> = loadable.map(|one| one.name.clone()).collect();
        (!names.is_empty()).then_some(names)
    }
}

/// `BPF_PROG_TYPE_SOCKET_FILTER` and `BPF_PROG_TYPE_CGROUP_SKB`.
const UNPRIVILEGED_TYPES: [u32; 2] = [1, 8];
