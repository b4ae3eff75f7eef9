//! The tree of statements.

use std::sync::Arc;

use crate::isa::{AluOp, AtomicOp, Endian, JumpOp, Size, Width};

use super::kfunc::UserKfunc;
use super::universe::MapName;
use crate::kernel::ProgramType;

/// A choice among what there is where a statement is lowered: the number modulo how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pick(pub u8);

impl Pick {
    /// The chosen one; `None` if there are none.
    #[must_use]
    pub fn of<T: Copy>(self, from: &[T]) -> Option<T> {
        let index = usize::from(self.0).checked_rem(from.len())?;
        from.get(index).copied()
    }
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A constant.
    Constant(i32),
    /// A register that holds a number.
    Register(Pick),
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// 32 or 64 bits.
    pub width: Width,
    /// The comparison.
    pub op: JumpOp,
    /// First operand: a register with a number.
    pub left: Pick,
    /// Second operand.
    pub right: Source,
}

/// What bounds a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loop {
    /// A counter in a stack slot, from 0 to below this number, compared each time round.
    Counted(u8),
    /// `may_goto`, for kernels from 6.9 on.
    MayGoto,
    /// The open-coded iterator over numbers, from the first to below the second.
    Iterator(i16, i16),
    /// `bpf_loop` with a callback, so many times.
    Callback(u16),
}

/// Which whole of a register a value is cut to: a number of bits, by sign or by zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whole {
    /// `dst = (sN)src`.
    Sign(Width, Size),
    /// A byte-order conversion.
    Swap(Endian, Size),
    /// `dst = -dst`.
    Negate(Width),
}

/// What is done at a place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A load into a register, zero- or sign-extended.
    Load {
        /// Destination.
        dst: Pick,
        /// Sign-extending.
        signed: bool,
    },
    /// A store.
    Store(Source),
    /// An atomic operation; on places narrower than 4 bytes a plain store instead.
    Atomic(AtomicOp, Pick),
}

/// Which CPU's copy of a per-CPU object is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cpu {
    /// The one that runs (`bpf_this_cpu_ptr`).
    This,
    /// That number (`bpf_per_cpu_ptr`), which may not exist.
    Number(Source),
}

/// What becomes of an object that the program owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Given back.
    Drop,
    /// Moved into a map value's field by `bpf_kptr_xchg`; what was there is given back. Without a value at hand, as [`End::Drop`].
    Publish(Pick),
}

/// What becomes of a node that the program owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeEnd {
    /// As for any object.
    Object(End),
    /// Pushed to the front (`false`) or back of a list. Without a list at hand, given back.
    Push(Pick, bool),
    /// Put into a tree. Without a tree at hand, given back.
    Insert(Pick),
}

