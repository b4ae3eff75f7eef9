//! The arena of checkpoints, and where they are found again: by slot and chain of calls.

use super::state::{State, StateId};

/// A checkpoint in the list of its slot.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// The checkpoint.
    pub state: StateId,
    /// How often it let a path end.
    pub hits: u32,
    /// How often it was compared in vain.
    pub misses: u32,
}

/// All checkpoints of one function's exploration.
#[derive(Debug, Default)]
pub struct Explored {
    states: Vec<State>,
    /// For each bucket its checkpoints, newest first. The kernel hashes slot and innermost callsite.
    buckets: Vec<Vec<Listed>>,
    /// Longest chain that one read marked.
    pub longest_mark_read: u32,
}

impl Explored {
    /// An arena for a program of that many slots.
    #[must_use]
    pub fn new(slots: usize) -> Explored {
        Explored { buckets: vec![Vec::new(); slots.max(1)], ..Explored::default() }
    }

    /// Which bucket a state at a slot belongs to (`explored_state`).
    #[must_use]
    pub fn bucket_of(&self, insn: usize, state: &State) -> usize {
        let callsite = state.frame().callsite.unwrap_or(u32::MAX);
        (insn as u32 ^ callsite) as usize % self.buckets.len()
    }

    /// The checkpoints of a bucket, newest first.
    pub fn bucket_mut(&mut self, bucket: usize) -> &mut Vec<Listed> {
        &mut self.buckets[bucket]
    }

    /// The checkpoints of a bucket, newest first.
    #[must_use]
    pub fn bucket(&self, bucket: usize) -> &[Listed] {
        &self.buckets[bucket]
    }

    /// Keeps a state as a checkpoint.
    pub fn insert(&mut self, state: State) -> StateId {
        self.states.push(state);
        StateId((self.states.len() - 1) as u32)
    }

    /// Gives back the memory of a checkpoint that no path and no list needs any more; its id stays taken.
    pub fn forget(&mut self, id: StateId) {
        self.states[id.0 as usize].frames = Vec::new();
    }

    /// The checkpoint of that id. Ids come from [`Explored::insert`] only.
    #[must_use]
    pub fn state(&self, id: StateId) -> &State {
        &self.states[id.0 as usize]
    }

    /// The checkpoint of that id, to change it.
    pub fn state_mut(&mut self, id: StateId) -> &mut State {
        &mut self.states[id.0 as usize]
    }

    /// The topmost checkpoint of the loop that `start` is part of; shortens the chain on the way (`get_loop_entry`).
    pub fn loop_entry(&mut self, start: StateId) -> Option<StateId> {
        let first = self.state(start).loop_entry?;
        let topmost = self.topmost(Some(first));
        let mut at = Some(start);
        while let Some(id) = at {
            let next = self.state(id).loop_entry;
            if next == topmost {
                break;
            }
            self.state_mut(id).loop_entry = topmost;
            at = next;
        }
        topmost
    }

    fn topmost(&self, mut entry: Option<StateId>) -> Option<StateId> {
        while let Some(id) = entry {
            match self.state(id).loop_entry {
                Some(next) if next != id => entry = Some(next),
                _ => break,
            }
        }
        entry
    }

    /// The same for the current state, which is not in the arena.
    pub fn loop_entry_of_current(&mut self, current: &mut State) -> Option<StateId> {
        let topmost = self.topmost(current.loop_entry);
        current.loop_entry = topmost;
        topmost
    }

    /// Notes that the current state is in a loop with the checkpoint `header` (`update_loop_entry`).
    pub fn note_loop_of_current(&mut self, current: &mut State, header: StateId) {
        let current_depth = self.loop_entry_of_current(current).map_or(current.depth, |entry| self.state(entry).depth);
        if self.may_be_entry(header, current_depth) {
            current.loop_entry = Some(header);
            self.state_mut(header).used_as_loop_entry = true;
        }
    }

    /// Notes that a checkpoint is in a loop with the checkpoint `header`.
    pub fn note_loop(&mut self, state: StateId, header: StateId) {
        let entry = self.loop_entry(state).unwrap_or(state);
        let depth = self.state(entry).depth;
        if self.may_be_entry(header, depth) {
            self.state_mut(state).loop_entry = Some(header);
            self.state_mut(header).used_as_loop_entry = true;
        }
    }

    fn may_be_entry(&mut self, header: StateId, depth: u32) -> bool {
        let top = self.loop_entry(header).unwrap_or(header);
        let top = self.state(top);
        top.branches > 0 && top.depth <= depth
    }

    /// One path below `state` (not itself in the arena) has ended: its ancestors have one branch less each, as far up
    /// as that leaves none (`update_branch_counts`).
    pub fn path_ended(&mut self, state: &State) {
        let (mut parent, mut entry) = (state.parent, state.loop_entry);
        // `state` itself is dropped by the caller, so its own count went from one to zero.
        loop {
            let Some(id) = parent else { return };
            if let Some(header) = entry {
                self.note_loop(id, header);
            }
            let above = self.state_mut(id);
            above.branches = above.branches.saturating_sub(1);
            if above.branches > 0 {
                return;
            }
            (parent, entry) = (above.parent, above.loop_entry);
        }
    }
}
