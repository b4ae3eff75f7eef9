//! What a traced function, tracepoint, hook or `struct_ops` member was called with, in a machine that is stocked.
//!
//! An object of the kernel's for each pointer, zero for each number. Which pointers may lead nowhere, or to what is gone, is
//! what the kernel's verifier takes them for (`btf_ctx_access`, Linux 6.12): those of a function that is merely traced may, those of
//! tracepoints, hooks and iterators may not. Start at [`Machine::stock_arguments`].

use super::context::{FENTRY, FEXIT, MODIFY_RETURN};
use super::fault::Trap;
use super::kernel_struct;
use super::memory::Contents;
use super::stepper::Machine;
use super::stock::{GONE, NULL};
use crate::btf::{Btf, Type, TypeId};
use crate::kernel::{ProgramType, StructOps, Tables};
use crate::object::{AttachKind, Section};

/// Least error number, negated (`MAX_ERRNO`).
const MAX_ERRNO: u64 = 4095;

/// Where a pointer may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// To an object.
    Object,
    /// To an object or nowhere.
    Nullable,
    /// To an object, nowhere, or to one that is gone.
    Any,
}

/// An argument's type.
#[derive(Clone, Copy, Debug)]
struct Argument {
    type_id: TypeId,
    trust: Trust,
}

/// What a program finds in its context.
struct Call {
    arguments: Vec<Argument>,
    /// The result's type, if it is behind the arguments.
    result: Option<TypeId>,
}

/// Does each pointer that a program is called with lead to an object?
pub(super) fn are_trusted(section: &Section) -> bool {
    !is_untrusted(section) && section.attach_kind != AttachKind::StructOps
}

/// Is a program called with pointers that may lead anywhere?
fn is_untrusted(section: &Section) -> bool {
    section.program_type == ProgramType::Tracing.number()
        && [FENTRY, FEXIT, MODIFY_RETURN].contains(&section.attach_type)
}

impl Machine {
    /// What such a program on that CPU was called with, to the context's very end: where a pointer may lead elsewhere, a reading says so,
    /// and what the hooks before it have returned. `None` if its prototype is not known.
    pub(super) fn stock_arguments(&mut self, section: &Section, cpu: u32) -> Result<Option<Vec<u8>>, Box<Trap>> {
        let Some(types) = self.options.kernel_types.clone() else { return Ok(None) };
        let Some(Call { arguments, result }) = call(&types, section) else { return Ok(None) };
        let mut words = Vec::new();
        let table = section.struct_ops_member().and_then(|(structure, _)| Tables::embedded().struct_ops(structure));
        for Argument { type_id, trust } in arguments {
            let ty = types.ty(types.resolve(type_id));
            if let Type::Pointer { target } = ty {
                words.push(self.stock_argument(types.ty(types.resolve(*target)), trust, table, cpu)?);
            } else {
                let size = types.size_of(type_id).filter(|_| ty.composite().is_some()).unwrap_or(8);
                words.extend(std::iter::repeat_n(0, size.div_ceil(8) as usize));
            }
        }
        if result.is_some() {
            let is_hook = section.program_type == ProgramType::Lsm.number();
            let reading = if is_hook { self.world.reading(cpu).unwrap_or(0) } else { 0 };
            words.push((reading & MAX_ERRNO).wrapping_neg());
        }
        Ok(Some(words.into_iter().flat_map(u64::to_le_bytes).collect()))
    }

    fn stock_argument(
        &mut self,
        pointee: &Type,
        trust: Trust,
        table: Option<&StructOps>,
        cpu: u32,
    ) -> Result<u64, Box<Trap>> {
        let reading = match trust {
            Trust::Object => 0,
            Trust::Nullable | Trust::Any => self.world.reading(cpu).unwrap_or(0) % 3,
        };
        let name = pointee.composite().map(|_| pointee.name()).filter(|name| !name.is_empty());
        let promoted = table.and_then(|table| table.promoted.as_ref()).filter(|one| name == Some(&one.from));
        let name = promoted.map(|one| &*one.to).or(name);
        let writable = table.and_then(|table| table.writable.as_ref());
        match (reading, trust) {
            (NULL, _) => return Ok(0),
            (GONE, Trust::Any) => return self.stock_pointer(name, GONE),
            _ => {}
        }
        let region = match name {
            // Which fields of it programs may store to is the verifier's business.
            Some(name) if writable.is_some_and(|one| one.structure == name) => {
                let (kind, size) = kernel_struct::described(self.kernel_types(), name);
                self.memory.allocate(kind, size.unwrap_or(0), Contents::Zero, None)?
            }
            Some(name) => self.stock_kernel_object(name)?,
            None => self.untyped()?,
        };
        Ok(self.memory.base(region))
    }
}

/// What a program is called with, by what it is attached to.
fn call(types: &Btf, section: &Section) -> Option<Call> {
    let trust = if is_untrusted(section) { Trust::Any } else { Trust::Object };
    match section.attach_kind {
        AttachKind::Function => {
            let prefixes = ["", "bpf_lsm_", "bpf_iter_"];
            let named = |prefix: &&str| types.find_function(&format!("{prefix}{}", section.target));
            let Type::Function { prototype, .. } = types.ty(prefixes.iter().find_map(named)?) else { return None };
            let (parameters, returns) = prototype_at(types, *prototype)?;
            let has_result = section.program_type == ProgramType::Lsm.number()
                || [FEXIT, MODIFY_RETURN].contains(&section.attach_type);
            let result = Some(returns).filter(|returns| has_result && *returns != TypeId::VOID);
            let arguments = parameters.into_iter().map(|type_id| Argument { type_id, trust }).collect();
            Some(Call { arguments, result })
        }
        AttachKind::RawTracepoint => {
            let name = format!("btf_trace_{}", section.target);
            let typedef = types.find(&name, |ty| matches!(ty, Type::Typedef { .. }))?;
            let Type::Pointer { target } = types.ty(types.resolve(typedef)) else { return None };
            let (parameters, _) = prototype_at(types, *target)?;
            // A tracepoint's first parameter is the tracer's own.
            let arguments = parameters.into_iter().skip(1).map(|type_id| Argument { type_id, trust }).collect();
            Some(Call { arguments, result: None })
        }
        AttachKind::StructOps => {
            let (structure, member) = section.struct_ops_member()?;
            let place = super::types::member(types, types.find_struct(structure)?, member)?;
            let Type::Pointer { target } = types.ty(types.resolve(place.1)) else { return None };
            let (parameters, _) = prototype_at(types, *target)?;
            let table = Tables::embedded().struct_ops(structure);
            let is_nullable = |at| table.is_some_and(|table| table.is_nullable(member, at));
            let trust = |at| if is_nullable(at) { Trust::Nullable } else { Trust::Object };
            let arguments =
                parameters.into_iter().enumerate().map(|(at, type_id)| Argument { type_id, trust: trust(at) });
            Some(Call { arguments: arguments.collect(), result: None })
        }
        _ => None,
    }
}

/// The types of a prototype's parameters and of its result.
fn prototype_at(types: &Btf, id: TypeId) -> Option<(Vec<TypeId>, TypeId)> {
    let Type::FunctionPrototype { parameters, returns } = types.ty(types.resolve(id)) else { return None };
    Some((parameters.iter().map(|parameter| parameter.type_id).collect(), *returns))
}
