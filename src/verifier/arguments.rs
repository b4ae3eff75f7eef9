//! The arguments of a helper, each checked against its prototype (`check_func_arg`, `check_reg_type`,
//! `check_func_arg_reg_off`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! [`Call`] collects what the arguments told, for the effects of the call. Which registers fit which kind of argument
//! is one table, `compatible`. Memory and its size are checked in `memory`.

mod memory;

use super::domain::Tnum;
use super::dynptr::{DynptrUse, HeldDynptr};
use super::env::{Check, Verifier, reject, unsupported};
use super::maps::Field;
use super::memory::{Access, Mode, Source};
use super::rule::Rule;
use super::stack::Fill;
use super::state::Live;
use super::type_name::{Class, pointer_name};
use super::value::{Attributes, DynptrKind, MapRef, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::isa::Register;
use crate::kernel::{Arg, ArgKind, BtfReference, HelperProto, MapType, TypeFlags};

/// Helpers that the rules name.
pub mod helper_id {
    #![allow(missing_docs)]
    pub const MAP_LOOKUP_ELEM: u32 = 1;
    pub const MAP_UPDATE_ELEM: u32 = 2;
    pub const MAP_DELETE_ELEM: u32 = 3;
    pub const GET_SMP_PROCESSOR_ID: u32 = 8;
    pub const TAIL_CALL: u32 = 12;
    pub const PROBE_READ_STR: u32 = 45;
    pub const GET_STACK: u32 = 67;
    pub const GET_LOCAL_STORAGE: u32 = 81;
    pub const SK_RELEASE: u32 = 86;
    pub const MAP_PUSH_ELEM: u32 = 87;
    pub const MAP_POP_ELEM: u32 = 88;
    pub const MAP_PEEK_ELEM: u32 = 89;
    pub const SPIN_LOCK: u32 = 93;
    pub const SPIN_UNLOCK: u32 = 94;
    pub const PROBE_READ_USER_STR: u32 = 114;
    pub const PROBE_READ_KERNEL_STR: u32 = 115;
    pub const GET_TASK_STACK: u32 = 141;
    pub const PER_CPU_PTR: u32 = 153;
    pub const THIS_CPU_PTR: u32 = 154;
    pub const FOR_EACH_MAP_ELEM: u32 = 164;
    pub const SNPRINTF: u32 = 165;
    pub const TIMER_SET_CALLBACK: u32 = 170;
    pub const GET_FUNC_IP: u32 = 173;
    pub const FIND_VMA: u32 = 180;
    pub const LOOP: u32 = 181;
    pub const SET_RETVAL: u32 = 187;
    pub const KPTR_XCHG: u32 = 194;
    pub const DYNPTR_FROM_MEM: u32 = 197;
    pub const DYNPTR_WRITE: u32 = 202;
    pub const DYNPTR_DATA: u32 = 203;
    pub const USER_RINGBUF_DRAIN: u32 = 209;
}

/// What a helper releases: what a register points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// An object, or nothing if the register holds NULL.
    Object(Register),
    /// A dynptr on the stack.
    Dynptr(Register),
}

/// What the arguments of a call told.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The helper.
    pub id: u32,
    /// The map that was passed, or that the timer lies in.
    pub map: Option<MapRef>,
    /// What is released.
    pub released: Option<Released>,
    /// The reference that an argument carries.
    pub reference: u32,
    /// The kptr field that an exchange is with.
    pub kptr: Option<Field>,
    /// The callback.
    pub callback: Option<usize>,
    /// May a callback that runs later sleep?
    pub callback_may_sleep: bool,
    /// Memory on the stack that the helper writes: register, and bytes.
    pub written: Option<(Register, u32)>,
    /// The largest size that was passed.
    pub max_size: u64,
    /// The constant size of the memory that is returned.
    pub memory_size: u32,
    /// The type behind a per-CPU pointer.
    pub percpu_type: Option<TypeRef>,
    /// The dynptr that was passed or made.
    pub dynptr: Option<HeldDynptr>,
    /// May the helper be given packet pointers?
    pub packet_allowed: bool,
    /// The type of the object that a global function's parameter asks for.
    pub wanted: Option<TypeRef>,
}

