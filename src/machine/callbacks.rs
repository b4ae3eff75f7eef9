//! Callbacks that run later: timers and work queues (`bpf_timer_*`, `bpf_wq_*`, `kernel/bpf/helpers.c`, Linux 6.12).
//!
//! A program starts one in a map's value; a scheduler decides when it runs, as a task of its own on the CPU that started
//! it. A timer's callback is a soft interrupt: a reader of RCU that may not sleep. A work item's is a sleepable program.
//! Start at [`Machine::pending_callbacks`] and [`Machine::start_callback`].
//!
//! Cancelling a timer, and deleting or overwriting a value with one, waits for its callback if another CPU runs it, but not where a timer's
//! callback deletes (`bpf_timer_cancel`, `bpf_timer_cancel_and_free`). Nobody waits for a work item.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Access, AccessKind, places};
use super::fault::{End, Trap};
use super::frames::Then;
use super::memory::{Allocator, Contents};
use super::ownership::Field;
use super::region::RegionKind;
use super::setup::SetupError;
use super::stepper::Machine;
use super::story::RegionId;

/// What runs a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallbackKind {
    /// A `bpf_timer`, in a soft interrupt.
    Timer,
    /// A `bpf_wq`, in a kernel thread.
    Work,
}

/// Program types that are run with soft interrupts off: `SOCKET_FILTER`, `SCHED_CLS`, `SCHED_ACT`, `XDP`, `CGROUP_SKB`, the lightweight
/// tunnels, `SK_SKB`, `SK_MSG`, `FLOW_DISSECTOR`, `SK_LOOKUP`, `NETFILTER`.
const NETWORK: [u32; 14] = [1, 3, 4, 6, 8, 10, 11, 12, 14, 16, 19, 22, 30, 32];

/// Program types that are run with preemption off: `KPROBE`, `TRACEPOINT`, `PERF_EVENT`, `RAW_TRACEPOINT` and its writable kind
/// (`__DO_TRACE_CALL` in `include/linux/tracepoint.h`, `bpf_prog_test_run_raw_tp`).
const PREEMPTION_OFF: [u32; 5] = [2, 5, 7, 17, 24];

/// `BPF_PROG_TYPE_TRACING` on a raw tracepoint (`BPF_TRACE_RAW_TP`), which comes by the same way (`__bpf_trace_run` in
/// `kernel/trace/bpf_trace.c`). Those around functions are only kept on their CPU (`__bpf_prog_enter` in `kernel/bpf/trampoline.c`).
const TYPED_TRACEPOINT: (u32, u32) = (26, 23);

/// Bytes of a `bpf_timer` or `bpf_wq`.
pub(super) const FIELD_SIZE: u32 = 16;

/// A timer or work item that was initialised.
#[derive(Clone, Debug)]
pub(super) struct Callback {
    pub kind: CallbackKind,
    /// The map that its value is in.
    pub map: u32,
    /// The key of that value.
    pub key: Box<[u8]>,
    /// The program whose callback it is, by index; none until one is set, and none after it was cancelled.
    pub program: Option<u32>,
    /// The callback's address.
    pub function: u64,
    /// Since when it is to run, if it is.
    pub pending: Option<Pending>,
    /// The task that runs the callback now.
    pub running: Option<u32>,
}

/// A callback that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    /// What runs it.
    pub kind: CallbackKind,
    /// The timer or work item.
    pub field: Field,
    /// Is that still there? It is not when its value was deleted meanwhile.
    pub attached: bool,
    /// Which of all runs this is.
    pub serial: u64,
    /// How many timers' callbacks wait for its end.
    pub awaited: u32,
}

/// A callback that was started and has not run yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// The CPU that it runs on.
    pub cpu: u32,
    /// When it is due, in nanoseconds of the machine's clock; work is due at once.
    pub due: u64,
}

/// All timers and work items, by where they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Callbacks {
    pub all: BTreeMap<Field, Callback>,
    /// The task on each CPU that runs callbacks and is idle.
    idle: BTreeMap<u32, Vec<u32>>,
    /// Callbacks that run, by their task.
    running: BTreeMap<u32, Running>,
    /// Runs so far.
    runs: u64,
    /// Runs whose end is to be awaited by who has just deleted their timers.
    deleted: Vec<(u64, Field)>,
}

