//! What the verifier knows about one register or one spilled stack slot.
//!
//! A [`Value`] is uninitialised, a scalar, or a pointer; iterators and dynptrs, which live in stack slots only, have
//! variants of their own. The kernel keeps all of it in `struct bpf_reg_state` with a type made of a base and flags;
//! here each property is a field. The kernel's names for them are made in [`super::type_name`].

use super::domain::Scalar;
use crate::btf::TypeId;

/// Which table of types an id belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeSpace {
    /// The kernel's BTF.
    Kernel,
    /// The program's own BTF.
    Program,
}

/// A type, with the table that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeRef {
    /// The table.
    pub space: TypeSpace,
    /// The type's id there.
    pub id: TypeId,
}

/// How far a pointer to an object may be trusted to point to a live one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Nothing is known: the pointer of old tracing programs, read with fault handling.
    #[default]
    Plain,
    /// Valid for as long as the program runs, or until it is released (`PTR_TRUSTED`).
    Trusted,
    /// Valid until the RCU section ends (`MEM_RCU`).
    Rcu,
    /// May point anywhere; reads only (`PTR_UNTRUSTED`).
    Untrusted,
}

/// Properties of a pointer beside what it points to. Each is a flag of `enum bpf_type_flag`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// May be NULL; must be checked first (`PTR_MAYBE_NULL`).
    pub nullable: bool,
    /// Trust in the object.
    pub trust: Trust,
    /// Memory that must not be written (`MEM_RDONLY`).
    pub read_only: bool,
    /// Allocated by the program (`MEM_ALLOC`).
    pub allocated: bool,
    /// One copy for each CPU; must be resolved to a CPU's copy before it can be read (`MEM_PERCPU`).
    pub percpu: bool,
    /// User memory (`MEM_USER`).
    pub user: bool,
    /// A reserved ring buffer record (`MEM_RINGBUF`).
    pub ringbuf: bool,
    /// A list or tree owns the object, not the program (`NON_OWN_REF`).
    pub non_owning: bool,
    /// A slice that `bpf_dynptr_slice` gave, of a dynptr of that kind (`DYNPTR_TYPE_xxx`).
    pub slice: Option<DynptrKind>,
}

/// A map that a register refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapRef {
    /// Index into the verifier's maps.
    pub index: u32,
    /// Tells lookups of an inner map apart; 0 for an outer map.
    pub uid: u32,
}

/// Kinds of socket pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// `struct bpf_sock`, fields common to all sockets.
    Common,
    /// `struct bpf_sock`, a full socket.
    Full {
        /// The map that it was looked up in: the kernel keeps it in the register, and tells such sockets apart from
        /// others where states are compared.
        from: Option<MapRef>,
    },
    /// `struct bpf_tcp_sock`.
    Tcp,
    /// `struct bpf_xdp_sock`.
    Xdp {
        /// The map that it was looked up in.
        from: MapRef,
    },
}

/// Where in a packet a pointer points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketArea {
    /// The data.
    Data,
    /// The metadata in front of it.
    Meta,
}

/// Kinds of dynptrs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DynptrKind {
    /// Over memory of the program.
    Local,
    /// Over a ring buffer record.
    Ringbuf,
    /// Over a socket buffer.
    Skb,
    /// Over an XDP frame.
    Xdp,
}

/// What a pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The program's context.
    Context,
    /// A map itself.
    ConstMap(MapRef),
    /// A map's value.
    MapValue(MapRef),
    /// A map's key.
    MapKey(MapRef),
    /// A frame of the stack.
    Stack {
        /// Number of the frame, 0 for the entry function's.
        frame: u8,
    },
    /// Packet bytes.
    Packet {
        /// Which part.
        area: PacketArea,
        /// Bytes from here that are known to exist; negative marks an end comparison.
        range: i32,
    },
    /// The packet's end.
    PacketEnd,
    /// The flow dissector's keys.
    FlowKeys,
    /// A socket.
    Socket(SocketKind),
    /// The buffer of a writable raw tracepoint.
    TracepointBuffer,
    /// A struct described by BTF.
    Object(TypeRef),
    /// Memory of known size.
    Memory {
        /// Bytes.
        size: u32,
        /// The dynptr that it is a slice of, 0 if none.
        dynptr: u32,
    },
    /// A buffer whose size the attach point decides.
    Buffer,
    /// A function of the program.
    Function {
        /// Its index.
        subprogram: u32,
    },
    /// The arena.
    Arena,
    /// A dynptr handed in from outside, not on the program's stack.
    ConstDynptr(DynptrKind),
}

