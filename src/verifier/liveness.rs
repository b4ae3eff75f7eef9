//! Liveness: which registers and slots of a checkpoint the paths below it have read.
//!
//! A read marks the place that the value came from, checkpoint by checkpoint upwards, until it meets a write or a
//! place already marked (`mark_reg_read`, `kernel/bpf/verifier.c`, Linux 6.12). Pruning compares only what was read.

use super::explored::Explored;
use super::marks::Places;
use super::state::{Live, Parent, Place, State, StateId};

impl Explored {
    /// Marks a read that starts in a cell with liveness `live` and origin `parent`. Returns the number of checkpoints
    /// marked.
    pub fn mark_read(&mut self, live: Live, parent: Option<Parent>, flag: Live) -> u32 {
        if live.contains(Live::WRITTEN) {
            return 0;
        }
        self.mark_read_from(parent, flag)
    }

    /// The same where the first step upwards must not be shielded by a write.
    pub fn mark_read_from(&mut self, mut parent: Option<Parent>, flag: Live) -> u32 {
        let mut marked = 0;
        while let Some(place) = parent {
            let frame = self.state_mut(place.state).frames.get_mut(usize::from(place.frame));
            let Some((frame, above)) = frame.and_then(|frame| frame.origin(place.place).map(|above| (frame, above)))
            else {
                break;
            };
            if !frame.marks.read(place.place, flag) {
                break;
            }
            marked += 1;
            if frame.marks.is_written(place.place) {
                break;
            }
            parent = above;
        }
        self.longest_mark_read = self.longest_mark_read.max(marked);
        marked
    }

    /// What a pruned path would have read, since the checkpoint `old` below which it continues has read it, is marked
    /// as read by `current` too (`propagate_liveness`).
    pub fn propagate_liveness(&mut self, old: StateId, current: &mut State) {
        let innermost = current.current();
        for frame in 0..=innermost {
            let first = if frame < innermost { 6 } else { 0 };
            let (above, here) = (&self.state(old).frames[frame], &current.frames[frame]);
            let both = Places::within(first, above.stack.len().min(here.stack.len()));
            let (half, whole) = above.marks.read_but_not_in(&here.marks);
            for place in half.or(whole).and(both).iter() {
                // The old state may be above the current one, and be marked on the way.
                let flag = self.state(old).frames[frame].marks.of(place) & Live::READ;
                self.propagate_place(current, frame, place, flag);
            }
        }
    }

    /// The current state is not a checkpoint: marks it here, then goes on upwards as any read does.
    fn propagate_place(&mut self, current: &mut State, frame: usize, place: Place, flag: Live) {
        let frame = &mut current.frames[frame];
        frame.marks.read(place, flag);
        let marked = match frame.origin(place) {
            Some(above) => 1 + self.mark_read(frame.marks.of(place), above, flag),
            None => 0,
        };
        self.longest_mark_read = self.longest_mark_read.max(marked);
    }
}