/// One statement. `home` chooses where a pointer is kept while `body` runs: a callee-saved register that is free, or a
/// stack slot, from which each use fills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `dst = value`.
    Constant {
        /// Destination.
        dst: Pick,
        /// The number.
        value: i64,
    },
    /// A number that the verifier knows nothing of.
    Random {
        /// Destination.
        dst: Pick,
    },
    /// A number out of the context; of a program type without plain fields, a random one.
    Context {
        /// Which field.
        field: Pick,
        /// Destination.
        dst: Pick,
    },
    /// `dst op= src`.
    Alu {
        /// The operation.
        op: AluOp,
        /// 32 or 64 bits.
        width: Width,
        /// Destination, which holds a number.
        dst: Pick,
        /// Second operand.
        src: Source,
    },
    /// An operation on a whole register.
    Unary {
        /// Which.
        op: Whole,
        /// Destination.
        dst: Pick,
        /// Source, where the operation has one of its own.
        src: Pick,
    },
    /// A branch.
    If {
        /// When.
        condition: Condition,
        /// What then.
        then: Vec<Statement>,
        /// What else.
        otherwise: Vec<Statement>,
    },
    /// A loop.
    Loop {
        /// Which, and how often.
        kind: Loop,
        /// Its body.
        body: Vec<Statement>,
    },
    /// A store to the stack: of a whole register it is a spill.
    Spill {
        /// Byte offset into the data area.
        at: Pick,
        /// Bytes.
        size: Size,
        /// What.
        src: Source,
    },
    /// A load from the stack, of bytes that were written.
    Fill {
        /// Byte offset into the data area.
        at: Pick,
        /// Bytes.
        size: Size,
        /// Sign-extending.
        signed: bool,
        /// Destination.
        dst: Pick,
    },
    /// An access to the stack at an offset that the verifier does not know exactly.
    StackIndex {
        /// The offset comes from this register.
        index: Pick,
        /// What is done.
        access: Access,
    },
    /// A look-up in a map, and what is done with the value if there is one.
    Lookup {
        /// Which map.
        map: MapName,
        /// The key.
        key: Source,
        /// Where the pointer is kept.
        home: Pick,
        /// With the value.
        body: Vec<Statement>,
    },
    /// `bpf_map_update_elem` of the hash with zeros.
    Update {
        /// The key.
        key: Source,
    },
    /// `bpf_map_delete_elem` of the hash.
    Delete {
        /// The key.
        key: Source,
    },
    /// An access through a pointer at hand: a map value, an object, a packet, a per-CPU copy.
    Memory {
        /// Which pointer.
        pointer: Pick,
        /// Which of its fields.
        field: Pick,
        /// What is done.
        access: Access,
    },
    /// An access to an array in memory by an index that is brought into bounds before.
    Index {
        /// Which pointer to such memory.
        pointer: Pick,
        /// The index.
        index: Pick,
        /// By a mask (else by a branch).
        mask: bool,
        /// What is done.
        access: Access,
    },
    /// `bpf_probe_read_kernel`: so many bytes of the stack into an array in memory, or into the stack.
    Fetch {
        /// Which pointer to memory with an array; the stack's buffer if `None`, or if none is at hand.
        pointer: Option<Pick>,
        /// How many bytes. What a register holds is brought into bounds before.
        size: Source,
        /// By a mask (else by a branch).
        mask: bool,
    },
    /// A packet's data, if it has so many bytes.
    Packet {
        /// How many.
        bytes: u8,
        /// Where the pointer is kept.
        home: Pick,
        /// With the data.
        body: Vec<Statement>,
    },
    /// As [`Statement::Packet`], behind an offset that a register holds.
    PacketAt {
        /// The offset.
        offset: Pick,
        /// How many bytes behind it.
        bytes: u8,
        /// Where the pointer is kept.
        home: Pick,
        /// With the data.
        body: Vec<Statement>,
    },
    /// An RCU section; where the program is in one anyway, only its body.
    Rcu {
        /// In it.
        body: Vec<Statement>,
    },
    /// `bpf_percpu_obj_new_impl`, and what becomes of the object.
    PercpuNew {
        /// Where the pointer is kept.
        home: Pick,
        /// With the object.
        body: Vec<Statement>,
        /// At the end.
        end: End,
    },
    /// `bpf_obj_new_impl` of a node.
    NodeNew {
        /// Where the pointer is kept.
        home: Pick,
        /// With the object.
        body: Vec<Statement>,
        /// At the end.
        end: NodeEnd,
    },
    /// `bpf_kptr_xchg` of a map value's field with NULL: takes the per-CPU object out.
    TakePercpu {
        /// Which map value.
        slot: Pick,
        /// Where the pointer is kept.
        home: Pick,
        /// With the object.
        body: Vec<Statement>,
        /// At the end.
        end: End,
    },
    /// The same with the node.
    TakeNode {
        /// Which map value.
        slot: Pick,
        /// Where the pointer is kept.
        home: Pick,
        /// With the object.
        body: Vec<Statement>,
        /// At the end.
        end: NodeEnd,
    },
    /// A load of the `__percpu_kptr` field, in an RCU section.
    BorrowPercpu {
        /// Which map value.
        slot: Pick,
        /// Where the pointer is kept.
        home: Pick,
        /// With the object.
        body: Vec<Statement>,
    },
    /// A load of the `__kptr` field, in an RCU section.
    BorrowNode {
        /// Which map value.
        slot: Pick,
        /// Where the pointer is kept.
        home: Pick,
        /// With the object.
        body: Vec<Statement>,
    },
    /// One CPU's copy of a per-CPU object at hand.
    Copy {
        /// Which object.
        object: Pick,
        /// Whose copy.
        cpu: Cpu,
        /// Where the pointer is kept.
        home: Pick,
        /// With the copy.
        body: Vec<Statement>,
    },
    /// `bpf_refcount_acquire_impl` of a node at hand.
    Acquire {
        /// Which node.
        node: Pick,
        /// Where the pointer is kept.
        home: Pick,
        /// With the second reference.
        body: Vec<Statement>,
        /// At the end.
        end: NodeEnd,
    },
    /// A list's first or last node taken out, under its lock.
    Pop {
        /// Which graph.
        graph: Pick,
        /// The last (else the first).
        back: bool,
        /// Where the pointer is kept.
        home: Pick,
        /// With the node, after the lock.
        body: Vec<Statement>,
        /// At the end.
        end: NodeEnd,
    },
    /// A tree's first node taken out, under its lock.
    Remove {
        /// Which graph.
        graph: Pick,
        /// Where the pointer is kept.
        home: Pick,
        /// With the node, after the lock.
        body: Vec<Statement>,
        /// At the end.
        end: NodeEnd,
    },
    /// A section under a graph's lock. Only what needs no call becomes instructions in it.
    Locked {
        /// Which graph.
        graph: Pick,
        /// In it.
        body: Vec<Statement>,
    },
    /// A call of a kernel function of the user's own, if all that it wants is at hand, and what becomes of its result.
    Kfunc {
        /// Which.
        kfunc: Arc<UserKfunc>,
        /// Numbers for its parameters, by their place.
        numbers: [Source; 5],
        /// Objects for its parameters.
        objects: Pick,
        /// Where a returned object is kept.
        home: Pick,
        /// With the object.
        body: Vec<Statement>,
    },
    /// The program ends here, where it owes nothing; elsewhere nothing happens.
    Return {
        /// The result.
        value: Source,
    },
}

