//! A scenario on the simulated machine, as a [`System`] to explore.
//!
//! Each task of the scenario is an actor. One of its steps is the start of a program, or one instruction that other tasks can see, and
//! then all that follows up to the next such instruction: what only the task itself sees needs no place of its own in a schedule. Under
//! x86's memory model each CPU's store buffer is an actor too, whose step makes its oldest store visible.
//!
//! Start at [`Simulation::new`], then [`Simulation::perform`](System::perform).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::finding::{Finding, RacingAccess};
use super::system::{Actor, Choice, Ending, Stability, System, Touch, TouchKind, Waiting};
use super::watch::{Nobody, Watch};
use crate::machine::{CallbackKind, End, Input, Machine, Moment, Outcome, Place};
use crate::scenario::{Broken, Judgement};

mod actors;
mod callbacks;
mod checkpoint;
mod judge;
mod setup;
mod touches;

pub use actors::ActorKind;
pub use callbacks::MAX_CALLBACKS;
pub use setup::SimulationError;

use callbacks::CallbackActor;
use checkpoint::Checkpoint;
use judge::Seen;
use touches::plain_kind;

/// One program of a task.
#[derive(Clone, Debug)]
struct Job {
    program: u32,
    repeat: u32,
    input: Input,
}

/// What a task has to run, and where its return values go.
#[derive(Clone, Debug)]
struct Script {
    jobs: Vec<Job>,
    first_return: usize,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    job: usize,
    repeat: u32,
    returned: usize,
}

/// What a scenario starts from: shared by all that explore it.
struct Start {
    machine: Machine,
    scripts: Vec<Script>,
    last: Vec<Job>,
    last_cpus: Vec<u32>,
    judgement: Judgement,
    end_maps: BTreeSet<usize>,
    always_maps: BTreeSet<usize>,
    allowed: BTreeSet<String>,
    leaks: bool,
    /// The machine's task that runs each of the scenario's.
    tasks: Vec<u32>,
    /// Do other objects' programs take what maps hold?
    others: bool,
    /// Have two of them one CPU?
    shares_cpus: bool,
    /// Must something hold at each step?
    has_always: bool,
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("scripts", &self.scripts).field("last", &self.last).finish_non_exhaustive()
    }
}

/// What a task has before it, as far as that is its own matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// Nothing.
    Nothing,
    /// A step that waits for nobody and goes in one way.
    OneWay,
    /// A step that may wait or go in several ways, as others let it.
    Depends,
}

/// A scenario in the machine.
#[derive(Clone, Debug)]
pub struct Simulation {
    start: Arc<Start>,
    machine: Machine,
    progress: Vec<Progress>,
    /// Of each task.
    ahead: Vec<Ahead>,
    returns: Vec<i32>,
    touches: Vec<Touch>,
    /// The shared instruction of each step so far.
    steps: Vec<Moment>,
    /// Which of the steps were starts of programs or callbacks.
    starts: Vec<usize>,
    failed: Option<Finding>,
    /// What runs callbacks; empty if no program starts any.
    callbacks: Vec<CallbackActor>,
    /// Have other objects' programs had their turn in this run?
    others_done: bool,
    /// Is the end of a grace period a step of its own?
    grace_periods: bool,
    /// Callbacks begun in this run.
    begun: usize,
    /// How far the last step depended on what others had done.
    stability: Stability,
    seen: HashMap<u64, Seen, FxBuildHasher>,
    /// What must always hold and did not, by a digest of what it is about.
    kept: HashMap<u64, Option<Broken>, FxBuildHasher>,
    /// What changes of the machine are noted against, if not the start.
    checkpoint: Option<Box<Checkpoint>>,
}

/// Instructions that nobody else sees which one step may have behind its first.
const MAX_LOCAL_STEPS: u64 = 10_000_000;

impl Simulation {
    /// The machine as it stands.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The shared instructions that were executed since the last reset.
    #[must_use]
    pub fn steps(&self) -> &[Moment] {
        &self.steps
    }

    /// The steps, by number, that were starts of programs or callbacks.
    #[must_use]
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    fn tasks(&self) -> usize {
        self.start.scripts.len()
    }

