//! A run as it is looked on: each instruction with the state before it, what it does, and how that changes the state.
//!
//! [`Recorder`] watches a simulation ([`Recorder::record`]) or steps a machine itself ([`Recorder::run`]); [`Recorder::finish`] gives the
//! parts of a [`View`](super::model::View). What is in registers and on stacks is in `registers`, objects' lives in
//! `lives`, sections in `sections`.

use rustc_hash::FxHashMap;

use super::code::Shared;
use super::lives::Lives;
use super::model::{Change, Key, KeyKind, Step, Text, Timeline};
use super::registers::{TaskState, words_of};
use super::sections::Sections;
use super::texts::Numbered;
use crate::explore::simulation::Simulation;
use crate::explore::system::{Choice, System};
use crate::explore::watch::Watch;
use crate::machine::rcu::ReadSide;
use crate::machine::{Access, AccessKind, End, Event, Machine, Moment, Outcome};
use crate::report::place::Words;

/// Steps that are kept, at least, if there are so many. When there are twice as many, the first half goes.
const KEPT_STEPS: usize = 8_000;
/// Bytes of one write of which the new values are told.
const MAX_WRITTEN: u32 = 64;

/// Lanes of those that run last are behind those of all actors.
const AFTER_ACTORS: u32 = 1 << 16;

/// Looks on while programs run.
#[derive(Debug)]
pub struct Recorder<'s> {
    shared: &'s mut Shared,
    /// By what they are sorted, and their names.
    lanes: Vec<(u32, String)>,
    keys: Numbered<Key>,
    values: FxHashMap<u32, Text>,
    steps: Vec<Step>,
    moments: Vec<Moment>,
    left_out: usize,
    /// Changes since the last step's state was taken.
    changes: Vec<Change>,
    tasks: FxHashMap<u32, TaskState>,
    lane_of_task: FxHashMap<u32, u32>,
    lane: u32,
    last_task: Option<u32>,
    /// Has the machine done something that was not read yet?
    unread: bool,
    came: Option<String>,
    /// Is what runs now what the scenario runs last?
    is_last: bool,
    lives: Lives,
    sections: Sections,
}

/// What was seen.
#[derive(Debug)]
pub struct Recording {
    /// Names of those who take steps.
    pub lanes: Vec<String>,
    /// Keys of changes.
    pub keys: Vec<Key>,
    /// Steps; the last one is the end.
    pub steps: Vec<Step>,
    /// When each step but the end was.
    pub moments: Vec<Moment>,
    /// Steps before the first that were left out.
    pub left_out: usize,
    /// Sections and lives.
    pub timeline: Timeline,
}

impl Recording {
    /// The step that was at that moment.
    #[must_use]
    pub fn step_at(&self, moment: Moment) -> Option<usize> {
        self.moments.iter().rposition(|&at| at == moment)
    }
}

