//! What a scheduler asks of a machine: what a task would do next, in how many ways, whether it waits; and going back to
//! an earlier state.
//!
//! Where a step can go in several ways, way 0 is what finds most: memory that was freed comes back as soon as the rules
//! allow. The others are fresh memory and, if the options say so, none.

use super::code::Code;
use super::event::{AccessKind, Outcome, places};
use super::fault::End;
use super::maps::MapFamily;
use super::memory::Contents;
use super::models::Scheduling;
use super::region::RegionKind;
use super::spans::span;
use super::stepper::Machine;
use super::task::Execution;

/// Where an object's memory can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Used,
    Fresh,
    None,
}

impl Machine {
    /// Notes what changes from now on, so that [`Machine::restore`] can come back to a clone made now.
    ///
    /// Small arrays get all their elements here: made when first needed, they would get addresses by who needs them first.
    pub fn track(&mut self) {
        const SMALL: u32 = 256;
        for map in 0..self.maps.len() as u32 {
            let state = &self.maps[map as usize];
            if state.family == MapFamily::Array && state.max_entries() <= SMALL {
                for index in 0..state.max_entries() {
                    // What does not fit into memory now is reported when a program needs it.
                    let _ = self.array_element(map, index);
                }
            }
        }
        self.memory.track();
        self.ledger.forget_changes();
        self.world.forget_changes();
        for map in &mut self.maps {
            map.elements.forget_changes();
        }
    }

    /// Goes back to `base`, of which this machine was a clone when [`Machine::track`] was called. Takes time in
    /// proportion to what was touched since.
    pub fn restore(&mut self, base: &Machine) {
        self.memory.restore(&base.memory);
        self.rcu.clone_from(&base.rcu);
        self.tasks.truncate(base.tasks.len());
        for (task, base) in self.tasks.iter_mut().zip(&base.tasks) {
            task.restore(base);
        }
        self.programs.truncate(base.programs.len());
        for (map, base) in self.maps.iter_mut().zip(&base.maps) {
            map.elements.restore(&base.elements);
        }
        self.ledger.restore(&base.ledger);
        self.world.restore(&base.world);
        self.report.clear();
        self.steps = base.steps;
        self.printed.truncate(base.printed.len());
        self.leaks.truncate(base.leaks.len());
        self.unwritten.truncate(base.unwritten.len());
    }

    fn execution(&self, task: u32) -> Option<&Execution> {
        self.tasks.get(task as usize)?.execution.as_ref()
    }

    /// The model of the call that a task makes next, with its arguments.
    fn next_call(&self, task: u32) -> Option<(Scheduling, [u64; 5])> {
        let execution = self.execution(task)?;
        let op = execution.program.ops.get(execution.pc as usize)?;
        if op.code != Code::Call {
            return None;
        }
        let model = execution.program.calls.get(op.imm as usize)?.model?;
        let mut args = [0; 5];
        args.copy_from_slice(&execution.registers[1..6]);
        Some((model.scheduling, args))
    }

    /// Does a task's next step touch anything that other tasks can see or change? Its other steps commute with theirs.
    #[must_use]
    pub fn next_is_shared(&self, task: u32) -> bool {
        let Some(execution) = self.execution(task) else { return false };
        let Some(op) = execution.program.ops.get(execution.pc as usize) else { return false };
        let address =
            |register: u8| execution.registers[usize::from(register & 15)].wrapping_add_signed(op.offset.into());
        let is_shared = |address| self.memory.at(address).is_some_and(|spot| !self.memory.is_private(spot.region));
        match op.code {
            Code::Load(_) | Code::LoadSigned(_) => is_shared(address(op.src)),
            Code::Store(_) | Code::Atomic(..) => is_shared(address(op.dst)),
            Code::Exit => execution.frames.len() <= 1,
            Code::Call => !matches!(self.next_call(task), None | Some((Scheduling::Local, _))),
            _ => false,
        }
    }

    /// Would a task's next step wait for another task?
    #[must_use]
    pub fn is_blocked(&self, task: u32) -> bool {
        match self.next_call(task) {
            Some((Scheduling::Waits(blocked), args)) => blocked(self, task, &args),
            _ => false,
        }
    }

    /// In how many ways a task's next step can go: at least 1.
    #[must_use]
    pub fn branches(&self, task: u32) -> u16 {
        let Some((Scheduling::Allocates { per_cpu }, args)) = self.next_call(task) else { return 1 };
        let size = self.local_type("", args[0]).map_or(0, |(_, size)| size);
        self.units(self.cpu_of(task), per_cpu, size).count().max(1) as u16
    }

    /// Executes one instruction of one task in the given way.
    ///
    /// # Errors
    /// As [`Machine::step`].
    pub fn step_in_way(&mut self, task: u32, branch: u16) -> Result<Outcome, Box<End>> {
        self.branch = branch;
        let outcome = self.step(task);
        self.branch = 0;
        outcome
    }

    /// Where the memory for an object can come from, on that CPU and now.
    fn units(&self, cpu: u32, per_cpu: bool, size: u32) -> impl Iterator<Item = Unit> {
        let used = self.memory.can_recycle(cpu, per_cpu, size)
            || (self.options.early_reuse && self.rcu.ripe_of(cpu).any(|free| self.is_unit(free.region, per_cpu, size)));
        let choices = [(used, Unit::Used), (true, Unit::Fresh), (self.options.allocation_failures, Unit::None)];
        choices.into_iter().filter_map(|(possible, unit)| possible.then_some(unit))
    }

    fn is_unit(&self, region: super::RegionId, per_cpu: bool, size: u32) -> bool {
        let is_per_cpu = match self.memory.region(region).kind {
            RegionKind::PerCpuObject { .. } => true,
            RegionKind::Object { .. } => false,
            _ => return false,
        };
        is_per_cpu == per_cpu && span(self.memory.len(region)) == span(size)
    }

    /// Chooses the memory for an object: what its bytes are, or `None` if the allocation fails.
    pub(super) fn take_unit(&mut self, cpu: u32, per_cpu: bool, size: u32) -> Option<Contents> {
        self.report.order(places::cache(cpu), AccessKind::Atomic);
        let unit = self.units(cpu, per_cpu, size).nth(self.branch.into()).unwrap_or(Unit::Fresh);
        match unit {
            Unit::Used => {
                if self.options.early_reuse {
                    let ripe = self.rcu.take(|free| free.at.cpu == cpu);
                    self.reclaim_all(ripe);
                }
                Some(Contents::Recycled)
            }
            Unit::Fresh => Some(Contents::Fresh),
            Unit::None => None,
        }
    }
}
