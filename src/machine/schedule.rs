//! What a scheduler asks of a machine: what a task would do next, in how many ways, whether it waits; and going back to
//! an earlier state.
//!
//! Where a step can go in several ways, way 0 is what finds most: memory that was freed comes back as soon as the rules
//! allow. The others are fresh memory and, if the options say so, none.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::code::{CallSite, Code, Op};
use super::copy::Copy;
use super::event::{AccessKind, Outcome, places};
use super::execute::{Flow, Local};
use super::fault::{End, Limit};
use super::kept::KeptField;
use super::maps::MapFamily;
use super::memory::Contents;
use super::models::{Model, Scheduling};
use super::region::RegionKind;
use super::spans::unit;
use super::stepper::Machine;
use super::story::{Moment, RegionId};
use super::task::{Execution, Task};
use super::types;
use crate::btf::TypeId;
use crate::isa::{AluOp, Insn, Operand};

/// Where an object's memory can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Used,
    Fresh,
    None,
}

/// One of several ways in which a task's next step can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An object gets memory that was freed, as early as the rules allow.
    UsedMemory,
    /// An object gets memory that nothing used before.
    FreshMemory,
    /// There is no memory for the object.
    NoMemory,
    /// What the call's model has beside these.
    Other(u16),
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
        self.kptrs = Arc::new(self.kptr_offsets());
        self.kept_fields = Arc::new(self.kept_fields_by_type());
        self.track_from_here();
    }

    /// The same of a machine that tracks already, in the middle of a run: no array gets more elements.
    pub fn track_from_here(&mut self) {
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
        self.rcu.restore(&base.rcu);
        self.tasks.truncate(base.tasks.len());
        for (task, base) in self.tasks.iter_mut().zip(&base.tasks) {
            task.restore(base);
        }
        self.programs.truncate(base.programs.len());
        for (map, base) in self.maps.iter_mut().zip(&base.maps) {
            map.elements.restore(&base.elements);
        }
        self.store_buffers.restore(&base.store_buffers);
        self.ledger.restore(&base.ledger);
        self.world.restore(&base.world);
        self.report.clear();
        self.report.at = base.report.at;
        self.steps = base.steps;
        self.printed.truncate(base.printed.len());
        self.leaks.truncate(base.leaks.len());
        self.unwritten.truncate(base.unwritten.len());
    }

    fn execution(&self, task: u32) -> Option<&Execution> {
        self.tasks.get(task as usize)?.execution.as_ref()
    }

    /// Has the machine executed all the instructions that it may?
    fn is_spent(&self) -> bool {
        self.steps >= self.options.max_insns
    }

    /// The model of the call that a task makes next.
    pub(super) fn next_model(&self, task: u32) -> Option<&'static Model> {
        let execution = self.execution(task).filter(|execution| execution.copy.is_none())?;
        let op = execution.program.ops.get(execution.pc as usize)?;
        if !matches!(op.code, Code::Call) {
            return None;
        }
        execution.program.calls.get(op.imm as usize)?.model
    }

    pub(super) fn next_call(&self, task: u32) -> Option<(&'static Model, [u64; 5])> {
        let model = self.next_model(task)?;
        let mut args = [0; 5];
        args.copy_from_slice(self.execution(task)?.registers.get(1..6)?);
        Some((model, args))
    }

    /// A task's next instruction and, if it loads, stores or is atomic, the address.
    pub(super) fn next_access(&self, task: u32) -> Option<(Op, u64)> {
        let execution = self.execution(task)?;
        let &op = execution.program.ops.get(execution.pc as usize)?;
        let register = match op.code {
            Code::Load(_) | Code::LoadSigned(_) => op.src,
            _ => op.dst,
        };
        Some((op, execution.registers[register.get()].wrapping_add_signed(op.offset.into())))
    }

    /// Where a task is, now.
    #[must_use]
    pub fn moment(&self, task: u32) -> Moment {
        let place = self.execution(task).map_or(self.report.at.place, Execution::place);
        Moment { place, cpu: self.cpu_of(task), step: self.steps }
    }

    /// The end of a run for which simulated memory is too small.
    #[must_use]
    pub fn out_of_memory(&self, task: u32) -> End {
        End::Limit(Limit::Memory(self.options.max_memory), self.moment(task))
    }

    /// The lock that a task waits for, or the timer for whose callback's end it does.
    #[must_use]
    pub fn waits_at(&self, task: u32) -> Option<(RegionId, u32)> {
        if let Some((run, timer)) = self.copying(task).and_then(Copy::awaits) {
            return self.world.callbacks.is_under_way(run).then_some(timer);
        }
        match self.next_call(task) {
            Some((Model { scheduling: Scheduling::Waits(blocked), .. }, args)) => blocked(self, task, &args),
            _ => None,
        }
    }

    /// The region of that number (see [`super::Region`]).
    #[must_use]
    pub fn region_at_place(&self, place: u64) -> Option<RegionId> {
        self.memory.regions().find(|(_, region)| region.place == place).map(|(id, _)| id)
    }

    /// Is there a kptr at that offset of a region? Known once [`Machine::track`] was called.
    #[must_use]
    pub fn is_kptr(&self, region: RegionId, offset: u32) -> bool {
        match self.memory.region(region).kind {
            RegionKind::MapValue { map, .. } => self.maps.get(map as usize).is_some_and(|map| {
                map.specials.fields.iter().any(|field| field.offset == offset && field.kind.is_kptr())
            }),
            RegionKind::Object { type_id } => self.kptrs.get(&type_id).is_some_and(|offsets| offsets.contains(&offset)),
            _ => false,
        }
    }

    fn kptr_offsets(&self) -> FxHashMap<TypeId, Vec<u32>> {
        let Some(btf) = self.object.btf.as_deref() else { return FxHashMap::default() };
        let structs = btf.iter().filter(|(_, ty)| ty.composite().is_some()).map(|(id, _)| id);
        structs
            .filter_map(|id| {
                let fields = types::special_fields(Some(btf), id).fields;
                let kptrs: Vec<_> = fields.iter().filter(|one| one.kind.is_kptr()).map(|one| one.offset).collect();
                (!kptrs.is_empty()).then_some((id, kptrs))
            })
            .collect()
    }

    fn kept_fields_by_type(&self) -> FxHashMap<TypeId, Vec<KeptField>> {
        let Some(btf) = self.object.btf.as_deref() else { return FxHashMap::default() };
        let structs = btf.iter().filter(|(_, ty)| ty.composite().is_some()).map(|(id, _)| id);
        let kept =
            |id| types::special_fields(Some(btf), id).fields.iter().map(|f| (f.offset, f.size, f.kind)).collect();
        structs.map(|id| (id, kept(id))).filter(|(_, kept): &(_, Vec<_>)| !kept.is_empty()).collect()
    }

    /// Does a task's next step touch anything that other tasks can see or change? Its other steps commute with theirs.
    #[must_use]
    pub fn next_is_shared(&self, task: u32) -> bool {
        let Some(execution) = self.execution(task) else { return false };
        if execution.copy.is_some() {
            return true;
        }
        let Some(op) = execution.program.ops.get(execution.pc as usize) else { return false };
        match op.code {
            Code::Load(_) | Code::LoadSigned(_) | Code::Store(_) | Code::Atomic(..) => {
                self.next_access(task).is_some_and(|(_, address)| self.memory.is_shared(address))
            }
            Code::Exit => execution.frames.len() <= 1,
            Code::Call => execution.program.calls.get(op.imm as usize).is_some_and(CallSite::is_shared),
            _ => false,
        }
    }

    /// Does what a task's next step touches follow from its registers alone, whatever other tasks do before it? True of loads,
    /// stores, atomics, starts and ends of programs, and calls whose models say so.
    #[must_use]
    pub fn next_is_fixed(&self, task: u32) -> bool {
        let Some(execution) = self.execution(task) else { return true };
        if let Some(copy) = &execution.copy {
            return copy.is_fixed();
        }
        let Some(op) = execution.program.ops.get(execution.pc as usize) else { return false };
        if matches!(op.code, Code::Call) {
            let mut args = [0; 5];
            args.copy_from_slice(&execution.registers[1..6]);
            let model = execution.program.calls.get(op.imm as usize).and_then(|site| site.model);
            return model.is_some_and(|model| (model.is_fixed)(self, &args));
        }
        let is_own = matches!(op.code, Code::Jump64(_) | Code::Jump32(_) | Code::Alu64(_) | Code::Alu32(_));
        is_own
            || matches!(op.code, Code::Load(_) | Code::LoadSigned(_) | Code::Store(_) | Code::Atomic(..) | Code::Exit)
    }

    /// Would a task's next step wait for another task?
    #[must_use]
    pub fn is_blocked(&self, task: u32) -> bool {
        self.waits_at(task).is_some()
    }

    /// In how many ways a task's next step can go: 0 if it would wait for another task.
    #[must_use]
    pub fn ways(&self, task: u32) -> u16 {
        if self.copying(task).is_some() {
            return u16::from(!self.is_blocked(task));
        }
        match self.next_model(task).map(|model| &model.scheduling) {
            Some(Scheduling::Waits(_)) if self.is_blocked(task) => 0,
            Some(Scheduling::Local) | None => 1,
            Some(_) => self.branches(task),
        }
    }

    /// Is a task's next step one that waits for nobody and can go in one way only?
    #[must_use]
    pub fn goes_one_way(&self, task: u32) -> bool {
        if self.copying(task).is_some_and(|copy| copy.awaits().is_some()) {
            return false;
        }
        self.next_model(task).is_none_or(|model| {
            model.goes_one_way && matches!(model.scheduling, Scheduling::Local | Scheduling::Shared)
        })
    }

    /// In how many ways a task's next call can go if it waits for nobody: at least 1.
    fn branches(&self, task: u32) -> u16 {
        let Some((model, args)) = self.next_call(task) else { return 1 };
        let Scheduling::Allocates { per_cpu } = model.scheduling else { return (model.ways)(self, task, &args) };
        let size = self.local_type("", args[0]).map_or(0, |(_, size)| size);
        self.units(self.cpu_of(task), per_cpu, size).count().max(1) as u16
    }

    /// What a way of a task's next step is; `None` if there is only one.
    #[must_use]
    pub fn way(&self, task: u32, branch: u16) -> Option<Way> {
        if self.ways(task) < 2 {
            return None;
        }
        let (model, args) = self.next_call(task)?;
        let Scheduling::Allocates { per_cpu } = model.scheduling else { return Some(Way::Other(branch)) };
        let size = self.local_type("", args[0]).map_or(0, |(_, size)| size);
        self.units(self.cpu_of(task), per_cpu, size).nth(branch.into()).map(|unit| match unit {
            Unit::Used => Way::UsedMemory,
            Unit::Fresh => Way::FreshMemory,
            Unit::None => Way::NoMemory,
        })
    }

    /// Could a grace period end now and free something? It could not while a store to what it frees waits in a store buffer.
    #[must_use]
    pub fn may_end_grace_period(&self) -> bool {
        let mut ripe = self.rcu.deferred().iter().filter(|free| self.rcu.is_ripe(free)).peekable();
        ripe.peek().is_some() && ripe.all(|free| !self.has_store_to(|to| self.parts(free.region).contains(&to)))
    }

    /// Executes one instruction of one task in the given way. A conditional jump has a second way too, the one that its numbers do not
    /// say, and so has a legacy packet load, which then ends its function although the bytes are there, or goes on although they are not. A mask
    /// has as many ways as it leaves numbers: the bits of `branch` are changed in its result, from the mask's lowest on.
    /// [`Machine::ways`] does not count these, which are no runs of the program but of what is asked whatever its input is.
    ///
    /// # Errors
    /// As [`Machine::step`].
    pub fn step_in_way(&mut self, task: u32, branch: u16) -> Result<Outcome, Box<End>> {
        let jump = if branch == 0 { None } else { self.next_jump(task) };
        let mask = if branch == 0 { None } else { self.next_mask(task) };
        self.branch = branch;
        let outcome = self.step(task);
        self.branch = 0;
        if let (Some([next, target]), Some(execution)) =
            (jump, self.tasks.get_mut(task as usize).and_then(Task::running))
            && outcome.is_ok()
        {
            execution.pc = if execution.pc == target { next } else { target };
        }
        if let (Some((register, mask)), Some(execution)) =
            (mask, self.tasks.get_mut(task as usize).and_then(Task::running))
            && let Some(result) = execution.registers.get_mut(register)
        {
            *result ^= spread(branch, mask);
        }
        outcome
    }

    /// Where a task's next instruction leads, if that is a conditional jump: on, and elsewhere.
    fn next_jump(&self, task: u32) -> Option<[u32; 2]> {
        let execution = self.execution(task)?;
        let op = execution.program.ops.get(execution.pc as usize)?;
        matches!(op.code, Code::Jump64(_) | Code::Jump32(_)).then(|| [execution.pc + 1, op.target])
    }

    /// The register and the mask, if a task's next instruction is one that masks a number.
    fn next_mask(&self, task: u32) -> Option<(usize, u32)> {
        let execution = self.execution(task)?;
        match execution.program.source.instruction_at(execution.pc as usize)? {
            Insn::Alu { op: AluOp::And, dst, src: Operand::Immediate(mask), .. } => {
                Some((dst.index(), u32::try_from(mask).ok()?))
            }
            _ => None,
        }
    }

    /// Executes what a task does up to the next instruction that others can see, but no more than `most` instructions.
    ///
    /// # Errors
    /// As [`Machine::step`].
    pub fn run_unseen(&mut self, task: u32, most: u64) -> Result<Outcome, Box<End>> {
        let end = self.steps.saturating_add(most);
        while self.steps < end && self.is_running(task) && !(self.is_spent() && self.next_is_shared(task)) {
            // Where the kernel keeps bytes of its own on stacks, each load is looked at.
            if !self.keeps_bytes() {
                let before = self.steps;
                let Some(flow) = self.flow::<Local>(task, end - before) else { break };
                if matches!(flow, Ok(Flow::Shared)) {
                    break;
                }
                self.finish(task, flow)?;
                if self.steps > before {
                    continue;
                }
            }
            if self.next_is_shared(task) {
                break;
            }
            // A call or a return that the task alone sees.
            if let returned @ Outcome::Returned(_) = self.step(task)? {
                return Ok(returned);
            }
        }
        Ok(Outcome::Ran)
    }

    /// Where the memory for an object can come from, on that CPU and now.
    fn units(&self, cpu: u32, per_cpu: bool, size: u32) -> impl Iterator<Item = Unit> {
        // A grace period is over only when each CPU's stores of before are visible.
        let stored = |region| self.has_store_to(|to| (region..=region + self.cpu_count()).contains(&to.0));
        let mut ripe = self.rcu.ripe_of(cpu).filter(|free| !stored(free.region.0));
        let used = self.memory.can_recycle(cpu, per_cpu, size)
            || (self.options.early_reuse && ripe.any(|free| self.is_unit(free.region, per_cpu, size)));
        let choices = [(used, Unit::Used), (true, Unit::Fresh), (self.options.allocation_failures, Unit::None)];
        choices.into_iter().filter_map(|(possible, unit)| possible.then_some(unit))
    }

    /// Has that CPU freed a unit that would serve, whether or not readers have left it by now?
    fn waits_for_reuse(&self, cpu: u32, per_cpu: bool, size: u32) -> bool {
        let mut frees = self.rcu.deferred().iter().filter(|free| free.at.cpu == cpu);
        self.options.early_reuse && frees.any(|free| self.is_unit(free.region, per_cpu, size))
    }

    fn is_unit(&self, region: RegionId, per_cpu: bool, size: u32) -> bool {
        let is_per_cpu = match self.memory.region(region).kind {
            RegionKind::PerCpuObject { .. } => true,
            RegionKind::Object { .. } => false,
            _ => return false,
        };
        is_per_cpu == per_cpu && unit(self.memory.len(region), per_cpu) == unit(size, per_cpu)
    }

    /// Chooses the memory for an object: what its bytes are, or `None` if the allocation fails.
    pub(super) fn take_unit(&mut self, cpu: u32, per_cpu: bool, size: u32) -> Option<Contents> {
        self.report.order(places::cache(cpu), AccessKind::Atomic);
        if self.waits_for_reuse(cpu, per_cpu, size) {
            self.report.order(places::READERS, AccessKind::Acquire);
            for other in 0..self.store_buffer_count() {
                self.report.order(places::store_buffer(other), AccessKind::Acquire);
            }
        }
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

/// The lowest bits of a number, at the places of a mask's bits.
fn spread(bits: u16, mask: u32) -> u64 {
    let places = (0..u32::BITS).filter(|place| mask >> place & 1 != 0);
    places.zip(0..u16::BITS).map(|(place, bit)| u64::from(bits >> bit & 1) << place).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_number_that_a_mask_leaves_is_one_way() {
        let left: BTreeSet<u64> = (0..8).map(|way| 0x108 ^ spread(way, 0x10c)).collect();
        assert_eq!(left, BTreeSet::from([0, 4, 8, 0xc, 0x100, 0x104, 0x108, 0x10c]));
        assert_eq!(spread(1, 0), 0);
    }
}
