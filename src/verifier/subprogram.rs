//! Calls of the program's own functions: static ones are followed, global ones are checked on their own and trusted
//! to keep to their prototype (`check_func_call`, `btf_prepare_func_args`, `prepare_func_exit`,
//! `kernel/bpf/verifier.c` and `btf.c`, Linux 6.12).

use super::arguments::Call;
use super::dynptr::DynptrUse;
use super::env::{Check, Stop, Verifier, reject, unsupported};
use super::explore::Next;
use super::memory::Mode;
use super::prune::widen;
use super::rule::{Errno, ReturnBounds, Rule};
use super::stack::Fill;
use super::state::{Frame, FrameKind, Live};
use super::value::{Attributes, DynptrKind, Number, Pointer, Target, Value};
use crate::btf::{Type, TypeId};
use crate::isa::Register;
use crate::kernel::ArgKind;
use crate::kernel::limits::{CALL_FRAMES, REGISTER_ARGUMENTS};

/// Types that stand for the context of one kind of tracing program or another (`btf_is_prog_ctx_type`).
const TRACING_CONTEXTS: [&str; 5] =
    ["pt_regs", "user_pt_regs", "bpf_user_pt_regs_t", "bpf_perf_event_data", "bpf_raw_tracepoint_args"];

/// What a global function's parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Any number.
    Scalar,
    /// The program's context.
    Context,
    /// Memory of that size.
    Memory {
        /// Bytes.
        size: u32,
        /// May it be NULL?
        nullable: bool,
    },
    /// A dynptr, which the function does not change.
    Dynptr,
}

