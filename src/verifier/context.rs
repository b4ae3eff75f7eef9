//! The program's context: which bytes of it may be read, and what they are.
//!
//! Which of two ways a program's type takes (`check_ctx_access`, `kernel/bpf/verifier.c`, Linux 6.12): contexts with
//! fields are in `fields`, arguments that BTF describes in `traced`.

mod fields;
mod traced;

use super::env::{Check, Verifier, unsupported};
use super::memory::{Access, Mode};
use super::value::{Pointer, Value};
use crate::kernel::{AttachType, Permission, ProgramType};

impl Verifier<'_> {
    /// A load from the context.
    pub fn check_context_access(&mut self, pointer: &Pointer, access: Access) -> Check {
        self.check_stores_no_address(access, "into ctx")?;
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
            Some(ProgramType::Tracing | ProgramType::Lsm | ProgramType::StructOps) => self.traced_argument(access),
            Some(program) => self.context_field(program, access),
            None => unsupported("context access of a program whose section name says no type"),
        }
    }

    /// The program's type, if its section name says one.
    #[must_use]
    pub fn program_type(&self) -> Option<ProgramType> {
        ProgramType::from_number(self.program.section.program_type).filter(|&program| program != ProgramType::Unspec)
    }

    /// The program's attach type. Where the loader may not load the type of program by which it finds out whether the
    /// kernel takes attach types, it tells the kernel none (`probe_kern_exp_attach_type`, libbpf), which is number 0.
    #[must_use]
    pub fn attach_type(&self) -> Option<AttachType> {
        let told = self.may(Permission::AnyProgramType);
        AttachType::from_number(if told { self.program.section.attach_type } else { 0 })
    }
}
