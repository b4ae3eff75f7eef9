//! Memory accesses: loads, stores and atomics, and which rule each kind of pointer follows (`check_mem_access`,
//! `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! The stack has a file of its own, and so have objects described by BTF, kptr fields, and the context.

use super::arena::supports_atomic;
use super::domain::Tnum;
use super::env::{Check, PointerKind, Verifier, reject, unsupported};
use super::rule::Rule;
use super::state::Live;
use super::type_name::Class;
use super::value::{Attributes, Number, Pointer, Target, Trust, Value};
use crate::isa::{AtomicOp, ImmediateSource, Operand, Register, Size};
use crate::kernel::limits::VARIABLE_OFFSET;
use crate::seeded::{self, Fault};

/// Reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A load.
    Read,
    /// A store.
    Write,
}

/// An access to memory.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Register with the address.
    pub base: Register,
    /// Offset from it, bytes.
    pub offset: i32,
    /// Bytes.
    pub size: u32,
    /// Reading or writing.
    pub mode: Mode,
    /// The register that is loaded or stored, if one is.
    pub register: Option<Register>,
    /// Is what is loaded extended by its sign?
    pub signed: bool,
    /// Is it part of an atomic operation?
    pub atomic: bool,
}

/// Who accesses: the program itself, or a helper for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An instruction.
    Direct,
    /// A helper.
    Helper,
}

