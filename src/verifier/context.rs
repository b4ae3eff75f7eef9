//! The program's context: which bytes of it may be read, and what they are.
//!
//! Here are the contexts of tracing programs, whose arguments BTF describes (`btf_ctx_access`, `kernel/bpf/btf.c`,
//! `tracing_prog_is_valid_access`, `kernel/trace/bpf_trace.c`, Linux 6.12). Other program types' contexts are
//! unsupported and say so.

use super::env::{Check, Verifier, reject, unsupported};
use super::memory::{Access, Mode};
use super::rule::Rule;
use super::value::{Attributes, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::{Type, TypeId};
use crate::kernel::{AttachType, ProgramType};

/// Arguments that a trampoline hands over at most (`MAX_BPF_FUNC_ARGS`).
const MAX_TRACED_ARGUMENTS: i32 = 12;

/// Tracepoints whose arguments may be NULL (`raw_tp_null_args`): unsupported until their table is data.
impl Verifier<'_> {
    /// A load from the context.
    pub fn check_context_access(&mut self, pointer: &Pointer, access: Access) -> Check {
        self.check_fixed_offset(pointer, access.base, false)?;
        let value = self.context_value(access)?;
        self.max_context_offset = self.max_context_offset.max(access.offset as u32 + access.size);
        if let (Mode::Read, Some(register)) = (access.mode, access.register) {
            self.state.set(register, value);
        }
        Ok(())
    }

    fn context_value(&mut self, access: Access) -> Check<Value> {
        let program = self.program_type();
        match program {
            Some(ProgramType::Tracing) => self.traced_argument(access),
            Some(program) => unsupported(format!("context access of a {} program", program.name())),
            None => unsupported("context access of a program whose section name says no type"),
        }
    }

    /// The program's type, if its section name says one.
    #[must_use]
    pub fn program_type(&self) -> Option<ProgramType> {
        ProgramType::from_number(self.program.section.program_type).filter(|&program| program != ProgramType::Unspec)
    }

    /// The program's attach type.
    #[must_use]
    pub fn attach_type(&self) -> Option<AttachType> {
        AttachType::from_number(self.program.section.attach_type)
    }

    fn traced_argument(&mut self, access: Access) -> Check<Value> {
        let Access { offset, size, .. } = access;
        let invalid = || Rule::InvalidContextAccess { offset, size };
        if !(0..MAX_TRACED_ARGUMENTS * 8).contains(&offset) || access.mode == Mode::Write || offset % size as i32 != 0 {
            return reject(invalid());
        }
        let name = self.program.section.target.clone();
        let attach = self.attach_type();
        if !matches!(attach, Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn)) {
            return unsupported(format!(
                "context access of a tracing program attached as {}",
                attach.map_or("nothing", AttachType::name)
            ));
        }
        let Some((returns, parameters)) = self.attach_prototype() else {
            return unsupported(format!(
                "the arguments of {name}; its prototype is not known without the kernel's BTF"
            ));
        };
        if offset % 8 != 0 {
            self.say(&Rule::ContextOffsetNotMultiple { name, offset });
            return reject(invalid());
        }
        let Some(index) = self.argument_at(&parameters, offset) else {
            return unsupported(format!("an argument of {name} that is a struct of more than eight bytes"));
        };
        let no_argument = |verifier: &mut Self, name: String| {
            verifier.say(&Rule::NoSuchArgument { name, number: index + 1 });
            reject(invalid())
        };
        if index > parameters.len() {
            return no_argument(self, name);
        }
        let ty = match parameters.get(index) {
            Some(&ty) => ty,
            None if attach == Some(AttachType::TraceFentry) => return no_argument(self, name),
            None => returns,
        };
        self.traced_value(ty, index, &name, access)
    }

    fn traced_value(&mut self, ty: TypeId, index: usize, name: &str, access: Access) -> Check<Value> {
        let btf = self.profile.btf.clone();
        let resolved = btf.resolve(ty);
        let invalid = || Rule::InvalidContextAccess { offset: access.offset, size: access.size };
        let target = match btf.ty(resolved) {
            Type::Int { size, .. } if *size <= 8 => return Ok(Value::unknown()),
            Type::Enum { .. } | Type::Struct(_) | Type::Union(_) => return Ok(Value::unknown()),
            Type::Pointer { target } => *target,
            other => {
                self.say(&Rule::ArgumentTypeNotAllowed { name: name.to_owned(), index, ty: other.name().to_owned() });
                return reject(invalid());
            }
        };
        if access.size != 8 {
            self.say(&Rule::ArgumentSize { name: name.to_owned(), size: access.size });
            return reject(invalid());
        }
        let pointee = btf.resolve(target);
        match btf.ty(pointee) {
            Type::Void | Type::Int { .. } => return Ok(Value::unknown()),
            Type::Struct(_) | Type::Union(_) => {}
            _ => {
                self.say(&Rule::ArgumentNotStruct { name: name.to_owned(), index });
                return reject(invalid());
            }
        }
        if self.log.enabled() {
            let (ty, id) = (btf.ty(pointee), pointee.0);
            let kind = super::subprogram::kind_name(ty);
            self.log.line(&format!("func '{name}' arg{index} has btf_id {id} type {kind} '{}'", ty.name()));
        }
        let tag = match btf.ty(target) {
            Type::TypeTag { name, .. } => &**name,
            _ => "",
        };
        // Arguments of traced functions may be anything; only those of tracepoints and LSM hooks are trusted.
        let attributes =
            Attributes { user: tag == "user", percpu: tag == "percpu", trust: Trust::Plain, ..Attributes::default() };
        let target = Target::Object(TypeRef { space: TypeSpace::Kernel, id: pointee });
        Ok(Value::Pointer(Pointer::to(target).with(attributes)))
    }

    /// Return type and parameter types of the function that the program is attached to.
    fn attach_prototype(&self) -> Option<(TypeId, Vec<TypeId>)> {
        let btf = &self.profile.btf;
        let function = btf.find_function(&self.program.section.target)?;
        let Type::Function { prototype, .. } = btf.ty(function) else { return None };
        let Type::FunctionPrototype { returns, parameters } = btf.ty(*prototype) else { return None };
        Some((*returns, parameters.iter().map(|parameter| parameter.type_id).collect()))
    }

    /// Which argument lies at that offset: each takes eight bytes, structs more (`get_ctx_arg_idx`).
    fn argument_at(&self, parameters: &[TypeId], offset: i32) -> Option<usize> {
        let all_small = parameters.iter().all(|&ty| self.profile.btf.size_of(ty).is_none_or(|size| size <= 8));
        all_small.then_some(offset as usize / 8)
    }
}
