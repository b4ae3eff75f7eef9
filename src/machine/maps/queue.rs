//! Queues, stacks and bloom filters: values without keys (`kernel/bpf/queue_stack_maps.c`, `bloom_filter.c`, Linux 6.12).
//!
//! The bloom filter here knows exactly what was put into it: which other values a kernel takes for present depends on
//! a random number that it draws when it makes the map.

use std::collections::{BTreeSet, VecDeque};

use crate::machine::fault::Trap;
use crate::machine::stepper::Machine;

use super::{BPF_EXIST, MapFamily, errno};

/// What is in such a map.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// Values, oldest first.
    values: VecDeque<Box<[u8]>>,
    /// Values that a bloom filter has seen.
    seen: BTreeSet<Box<[u8]>>,
}

impl Queue {
    /// Values, oldest first.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.values.iter().map(|value| &**value)
    }
}

impl Machine {
    /// Puts a value in; the result is zero or a negative error number.
    pub(in crate::machine) fn map_push(&mut self, map: u32, value: &[u8], flags: u64) -> Result<i64, Box<Trap>> {
        let state = &mut self.maps[map as usize];
        let queue = &mut state.elements.queue;
        match state.family {
            MapFamily::Queue | MapFamily::Stack => {
                if flags != 0 && flags != BPF_EXIST {
                    return Ok(errno::EINVAL);
                }
                if queue.values.len() >= state.max_entries as usize {
                    if flags != BPF_EXIST {
                        return Ok(errno::E2BIG);
                    }
                    queue.values.pop_front();
                }
                queue.values.push_back(value.into());
                Ok(0)
            }
            MapFamily::Bloom if flags != 0 => Ok(errno::EINVAL),
            MapFamily::Bloom => {
                queue.seen.insert(value.into());
                Ok(0)
            }
            _ => Err(state.unsupported("push")),
        }
    }

    /// The next value of a queue or stack, which is taken out if `remove` says so.
    pub(in crate::machine) fn map_next(&mut self, map: u32, remove: bool) -> Result<Option<Box<[u8]>>, Box<Trap>> {
        let state = &mut self.maps[map as usize];
        let values = &mut state.elements.queue.values;
        match (state.family, remove) {
            (MapFamily::Queue, true) => Ok(values.pop_front()),
            (MapFamily::Queue, false) => Ok(values.front().cloned()),
            (MapFamily::Stack, true) => Ok(values.pop_back()),
            (MapFamily::Stack, false) => Ok(values.back().cloned()),
            _ => Err(state.unsupported("pop or peek")),
        }
    }

    /// Was the value put into the bloom filter?
    pub(in crate::machine) fn bloom_has(&self, map: u32, value: &[u8]) -> bool {
        self.maps[map as usize].elements.queue.seen.contains(value)
    }
}
