//! Which C types stand for a program's context: the parameters of global functions and of kfuncs that take one
//! (`btf_is_prog_ctx_type`, `btf_validate_prog_ctx_type`, `get_kern_ctx_btf_id`, `kernel/bpf/btf.c`, Linux 6.12).

use super::env::{Check, Verifier, unsupported};
use super::rule::Rule;
use super::value::{TypeRef, TypeSpace};
use crate::btf::{Btf, Type, TypeId};
use crate::kernel::{AttachType, ProgramType};

/// The typedef for registers that kprobe programs name.
const USER_REGISTERS: &str = "bpf_user_pt_regs_t";
/// What it stands for on x86-64.
const REGISTERS: &str = "pt_regs";
/// The kernel's struct that has, for each program type, a member of the context's type as programs see it and one of
/// the type that it really is.
const CONTEXTS: &str = "bpf_ctx_convert";

/// Structs of programs that stand for a struct of the kernel, whose name is as good (`btf_is_projection_of`).
#[must_use]
pub fn is_projection(program_side: &str, kernel_side: &str) -> bool {
    matches!((program_side, kernel_side), ("__sk_buff", "sk_buff") | ("xdp_md", "xdp_buff"))
}

impl Verifier<'_> {
    /// Does a pointer to that type mean the context, without a tag that says so?
    #[must_use]
    pub fn is_context_type(&self, btf: &Btf, target: TypeId) -> bool {
        let Some(program) = self.program_type() else { return false };
        if program == ProgramType::Kprobe && names_registers(btf, target) {
            return true;
        }
        let (Type::Struct(composite) | Type::Union(composite)) = btf.ty(btf.resolve(target)) else { return false };
        let Some(context) = self.profile.context_type(program) else { return false };
        match context.strip_prefix("struct ") {
            Some(context) => is_projection(context, &composite.name) || *context == *composite.name,
            None if context == USER_REGISTERS => [USER_REGISTERS, REGISTERS].contains(&&*composite.name),
            None => *context == *composite.name,
        }
    }

    /// May a parameter with the tag `ctx` be a pointer to that type? The error is what the kernel says.
    pub fn check_tagged_context(&self, btf: &Btf, index: usize, target: TypeId) -> Result<(), Rule> {
        let Some(program) = self.program_type() else { return Ok(()) };
        if matches!(program, ProgramType::Kprobe | ProgramType::PerfEvent) && names_registers(btf, target) {
            return Ok(());
        }
        let ty = btf.ty(btf.resolve(target));
        if *ty == Type::Void {
            return Ok(());
        }
        let name = ty.name();
        if name.is_empty() {
            return Err(Rule::ContextWithoutName { index });
        }
        if self.may_stand_for_context(program, ty) {
            return Ok(());
        }
        let context = match self.profile.context_type(program) {
            Some(USER_REGISTERS) => Some(REGISTERS),
            context => context.and_then(|context| context.strip_prefix("struct ")),
        };
        let Some(context) = context else { return Err(Rule::ContextShouldBeVoid { index }) };
        if matches!(ty, Type::Struct(_)) && name == context {
            return Ok(());
        }
        Err(Rule::ContextShouldBe { index, name: context.to_owned() })
    }

    /// Types that some kinds of program take besides the one that has the context's name.
    fn may_stand_for_context(&self, program: ProgramType, ty: &Type) -> bool {
        let is_struct = matches!(ty, Type::Struct(_));
        let is_word = matches!(ty, Type::Int { size: 8, .. });
        match program {
            ProgramType::Kprobe | ProgramType::PerfEvent => is_struct && ty.name() == REGISTERS,
            ProgramType::RawTracepoint
            | ProgramType::RawTracepointWritable
            | ProgramType::Lsm
            | ProgramType::StructOps => is_word,
            ProgramType::Tracing => match self.attach_type() {
                Some(AttachType::TraceRawTp) => is_word || (is_struct && ty.name() == "bpf_raw_tracepoint_args"),
                Some(AttachType::TraceIter) => is_struct && ty.name().starts_with("bpf_iter__"),
                Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn) => is_word,
                _ => false,
            },
            ProgramType::Tracepoint | ProgramType::Syscall | ProgramType::Ext => true,
            _ => false,
        }
    }

    /// The struct that the context really is in the kernel. The inner error is that it is none.
    pub fn kernel_context(&self) -> Check<Result<TypeRef, Rule>> {
        let Some(program) = self.program_type() else {
            return unsupported("the kernel's context of a program whose section name says no type");
        };
        let btf = &self.profile.btf;
        let found = match self.profile.kernel_context_type(program).and_then(|name| name.strip_prefix("struct ")) {
            Some(name) => btf.find_struct(name),
            None => {
                let member = format!("{}_kern", program.constant());
                let contexts = btf.find_struct(CONTEXTS).and_then(|id| btf.ty(id).composite());
                let member = contexts.and_then(|contexts| contexts.members.iter().find(|one| *one.name == *member));
                return match member {
                    Some(member) => Ok(Err(Rule::NoKernelContext { id: member.type_id.0 })),
                    None => unsupported("the kernel's context, which is not known without the kernel's BTF"),
                };
            }
        };
        match found {
            Some(id) => Ok(Ok(TypeRef { space: TypeSpace::Kernel, id })),
            None => unsupported("the kernel's context, which is not known without the kernel's BTF"),
        }
    }
}

/// Is the first typedef on the way to the type the one for registers?
fn names_registers(btf: &Btf, mut id: TypeId) -> bool {
    loop {
        match btf.ty(id) {
            Type::Typedef { name, .. } => return &**name == USER_REGISTERS,
            ty => match ty.modified() {
                Some(target) => id = target,
                None => return false,
            },
        }
    }
}
