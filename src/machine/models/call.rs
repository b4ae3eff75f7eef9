//! The call that a model serves: its arguments, and the machine as a model may use it.

use crate::machine::event::{Access, AccessKind, Event, places};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::kernel_struct;
use crate::machine::memory::{Contents, Spot};
use crate::machine::ownership::Holder;
use crate::machine::rcu::ReadSide;
use crate::machine::region::{Life, RegionKind};
use crate::machine::stepper::Machine;
use crate::machine::story::{Moment, RegionId};
use crate::machine::task::Execution;

use super::{Answer, Modelled};

/// Is a region there still, for that reader?
pub(super) fn check_life(life: Life, reader: &ReadSide, region: RegionId) -> Result<(), Box<Trap>> {
    match life {
        Life::Live => Ok(()),
        Life::Waiting(waiting) if reader.protects(waiting) => Ok(()),
        Life::Waiting(_) => Err(Trap::about(FaultKind::UseWithoutRcu, region)),
        Life::Freed => Err(Trap::about(FaultKind::UseAfterFree, region)),
    }
}

/// One call of a helper or kfunc.
pub(in crate::machine) struct Call<'m> {
    pub machine: &'m mut Machine,
    pub name: &'static str,
    /// The task that makes the call.
    pub task: u32,
    /// The CPU that it is on.
    pub cpu: u32,
    pub args: [u64; 5],
    pub at: Moment,
}

/// Most bytes that a helper reads or writes at once; the kernel's own bound on most sizes is 2^29.
const MAX_BYTES: u64 = 1 << 29;

