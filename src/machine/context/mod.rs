//! What a program finds behind its first argument, by its type, and what is left of it when it has run.
//!
//! Contexts are made anew for each run, as `BPF_PROG_TEST_RUN` makes them (`net/bpf/test_run.c`, Linux 6.12) from the
//! [`Input`] that the run is given. A context's region holds the struct as programs see it; its pointers, which take four
//! bytes there and eight in a register, and all writes go through [`access`]. Start at [`Context::prepare`].

mod access;
mod behind;
mod packet;
mod probe;
mod skb;
mod socket;
mod tracing;
mod xdp;

pub(super) use probe::{FENTRY, FEXIT, MODIFY_RETURN};
pub use probe::{FunctionRun, function_run};

pub(super) use packet::{Extent, Packet};
pub(super) use skb::ether_type;
pub(super) use tracing::TRACING_CONTEXT;

use super::fault::Trap;
use super::memory::{Contents, Memory};
use super::region::RegionKind;
use super::story::RegionId;
use super::{MachineOptions, SetupError};
use smallvec::{SmallVec, smallvec};

use crate::btf::Btf;
use crate::kernel::ProgramType;
use crate::object::Section;

/// Bytes of the packet for a program that takes one and is given none: an Ethernet frame's least size.
const DEFAULT_PACKET: usize = 64;
/// Size of a context of which nothing is modelled.
const UNKNOWN_CONTEXT: u32 = 1024;
/// Most bytes of a `syscall` program's context (`U16_MAX`).
const MAX_SYSCALL_CONTEXT: usize = 0xffff;

/// Error numbers of `BPF_PROG_TEST_RUN`.
mod errno {
    pub const EINVAL: i32 = 22;
    pub const ENODEV: i32 = 19;
    pub const EAFNOSUPPORT: i32 = 97;
    pub const ERANGE: i32 = 34;
}

/// What a run is given, as `BPF_PROG_TEST_RUN` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The packet, with its link-layer header, for programs that take one; 64 zero bytes when absent.
    pub packet: Option<Vec<u8>>,
    /// The context as programs see it (`struct __sk_buff`, `xdp_md`, `bpf_sk_lookup`, a `syscall` program's own bytes, a raw
    /// tracepoint's arguments); what the kernel does without one when absent.
    pub context: Option<Vec<u8>>,
}

/// What a run leaves of its input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The packet, or a flow dissector's keys.
    pub packet: Option<Vec<u8>>,
    /// The context, where one was given.
    pub context: Option<Vec<u8>>,
}

/// Why a context cannot be made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The kernel refuses such an input with this error number, positive.
    Errno(i32),
    /// Memory is short, or something is not modelled.
    Trap(Box<Trap>),
}

impl From<Box<Trap>> for Refusal {
    fn from(trap: Box<Trap>) -> Refusal {
        Refusal::Trap(trap)
    }
}

impl Refusal {
    /// The same as an error of setting up.
    pub fn into_setup_error(self, object: &str) -> SetupError {
        match self {
            Refusal::Errno(errno) => SetupError::Input(errno),
            Refusal::Trap(trap) => match *trap {
                Trap::Unsupported(what) => SetupError::Unsupported(what),
                _ => SetupError::Memory(object.to_owned()),
            },
        }
    }
}

/// Which struct a context is.
#[derive(Clone, Debug)]
pub(super) enum View {
    /// Just bytes.
    Plain,
    /// `struct __sk_buff`.
    Skb(skb::Skb),
    /// `struct xdp_md`.
    Xdp,
    /// A flow dissector's `struct __sk_buff` and the region of its keys.
    FlowDissector { keys: RegionId, hlen: u16 },
    /// `struct bpf_sk_lookup`.
    SkLookup,
}

/// A program's context while it runs, and until the next one of its task begins.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// What the first argument is; 0 for NULL.
    pub address: u64,
    pub view: View,
    pub packet: Option<Packet>,
    /// Address of the packet's `sk_buff`, where the context itself is something else.
    pub skb: Option<u64>,
    program_type: u32,
    region: Option<RegionId>,
    /// Everything that was made for it, but the packet's window.
    made: SmallVec<[RegionId; 2]>,
    given: Option<Vec<u8>>,
    /// Structs of the kernel that the program has asked for.
    behind: Vec<behind::Behind>,
}

/// What contexts are made with.
struct Making<'m> {
    memory: &'m mut Memory,
    options: &'m MachineOptions,
    types: Option<&'m Btf>,
    section: &'m Section,
}