const NONE: Attributes = Attributes {
    nullable: false,
    trust: Trust::Plain,
    read_only: false,
    allocated: false,
    percpu: false,
    user: false,
    ringbuf: false,
    non_owning: false,
    slice: None,
};
const TRUSTED: Attributes = Attributes { trust: Trust::Trusted, ..NONE };
const RCU: Attributes = Attributes { trust: Trust::Rcu, ..NONE };
const ALLOCATED: Attributes = Attributes { allocated: true, ..NONE };
const RINGBUF: Attributes = Attributes { ringbuf: true, ..NONE };
const PERCPU: Attributes = Attributes { percpu: true, ..NONE };

type Kinds = &'static [(Class, Attributes)];

const MEMORY: Kinds = &[
    (Class::Stack, NONE),
    (Class::Packet, NONE),
    (Class::PacketMeta, NONE),
    (Class::MapKey, NONE),
    (Class::MapValue, NONE),
    (Class::Memory, NONE),
    (Class::Memory, RINGBUF),
    (Class::Buffer, NONE),
    (Class::Object, TRUSTED),
];
const SOCKETS: Kinds =
    &[(Class::SocketCommon, NONE), (Class::Socket, NONE), (Class::TcpSocket, NONE), (Class::XdpSocket, NONE)];

/// The kinds of registers that an argument takes (`compatible_reg_types`).
fn compatible(kind: ArgKind) -> Option<Kinds> {
    Some(match kind {
        ArgKind::PtrToMapKey | ArgKind::PtrToMapValue | ArgKind::PtrToMem => MEMORY,
        ArgKind::Scalar | ArgKind::ConstSize | ArgKind::ConstSizeOrZero | ArgKind::ConstAllocSizeOrZero => {
            &[(Class::Scalar, NONE)]
        }
        ArgKind::ConstMapPtr => &[(Class::ConstMap, NONE)],
        ArgKind::PtrToCtx => &[(Class::Context, NONE)],
        ArgKind::PtrToSockCommon => SOCKETS,
        ArgKind::PtrToBtfIdSockCommon => &[
            (Class::SocketCommon, NONE),
            (Class::Socket, NONE),
            (Class::TcpSocket, NONE),
            (Class::XdpSocket, NONE),
            (Class::Object, NONE),
            (Class::Object, TRUSTED),
        ],
        ArgKind::PtrToSocket => &[(Class::Socket, NONE)],
        ArgKind::PtrToBtfId => &[(Class::Object, NONE), (Class::Object, TRUSTED), (Class::Object, RCU)],
        ArgKind::PtrToSpinLock | ArgKind::KptrXchgDest => &[(Class::MapValue, NONE), (Class::Object, ALLOCATED)],
        ArgKind::PtrToRingbufMem => &[(Class::Memory, RINGBUF)],
        ArgKind::PtrToPercpuBtfId => &[
            (Class::Object, PERCPU),
            (Class::Object, Attributes { percpu: true, trust: Trust::Rcu, ..NONE }),
            (Class::Object, Attributes { percpu: true, trust: Trust::Trusted, ..NONE }),
        ],
        ArgKind::PtrToFunc => &[(Class::Function, NONE)],
        ArgKind::PtrToStack => &[(Class::Stack, NONE)],
        ArgKind::PtrToConstStr | ArgKind::PtrToTimer => &[(Class::MapValue, NONE)],
        ArgKind::PtrToDynptr => &[(Class::Stack, NONE), (Class::ConstDynptr, NONE)],
        ArgKind::Anything => return None,
    })
}

fn is_memory_kind(kind: ArgKind) -> bool {
    matches!(kind, ArgKind::PtrToMapKey | ArgKind::PtrToMapValue | ArgKind::PtrToMem)
}

