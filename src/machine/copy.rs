//! Copies that other CPUs can watch: where a helper copies memory that programs of other CPUs may read or change, each word is a
//! step of its own.
//!
//! The kernel copies a map's value with `memcpy` (`copy_map_value`, Linux 6.12), so that a reader may see half of an update. Only a machine
//! that was told to ([`Machine::copy_by_pieces`]) takes more than one step for a copy, and only where more than one word is watched.
//! Words are those of x86's `memcpy` without fast string instructions: eight bytes each, four loaded before they are stored, and a value of
//! 32 bytes or more from its end if its address and the source's are so (its low byte is the greater). Start at [`Call::copy`].

use super::callbacks::{CallbackKind, FIELD_SIZE};
use super::code::Code;
use super::event::{Access, AccessKind, Event, Outcome, places};
use super::fault::Trap;
use super::fingerprint::wide;
use super::memory::{Allocator, Spot};
use super::models::{Answer, Call, Modelled};
use super::ownership::Field;
use super::region::RegionKind;
use super::stepper::Machine;
use super::story::RegionId;

/// Bytes of a word.
const WORD: u32 = 8;
/// Words that are loaded before they are stored.
const BATCH: usize = 4;
/// Bytes from which on a copy may begin at its end.
pub(super) const REVERSIBLE: u32 = 32;

/// One thing that a copy does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// Reads bytes at an address.
    Load { from: u64, at: u32, size: u32 },
    /// Writes bytes to an address.
    Store { to: u64, at: u32, size: u32 },
    /// Writes all bytes to memory that nobody else sees.
    Deliver { to: u64 },
    /// Gives back what the fields of a map's value hold (`bpf_obj_free_fields`).
    DropContents(RegionId),
    /// Puts the bytes into an element, a trie's if none is given, and that into the map.
    Insert { map: u32, key: Box<[u8]>, element: Option<RegionId> },
    /// Puts an element that has its bytes into a map.
    Link { map: u32, key: Box<[u8]>, element: RegionId },
    /// Gives a lock back.
    Unlock(Field),
    /// Waits for the end of a timer's callback, by the number of its run.
    Await { run: u64, timer: Field },
    /// Takes a timer out of the queue; that it was there is the result.
    Dequeue(Field),
    /// Makes an element that was deleted free for another key.
    Free { map: u32, element: RegionId },
}

/// A call that is not done yet: its copy's parts.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    /// What is still to be done, last first.
    rest: Vec<Part>,
    bytes: Vec<u8>,
    /// What the call returns in the end.
    result: u64,
}

/// In what order words are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the first to the last, four loaded before they are stored.
    Forward,
    /// From the last to the first, but for the bytes beyond a multiple of 32.
    Backward,
    /// From the first to the last, each stored before the next is loaded (`copy_from_kernel_nofault`).
    WordByWord,
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// They were read already.
    Bytes(Vec<u8>),
    /// They are read word by word, for others may change them meanwhile.
    Watched(u64),
}

/// Offsets and sizes of the words of a copy, as many together as are loaded before they are stored.
fn words(len: u32, way: Way) -> Vec<Vec<(u32, u32)>> {
    let whole = if way == Way::Backward { len / REVERSIBLE * REVERSIBLE } else { len / WORD * WORD };
    let begin = if way == Way::Backward { len - whole } else { 0 };
    let mut offsets: Vec<u32> = (begin..begin + whole).step_by(WORD as usize).collect();
    if way == Way::Backward {
        offsets.reverse();
    }
    let mut all: Vec<(u32, u32)> = offsets.into_iter().map(|offset| (offset, WORD)).collect();
    let (mut at, end) = if way == Way::Backward { (0, begin) } else { (whole, len) };
    for size in [WORD, WORD / 2, WORD / 4, 1] {
        while end - at >= size {
            all.push((at, size));
            at += size;
        }
    }
    all.chunks(if way == Way::WordByWord { 1 } else { BATCH }).map(<[_]>::to_vec).collect()
}

impl Copy {
    /// Nothing to be done but to return a result.
    pub fn returning(result: u64) -> Copy {
        Copy { rest: Vec::new(), bytes: Vec::new(), result }
    }