impl Context {
    /// Makes the context of a program in that section.
    pub fn prepare(
        memory: &mut Memory,
        options: &MachineOptions,
        types: Option<&Btf>,
        section: &Section,
        input: &Input,
    ) -> Result<Context, Refusal> {
        use ProgramType as P;
        let mut making = Making { memory, options, types, section };
        match ProgramType::from_number(section.program_type) {
            Some(
                kind @ (P::SocketFilter
                | P::SchedCls
                | P::SchedAct
                | P::CgroupSkb
                | P::LwtIn
                | P::LwtOut
                | P::LwtXmit
                | P::LwtSeg6local),
            ) => skb::prepare(&mut making, kind, input),
            Some(P::Xdp) => xdp::prepare(&mut making, input),
            Some(P::FlowDissector) => skb::prepare_dissector(&mut making, input),
            Some(P::SkLookup) if input.context.is_some() => socket::prepare_lookup(&mut making, input),
            Some(P::Netfilter) => skb::prepare_netfilter(&mut making, input),
            Some(P::Syscall) if input.context.is_some() => making.syscall(input),
            Some(P::RawTracepoint) if input.context.is_some() => tracing::prepare_raw(&mut making, input),
            Some(P::RawTracepoint | P::RawTracepointWritable | P::Tracing | P::Lsm) => {
                tracing::prepare(&mut making, input)
            }
            Some(P::StructOps) if input.context.is_some() => tracing::prepare(&mut making, input),
            _ => making.unknown(),
        }
    }

    /// What is left after the run.
    pub fn output(&self, memory: &Memory) -> Output {
        match &self.view {
            View::Skb(skb) => skb.output(self, memory),
            View::Xdp => xdp::output(self, memory),
            View::FlowDissector { keys, hlen } => skb::dissector_output(memory, *keys, *hlen),
            View::SkLookup => Output { packet: None, context: self.given.clone() },
            View::Plain => {
                let syscall = self.program_type == ProgramType::Syscall.number();
                let context = self.region.filter(|_| syscall && self.given.is_some());
                Output { packet: None, context: context.map(|region| memory.peek(region).to_vec()) }
            }
        }
    }

    /// Ends the life of everything that was made for it.
    pub fn release(self, memory: &mut Memory, step: u64) {
        for region in self.made {
            memory.reclaim(region, step);
        }
        if let Some(packet) = self.packet {
            packet.close(memory, step);
        }
    }

    /// The struct's bytes as programs see them.
    fn bytes<'m>(&self, memory: &'m Memory) -> &'m [u8] {
        self.region.map_or(&[], |region| memory.peek(region))
    }

    /// A four-byte number of the struct.
    pub fn number(&self, memory: &Memory, offset: usize) -> u32 {
        let bytes = self.bytes(memory).get(offset..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// Changes a four-byte number of the struct.
    pub fn set_number(&self, memory: &mut Memory, offset: u32, value: u32) {
        if let Some(region) = self.region {
            memory.poke(region, offset, &value.to_le_bytes());
        }
    }
}

impl Making<'_> {
    /// A context of those bytes, which programs may read; writes go through [`access`].
    fn context(&mut self, view: View, size: u32) -> Result<Context, Refusal> {
        let region = self.memory.allocate(RegionKind::Context, size, Contents::Sparse, None)?;
        Ok(Context {
            address: self.memory.base(region),
            view,
            packet: None,
            skb: None,
            program_type: self.section.program_type,
            region: Some(region),
            made: smallvec![region],
            given: None,
            behind: Vec::new(),
        })
    }

    fn unknown(&mut self) -> Result<Context, Refusal> {
        self.context(View::Plain, UNKNOWN_CONTEXT)
    }

    /// `bpf_prog_test_run_syscall`: a copy of the bytes that were given.
    fn syscall(&mut self, input: &Input) -> Result<Context, Refusal> {
        let given = input.context.clone().unwrap_or_default();
        if given.len() > MAX_SYSCALL_CONTEXT {
            return Err(Refusal::Errno(errno::EINVAL));
        }
        let region = self.memory.allocate(RegionKind::SyscallContext, given.len() as u32, Contents::Zero, None)?;
        self.memory.poke(region, 0, &given);
        Ok(Context {
            address: if given.is_empty() { 0 } else { self.memory.base(region) },
            view: View::Plain,
            packet: None,
            skb: None,
            program_type: self.section.program_type,
            region: Some(region),
            made: smallvec![region],
            given: Some(given),
            behind: Vec::new(),
        })
    }
}
