//! The ways a run ends, each with the places that explain it.

use std::fmt;

use super::region::Region;
use super::story::{Moment, Place, RegionId};

/// How an access or a call broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Access near address zero.
    Null,
    /// Access to an address at which there never was memory.
    Wild,
    /// Access that starts or ends outside its region.
    OutOfBounds,
    /// Access to memory that was freed and whose grace period has ended.
    UseAfterFree,
    /// Access to memory that waits for a grace period, outside any section that holds it back.
    UseWithoutRcu,
    /// Read of bytes that nothing ever wrote.
    NeverWritten,
    /// Access through a per-CPU pointer itself, which names no CPU's copy.
    PerCpuPointer,
    /// Access to something whose bytes a program may not touch, such as a map itself.
    NotMemory,
    /// Write to read-only memory.
    ReadOnly,
    /// Atomic access to an address that is no multiple of its size.
    Misaligned,
    /// Access to the stack of a function that has returned.
    DeadFrame,
    /// Use of a register that holds nothing.
    UninitialisedRegister(u8),
    /// Release or hand-over of something that the program does not own; the text says of what.
    NotOwned(&'static str),
    /// More than eight frames of calls.
    CallDepth,
    /// Execution left the program's code.
    RanOff,
    /// A slot that is no instruction, or a wide load's second half.
    BadInstruction(String),
    /// An argument that the callee cannot take; the text says which and why.
    BadArgument {
        /// The helper's or kfunc's name.
        callee: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A section or lock that is left without having been entered, or open at the end; the text says which.
    Unbalanced(&'static str),
    /// A lock taken that the same CPU holds already.
    Deadlock,
    /// A load or store of what the kernel keeps there, or what it keeps was changed; the text says what.
    KernelBytes(&'static str),
    /// A result that whoever called the program does not expect.
    ResultOutOfRange(i64),
    /// A call that may sleep, inside an RCU section, under a lock or with preemption off; the text names the callee.
    Sleeping(&'static str),
}

impl FaultKind {
    /// All names of [`FaultKind::name`].
    pub const NAMES: [&'static str; 22] = [
        "null-dereference",
        "wild-access",
        "out-of-bounds",
        "use-after-free",
        "use-without-rcu",
        "never-written",
        "percpu-pointer-dereference",
        "not-memory",
        "read-only",
        "misaligned-atomic",
        "dead-frame",
        "uninitialised-register",
        "not-owned",
        "call-depth",
        "ran-off",
        "bad-instruction",
        "bad-argument",
        "unbalanced-section",
        "deadlock",
        "sleeping",
        "kernel-bytes",
        "result-out-of-range",
    ];

    /// A short fixed name, for machines to read.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Null => "null-dereference",
            FaultKind::Wild => "wild-access",
            FaultKind::OutOfBounds => "out-of-bounds",
            FaultKind::UseAfterFree => "use-after-free",
            FaultKind::UseWithoutRcu => "use-without-rcu",
            FaultKind::NeverWritten => "never-written",
            FaultKind::PerCpuPointer => "percpu-pointer-dereference",
            FaultKind::NotMemory => "not-memory",
            FaultKind::ReadOnly => "read-only",
            FaultKind::Misaligned => "misaligned-atomic",
            FaultKind::DeadFrame => "dead-frame",
            FaultKind::UninitialisedRegister(_) => "uninitialised-register",
            FaultKind::NotOwned(_) => "not-owned",
            FaultKind::CallDepth => "call-depth",
            FaultKind::RanOff => "ran-off",
            FaultKind::BadInstruction(_) => "bad-instruction",
            FaultKind::BadArgument { .. } => "bad-argument",
            FaultKind::Unbalanced(_) => "unbalanced-section",
            FaultKind::Deadlock => "deadlock",
            FaultKind::Sleeping(_) => "sleeping",
            FaultKind::KernelBytes(_) => "kernel-bytes",
            FaultKind::ResultOutOfRange(_) => "result-out-of-range",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Null => f.write_str("NULL pointer dereferenced"),
            FaultKind::Wild => f.write_str("address where there is no memory"),
            FaultKind::OutOfBounds => f.write_str("access out of bounds"),
            FaultKind::UseAfterFree => f.write_str("use after free: its grace period has ended"),
            FaultKind::UseWithoutRcu => {
                f.write_str("use after free: no RCU section that began before the free holds this memory back")
            }
            FaultKind::NeverWritten => f.write_str("read of bytes that were never written"),
            FaultKind::PerCpuPointer => f.write_str(
                "per-CPU pointer dereferenced: it names no CPU's copy, bpf_this_cpu_ptr or bpf_per_cpu_ptr does",
            ),
            FaultKind::NotMemory => f.write_str("access to something whose bytes no program may touch"),
            FaultKind::ReadOnly => f.write_str("write to read-only memory"),
            FaultKind::Misaligned => f.write_str("misaligned atomic access"),
            FaultKind::DeadFrame => f.write_str("access to the stack of a function that has returned"),
            FaultKind::UninitialisedRegister(register) => write!(f, "r{register} is used but holds nothing"),
            FaultKind::NotOwned(what) => write!(f, "{what}"),
            FaultKind::CallDepth => f.write_str("more than 8 frames of calls"),
            FaultKind::RanOff => f.write_str("execution left the program"),
            FaultKind::BadInstruction(why) => write!(f, "no instruction: {why}"),
            FaultKind::BadArgument { callee, what } => write!(f, "{callee}: {what}"),
            FaultKind::Unbalanced(what) => write!(f, "{what}"),
            FaultKind::Sleeping(callee) => write!(f, "{callee} may sleep, and the program may not here"),
            FaultKind::KernelBytes(what) => write!(f, "the bytes of a {what} are the kernel's own"),
            FaultKind::ResultOutOfRange(result) => {
                write!(f, "the hook returns {result}, which is neither 0 nor an error number")
            }
            FaultKind::Deadlock => f.write_str("deadlock: this CPU holds the lock already"),
        }
    }
}

/// An access that could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub address: u64,
    /// Bytes wanted.
    pub size: u32,
    /// Was it a write?
    pub write: bool,
}

/// A region's story as it stood when the run ended.
#[derive(Clone, Debug)]
pub struct RegionStory {
    /// Which region.
    pub id: RegionId,
    /// Its first address.
    pub base: u64,
    /// Its size in bytes.
    pub size: u32,
    /// What it is, where it came from and where it went.
    pub region: Region,
}

/// A broken rule: what happened, where, and to what.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// Where and when.
    pub at: Moment,
    /// The access, if it was one.
    pub access: Option<Attempt>,
    /// The memory that it was about, if any.
    pub story: Option<RegionStory>,
    /// The calls that led here, innermost first, without the place itself.
    pub callers: Vec<Place>,
}

