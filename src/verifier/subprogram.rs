//! Calls of the program's own functions: static ones are followed, global ones are checked on their own and trusted
//! to keep to their prototype (`check_func_call`, `prepare_func_exit`, `kernel/bpf/verifier.c`, Linux 6.12). What a
//! function's parameters take is in [`super::global_function`].

use super::arguments::Call;
use super::env::{Check, Verifier, reject, unsupported};
use super::explore::Next;
use super::memory::Mode;
use super::prune::widen;
use super::rule::{Errno, ReturnBounds, Rule};
use super::stack::Fill;
use super::state::{Frame, FrameKind, Live, Place};
use super::value::{Number, Target, Value};
use crate::btf::Type;
use crate::isa::Register;
use crate::kernel::limits::CALL_FRAMES;

impl Verifier<'_> {
    /// A call of a function of the program.
    pub fn check_subprogram_call(&mut self, offset: i32) -> Check<Next> {
        let target = self.jump_target(i64::from(offset));
        let Some(index) = self.subprogram_starting_at(target) else {
            return unsupported(format!("a call into the middle of a function, to insn {target}"));
        };
        let matched = self.match_prototype(index)?;
        if self.subprograms[index].global {
            return self.check_global_call(index, matched);
        }
        let frames = self.state.frames.len();
        if frames >= CALL_FRAMES {
            return reject(Rule::CallTooDeep { frames: frames + 1 });
        }
        let mut callee = Frame::new(frames as u8, index as u32, Some(self.insn as u32));
        for register in Register::caller_saved() {
            callee.take_register(register, self.frame(), register);
        }
        self.forget_caller_saved();
        self.state.push_frame(callee);
        self.log.touch_all();
        self.log_call();
        Ok(Next::Jump(self.subprograms[index].start))
    }

    fn check_global_call(&mut self, index: usize, matched: Result<(), Errno>) -> Check<Next> {
        let name = self.subprograms[index].name.clone();
        if self.state.obligations.lock.is_some() {
            self.say_text("global function calls are not allowed while holding a lock,");
            return reject(Rule::UseStaticFunction);
        }
        if self.state.obligations.preempt > 0 {
            self.say_text("global function calls are not allowed with preemption disabled,");
            return reject(Rule::UseStaticFunction);
        }
        if let Err(errno) = matched {
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
            let live = self.frame().marks.of(Place::of(Register::R0));
            self.explored.mark_read(live, result.parent, Live::READ64);
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
            let current = self.state.current();
            let (callers, callee) = self.state.frames.split_at_mut(current);
            if let (Some(caller), Some(callee)) = (callers.last_mut(), callee.first()) {
                caller.take_register(Register::R0, callee, Register::R0);
            }
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
