//! x86's memory model (TSO): a plain store waits in its CPU's buffer, first in, first out, until it becomes visible.
//!
//! The CPU itself sees its own stores at once. Locked instructions, and calls with such inside, wait until the buffer is
//! empty; so does a load that a waiting store covers only in part. When a store becomes visible is a scheduler's choice
//! ([`Machine::flush_one`]). See Owens, Sarkar, Sewell: "A Better x86 Memory Model: x86-TSO", TPHOLs 2009.

use std::collections::VecDeque;

use super::alu;
use super::code::{Code, Op};
use super::event::{Access, AccessKind, Outcome, places};
use super::fault::Trap;
use super::fingerprint::wide;
use super::memory::Spot;
use super::stepper::Machine;
use super::story::{Moment, RegionId};
use crate::isa::Size;
use crate::seeded::{self, Fault};

/// A store that others do not see yet.
#[derive(Clone, Copy, Debug)]
struct PendingStore {
    spot: Spot,
    size: u32,
    value: u64,
    nth: u32,
    at: Moment,
}

/// One CPU's buffer.
#[derive(Clone, Debug, Default)]
struct Buffer {
    stores: VecDeque<PendingStore>,
    /// All stores of the run so far.
    history: Vec<PendingStore>,
}

/// All CPUs' buffers.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreBuffers {
    buffers: Vec<Buffer>,
}

impl StoreBuffers {
    /// Are there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// A digest of what waits.
    pub fn digest(&self, machine: &Machine) -> u128 {
        let buffers = self.buffers.iter().map(|buffer| {
            let stores = buffer.stores.iter();
            stores.map(|one| (machine.place(one.spot.region), one.spot.offset, one.size, one.value)).collect::<Vec<_>>()
        });
        wide(&buffers.collect::<Vec<_>>())
    }

    /// Back to how `base` is.
    pub fn restore(&mut self, base: &StoreBuffers) {
        for (buffer, base) in self.buffers.iter_mut().zip(&base.buffers) {
            buffer.stores.clone_from(&base.stores);
            buffer.history.truncate(base.history.len());
        }
    }
}

/// What a load finds in its own CPU's buffer.
enum Forwarded {
    Value(u64),
    Nothing,
    /// A store covers some of its bytes.
    Part,
}

fn overlap(store: &PendingStore, spot: Spot, size: u32) -> bool {
    store.spot.region == spot.region
        && store.spot.offset < spot.offset + size
        && spot.offset < store.spot.offset + store.size
}

impl Buffer {
    /// The CPU's latest store to some of those bytes, visible by now or not.
    fn latest(&self, spot: Spot, size: u32) -> Option<&PendingStore> {
        self.history.iter().rev().find(|store| overlap(store, spot, size))
    }

    fn find(&self, spot: Spot, size: u32) -> Forwarded {
        if seeded::active(Fault::OwnStoresUnseen) {
            return Forwarded::Nothing;
        }
        let Some(store) = self.stores.iter().rev().find(|store| overlap(store, spot, size)) else {
            return Forwarded::Nothing;
        };
        let covered = store.spot.offset <= spot.offset && spot.offset + size <= store.spot.offset + store.size;
        if !covered {
            return Forwarded::Part;
        }
        let shifted = store.value >> (8 * (spot.offset - store.spot.offset));
        let mask = if size == 8 { u64::MAX } else { (1 << (8 * size)) - 1 };
        Forwarded::Value(shifted & mask)
    }
}

impl Machine {
    /// Gives each CPU a store buffer: from now on plain stores to shared memory are seen by others late.
    pub fn use_store_buffers(&mut self) {
        self.store_buffers.buffers = vec![Buffer::default(); self.cpu_count() as usize];
    }

    /// Do CPUs have store buffers?
    #[must_use]
    pub fn has_store_buffers(&self) -> bool {
        !self.store_buffers.buffers.is_empty()
    }

    /// How many CPUs have one.
    pub(super) fn store_buffer_count(&self) -> u32 {
        self.store_buffers.buffers.len() as u32
    }

    fn buffer(&self, cpu: u32) -> Option<&Buffer> {
        self.store_buffers.buffers.get(cpu as usize)
    }