/// A callback that could run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingCallback {
    /// The timer or work item: region of the map's value and offset in it.
    pub field: Field,
    /// What runs it.
    pub kind: CallbackKind,
    /// The CPU that it will run on.
    pub cpu: u32,
    /// When it is due, in nanoseconds of the machine's clock; 0 for work.
    pub due: u64,
}

impl Callbacks {
    /// The callback that a task runs.
    pub fn run_by(&self, task: u32) -> Option<Running> {
        self.running.get(&task).copied()
    }

    /// Has a timer's callback that another waits for not ended yet?
    pub fn is_under_way(&self, serial: u64) -> bool {
        self.running.values().any(|running| running.serial == serial)
    }

    /// A timer's callback waits for the one that a task runs; which run that is.
    pub fn await_run(&mut self, task: u32, from_timer: bool) -> Option<u64> {
        let running = self.running.get_mut(&task)?;
        running.awaited += u32::from(from_timer);
        Some(running.serial)
    }

    /// Runs whose timers were deleted just now and that have to be awaited.
    pub fn take_deleted(&mut self) -> Vec<(u64, Field)> {
        std::mem::take(&mut self.deleted)
    }

    /// All that the future depends on, as a text.
    pub fn contents(&self) -> String {
        format!("{:?} {:?}", self.all, self.running)
    }
}

impl Machine {
    /// Callbacks that were started and can run now, in the order in which they are due. A callback does not run beside
    /// itself, and no timer's while its CPU holds a lock (which turns interrupts off) or runs another timer's.
    #[must_use]
    pub fn pending_callbacks(&self) -> Vec<PendingCallback> {
        let pending = self.world.callbacks.all.iter().filter_map(|(&field, callback)| {
            let Pending { cpu, due } = callback.pending.filter(|_| callback.running.is_none())?;
            let free = callback.kind == CallbackKind::Work || !self.keeps_interrupts_off(cpu);
            free.then_some(PendingCallback { field, kind: callback.kind, cpu, due })
        });
        let mut pending: Vec<_> = pending.collect();
        pending.sort_by_key(|callback| (callback.due, callback.field));
        pending
    }

    fn keeps_interrupts_off(&self, cpu: u32) -> bool {
        let locks = self.world.locks.values().any(|&task| self.cpu_of(task) == cpu);
        let mut running = self.world.callbacks.running.iter();
        locks || running.any(|(&task, one)| one.kind == CallbackKind::Timer && self.cpu_of(task) == cpu)
    }

    /// Does one of the loaded programs start callbacks?
    #[must_use]
    pub fn starts_callbacks(&self) -> bool {
        let starts = |name: &str| matches!(name, "bpf_timer_start" | "bpf_wq_start");
        self.programs.iter().any(|program| program.calls.iter().any(|call| starts(&call.name)))
    }

    /// May a task be stopped where it is, for another one of its CPU to go on? Not while it holds a lock or has preemption off, nor a
    /// program that the network stack runs with soft interrupts off (`bpf_test_run` in `net/bpf/test_run.c`, Linux 6.12) or a tracepoint
    /// with preemption off, nor a timer's callback. The kernel is one with full preemption, of which others allow less.
    #[must_use]
    pub fn is_preemptible(&self, task: u32) -> bool {
        let Some(execution) = self.tasks.get(task as usize).and_then(|task| task.execution.as_ref()) else {
            return true;
        };
        let running = self.world.callbacks.run_by(task);
        let in_timer = running.is_some_and(|callback| callback.kind == CallbackKind::Timer);
        let section = &execution.program.source.section;
        let program_type = section.program_type;
        let keeps_cpu = NETWORK.contains(&program_type)
            || PREEMPTION_OFF.contains(&program_type)
            || (program_type, section.attach_type) == TYPED_TRACEPOINT;
        let holds_lock = execution.lock.is_some() || execution.copy.as_ref().is_some_and(|copy| copy.holds_lock());
        !holds_lock && execution.preempt_sections == 0 && !in_timer && (running.is_some() || !keeps_cpu)
    }

