//! What can be seen of a machine: its parts, and what its programs left behind.

use std::sync::Arc;

use super::code::LoadedProgram;
use super::ending::Leak;
use super::event::StepReport;
use super::fault::RegionStory;
use super::maps::MapState;
use super::memory::Memory;
use super::ownership::{Field, Holder, Ledger};
use super::rcu::Rcu;
use super::setup::MachineOptions;
use super::stepper::{Machine, UnwrittenNote};
use super::story::{Moment, RegionId};
use crate::object::Object;

impl Machine {
    /// A region with its story so far.
    #[must_use]
    pub fn story(&self, id: RegionId) -> RegionStory {
        RegionStory {
            id,
            base: self.memory.base(id),
            size: self.memory.len(id),
            region: self.memory.region(id).clone(),
        }
    }

    /// What the last step touched.
    #[must_use]
    pub fn report(&self) -> &StepReport {
        &self.report
    }

    /// The object that the machine runs.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The options that it was made with.
    #[must_use]
    pub fn options(&self) -> &MachineOptions {
        &self.options
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpu_count(&self) -> u32 {
        self.options.cpus
    }

    /// Number of tasks: one for each CPU, then those that were added.
    #[must_use]
    pub fn task_count(&self) -> u32 {
        self.tasks.len() as u32
    }

    /// The CPU that a task is on; 0 for one that does not exist.
    #[must_use]
    pub fn cpu_of(&self, task: u32) -> u32 {
        self.tasks.get(task as usize).map_or(0, |task| task.cpu)
    }

    /// Does that task run a program?
    #[must_use]
    pub fn is_running(&self, task: u32) -> bool {
        self.tasks.get(task as usize).is_some_and(|state| state.execution.is_some())
    }

    /// Programs that were loaded, by index.
    #[must_use]
    pub fn programs(&self) -> &[Arc<LoadedProgram>] {
        &self.programs
    }

    /// Maps, as in the object.
    #[must_use]
    pub fn maps(&self) -> &[MapState] {
        &self.maps
    }

    /// Memory.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Read-side sections and deferred frees.
    #[must_use]
    pub fn rcu(&self) -> &Rcu {
        &self.rcu
    }

    /// Who holds what.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Steps done so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Lines that programs printed.
    #[must_use]
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    /// References whose kptr field was overwritten, so that nothing finds the object any more: the object, the field,
    /// and where the reference was acquired.
    #[must_use]
    pub fn overwritten(&self) -> Vec<(RegionId, Field, Moment)> {
        let references = self.ledger.iter().flat_map(|(region, all)| all.iter().map(move |one| (region, one)));
        references
            .filter_map(|(region, reference)| match reference.holder {
                Holder::Field(field) if self.is_overwritten(region, field) => Some((region, field, reference.acquired)),
                _ => None,
            })
            .collect()
    }

    /// References that programs held when they ended, in order.
    #[must_use]
    pub fn leaks(&self) -> &[Leak] {
        &self.leaks
    }

    /// Reads of object bytes that no program wrote, one for each instruction, at most 64.
    #[must_use]
    pub fn unwritten_reads(&self) -> &[UnwrittenNote] {
        &self.unwritten
    }
}