    /// Does a store wait in that CPU's buffer?
    #[must_use]
    pub fn has_stores(&self, cpu: u32) -> bool {
        self.buffer(cpu).is_some_and(|buffer| !buffer.stores.is_empty())
    }

    /// Where the store that waits longest was made; the last step's moment if none waits.
    #[must_use]
    pub fn oldest_store(&self, cpu: u32) -> Moment {
        self.buffer(cpu).and_then(|buffer| buffer.stores.front()).map_or(self.report.at, |store| store.at)
    }

    /// Makes a CPU's oldest waiting store visible; what it touched is in [`Machine::report`].
    pub fn flush_one(&mut self, cpu: u32) {
        self.report.clear();
        let Some(buffer) = self.store_buffers.buffers.get_mut(cpu as usize) else { return };
        let latest_first = seeded::active(Fault::LatestStoreFirst);
        let store = if latest_first { buffer.stores.pop_back() } else { buffer.stores.pop_front() };
        let Some(store) = store else { return };
        self.report.at = store.at;
        // Memory that is gone meanwhile takes nothing.
        self.memory.poke(store.spot.region, store.spot.offset, &store.value.to_le_bytes()[..store.size as usize]);
        let Spot { region, offset } = store.spot;
        self.report.accesses.push(Access { region, offset, size: store.size, kind: AccessKind::Write });
        self.report.order(places::pending_store(cpu, store.nth), AccessKind::Acquire);
        self.report.order(places::store_buffer(cpu), AccessKind::Release);
    }

    /// Makes all waiting stores visible.
    pub fn flush_all(&mut self) {
        for cpu in 0..self.store_buffers.buffers.len() as u32 {
            while self.has_stores(cpu) {
                self.flush_one(cpu);
            }
        }
    }

    /// The number under which a CPU's store buffer appears in [`super::Order`]s: what waits for it to be empty waits for its stores.
    #[must_use]
    pub fn store_buffer_place(&self, cpu: u32) -> u64 {
        places::store_buffer(cpu)
    }

    /// Does a task's next instruction need its CPU's earlier stores to be visible?
    fn is_fence(&self, task: u32) -> bool {
        if let Some(copy) = self.copying(task) {
            return copy.is_fence();
        }
        match self.next_access(task).map(|(op, _)| op.code) {
            Some(Code::Atomic(..)) => true,
            // What ran a callback takes a lock when it has ended (`__run_hrtimer`, `process_one_work`).
            Some(Code::Exit) => self.ends_callback(task),
            Some(Code::Call) => self.next_call(task).is_some_and(|(model, args)| (model.fences)(self, &args)),
            _ => false,
        }
    }

    /// Could a task's next instruction wait until its CPU's store buffer is empty?
    #[must_use]
    pub fn may_wait_for_stores(&self, task: u32) -> bool {
        if !self.has_store_buffers() {
            return false;
        }
        let partly = |(op, address): (Op, u64)| {
            let (Code::Load(size) | Code::LoadSigned(size)) = op.code else { return None };
            let spot = self.memory.at(address)?;
            let latest = self.buffer(self.cpu_of(task))?.latest(spot, size.bytes())?;
            Some(latest.spot.offset > spot.offset || latest.spot.offset + latest.size < spot.offset + size.bytes())
        };
        self.is_fence(task) || self.next_access(task).and_then(partly).unwrap_or(false)
    }

    /// Does a task's next instruction wait until its CPU's store buffer is empty?
    #[must_use]
    #[inline]
    pub fn waits_for_stores(&self, task: u32) -> bool {
        let cpu = self.cpu_of(task);
        if self.store_buffers.is_empty() || !self.has_stores(cpu) {
            return false;
        }
        let Some((op, address)) = self.next_access(task) else { return false };
        match op.code {
            _ if self.is_fence(task) => true,
            Code::Load(size) | Code::LoadSigned(size) => {
                let found = |spot| self.buffer(cpu).map(|buffer| buffer.find(spot, size.bytes()));
                matches!(self.memory.at(address).and_then(found), Some(Forwarded::Part))
            }
            _ => false,
        }
    }

