//! Precision: which scalars must be exact for what was decided, found by walking the path backwards.
//!
//! Bounds of a scalar count in a comparison of states only if the safety of some instruction, or the direction of some
//! branch, depended on them. When that happens, [`Verifier::mark_precise`] follows the value back to where it came
//! from, through all checkpoints above (`__mark_chain_precision` and `backtrack_insn`, `kernel/bpf/verifier.c`,
//! Linux 6.12). Start reading there.

mod backtrack;

use smallvec::SmallVec;

pub use backtrack::Backtrack;
use backtrack::{add_source, back_over_load, back_over_store};

use super::env::{Check, Verifier, unsupported};
use super::state::{Place, StateId, bits_of};
use super::value::Value;
use crate::isa::{AluOp, CallTarget, DecodeError, Insn, Operand, Register};
use crate::kernel::Permission;
use crate::kernel::limits::CALL_FRAMES;
use crate::seeded::{self, Fault};

/// Registers `r1` to `r5` as a mask.
const ARGUMENTS: u16 = 0b11_1110;
/// Walking back over the instruction may change something whatever is asked for.
const ANYTHING: u16 = 1 << 15;
/// The same, if the history has an entry for it.
const WITH_HISTORY: u16 = 1 << 14;
/// Scalars that one comparison may link, at most (`LINKED_REGS_MAX`).
pub const MAX_LINKED: usize = 6;

/// A register or slot in some frame.
pub type FramePlace = (u8, Place);

/// An instruction on the path, where the one before it is not its neighbour or where it did something that walking
/// back must know.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The instruction.
    pub insn: usize,
    /// The one before it on the path; `None` at the start.
    pub previous: Option<usize>,
    /// The stack slot that it accessed: frame and slot.
    pub stack_access: Option<(u8, u8)>,
    /// The comparison's first operand is a stack pointer.
    pub dst_is_stack: bool,
    /// The comparison's second operand is a stack pointer.
    pub src_is_stack: bool,
    /// Scalars that the comparison refined together.
    pub linked: SmallVec<[FramePlace; MAX_LINKED]>,
}

/// What one step back found.
enum Step {
    /// Go on.
    Continue,
    /// The origin cannot be followed; take every scalar as precise.
    GiveUp,
}

/// For each slot of the program, what must be asked for if walking back over it is to change anything: registers as a
/// mask, `ANYTHING` or `WITH_HISTORY`. Most instructions on a path define a register that nobody asks for.
#[must_use]
pub fn concerned(insns: &[Result<Insn, DecodeError>]) -> Vec<u16> {
    let bit = |register: Register| 1 << register.index();
    let concerned = |insn: &Result<Insn, DecodeError>| match *insn {
        Ok(Insn::ByteSwap { .. } | Insn::Jump { .. } | Insn::MayGoto { .. }) | Err(_) => 0,
        Ok(Insn::Alu { op: AluOp::Neg, .. }) => 0,
        Ok(
            Insn::Alu { dst, .. }
            | Insn::MoveSignExtended { dst, .. }
            | Insn::AddressSpaceCast { dst, .. }
            | Insn::Load { dst, .. }
            | Insn::LoadImmediate { dst, .. },
        ) => bit(dst),
        Ok(Insn::Store { dst, .. }) => bit(dst) | WITH_HISTORY,
        Ok(Insn::JumpIf { dst, src: Operand::Register(src), .. }) => bit(dst) | bit(src),
        Ok(Insn::JumpIf { .. }) => 0,
        Ok(Insn::Atomic { .. } | Insn::LoadPacket { .. } | Insn::Call(_) | Insn::Exit) => ANYTHING,
    };
    let mut masks: Vec<u16> = insns.iter().map(concerned).collect();
    // The second slot of a wide load is no instruction of its own.
    for (index, insn) in insns.iter().enumerate() {
        if let (Ok(Insn::LoadImmediate { .. }), Some(second)) = (insn, masks.get_mut(index + 1)) {
            *second = 0;
        }
    }
    masks
}

