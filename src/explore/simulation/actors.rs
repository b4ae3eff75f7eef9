//! Who the actors of a simulation are, for those who show them; and one more actor, on request: the end of grace periods.
//!
//! A search needs no such actor, since an allocation that finds freed memory chooses whether its grace period is over. Who steps by hand
//! wants to end one, and to see what is freed by it. It has a number behind all others, so that tokens without it mean the same.

use super::Simulation;
use crate::explore::system::{Actor, Choice};
use crate::machine::{CallbackKind, Moment, Place};

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A task of the scenario: its programs, one after another.
    Task {
        /// Its CPU.
        cpu: u32,
    },
    /// A CPU's store buffer.
    StoreBuffer {
        /// The CPU.
        cpu: u32,
    },
    /// What runs callbacks on a CPU.
    Callback {
        /// The CPU.
        cpu: u32,
        /// Timers or work.
        kind: CallbackKind,
    },
    /// Programs of other objects, which take what maps hold.
    Others,
    /// The end of a grace period.
    GracePeriod,
}

impl Simulation {
    /// Makes the end of a grace period a step that can be chosen while others can go on.
    pub fn offer_grace_periods(&mut self) {
        self.grace_periods = true;
    }

    /// Actors that a search knows.
    pub(super) fn searched_actors(&self) -> usize {
        self.tasks() + self.buffers() + self.callbacks.len() + usize::from(self.start.others)
    }

    /// The actor that ends grace periods.
    pub(super) fn grace_period(&self) -> Actor {
        Actor(self.searched_actors() as u16)
    }

    pub(super) fn end_grace_period(&mut self) {
        let cpu = self.machine.report().at.cpu;
        self.steps.push(Moment { place: Place::GRACE_PERIOD, cpu, step: self.machine.steps() });
        self.machine.end_grace_period();
    }

    /// A run is over when nobody else has a step left, whether or not something still waits to be freed.
    pub(super) fn grace_period_choice(&self, into: &mut Vec<Choice>) {
        if self.grace_periods && !into.is_empty() && self.machine.may_end_grace_period() {
            into.push(Choice { actor: self.grace_period(), branch: 0 });
        }
    }

    /// What an actor is; numbers that no actor has are taken for the last one's.
    #[must_use]
    pub fn actor_kind(&self, actor: Actor) -> ActorKind {
        if usize::from(actor.0) < self.tasks() {
            return ActorKind::Task { cpu: self.machine.cpu_of(self.on_machine(actor.0.into())) };
        }
        if let Some(cpu) = self.buffer(actor) {
            return ActorKind::StoreBuffer { cpu };
        }
        match self.callback_index(actor).and_then(|index| self.callbacks.get(index)) {
            Some(one) => ActorKind::Callback { cpu: one.cpu, kind: one.kind },
            None if self.start.others && actor == self.others() => ActorKind::Others,
            None => ActorKind::GracePeriod,
        }
    }

    /// The machine's task that an actor is, if it is one now.
    #[must_use]
    pub fn machine_task(&self, actor: Actor) -> Option<u32> {
        if usize::from(actor.0) < self.tasks() {
            return Some(self.on_machine(actor.0.into()));
        }
        self.callback_index(actor).and_then(|index| self.callbacks.get(index))?.running
    }

    /// The name of the program that a task runs or would start next; `None` if it is done or no task.
    #[must_use]
    pub fn program_of(&self, actor: Actor) -> Option<&str> {
        let task = usize::from(actor.0);
        let job = (task < self.tasks()).then(|| self.job(task)).flatten()?;
        self.machine.programs().get(job.program as usize).map(|program| program.source().name.as_str())
    }

    /// What a task's programs have returned so far, in order.
    #[must_use]
    pub fn returned_by(&self, actor: Actor) -> &[i32] {
        let task = usize::from(actor.0);
        let (Some(script), Some(progress)) = (self.start.scripts.get(task), self.progress.get(task)) else {
            return &[];
        };
        self.returns.get(script.first_return..script.first_return + progress.returned).unwrap_or(&[])
    }

    /// What the callbacks that an actor could begin now are called, by branch.
    #[must_use]
    pub fn callback_names(&self, actor: Actor) -> Vec<String> {
        let one = self.callback_index(actor).and_then(|index| self.callbacks.get(index));
        let pending = one.map_or_else(Vec::new, |one| self.pending(one));
        pending.iter().map(|one| self.machine.callback_name(one.field).unwrap_or_default()).collect()
    }
}