    /// Can a soft interrupt come where a task is? Not while it holds a lock, nor in a program that the network stack runs.
    #[must_use]
    pub fn takes_soft_interrupts(&self, task: u32) -> bool {
        let Some(execution) = self.tasks.get(task as usize).and_then(|task| task.execution.as_ref()) else {
            return true;
        };
        let holds_lock = execution.lock.is_some() || execution.copy.as_ref().is_some_and(|copy| copy.holds_lock());
        !holds_lock && !NETWORK.contains(&execution.program.source.section.program_type)
    }

    /// Makes the tasks that will run callbacks, so that their numbers do not depend on who needs one first.
    ///
    /// # Errors
    /// None in practice: each CPU exists.
    pub fn prepare_callback_tasks(&mut self) -> Result<(), SetupError> {
        for cpu in 0..self.cpu_count() {
            let tasks = [self.add_task(cpu)?, self.add_task(cpu)?];
            self.world.callbacks.idle.entry(cpu).or_default().extend(tasks);
        }
        Ok(())
    }

    /// A number for a CPU itself, as a place that steps touch.
    #[must_use]
    pub fn cpu_place(&self, cpu: u32) -> u64 {
        places::cpu(cpu)
    }

    /// Begins a callback of [`Machine::pending_callbacks`] and returns the task that runs it; `None` if it is not
    /// pending any more.
    ///
    /// # Errors
    /// [`SetupError::Memory`].
    pub fn start_callback(&mut self, field: Field) -> Result<Option<u32>, SetupError> {
        let too_big = |_| SetupError::Memory(String::from("the callbacks"));
        let Some(callback) = self.world.callbacks.all.get(&field).cloned() else { return Ok(None) };
        let (Some(Pending { cpu, .. }), Some(program)) = (callback.pending, callback.program) else { return Ok(None) };
        let Some(program) = self.programs.get(program as usize).map(Arc::clone) else { return Ok(None) };
        let Some(slot) = program.function_slot(callback.function) else { return Ok(None) };
        let task = self.callback_task(cpu)?;
        self.report.clear();
        self.memory.allocator = Allocator::task(task, cpu);
        let key = self.callback_key(&callback).map_err(too_big)?;
        let memory = &self.memory;
        let args = [self.maps[callback.map as usize].handle, key, field.0].map(|region| memory.base(region));
        let state = &mut self.tasks[task as usize];
        state.begin(program);
        state.push(&mut self.memory, slot, 0, Then::Finish).map_err(too_big)?;
        if let Some(execution) = &mut state.execution {
            execution.registers[1..4].copy_from_slice(&args);
            execution.known |= 0b1110;
        }
        self.report.order(places::RCU, AccessKind::Observe);
        match callback.kind {
            CallbackKind::Timer => self.rcu.lock(task),
            CallbackKind::Work => self.rcu.lock_trace(task),
        }
        // What was done before the start is seen by the callback.
        let (region, offset) = field;
        self.report.accesses.push(Access { region, offset, size: FIELD_SIZE, kind: AccessKind::Atomic });
        if let Some(callback) = self.world.callbacks.all.get_mut(&field) {
            callback.pending = None;
            callback.running = Some(task);
        }
        let serial = self.world.callbacks.runs;
        self.world.callbacks.runs += 1;
        let running = Running { kind: callback.kind, field, attached: true, serial, awaited: 0 };
        self.world.callbacks.running.insert(task, running);
        Ok(Some(task))
    }

    /// Runs each callback that is pending now and due within a tenth of a second, to its end, one after the other; those
    /// that they start stay pending. For each its function's name, its CPU and how it ended; the last one may not have
    /// returned.
    ///
    /// # Errors
    /// [`SetupError::Memory`].
    pub fn run_callbacks(&mut self) -> Result<Vec<(String, u32, End)>, SetupError> {
        self.run_callbacks_by(Machine::run)
    }