impl Verifier<'_> {
    /// `dst = *(size *)(src + offset)`.
    pub fn check_load(&mut self, size: Size, signed: bool, dst: Register, src: Register, offset: i16) -> Check {
        self.check_read(src, Live::READ64)?;
        self.write(dst)?;
        let kind = self.pointer_kind(src);
        let access = Access {
            base: src,
            offset: offset.into(),
            size: size.bytes(),
            mode: Mode::Read,
            register: Some(dst),
            signed,
            atomic: false,
        };
        self.check_access(access)?;
        self.check_same_kind(kind, true)?;
        self.check_bounds(dst);
        Ok(())
    }

    /// `*(size *)(dst + offset) = src`.
    pub fn check_store(&mut self, size: Size, dst: Register, offset: i16, src: Operand) -> Check {
        let register = match src {
            Operand::Register(register) => {
                let whole = size == Size::B8 || !self.state.value(register).is_scalar();
                self.check_read(register, if whole { Live::READ64 } else { Live::READ32 })?;
                Some(register)
            }
            Operand::Immediate(_) => None,
        };
        self.check_read(dst, Live::READ64)?;
        let kind = self.pointer_kind(dst);
        let access = Access {
            base: dst,
            offset: offset.into(),
            size: size.bytes(),
            mode: Mode::Write,
            register,
            signed: false,
            atomic: false,
        };
        self.check_access(access)?;
        self.check_same_kind(kind, false)
    }

    /// An atomic read-modify-write.
    pub fn check_atomic(&mut self, size: Size, op: AtomicOp, dst: Register, src: Register, offset: i16) -> Check {
        let flag = |value: &Value| if size == Size::B8 || !value.is_scalar() { Live::READ64 } else { Live::READ32 };
        self.read(src, flag(&self.value(src)))?;
        self.read(dst, flag(&self.value(dst)))?;
        if op == AtomicOp::CompareExchange {
            self.read(Register::R0, flag(&self.value(Register::R0)))?;
        }
        let operands = [Register::R0, src];
        let used = if op == AtomicOp::CompareExchange { &operands[..] } else { &operands[1..] };
        if let Some(&register) = used.iter().find(|&&register| self.hides(register)) {
            return reject(Rule::AddressLeaks { register, into: "into mem" });
        }
        self.check_atomic_target(op, dst)?;
        let fetched = op.fetched_into(src);
        if let Some(register) = fetched {
            self.write(register)?;
            self.define(register, Value::unknown());
        }
        let access = Access {
            base: dst,
            offset: offset.into(),
            size: size.bytes(),
            mode: Mode::Read,
            register: None,
            signed: false,
            atomic: true,
        };
        self.check_access(access)?;
        if fetched.is_some() {
            self.check_access(Access { register: fetched, ..access })?;
        }
        let kind = self.pointer_kind(dst);
        self.check_same_kind(kind, false)?;
        self.check_access(Access { mode: Mode::Write, ..access })
    }

    fn check_atomic_target(&self, op: AtomicOp, base: Register) -> Check {
        let Some(pointer) = self.state.value(base).as_pointer() else { return Ok(()) };
        match pointer.target {
            Target::Arena if supports_atomic(op) => Ok(()),
            Target::Context | Target::Packet { .. } | Target::FlowKeys | Target::Socket(_) | Target::Arena => {
                reject(Rule::AtomicNotAllowed { register: base, pointer: pointer.kernel_name() })
            }
            _ => Ok(()),
        }
    }

    /// The kind of pointer in a register, for [`Verifier::check_same_kind`].
    fn pointer_kind(&self, base: Register) -> Option<PointerKind> {
        let value = self.state.value(base);
        let pointer = value.as_pointer()?;
        Some(PointerKind { class: pointer.target.class(), attributes: pointer.attributes })
    }

    /// One instruction must not access the context on one path and an object on another, since each is rewritten in
    /// its own way (`save_aux_ptr_type`).
    fn check_same_kind(&mut self, kind: Option<PointerKind>, trust_may_differ: bool) -> Check {
        let Some(kind) = kind else { return Ok(()) };
        let previous = &mut self.facts[self.insn].pointer_kind;
        let Some(before) = *previous else {
            *previous = Some(kind);
            return Ok(());
        };
        let rewritten = |kind: &PointerKind| {
            matches!(
                kind.class,
                Class::Context
                    | Class::Socket
                    | Class::SocketCommon
                    | Class::TcpSocket
                    | Class::XdpSocket
                    | Class::Object
                    | Class::Arena
            )
        };
        if kind == before || !(rewritten(&kind) || rewritten(&before)) {
            return Ok(());
        }
        if trust_may_differ && kind.class == Class::Object && before.class == Class::Object {
            let attributes = Attributes { trust: Trust::Untrusted, ..Attributes::default() };
            *previous = Some(PointerKind { class: Class::Object, attributes });
            return Ok(());
        }
        reject(Rule::DifferentPointers)
    }

    /// Checks an access by the kind of pointer it goes through, and sets what is loaded.
    pub fn check_access(&mut self, access: Access) -> Check {
        let value = self.value(access.base);
        let Value::Pointer(pointer) = value else {
            if let (Value::Scalar(number), true) = (value, access.atomic) {
                check_aligned_offset("", number.bounds.var_off, number.delta.unwrap_or(0), &access)?;
            }
            return reject(Rule::InvalidMemoryAccess { register: access.base, value: value.kernel_name() });
        };
        self.check_alignment(&pointer, &access)?;
        let access = Access { offset: access.offset.wrapping_add(pointer.offset), ..access };
        self.check_access_by_target(&pointer, access)?;
        if access.mode == Mode::Read
            && access.size < 8
            && let Some(register) = access.register
            && let Value::Scalar(mut number) = self.value(register)
        {
            let size = match access.size {
                1 => Size::B1,
                _ if seeded::active(Fault::NarrowLoadIsNarrower) => Size::B1,
                2 => Size::B2,
                _ => Size::B4,
            };
            number.bounds =
                if access.signed { number.bounds.sign_extended(size) } else { number.bounds.truncated(size) };
            self.state.set(register, Value::Scalar(number));
        }
        Ok(())
    }

    fn check_access_by_target(&mut self, pointer: &Pointer, access: Access) -> Check {
        let invalid = || reject(Rule::InvalidMemoryAccess { register: access.base, value: pointer.kernel_name() });
        let plain = !pointer.attributes.nullable;
        match pointer.target {
            Target::MapValue(map) if plain => self.check_map_value_access(pointer, map, access),
            Target::MapKey(map) if plain => {
                if access.mode == Mode::Write {
                    return reject(Rule::WriteMapKey { register: access.base });
                }
                let size = self.map(map)?.key_size;
                self.check_region(access.base, pointer, access.offset, access.size, size, false)?;
                self.load_unknown(access);
                Ok(())
            }
            Target::Stack { frame } if plain => self.check_stack_access(pointer, frame, access),
            Target::Object(ty) if plain => self.check_object_access(pointer, ty, access),
            Target::Memory { size, .. } => {
                if !plain {
                    return invalid();
                }
                self.check_writable(pointer, access)?;
                self.check_stores_no_address(access, "into mem")?;
                self.check_region(access.base, pointer, access.offset, access.size, size, false)?;
                self.load_unknown(access);
                Ok(())
            }
            Target::Context if plain => self.check_context_access(pointer, access),
            Target::ConstMap(map) if plain => self.check_map_pointer_access(map, access),
            Target::Packet { range, .. } if plain => self.check_packet_access(pointer, range, access),
            Target::FlowKeys if plain => self.check_flow_keys_access(access),
            Target::Socket(kind) if plain => self.check_socket_access(pointer, kind, access),
            Target::TracepointBuffer if plain => self.check_plain_buffer(pointer, access, "tracepoint"),
            Target::Buffer if plain => self.check_buffer_access(pointer, access),
            Target::Arena => {
                self.load_unknown(access);
                Ok(())
            }
            _ => invalid(),
        }
    }

    fn check_writable(&self, pointer: &Pointer, access: Access) -> Check {
        if access.mode == Mode::Write && pointer.attributes.read_only {
            return reject(Rule::WriteReadOnly { register: access.base, pointer: pointer.kernel_name() });
        }
        Ok(())
    }

    /// A buffer whose size the attach point decides, through an instruction or by a helper.
    pub fn check_buffer_access(&mut self, pointer: &Pointer, access: Access) -> Check {
        self.check_writable(pointer, access)?;
        self.check_plain_buffer(pointer, access, if pointer.attributes.read_only { "rdonly" } else { "rdwr" })
    }

    /// A buffer whose size is checked when the program is attached (`__check_buffer_access`).
    fn check_plain_buffer(&mut self, pointer: &Pointer, access: Access, kind: &'static str) -> Check {
        if access.offset < 0 {
            return reject(Rule::InvalidBufferAccess {
                register: access.base,
                buffer: kind,
                offset: access.offset,
                size: access.size,
            });
        }
        if !pointer.variable.var_off.equals_const(0) {
            return reject(Rule::VariableBufferOffset {
                register: access.base,
                offset: access.offset,
                variable: pointer.variable.var_off,
            });
        }
        self.load_unknown(access);
        Ok(())
    }

    /// What is loaded is any number.
    pub fn load_unknown(&mut self, access: Access) {
        if let (Mode::Read, Some(register)) = (access.mode, access.register) {
            self.state.set(register, Value::unknown());
        }
    }

    fn check_map_value_access(&mut self, pointer: &Pointer, map_ref: super::value::MapRef, access: Access) -> Check {
        let map = self.map(map_ref)?;
        self.check_stores_no_address(access, "into map")?;
        map.check_program_may(access)?;
        self.check_map_region(pointer, map, access, false, Source::Direct)?;
        if let Some(known) = Self::known(&pointer.variable) {
            let offset = i64::from(access.offset) + known;
            if let Some(field) = u32::try_from(offset).ok().and_then(|offset| map.kptr_at(offset)) {
                return self.check_kptr_access(field, access);
            }
        }
        let (Mode::Read, Some(register)) = (access.mode, access.register) else { return Ok(()) };
        let value = self.constant_from_map(pointer, map, access).map_or(Value::unknown(), Value::constant);
        self.state.set(register, value);
        Ok(())
    }

    /// The number in a frozen map, if the address is known.
    fn constant_from_map(&self, pointer: &Pointer, map: &super::maps::MapInfo, access: Access) -> Option<u64> {
        let bytes = self.frozen_bytes(map)?;
        let start = usize::try_from(i64::from(access.offset) + Self::known(&pointer.variable)?).ok()?;
        let bytes = bytes.get(start..start.checked_add(access.size as usize)?)?;
        let mut wide = [0u8; 8];
        wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let value = u64::from_le_bytes(wide);
        let unused = 64 - access.size * 8;
        Some(if access.signed { ((value << unused) as i64 >> unused) as u64 } else { value })
    }

    /// A map's value, with the special fields in it (`check_map_access`).
    pub fn check_map_region(
        &mut self,
        pointer: &Pointer,
        map: &super::maps::MapInfo,
        access: Access,
        zero_allowed: bool,
        source: Source,
    ) -> Check {
        self.check_region(access.base, pointer, access.offset, access.size, map.value_size, zero_allowed)?;
        for field in map.fields.iter().flat_map(|fields| &fields.fields) {
            let start = i64::from(field.offset);
            let low = pointer.variable.smin.wrapping_add(access.offset.into());
            let high = (pointer.variable.umax as i64).wrapping_add(access.offset.into()) + i64::from(access.size);
            if low < start + i64::from(field.size) && start < high {
                check_field_overlap(pointer, field, access, source)?;
            }
        }
        Ok(())
    }

    /// An access to `limit` bytes through a pointer whose offset may vary (`check_mem_region_access`).
    pub fn check_region(
        &mut self,
        register: Register,
        pointer: &Pointer,
        offset: i32,
        size: u32,
        limit: u32,
        zero_allowed: bool,
    ) -> Check {
        let offset = i64::from(offset);
        let min = pointer.variable.smin;
        if min < 0
            && (min == i64::MIN || i32::try_from(offset.wrapping_add(min)).is_err() || offset.wrapping_add(min) < 0)
        {
            return reject(Rule::NegativeMinimum { register });
        }
        if let Err(rule) = check_span(register, pointer, min.wrapping_add(offset), size, limit, zero_allowed) {
            self.say(&rule);
            return reject(Rule::MinimumOutside { register });
        }
        let max = pointer.variable.umax;
        if max >= VARIABLE_OFFSET as u64 {
            let forgets = seeded::active(Fault::UnboundedOffset);
            return if forgets { Ok(()) } else { reject(Rule::UnboundedAccess { register }) };
        }
        if let Err(rule) = check_span(register, pointer, max as i64 + offset, size, limit, zero_allowed) {
            self.say(&rule);
            return reject(Rule::MaximumOutside { register });
        }
        Ok(())
    }

    /// Memory that a helper accesses as one number must be aligned to its size.
    pub fn check_aligned(&self, register: Register, size: u32) -> Check {
        let Some(pointer) = self.state.value(register).as_pointer() else { return Ok(()) };
        let access =
            Access { base: register, offset: 0, size, mode: Mode::Read, register: None, signed: false, atomic: true };
        self.check_alignment(pointer, &access)
    }

    /// x86 allows unaligned accesses, except to the stack (`check_ptr_alignment`).
    fn check_alignment(&self, pointer: &Pointer, access: &Access) -> Check {
        let name = match pointer.target {
            Target::Stack { .. } if !seeded::active(Fault::SkipAlignment) => "stack ",
            Target::Arena => return Ok(()),
            _ if seeded::active(Fault::SkipAlignment) => return Ok(()),
            _ if access.atomic => class_for_alignment(pointer),
            _ => return Ok(()),
        };
        check_aligned_offset(name, pointer.variable.var_off, pointer.offset, access)
    }

    /// `dst = imm64`.
    pub fn check_load_immediate(&mut self, dst: Register, source: ImmediateSource) -> Check {
        self.write(dst)?;
        let value = match source {
            ImmediateSource::Value(value) => Value::constant(value),
            ImmediateSource::Map(index) => {
                Value::Pointer(Pointer::to(Target::ConstMap(super::value::MapRef { index, uid: 0 })))
            }
            ImmediateSource::MapValue { map, .. } if self.is_arena(map) => Value::unknown(),
            ImmediateSource::MapValue { map, offset } => {
                let target = Target::MapValue(super::value::MapRef { index: map, uid: 0 });
                let Ok(offset) = i32::try_from(offset) else {
                    return unsupported("the address of a global 2 GiB or more into its section");
                };
                Value::Pointer(Pointer { offset, ..Pointer::to(target) })
            }
            ImmediateSource::KernelVariable(index) => self.kernel_variable(index)?,
            ImmediateSource::Function(offset) => {
                let start = self.jump_target(i64::from(offset));
                self.function_pointer(start)?
            }
        };
        self.define(dst, value);
        Ok(())
    }

    fn function_pointer(&mut self, start: usize) -> Check<Value> {
        let Some(index) = self.subprogram_starting_at(start) else {
            return unsupported("the address of a function that does not start there");
        };
        let subprogram = &self.subprograms[index];
        if subprogram.type_id.is_none() {
            return reject(Rule::MissingFunctionInfo);
        }
        if subprogram.global {
            return reject(Rule::CallbackNotStatic);
        }
        if index == 0 {
            return reject(Rule::CallbackIsMain);
        }
        Ok(Value::Pointer(Pointer::to(Target::Function { subprogram: index as u32 })))
    }

    /// A number with the bounds of a zero-extended load of that many bytes.
    #[must_use]
    pub fn loaded(size: Size) -> Number {
        Number { bounds: Number::unknown().bounds.truncated(size), ..Number::unknown() }
    }
}

