//! The arena: memory shared with user space, whose pointers may be computed and followed freely, since a bad one faults
//! without harm (`PTR_TO_ARENA`, `kernel/bpf/verifier.c`; `bpf_jit_supports_insn`, `arch/x86/net/bpf_jit_comp.c`, Linux
//! 6.12).

use super::env::{Check, Verifier, reject};
use super::rule::Rule;
use super::state::{Live, Place};
use super::type_name::Class;
use super::value::{MapRef, Pointer, Target, Value};
use crate::isa::{AtomicOp, ImmediateSource, Insn, Operand, Register};
use crate::kernel::MapType;

/// Address space of the arena's pointers in a cast; 0 is the kernel's.
const ARENA_SPACE: u16 = 1;

impl Verifier<'_> {
    /// Is that map the arena?
    #[must_use]
    pub fn is_arena(&self, index: u32) -> bool {
        self.map(MapRef { index, uid: 0 }).is_ok_and(|map| map.map_type == MapType::Arena)
    }

    fn has_arena(&self) -> bool {
        self.insns.iter().any(|insn| match insn {
            Ok(Insn::LoadImmediate {
                source: ImmediateSource::Map(index) | ImmediateSource::MapValue { map: index, .. },
                ..
            }) => self.is_arena(*index),
            _ => false,
        })
    }

    /// `dst = addr_space_cast(src, to, from)`: a pointer that the program can follow, or a number for user space.
    pub fn check_space_cast(&mut self, dst: Register, src: Register, from: u16) -> Check {
        if !self.has_arena() {
            return reject(Rule::CastWithoutArena);
        }
        self.read(src, Live::READ64)?;
        self.write(dst)?;
        let value = if from == ARENA_SPACE {
            let variable = super::domain::Scalar::UNKNOWN;
            Value::Pointer(Pointer { variable, ..Pointer::to(Target::Arena) })
        } else {
            Value::unknown()
        };
        self.define(dst, value);
        Ok(())
    }

    /// Arithmetic with the arena's pointers gives one again, whatever is computed. `false`: there is none.
    pub fn arena_arithmetic(&mut self, dst: Register, src: Operand) -> bool {
        let is_arena = |verifier: &Self, register| verifier.target(register) == Some(Target::Arena);
        if is_arena(self, dst) {
            return true;
        }
        let Operand::Register(src) = src else { return false };
        if !is_arena(self, src) {
            return false;
        }
        // The kernel copies the whole register, its liveness and origin too.
        let frame = self.state.frame_mut();
        frame.registers[dst.index()] = frame.registers[src.index()];
        frame.marks.set(Place::of(dst), frame.marks.of(Place::of(src)));
        true
    }

    /// What the instructions are turned into last: loads from the arena cannot extend a sign (`convert_ctx_accesses`).
    pub fn check_arena_loads(&mut self) -> Check {
        for (insn, decoded) in self.insns.iter().enumerate() {
            let through_arena = || self.facts[insn].pointer_kind.is_some_and(|kind| kind.class == Class::Arena);
            if matches!(decoded, Ok(Insn::Load { signed: true, .. })) && through_arena() {
                self.insn = insn;
                return reject(Rule::SignedLoadFromArena);
            }
        }
        Ok(())
    }
}

/// Can that operation be done on the arena? The machine has no such instruction that gives the old value.
#[must_use]
pub fn supports_atomic(op: AtomicOp) -> bool {
    !matches!(op, AtomicOp::And { fetch: true } | AtomicOp::Or { fetch: true } | AtomicOp::Xor { fetch: true })
}