impl<'s> Recorder<'s> {
    /// Begins to look at a machine.
    #[must_use]
    pub fn new(shared: &'s mut Shared, machine: &Machine) -> Recorder<'s> {
        let mut recorder = Recorder {
            shared,
            lanes: Vec::new(),
            keys: Numbered::default(),
            values: FxHashMap::default(),
            steps: Vec::new(),
            moments: Vec::new(),
            left_out: 0,
            changes: Vec::new(),
            tasks: FxHashMap::default(),
            lane_of_task: FxHashMap::default(),
            lane: 0,
            last_task: None,
            unread: false,
            came: None,
            is_last: false,
            lives: Lives::new(machine),
            sections: Sections::default(),
        };
        recorder.take_state(machine);
        recorder
    }

    /// Performs a schedule from the start, step by step, as far as it fits; returns what was seen. `ended` says how it came out.
    pub fn record(shared: &'s mut Shared, simulation: &mut Simulation, choices: &[Choice], ended: &str) -> Recording {
        simulation.reset();
        let mut recorder = Recorder::new(shared, simulation.machine());
        for (number, &choice) in choices.iter().enumerate() {
            let mut possible = Vec::new();
            simulation.choices(&mut possible);
            if !possible.contains(&choice) {
                break;
            }
            recorder.lane = recorder.lane_number(choice.actor.0.into(), || simulation.actor_name(choice.actor));
            if choice.branch != 0 {
                recorder.came = Some(format!("by way {}", choice.branch));
            }
            recorder.read(simulation.machine());
            let before = recorder.moments.len() + recorder.left_out;
            let done = simulation.perform_watched(choice, &mut recorder);
            if recorder.moments.len() + recorder.left_out == before {
                recorder.happened(simulation, number);
            }
            if done.is_err() {
                break;
            }
        }
        let mut left = Vec::new();
        simulation.choices(&mut left);
        if left.is_empty() {
            // After a step that failed nothing is run.
            recorder.is_last = true;
            simulation.ending_watched(&mut recorder);
        }
        recorder.finish(simulation.machine(), ended)
    }

    /// Runs a task's program to its end, as [`Machine::run`] does.
    pub fn run(&mut self, machine: &mut Machine, task: u32) -> End {
        let cpu = machine.cpu_of(task);
        let callbacks = task >= machine.cpu_count();
        self.lane =
            self.lane_number(task, || if callbacks { format!("callbacks on CPU {cpu}") } else { format!("CPU {cpu}") });
        self.started(machine, task);
        loop {
            self.before(machine, task);
            match machine.step(task) {
                Ok(Outcome::Ran) => {}
                Ok(Outcome::Returned(value)) => return End::Returned(value),
                // Nobody else runs that could give it what it waits for.
                Ok(Outcome::Blocked) => return machine.run(task),
                Err(end) => return *end,
            }
        }
    }

    /// Looks at the machine once more and returns all.
    #[must_use]
    pub fn finish(mut self, machine: &Machine, ended: &str) -> Recording {
        self.read(machine);
        let came = self.shared.text(ended);
        let end = Step { lane: self.lane, came: Some(came), ..Step::default() };
        self.push(end);
        let count = self.steps.len();
        let mut order: Vec<usize> = (0..self.lanes.len()).collect();
        order.sort_by_key(|&lane| self.lanes[lane].0);
        let mut places = vec![0; order.len()];
        for (place, &lane) in order.iter().enumerate() {
            places[lane] = place as u32;
        }
        let moved = |lane: u32| places.get(lane as usize).copied().unwrap_or(0);
        for step in &mut self.steps {
            step.lane = moved(step.lane);
        }
        let mut keys = self.keys.into_all();
        for key in &mut keys {
            key.lane = key.lane.map(moved);
        }
        let (objects, grace_periods) = self.lives.finish(count);
        let mut sections = self.sections.finish(count);
        for section in &mut sections {
            section.lane = moved(section.lane);
        }
        Recording {
            lanes: order.iter().map(|&lane| self.lanes[lane].1.clone()).collect(),
            keys,
            steps: self.steps,
            moments: self.moments,
            left_out: self.left_out,
            timeline: Timeline { sections, grace_periods, objects, arrows: Vec::new() },
        }
    }

    fn lane_number(&mut self, order: u32, name: impl FnOnce() -> String) -> u32 {
        if let Some(lane) = self.lanes.iter().position(|&(known, _)| known == order) {
            return lane as u32;
        }
        self.lanes.push((order, name()));
        self.lanes.len() as u32 - 1
    }

    /// A step of a schedule in which no instruction was executed: a program starts, a store becomes visible.
    fn happened(&mut self, simulation: &Simulation, number: usize) {
        let Some(&at) = simulation.steps().get(number) else { return };
        let words = Words::new(simulation.machine());
        let came = self.came.take().unwrap_or_else(|| {
            if simulation.starts().contains(&number) {
                format!("{} starts", words.program(at.place))
            } else {
                format!("a store becomes visible: {}", words.source(at.place))
            }
        });
        let came = self.shared.text(came);
        self.push(Step { lane: self.lane, came: Some(came), ..Step::default() });
        self.moments.push(at);
        self.last_task = None;
        self.unread = true;
    }

    fn push(&mut self, mut step: Step) {
        step.changes = std::mem::take(&mut self.changes);
        step.parent = self.steps.len().checked_sub(1);
        self.steps.push(step);
        if self.steps.len() >= 2 * KEPT_STEPS {
            self.forget(KEPT_STEPS);
        }
    }

    /// Leaves out the first steps: the next one has all of the state that they made.
    fn forget(&mut self, count: usize) {
        let mut state: FxHashMap<u32, Option<Text>> = FxHashMap::default();
        for step in self.steps.drain(..count) {
            state.extend(step.changes);
        }
        if let Some(first) = self.steps.first_mut() {
            state.extend(first.changes.drain(..));
            let mut all: Vec<Change> = state.into_iter().filter(|(_, value)| value.is_some()).collect();
            all.sort_unstable();
            first.changes = all;
        }
        for (number, step) in self.steps.iter_mut().enumerate() {
            step.parent = number.checked_sub(1);
        }
        self.moments.drain(..count);
        self.left_out += count;
        self.lives.forget(count);
        self.sections.forget(count);
    }

    /// Reads what the last step did, and how the state has become.
    fn read(&mut self, machine: &Machine) {
        if std::mem::take(&mut self.unread) {
            self.read_report(machine);
        }
        self.take_state(machine);
    }

    fn read_report(&mut self, machine: &Machine) {
        let report = machine.report();
        let words = Words::new(machine);
        let mut events = Vec::new();
        for access in &report.accesses {
            if machine.memory().is_private(access.region) {
                continue;
            }
            if let Some(verb) = verb(access.kind) {
                events.push(format!("{verb} {}", self.lives.field(&words, access.region, access.offset)));
            }
            if access.kind.writes() {
                self.written(machine, &words, access);
            }
        }
        let lane = self.lane_of_last();
        let at = self.steps.len();
        for event in &report.events {
            self.sections.event(event, lane, at);
            self.lives.event(machine, event);
            events.push(self.in_words(&words, event));
        }
        let lock = self.sections.lock(lane).map(|field| self.lives.field(&words, field.0, field.1));
        self.set(Key { kind: KeyKind::Section, lane: Some(lane), frame: None, name: "lock held".into() }, lock);
        let off = self.sections.is_preemption_off(lane).then(|| "off".to_owned());
        self.set(Key { kind: KeyKind::Section, lane: Some(lane), frame: None, name: "preemption".into() }, off);
        let mut told: Vec<Text> = Vec::with_capacity(events.len());
        for event in events {
            let event = self.shared.text(event);
            if !told.contains(&event) {
                told.push(event);
            }
        }
        if let Some(step) = self.steps.last_mut() {
            step.events.extend(told);
        }
    }

    fn lane_of_last(&self) -> u32 {
        self.steps.last().map_or(self.lane, |step| step.lane)
    }

    fn in_words(&self, words: &Words<'_>, event: &Event) -> String {
        match *event {
            Event::RcuLock => "enters an RCU section".to_owned(),
            Event::RcuUnlock => "leaves an RCU section".to_owned(),
            Event::PreemptDisable => "turns preemption off".to_owned(),
            Event::PreemptEnable => "turns preemption on".to_owned(),
            Event::Lock { region, offset } => format!("takes the lock {}", self.lives.field(words, region, offset)),
            Event::Unlock { region, offset } => {
                format!("gives back the lock {}", self.lives.field(words, region, offset))
            }
            Event::Allocated(region) => format!("allocates {}", self.lives.name(words, region)),
            Event::Freed(region) => format!("frees {}", self.lives.name(words, region)),
            Event::Ownership(region) => format!("hands over {}", self.lives.name(words, region)),
        }
    }

    /// New values of what was written.
    fn written(&mut self, machine: &Machine, words: &Words<'_>, access: &Access) {
        let end = access.offset.saturating_add(access.size.min(MAX_WRITTEN));
        let mut offset = access.offset;
        while offset < end {
            let size = (end - offset).min(8);
            let bytes = machine.memory().peek(access.region).get(offset as usize..(offset + size) as usize);
            let mut whole = [0; 8];
            if let Some(bytes) = bytes {
                whole[..bytes.len()].copy_from_slice(bytes);
                let name = self.lives.field(words, access.region, offset);
                let value = words_of(machine, &self.lives, words, u64::from_le_bytes(whole), size);
                self.set(Key { kind: KeyKind::Memory, lane: None, frame: None, name }, Some(value));
            }
            offset += size;
        }
    }

    fn set(&mut self, key: Key, value: Option<String>) {
        let key = self.keys.number(key);
        let value = value.map(|value| self.shared.text(value));
        if self.values.get(&key).copied() == value {
            return;
        }
        match value {
            Some(value) => self.values.insert(key, value),
            None => self.values.remove(&key),
        };
        self.changes.retain(|&(changed, _)| changed != key);
        self.changes.push((key, value));
    }

    /// The state of the task that ran last, and of what all share.
    fn take_state(&mut self, machine: &Machine) {
        if let Some(task) = self.last_task {
            self.take_task(machine, task);
        }
        let at = self.steps.len();
        let lanes: Vec<(u32, u32)> = self.lane_of_task.iter().map(|(&task, &lane)| (task, lane)).collect();
        for &(task, lane) in &lanes {
            let reader = machine.rcu().reader(task);
            self.sections.reader(lane, reader, at);
            let depth = reader.in_rcu().then(|| format!("open, depth {}", reader.depth()));
            self.set(Key { kind: KeyKind::Section, lane: Some(lane), frame: None, name: "RCU section".into() }, depth);
            let trace = reader.in_trace().then(|| "open".to_owned());
            let name = "RCU tasks trace section".into();
            self.set(Key { kind: KeyKind::Section, lane: Some(lane), frame: None, name }, trace);
        }
        for (name, value) in self.lives.update(machine, at) {
            self.set(Key { kind: KeyKind::Reference, lane: None, frame: None, name }, value);
        }
    }

    fn take_task(&mut self, machine: &Machine, task: u32) {
        let lane = self.lane_of_task.get(&task).copied().unwrap_or(0);
        let mut state = self.tasks.remove(&task).unwrap_or_default();
        let changed = state.update(machine, task, &self.lives);
        for (kind, frame, name, value) in changed {
            self.set(Key { kind, lane: Some(lane), frame: Some(frame), name }, value);
        }
        self.lives.pointed_to_by(machine, task, state.pointers());
        self.tasks.insert(task, state);
    }
}

fn verb(kind: AccessKind) -> Option<&'static str> {
    match kind {
        AccessKind::Read => Some("reads"),
        AccessKind::Write => Some("writes"),
        AccessKind::Atomic => Some("changes atomically"),
        AccessKind::Dereference => Some("reads the pointer"),
        // The events tell of these, or they order steps and do nothing.
        AccessKind::Lock
        | AccessKind::Unlock
        | AccessKind::Acquire
        | AccessKind::Release
        | AccessKind::Observe
        | AccessKind::Change => None,
    }
}

