//! What a machine is given, and why one cannot be made of it.

use std::sync::Arc;

use thiserror::Error;

use crate::btf::Btf;

/// Most CPUs that a machine can have.
pub const MAX_CPUS: u32 = 512;

/// What a machine is given besides the object.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// Number of simulated CPUs, 1 to [`MAX_CPUS`].
    pub cpus: u32,
    /// Instructions that all programs together may execute.
    pub max_insns: u64,
    /// Bytes of simulated memory.
    pub max_memory: u64,
    /// Process id (the kernel's `tgid`) of the task that the programs run in.
    pub pid: u32,
    /// Thread id (the kernel's `pid`) of that task.
    pub tid: u32,
    /// Name of that task.
    pub comm: String,
    /// Seed of `bpf_get_prandom_u32`.
    pub seed: u64,
    /// Arguments of the traced function, as tracing programs find them in their context; one that is
    /// missing cannot be read.
    pub arguments: Vec<u64>,
    /// Does the BPF allocator hand freed memory out again as soon as a grace period can have ended, or only after
    /// [`super::Machine::end_grace_period`]?
    pub early_reuse: bool,
    /// May allocations fail, where a scheduler chooses so?
    pub allocation_failures: bool,
    /// Are maps and arguments not empty at the start?
    pub stocked: bool,
    /// What programs read of what is not modelled, in order: clocks, random numbers and, where the machine is stocked, fields of the
    /// kernel's structs. Behind the last come numbers of the machine's own.
    pub readings: Arc<[u64]>,
    /// Types of the kernel that the object was relocated against; without them the object's own.
    pub kernel_types: Option<Arc<Btf>>,
}

impl Default for MachineOptions {
    fn default() -> Self {
        MachineOptions {
            cpus: 1,
            max_insns: 100_000_000,
            max_memory: 1 << 30,
            pid: 1000,
            tid: 1000,
            comm: "kptrsim".to_owned(),
            seed: 0,
            arguments: Vec::new(),
            early_reuse: false,
            allocation_failures: false,
            stocked: false,
            readings: Arc::default(),
            kernel_types: None,
        }
    }
}

/// Why a machine cannot be set up or a program not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// A number of CPUs that is not possible.
    #[error("{0} CPUs are not possible; give 1 to {MAX_CPUS}")]
    CpuCount(u32),
    /// A CPU that the machine does not have.
    #[error("there is no CPU {cpu}: the machine has {cpus}, numbered from 0")]
    NoSuchCpu {
        /// The one asked for.
        cpu: u32,
        /// How many there are.
        cpus: u32,
    },
    /// A CPU that already runs a program.
    #[error("CPU {0} already runs a program")]
    Busy(u32),
    /// A program that the object does not have.
    #[error("{object} has no program {name}; it has {available}")]
    NoSuchProgram {
        /// The object's name.
        object: String,
        /// The one asked for.
        name: String,
        /// Those that there are.
        available: String,
    },
    /// A program that cannot be loaded at all.
    #[error("{name} cannot be loaded: {why}")]
    Refused {
        /// The program.
        name: String,
        /// The loader's reason.
        why: String,
    },
    /// An input that `BPF_PROG_TEST_RUN` refuses with this error number.
    #[error("the kernel refuses such a packet or context (errno {0})")]
    Input(i32),
    /// An input that is not modelled.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The object needs more memory than the limit.
    #[error("the maps of {0} need more simulated memory than the limit allows")]
    Memory(String),
}
