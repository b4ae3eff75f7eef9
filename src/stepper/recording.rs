//! What a task looked like before each instruction of a step: registers, frames, stack.
//!
//! A step of the explorer is one instruction that others can see and all that follows up to the next such. What follows only its own task can
//! see, so that each CPU can be shown at any instruction of its last step, whatever the others have done since.

use std::cell::Cell;

use crate::explore::watch::Watch;
use crate::machine::{Access, Machine, Place};

use super::interrupt::Interrupt;

/// Instructions of one step that are kept; of what comes later only those at which it would stop.
pub const MAX_RECORDED: usize = 4096;

/// Bytes of a stack slot.
const SLOT: u32 = 8;

/// Eight bytes of a stack of which something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackSlot {
    /// Offset from the frame pointer, negative.
    pub offset: i32,
    /// The bytes.
    pub bytes: [u8; SLOT as usize],
    /// Bit N: byte N was written.
    pub written: u8,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameState {
    /// What is in its registers, `r0` to `r10`; of calling frames only `r6` to `r10` are known.
    pub registers: [Option<u64>; 11],
    /// Its stack, highest address first.
    pub stack: Vec<StackSlot>,
}

/// A task before an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// The instruction.
    pub place: Place,
    /// Calls, the program's entry first; never empty.
    pub frames: Vec<FrameState>,
    /// How deep it is in plain RCU sections.
    pub rcu: u32,
    /// Is it in an RCU-tasks-trace section?
    pub trace: bool,
}

impl TaskState {
    /// A task as it is now; `None` if it runs nothing.
    #[must_use]
    pub fn of(machine: &Machine, task: u32) -> Option<TaskState> {
        let running = machine.running(task)?;
        let depth = running.depth();
        let frames = (0..=depth).map(|frame| {
            let register = |number| match frame == depth {
                true => running.register(number),
                false => running.saved_register(frame, number),
            };
            let stack = running.stack(frame).map_or_else(Vec::new, |region| {
                let bytes = machine.memory().peek(region);
                let size = bytes.len() as u32;
                let slots = (0..size / SLOT).rev().filter_map(|slot| {
                    let start = slot * SLOT;
                    let written = (0..SLOT)
                        .filter(|&byte| machine.memory().is_written(region, start + byte))
                        .fold(0, |all, byte| all | 1 << byte);
                    let bytes = bytes.get(start as usize..)?.first_chunk().copied()?;
                    (written != 0).then_some(StackSlot { offset: start as i32 - size as i32, bytes, written })
                });
                slots.collect()
            });
            FrameState { registers: std::array::from_fn(register), stack }
        });
        let reader = machine.rcu().reader(task);
        Some(TaskState {
            place: Place { program: running.program_index(), insn: running.insn() },
            frames: frames.collect(),
            rcu: reader.depth(),
            trace: reader.in_trace(),
        })
    }

    /// The innermost call.
    #[must_use]
    pub fn innermost(&self) -> Option<&FrameState> {
        self.frames.last()
    }

    /// A register of the innermost call.
    #[must_use]
    pub fn register(&self, number: usize) -> Option<u64> {
        self.innermost()?.registers.get(number).copied().flatten()
    }
}

/// Keeps a task's states while a step is performed, and what its first instruction touched.
pub struct Recorder<'s> {
    /// What the first instruction touched, once another one was executed.
    pub touched: Option<Vec<Access>>,
    /// Are states kept?
    keeps: bool,
    /// Instructions so far.
    count: u64,
    /// The states, one before each instruction.
    pub states: Vec<TaskState>,
    /// Instructions that were not kept.
    pub left_out: u64,
    /// Did the step begin with the start of a program or callback, so that nothing was executed before the first state?
    pub started: bool,
    /// At which instructions would it stop?
    stops: &'s dyn Fn(Place) -> bool,
    interrupt: Option<&'s Interrupt>,
    /// Was what goes on broken off?
    broken_off: Cell<bool>,
}

impl<'s> Recorder<'s> {
    /// Nothing seen yet. States are kept or not; those past [`MAX_RECORDED`] where `stops` says so.
    #[must_use]
    pub fn new(keeps: bool, stops: &'s dyn Fn(Place) -> bool) -> Recorder<'s> {
        Recorder {
            touched: None,
            keeps,
            count: 0,
            states: Vec::new(),
            left_out: 0,
            started: false,
            stops,
            interrupt: None,
            broken_off: Cell::new(false),
        }
    }

    /// What goes on is broken off when that is asked.
    #[must_use]
    pub fn until(self, interrupt: &'s Interrupt) -> Recorder<'s> {
        Recorder { interrupt: Some(interrupt), ..self }
    }

    /// Was what went on broken off? The simulation has to be reset then.
    #[must_use]
    pub fn is_broken_off(&self) -> bool {
        self.broken_off.get()
    }
}

impl Watch for Recorder<'_> {
    fn started(&mut self, _machine: &Machine, _task: u32) {
        self.started = true;
    }

    fn before(&mut self, machine: &Machine, task: u32) {
        if self.count == 1 {
            self.touched = Some(machine.report().accesses.clone());
        }
        self.count += 1;
        if !self.keeps {
            return;
        }
        let full = self.states.len() >= MAX_RECORDED;
        let wanted = !full || (self.states.len() < 2 * MAX_RECORDED && (self.stops)(machine.moment(task).place));
        match wanted.then(|| TaskState::of(machine, task)).flatten() {
            Some(state) => self.states.push(state),
            None => self.left_out += 1,
        }
    }
    fn stops(&self) -> bool {
        let stops = self.interrupt.is_some_and(Interrupt::is_asked);
        self.broken_off.set(self.broken_off.get() || stops);
        stops
    }
}