    /// The same by somebody else's hand: `run` is given the machine and the task in which a callback was started, and runs it to its end.
    ///
    /// # Errors
    /// [`SetupError::Memory`].
    pub fn run_callbacks_by(
        &mut self,
        mut run: impl FnMut(&mut Machine, u32) -> End,
    ) -> Result<Vec<(String, u32, End)>, SetupError> {
        const SOON: u64 = 100_000_000;
        let mut ends = Vec::new();
        let pending = self.pending_callbacks();
        if pending.is_empty() {
            return Ok(ends);
        }
        let until = self.world.nanoseconds(0).saturating_add(SOON);
        for callback in pending.into_iter().filter(|callback| callback.due <= until) {
            let name = self.callback_name(callback.field).unwrap_or_default();
            let Some(task) = self.start_callback(callback.field)? else { continue };
            let end = run(self, task);
            let returned = matches!(end, End::Returned(_));
            ends.push((name, callback.cpu, end));
            if !returned {
                break;
            }
        }
        Ok(ends)
    }

    /// The name of the function that is the callback of a timer or work item; `None` if it has none.
    #[must_use]
    pub fn callback_name(&self, field: Field) -> Option<String> {
        let callback = self.world.callbacks.all.get(&field)?;
        let program = self.programs.get(callback.program? as usize)?;
        let slot = program.function_slot(callback.function)?;
        program.source().function_at(slot as usize).map(|function| function.name.clone())
    }

    /// An idle task for callbacks on that CPU.
    fn callback_task(&mut self, cpu: u32) -> Result<u32, SetupError> {
        match self.world.callbacks.idle.get_mut(&cpu).and_then(Vec::pop) {
            Some(task) => Ok(task),
            None => self.add_task(cpu),
        }
    }

    /// The region in which the callback sees the key of its value.
    fn callback_key(&mut self, callback: &Callback) -> Result<RegionId, Box<Trap>> {
        let (map, size) = (callback.map, callback.key.len() as u32);
        let region = self.memory.allocate(RegionKind::MapKey { map }, size, Contents::Zero, None)?;
        self.memory.poke(region, 0, &callback.key);
        self.memory.freeze(region);
        Ok(region)
    }

    /// Would returning from the innermost function end a callback?
    pub(super) fn ends_callback(&self, task: u32) -> bool {
        let execution = self.tasks.get(task as usize).and_then(|task| task.execution.as_ref());
        execution.is_some_and(|execution| execution.frames.len() <= 1) && self.world.callbacks.run_by(task).is_some()
    }

    /// Notes that the callback which a task ran has ended, if it ran one.
    pub(super) fn finish_callback(&mut self, task: u32) {
        if let Some(ended) = self.world.callbacks.run_by(task) {
            let cpu = self.cpu_of(task);
            let callbacks = &mut self.world.callbacks;
            callbacks.running.remove(&task);
            callbacks.idle.entry(cpu).or_default().push(task);
            if let Some(callback) = callbacks.all.get_mut(&ended.field).filter(|_| ended.attached) {
                callback.running = None;
            }
            let (region, offset) = ended.field;
            self.report.accesses.push(Access { region, offset, size: FIELD_SIZE, kind: AccessKind::Atomic });
        }
    }

    /// Stops the timers and work items in a value that is deleted or overwritten (`bpf_timer_cancel_and_free`).
    pub(super) fn cancel_callbacks_in(&mut self, region: RegionId) {
        if self.world.callbacks.all.is_empty() {
            return;
        }
        let fields: Vec<Field> =
            self.world.callbacks.all.range((region, 0)..=(region, u32::MAX)).map(|(&field, _)| field).collect();
        for field in fields {
            let callbacks = &mut self.world.callbacks;
            let running = callbacks.all.remove(&field).and_then(|callback| callback.running);
            if let Some(running) = running.and_then(|task| callbacks.running.get_mut(&task)) {
                running.attached = false;
                let serial = running.serial;
                if running.kind == CallbackKind::Timer {
                    callbacks.deleted.push((serial, field));
                }
            }
            let (region, offset) = field;
            self.report.accesses.push(Access { region, offset, size: FIELD_SIZE, kind: AccessKind::Atomic });
        }
    }
}
