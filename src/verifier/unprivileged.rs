//! What a process without capabilities is refused: types of programs and maps, and anything by which an address of the
//! kernel could be learnt.
//!
//! `bpf_prog_load` and `map_create` (`kernel/bpf/syscall.c`), `is_pointer_value` (`kernel/bpf/verifier.c`), Linux 6.12.
//! What the processor might do speculatively is in [`super::speculation`]; the smaller differences stand where the
//! privileged rule does, and ask [`Verifier::may`].

use super::env::{Check, InsnFacts, Verifier, reject, unsupported};
use super::maps::MapInfo;
use super::memory::{Access, Mode};
use super::rule::Rule;
use super::value::Value;
use crate::isa::{AluOp, CallTarget, Insn, Operand, Register};
use crate::kernel::limits::UNPRIVILEGED_INSNS;
use crate::kernel::{Capabilities, HELPER_TAIL_CALL, MapType, Permission};

/// A hash map whose hash has no random seed (`BPF_F_ZERO_SEED`); only an administrator may create one.
const ZERO_SEED: u32 = 1 << 6;

impl Verifier<'_> {
    /// May the process that loads the program do that?
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.options.capabilities.allow(permission)
    }

    /// What the kernel refuses before it looks at an instruction.
    pub fn check_may_load(&self) -> Check {
        self.check_globals_can_be_mapped()?;
        self.check_storages_have_types()?;
        let capabilities = self.options.capabilities;
        if capabilities == Capabilities::all() {
            return Ok(());
        }
        if let Some(map) = self.maps.iter().find(|map| !capabilities.have(Capabilities::for_map(map.map_type))) {
            return reject(Rule::MapNeedsCapability { map: map.name.clone() });
        }
        if let Some(map) = self.maps.iter().find(|map| map.map_type == MapType::Hash && map.flags & ZERO_SEED != 0)
            && !capabilities.have(Capabilities::SYS_ADMIN)
        {
            return reject(Rule::MapNeedsCapability { map: map.name.clone() });
        }
        if !self.may(Permission::LongProgram) && self.insns.len() > UNPRIVILEGED_INSNS as usize {
            return reject(Rule::ProgramTooLong { insns: self.insns.len() });
        }
        match self.program_type() {
            Some(program) if capabilities.allow_program(program) => {}
            Some(program) => return reject(Rule::ProgramTypeNeedsCapability { program: program.name() }),
            None => return Ok(()),
        }
        if self.addressed_symbol().is_some() {
            return unsupported("the address of a kernel symbol, which such a process cannot read");
        }
        Ok(())
    }

    /// libbpf maps globals into its memory as soon as one of them is neither static nor hidden, which the kernel does
    /// not let it do with special fields (`bpf_map_mmap`).
    fn check_globals_can_be_mapped(&self) -> Check {
        match self.maps.iter().find(|map| map.mapped && map.fields.is_some()) {
            Some(map) => reject(Rule::MappedSpecialField { map: map.name.clone() }),
            None => Ok(()),
        }
    }

    /// Storage that is attached to an object of the kernel is shown to others by its types (`bpf_local_storage_map_alloc_check`).
    fn check_storages_have_types(&self) -> Check {
        let is_storage = |map: &&MapInfo| {
            use MapType as M;
            matches!(map.map_type, M::SkStorage | M::InodeStorage | M::TaskStorage | M::CgrpStorage)
        };
        match self.maps.iter().filter(is_storage).find(|map| !map.has_key_type) {
            Some(map) => reject(Rule::StorageWithoutTypes { map: map.name.clone() }),
            None => Ok(()),
        }
    }

    /// Does a register hold what must not become a number (`is_pointer_value`)?
    #[must_use]
    pub fn hides(&self, register: Register) -> bool {
        !self.may(Permission::PointerLeaks) && !self.state.value(register).is_scalar()
    }

    /// What is left of a pointer that must not be used any more (`mark_reg_invalid`).
    #[must_use]
    pub fn stale(&self) -> Value {
        if self.may(Permission::PointerLeaks) { Value::unknown() } else { Value::Uninitialised }
    }

    /// No address is stored where it could be read as a number.
    pub fn check_stores_no_address(&self, access: Access, into: &'static str) -> Check {
        match access.register {
            Some(register) if access.mode == Mode::Write && self.hides(register) => {
                reject(Rule::AddressLeaks { register, into })
            }
            _ => Ok(()),
        }
    }

    /// An operation that makes a number of its operand, whatever that is.
    pub fn check_operand_is_no_address(&self, register: Register) -> Check {
        if self.hides(register) { reject(Rule::AddressArithmetic { register }) } else { Ok(()) }
    }

    /// A comparison whose second operand is an address, unless both are of a packet.
    pub fn check_compares_no_address(&self, dst: Register, src: Operand) -> Check {
        let Operand::Register(src) = src else { return Ok(()) };
        let of_packet = |register: Register| {
            self.state.value(register).as_pointer().is_some_and(|pointer| pointer.is_packet_or_end())
        };
        if self.hides(src) && !(of_packet(dst) && of_packet(src)) {
            return reject(Rule::AddressComparison { register: src });
        }
        Ok(())
    }

    /// An access to one of the kernel's structures, or one that the program allocated, by its type.
    pub fn check_may_read_structure(&self, name: &str) -> Check {
        if self.may(Permission::KernelStructures) {
            return Ok(());
        }
        reject(Rule::StructureNeedsCapability { name: name.to_owned() })
    }

    /// A tail call that may go through different program arrays cannot be guarded (`do_misc_fixups`).
    pub fn check_tail_calls_are_guarded(&mut self) -> Check {
        if self.may(Permission::UnguardedBranches) {
            return Ok(());
        }
        let of_two = |(insn, facts): (usize, &InsnFacts)| {
            let tail_call = matches!(self.insns[insn], Ok(Insn::Call(CallTarget::Helper(HELPER_TAIL_CALL))));
            (tail_call && facts.seen && facts.helper_map == Some(None)).then_some(insn)
        };
        match self.facts.iter().enumerate().find_map(of_two) {
            Some(insn) => {
                self.insn = insn;
                reject(Rule::TailCallOfTwoMaps)
            }
            None => Ok(()),
        }
    }

    /// May the difference of two addresses be a number?
    #[must_use]
    pub fn may_subtract_addresses(&self, op: AluOp) -> bool {
        op == AluOp::Sub && self.may(Permission::PointerLeaks)
    }
}
