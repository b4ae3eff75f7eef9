//! Pruning: where a path meets a checkpoint that covers it, it ends there.
//!
//! `is_state_visited`, `kernel/bpf/verifier.c`, Linux 6.12, with its rules of when a checkpoint is made and when one
//! is given up, since the count of processed instructions depends on them. How states are compared is in
//! [`super::inclusion`]. Start reading at [`Verifier::meet_checkpoints`].

use super::env::{Check, Verifier, reject};
use super::explored::Listed;
use super::inclusion::{self, IdMap, Regard, Strictness};
use super::marks::{Marks, Places};
use super::rule::Rule;
use super::state::{ByteKind, Parent, Place, SLOT_BYTES, State, StateId, slot_of};
use super::value::{IteratorState, Target, Value};
use crate::isa::{Insn, Register};
use crate::kernel::Permission;
use crate::kernel::limits::UNPRIVILEGED_STATES;
use crate::seeded::{self, Fault};

/// What a comparison with one checkpoint says.
enum Comparison {
    /// The checkpoint covers the path, which ends here.
    Hit,
    /// It does not.
    Miss,
    /// It does not, and no checkpoint should be made here either: the loop is still being entered.
    MissInLoop,
}

impl Verifier<'_> {
    /// Compares the current state with the checkpoints at the current slot; makes a new one where due.
    /// `true`: a checkpoint covers the path.
    pub fn meet_checkpoints(&mut self) -> Check<bool> {
        let insn = self.insn;
        let forced = self.facts[insn].force_checkpoint
            || (self.options.checkpoint_always && self.may(Permission::StateFrequency))
            || self.state.history_end - self.state.history_start > 40;
        let since = (
            self.statistics.jumps_processed - self.statistics.jumps_at_checkpoint,
            self.statistics.insns_processed - self.statistics.insns_at_checkpoint,
        );
        let mut make = forced || (since.0 >= 2 && since.1 >= 8);
        let bucket = self.explored.bucket_of(insn, &self.state);
        self.clean_finished(bucket);
        let mut index = 0;
        let mut count = 0;
        while index < self.explored.bucket(bucket).len() {
            let listed = self.explored.bucket(bucket)[index];
            count += 1;
            if self.explored.state(listed.state).insn != insn {
                index += 1;
                continue;
            }
            match self.compare(listed.state)? {
                Comparison::Hit => {
                    self.explored.bucket_mut(bucket)[index].hits += 1;
                    self.merge_into(listed.state)?;
                    self.note_pruned(listed.state);
                    return Ok(true);
                }
                Comparison::MissInLoop if !forced && since.0 < 20 && since.1 < 100 => make = false,
                Comparison::Miss | Comparison::MissInLoop => {}
            }
            if make {
                self.explored.bucket_mut(bucket)[index].misses += 1;
            }
            if !self.give_up(bucket, index) {
                index += 1;
            }
        }
        self.statistics.max_states_per_insn = self.statistics.max_states_per_insn.max(count);
        if make && (count <= UNPRIVILEGED_STATES || self.may(Permission::ManyStates)) {
            self.make_checkpoint(bucket);
        }
        Ok(false)
    }

    /// Everything below the checkpoint was explored from a state that covers this one: what was read and what was
    /// precise there is so here.
    fn merge_into(&mut self, old: StateId) -> Check {
        if !seeded::active(Fault::PruneForgetsReads) {
            self.explored.propagate_liveness(old, &mut self.state);
        }
        if self.facts[self.insn].jump_point {
            self.note_history(|_| {});
        }
        self.propagate_precision(old)
    }

    fn compare(&mut self, id: StateId) -> Check<Comparison> {
        if self.explored.state(id).branches > 0 {
            return self.compare_in_loop(id);
        }
        let entry = self.explored.loop_entry(id);
        let open_loop = entry.filter(|&entry| self.explored.state(entry).branches > 0);
        if self.options.all_paths && open_loop.is_none() {
            return Ok(Comparison::Miss);
        }
        let strictness = if open_loop.is_some() { Strictness::RangeWithin } else { Strictness::Pruning };
        if !self.covered_by(id, strictness) {
            return Ok(Comparison::Miss);
        }
        if let Some(entry) = open_loop {
            self.explored.note_loop_of_current(&mut self.state, entry);
        }
        Ok(Comparison::Hit)
    }

    fn covered_by(&self, id: StateId, strictness: Strictness) -> bool {
        let regard = Regard {
            every_number: !self.may(Permission::ImpreciseNumbers),
            exact_numbers: self.exact_numbers,
            unwritten_stack: !self.may(Permission::UninitialisedStack),
        };
        inclusion::includes(self.explored.state(id), &self.state, strictness, IdMap::regarding(regard, self.last_id))
    }

    /// The checkpoint is on the current path: we are in a loop.
    fn compare_in_loop(&mut self, id: StateId) -> Check<Comparison> {
        let insn = self.insn;
        let frame = self.explored.state(id).frame();
        if frame.in_async_callback() && frame.async_entry != self.frame().async_entry {
            return Ok(Comparison::MissInLoop);
        }
        if self.facts[insn].iterator_next {
            let covered = self.covered_by(id, Strictness::RangeWithin) || seeded::active(Fault::LoopConvergesAtOnce);
            if covered && self.iterator_is_active() {
                self.explored.note_loop_of_current(&mut self.state, id);
                return Ok(Comparison::Hit);
            }
            return Ok(Comparison::MissInLoop);
        }
        if matches!(self.insns[insn], Ok(Insn::MayGoto { .. }))
            && self.explored.state(id).may_goto_depth != self.state.may_goto_depth
            && self.covered_by(id, Strictness::RangeWithin)
        {
            self.explored.note_loop_of_current(&mut self.state, id);
            return Ok(Comparison::Hit);
        }
        if self.facts[insn].calls_callback {
            if self.covered_by(id, Strictness::RangeWithin) {
                return Ok(Comparison::Hit);
            }
            return Ok(Comparison::MissInLoop);
        }
        if self.repeats(id) {
            self.log_infinite_loop(id);
            return reject(Rule::InfiniteLoop { insn });
        }
        Ok(Comparison::MissInLoop)
    }

    /// Is the current state the very same as the checkpoint, with no progress made?
    fn repeats(&self, id: StateId) -> bool {
        let old = self.explored.state(id);
        inclusion::may_be_looping(old, &self.state)
            && self.covered_by(id, Strictness::Exact)
            && !iterator_depths_differ(old, &self.state)
            && old.may_goto_depth == self.state.may_goto_depth
            && old.callback_unroll_depth == self.state.callback_unroll_depth
    }

    /// Is the iterator whose address is in `r1` still giving elements?
    fn iterator_is_active(&self) -> bool {
        let Some(pointer) = self.state.value(Register::R1).as_pointer() else { return false };
        let (Target::Stack { frame }, Some(offset)) = (pointer.target, pointer.known_offset()) else {
            return false;
        };
        let slot = self.state.frames.get(usize::from(frame)).and_then(|frame| frame.stack.get(slot_of(offset).0));
        matches!(
            slot.map(|slot| slot.spilled.value),
            Some(Value::Iterator(iterator)) if iterator.state == Some(IteratorState::Active)
        )
    }

    /// Gives up a checkpoint that was compared in vain too often. `true` if it is gone from the list.
    fn give_up(&mut self, bucket: usize, index: usize) -> bool {
        let Listed { state, hits, misses } = self.explored.bucket(bucket)[index];
        let kept = self.explored.state(state);
        let patience = if self.facts[self.insn].force_checkpoint && kept.branches > 0 { 64 } else { 3 };
        if misses <= hits * patience + patience {
            return false;
        }
        let finished = kept.is_finished();
        let forgettable = finished && !kept.used_as_loop_entry;
        self.explored.bucket_mut(bucket).remove(index);
        if forgettable {
            self.explored.forget(state);
            self.statistics.peak_states = self.statistics.peak_states.saturating_sub(1);
        }
        true
    }

    fn make_checkpoint(&mut self, bucket: usize) {
        self.statistics.total_states += 1;
        self.statistics.peak_states += 1;
        self.statistics.jumps_at_checkpoint = self.statistics.jumps_processed;
        self.statistics.insns_at_checkpoint = self.statistics.insns_processed;
        forget_precision(&mut self.state);
        let mut kept = self.state.clone();
        kept.insn = self.insn;
        let depth = kept.depth;
        let id = self.explored.insert(kept);
        self.note_checkpoint(id);
        self.explored.bucket_mut(bucket).insert(0, Listed { state: id, hits: 0, misses: 0 });
        let current = &mut self.state;
        current.parent = Some(id);
        current.first_insn = self.insn;
        current.history_start = current.history_end;
        current.depth = depth + 1;
        link_to_checkpoint(current, id);
    }

    /// Checkpoints at this slot below which nothing is left to explore will not be read any more: what was not read
    /// is forgotten (`clean_live_states`).
    fn clean_finished(&mut self, bucket: usize) {
        for index in 0..self.explored.bucket(bucket).len() {
            let id = self.explored.bucket(bucket)[index].state;
            if self.explored.state(id).branches > 0 {
                continue;
            }
            let entry = self.explored.loop_entry(id);
            if entry.is_some_and(|entry| self.explored.state(entry).branches > 0) {
                continue;
            }
            let state = self.explored.state(id);
            if state.insn == self.insn && !state.is_finished() && state.same_callsites(&self.state) {
                clean(self.explored.state_mut(id));
            }
        }
    }

    fn propagate_precision(&mut self, old: StateId) -> Check {
        let every_number = !self.may(Permission::ImpreciseNumbers);
        let places = precise_places(self.explored.state(old), every_number);
        self.log_propagation(&places);
        if every_number || seeded::active(Fault::PruneForgetsPrecision) {
            return Ok(());
        }
        for &(frame, place) in &places {
            self.backtrack.set(frame, place);
        }
        self.mark_precise_batch()
    }

    /// The checkpoint further up the path from which the current loop came round before (`find_prev_entry`).
    pub fn previous_entry(&self, insn: usize, current: &State) -> Option<StateId> {
        let bucket = self.explored.bucket_of(insn, current);
        self.explored.bucket(bucket).iter().map(|listed| listed.state).find(|&id| {
            let state = self.explored.state(id);
            state.insn == insn && state.branches > 0 && state.same_callsites(current) && state.depth < current.depth
        })
    }

    fn log_infinite_loop(&mut self, id: StateId) {
        if self.log.enabled() {
            let frame = self.state.current();
            let current = format!("cur state:{}", self.state_text(&self.state, frame, true));
            let old = format!("old state:{}", self.state_text(self.explored.state(id), frame, true));
            self.log_source_line();
            self.log.line(&Rule::InfiniteLoop { insn: self.insn }.to_string());
            self.log.line(&current);
            self.log.line(&old);
        }
    }

    fn log_propagation(&mut self, places: &[(u8, Place)]) {
        if !self.log.enabled() {
            return;
        }
        for frame in (0..=self.state.current() as u8).rev() {
            let names: Vec<String> = places
                .iter()
                .filter(|(of, _)| *of == frame)
                .map(|(_, place)| match place {
                    Place::Register(register) => format!("r{register}"),
                    Place::Slot(slot) => format!("fp{}", -(i32::from(*slot) + 1) * 8),
                })
                .collect();
            if names.is_empty() {
                continue;
            }
            // At level 1 the kernel leaves out the text but not the line break.
            if !self.log.detailed() {
                self.log.line("");
            } else {
                self.log.line(&format!("frame {frame}: propagating {}", names.join(",")));
            }
        }
    }
}