/// A pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// What it points to.
    pub target: Target,
    /// Its properties.
    pub attributes: Attributes,
    /// Fixed part of the offset, bytes.
    pub offset: i32,
    /// Variable part of the offset.
    pub variable: Scalar,
    /// Identity: pointers of the same id share null checks, packet ranges and locks; 0 for none.
    pub id: u32,
    /// The reference in the ledger that it carries; 0 for none (`ref_obj_id`).
    pub reference: u32,
}

impl Pointer {
    /// A pointer to the start of `target` that carries nothing.
    #[must_use]
    pub fn to(target: Target) -> Pointer {
        Pointer {
            target,
            attributes: Attributes::default(),
            offset: 0,
            variable: Scalar::constant(0),
            id: 0,
            reference: 0,
        }
    }

    /// The same with other attributes.
    #[must_use]
    pub fn with(mut self, attributes: Attributes) -> Pointer {
        self.attributes = attributes;
        self
    }

    /// The map that it refers to: the map itself, its value or its key.
    #[must_use]
    pub fn map(&self) -> Option<MapRef> {
        match self.target {
            Target::ConstMap(map) | Target::MapValue(map) | Target::MapKey(map) => Some(map),
            _ => None,
        }
    }

    /// The type of the object that it points to.
    #[must_use]
    pub fn object(&self) -> Option<TypeRef> {
        match self.target {
            Target::Object(ty) => Some(ty),
            _ => None,
        }
    }

    /// Does it point to an object that the program allocated, and may be relied upon (`type_is_ptr_alloc_obj`)?
    #[must_use]
    pub fn is_allocated_object(&self) -> bool {
        self.object().is_some() && self.attributes.allocated && self.attributes.trust != Trust::Untrusted
    }

    /// Does it point into a packet, metadata or data?
    #[must_use]
    pub fn is_packet(&self) -> bool {
        matches!(self.target, Target::Packet { .. })
    }

    /// Into a packet, or its end?
    #[must_use]
    pub fn is_packet_or_end(&self) -> bool {
        matches!(self.target, Target::Packet { .. } | Target::PacketEnd)
    }

    /// The offset where it is a known number: fixed plus variable part.
    #[must_use]
    pub fn known_offset(&self) -> Option<i64> {
        self.variable.is_const().then(|| i64::from(self.offset).wrapping_add(self.variable.var_off.value as i64))
    }
}

/// What a pointer that turned out to be NULL would have pointed to. No rule asks for it, but the kernel leaves it in the
/// register (`mark_ptr_or_null_reg`), and its exact comparisons see it (`regs_exact`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NullOf {
    /// Its target.
    pub target: Target,
    /// Fixed part of its offset, bytes.
    pub offset: i32,
}

impl NullOf {
    /// What stays of `pointer`; `None` if the kernel keeps nothing that differs from a plain zero.
    #[must_use]
    pub fn left_by(pointer: &Pointer) -> Option<NullOf> {
        let names_nothing = match pointer.target {
            Target::Socket(SocketKind::Common | SocketKind::Tcp | SocketKind::Full { from: None }) => true,
            Target::Memory { size, dynptr } => size == 0 && dynptr == 0,
            Target::Context | Target::Buffer | Target::TracepointBuffer => true,
            _ => false,
        };
        let left = NullOf { target: pointer.target, offset: pointer.offset };
        (!names_nothing || pointer.offset != 0).then_some(left)
    }
}

