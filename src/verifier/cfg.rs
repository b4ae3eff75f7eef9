//! The control-flow check before any path is explored: functions, jumps that stay inside them, reachability, and the
//! slots at which paths are compared.
//!
//! `add_subprog_and_kfunc`, `check_subprogs` and `check_cfg`, `kernel/bpf/verifier.c`, Linux 6.12.

use super::env::{Check, Verifier, reject};
use super::rule::Rule;
use crate::isa::{CallTarget, DecodeError, ImmediateSource, Insn, decode_flow};
use crate::kernel::Permission;
use crate::kernel::limits::SUBPROGRAMS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Fallthrough,
    Branch,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Visit {
    #[default]
    Unseen,
    /// On the walk's stack; which of its edges were taken.
    Discovered {
        fallthrough: bool,
        branch: bool,
    },
    Explored,
}

/// The walk over the control-flow graph.
struct Walk {
    visits: Vec<Visit>,
    stack: Vec<usize>,
}

impl Verifier<'_> {
    /// Finds the functions' starts: the entry, and all that is called or whose address is taken.
    pub fn find_subprograms(&mut self) -> Check<Vec<usize>> {
        let mut starts = vec![0];
        for insn in 0..self.insns.len() {
            let offset = match self.flow_of(insn) {
                Ok(Insn::Call(CallTarget::Subprogram(offset))) => offset,
                Ok(Insn::LoadImmediate { source: ImmediateSource::Function(offset), .. }) => offset,
                Ok(Insn::Call(CallTarget::Kfunc(index))) if !self.may(Permission::Functions) => {
                    if !self.kernel_has_kfunc(index) {
                        continue;
                    }
                    0
                }
                Ok(Insn::Call(CallTarget::Kfunc(_))) if !self.is_gpl() => {
                    self.insn = insn;
                    return reject(Rule::KfuncNeedsGpl);
                }
                _ => continue,
            };
            if !self.may(Permission::Functions) {
                self.insn = insn;
                return reject(Rule::FunctionsNeedCapability);
            }
            let target = insn as i64 + 1 + i64::from(offset);
            if target < 0 || target >= self.insns.len() as i64 {
                self.insn = insn;
                return reject(Rule::CallOutOfProgram);
            }
            let target = target as usize;
            if !starts.contains(&target) {
                if starts.len() >= SUBPROGRAMS {
                    return reject(Rule::TooManySubprograms);
                }
                starts.push(target);
            }
        }
        starts.sort_unstable();
        Ok(starts)
    }

    /// Where control goes from a slot, whatever else is wrong with it.
    pub fn flow_of(&self, insn: usize) -> Result<Insn, DecodeError> {
        self.insns[insn].or_else(|_| decode_flow(self.raw(insn), self.program.insns.get(insn + 1).copied()))
    }

    /// Jumps stay inside their function, and each function ends with an exit or a jump (`check_subprogs`).
    pub fn check_jumps_stay_inside(&mut self) -> Check {
        let mut index = 0;
        for insn in 0..self.insns.len() {
            while insn >= self.subprograms[index].end && index + 1 < self.subprograms.len() {
                index += 1;
            }
            let flow = self.flow_of(insn);
            let subprogram = &mut self.subprograms[index];
            let (start, end) = (subprogram.start, subprogram.end);
            let offset = match flow {
                Ok(Insn::Call(CallTarget::Helper(crate::kernel::HELPER_TAIL_CALL))) => {
                    subprogram.has_tail_call = true;
                    None
                }
                Ok(Insn::LoadPacket { .. }) => {
                    subprogram.has_load_packet = true;
                    None
                }
                Ok(Insn::Jump { offset }) => Some(i64::from(offset)),
                Ok(Insn::JumpIf { offset, .. } | Insn::MayGoto { offset }) => Some(i64::from(offset)),
                _ => None,
            };
            if let Some(offset) = offset {
                let target = insn as i64 + 1 + offset;
                if target < start as i64 || target >= end as i64 {
                    self.insn = insn;
                    return reject(Rule::JumpOutOfRange { from: insn, to: target });
                }
            }
            if insn + 1 == end && !matches!(flow, Ok(Insn::Exit | Insn::Jump { .. })) {
                self.insn = insn;
                return reject(Rule::LastInsnNotExit);
            }
        }
        Ok(())
    }

    /// Walks the graph depth first; marks where paths meet; refuses what cannot be reached (`check_cfg`).
    pub fn check_control_flow(&mut self) -> Check {
        let mut walk = Walk { visits: vec![Visit::Unseen; self.insns.len()], stack: Vec::new() };
        self.walk_from(0, &mut walk)?;
        if let Some(callback) = self.exception_callback {
            self.walk_from(self.subprograms[callback].start, &mut walk)?;
        }
        let mut insn = 0;
        while insn < self.insns.len() {
            if walk.visits[insn] != Visit::Explored {
                self.insn = insn;
                return reject(Rule::UnreachableInsn { insn });
            }
            if self.raw(insn).is_wide() {
                if walk.visits.get(insn + 1).is_some_and(|&visit| visit != Visit::Unseen) {
                    return reject(Rule::JumpIntoWideLoad { insn });
                }
                insn += 1;
            }
            insn += 1;
        }
        Ok(())
    }

    fn walk_from(&mut self, start: usize, walk: &mut Walk) -> Check {
        walk.visits[start] = Visit::Discovered { fallthrough: false, branch: false };
        walk.stack.push(start);
        while let Some(&insn) = walk.stack.last() {
            if !self.visit(insn, walk)? {
                walk.visits[insn] = Visit::Explored;
                walk.stack.pop();
            }
        }
        Ok(())
    }

    /// Visits one slot. `true`: a successor was found that is new and must be walked first.
    fn visit(&mut self, insn: usize, walk: &mut Walk) -> Check<bool> {
        let slots = if self.raw(insn).is_wide() { 2 } else { 1 };
        let decoded = self.flow_of(insn);
        match decoded {
            Ok(Insn::Exit) => Ok(false),
            Ok(Insn::LoadImmediate { source: ImmediateSource::Function(offset), .. }) => {
                self.visit_call(insn, slots, Some(offset), walk)
            }
            Ok(Insn::Call(target)) => {
                self.mark_call(insn, target);
                let callee = match target {
                    CallTarget::Subprogram(offset) => Some(offset),
                    CallTarget::Helper(_) | CallTarget::Kfunc(_) => None,
                };
                self.visit_call(insn, slots, callee, walk)
            }
            Ok(Insn::Jump { offset }) => {
                let target = insn as i64 + 1 + i64::from(offset);
                if self.follow(insn, target, Edge::Fallthrough, walk)? {
                    return Ok(true);
                }
                self.mark_meeting(target as usize);
                self.facts[target as usize].jump_target = true;
                Ok(false)
            }
            Ok(Insn::JumpIf { offset, .. } | Insn::MayGoto { offset }) => {
                self.facts[insn].prune_point = true;
                if matches!(decoded, Ok(Insn::MayGoto { .. })) {
                    self.facts[insn].force_checkpoint = true;
                }
                Ok(self.follow(insn, insn as i64 + 1, Edge::Fallthrough, walk)?
                    || self.follow(insn, insn as i64 + 1 + i64::from(offset), Edge::Branch, walk)?)
            }
            _ => self.follow(insn, (insn + slots) as i64, Edge::Fallthrough, walk),
        }
    }

    fn mark_call(&mut self, insn: usize, target: CallTarget) {
        let effects = self.call_effects(target);
        let facts = &mut self.facts[insn];
        if effects.async_callback {
            facts.prune_point = true;
        }
        if effects.sync_callback {
            facts.calls_callback = true;
            facts.force_checkpoint = true;
            facts.prune_point = true;
            facts.jump_point = true;
        }
        if effects.iterator_next {
            facts.prune_point = true;
            facts.force_checkpoint = true;
        }
        if effects.changes_packet
            && let Some(index) = self.subprogram_containing(insn)
        {
            self.subprograms[index].changes_packet = true;
        }
    }

    fn visit_call(&mut self, insn: usize, slots: usize, callee: Option<i32>, walk: &mut Walk) -> Check<bool> {
        let next = insn + slots;
        if self.follow(insn, next as i64, Edge::Fallthrough, walk)? {
            return Ok(true);
        }
        self.mark_meeting(next);
        let Some(offset) = callee else { return Ok(false) };
        let target = insn as i64 + 1 + i64::from(offset);
        self.facts[insn].prune_point = true;
        let (caller, callee) = (self.subprogram_containing(insn), self.subprogram_containing(target.max(0) as usize));
        if let (Some(caller), Some(callee)) = (caller, callee) {
            self.subprograms[caller].changes_packet |= self.subprograms[callee].changes_packet;
        }
        self.follow(insn, target, Edge::Branch, walk)
    }

    fn mark_meeting(&mut self, insn: usize) {
        if let Some(facts) = self.facts.get_mut(insn) {
            facts.prune_point = true;
            facts.jump_point = true;
        }
    }

    /// Follows an edge once (`push_insn`). `true`: its end is new.
    fn follow(&mut self, from: usize, to: i64, edge: Edge, walk: &mut Walk) -> Check<bool> {
        if let Visit::Discovered { fallthrough, branch } = walk.visits[from] {
            let taken = match edge {
                Edge::Fallthrough => fallthrough || branch,
                Edge::Branch => branch,
            };
            if taken {
                return Ok(false);
            }
        }
        if to < 0 || to >= self.insns.len() as i64 {
            return reject(Rule::JumpOutOfRange { from, to });
        }
        let to = to as usize;
        if edge == Edge::Branch {
            self.mark_meeting(to);
            self.facts[to].jump_target = true;
        }
        let taken = Visit::Discovered { fallthrough: true, branch: edge == Edge::Branch };
        match walk.visits[to] {
            Visit::Unseen => {
                walk.visits[from] = taken;
                walk.visits[to] = Visit::Discovered { fallthrough: false, branch: false };
                walk.stack.push(to);
                Ok(true)
            }
            Visit::Discovered { .. } if self.may(Permission::Loops) => Ok(false),
            Visit::Discovered { .. } => {
                self.insn = from;
                reject(Rule::BackEdge { from, to })
            }
            Visit::Explored => {
                walk.visits[from] = taken;
                Ok(false)
            }
        }
    }

    /// The function that a slot is in.
    #[must_use]
    pub fn subprogram_containing(&self, insn: usize) -> Option<usize> {
        self.subprograms.partition_point(|subprogram| subprogram.start <= insn).checked_sub(1)
    }

    /// The function that starts at a slot.
    #[must_use]
    pub fn subprogram_starting_at(&self, insn: usize) -> Option<usize> {
        self.subprograms.binary_search_by_key(&insn, |subprogram| subprogram.start).ok()
    }
}