    /// The machine's task that runs a task of the scenario.
    fn on_machine(&self, task: usize) -> u32 {
        self.start.tasks.get(task).copied().unwrap_or(0)
    }

    /// The job that a task runs or would start next.
    fn job(&self, task: usize) -> Option<&Job> {
        self.start.scripts.get(task)?.jobs.get(self.progress.get(task)?.job)
    }

    fn is_done(&self, task: usize) -> bool {
        self.job(task).is_none()
    }

    /// The CPU whose store buffer an actor is.
    fn buffer(&self, actor: Actor) -> Option<u32> {
        let cpu = usize::from(actor.0).checked_sub(self.tasks())?;
        (cpu < self.buffers()).then_some(cpu as u32)
    }

    /// Number of store buffers.
    fn buffers(&self) -> usize {
        if self.machine.has_store_buffers() { self.machine.cpu_count() as usize } else { 0 }
    }

    fn start_job<W: Watch>(&mut self, task: usize, watch: &mut W) -> Result<(), Finding> {
        let start = Arc::clone(&self.start);
        let Some(job) = start.scripts.get(task).and_then(|script| script.jobs.get(self.progress[task].job)) else {
            return Ok(());
        };
        let started = self.machine.start_with(job.program, self.on_machine(task), &job.input);
        self.starts.push(self.steps.len());
        self.steps.push(self.machine.moment(self.on_machine(task)));
        // The start was tried when the scenario was set up, so that only memory can be short.
        started.map_err(|_| Finding::Ended(self.machine.out_of_memory(self.on_machine(task))))?;
        watch.started(&self.machine, self.on_machine(task));
        Ok(())
    }

    fn returned(&mut self, task: usize, value: u64) {
        let progress = &mut self.progress[task];
        let at = self.start.scripts[task].first_return + progress.returned;
        if let Some(slot) = self.returns.get_mut(at) {
            *slot = value as u32 as i32;
        }
        progress.returned += 1;
        progress.repeat += 1;
        let repeats = self.start.scripts[task].jobs.get(progress.job).map_or(0, |job| job.repeat);
        if progress.repeat >= repeats {
            progress.repeat = 0;
            progress.job += 1;
        }
    }

    /// One instruction of a machine's task; what its program returned, if that was its last.
    fn execute<W: Watch>(&mut self, on: u32, branch: u16, watch: &mut W) -> Result<Option<u64>, Finding> {
        watch.before(&self.machine, on);
        let ended = returned(self.machine.step_in_way(on, branch))?;
        watch.after(&self.machine, on);
        Ok(ended)
    }

    /// All that a machine's task does up to the next instruction that others can see.
    fn run_unseen<W: Watch>(&mut self, on: u32, watch: &mut W) -> Result<Option<u64>, Finding> {
        if !W::WATCHES {
            return returned(self.machine.run_unseen(on, MAX_LOCAL_STEPS));
        }
        let end = self.machine.steps().saturating_add(MAX_LOCAL_STEPS);
        while self.machine.steps() < end
            && self.machine.is_running(on)
            && !self.machine.next_is_shared(on)
            && !watch.stops()
            && !watch.pauses(&self.machine, on)
        {
            if let ended @ Some(_) = self.execute(on, 0, watch)? {
                return Ok(ended);
            }
        }
        Ok(None)
    }

    /// Notes what a task has before it: only its own steps change that.
    fn look_ahead(&mut self, task: usize) {
        let ahead = if self.is_done(task) {
            Ahead::Nothing
        } else if self.machine.goes_one_way(self.on_machine(task)) {
            Ahead::OneWay
        } else {
            Ahead::Depends
        };
        if let Some(place) = self.ahead.get_mut(task) {
            *place = ahead;
        }
    }

    fn look_ahead_of_all(&mut self) {
        for task in 0..self.tasks() {
            self.look_ahead(task);
        }
    }

    fn stability_of_next(&self, task: u32) -> Stability {
        let held = self.machine.may_wait_for_stores(task) || self.takes_turns();
        match (self.machine.next_is_fixed(task), held) {
            (true, false) => Stability::Fixed,
            (true, true) => Stability::Held,
            (false, _) => Stability::Varies,
        }
    }