/// Is an address aligned for the access, as far as is known (`check_generic_ptr_alignment`)?
fn check_aligned_offset(what: &'static str, variable: Tnum, fixed: i32, access: &Access) -> Check {
    let constant = Tnum::constant(i64::from(fixed).wrapping_add(access.offset.into()) as u64);
    if access.size == 1 || variable.wrapping_add(constant).is_aligned(access.size.into()) {
        return Ok(());
    }
    reject(Rule::MisalignedAccess { what, variable, fixed, offset: access.offset, size: access.size })
}

fn class_for_alignment(pointer: &Pointer) -> &'static str {
    // The kernel compares whole types, so what may be null has no name.
    if pointer.attributes.nullable {
        return "";
    }
    match pointer.target {
        Target::Stack { .. } => "stack ",
        Target::MapKey(_) => "key ",
        Target::MapValue(_) => "value ",
        Target::Context => "context ",
        Target::FlowKeys => "flow keys ",
        Target::Socket(super::value::SocketKind::Full { .. }) => "sock ",
        Target::Socket(super::value::SocketKind::Common) => "sock_common ",
        Target::Socket(super::value::SocketKind::Tcp) => "tcp_sock ",
        Target::Socket(super::value::SocketKind::Xdp { .. }) => "xdp_sock ",
        _ => "",
    }
}