    /// Adds what comes after all that was added before.
    fn then(&mut self, part: Part) {
        self.rest.push(part);
    }

    /// After the bytes: what fields of the value held is given back.
    pub fn then_drop_contents(&mut self, region: RegionId) {
        self.then(Part::DropContents(region));
    }

    /// After the bytes were read: they are put into an element (a trie's, if none is given) and that into the map.
    pub fn then_insert(&mut self, map: u32, key: &[u8], element: Option<RegionId>) {
        self.then(Part::Insert { map, key: key.into(), element });
    }

    /// After the bytes are in an element: it is put into the map.
    pub fn then_link(&mut self, map: u32, key: &[u8], element: RegionId) {
        self.then(Part::Link { map, key: key.into(), element });
    }

    /// At last: the lock is given back.
    pub fn then_unlock(&mut self, lock: Field) {
        self.then(Part::Unlock(lock));
    }

    /// Waits for the end of a timer's callback.
    pub fn then_await(&mut self, run: u64, timer: Field) {
        self.then(Part::Await { run, timer });
    }

    /// Takes a timer out of the queue and returns 1 if it was there.
    pub fn then_dequeue(&mut self, timer: Field) {
        self.then(Part::Dequeue(timer));
    }

    /// Makes an element that was deleted free for another key.
    pub fn then_free(&mut self, map: u32, element: RegionId) {
        self.then(Part::Free { map, element });
    }

    /// The run of a timer's callback that the next step waits for.
    pub fn awaits(&self) -> Option<(u64, Field)> {
        match self.next() {
            Some(&Part::Await { run, timer }) => Some((run, timer)),
            _ => None,
        }
    }

    fn next(&self) -> Option<&Part> {
        self.rest.last()
    }

    /// Does the next step touch the same, whatever others do before it?
    pub fn is_fixed(&self) -> bool {
        matches!(self.next(), Some(Part::Load { .. } | Part::Store { .. } | Part::Deliver { .. } | Part::Unlock(_)))
    }

    /// Must the CPU's earlier stores be visible before the next step?
    pub fn is_fence(&self) -> bool {
        let next = self.next();
        matches!(next, Some(Part::DropContents(_) | Part::Insert { .. } | Part::Link { .. } | Part::Unlock(_)))
    }

    /// Are interrupts off meanwhile, as they are while a lock is held?
    pub fn holds_lock(&self) -> bool {
        self.rest.iter().any(|part| matches!(part, Part::Unlock(_)))
    }

    /// A digest of what is still to be done.
    pub fn digest(&self) -> u128 {
        wide(&(&self.rest, &self.bytes, self.result))
    }
}

