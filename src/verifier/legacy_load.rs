//! Loads from the packet as classic BPF had them, `BPF_LD_ABS` and `BPF_LD_IND` (`check_ld_abs`,
//! `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! They take the context from r6, and end the function with result 0 where the packet is too short.

use super::env::{Check, Verifier, reject};
use super::explore::Next;
use super::rule::Rule;
use super::state::Live;
use super::value::{Target, Value};
use crate::btf::Type;
use crate::isa::Register;
use crate::kernel::ProgramType;

impl Verifier<'_> {
    /// The instruction; `index` is the register of `BPF_LD_IND`.
    pub fn check_legacy_load(&mut self, index: Option<Register>) -> Check<Next> {
        self.check_legacy_load_allowed()?;
        self.read(Register::R6, Live::READ64)?;
        // The function may end here, so nothing may be open.
        if self.say_leaks(false) {
            return reject(Rule::LegacyLoadLeaks);
        }
        let obligations = &self.state.obligations;
        if obligations.lock.is_some() {
            return reject(Rule::LegacyLoadInside { section: "bpf_spin_lock" });
        }
        if obligations.rcu {
            return reject(Rule::LegacyLoadInside { section: "bpf_rcu_read_lock" });
        }
        if obligations.preempt > 0 {
            return reject(Rule::LegacyLoadInside { section: "bpf_preempt_disable" });
        }
        let context = match self.value(Register::R6) {
            Value::Pointer(pointer) if pointer.target == Target::Context => pointer,
            _ => return reject(Rule::LegacyLoadWithoutContext),
        };
        if let Some(index) = index {
            self.read(index, Live::READ64)?;
        }
        self.check_fixed_offset(&context, Register::R6, false)?;
        self.forget_caller_saved();
        self.define(Register::R0, Value::unknown());
        if self.state.frames.len() == 1 {
            return Ok(Next::Fallthrough);
        }
        self.push_branch(self.insn + 1)?;
        self.state.set(Register::R0, Value::constant(0));
        self.return_to_caller()
    }

    fn check_legacy_load_allowed(&self) -> Check {
        use ProgramType as P;
        if !matches!(self.program_type(), Some(P::SocketFilter | P::SchedCls | P::SchedAct)) {
            return reject(Rule::LegacyLoadNotAllowed);
        }
        if self.state.frames.iter().skip(1).any(super::state::Frame::in_callback) {
            return reject(Rule::LegacyLoadInCallback);
        }
        Ok(())
    }

    /// Functions that may end early, by such a load or a tail call, must return a number (`check_abnormal_return`,
    /// `check_btf_func`).
    pub fn check_abnormal_returns(&self) -> Check {
        for subprogram in self.subprograms.iter().skip(1) {
            let scalar = match self.returns_number(subprogram.type_id) {
                Some(scalar) => scalar,
                None if subprogram.has_load_packet => return reject(Rule::LegacyLoadWithoutTypes),
                None if subprogram.has_tail_call => return reject(Rule::TailCallWithoutTypes),
                None => continue,
            };
            if !scalar && subprogram.has_load_packet {
                return reject(Rule::LegacyLoadReturnsNoNumber);
            }
            if !scalar && subprogram.has_tail_call {
                return reject(Rule::TailCallReturnsNoNumber);
            }
        }
        Ok(())
    }

    /// Does the function return a number? `None` if its type is not known.
    fn returns_number(&self, function: Option<crate::btf::TypeId>) -> Option<bool> {
        let btf = self.btf.as_ref()?;
        let Type::Function { prototype, .. } = btf.ty(function?) else { return None };
        let Type::FunctionPrototype { returns, .. } = btf.ty(*prototype) else { return None };
        Some(matches!(btf.ty(btf.resolve(*returns)), Type::Int { size: 1 | 2 | 4 | 8, .. } | Type::Enum { .. }))
    }
}