/// Something that the machine does not model; going on would risk a wrong result.
#[derive(Clone, Debug)]
pub struct Unsupported {
    /// What, such as `no model for helper bpf_fib_lookup`.
    pub what: String,
    /// Where and when.
    pub at: Moment,
    /// The calls that led here, innermost first.
    pub callers: Vec<Place>,
}

/// A bound of the run that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Instructions executed.
    Instructions(u64),
    /// Bytes of simulated memory.
    Memory(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Instructions(count) => write!(f, "the limit of {count} instructions was reached (--max-insns)"),
            Limit::Memory(bytes) => write!(f, "the limit of {bytes} bytes of simulated memory was reached"),
        }
    }
}

/// How a program's run ended.
#[derive(Clone, Debug)]
pub enum End {
    /// It returned.
    Returned(u64),
    /// A rule was broken.
    Fault(Box<Fault>),
    /// It needs what is not modelled.
    Unsupported(Box<Unsupported>),
    /// A bound was reached at this moment.
    Limit(Limit, Moment),
}

/// Why an instruction could not be executed; [`Machine`](super::Machine) adds where and when and makes an [`End`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A broken rule.
    Fault {
        /// What happened.
        kind: FaultKind,
        /// The access, if it was one.
        access: Option<Attempt>,
        /// The memory that it was about, if any.
        region: Option<RegionId>,
    },
    /// Not modelled.
    Unsupported(String),
    /// Read of a kernel struct's byte that is not modelled.
    Unmodelled {
        /// The kernel object.
        region: RegionId,
        /// Byte offset in it.
        offset: u32,
    },
    /// A bound was reached.
    Limit(Limit),
}

impl Trap {
    /// A broken rule that is not about memory.
    #[must_use]
    pub fn fault(kind: FaultKind) -> Box<Trap> {
        Box::new(Trap::Fault { kind, access: None, region: None })
    }

    /// A broken rule about a region, other than an access.
    #[must_use]
    pub fn about(kind: FaultKind, region: RegionId) -> Box<Trap> {
        Box::new(Trap::Fault { kind, access: None, region: Some(region) })
    }

    /// Something not modelled.
    #[must_use]
    pub fn unsupported(what: impl Into<String>) -> Box<Trap> {
        Box::new(Trap::Unsupported(what.into()))
    }

    /// An argument that the callee cannot take.
    #[must_use]
    pub fn argument(callee: &'static str, what: impl Into<String>) -> Box<Trap> {
        Trap::fault(FaultKind::BadArgument { callee, what: what.into() })
    }
}