impl Call<'_> {
    /// May programs of other CPUs read or change these bytes meanwhile? Then they are all in one live region.
    fn is_watched(&self, address: u64, size: u32) -> bool {
        let memory = &self.machine.memory;
        let Some(Spot { region, offset }) = memory.at(address) else { return false };
        let shared = matches!(
            memory.region(region).kind,
            RegionKind::MapValue { .. }
                | RegionKind::Object { .. }
                | RegionKind::PerCpuCopy { .. }
                | RegionKind::ArenaPage { .. }
        );
        shared && !memory.is_private(region) && memory.len(region) - offset >= size
    }

    /// The bytes to be copied from an address: read here, unless others may change them in the middle.
    pub fn source(&mut self, address: u64, size: u32) -> Result<Source, Box<Trap>> {
        match self.watched(address, size) {
            Some(source) => Ok(source),
            None => self.read(address, size.into()).map(Source::Bytes),
        }
    }

    /// The same, if others may change them and they are not one word.
    pub fn watched(&self, address: u64, size: u32) -> Option<Source> {
        let watched = self.machine.by_pieces && size > WORD && self.is_watched(address, size);
        watched.then_some(Source::Watched(address))
    }

    /// Reads bytes, or plans to, as the first thing that a copy does.
    pub fn load(&self, source: Source, size: u32, mut copy: Copy) -> Copy {
        match source {
            Source::Bytes(bytes) => copy.bytes = bytes,
            Source::Watched(from) => {
                copy.bytes = vec![0; size as usize];
                let words = words(size, Way::Forward).concat();
                copy.rest.extend(words.into_iter().map(|(at, size)| Part::Load {
                    from: from + u64::from(at),
                    at,
                    size,
                }));
            }
        }
        copy
    }

    /// Copies bytes to an address: those of each run, an offset and a size, to the same offset from there.
    pub fn copy(&self, source: Source, to: u64, size: u32, runs: &[(u32, u32)], way: Way, result: u64) -> Copy {
        let mut copy = Copy::returning(result);
        if !self.is_watched(to, size) {
            copy = self.load(source, size, copy);
            copy.then(Part::Deliver { to });
            return copy;
        }
        let from = match source {
            Source::Bytes(bytes) => {
                copy.bytes = bytes;
                None
            }
            Source::Watched(from) => {
                copy.bytes = vec![0; size as usize];
                Some(from)
            }
        };
        for &(first, len) in runs {
            let all = if self.machine.by_pieces { words(len, way) } else { vec![vec![(0, len)]] };
            for batch in all {
                let places = batch.iter().map(|&(offset, size)| (first + offset, size));
                if let Some(from) = from {
                    let load = |(at, size)| Part::Load { from: from + u64::from(at), at, size };
                    copy.rest.extend(places.clone().map(load));
                }
                copy.rest.extend(places.map(|(at, size)| Part::Store { to: to + u64::from(at), at, size }));
            }
        }
        copy
    }

    /// Begins a copy as what the call does: all of it if it goes by one piece, else its first.
    pub fn begin(&mut self, mut copy: Copy) -> Modelled {
        copy.rest.reverse();
        self.go_on(copy)
    }

    /// The next step of a copy.
    fn go_on(&mut self, mut copy: Copy) -> Modelled {
        let mut begins = true;
        loop {
            let waits = copy.awaits().is_some_and(|(run, _)| self.machine.world.callbacks.is_under_way(run));
            if waits || (!begins && self.ends_step(&copy)) {
                break;
            }
            let Some(part) = copy.rest.pop() else { break };
            self.perform(part, &mut copy)?;
            begins = false;
            // What holds a lock holds it until they have ended.
            for (run, timer) in self.deleted_timers() {
                copy.rest.push(Part::Await { run, timer });
            }
        }
        Ok(if copy.rest.is_empty() { Answer::Value(copy.result) } else { Answer::Copies(Box::new(copy)) })
    }

    /// The runs that have to be awaited because their timers were deleted here: none in a timer's callback, which leaves it to others.
    pub fn deleted_timers(&mut self) -> Vec<(u64, Field)> {
        if self.machine.world.callbacks.all.is_empty() && !self.machine.by_pieces {
            return Vec::new();
        }
        let in_timer =
            self.machine.world.callbacks.run_by(self.task).is_some_and(|own| own.kind == CallbackKind::Timer);
        let deleted = self.machine.world.callbacks.take_deleted();
        if in_timer { Vec::new() } else { deleted }
    }

    /// Is what comes next a step of its own? What nobody else can look into belongs to the step before it.
    fn ends_step(&self, copy: &Copy) -> bool {
        match copy.next() {
            Some(Part::Deliver { .. } | Part::Dequeue(_) | Part::Free { .. } | Part::Await { .. }) | None => false,
            // What the lock protects must be visible before it is given back.
            Some(Part::Unlock(_)) => self.machine.has_store_buffers(),
            Some(_) => self.machine.by_pieces,
        }
    }

    fn perform(&mut self, part: Part, copy: &mut Copy) -> Result<(), Box<Trap>> {
        let bytes = &mut copy.bytes;
        match part {
            Part::Load { from, at, size } => {
                let word = self.read(from, size.into())?;
                if let Some(to) = bytes.get_mut(at as usize..(at + size) as usize) {
                    to.copy_from_slice(&word);
                }
                Ok(())
            }
            Part::Store { to, at, size } => {
                let word = bytes.get(at as usize..(at + size) as usize).unwrap_or_default();
                self.store_word(to, word)
            }
            Part::Deliver { to } => self.write(to, bytes),
            Part::DropContents(region) => {
                self.fence();
                self.machine.drop_contents(region, self.at)
            }
            Part::Insert { map, key, element } => {
                self.fence();
                self.machine.map_insert(map, &key, element, bytes, self.at)
            }
            Part::Link { map, key, element } => {
                self.fence();
                self.machine.touch_free_elements(map, self.cpu);
                self.touch_element(map, &key, AccessKind::Atomic);
                self.machine.link_element(map, &key, element, self.at)
            }
            Part::Unlock(lock) => {
                self.fence();
                self.give_back(lock);
                Ok(())
            }
            Part::Await { timer, .. } => {
                self.touch_timer(timer);
                Ok(())
            }
            Part::Dequeue(timer) => {
                self.touch_timer(timer);
                let queued = self.machine.world.callbacks.all.get_mut(&timer).and_then(|one| one.pending.take());
                copy.result = queued.is_some().into();
                Ok(())
            }
            Part::Free { map, element } => {
                self.machine.touch_free_elements(map, self.cpu);
                self.machine.free_element(map, element, self.at);
                Ok(())
            }
        }
    }

    fn touch_timer(&mut self, (region, offset): Field) {
        let access = Access { region, offset, size: FIELD_SIZE, kind: AccessKind::Atomic };
        self.machine.report.accesses.push(access);
    }

    /// Gives back a lock that only the call itself held.
    pub fn give_back(&mut self, (region, offset): Field) {
        let access = Access { region, offset, size: 4, kind: AccessKind::Unlock };
        self.machine.report.accesses.push(access);
        self.machine.report.events.push(Event::Unlock { region, offset });
        self.machine.world.locks.remove(&(region, offset));
    }

    /// Depends on the CPU's earlier stores: they are visible here.
    fn fence(&mut self) {
        if self.machine.has_store_buffers() {
            self.machine.report.order(places::store_buffer(self.cpu), AccessKind::Acquire);
        }
    }

    /// A plain store, which may be seen late.
    fn store_word(&mut self, to: u64, word: &[u8]) -> Result<(), Box<Trap>> {
        if !self.machine.has_store_buffers() {
            return self.write(to, word);
        }
        let reader = self.machine.rcu.reader(self.task);
        let spot = self.machine.memory.check(to, word.len() as u32, true, &reader)?;
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(word) {
            *to = *from;
        }
        self.machine.delay_store(self.cpu, spot, word.len() as u32, u64::from_le_bytes(value));
        Ok(())
    }
}