impl Watch for Recorder<'_> {
    fn started(&mut self, machine: &Machine, task: u32) {
        if self.is_last {
            self.read(machine);
            self.lane = match self.lane_of_task.get(&task) {
                Some(&lane) => lane,
                None => self.lane_number(task + AFTER_ACTORS, || format!("CPU {}", machine.cpu_of(task))),
            };
        }
        self.lane_of_task.insert(task, self.lane);
        // Each program has sections of its own, also where one follows the other at once.
        self.sections.reader(self.lane, ReadSide::default(), self.steps.len());
        if let Some(running) = machine.running(task) {
            let name = &running.program().source().name;
            let when = if self.is_last { ", now that all others are done" } else { "" };
            self.came = Some(format!("{name} starts{when}"));
        }
    }

    fn before(&mut self, machine: &Machine, task: u32) {
        self.read(machine);
        self.lane_of_task.insert(task, self.lane);
        if self.last_task != Some(task) {
            self.last_task = Some(task);
            self.take_state(machine);
        }
        let Some(running) = machine.running(task) else { return };
        let program = self.shared.program(machine.object(), running.program().source());
        let came = self.came.take().map(|came| self.shared.text(came));
        self.push(Step {
            lane: self.lane,
            program: Some(program),
            slot: Some(running.insn() as usize),
            came,
            ..Step::default()
        });
        self.moments.push(machine.moment(task));
        self.unread = true;
    }
}
