//! What a program is attached to: does it exist, and may programs of this kind be attached there
//! (`check_attach_btf_id`, `bpf_check_attach_target`, `kernel/bpf/verifier.c`; `bpf_lsm_verify_prog`,
//! `kernel/bpf/bpf_lsm.c`, Linux 6.12).

use super::env::{Check, Verifier, reject, unsupported};
use super::rule::Rule;
use super::subprogram::kind_name;
use crate::btf::{Type, TypeId};
use crate::kernel::limits::TRACED_ARGUMENTS;
use crate::kernel::{AttachType, ProgramType};

/// Largest argument that a trampoline passes on.
const MAX_PASSED_BYTES: u32 = 16;

/// Functions that tracing programs must not be attached to, some in some builds only (`btf_id_deny`).
const UNTRACED: [&str; 7] = [
    "migrate_disable",
    "migrate_enable",
    "rcu_read_unlock_strict",
    "preempt_count_add",
    "preempt_count_sub",
    "__rcu_read_lock",
    "__rcu_read_unlock",
];

/// Functions that do not return, whose result no program can see (`noreturn_deny`).
const NO_RETURN: [&str; 12] = [
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__kunit_abort",
    "kunit_try_catch_throw",
    "__module_put_and_kthread_exit",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "do_exit",
    "do_group_exit",
    "kthread_complete_and_exit",
    "kthread_exit",
    "make_task_dead",
];

/// Prefix of the functions that stand for security hooks.
const HOOK_PREFIX: &str = "bpf_lsm_";

impl Verifier<'_> {
    /// The function or hook that the program is attached to exists and fits (`check_attach_btf_id`).
    pub fn check_attach_target(&mut self) -> Check {
        match self.program_type() {
            None => unsupported(format!("section \"{}\", which names no program type", self.program.section.name)),
            Some(ProgramType::Tracing) => self.check_traced_function(),
            Some(ProgramType::Lsm) => self.check_lsm_hook(),
            Some(ProgramType::StructOps) => self.check_struct_ops(),
            Some(ProgramType::Ext) => unsupported("ext programs"),
            Some(_) => Ok(()),
        }
    }

    fn check_traced_function(&mut self) -> Check {
        let target = &self.program.section.target;
        match self.attach_type() {
            Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn) => {}
            Some(AttachType::TraceRawTp) if self.program.section.sleepable => {
                return reject(Rule::CannotBeSleepable);
            }
            Some(AttachType::TraceRawTp) if self.tracepoint(target).is_some() => return Ok(()),
            Some(AttachType::TraceRawTp) => {
                return unsupported(format!("the tracepoint {target}, which is not in the kernel's BTF or the tables"));
            }
            Some(AttachType::TraceIter) if self.iterator_function(target).is_some() => return Ok(()),
            Some(AttachType::TraceIter) => {
                return unsupported(format!("the iterator {target}, which is not in the kernel's BTF or the tables"));
            }
            other => {
                return unsupported(format!(
                    "tracing programs attached as {}",
                    other.map_or("nothing", AttachType::name)
                ));
            }
        }
        if target.is_empty() {
            return unsupported("a tracing program without a target; the loader sets it at run time");
        }
        if self.profile.btf.find_function(target).is_none() {
            return unsupported(format!("the attach target {target}, which is not in the kernel's BTF or the tables"));
        }
        self.check_convention(target)?;
        if self.program.section.sleepable {
            if !self.profile.may_sleep_when_attached_to(target) {
                return reject(Rule::NotSleepable { name: target.clone() });
            }
        } else if self.attach_type() == Some(AttachType::ModifyReturn) && !self.profile.result_is_modifiable(target) {
            return reject(Rule::NotModifiable { name: target.clone() });
        }
        if UNTRACED.contains(&target.as_str()) {
            return unsupported(format!("{target}, which some builds do not let programs trace"));
        }
        if self.attach_type() != Some(AttachType::TraceFentry) && NO_RETURN.contains(&target.as_str()) {
            return reject(Rule::NoReturn);
        }
        Ok(())
    }

    /// A trampoline can pass on what the function takes and returns (`btf_distill_func_proto`).
    fn check_convention(&self, function: &str) -> Check {
        let btf = &self.profile.btf;
        let Some(Type::Function { prototype, .. }) = btf.find_function(function).map(|id| btf.ty(id)) else {
            return Ok(());
        };
        let Type::FunctionPrototype { returns, parameters } = btf.ty(*prototype) else { return Ok(()) };
        let name = || function.to_owned();
        if parameters.len() > TRACED_ARGUMENTS {
            return reject(Rule::TracedTooManyArguments { name: name(), count: parameters.len() });
        }
        let result = btf.ty(btf.resolve(*returns));
        let result_size = match result {
            Type::Void => Some(0),
            Type::Struct(_) => None,
            other => passed_size(other),
        };
        let Some(result_size) = result_size else {
            return reject(Rule::TracedReturnUnsupported { name: name(), kind: kind_name(result) });
        };
        for (index, parameter) in parameters.iter().enumerate() {
            if parameter.type_id == TypeId::VOID && index + 1 == parameters.len() {
                return reject(Rule::TracedVariableArguments { name: name() });
            }
            let ty = btf.ty(btf.resolve(parameter.type_id));
            if passed_size(ty).is_none_or(|size| size > MAX_PASSED_BYTES) {
                return reject(Rule::TracedArgumentUnsupported { name: name(), index, kind: kind_name(ty) });
            }
        }
        let sees_result = matches!(self.attach_type(), Some(AttachType::ModifyReturn | AttachType::TraceFexit));
        if sees_result && result_size > 8 {
            return reject(Rule::TracedWideReturn { name: name() });
        }
        Ok(())
    }

    /// A security hook (`bpf_lsm_verify_prog`).
    fn check_lsm_hook(&mut self) -> Check {
        let name = self.hook_name();
        if self.program.section.target.is_empty() {
            return unsupported("an LSM program without a hook; the loader sets it at run time");
        }
        let Some(id) = self.profile.btf.find_function(&name) else {
            return unsupported(format!("the hook {name}, which is not in the kernel's BTF or the tables"));
        };
        let tables = self.profile.tables();
        if self.program.section.sleepable && !tables.special().in_set("sleepable_lsm_hooks", &name) {
            return reject(Rule::NotSleepable { name });
        }
        if !self.is_gpl() {
            return reject(Rule::LsmNeedsGpl);
        }
        if tables.special().in_set("bpf_lsm_disabled_hooks", &name) {
            return reject(Rule::DisabledHook { id: id.0, name });
        }
        if !tables.targets().lsm_hooks.iter().any(|hook| hook.name == name) {
            return reject(Rule::NotAHook { id: id.0, name });
        }
        Ok(())
    }

    /// The kernel function that stands for the security hook that an LSM program is attached to.
    #[must_use]
    pub fn hook_name(&self) -> String {
        format!("{HOOK_PREFIX}{}", self.program.section.target)
    }

    /// Is the program's security hook in that set of the kernel's?
    #[must_use]
    pub fn hook_is_in(&self, set: &str) -> bool {
        self.profile.tables().special().in_set(set, &self.hook_name())
    }
}

/// Bytes that a value of such a type takes when it is passed; `None` for types that a trampoline does not know
/// (`__get_type_size`).
fn passed_size(ty: &Type) -> Option<u32> {
    match ty {
        Type::Pointer { .. } => Some(8),
        Type::Int { size, .. } | Type::Enum { size, .. } => Some(*size),
        Type::Struct(composite) => Some(composite.size),
        _ => None,
    }
}