/// Registers and slots that must be precise: innermost frame first, registers before slots.
fn precise_places(state: &State, every_number: bool) -> Vec<(u8, Place)> {
    let mut places = Vec::new();
    for (number, frame) in state.frames.iter().enumerate().rev() {
        let is_precise = |value: &Value| matches!(value, Value::Scalar(scalar) if scalar.precise || every_number);
        let counts = |&place: &Place| match place {
            Place::Register(register) => is_precise(&frame.registers[usize::from(register)].value),
            Place::Slot(slot) => {
                let slot = frame.stack.get(usize::from(slot));
                slot.is_some_and(|slot| slot.is_spilled() && is_precise(&slot.spilled.value))
            }
        };
        places.extend(frame.marks.all_read().iter().filter(counts).map(|place| (number as u8, place)));
    }
    places
}

fn iterator_depths_differ(old: &State, current: &State) -> bool {
    old.frames.iter().zip(&current.frames).any(|(old, current)| {
        old.stack.iter().zip(&current.stack).any(|(old, current)| match (old.iterator(), &current.spilled.value) {
            (Some(old), Value::Iterator(current)) if old.state == Some(IteratorState::Active) => {
                old.depth != current.depth
            }
            _ => false,
        })
    })
}

/// A fresh checkpoint starts with nothing precise (`mark_all_scalars_imprecise`).
fn forget_precision(state: &mut State) {
    let forget = |value: &mut Value| {
        if let Value::Scalar(number) = value {
            number.precise = false;
        }
    };
    for frame in &mut state.frames {
        for cell in frame.registers.iter_mut().take(Register::R10.index()) {
            forget(&mut cell.value);
        }
        for slot in frame.stack.iter_mut().filter(|slot| slot.is_spilled()) {
            forget(&mut slot.spilled.value);
        }
    }
}