impl Verifier<'_> {
    /// Checks one argument.
    pub fn check_argument(&mut self, index: usize, call: &mut Call, proto: &HelperProto) -> Check {
        let (Some(arg), Some(register)) = (proto.args.get(index), Register::argument(index)) else { return Ok(()) };
        let value = self.read(register, Live::READ64)?;
        if arg.kind == ArgKind::Anything {
            if self.hides(register) {
                return reject(Rule::AddressLeaks { register, into: "into helper function" });
            }
            return Ok(());
        }
        if value.as_pointer().is_some_and(Pointer::is_packet)
            && !self.may_access_packet(Mode::Read, Some(call.packet_allowed))
        {
            return reject(Rule::HelperPacketAccess);
        }
        let resolved = self.resolved_argument(arg, call)?;
        let arg = resolved.as_ref().unwrap_or(arg);
        let nullable = arg.flags.contains(TypeFlags::PTR_MAYBE_NULL);
        if value.is_null() && nullable {
            self.mark_precise(register)?;
        } else {
            self.check_argument_kind(register, arg.kind, arg, call)?;
            self.check_argument_offset(register, arg.flags.contains(TypeFlags::OBJ_RELEASE), arg.kind)?;
        }
        self.note_released(register, arg, call)?;
        self.check_argument_by_kind(index, register, arg, call, proto)
    }

    /// What an argument that is a map's value really is, where the map's type says so (`resolve_map_arg_type`).
    fn resolved_argument(&self, arg: &Arg, call: &Call) -> Check<Option<Arg>> {
        if arg.kind != ArgKind::PtrToMapValue {
            return Ok(None);
        }
        let Some(map) = call.map else { return reject(Rule::MapTypeWithoutMap) };
        match self.map(map)?.map_type {
            MapType::Sockmap | MapType::Sockhash if arg.flags.is_empty() => {
                Ok(Some(Arg { kind: ArgKind::PtrToBtfIdSockCommon, ..arg.clone() }))
            }
            MapType::Sockmap | MapType::Sockhash => reject(Rule::InvalidSockmapArgument),
            // A filter is asked for a value, where other maps give one.
            MapType::BloomFilter if call.id == helper_id::MAP_PEEK_ELEM => {
                Ok(Some(Arg { flags: TypeFlags::empty(), ..arg.clone() }))
            }
            _ => Ok(None),
        }
    }

    /// `check_reg_type`.
    pub fn check_argument_kind(&mut self, register: Register, kind: ArgKind, arg: &Arg, call: &Call) -> Check {
        let Some(kinds) = compatible(kind) else { return unsupported(format!("argument kind {}", kind.name())) };
        let value = self.value(register);
        let mismatch = || {
            let names = kinds.iter().map(|&(class, attributes)| pointer_name(class, attributes));
            let expected = names.collect::<Vec<_>>().join(", ");
            reject(Rule::ArgumentType { register, found: value.kernel_name(), expected })
        };
        let mut seen = match &value {
            Value::Scalar(_) => (Class::Scalar, NONE),
            Value::Pointer(pointer) => (pointer.target.class(), pointer.attributes),
            // A global function's argument may be a register that was never written.
            Value::Uninitialised | Value::Iterator(_) | Value::Dynptr(_) => return mismatch(),
        };
        if arg.flags.contains(TypeFlags::MEM_RDONLY) {
            seen.1.read_only = false;
        }
        if arg.flags.contains(TypeFlags::PTR_MAYBE_NULL) {
            seen.1.nullable = false;
        }
        if kind == ArgKind::PtrToMem {
            seen.1.slice = None;
        }
        if call.id == helper_id::KPTR_XCHG && seen.1.allocated && register == Register::R2 {
            seen.1.allocated = false;
            seen.1.percpu = false;
        }
        if !kinds.contains(&seen) {
            return mismatch();
        }
        match value.as_pointer() {
            Some(pointer) if pointer.object().is_some() => {
                let pointer = *pointer;
                self.check_object_argument(register, &pointer, kind, arg, call)
            }
            _ => Ok(()),
        }
    }

    fn check_object_argument(
        &mut self,
        register: Register,
        pointer: &Pointer,
        kind: ArgKind,
        arg: &Arg,
        call: &Call,
    ) -> Check {
        let releases = arg.flags.contains(TypeFlags::OBJ_RELEASE);
        if is_memory_kind(kind) {
            if !arg.flags.contains(TypeFlags::MEM_RDONLY) {
                return reject(Rule::HelperMayWrite {
                    helper: self.helper_name(call.id),
                    register,
                    pointer: pointer.kernel_name(),
                });
            }
            return Ok(());
        }
        let attributes = pointer.attributes;
        if [ALLOCATED, Attributes { percpu: true, ..ALLOCATED }].contains(&attributes) {
            return match call.id {
                helper_id::KPTR_XCHG if register == Register::R2 => self.check_exchanged(call, register),
                helper_id::KPTR_XCHG | helper_id::SPIN_LOCK | helper_id::SPIN_UNLOCK => Ok(()),
                _ => reject(Rule::AllocatedToHelper),
            };
        }
        if (Attributes { trust: Trust::Plain, ..attributes }) == PERCPU && attributes.trust != Trust::Untrusted {
            return Ok(());
        }
        let without_null = Attributes { nullable: false, ..attributes };
        if ![NONE, TRUSTED, RCU].contains(&without_null) {
            return reject(Rule::UnfitObject);
        }
        if attributes.nullable && (!arg.flags.contains(TypeFlags::PTR_MAYBE_NULL) || releases) {
            return reject(Rule::NullableToHelper { register });
        }
        if call.id == helper_id::KPTR_XCHG {
            return self.check_exchanged(call, register);
        }
        let (Some(found), Some(wanted)) = (pointer.object(), call.wanted.or(self.wanted_object(kind, arg)?)) else {
            return unsupported(format!("the type of {register} in a call of {}", self.helper_name(call.id)));
        };
        let strict = releases && call.id != helper_id::SK_RELEASE;
        if !self.types_match(found, pointer.offset, wanted, strict, !attributes.allocated) {
            return reject(Rule::ArgumentStruct {
                register,
                found: self.type_name(found),
                wanted: self.type_name(wanted),
            });
        }
        Ok(())
    }

    fn check_exchanged(&mut self, call: &Call, register: Register) -> Check {
        match call.kptr {
            Some(field) => self.check_kptr_type(&field, register),
            None => unsupported("an exchange with no kptr field"),
        }
    }

    /// The kernel struct that an argument asks for.
    fn wanted_object(&self, kind: ArgKind, arg: &Arg) -> Check<Option<TypeRef>> {
        let name = match &arg.btf {
            Some(BtfReference::Struct(name)) => name.as_str(),
            Some(BtfReference::Rule) => return Ok(None),
            None if kind == ArgKind::PtrToBtfIdSockCommon => "sock_common",
            None => return Ok(None),
        };
        match self.profile.btf.find_struct(name) {
            Some(id) => Ok(Some(TypeRef { space: TypeSpace::Kernel, id })),
            None => unsupported(format!("struct {name}, which is not known without the kernel's BTF")),
        }
    }

    /// `check_func_arg_reg_off`.
    pub fn check_argument_offset(&self, register: Register, releases: bool, kind: ArgKind) -> Check {
        let pointer = match self.value(register) {
            Value::Pointer(pointer) => pointer,
            // A register that was never written has an offset that is not known, says the kernel.
            value @ Value::Uninitialised => {
                return reject(Rule::VariableOffset { pointer: value.kernel_name(), variable: Tnum::UNKNOWN });
            }
            Value::Scalar(_) | Value::Iterator(_) | Value::Dynptr(_) => return Ok(()),
        };
        if releases {
            if kind == ArgKind::PtrToDynptr && matches!(pointer.target, Target::Stack { .. }) {
                return Ok(());
            }
            if pointer.offset != 0 {
                return reject(Rule::ReleasedWithOffset { register });
            }
            return self.check_fixed_offset(&pointer, register, false);
        }
        let attributes = pointer.attributes;
        let plain = attributes == NONE;
        match pointer.target {
            Target::Stack { .. } | Target::Packet { .. } | Target::MapKey(_) | Target::MapValue(_) | Target::Arena
                if plain =>
            {
                Ok(())
            }
            Target::Memory { .. } if plain || attributes == RINGBUF => Ok(()),
            Target::Memory { .. } | Target::Buffer if (Attributes { read_only: false, ..attributes }) == NONE => Ok(()),
            Target::Object(_) => {
                let fixed_allowed = [
                    NONE,
                    ALLOCATED,
                    TRUSTED,
                    RCU,
                    Attributes { non_owning: true, ..ALLOCATED },
                    Attributes { non_owning: true, trust: Trust::Rcu, ..ALLOCATED },
                ]
                .contains(&attributes);
                self.check_fixed_offset(&pointer, register, fixed_allowed)
            }
            _ => self.check_fixed_offset(&pointer, register, false),
        }
    }

    fn note_released(&mut self, register: Register, arg: &Arg, call: &mut Call) -> Check {
        let value = self.value(register);
        if arg.flags.contains(TypeFlags::OBJ_RELEASE) {
            if arg.kind == ArgKind::PtrToDynptr {
                self.check_dynptr_release(register)?;
                call.released = Some(Released::Dynptr(register));
            } else {
                if value.reference() == 0 && !value.is_null() {
                    return reject(Rule::NotReferenced { register });
                }
                call.released = Some(Released::Object(register));
            }
        }
        if value.reference() != 0 && arg.kind != ArgKind::KptrXchgDest {
            if call.reference != 0 {
                return reject(Rule::TwoReferences { register, this: value.reference(), other: call.reference });
            }
            call.reference = value.reference();
        }
        Ok(())
    }

    fn check_argument_by_kind(
        &mut self,
        index: usize,
        register: Register,
        arg: &Arg,
        call: &mut Call,
        proto: &HelperProto,
    ) -> Check {
        let kind = arg.kind;
        let writes = |arg: &Arg| if arg.flags.contains(TypeFlags::MEM_WRITE) { Mode::Write } else { Mode::Read };
        let fill = if arg.flags.contains(TypeFlags::MEM_UNINIT) { Fill::Write } else { Fill::Read };
        match kind {
            ArgKind::ConstMapPtr => self.check_map_argument(register, call),
            ArgKind::PtrToMapKey => {
                let Some(map) = call.map else { return reject(Rule::KeyWithoutMap) };
                let size = self.map(map)?.key_size;
                self.check_helper_memory(register, size, Mode::Read, false, Fill::Read, call)
            }
            ArgKind::PtrToMapValue => {
                let Some(map) = call.map else { return reject(Rule::ValueWithoutMap) };
                let is_null = self.value(register).is_null();
                if arg.flags.contains(TypeFlags::PTR_MAYBE_NULL) && is_null {
                    return Ok(());
                }
                let size = self.map(map)?.value_size;
                self.check_helper_memory(register, size, writes(arg), false, fill, call)
            }
            ArgKind::PtrToPercpuBtfId => {
                call.percpu_type = self.pointer(register)?.object();
                Ok(())
            }
            ArgKind::PtrToSpinLock => self.check_lock_argument(register, call),
            ArgKind::PtrToFunc => {
                if let Some(Target::Function { subprogram }) = self.target(register) {
                    call.callback = Some(subprogram as usize);
                }
                Ok(())
            }
            ArgKind::PtrToMem => match arg.size {
                Some(size) if arg.flags.contains(TypeFlags::MEM_FIXED_SIZE) => {
                    let aligned = arg.flags.contains(TypeFlags::MEM_ALIGNED);
                    self.check_helper_memory(register, size, writes(arg), false, fill, call)?;
                    if aligned { self.check_aligned(register, size) } else { Ok(()) }
                }
                _ => Ok(()),
            },
            ArgKind::ConstSize | ArgKind::ConstSizeOrZero => {
                let memory = index.checked_sub(1).and_then(|before| proto.args.get(before));
                let Some(memory) = memory else { return unsupported("a size without memory before it") };
                let fill = if memory.flags.contains(TypeFlags::MEM_UNINIT) { Fill::Write } else { Fill::Read };
                self.check_size(register, writes(memory), kind == ArgKind::ConstSizeOrZero, fill, call)
            }
            ArgKind::ConstAllocSizeOrZero => {
                let number = self.number(register)?;
                let Some(size) = Self::known(&number.bounds) else {
                    return reject(Rule::NotAKnownConstant { register });
                };
                call.memory_size = size as u32;
                self.mark_precise(register)
            }
            ArgKind::PtrToConstStr => self.check_constant_string(register, call),
            ArgKind::KptrXchgDest => self.check_exchange_destination(register, call),
            ArgKind::PtrToTimer => self.check_timer_argument(register, call),
            ArgKind::PtrToDynptr => {
                let usage = Self::dynptr_use(arg)?;
                call.dynptr = Some(self.check_dynptr(register, usage)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_map_argument(&mut self, register: Register, call: &mut Call) -> Check {
        let pointer = self.pointer(register)?;
        let Some(map) = pointer.map() else { return unsupported("a map argument that is no map") };
        self.check_same_map(call.map, map)?;
        call.map = Some(map);
        Ok(())
    }

    /// `process_kptr_func`.
    fn check_exchange_destination(&mut self, register: Register, call: &mut Call) -> Check {
        let pointer = self.pointer(register)?;
        if let Some(map_ref) = pointer.map() {
            let map = self.map(map_ref)?;
            if !map.has_btf {
                return reject(Rule::ExchangeWithoutBtf { map: map.name.clone() });
            }
            call.map = Some(map_ref);
        }
        let Some(offset) = pointer.known_offset() else {
            return reject(Rule::KptrAtVariableOffset { register });
        };
        let Some(fields) = self.fields_of(&pointer).filter(|fields| fields.has_kptr()) else {
            return reject(Rule::NoKptr { register });
        };
        let field = u32::try_from(offset).ok().and_then(|offset| fields.at(offset)).filter(|field| field.is_kptr());
        let Some(field) = field else { return reject(Rule::NotAtKptr { offset: offset as i32 }) };
        if field.kind == crate::btf::fields::FieldKind::KptrUntrusted {
            return reject(Rule::KptrNotReferenced { offset: offset as i32 });
        }
        call.kptr = Some(*field);
        Ok(())
    }

    /// `check_reg_const_str`.
    pub fn check_constant_string(&mut self, register: Register, _call: &mut Call) -> Check {
        let pointer = self.pointer(register)?;
        let Target::MapValue(map_ref) = pointer.target else { return unsupported("a string that is no map's value") };
        let map = self.map(map_ref)?;
        let Some(bytes) = self.frozen_bytes(map) else { return reject(Rule::StringNotReadOnly { register }) };
        let Some(offset) = pointer.known_offset() else { return reject(Rule::StringNotConstant { register }) };
        let size = i64::from(map.value_size) - i64::from(pointer.offset);
        let access = Access {
            base: register,
            offset: pointer.offset,
            size: size.max(0) as u32,
            mode: Mode::Read,
            register: None,
            signed: false,
            atomic: false,
        };
        self.check_map_region(&pointer, map, access, false, Source::Helper)?;
        let terminated =
            usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).is_some_and(|rest| rest.contains(&0));
        if terminated { Ok(()) } else { reject(Rule::StringNotTerminated) }
    }

    /// What a helper does with a dynptr argument.
    fn dynptr_use(arg: &Arg) -> Check<DynptrUse> {
        let kind = Self::dynptr_kind(arg.flags);
        match (arg.flags.contains(TypeFlags::MEM_UNINIT), kind) {
            (true, Some(kind)) => Ok(DynptrUse::Make { kind, shared: 0 }),
            (true, None) => unsupported("a helper that makes a dynptr of no known kind"),
            (false, wanted) => Ok(DynptrUse::Use { wanted, changes: !arg.flags.contains(TypeFlags::MEM_RDONLY) }),
        }
    }

    /// Kind of dynptr that an argument's flags name.
    #[must_use]
    fn dynptr_kind(flags: TypeFlags) -> Option<DynptrKind> {
        if flags.contains(TypeFlags::DYNPTR_TYPE_LOCAL) {
            Some(DynptrKind::Local)
        } else if flags.contains(TypeFlags::DYNPTR_TYPE_RINGBUF) {
            Some(DynptrKind::Ringbuf)
        } else {
            None
        }
    }
}
