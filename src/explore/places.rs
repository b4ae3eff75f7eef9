//! Who touched a place before: for each place a list of touches, newest first, that can be cut back to an earlier step of the run.
//!
//! Happens-before and race detection both ask "what was here before me?" at every step; runs that share their beginning share these lists.

use rustc_hash::FxHashMap;

use super::system::Touch;

/// No record.
pub const NONE: u32 = u32::MAX;
/// Places that are remembered from run to run; beyond, they are forgotten at the next run's start.
const MAX_PLACES: usize = 1 << 20;

/// A touch of the run.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// What was touched and how.
    pub touch: Touch,
    /// The number of the step.
    pub event: u32,
    /// The touch of the same place before this one, or [`NONE`].
    pub previous: u32,
    place: u32,
}

/// The touches of a run, by place.
#[derive(Clone, Debug, Default)]
pub struct Places {
    numbers: FxHashMap<u64, u32>,
    heads: Vec<u32>,
    records: Vec<Record>,
    /// The place that was asked for last, and its number: mostly it is the next one's too.
    latest: Option<(u64, u32)>,
}

impl Places {
    /// The newest touch of a place, or [`NONE`].
    #[must_use]
    #[inline]
    pub fn newest(&self, place: u64) -> u32 {
        self.numbers.get(&place).map_or(NONE, |&number| self.heads[number as usize])
    }

    /// A place's own number, under which its touches are found again and added without a look-up, until the next
    /// [`Places::truncate`].
    #[inline]
    pub fn number(&mut self, place: u64) -> u32 {
        if let Some((latest, number)) = self.latest
            && latest == place
        {
            return number;
        }
        let fresh = self.heads.len() as u32;
        let number = *self.numbers.entry(place).or_insert(fresh);
        if number == fresh {
            self.heads.push(NONE);
        }
        self.latest = Some((place, number));
        number
    }

    /// The newest touch of the place of that number, or [`NONE`].
    #[must_use]
    #[inline]
    pub fn newest_of(&self, number: u32) -> u32 {
        self.heads[number as usize]
    }

    /// A touch by its number, which must be one that this gave.
    #[must_use]
    #[inline]
    pub fn record(&self, number: u32) -> &Record {
        &self.records[number as usize]
    }

    /// Appends a touch by step `event`.
    #[inline]
    pub fn push(&mut self, event: u32, touch: Touch) {
        let place = self.number(touch.place);
        self.push_at(place, event, touch);
    }

    /// The same, to the place of that number.
    #[inline]
    pub fn push_at(&mut self, place: u32, event: u32, touch: Touch) {
        let head = &mut self.heads[place as usize];
        let previous = std::mem::replace(head, self.records.len() as u32);
        self.records.push(Record { touch, event, previous, place });
    }

    /// Forgets the touches of step `events` and later.
    pub fn truncate(&mut self, events: u32) {
        while let Some(record) = self.records.last()
            && record.event >= events
        {
            self.heads[record.place as usize] = record.previous;
            self.records.pop();
        }
        if self.records.is_empty() && self.heads.len() > MAX_PLACES {
            *self = Places::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::system::TouchKind;

    fn touch(place: u64) -> Touch {
        Touch { place, start: 0, size: 1, kind: TouchKind::Write }
    }

    #[test]
    fn a_cut_brings_back_what_was_newest() {
        let mut places = Places::default();
        places.push(0, touch(7));
        places.push(1, touch(9));
        places.push(2, touch(7));
        let newest = places.newest(7);
        assert_eq!(places.record(newest).event, 2);
        places.truncate(2);
        let newest = places.newest(7);
        assert_eq!((places.record(newest).event, places.record(newest).previous), (0, NONE));
        places.truncate(0);
        assert_eq!((places.newest(7), places.newest(8)), (NONE, NONE));
    }
}