impl Verifier<'_> {
    /// A call of a function of the program.
    pub fn check_subprogram_call(&mut self, offset: i32) -> Check<Next> {
        let target = self.jump_target(i64::from(offset));
        let Some(index) = self.subprogram_starting_at(target) else {
            return unsupported(format!("a call into the middle of a function, to insn {target}"));
        };
        if self.subprograms[index].global {
            return self.check_global_call(index);
        }
        self.compare_with_types(index)?;
        let frames = self.state.frames.len();
        if frames >= CALL_FRAMES {
            return reject(Rule::CallTooDeep { frames: frames + 1 });
        }
        let mut callee = Frame::new(frames as u8, index as u32, Some(self.insn as u32));
        for register in Register::caller_saved() {
            callee.registers[register.index()] = self.frame().registers[register.index()];
        }
        self.forget_caller_saved();
        self.state.push_frame(callee);
        self.log.touch_all();
        self.log_call();
        Ok(Next::Jump(self.subprograms[index].start))
    }

    fn check_global_call(&mut self, index: usize) -> Check<Next> {
        let name = self.subprograms[index].name.clone();
        let checked = self.arguments_of(index).and_then(|arguments| self.check_call_arguments(&arguments));
        let broken = match checked {
            Ok(()) => None,
            Err(Stop::Reject(rule)) => Some(rule),
            Err(other) => return Err(other),
        };
        if let Some(rule) = &broken {
            self.say(rule);
        }
        if self.state.obligations.lock.is_some() {
            self.say_text("global function calls are not allowed while holding a lock,");
            return reject(Rule::UseStaticFunction);
        }
        if self.state.obligations.preempt > 0 {
            self.say_text("global function calls are not allowed with preemption disabled,");
            return reject(Rule::UseStaticFunction);
        }
        if let Some(rule) = broken {
            let errno = match *rule {
                Rule::NegativeOffset { .. } | Rule::ModifiedPointer { .. } | Rule::VariableOffset { .. } => {
                    rule.errno()
                }
                _ => Errno::Invalid,
            };
            return reject(Rule::InvalidArgumentsToGlobal { index, name, errno });
        }
        if self.log.enabled() {
            self.log.line(&format!("Func#{index} ('{name}') is global and assumed valid."));
        }
        if self.subprograms[index].changes_packet {
            self.forget_packet_pointers();
        }
        self.subprograms[index].called = true;
        self.forget_caller_saved();
        self.define(Register::R0, Value::unknown());
        Ok(Next::Fallthrough)
    }

    /// The types of a function that is followed decide nothing, but the kernel looks at them all the same: its log
    /// says where they do not fit, and dynptrs count as read (`btf_check_subprog_call`).
    pub fn compare_with_types(&mut self, index: usize) -> Check {
        if self.subprograms[index].unreliable {
            return Ok(());
        }
        let Some(arguments) = self.static_arguments(index) else {
            self.subprograms[index].unreliable = true;
            return Ok(());
        };
        let notes = self.notes.len();
        match self.check_call_arguments(&arguments) {
            Err(Stop::Reject(rule)) => {
                self.log.line(&rule.to_string());
                self.notes.truncate(notes);
                self.subprograms[index].unreliable = true;
                Ok(())
            }
            other => other,
        }
    }

    /// What a static function's parameters take, if all are of kinds that the kernel knows there.
    fn static_arguments(&self, index: usize) -> Option<Vec<Argument>> {
        let btf = self.btf.clone()?;
        let Type::Function { prototype, .. } = btf.ty(self.subprograms[index].type_id?) else { return None };
        let Type::FunctionPrototype { returns, parameters } = btf.ty(*prototype) else { return None };
        let returns_number = matches!(btf.ty(btf.resolve(*returns)), Type::Int { .. } | Type::Enum { .. });
        if parameters.len() > REGISTER_ARGUMENTS || !returns_number {
            return None;
        }
        parameters
            .iter()
            .map(|parameter| match btf.ty(btf.resolve(parameter.type_id)) {
                Type::Int { .. } | Type::Enum { .. } => Some(Argument::Scalar),
                Type::Pointer { target } => {
                    let target = btf.ty(btf.resolve(*target));
                    if self.is_context_struct(target.name()) {
                        return Some(Argument::Context);
                    }
                    is_dynptr(target).then_some(Argument::Dynptr)
                }
                _ => None,
            })
            .collect()
    }

    fn check_call_arguments(&mut self, arguments: &[Argument]) -> Check {
        for (index, argument) in arguments.iter().enumerate() {
            let Some(register) = Register::argument(index) else { continue };
            let value = self.value(register);
            match *argument {
                Argument::Scalar if !value.is_scalar() => return reject(Rule::NotScalar { register }),
                Argument::Scalar => {}
                Argument::Context => {
                    self.check_argument_offset(register, false, ArgKind::Anything)?;
                    if self.target(register) != Some(Target::Context) {
                        return reject(Rule::ExpectsContext { index });
                    }
                }
                Argument::Dynptr => {
                    self.check_argument_offset(register, false, ArgKind::PtrToDynptr)?;
                    self.check_dynptr(register, DynptrUse::Use { wanted: None, changes: false })?;
                }
                Argument::Memory { size, nullable } => {
                    self.check_argument_offset(register, false, ArgKind::Anything)?;
                    self.check_memory_argument(register, size)?;
                    if !nullable && value.may_be_null() {
                        return reject(Rule::ExpectedNotNull { index });
                    }
                }
            }
        }
        Ok(())
    }

    /// Memory that the callee may read and write (`check_mem_reg`).
    pub fn check_memory_argument(&mut self, register: Register, size: u32) -> Check {
        let value = self.value(register);
        if value.is_null() {
            return Ok(());
        }
        if let Value::Pointer(pointer) = value
            && pointer.attributes.nullable
        {
            let checked = self.not_null(pointer);
            self.state.set(register, Value::Pointer(checked));
        }
        let mut call = Call::default();
        let read = self.check_helper_memory(register, size, Mode::Read, true, Fill::Read, &mut call);
        let result =
            read.and_then(|()| self.check_helper_memory(register, size, Mode::Write, true, Fill::Read, &mut call));
        if value.may_be_null() {
            self.state.set(register, value);
        }
        result
    }

    /// What a function's parameters take (`btf_prepare_func_args`).
    pub fn arguments_of(&mut self, index: usize) -> Check<Vec<Argument>> {
        if let Some(arguments) = &self.subprograms[index].arguments {
            return Ok(arguments.clone());
        }
        let arguments = self.read_arguments(index)?;
        self.subprograms[index].arguments = Some(arguments.clone());
        Ok(arguments)
    }

    fn read_arguments(&mut self, index: usize) -> Check<Vec<Argument>> {
        let name = self.subprograms[index].name.clone();
        let (Some(btf), Some(type_id)) = (self.btf.clone(), self.subprograms[index].type_id) else {
            return unsupported(format!("global function {name}() without BTF"));
        };
        let Type::Function { prototype, .. } = btf.ty(type_id) else {
            return unsupported(format!("global function {name}() whose type is no function"));
        };
        let Type::FunctionPrototype { returns, parameters } = btf.ty(*prototype) else {
            return unsupported(format!("global function {name}() without a prototype"));
        };
        if parameters.len() > REGISTER_ARGUMENTS {
            return reject(Rule::TooManyGlobalArguments { name, count: parameters.len() });
        }
        if !matches!(btf.ty(btf.resolve(*returns)), Type::Int { .. } | Type::Enum { .. }) {
            return reject(Rule::GlobalReturnsNoScalar { name });
        }
        let types: Vec<TypeId> = parameters.iter().map(|parameter| parameter.type_id).collect();
        let tagged = btf.iter().any(|(_, ty)| {
            matches!(ty, Type::DeclTag { name, target, component: Some(_) } if *target == type_id && name.starts_with("arg:"))
        });
        if tagged {
            return unsupported(format!("argument tags on global function {name}()"));
        }
        types.iter().enumerate().map(|(argument, &ty)| self.read_argument(&btf, argument, ty, &name)).collect()
    }

    fn read_argument(&self, btf: &crate::btf::Btf, index: usize, ty: TypeId, name: &str) -> Check<Argument> {
        match btf.ty(btf.resolve(ty)) {
            Type::Int { .. } | Type::Enum { .. } => Ok(Argument::Scalar),
            Type::Pointer { target } => {
                let alias = btf.ty(*target).name();
                let target = btf.resolve(*target);
                let target_name = btf.ty(target).name();
                if self.is_context_struct(target_name) {
                    return Ok(Argument::Context);
                }
                if TRACING_CONTEXTS.contains(&target_name) || TRACING_CONTEXTS.contains(&alias) {
                    return unsupported(format!(
                        "a context passed to global function {name}() as {alias}{target_name}"
                    ));
                }
                if is_dynptr(btf.ty(target)) {
                    return Ok(Argument::Dynptr);
                }
                match btf.size_of(target) {
                    Some(size) => Ok(Argument::Memory { size, nullable: true }),
                    None => reject(Rule::ArgumentSizeUnknown {
                        index,
                        kind: kind_name(btf.ty(target)),
                        name: target_name.to_owned(),
                    }),
                }
            }
            other => reject(Rule::GlobalArgumentUnsupported { index, kind: kind_name(other), name: name.to_owned() }),
        }
    }

    /// Is that struct the context of programs of this type?
    #[must_use]
    pub fn is_context_struct(&self, name: &str) -> bool {
        !name.is_empty()
            && self.program_type().is_some_and(|program| self.profile.context_struct(program) == Some(name))
    }

    /// The registers with which a global function is checked on its own.
    pub fn global_entry(&mut self, index: usize) -> Check<Frame> {
        let arguments = self.arguments_of(index)?;
        let mut frame = Frame::new(0, index as u32, None);
        for (number, argument) in arguments.iter().enumerate() {
            let value = match *argument {
                Argument::Scalar => Value::unknown(),
                Argument::Context => Value::Pointer(Pointer::to(Target::Context)),
                Argument::Dynptr => {
                    let id = self.new_id();
                    Value::Pointer(Pointer { id, ..Pointer::to(Target::ConstDynptr(DynptrKind::Local)) })
                }
                Argument::Memory { size, nullable } => {
                    let attributes = Attributes { nullable, ..Attributes::default() };
                    let id = self.new_id();
                    Value::Pointer(Pointer { id, ..Pointer::to(Target::Memory { size, dynptr: 0 }).with(attributes) })
                }
            };
            frame.registers[number + 1].value = value;
        }
        Ok(frame)
    }

    /// A function returns to its caller, or a callback to the helper that called it (`prepare_func_exit`).
    pub fn return_to_caller(&mut self) -> Check<Next> {
        let result = self.frame().registers[Register::R0.index()];
        if matches!(result.value.as_pointer().map(|pointer| pointer.target), Some(Target::Stack { .. })) {
            return reject(Rule::ReturnStackPointer);
        }
        let Some(callsite) = self.frame().callsite.map(|callsite| callsite as usize) else {
            return unsupported("a return from a frame that was not called");
        };
        let is_callback = self.frame().in_callback();
        if let FrameKind::Callback(range) = self.frame().kind {
            let Value::Scalar(number) = result.value else { return reject(Rule::CallbackResultNotScalar) };
            self.explored.mark_read(result.live, result.parent, Live::READ64);
            self.mark_precise(Register::R0)?;
            let Number { bounds, .. } = number;
            if !(i64::from(range.min) <= bounds.smin && bounds.smax <= i64::from(range.max)) {
                return reject(Rule::OutsideReturnRange {
                    context: "At callback return",
                    register: "R0",
                    bounds: ReturnBounds { smin: bounds.smin, smax: bounds.smax },
                    range,
                });
            }
        }
        let next = if is_callback { callsite } else { callsite + 1 };
        if !is_callback {
            let caller = self.state.current() - 1;
            self.state.frames[caller].registers[Register::R0.index()] = result;
        }
        self.log_return(next);
        self.state.frames.pop();
        if is_callback && let Some(previous) = self.previous_entry(next, &self.state) {
            let last_id = self.last_id;
            widen(self.explored.state(previous), &mut self.state, last_id);
        }
        Ok(Next::Jump(next))
    }
}

