//! How programs end: they return, throw, or cannot go on.

use crate::btf::{Type, TypeId};

use super::context::TRACING_CONTEXT;
use super::event::{AccessKind, Outcome, places};
use super::fault::{End, Fault, FaultKind, Trap, Unsupported};
use super::frames::Then;
use super::models::Call;
use super::ownership::Holder;
use super::region::RegionKind;
use super::stepper::Machine;
use super::story::{Moment, RegionId};
use super::task::Execution;
use super::types;

/// References that a program still held when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// What is leaked.
    pub region: RegionId,
    /// Where it was acquired.
    pub acquired: Moment,
    /// The CPU whose program ended.
    pub cpu: u32,
}

/// `BPF_PROG_TYPE_STRUCT_OPS`.
const STRUCT_OPS: u32 = 27;
/// `BPF_PROG_TYPE_LSM` and the attachment that is not a cgroup's (`BPF_LSM_MAC`).
const LSM: (u32, u32) = (29, 27);
/// Hooks whose result is a truth (`bool_lsm_hooks`).
const BOOL_HOOKS: [&str; 3] =
    ["bpf_lsm_xfrm_state_pol_flow_match", "bpf_lsm_audit_rule_known", "bpf_lsm_inode_xattr_skipcap"];
/// Largest error number.
const MAX_ERRNO: i64 = 4095;

impl Machine {
    /// The innermost frame returns.
    pub(super) fn exit(&mut self, task: u32) -> Result<Outcome, Box<Trap>> {
        let state = &mut self.tasks[task as usize];
        let Some(execution) = &mut state.execution else { return Ok(Outcome::Returned(0)) };
        let value = (execution.known & 1 != 0).then_some(execution.registers[0]);
        let innermost = execution.frames.last().map(|frame| &frame.then);
        // Only a plain function and a member of a struct of callbacks may return nothing.
        let is_struct_ops = execution.program.source.section.program_type == STRUCT_OPS;
        let may_be_void = is_struct_ops || matches!(innermost, Some(Then::Return));
        let Some(result) = value.or(may_be_void.then_some(0)) else {
            return Err(Trap::fault(FaultKind::UninitialisedRegister(0)));
        };
        if execution.frames.len() == 1 {
            check_balance(execution)?;
        }
        let Some(frame) = state.pop(&mut self.memory) else { return Err(Trap::fault(FaultKind::RanOff)) };
        match frame.then {
            Then::Return => {
                if let Some(execution) = &mut state.execution {
                    execution.finish_call(value);
                }
                Ok(Outcome::Ran)
            }
            Then::Resume(continuation) => {
                let (at, args, cpu) = (self.report.at, [0; 5], state.cpu);
                let answer =
                    continuation.resume(&mut Call { machine: self, name: "callback", task, cpu, args, at }, result)?;
                self.answer(task, answer)
            }
            Then::Finish => {
                if let Some(trap) = self.result_out_of_range(task, result) {
                    return Err(trap);
                }
                self.stop(task, true);
                Ok(Outcome::Returned(result))
            }
        }
    }

    /// Makes a task idle: its sections end, and what its program still held is lost. That is a leak if the program
    /// came to its end.
    fn stop(&mut self, task: u32, ended: bool) {
        let cpu = self.cpu_of(task);
        for region in self.ledger.held_by(task).to_vec() {
            let acquired = self.ledger.acquired_at(region, Holder::Task(task)).unwrap_or(self.report.at);
            self.ledger.transfer(region, Holder::Task(task), Holder::Lost);
            if ended {
                self.leaks.push(Leak { region, acquired, cpu });
            }
        }
        for &stack in self.tasks[task as usize].stacks() {
            self.memory.close_frame(stack);
        }
        if self.world.locks.values().any(|&holder| holder == task) {
            self.world.locks.retain(|_, &mut holder| holder != task);
        }
        self.finish_callback(task);
        self.report.order(places::READERS, AccessKind::Release);
        self.rcu.leave(task);
        for (map, first) in self.tasks[task as usize].end() {
            for copy in self.copies(map, first) {
                self.memory.reclaim(copy, self.steps);
            }
        }
    }