    /// The actor that other objects' programs are.
    fn others(&self) -> Actor {
        Actor((self.tasks() + self.buffers() + self.callbacks.len()) as u16)
    }

    fn step<W: Watch>(&mut self, choice: Choice, watch: &mut W) -> Result<(), Finding> {
        self.touches.clear();
        self.stability = Stability::Fixed;
        if self.start.others && choice.actor == self.others() {
            let cpu = self.machine.cpu_count() - 1;
            self.steps.push(Moment { place: Place::BEFORE, cpu, step: self.machine.steps() });
            self.machine.others_take(cpu, choice.branch);
            self.others_done = true;
            self.stability = Stability::Varies;
            self.take_touches();
            return self.check_always();
        }
        if self.grace_periods && choice.actor == self.grace_period() {
            self.end_grace_period();
            return self.check_always();
        }
        if usize::from(choice.actor.0) < self.tasks() {
            self.task_step(usize::from(choice.actor.0), choice.branch, watch)?;
            return self.check_always();
        }
        if let Some(cpu) = self.buffer(choice.actor) {
            self.steps.push(self.machine.oldest_store(cpu));
            self.machine.flush_one(cpu);
            self.take_touches();
            return self.check_always();
        }
        if let Some(index) = self.callback_index(choice.actor) {
            self.callback_step(index, choice.branch, watch)?;
        }
        self.check_always()
    }

    /// One step of a task.
    fn task_step<W: Watch>(&mut self, task: usize, branch: u16, watch: &mut W) -> Result<(), Finding> {
        let on = self.on_machine(task);
        self.stability = self.stability_of_next(on);
        let done = if self.machine.is_running(on) {
            self.steps.push(self.machine.moment(on));
            self.execute(on, branch, watch)
        } else {
            self.start_job(task, watch).map(|()| None)
        };
        self.take_touches();
        self.touch_cpu(self.machine.cpu_of(on));
        let ended = match done? {
            None => self.run_unseen(on, watch)?,
            ended => ended,
        };
        if let Some(value) = ended {
            self.returned(task, value);
        }
        self.look_ahead(task);
        Ok(())
    }

    /// [`System::perform`] with somebody who sees each instruction before it is executed.
    ///
    /// # Errors
    /// The finding that ends the run.
    pub fn perform_watched<W: Watch>(&mut self, choice: Choice, watch: &mut W) -> Result<(), Finding> {
        let done = self.step(choice, watch);
        if let Err(finding) = &done {
            self.failed = Some(finding.clone());
        }
        done
    }
}

/// What a program returned, if it did.
fn returned(outcome: Result<Outcome, Box<End>>) -> Result<Option<u64>, Finding> {
    match outcome {
        Ok(Outcome::Returned(value)) => Ok(Some(value)),
        Ok(Outcome::Ran | Outcome::Blocked) => Ok(None),
        Err(end) => Err(Finding::Ended(*end)),
    }
}

impl System for Simulation {
    type Finding = Finding;

    fn actor_count(&self) -> usize {
        self.searched_actors() + usize::from(self.grace_periods)
    }

    fn reset(&mut self) {
        self.restart_machine();
        self.progress.fill(Progress::default());
        self.returns.fill(0);
        self.touches.clear();
        self.steps.clear();
        self.starts.clear();
        self.failed = None;
        self.begun = 0;
        self.others_done = false;
        for one in &mut self.callbacks {
            one.running = None;
        }
        self.look_ahead_of_all();
    }

    fn keep(&mut self) -> bool {
        self.keep_checkpoint()
    }

    fn return_to_kept(&mut self) {
        self.return_to_checkpoint();
    }

