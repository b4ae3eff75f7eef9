//! Liveness: which registers and slots of a checkpoint the paths below it have read.
//!
//! A read marks the place that the value came from, checkpoint by checkpoint upwards, until it meets a write or a
//! place already marked (`mark_reg_read`, `kernel/bpf/verifier.c`, Linux 6.12). Pruning compares only what was read.

use super::explored::Explored;
use super::state::{Cell, Live, Parent, Place, State, StateId, bits_of};

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
            let Some(cell) = self.state_mut(place.state).cell_mut(place.frame, place.place) else { break };
            if cell.live & Live::READ == flag || cell.live.contains(Live::READ64) {
                break;
            }
            cell.live |= flag;
            if flag == Live::READ64 {
                cell.live.remove(Live::READ32);
            }
            marked += 1;
            if cell.live.contains(Live::WRITTEN) {
                break;
            }
            parent = cell.parent;
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
            let registers = unmarked(&above.registers[first..10], &here.registers[first..10], |cell| cell) << first;
            let slots = unmarked(&above.stack, &here.stack, |slot| &slot.spilled);
            for place in bits_of(registers).map(Place::Register).chain(bits_of(slots).map(Place::Slot)) {
                self.propagate_cell(old, current, frame as u8, place);
            }
        }
    }

    fn propagate_cell(&mut self, old: StateId, current: &mut State, frame: u8, place: Place) {
        let Some(flag) = self.state(old).cell(frame, place).map(|cell| cell.live & Live::READ) else { return };
        let Some(cell) = current.cell_mut(frame, place) else { return };
        // The current state is not a checkpoint: mark it here, then go on upwards as any read does.
        cell.live |= flag;
        if flag == Live::READ64 {
            cell.live.remove(Live::READ32);
        }
        let (live, parent) = (cell.live, cell.parent);
        let marked = 1 + self.mark_read(live, parent, flag);
        self.longest_mark_read = self.longest_mark_read.max(marked);
    }
}

/// Of the cells that two states both have, those whose mark of having been read is missing in the second, as a mask.
fn unmarked<T>(old: &[T], current: &[T], cell: impl Fn(&T) -> &Cell) -> u64 {
    let missing = |(old, current): (&T, &T)| {
        let (flag, already) = (cell(old).live & Live::READ, cell(current).live & Live::READ);
        !flag.is_empty() && already != Live::READ64 && already != flag
    };
    old.iter().zip(current).enumerate().fold(0, |mask, (bit, pair)| mask | u64::from(missing(pair)) << bit)
}