/// What a program is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProgramKind {
    /// Traffic control (`BPF_PROG_TYPE_SCHED_CLS`).
    Tc,
    /// XDP.
    Xdp,
    /// System call programs, which may sleep.
    Syscall,
    /// Socket filters: no kernel functions of ownership, no direct packet access.
    Socket,
    /// Raw tracepoints: the same.
    RawTracepoint,
}

impl ProgramKind {
    /// All of them.
    pub const ALL: [ProgramKind; 5] =
        [ProgramKind::Tc, ProgramKind::Xdp, ProgramKind::Syscall, ProgramKind::Socket, ProgramKind::RawTracepoint];

    /// The section that makes it such a program.
    #[must_use]
    pub fn section(self) -> &'static str {
        match self {
            ProgramKind::Tc => "tc",
            ProgramKind::Xdp => "xdp",
            ProgramKind::Syscall => "syscall",
            ProgramKind::Socket => "socket",
            ProgramKind::RawTracepoint => "raw_tp/sys_enter",
        }
    }

    /// The kernel's program type.
    #[must_use]
    pub fn program_type(self) -> ProgramType {
        match self {
            ProgramKind::Tc => ProgramType::SchedCls,
            ProgramKind::Xdp => ProgramType::Xdp,
            ProgramKind::Syscall => ProgramType::Syscall,
            ProgramKind::Socket => ProgramType::SocketFilter,
            ProgramKind::RawTracepoint => ProgramType::RawTracepoint,
        }
    }

    /// May it own objects: allocate, exchange, lock?
    #[must_use]
    pub fn owns_objects(self) -> bool {
        matches!(self, ProgramKind::Tc | ProgramKind::Xdp | ProgramKind::Syscall)
    }

    /// May it sleep, so that it is in an RCU section only where it enters one?
    #[must_use]
    pub fn sleeps(self) -> bool {
        self == ProgramKind::Syscall
    }

    /// Offsets in the context of the packet's start and end, for programs that may look into it.
    #[must_use]
    pub fn packet(self) -> Option<(i16, i16)> {
        match self {
            ProgramKind::Tc => Some((76, 80)),
            ProgramKind::Xdp => Some((0, 4)),
            _ => None,
        }
    }

    /// Offsets of 4-byte numbers in the context, with their names.
    #[must_use]
    pub fn context_fields(self) -> &'static [(i16, &'static str)] {
        match self {
            ProgramKind::Tc => &[(0, "len"), (4, "pkt_type"), (8, "mark"), (12, "queue_mapping"), (40, "ifindex")],
            ProgramKind::Socket => &[(0, "len"), (4, "pkt_type"), (8, "mark"), (40, "ifindex")],
            ProgramKind::Xdp => &[(12, "ingress_ifindex"), (16, "rx_queue_index")],
            ProgramKind::Syscall | ProgramKind::RawTracepoint => &[],
        }
    }

    /// The structure that the context is, `None` for `void`.
    #[must_use]
    pub fn context_type(self) -> Option<&'static str> {
        match self {
            ProgramKind::Tc | ProgramKind::Socket => Some("__sk_buff"),
            ProgramKind::Xdp => Some("xdp_md"),
            ProgramKind::RawTracepoint => Some("bpf_raw_tracepoint_args"),
            ProgramKind::Syscall => None,
        }
    }
}