    /// Executes a load or store of shared memory through the store buffer; `None` for everything else.
    pub(super) fn step_buffered(&mut self, task: u32) -> Option<Result<Outcome, Box<Trap>>> {
        let (op, address) = self.next_access(task)?;
        let cpu = self.cpu_of(task);
        if self.is_fence(task) {
            self.report.order(places::store_buffer(cpu), AccessKind::Acquire);
        }
        match op.code {
            Code::Store(size) if self.memory.is_shared(address) => Some(self.delay(task, cpu, op, address, size)),
            Code::Load(size) | Code::LoadSigned(size) => {
                let spot = self.memory.at(address)?;
                // Were it visible already, or not yet, the load would read elsewhere: it depends on that store.
                let latest = self.buffer(cpu)?.latest(spot, size.bytes())?.nth;
                self.report.order(places::pending_store(cpu, latest), AccessKind::Release);
                let Forwarded::Value(value) = self.buffer(cpu)?.find(spot, size.bytes()) else { return None };
                let signed = matches!(op.code, Code::LoadSigned(_));
                let value = if signed { alu::sign_extend(size, value) } else { value };
                Some(self.forward(task, op, address, size, value))
            }
            _ => None,
        }
    }

    /// Puts what waits in a CPU's own buffer over bytes that a call of it reads.
    pub(super) fn forward_bytes(&mut self, cpu: u32, spot: Spot, bytes: &mut [u8]) {
        let Some(buffer) = self.store_buffers.buffers.get(cpu as usize) else { return };
        let size = bytes.len() as u32;
        for store in buffer.history.iter().filter(|store| overlap(store, spot, size)) {
            // Whether it is visible by now decides where the byte is read.
            self.report.order(places::pending_store(cpu, store.nth), AccessKind::Release);
        }
        for store in buffer.stores.iter().filter(|store| overlap(store, spot, size)) {
            for (index, byte) in store.value.to_le_bytes().into_iter().take(store.size as usize).enumerate() {
                let at = (store.spot.offset as usize + index).checked_sub(spot.offset as usize);
                if let Some(place) = at.and_then(|at| bytes.get_mut(at)) {
                    *place = byte;
                }
            }
        }
    }

    /// Does a store wait that goes to one of these regions' memory?
    pub(super) fn has_store_to(&self, wanted: impl Fn(RegionId) -> bool) -> bool {
        self.store_buffers.buffers.iter().any(|buffer| buffer.stores.iter().any(|store| wanted(store.spot.region)))
    }

    fn delay(&mut self, task: u32, cpu: u32, op: Op, address: u64, size: Size) -> Result<Outcome, Box<Trap>> {
        let reader = self.rcu.reader(task);
        let spot = self.memory.check(address, size.bytes(), true, &reader)?;
        let Some(execution) = self.tasks.get_mut(task as usize).and_then(|task| task.execution.as_mut()) else {
            return Ok(Outcome::Ran);
        };
        let value = if op.immediate { op.imm } else { execution.registers[op.src.get()] };
        execution.pc += 1;
        self.delay_store(cpu, spot, size.bytes(), value);
        Ok(Outcome::Ran)
    }

    /// Puts a store to a spot that was checked into a CPU's buffer.
    pub(super) fn delay_store(&mut self, cpu: u32, spot: Spot, size: u32, value: u64) {
        let Some(buffer) = self.store_buffers.buffers.get_mut(cpu as usize) else { return };
        let nth = buffer.history.len() as u32;
        let store = PendingStore { spot, size, value, nth, at: self.report.at };
        buffer.history.push(store);
        buffer.stores.push_back(store);
        let (region, offset) = (spot.region, spot.offset);
        self.report.accesses.push(Access { region, offset, size, kind: AccessKind::Observe });
        self.report.order(places::pending_store(cpu, nth), AccessKind::Release);
    }

    fn forward(&mut self, task: u32, op: Op, address: u64, size: Size, value: u64) -> Result<Outcome, Box<Trap>> {
        let reader = self.rcu.reader(task);
        let spot = self.memory.check(address, size.bytes(), false, &reader)?;
        if let Some(execution) = self.tasks.get_mut(task as usize).and_then(|task| task.execution.as_mut()) {
            execution.registers[op.dst.get()] = value;
            execution.known |= op.writes;
            execution.pc += 1;
        }
        let (region, offset) = (spot.region, spot.offset);
        self.report.accesses.push(Access { region, offset, size: size.bytes(), kind: AccessKind::Read });
        Ok(Outcome::Ran)
    }
}