fn check_field_overlap(pointer: &Pointer, field: &super::maps::Field, access: Access, source: Source) -> Check {
    if seeded::active(Fault::SpecialFieldsAreBytes) {
        return Ok(());
    }
    if !field.is_kptr() {
        return reject(Rule::SpecialFieldAccess { field: field.name() });
    }
    if source == Source::Helper {
        return reject(Rule::KptrByHelper);
    }
    let Some(known) = Verifier::known(&pointer.variable) else {
        return reject(Rule::KptrVariableOffset);
    };
    let offset = i64::from(access.offset).wrapping_add(known);
    if offset != i64::from(field.offset) {
        return reject(Rule::KptrMisaligned { expected: field.offset, offset: offset as u64 });
    }
    if access.size != 8 {
        return reject(Rule::KptrSize);
    }
    Ok(())
}

/// Is an access of known offset inside (`__check_mem_access`)?
fn check_span(
    register: Register,
    pointer: &Pointer,
    offset: i64,
    size: u32,
    limit: u32,
    zero_allowed: bool,
) -> Result<(), Rule> {
    // The kernel takes the sum as a 32-bit number; the offsets that reach here are small enough to be one.
    let offset = offset as i32;
    let size_is_fine = size > 0 || zero_allowed;
    let allowed = i64::from(limit) + i64::from(seeded::active(Fault::RegionEndOffByOne));
    if offset >= 0 && size_is_fine && i64::from(offset) + i64::from(size) <= allowed {
        return Ok(());
    }
    Err(match pointer.target {
        Target::MapKey(_) if !pointer.attributes.nullable => Rule::OutsideMapKey { limit, offset, size },
        Target::MapValue(_) if !pointer.attributes.nullable => Rule::OutsideMapValue { limit, offset, size },
        Target::Packet { .. } | Target::PacketEnd => {
            Rule::OutsidePacket { register, id: pointer.id, offset, size, limit }
        }
        _ => Rule::OutsideMemory { limit, offset, size },
    })
}