impl Machine {
    /// From now on a copy that other CPUs can watch takes a step for each word.
    pub fn copy_by_pieces(&mut self) {
        self.by_pieces = true;
    }

    /// The copy that a task is in the middle of.
    pub(super) fn copying(&self, task: u32) -> Option<&Copy> {
        self.tasks.get(task as usize)?.execution.as_ref()?.copy.as_deref()
    }

    /// The next step of the call that a task is in the middle of; `None` if it is in none.
    pub(super) fn continue_copy(&mut self, task: u32) -> Option<Result<Outcome, Box<Trap>>> {
        let state = self.tasks.get_mut(task as usize)?;
        let (cpu, execution) = (state.cpu, state.execution.as_mut()?);
        let copy = execution.copy.take()?;
        let name = execution.program.ops.get(execution.pc as usize).filter(|op| op.code == Code::Call);
        let name =
            name.and_then(|op| execution.program.calls.get(op.imm as usize)?.model).map_or("", |model| model.name);
        self.steps += 1;
        self.memory.allocator = Allocator::task(task, cpu);
        let at = self.report.at;
        let answer = Call { machine: self, name, task, cpu, args: [0; 5], at }.go_on(*copy);
        Some(answer.and_then(|answer| self.answer(task, answer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cover_each_byte_once() {
        for way in [Way::Forward, Way::Backward, Way::WordByWord] {
            for len in 0..200u32 {
                let mut seen: Vec<u32> =
                    words(len, way).concat().iter().flat_map(|&(at, size)| at..at + size).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..len).collect::<Vec<_>>(), "{way:?} {len}");
            }
        }
    }

    #[test]
    fn a_long_copy_may_begin_at_its_end() {
        let order = |way| words(44, way).concat().iter().map(|word| word.0).collect::<Vec<_>>();
        assert_eq!(order(Way::Forward), [0, 8, 16, 24, 32, 40]);
        assert_eq!(order(Way::Backward), [36, 28, 20, 12, 0, 8]);
    }
}