/// The type that stands for dynptrs, or a declaration of it (`btf_is_dynptr_ptr`).
fn is_dynptr(ty: &Type) -> bool {
    matches!(ty, Type::Struct(_) | Type::Forward { is_union: false, .. }) && ty.name() == "bpf_dynptr"
}

/// The kernel's word for a kind of type (`btf_type_str`).
#[must_use]
pub fn kind_name(ty: &Type) -> &'static str {
    match ty {
        Type::Void => "UNKNOWN",
        Type::Int { .. } => "INT",
        Type::Pointer { .. } => "PTR",
        Type::Array { .. } => "ARRAY",
        Type::Struct(_) => "STRUCT",
        Type::Union(_) => "UNION",
        Type::Enum { is_64: false, .. } => "ENUM",
        Type::Enum { is_64: true, .. } => "ENUM64",
        Type::Forward { .. } => "FWD",
        Type::Typedef { .. } => "TYPEDEF",
        Type::Volatile { .. } => "VOLATILE",
        Type::Const { .. } => "CONST",
        Type::Restrict { .. } => "RESTRICT",
        Type::Function { .. } => "FUNC",
        Type::FunctionPrototype { .. } => "FUNC_PROTO",
        Type::Variable { .. } => "VAR",
        Type::DataSection { .. } => "DATASEC",
        Type::Float { .. } => "FLOAT",
        Type::DeclTag { .. } => "DECL_TAG",
        Type::TypeTag { .. } => "TYPE_TAG",
    }
}
