//! Looking on while a simulation runs: what a watcher is told.

use crate::machine::Machine;

/// Somebody who looks on. Watching changes nothing of a run.
pub trait Watch {
    /// Is each instruction told? Where not, those that only their own task sees are executed faster.
    const WATCHES: bool = true;

    /// A program or callback has begun in that task of the machine; none of its instructions was executed.
    fn started(&mut self, machine: &Machine, task: u32);

    /// That task is about to execute an instruction. It may turn out that the call which it makes has to wait; then the same is told again.
    fn before(&mut self, machine: &Machine, task: u32);

    /// That task has executed an instruction, or waits with it; what it touched is in the machine's report. Not told where the run ended by it.
    fn after(&mut self, _machine: &Machine, _task: u32) {}

    /// Is a task's next instruction, which only the task itself sees, to be a step of its own?
    fn pauses(&self, _machine: &Machine, _task: u32) -> bool {
        false
    }

    /// Is what goes on to be broken off? The simulation is then in the middle of a step, and has to be reset.
    fn stops(&self) -> bool {
        false
    }
}

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Watch for Nobody {
    const WATCHES: bool = false;

    fn started(&mut self, _machine: &Machine, _task: u32) {}

    fn before(&mut self, _machine: &Machine, _task: u32) {}
}