/// A scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its possible values.
    pub bounds: Scalar,
    /// Scalars of one id hold the same value, up to their deltas; 0 for none.
    pub id: u32,
    /// Constant that was added since the id was given (`BPF_ADD_CONST` and `off`).
    pub delta: Option<i32>,
    /// Did a decision depend on the exact bounds?
    pub precise: bool,
    /// The pointer that it was, where that turned out to be NULL.
    pub null_of: Option<NullOf>,
}

impl Number {
    /// Any number.
    pub const UNKNOWN: Number = Number { bounds: Scalar::UNKNOWN, id: 0, delta: None, precise: false, null_of: None };

    /// A known number.
    #[must_use]
    pub fn constant(value: u64) -> Number {
        Number { bounds: Scalar::constant(value), ..Number::UNKNOWN }
    }

    /// Any number.
    #[must_use]
    pub fn unknown() -> Number {
        Number::UNKNOWN
    }

    /// Breaks the link to other scalars (`clear_scalar_id`).
    pub fn unlink(&mut self) {
        self.id = 0;
        self.delta = None;
        if let Some(null_of) = &mut self.null_of {
            null_of.offset = 0;
        }
    }
}

/// How far an iterator has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IteratorState {
    /// May still give elements.
    Active,
    /// Has given its last.
    Drained,
}

/// An open-coded iterator in stack slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iterator {
    /// Its struct, `bpf_iter_*`.
    pub ty: TypeRef,
    /// State; `None` in the slots behind the first.
    pub state: Option<IteratorState>,
    /// How often the loop was entered.
    pub depth: u32,
    /// Trust in the elements: an iterator over RCU-protected things dies with the section.
    pub trust: Trust,
    /// Its reference, in the first slot.
    pub reference: u32,
}

/// A dynptr in stack slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynptr {
    /// Its kind.
    pub kind: DynptrKind,
    /// The first of the two slots?
    pub first: bool,
    /// Its identity.
    pub id: u32,
    /// Its reference, 0 for none.
    pub reference: u32,
}

/// What is known of a register or slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Never written, or overwritten by something that must not be read.
    Uninitialised,
    /// A number.
    Scalar(Number),
    /// A pointer.
    Pointer(Pointer),
    /// An iterator's slot (stack only).
    Iterator(Iterator),
    /// A dynptr's slot (stack only).
    Dynptr(Dynptr),
}

impl Value {
    /// Any number.
    pub const UNKNOWN: Value = Value::Scalar(Number::UNKNOWN);

    /// A known number.
    #[must_use]
    pub fn constant(value: u64) -> Value {
        Value::Scalar(Number::constant(value))
    }

    /// Any number.
    #[must_use]
    pub fn unknown() -> Value {
        Value::UNKNOWN
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Value::Scalar(number) => Some(number),
            _ => None,
        }
    }

    /// The pointer, if it is one.
    #[must_use]
    pub fn as_pointer(&self) -> Option<&Pointer> {
        match self {
            Value::Pointer(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// Is it a scalar?
    #[must_use]
    pub fn is_scalar(&self) -> bool {
        matches!(self, Value::Scalar(_))
    }

    /// Is it the number zero (`register_is_null`)?
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.as_number().is_some_and(|number| number.bounds.var_off.equals_const(0))
    }

    /// A pointer that may be NULL?
    #[must_use]
    pub fn may_be_null(&self) -> bool {
        self.as_pointer().is_some_and(|pointer| pointer.attributes.nullable)
    }

    /// The reference that it carries, 0 for none.
    #[must_use]
    pub fn reference(&self) -> u32 {
        match self {
            Value::Pointer(pointer) => pointer.reference,
            Value::Iterator(iterator) => iterator.reference,
            Value::Dynptr(dynptr) => dynptr.reference,
            Value::Uninitialised | Value::Scalar(_) => 0,
        }
    }

    /// Its identity, 0 for none.
    #[must_use]
    pub fn id(&self) -> u32 {
        match self {
            Value::Pointer(pointer) => pointer.id,
            Value::Scalar(number) => number.id,
            Value::Dynptr(dynptr) => dynptr.id,
            Value::Uninitialised | Value::Iterator(_) => 0,
        }
    }
}
