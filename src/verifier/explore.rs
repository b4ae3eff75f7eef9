//! Exploration: one path at a time, branches that wait on a stack, until none is left.
//!
//! [`Verifier::explore`] is `do_check`, `kernel/bpf/verifier.c`, Linux 6.12. What an instruction requires and does is
//! in the room's other files, by instruction class.

use super::env::{Check, Pending, Verifier, reject};
use super::prune::widen;
use super::rule::Rule;
use super::state::{Frame, Live, State};
use crate::isa::{CallTarget, Insn, Register};
use crate::kernel::limits::{PENDING_BRANCHES, PROCESSED_INSNS};

/// What the path does after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Goes on with the slot behind the instruction.
    Fallthrough,
    /// Goes on at that slot.
    Jump(usize),
    /// Ends.
    PathEnds,
}

impl Verifier<'_> {
    /// Explores all paths from the current state and slot.
    ///
    /// # Errors
    /// The first broken rule, or what is not modelled.
    pub fn explore(&mut self) -> Check {
        let mut print_state = false;
        loop {
            let result = self.step(&mut print_state);
            if self.recorder.is_some() {
                self.record_after(&result);
            }
            match result? {
                Next::Fallthrough => self.insn += self.insn_slots(self.insn),
                Next::Jump(target) => self.insn = target,
                Next::PathEnds => {
                    self.log.touch_all();
                    self.explored.path_ended(&self.state);
                    let Some(next) = self.pending.pop() else { return Ok(()) };
                    self.log.reset_to(next.log_position);
                    if let Some(recorder) = &mut self.recorder {
                        recorder.take_up();
                    }
                    self.state = next.state;
                    self.insn = next.insn;
                    self.previous = Some(next.from);
                    print_state = true;
                    continue;
                }
            }
        }
    }

    fn insn_slots(&self, insn: usize) -> usize {
        if self.raw(insn).is_wide() { 2 } else { 1 }
    }

    fn step(&mut self, print_state: &mut bool) -> Check<Next> {
        self.history_entry = None;
        let came_from = self.previous;
        let insn = self.insn;
        if insn >= self.insns.len() {
            return reject(Rule::InsnOutOfProgram { insn, count: self.insns.len() });
        }
        if self.recorder.is_some() {
            self.record_before();
        }
        self.statistics.insns_processed += 1;
        if self.statistics.insns_processed > self.options.max_processed.unwrap_or(PROCESSED_INSNS) {
            return reject(Rule::ProgramTooLarge { processed: self.statistics.insns_processed });
        }
        self.state.last_insn = came_from;
        if self.facts[insn].prune_point && self.meet_checkpoints()? {
            self.log_safe(*print_state);
            return Ok(Next::PathEnds);
        }
        if self.facts[insn].jump_point {
            self.note_history(|_| {});
        }
        self.log_before_insn(print_state);
        // Code that only runs ahead of time is dead code all the same (`sanitize_mark_insn_seen`).
        self.facts[insn].seen |= !self.state.speculative;
        let decoded = match &self.insns[insn] {
            Ok(decoded) => *decoded,
            Err(error) => {
                let error = *error;
                // Of a comparison the first operand is looked at before the fields that it does not use (`check_cond_jmp_op`).
                let compared = Register::new(self.raw(insn).dst);
                if let (Ok(Insn::JumpIf { .. }), Some(compared)) = (self.flow_of(insn), compared) {
                    self.check_read(compared, Live::READ64)?;
                }
                return reject(Rule::Undecodable { error });
            }
        };
        let next = self.execute(decoded)?;
        // What is pushed or noted during the instruction still refers to the one before it.
        if !matches!(next, Next::PathEnds) {
            self.previous = Some(insn);
        }
        if matches!(decoded, Insn::Exit) && matches!(next, Next::Jump(_)) {
            *print_state = true;
        }
        Ok(next)
    }

    fn execute(&mut self, insn: Insn) -> Check<Next> {
        if matches!(insn, Insn::Jump { .. } | Insn::JumpIf { .. } | Insn::MayGoto { .. } | Insn::Call(_) | Insn::Exit) {
            self.statistics.jumps_processed += 1;
        }
        match insn {
            Insn::Alu { .. }
            | Insn::MoveSignExtended { .. }
            | Insn::ByteSwap { .. }
            | Insn::AddressSpaceCast { .. } => {
                self.check_arithmetic(insn)?;
                Ok(Next::Fallthrough)
            }
            Insn::Load { size, signed, dst, src, offset } => {
                self.check_load(size, signed, dst, src, offset)?;
                Ok(Next::Fallthrough)
            }
            Insn::Store { size, dst, offset, src } => {
                self.check_store(size, dst, offset, src)?;
                Ok(Next::Fallthrough)
            }
            Insn::Atomic { size, op, dst, src, offset } => {
                self.check_atomic(size, op, dst, src, offset)?;
                Ok(Next::Fallthrough)
            }
            Insn::LoadImmediate { dst, source } => {
                self.check_load_immediate(dst, source)?;
                Ok(Next::Fallthrough)
            }
            Insn::LoadPacket { index, .. } => self.check_legacy_load(index),
            Insn::Jump { offset } => Ok(Next::Jump(self.jump_target(i64::from(offset)))),
            Insn::JumpIf { width, op, dst, src, offset } => self.check_branch(width, op, dst, src, offset),
            Insn::MayGoto { offset } => self.check_may_goto(offset),
            Insn::Call(target) => self.check_call(target),
            Insn::Exit => self.check_exit(false),
        }
    }

    /// The slot that a jump of that offset from the current slot reaches. The control-flow check has seen that it is
    /// inside the program.
    #[must_use]
    pub fn jump_target(&self, offset: i64) -> usize {
        (self.insn as i64 + 1 + offset).max(0) as usize
    }

    fn check_call(&mut self, target: CallTarget) -> Check<Next> {
        self.check_call_under_lock(target)?;
        let next = match target {
            CallTarget::Helper(id) => {
                self.check_helper_call(id)?;
                Next::Fallthrough
            }
            CallTarget::Kfunc(index) => {
                if self.check_kfunc_call(index)? {
                    return self.check_exit(true);
                }
                Next::Fallthrough
            }
            CallTarget::Subprogram(offset) => self.check_subprogram_call(offset)?,
        };
        self.log.touch_register(crate::isa::Register::R0);
        Ok(next)
    }

    /// Puts a copy of the current state aside, to be explored from `insn` later (`push_stack`). Gives its place in
    /// [`Verifier::pending`], so that the caller can change the copy.
    pub fn push_branch(&mut self, insn: usize) -> Check<usize> {
        let waiting = self.pending.len();
        if waiting >= PENDING_BRANCHES as usize {
            return reject(Rule::TooManyBranches { count: waiting + 1 });
        }
        self.push_state(self.state.clone(), insn);
        if let Some(parent) = self.state.parent {
            self.explored.state_mut(parent).branches += 1;
        }
        Ok(self.pending.len() - 1)
    }

    fn push_state(&mut self, state: State, insn: usize) {
        let log_position = self.log.position();
        self.pending.push(Pending { state, insn, from: self.insn, log_position });
    }

    /// Puts the start of an asynchronous callback aside: a fresh state with a frame of its own (`push_async_cb`).
    pub fn push_async_callback(&mut self, frame: Frame, start: usize, in_sleepable: bool) -> Check {
        let waiting = self.pending.len();
        if waiting >= PENDING_BRANCHES as usize {
            return reject(Rule::TooManyAsyncBranches { count: waiting + 1 });
        }
        self.log.touch_all();
        let mut state = State::new(frame, start);
        state.in_sleepable = in_sleepable;
        // The kernel leaves it so; a walk back for precision goes no further anyway.
        state.first_insn = 0;
        state.history_start = self.state.history_end;
        state.history_end = self.state.history_end;
        self.push_state(state, start);
        Ok(())
    }

    /// The newest branch that waits.
    pub fn pushed(&mut self, index: usize) -> &mut State {
        &mut self.pending[index].state
    }

    /// Widens a pushed branch against the checkpoint from which its loop came round before.
    pub fn widen_pushed(&mut self, index: usize, previous: Option<super::state::StateId>) {
        if let Some(previous) = previous {
            let last_id = self.last_id;
            widen(self.explored.state(previous), &mut self.pending[index].state, last_id);
        }
    }

    fn check_may_goto(&mut self, offset: i16) -> Check<Next> {
        if offset == 0 {
            return reject(Rule::InvalidMayGoto { offset, imm: 0 });
        }
        let insn = self.insn;
        let previous = match self.state.parent {
            Some(parent) => {
                let parent = self.explored.state(parent);
                self.previous_entry(insn, parent)
            }
            None => None,
        };
        let pushed = self.push_branch(insn + 1)?;
        self.pushed(pushed).may_goto_depth += 1;
        self.widen_pushed(pushed, previous);
        Ok(Next::Jump(self.jump_target(i64::from(offset))))
    }
}