    /// Turns a trap into the end of the run, with where and when, and makes the task idle.
    #[cold]
    pub(super) fn fail(&mut self, task: u32, trap: Trap) -> End {
        let cpu = self.cpu_of(task);
        let state = self.tasks.get(task as usize).and_then(|state| state.execution.as_ref());
        let callers = state.map_or(Vec::new(), Execution::callers);
        let mut at = self.report.at;
        if let (Trap::Limit(_), Some(execution)) = (&trap, state) {
            at = Moment { place: execution.place(), cpu, step: self.steps };
        }
        self.stop(task, false);
        match trap {
            Trap::Fault { kind, access, region } => {
                let story = region.map(|id| self.story(id));
                End::Fault(Box::new(Fault { kind, at, access, story, callers }))
            }
            Trap::Unsupported(what) => End::Unsupported(Box::new(Unsupported { what, at, callers })),
            Trap::Unmodelled { region, offset } => {
                let what = self.unmodelled(region, offset);
                End::Unsupported(Box::new(Unsupported { what, at, callers }))
            }
            Trap::Limit(limit) => End::Limit(limit, at),
        }
    }

    /// The text for a read of something inside a kernel object or context that has no model.
    fn unmodelled(&self, region: RegionId, offset: u32) -> String {
        match &self.memory.region(region).kind {
            RegionKind::KernelObject { name, type_id } => {
                let field = self.kernel_types().and_then(|btf| types::field_at(btf, *type_id, offset));
                match field {
                    Some(path) => format!("field {path} of struct {name}, which is not modelled"),
                    None => format!("byte {offset} of struct {name}, which is not modelled"),
                }
            }
            RegionKind::Map { map } => {
                let field = self.map_field_name(*map, offset);
                format!(
                    "{} of struct bpf_map, which is not modelled",
                    field.unwrap_or_else(|| format!("byte {offset}"))
                )
            }
            _ if self.memory.len(region) == TRACING_CONTEXT => {
                format!("argument {} of the traced function, which was not given (--arg)", offset / 8)
            }
            _ => format!("byte {offset} of the context, which is not modelled for this program type"),
        }
    }

    /// The fault if a security hook's result is none: who called the hook takes it for an error pointer or a size
    /// (`bpf_lsm_get_retval_range`, Linux 6.12, says what a hook may return).
    fn result_out_of_range(&self, task: u32, result: u64) -> Option<Box<Trap>> {
        let section = &self.tasks.get(task as usize)?.execution_section()?;
        if (section.program_type, section.attach_type) != LSM {
            return None;
        }
        let types = self.kernel_types()?;
        let name = format!("bpf_lsm_{}", section.target);
        let hook = types.find_function(&name)?;
        let Type::Function { prototype, .. } = types.ty(hook) else { return None };
        let Type::FunctionPrototype { returns, .. } = types.ty(types.resolve(*prototype)) else { return None };
        let result = i64::from(result as i32);
        let most = i64::from(BOOL_HOOKS.contains(&name.as_str()));
        let expected = (-MAX_ERRNO..=most).contains(&result);
        (*returns != TypeId::VOID && !expected).then(|| Trap::fault(FaultKind::ResultOutOfRange(result)))
    }
}

pub(super) fn check_balance(execution: &Execution) -> Result<(), Box<Trap>> {
    let open = if execution.lock.is_some() {
        "the program ends with a bpf_spin_lock held"
    } else if execution.rcu_sections > 0 {
        "the program ends inside a bpf_rcu_read_lock section"
    } else if execution.preempt_sections > 0 {
        "the program ends with preemption disabled"
    } else {
        return Ok(());
    };
    Err(Trap::fault(FaultKind::Unbalanced(open)))
}