impl Call<'_> {
    /// The low 32 bits of an argument.
    pub fn arg32(&self, index: usize) -> u32 {
        self.args[index] as u32
    }

    /// A fault about this call's arguments.
    pub fn bad<T>(&self, what: impl Into<String>) -> Result<T, Box<Trap>> {
        Err(Trap::argument(self.name, what))
    }

    /// The program that made the call.
    pub fn execution(&mut self) -> Result<&mut Execution, Box<Trap>> {
        let execution = self.machine.tasks.get_mut(self.task as usize).and_then(|task| task.execution.as_mut());
        execution.ok_or_else(|| Trap::fault(FaultKind::RanOff))
    }

    /// Checks an access and reports it.
    pub fn touch(&mut self, address: u64, size: u32, kind: AccessKind) -> Result<Spot, Box<Trap>> {
        let reader = self.machine.rcu.reader(self.task);
        let spot = self.machine.memory.check(address, size, kind.writes(), &reader)?;
        self.machine.report.accesses.push(Access { region: spot.region, offset: spot.offset, size, kind });
        Ok(spot)
    }

    /// Checks that what an address is in is there still, whatever its bytes are: what a function does that works on a struct of the
    /// kernel's.
    pub fn alive(&mut self, address: u64) -> Result<RegionId, Box<Trap>> {
        let region = self.region(address)?;
        let reader = self.machine.rcu.reader(self.task);
        let alive = check_life(self.machine.memory.region(region).life, &reader, region);
        let offset = address.wrapping_sub(self.machine.memory.base(region)) as u32;
        self.machine.report.accesses.push(Access { region, offset, size: 1, kind: AccessKind::Observe });
        alive.map(|()| region)
    }

    /// Checks an access that the kernel makes to memory which programs may only read, and reports it.
    pub fn touch_kernel(&mut self, address: u64, size: u32, kind: AccessKind) -> Result<Spot, Box<Trap>> {
        let reader = self.machine.rcu.reader(self.task);
        let spot = self.machine.memory.check(address, size, false, &reader)?;
        self.machine.report.accesses.push(Access { region: spot.region, offset: spot.offset, size, kind });
        Ok(spot)
    }

    /// Writes bytes to memory which programs may only read.
    pub fn write_kernel(&mut self, address: u64, bytes: &[u8]) -> Result<(), Box<Trap>> {
        let spot = self.touch_kernel(address, bytes.len() as u32, AccessKind::Write)?;
        self.machine.memory.poke(spot.region, spot.offset, bytes);
        Ok(())
    }

    /// Checks that an access through a helper leaves the kernel's own fields alone.
    fn leaves_alone(&self, spot: Spot, size: u32, how: AccessKind) -> Result<(), Box<Trap>> {
        // Whoever copies a whole value (an update, a push) leaves its special fields out.
        let whole = how == AccessKind::Read && spot.offset == 0 && size == self.machine.memory.len(spot.region);
        if self.machine.kept_fields.is_empty() || whole {
            return Ok(());
        }
        match self.machine.kept_at(spot.region, spot.offset, size, how) {
            Some(_) => Err(Trap::about(FaultKind::KernelBytes("special field"), spot.region)),
            None => Ok(()),
        }
    }

    /// Reads bytes of the program's memory.
    pub fn read(&mut self, address: u64, size: u64) -> Result<Vec<u8>, Box<Trap>> {
        let size32 = u32::try_from(size).unwrap_or(u32::MAX);
        if self.machine.reads_kept(address, size32, AccessKind::Read) {
            let region = self.machine.memory.at(address).map(|spot| spot.region);
            return Err(Box::new(Trap::Fault {
                kind: FaultKind::KernelBytes("dynptr or iterator"),
                access: None,
                region,
            }));
        }
        self.read_own(address, size)
    }

    /// Reads bytes of the program's memory that may be the kernel's own: a dynptr, an iterator.
    pub fn read_own(&mut self, address: u64, size: u64) -> Result<Vec<u8>, Box<Trap>> {
        if size == 0 {
            return Ok(Vec::new());
        }
        if size > MAX_BYTES {
            return self.bad(format!("a size of {size} bytes"));
        }
        let spot = self.touch(address, size as u32, AccessKind::Read)?;
        self.leaves_alone(spot, size as u32, AccessKind::Read)?;
        let at = spot.offset as usize;
        let bytes = self.machine.memory.peek(spot.region).get(at..at + size as usize).unwrap_or_default();
        let mut bytes = bytes.to_vec();
        self.machine.forward_bytes(self.cpu, spot, &mut bytes);
        Ok(bytes)
    }

    /// Writes bytes to the program's memory.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Box<Trap>> {
        let spot = self.machine.memory.at(address).filter(|_| !bytes.is_empty());
        match spot.and_then(|spot| self.machine.overwrites_kept(spot, bytes.len() as u32)) {
            Some(trap) => Err(trap),
            None => self.write_own(address, bytes),
        }
    }

    /// Writes bytes of the kernel's own to the program's memory: a dynptr, an iterator.
    pub fn write_own(&mut self, address: u64, bytes: &[u8]) -> Result<(), Box<Trap>> {
        if bytes.is_empty() {
            return Ok(());
        }
        let spot = self.touch(address, bytes.len() as u32, AccessKind::Write)?;
        self.leaves_alone(spot, bytes.len() as u32, AccessKind::Write)?;
        self.machine.memory.poke(spot.region, spot.offset, bytes);
        Ok(())
    }

    /// Reads a string that ends with a zero byte, of at most `limit` bytes without it.
    pub fn read_string(&mut self, address: u64, limit: usize) -> Result<Vec<u8>, Box<Trap>> {
        let mut text = Vec::new();
        while text.len() < limit {
            match self.read(address.wrapping_add(text.len() as u64), 1)?.first() {
                None | Some(0) => break,
                Some(&byte) => text.push(byte),
            }
        }
        Ok(text)
    }

    /// The region that an argument points to the very start of.
    pub fn start(&self, address: u64) -> Result<RegionId, Box<Trap>> {
        let region = self.region(address)?;
        if self.machine.memory.base(region) == address {
            return Ok(region);
        }
        let what = "a pointer into the middle of it".to_owned();
        Err(Trap::about(FaultKind::BadArgument { callee: self.name, what }, region))
    }

    /// The region that an argument points into.
    pub fn region(&self, address: u64) -> Result<RegionId, Box<Trap>> {
        match self.machine.memory.at(address) {
            Some(spot) => Ok(spot.region),
            None if address == 0 => self.bad("NULL where an object is wanted"),
            None => self.bad(format!("{address:#x} is no object")),
        }
    }

    /// The struct of the kernel of that name that the first argument points to.
    pub fn struct_named(&self, name: &str) -> Result<RegionId, Box<Trap>> {
        self.is_struct(self.start(self.args[0])?, name)
    }

    /// That a region is a struct of the kernel of that name.
    pub fn is_struct(&self, region: RegionId, name: &str) -> Result<RegionId, Box<Trap>> {
        if self.kernel_struct(region) == Some(name) {
            return Ok(region);
        }
        let what = format!("this is no struct {name}");
        Err(Trap::about(FaultKind::BadArgument { callee: self.name, what }, region))
    }

    /// Gives back a reference to such a struct.
    pub fn release_struct(&mut self, name: &str) -> Modelled {
        let region = self.struct_named(name)?;
        self.machine.release(region, self.holder(), self.at)?;
        Ok(Answer::Nothing)
    }

    /// A new struct of the kernel of at least that size, of which the program holds a reference.
    pub fn new_struct(&mut self, name: &str, least: u32) -> Result<RegionId, Box<Trap>> {
        let (kind, size) = kernel_struct::described(self.machine.kernel_types(), name);
        let region = self.machine.allocate(kind, size.unwrap_or(0).max(least), Contents::Sparse, self.at)?;
        self.acquire(region);
        Ok(region)
    }

    /// The program that makes the call, as a holder of references.
    pub fn holder(&self) -> Holder {
        Holder::Task(self.task)
    }

    /// A new reference for the program that calls.
    pub fn acquire(&mut self, region: RegionId) {
        self.machine.ledger.acquire(self.task, region, self.at);
        let place = self.machine.memory.region(region).place;
        self.machine.report.order(places::references(place), AccessKind::Atomic);
        self.machine.report.events.push(Event::Ownership(region));
    }

    /// The name of the kernel struct that a region is, if it is one.
    pub fn kernel_struct(&self, region: RegionId) -> Option<&str> {
        match &self.machine.memory.region(region).kind {
            RegionKind::KernelObject { name, .. } => Some(name),
            _ => None,
        }
    }
}
