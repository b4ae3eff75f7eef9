//! What a helper gives: the value in `r0`, and the reference that it carries (`check_helper_call`, `do_refine_retval_range`,
//! `kernel/bpf/verifier.c`, Linux 6.12).

use super::{ACQUIRING, MAX_ERRNO, POINTER_CASTS};
use crate::btf::fields::FieldKind;
use crate::isa::Register;
use crate::kernel::{BtfReference, HelperProto, MapType, RetKind, TypeFlags};
use crate::seeded::{self, Fault};
use crate::verifier::arguments::{Call, helper_id as id};
use crate::verifier::domain::Scalar;
use crate::verifier::env::{Check, Verifier, unsupported};
use crate::verifier::maps::Fields;
use crate::verifier::obligations::{Entry, Held};
use crate::verifier::value::{Attributes, Number, Pointer, SocketKind, Target, Trust, TypeRef, TypeSpace, Value};

impl Verifier<'_> {
    /// For the helpers that resolve a per-CPU pointer: does it point to an object that the program allocated?
    pub(super) fn percpu_result(&self, call: &Call) -> Check<bool> {
        if !matches!(call.id, id::PER_CPU_PTR | id::THIS_CPU_PTR) {
            return Ok(false);
        }
        let pointer = self.pointer(Register::R1)?;
        Ok(pointer.is_rcu())
    }

    pub(super) fn define_result(&mut self, call: &Call, proto: &HelperProto, percpu: bool) -> Check {
        let flags = proto.ret.flags;
        let mut attributes = Attributes {
            nullable: flags.contains(TypeFlags::PTR_MAYBE_NULL),
            read_only: flags.contains(TypeFlags::MEM_RDONLY),
            ringbuf: flags.contains(TypeFlags::MEM_RINGBUF),
            trust: if flags.contains(TypeFlags::PTR_TRUSTED) { Trust::Trusted } else { Trust::Plain },
            ..Attributes::default()
        };
        attributes.nullable &= !(seeded::active(Fault::ForgetNullOfExchange) && call.id == id::KPTR_XCHG);
        attributes.nullable &= !(seeded::active(Fault::ForgetNullOfLookup) && call.id == id::MAP_LOOKUP_ELEM);
        let mut identity = false;
        let target = match proto.ret.kind {
            RetKind::Integer => {
                self.define(Register::R0, Value::unknown());
                return Ok(());
            }
            RetKind::Void => return Ok(()),
            RetKind::PtrToMapValue => {
                let Some(map_ref) = call.map else { return unsupported("a map's value without a map") };
                let map = self.map(map_ref)?;
                identity = !attributes.nullable && map.fields.as_ref().is_some_and(Fields::has_lock);
                Target::MapValue(map_ref)
            }
            RetKind::PtrToSocket => Target::Socket(SocketKind::Full { from: None }),
            RetKind::PtrToSockCommon => Target::Socket(SocketKind::Common),
            RetKind::PtrToTcpSock => Target::Socket(SocketKind::Tcp),
            RetKind::PtrToMem => {
                let dynptr = call.dynptr.filter(|_| call.id == id::DYNPTR_DATA).map_or(0, |dynptr| dynptr.id);
                Target::Memory { size: call.memory_size, dynptr }
            }
            RetKind::PtrToMemOrBtfId => self.percpu_copy(call, percpu, &mut attributes)?,
            RetKind::PtrToBtfId => Target::Object(self.returned_object(call, proto, &mut attributes)?),
        };
        let mut pointer = Pointer::to(target).with(attributes);
        if attributes.nullable || identity {
            pointer.id = self.new_id();
        }
        self.give_reference(call, &mut pointer)?;
        self.define(Register::R0, Value::Pointer(pointer));
        Ok(())
    }

    /// One CPU's copy, from a per-CPU pointer.
    fn percpu_copy(&self, call: &Call, percpu: bool, attributes: &mut Attributes) -> Check<Target> {
        let Some(ty) = call.percpu_type else { return unsupported("a per-CPU pointer without a type") };
        let btf = self.types(ty.space)?;
        let resolved = btf.resolve(ty.id);
        if btf.ty(resolved).composite().is_none() {
            let Some(size) = btf.size_of(resolved) else {
                return unsupported("a per-CPU variable of unknown size");
            };
            return Ok(Target::Memory { size, dynptr: 0 });
        }
        if percpu {
            // The copy of an object that the program allocated can be written, and the kernel does not ask to check it
            // for NULL, whatever the CPU number.
            *attributes = Attributes { allocated: true, trust: Trust::Rcu, nullable: false, ..Attributes::default() };
        } else {
            attributes.read_only = false;
        }
        Ok(Target::Object(TypeRef { id: if percpu { ty.id } else { resolved }, ..ty }))
    }

    fn returned_object(&self, call: &Call, proto: &HelperProto, attributes: &mut Attributes) -> Check<TypeRef> {
        if call.id == id::KPTR_XCHG {
            let Some(field) = call.kptr else { return unsupported("an exchange with no kptr field") };
            let ty = field.target()?;
            if ty.space == TypeSpace::Program {
                attributes.allocated = true;
                attributes.percpu = field.kind == FieldKind::KptrPercpu;
            }
            return Ok(ty);
        }
        let Some(BtfReference::Struct(name)) = &proto.ret.btf else {
            return unsupported(format!("the type that {} returns", self.helper_name(call.id)));
        };
        match self.profile.btf.find_struct(name) {
            Some(id) => Ok(TypeRef { space: TypeSpace::Kernel, id }),
            None => unsupported(format!("struct {name}, which is not known without the kernel's BTF")),
        }
    }

    fn give_reference(&mut self, call: &Call, pointer: &mut Pointer) -> Check {
        if POINTER_CASTS.contains(&call.id) {
            pointer.reference = call.reference;
            return Ok(());
        }
        if let (id::DYNPTR_DATA, Some(dynptr)) = (call.id, call.dynptr) {
            pointer.reference = dynptr.reference;
            return Ok(());
        }
        if self.acquires(call)? {
            let held = match (pointer.object(), pointer.attributes.percpu) {
                (Some(ty), true) => Held::PercpuObject(ty),
                (Some(ty), false) => Held::Object(ty),
                (None, _) => Held::Other,
            };
            let id = self.acquire_reference(held);
            pointer.id = id;
            pointer.reference = id;
        }
        Ok(())
    }

    /// Does the helper give a reference (`is_acquire_function`)?
    fn acquires(&self, call: &Call) -> Check<bool> {
        if call.id == id::MAP_LOOKUP_ELEM
            && let Some(map) = call.map
        {
            return Ok(matches!(self.map(map)?.map_type, MapType::Sockmap | MapType::Sockhash));
        }
        Ok(ACQUIRING.contains(&call.id))
    }

    /// Writes a new reference into the ledger, acquired by the current instruction.
    pub fn acquire_reference(&mut self, held: Held) -> u32 {
        let id = self.new_id();
        let callback_frame = self.callback_frame().unwrap_or(0);
        self.state.obligations.acquire(Entry { id, acquired_at: self.insn as u32, callback_frame, held });
        id
    }

    /// `do_refine_retval_range`.
    pub(super) fn refine_result(&mut self, call: &Call, proto: &HelperProto) {
        if proto.ret.kind != RetKind::Integer {
            return;
        }
        let Value::Scalar(mut number) = self.value(Register::R0) else { return };
        let bounds: &mut Scalar = &mut number.bounds;
        match call.id {
            id::GET_STACK
            | id::GET_TASK_STACK
            | id::PROBE_READ_STR
            | id::PROBE_READ_KERNEL_STR
            | id::PROBE_READ_USER_STR => {
                bounds.smax = call.max_size as i64;
                bounds.smax32 = call.max_size as i32;
                bounds.smin = -MAX_ERRNO;
                bounds.smin32 = -MAX_ERRNO as i32;
                bounds.sync();
            }
            id::GET_SMP_PROCESSOR_ID => {
                let last = self.profile.cpus.saturating_sub(1);
                *bounds = Scalar {
                    umax: last.into(),
                    umax32: last,
                    smax: last.into(),
                    smax32: last as i32,
                    umin: 0,
                    umin32: 0,
                    smin: 0,
                    smin32: 0,
                    ..*bounds
                };
                bounds.sync();
            }
            _ => return,
        }
        self.state.set(Register::R0, Value::Scalar(Number { ..number }));
        self.check_bounds(Register::R0);
    }
}