/// A care that a mutation takes away, at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MutationKind {
    /// No check for NULL.
    DropNullCheck,
    /// An owned object is not given back.
    SkipRelease,
    /// An owned object is given back twice.
    DoubleRelease,
    /// A pointer is read through after its object went, its section ended, or its packet check no longer holds.
    UseAfterScope,
    /// A bound that lets one too many in: a packet's length, an index.
    LooseBound,
    /// No bound at all: an index, an offset or a size is what it happens to be.
    NoBound,
    /// The copy of a CPU by number is taken to be there. The kernel does not ask for more, though there may be no such CPU.
    TrustCpuNumber,
    /// An RCU section is not left.
    SkipRcuUnlock,
    /// An RCU section is not entered.
    SkipRcuLock,
    /// A lock is not given back.
    SkipUnlock,
    /// A lock is given back through another pointer than that by which it was taken.
    UnlockOther,
    /// A lock is not taken.
    SkipLock,
    /// An iterator is not destroyed.
    SkipDestroy,
    /// An access one past the field's place.
    ShiftAccess,
    /// One instruction is left out.
    DropInstruction,
    /// One instruction stands twice.
    RepeatInstruction,
    /// Two neighbours are swapped.
    SwapInstructions,
    /// One instruction's destination is another register.
    WrongDestination,
    /// One instruction's source is another register.
    WrongSource,
    /// One instruction's immediate is another number.
    WrongImmediate,
    /// One instruction's offset is another number; never a jump's.
    WrongOffset,
    /// A comparison is another comparison.
    WrongComparison,
}

impl MutationKind {
    /// All of them.
    pub const ALL: [MutationKind; 22] = [
        MutationKind::DropNullCheck,
        MutationKind::SkipRelease,
        MutationKind::DoubleRelease,
        MutationKind::UseAfterScope,
        MutationKind::LooseBound,
        MutationKind::NoBound,
        MutationKind::TrustCpuNumber,
        MutationKind::SkipRcuUnlock,
        MutationKind::SkipRcuLock,
        MutationKind::SkipUnlock,
        MutationKind::UnlockOther,
        MutationKind::SkipLock,
        MutationKind::SkipDestroy,
        MutationKind::ShiftAccess,
        MutationKind::DropInstruction,
        MutationKind::RepeatInstruction,
        MutationKind::SwapInstructions,
        MutationKind::WrongDestination,
        MutationKind::WrongSource,
        MutationKind::WrongImmediate,
        MutationKind::WrongOffset,
        MutationKind::WrongComparison,
    ];
}

/// One step off a well-formed program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mutation {
    /// What goes wrong.
    pub kind: MutationKind,
    /// At which of the places where it can, modulo how many there are; with none, nothing happens.
    pub site: u16,
    /// What it becomes instead, where that has to be said.
    pub value: u8,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it is loaded as.
    pub kind: ProgramKind,
    /// Its statements.
    pub body: Vec<Statement>,
    /// Steps off; empty for a well-formed program.
    pub mutations: Vec<Mutation>,
}

/// The blocks of a statement, by whatever kind of reference it is given.
macro_rules! blocks_of {
    ($statement:expr) => {
        match $statement {
            Statement::If { then, otherwise, .. } => vec![then, otherwise],
            Statement::Loop { body, .. }
            | Statement::Lookup { body, .. }
            | Statement::Packet { body, .. }
            | Statement::PacketAt { body, .. }
            | Statement::Rcu { body }
            | Statement::PercpuNew { body, .. }
            | Statement::NodeNew { body, .. }
            | Statement::TakePercpu { body, .. }
            | Statement::TakeNode { body, .. }
            | Statement::BorrowPercpu { body, .. }
            | Statement::BorrowNode { body, .. }
            | Statement::Copy { body, .. }
            | Statement::Acquire { body, .. }
            | Statement::Pop { body, .. }
            | Statement::Remove { body, .. }
            | Statement::Locked { body, .. }
            | Statement::Kfunc { body, .. } => vec![body],
            _ => Vec::new(),
        }
    };
}

impl Statement {
    /// The statements inside it, block by block.
    #[must_use]
    pub fn blocks(&self) -> Vec<&[Statement]> {
        let blocks: Vec<&Vec<Statement>> = blocks_of!(self);
        blocks.into_iter().map(Vec::as_slice).collect()
    }

    /// The same, to change them.
    #[must_use]
    pub fn blocks_mut(&mut self) -> Vec<&mut Vec<Statement>> {
        blocks_of!(self)
    }
}