/// The current state's values come from the checkpoint, and nothing was read or written since.
fn link_to_checkpoint(current: &mut State, id: StateId) {
    let innermost = current.current();
    for (number, frame) in current.frames.iter_mut().enumerate() {
        let parent = |place| Some(Parent { state: id, frame: number as u8, place });
        for (register, cell) in frame.registers.iter_mut().enumerate().take(Register::R10.index()) {
            // r0 to r5 of a caller are dead while a call is under way.
            if number == innermost || register >= Register::R6.index() {
                cell.parent = parent(Place::Register(register as u8));
            }
        }
        for (index, slot) in frame.stack.iter_mut().enumerate() {
            slot.spilled.parent = parent(Place::Slot(index as u8));
        }
        frame.marks = Marks::default();
    }
}

/// Forgets what no path below has read (`clean_verifier_state`).
fn clean(state: &mut State) {
    for frame in &mut state.frames {
        let read = frame.marks.all_read();
        for (register, cell) in frame.registers.iter_mut().enumerate().take(Register::R10.index()) {
            if !read.has(Place::Register(register as u8)) {
                cell.value = Value::Uninitialised;
            }
        }
        for (index, slot) in frame.stack.iter_mut().enumerate() {
            if !read.has(Place::Slot(index as u8)) {
                slot.spilled.value = Value::Uninitialised;
                slot.bytes = [ByteKind::Invalid; SLOT_BYTES];
                slot.scrubbed_reference = 0;
            }
        }
        frame.marks.finish(Places::within(0, frame.stack.len()));
    }
}

/// In a loop that converges, scalars that do not matter become unknown, so that the next round is covered
/// (`widen_imprecise_scalars`).
pub fn widen(old: &State, current: &mut State, last_id: u32) {
    let mut ids = IdMap::new(last_id);
    for (old, current) in old.frames.iter().zip(&mut current.frames).rev() {
        for (old, current) in old.registers.iter().zip(&mut current.registers) {
            widen_value(&old.value, &mut current.value, &mut ids);
        }
        for (old, current) in old.stack.iter().zip(&mut current.stack) {
            if old.is_spilled() && current.is_spilled() {
                widen_value(&old.spilled.value, &mut current.spilled.value, &mut ids);
            }
        }
    }
}

fn widen_value(old: &Value, current: &mut Value, ids: &mut IdMap) {
    let (Value::Scalar(before), Value::Scalar(now)) = (old, &*current) else { return };
    if !before.precise && !now.precise && !inclusion::same_value(old, current, ids) {
        *current = Value::unknown();
    }
}