    fn choices(&self, into: &mut Vec<Choice>) {
        if self.failed.is_some() {
            return;
        }
        let (buffered, takes_turns) = (self.machine.has_store_buffers(), self.takes_turns());
        for (task, &ahead) in self.ahead.iter().enumerate() {
            let on = self.on_machine(task);
            let kept = (buffered && self.machine.waits_for_stores(on)) || (takes_turns && !self.is_let_run(on));
            if ahead == Ahead::Nothing || kept {
                continue;
            }
            let actor = Actor(task as u16);
            if ahead == Ahead::OneWay {
                into.push(Choice { actor, branch: 0 });
            } else {
                into.extend((0..self.machine.ways(on)).map(|branch| Choice { actor, branch }));
            }
        }
        if buffered {
            let waiting = (0..self.machine.cpu_count()).filter(|&cpu| self.machine.has_stores(cpu));
            into.extend(waiting.map(|cpu| Choice { actor: Actor(self.tasks() as u16 + cpu as u16), branch: 0 }));
        }
        self.callback_choices(into);
        if self.start.others && !self.others_done {
            let actor = self.others();
            into.extend(self.machine.others_can_take().into_iter().map(|branch| Choice { actor, branch }));
        }
        self.grace_period_choice(into);
    }

    fn waiting(&self, into: &mut Vec<Waiting>) {
        let blocked = (0..self.tasks()).filter(|&task| self.machine.is_blocked(self.on_machine(task)));
        into.extend(blocked.filter_map(|task| {
            let (region, offset) = self.machine.waits_at(self.on_machine(task))?;
            let place = self.machine.memory().region(region).place;
            let at = Touch { place, start: offset, size: 4, kind: TouchKind::Lock };
            Some(Waiting { choice: Choice { actor: Actor(task as u16), branch: 0 }, at, fixed: false })
        }));
        let draining = (0..self.tasks()).filter(|&task| self.machine.waits_for_stores(self.on_machine(task)));
        into.extend(draining.map(|task| {
            let place = self.machine.store_buffer_place(self.machine.cpu_of(self.on_machine(task)));
            let at = Touch { place, start: 0, size: 1, kind: TouchKind::Acquire };
            Waiting { choice: Choice { actor: Actor(task as u16), branch: 0 }, at, fixed: false }
        }));
        self.kept_out(into);
    }

    fn perform(&mut self, choice: Choice) -> Result<(), Finding> {
        self.perform_watched(choice, &mut Nobody)
    }

    fn touches(&self) -> &[Touch] {
        &self.touches
    }

    fn stability(&self) -> Stability {
        self.stability
    }

    fn ending(&mut self) -> Ending<Finding> {
        self.ending_watched(&mut Nobody)
    }

    fn race(&self, first: (usize, Touch), second: (usize, Touch)) -> Option<Finding> {
        if self.start.allowed.contains("data-race") {
            return None;
        }
        let moment = |step: usize| self.steps.get(step).copied();
        let (one, other) = (moment(first.0)?, moment(second.0)?);
        // On one CPU nothing is concurrent.
        if one.cpu == other.cpu {
            return None;
        }
        let what = self.machine.region_at_place(second.1.place)?;
        Some(Finding::Race {
            first: RacingAccess { at: one, kind: plain_kind(first.1.kind) },
            second: RacingAccess { at: other, kind: plain_kind(second.1.kind) },
            region: what,
            offset: second.1.start,
        })
    }

    fn key(finding: &Finding) -> String {
        finding.key()
    }

    fn fingerprint(&self) -> Option<u128> {
        let progress: Vec<_> = self.progress.iter().map(|one| (one.job, one.repeat)).collect();
        let callbacks: Vec<_> = self.callbacks.iter().map(|one| one.running).collect();
        Some(self.machine.fingerprint(&(&self.returns, progress, callbacks, self.begun, self.others_done)))
    }

    fn actor_name(&self, actor: Actor) -> String {
        if self.grace_periods && actor == self.grace_period() {
            return "RCU".to_owned();
        }
        if self.start.others && actor == self.others() {
            return "another object's program".to_owned();
        }
        let callback = self.callback_index(actor).and_then(|index| self.callbacks.get(index));
        match (self.buffer(actor), callback) {
            (Some(cpu), _) => format!("the store buffer of CPU {cpu}"),
            (None, Some(one)) if one.kind == CallbackKind::Timer => format!("a timer on CPU {}", one.cpu),
            (None, Some(one)) => format!("a work item on CPU {}", one.cpu),
            (None, None) => {
                let cpu = self.machine.cpu_of(self.on_machine(actor.0.into()));
                if self.start.shares_cpus { format!("CPU {cpu}, task {}", actor.0) } else { format!("CPU {cpu}") }
            }
        }
    }
}
