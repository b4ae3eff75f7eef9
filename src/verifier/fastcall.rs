//! Spills and fills around calls of helpers that the kernel inlines: it removes them after verification, which can
//! make a function's stack smaller (`mark_fastcall_patterns`, `remove_fastcall_spills_fills`, `kernel/bpf/verifier.c`,
//! Linux 6.12).

use super::env::Verifier;
use super::state::SLOT_BYTES;
use crate::isa::{CallTarget, Insn, Operand, Register, Size};

/// Registers `r0` to `r5` as a mask.
const CALLER_SAVED: u32 = 0b11_1111;
/// Helpers that x86-64's compiler, or the verifier for it, inlines: the current CPU's number, the current task.
const INLINED: [u32; 3] = [8, 35, 158];

impl Verifier<'_> {
    /// Finds the patterns.
    pub fn mark_fastcall_patterns(&mut self) {
        for index in 0..self.subprograms.len() {
            let (start, end) = (self.subprograms[index].start, self.subprograms[index].end);
            let lowest = (start..end).filter_map(|insn| self.spill_at(insn)).map(|(_, offset)| offset).min();
            let lowest = lowest.unwrap_or(0).min(0);
            for insn in start..end {
                if let Ok(Insn::Call(target)) = self.insns[insn] {
                    self.mark_pattern(index, insn, target, lowest);
                }
            }
        }
    }

    /// A spill of a whole register at a fixed offset: register and offset.
    fn spill_at(&self, insn: usize) -> Option<(Register, i16)> {
        match self.insns.get(insn) {
            Some(Ok(Insn::Store { size: Size::B8, dst: Register::R10, offset, src: Operand::Register(register) })) => {
                Some((*register, *offset))
            }
            _ => None,
        }
    }

    fn fill_at(&self, insn: usize) -> Option<(Register, i16)> {
        match self.insns.get(insn) {
            Some(Ok(Insn::Load { size: Size::B8, signed: false, dst, src: Register::R10, offset })) => {
                Some((*dst, *offset))
            }
            _ => None,
        }
    }

    /// The registers that a call overwrites, and whether the call is inlined.
    fn clobbered(&self, target: CallTarget) -> Option<(u32, bool)> {
        match target {
            CallTarget::Helper(number) => {
                let id = u32::try_from(number).ok()?;
                let program = self.program_type()?;
                let proto = self.profile.helper_for(
                    program,
                    self.attach_type(),
                    &self.program.section,
                    self.options.capabilities,
                    id,
                )?;
                let result = u32::from(proto.ret.kind != crate::kernel::RetKind::Void);
                let arguments = ((1u32 << proto.args.len()) - 1) << 1;
                Some((result | arguments, proto.allow_fastcall && INLINED.contains(&id)))
            }
            CallTarget::Kfunc(index) => self.kfunc_clobbers(index),
            CallTarget::Subprogram(_) => None,
        }
    }

    fn mark_pattern(&mut self, index: usize, call: usize, target: CallTarget, lowest: i16) {
        let Some((clobbered, inlined)) = self.clobbered(target) else { return };
        if clobbered & CALLER_SAVED == CALLER_SAVED {
            return;
        }
        let mut expected = !clobbered & CALLER_SAVED;
        let mut offset = lowest;
        let mut pairs = 0;
        for step in 1..=6usize {
            let (Some(before), after) = (call.checked_sub(step), call + step) else { break };
            if after >= self.insns.len() || self.facts[before + 1].jump_target || self.facts[after].jump_target {
                break;
            }
            let (Some(spill), Some(fill)) = (self.spill_at(before), self.fill_at(after)) else { break };
            let bit = 1u32 << spill.0.index();
            if spill != fill || expected & bit == 0 || spill.1 != offset {
                break;
            }
            expected &= !bit;
            self.facts[before].fastcall_pattern = true;
            self.facts[after].fastcall_pattern = true;
            pairs = step;
            offset += SLOT_BYTES as i16;
        }
        if pairs == 0 {
            return;
        }
        let subprogram = &mut self.subprograms[index];
        if inlined {
            self.facts[call].fastcall_pairs = pairs as u8;
        } else {
            subprogram.keep_fastcall_stack = true;
        }
        subprogram.fastcall_stack_offset = subprogram.fastcall_stack_offset.min(i32::from(offset));
    }

    /// Where the kernel removes the pairs, the stack below them is not needed.
    pub fn remove_fastcall_spills(&mut self) {
        for subprogram in &mut self.subprograms {
            let removed = self.facts[subprogram.start..subprogram.end].iter().any(|facts| facts.fastcall_pairs > 0);
            if removed && !subprogram.keep_fastcall_stack {
                subprogram.stack_depth = subprogram.fastcall_stack_offset.unsigned_abs();
            }
        }
    }
}