impl Verifier<'_> {
    /// Notes the current instruction in the history of the path (`push_insn_history`).
    pub fn note_history(&mut self, fill: impl FnOnce(&mut HistoryEntry)) {
        if let Some(index) = self.history_entry
            && let Some(entry) = self.history.get_mut(index)
        {
            fill(entry);
            return;
        }
        let mut entry = HistoryEntry {
            insn: self.insn,
            previous: self.previous,
            stack_access: None,
            dst_is_stack: false,
            src_is_stack: false,
            linked: SmallVec::new(),
        };
        fill(&mut entry);
        self.history.truncate(self.state.history_end);
        self.history.push(entry);
        self.history_entry = Some(self.state.history_end);
        self.state.history_end += 1;
    }

    /// The scalar in a register decided something: it and all that it was computed from must be exact
    /// (`mark_chain_precision`).
    pub fn mark_precise(&mut self, register: Register) -> Check {
        if !self.may(Permission::ImpreciseNumbers) || seeded::active(Fault::PruneWithoutPrecision) {
            return Ok(());
        }
        self.backtrack.reset(self.state.current());
        if !self.state.value(register).is_scalar() {
            return unsupported("precision asked for a register that holds no scalar");
        }
        self.backtrack.add(register);
        self.walk_back()
    }

    /// The same for all places set in [`Verifier::backtrack`] before (`mark_chain_precision_batch`).
    pub fn mark_precise_batch(&mut self) -> Check {
        if !self.may(Permission::ImpreciseNumbers) {
            return Ok(());
        }
        self.backtrack.frame = self.state.current();
        let result = self.walk_back();
        self.backtrack.reset(0);
        result
    }

    fn walk_back(&mut self) -> Check {
        if self.backtrack.is_empty() {
            return Ok(());
        }
        let mut last = Some(self.insn);
        let mut first = self.state.first_insn;
        let mut later: Option<usize> = None;
        let mut skip_first = true;
        let mut at: Option<StateId> = None;
        loop {
            self.log_walk(last, first, later);
            let Some(start) = last else { return self.precise_at_entry(at) };
            let (history_start, mut history_end) = self.history_range(at);
            let mut insn = start;
            loop {
                let entry = self.history_entry_at(history_start, history_end, insn);
                if !skip_first && self.concerns(insn, entry) {
                    if matches!(self.step_back(insn, later, entry)?, Step::GiveUp) {
                        self.all_scalars_precise();
                        return Ok(());
                    }
                    if self.backtrack.is_empty() {
                        return Ok(());
                    }
                }
                skip_first = false;
                later = Some(insn);
                let count = history_end - history_start;
                if insn == first && (count == 0 || (count == 1 && entry.is_some())) {
                    break;
                }
                let previous = match entry {
                    Some(index) => {
                        history_end = index;
                        self.history[index].previous
                    }
                    None => insn.checked_sub(1),
                };
                match previous {
                    Some(previous) => insn = previous,
                    None => return unsupported("walking back past the start of the program"),
                }
            }
            let parent = match at {
                None => self.state.parent,
                Some(id) => self.explored.state(id).parent,
            };
            let Some(parent) = parent else { break };
            self.mark_in_checkpoint(parent)?;
            if self.backtrack.is_empty() {
                return Ok(());
            }
            later = Some(first);
            let state = self.explored.state(parent);
            (last, first, at) = (state.last_insn, state.first_insn, Some(parent));
        }
        if !self.backtrack.is_empty() {
            self.all_scalars_precise();
        }
        Ok(())
    }

    /// Could walking back over the instruction change what is asked for, or print something?
    fn concerns(&self, insn: usize, entry: Option<usize>) -> bool {
        let entry = entry.and_then(|index| self.history.get(index));
        let asked = self.backtrack.mask() | ANYTHING | if entry.is_some() { WITH_HISTORY } else { 0 };
        self.concerned.get(insn).is_none_or(|mask| mask & asked != 0)
            || entry.is_some_and(|entry| !entry.linked.is_empty())
            || self.log.detailed()
    }

    fn history_range(&self, at: Option<StateId>) -> (usize, usize) {
        let state = at.map_or(&self.state, |id| self.explored.state(id));
        (state.history_start, state.history_end.min(self.history.len()).max(state.history_start))
    }

    fn history_entry_at(&self, start: usize, end: usize, insn: usize) -> Option<usize> {
        (end > start && self.history[end - 1].insn == insn).then(|| end - 1)
    }

    /// The walk arrived at the start of a function checked on its own: its arguments are precise.
    fn precise_at_entry(&mut self, at: Option<StateId>) -> Check {
        let mask = self.backtrack.mask();
        let state = match at {
            Some(id) => self.explored.state_mut(id),
            None => &mut self.state,
        };
        let is_function_start =
            state.frames.len() == 1 && state.frames[0].subprogram > 0 && state.frames[0].callsite.is_none();
        if !is_function_start || self.backtrack.slot_mask() != 0 || mask & !ARGUMENTS != 0 {
            return unsupported("walking back past the start of a function");
        }
        for register in (1..=5).filter(|register| mask & (1 << register) != 0) {
            if let Value::Scalar(number) = &mut state.frames[0].registers[register].value {
                number.precise = true;
            }
        }
        self.backtrack.reset(0);
        Ok(())
    }

    /// Marks what is asked for in a checkpoint; what is precise there already, or no scalar, is done.
    fn mark_in_checkpoint(&mut self, id: StateId) -> Check {
        for frame in (0..=self.backtrack.frame).rev() {
            let registers = bits_of(self.backtrack.registers[frame].into()).map(Place::Register);
            let slots = bits_of(self.backtrack.slots[frame]).map(Place::Slot);
            for place in registers.chain(slots) {
                let state = self.explored.state_mut(id);
                if let Place::Slot(slot) = place {
                    let Some(slot) = state.frames.get(frame).and_then(|frame| frame.stack.get(usize::from(slot)))
                    else {
                        return unsupported("walking back to a stack slot that the checkpoint has not");
                    };
                    if !slot.is_spilled_scalar() {
                        self.backtrack.clear(frame as u8, place);
                        continue;
                    }
                }
                match state.cell_mut(frame as u8, place).map(|cell| &mut cell.value) {
                    Some(Value::Scalar(number)) if !number.precise => number.precise = true,
                    _ => self.backtrack.clear(frame as u8, place),
                }
            }
            self.log_parent(id, frame);
        }
        Ok(())
    }

    fn step_back(&mut self, insn: usize, later: Option<usize>, entry: Option<usize>) -> Check<Step> {
        if self.program.insns.get(insn).is_none_or(|raw| raw.opcode == 0) {
            return Ok(Step::Continue);
        }
        self.log_step(insn);
        if let Some(index) = entry {
            self.backtrack.sync_linked(self.history.get(index));
        }
        let Some(&Ok(decoded)) = self.insns.get(insn) else { return Ok(Step::Continue) };
        let step = self.step_back_over(decoded, insn, later, entry)?;
        if let Some(sync) = step {
            if let Some(index) = entry.filter(|_| sync) {
                self.backtrack.sync_linked(self.history.get(index));
            }
            return Ok(Step::Continue);
        }
        Ok(Step::GiveUp)
    }

    /// `Some(true)`: done, linked scalars follow; `Some(false)`: done; `None`: give up.
    fn step_back_over(
        &mut self,
        decoded: Insn,
        insn: usize,
        later: Option<usize>,
        entry: Option<usize>,
    ) -> Check<Option<bool>> {
        let backtrack = &mut self.backtrack;
        let entry = entry.and_then(|index| self.history.get(index));
        match decoded {
            Insn::ByteSwap { .. } | Insn::Alu { op: AluOp::Neg, .. } => Ok(Some(false)),
            Insn::Alu { op: AluOp::Mov, dst, src, .. } => {
                if !backtrack.has(dst) {
                    return Ok(Some(false));
                }
                backtrack.drop_register(dst);
                add_source(backtrack, src);
                Ok(Some(true))
            }
            Insn::MoveSignExtended { dst, src, .. } | Insn::AddressSpaceCast { dst, src, .. } => {
                if !backtrack.has(dst) {
                    return Ok(Some(false));
                }
                backtrack.drop_register(dst);
                add_source(backtrack, Operand::Register(src));
                Ok(Some(true))
            }
            Insn::Alu { dst, src, .. } => {
                if !backtrack.has(dst) {
                    return Ok(Some(false));
                }
                add_source(backtrack, src);
                Ok(Some(true))
            }
            Insn::Load { dst, .. } => Ok(back_over_load(backtrack, dst, entry)),
            Insn::Atomic { op, src, dst, .. } => match op.fetched_into(src) {
                Some(fetched) => Ok(back_over_load(backtrack, fetched, entry)),
                None => Ok(back_over_store(backtrack, dst, Some(src), entry)),
            },
            Insn::Store { dst, src, .. } => {
                let source = match src {
                    Operand::Register(register) => Some(register),
                    Operand::Immediate(_) => None,
                };
                Ok(back_over_store(backtrack, dst, source, entry))
            }
            Insn::Call(target) => self.back_over_call(target, insn, later),
            Insn::Exit => self.back_over_exit(later),
            Insn::JumpIf { dst, src, .. } => {
                if let Operand::Register(source) = src {
                    if !backtrack.has(dst) && !backtrack.has(source) {
                        return Ok(Some(false));
                    }
                    if !entry.is_some_and(|entry| entry.src_is_stack) {
                        backtrack.add(source);
                    }
                    if !entry.is_some_and(|entry| entry.dst_is_stack) {
                        backtrack.add(dst);
                    }
                }
                Ok(Some(true))
            }
            Insn::Jump { .. } | Insn::MayGoto { .. } => Ok(Some(true)),
            Insn::LoadImmediate { dst, .. } => {
                backtrack.drop_register(dst);
                Ok(Some(false))
            }
            Insn::LoadPacket { .. } => {
                if backtrack.has(Register::R0) {
                    return Ok(None);
                }
                if later != Some(insn + 1) {
                    self.enter_subprogram_backwards()?;
                }
                Ok(Some(false))
            }
        }
    }

    fn back_over_call(&mut self, target: CallTarget, insn: usize, later: Option<usize>) -> Check<Option<bool>> {
        if let CallTarget::Subprogram(offset) = target {
            let start = (insn as i64 + 1 + i64::from(offset)) as usize;
            let global = self.subprogram_starting_at(start).is_some_and(|index| self.subprograms[index].global);
            if global {
                self.no_arguments_asked()?;
                self.backtrack.drop_register(Register::R0);
                return Ok(Some(false));
            }
            self.only_arguments_asked()?;
            let arguments = self.backtrack.mask() & ARGUMENTS;
            let frame = self.backtrack.frame;
            self.backtrack.registers[frame] &= !ARGUMENTS;
            if frame == 0 {
                return unsupported("walking back out of the outermost frame");
            }
            self.backtrack.registers[frame - 1] |= arguments;
            self.backtrack.frame -= 1;
            return Ok(Some(false));
        }
        if self.facts[insn].calls_callback && later.is_none_or(|later| later != insn + 1) {
            self.only_arguments_asked()?;
            let frame = self.backtrack.frame;
            self.backtrack.registers[frame] &= !ARGUMENTS;
            if frame == 0 {
                return unsupported("walking back out of the outermost frame");
            }
            self.backtrack.frame -= 1;
            return Ok(Some(false));
        }
        self.backtrack.drop_register(Register::R0);
        self.no_arguments_asked()?;
        Ok(Some(true))
    }

    fn back_over_exit(&mut self, later: Option<usize>) -> Check<Option<bool>> {
        let from_call = later
            .and_then(|later| later.checked_sub(1))
            .is_some_and(|before| matches!(self.insns.get(before), Some(Ok(Insn::Call(CallTarget::Subprogram(_))))));
        let result_asked = from_call && self.backtrack.has(Register::R0);
        if from_call {
            self.no_arguments_asked()?;
        }
        self.backtrack.drop_register(Register::R0);
        self.enter_subprogram_backwards()?;
        if result_asked {
            self.backtrack.add(Register::R0);
        }
        Ok(Some(false))
    }

    fn enter_subprogram_backwards(&mut self) -> Check {
        if self.backtrack.frame + 1 >= CALL_FRAMES {
            return unsupported("walking back into more frames than there can be");
        }
        self.backtrack.frame += 1;
        Ok(())
    }

    fn no_arguments_asked(&self) -> Check {
        if self.backtrack.mask() & ARGUMENTS != 0 {
            return unsupported("walking back over a call whose argument registers are asked for");
        }
        Ok(())
    }

    fn only_arguments_asked(&self) -> Check {
        if self.backtrack.mask() & !ARGUMENTS != 0 || self.backtrack.slot_mask() != 0 {
            return unsupported("walking back out of a function whose registers are still asked for");
        }
        Ok(())
    }

    /// Every scalar in every checkpoint above becomes precise (`mark_all_scalars_precise`).
    fn all_scalars_precise(&mut self) {
        if self.log.detailed() {
            let frame = self.state.current();
            self.log.line(&format!("mark_precise: frame{frame}: falling back to forcing all scalars precise"));
        }
        let mut at = self.state.parent;
        while let Some(id) = at {
            let (state, log) = (self.explored.state_mut(id), &mut self.log);
            for (number, frame) in state.frames.iter_mut().enumerate() {
                for (register, cell) in frame.registers.iter_mut().enumerate().take(Register::R10.index()) {
                    if force_precise(&mut cell.value) && log.detailed() {
                        log.line(&format!("force_precise: frame{number}: forcing r{register} to be precise"));
                    }
                }
                for (index, slot) in frame.stack.iter_mut().enumerate().filter(|(_, slot)| slot.is_spilled()) {
                    if force_precise(&mut slot.spilled.value) && log.detailed() {
                        let offset = -(index as i64 + 1) * 8;
                        log.line(&format!("force_precise: frame{number}: forcing fp{offset} to be precise"));
                    }
                }
            }
            at = state.parent;
        }
        self.backtrack.reset(0);
    }

    fn log_walk(&mut self, last: Option<usize>, first: usize, later: Option<usize>) {
        if self.log.detailed() {
            let number = |insn: Option<usize>| insn.map_or(-1, |insn| insn as i64);
            let line = format!(
                "mark_precise: frame{}: last_idx {} first_idx {first} subseq_idx {} ",
                self.backtrack.frame,
                number(last),
                number(later),
            );
            self.log.line(&line);
        }
    }

    fn log_step(&mut self, insn: usize) {
        if self.log.detailed() {
            let frame = self.backtrack.frame;
            let line = format!(
                "mark_precise: frame{frame}: regs={} stack={} before {insn}: {}",
                self.backtrack.register_text(frame),
                self.backtrack.slot_text(frame),
                self.disassembly(insn),
            );
            self.log.line(&line);
        }
    }

    fn log_parent(&mut self, id: StateId, frame: usize) {
        if self.log.detailed() {
            let head = format!(
                "mark_precise: frame{frame}: parent state regs={} stack={}: ",
                self.backtrack.register_text(frame),
                self.backtrack.slot_text(frame),
            );
            let state = self.state_text(self.explored.state(id), frame, true);
            self.log.line(&format!("{head}{state}"));
        }
    }
}

/// `true` if the value is a scalar that was not precise.
fn force_precise(value: &mut Value) -> bool {
    match value {
        Value::Scalar(number) => !std::mem::replace(&mut number.precise, true),
        _ => false,
    }
}
