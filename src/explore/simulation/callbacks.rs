//! Who takes turns on a CPU: a scenario's tasks there, and its timers and work queues.
//!
//! Of several tasks on one CPU each may go on where the others can be preempted.
//!
//! Each CPU has two more actors: its soft interrupt, which runs timers' callbacks, and its kernel thread, which runs work. A callback that
//! was started runs at any later moment that the kernel allows, whatever its due time: a schedule knows no clock. In one run only
//! [`MAX_CALLBACKS`] are begun, so that a timer that starts itself again does not run for ever; those left over stay pending.
//!
//! Steps on one CPU are never concurrent; each touches the CPU, so that their order is explored and no race is seen in it.

use super::Simulation;
use crate::explore::finding::Finding;
use crate::explore::system::{Actor, Choice, Stability, Touch, TouchKind, Waiting};
use crate::explore::watch::Watch;
use crate::machine::{CallbackKind, PendingCallback};

/// Callbacks that are begun in one run.
pub const MAX_CALLBACKS: usize = 8;

/// What runs callbacks of one kind on one CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallbackActor {
    pub cpu: u32,
    pub kind: CallbackKind,
    /// The machine's task, while it runs one.
    pub running: Option<u32>,
}

impl CallbackActor {
    /// The actors of so many CPUs.
    pub fn all(cpus: u32) -> Vec<CallbackActor> {
        let both =
            |cpu| [CallbackKind::Timer, CallbackKind::Work].map(|kind| CallbackActor { cpu, kind, running: None });
        (0..cpus).flat_map(both).collect()
    }
}

impl Simulation {
    fn first_callback_actor(&self) -> usize {
        self.tasks() + self.buffers()
    }

    /// The index among the callback actors.
    pub(super) fn callback_index(&self, actor: Actor) -> Option<usize> {
        usize::from(actor.0).checked_sub(self.first_callback_actor())
    }

    pub(super) fn pending(&self, one: &CallbackActor) -> Vec<PendingCallback> {
        let all = self.machine.pending_callbacks();
        all.into_iter().filter(|pending| pending.cpu == one.cpu && pending.kind == one.kind).collect()
    }

    /// Do several actors run on one CPU?
    pub(super) fn takes_turns(&self) -> bool {
        self.start.shares_cpus || !self.callbacks.is_empty()
    }

    /// May a scenario's task take a step, as far as the others of its CPU go?
    pub(super) fn is_let_run(&self, on: u32) -> bool {
        let cpu = self.machine.cpu_of(on);
        let callbacks = self.callbacks.iter().filter(|one| one.cpu == cpu).filter_map(|one| one.running);
        let others = self.start.tasks.iter().copied().filter(|&task| task != on && self.machine.cpu_of(task) == cpu);
        callbacks.chain(others).all(|task| self.machine.is_preemptible(task))
    }

    /// May a callback begin or go on?
    fn is_let_in(&self, one: &CallbackActor) -> bool {
        let timer_runs = self
            .callbacks
            .iter()
            .any(|other| other.cpu == one.cpu && other.kind == CallbackKind::Timer && other.running.is_some());
        let mut tasks = self.start.tasks.iter().filter(|&&task| self.machine.cpu_of(task) == one.cpu);
        match (one.kind, one.running) {
            (CallbackKind::Timer, Some(_)) => true,
            // Soft interrupts come where neither interrupts nor they are off.
            (CallbackKind::Timer, None) => tasks.all(|&task| self.machine.takes_soft_interrupts(task)),
            (CallbackKind::Work, _) => !timer_runs && tasks.all(|&task| self.machine.is_preemptible(task)),
        }
    }

    /// The choices of callback actors.
    pub(super) fn callback_choices(&self, into: &mut Vec<Choice>) {
        for (index, one) in self.callbacks.iter().enumerate().filter(|(_, one)| self.is_let_in(one)) {
            let actor = Actor((self.first_callback_actor() + index) as u16);
            let branches = match one.running {
                Some(task) if self.machine.waits_for_stores(task) => 0,
                Some(task) => self.machine.ways(task),
                None if self.begun >= MAX_CALLBACKS => 0,
                None => self.pending(one).len() as u16,
            };
            into.extend((0..branches).map(|branch| Choice { actor, branch }));
        }
    }

    /// Tasks and callbacks that another one on their CPU keeps from running.
    pub(super) fn kept_out(&self, into: &mut Vec<Waiting>) {
        let at = |cpu| Touch { place: self.machine.cpu_place(cpu), start: 0, size: 1, kind: TouchKind::Atomic };
        for task in (0..self.tasks()).filter(|&task| !self.is_done(task) && !self.is_let_run(self.on_machine(task))) {
            let choice = Choice { actor: Actor(task as u16), branch: 0 };
            into.push(Waiting { choice, at: at(self.machine.cpu_of(self.on_machine(task))), fixed: false });
        }
        for (index, one) in self.callbacks.iter().enumerate() {
            let Some(task) = one.running else { continue };
            let choice = Choice { actor: Actor((self.first_callback_actor() + index) as u16), branch: 0 };
            if !self.is_let_in(one) {
                into.push(Waiting { choice, at: at(one.cpu), fixed: false });
            }
            if let Some((region, offset)) = self.machine.waits_at(task) {
                let place = self.machine.memory().region(region).place;
                let at = Touch { place, start: offset, size: 4, kind: TouchKind::Lock };
                into.push(Waiting { choice, at, fixed: false });
            }
        }
    }

    /// One step of a callback actor.
    pub(super) fn callback_step<W: Watch>(&mut self, index: usize, branch: u16, watch: &mut W) -> Result<(), Finding> {
        let Some(one) = self.callbacks.get(index).copied() else { return Ok(()) };
        let mut ended = None;
        if let Some(task) = one.running {
            self.stability = self.stability_of_next(task);
            self.steps.push(self.machine.moment(task));
            let done = self.execute(task, branch, watch);
            self.take_touches();
            ended = done?;
        } else {
            // Which callback a branch is depends on what others have started and cancelled.
            self.stability = Stability::Varies;
            let Some(pending) = self.pending(&one).get(usize::from(branch)).copied() else { return Ok(()) };
            let started = self.machine.start_callback(pending.field);
            let Ok(task) = started else { return Err(Finding::Ended(self.machine.out_of_memory(0))) };
            self.begun += 1;
            self.callbacks[index].running = task;
            if let Some(task) = task {
                watch.started(&self.machine, task);
            }
            self.starts.push(self.steps.len());
            self.steps.push(self.machine.moment(task.unwrap_or(0)));
            self.take_touches();
        }
        self.touch_cpu(one.cpu);
        if let (None, Some(task)) = (ended, self.callbacks[index].running) {
            ended = self.run_unseen(task, watch)?;
        }
        if ended.is_some() {
            self.callbacks[index].running = None;
        }
        Ok(())
    }

    /// Notes that a step was made on a CPU, where the order of its actors' steps matters.
    pub(super) fn touch_cpu(&mut self, cpu: u32) {
        if self.takes_turns() {
            let place = self.machine.cpu_place(cpu);
            self.touches.push(Touch { place, start: 0, size: 1, kind: TouchKind::Atomic });
        }
    }
}
