//! A state in the middle of a run, to come back to: runs that share a long beginning need not repeat all of it.

use super::{CallbackActor, Progress, Simulation};
use crate::machine::Machine;

/// Bytes of simulated memory past which keeping a copy costs more than it gives.
const MAX_MEMORY: usize = 1 << 20;

/// A state that was kept.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    machine: Machine,
    progress: Vec<Progress>,
    returns: Vec<i32>,
    steps: usize,
    starts: usize,
    callbacks: Vec<CallbackActor>,
    begun: usize,
    others_done: bool,
}

impl Simulation {
    /// Keeps the present state; `false` if it is too large or the run is over.
    pub(super) fn keep_checkpoint(&mut self) -> bool {
        if self.failed.is_some() || self.machine.memory().size() > MAX_MEMORY {
            return false;
        }
        self.machine.track_from_here();
        self.checkpoint = Some(Box::new(Checkpoint {
            machine: self.machine.clone(),
            progress: self.progress.clone(),
            returns: self.returns.clone(),
            steps: self.steps.len(),
            starts: self.starts.len(),
            callbacks: self.callbacks.clone(),
            begun: self.begun,
            others_done: self.others_done,
        }));
        true
    }

    /// Goes back to the state that was kept.
    pub(super) fn return_to_checkpoint(&mut self) {
        let Some(kept) = &self.checkpoint else { return };
        self.machine.restore(&kept.machine);
        self.progress.clone_from(&kept.progress);
        self.returns.clone_from(&kept.returns);
        self.touches.clear();
        self.steps.truncate(kept.steps);
        self.starts.truncate(kept.starts);
        self.failed = None;
        self.callbacks.clone_from(&kept.callbacks);
        self.begun = kept.begun;
        self.others_done = kept.others_done;
        self.look_ahead_of_all();
    }

    /// Brings the machine back to the scenario's start.
    pub(super) fn restart_machine(&mut self) {
        if self.checkpoint.take().is_some() {
            // Changes were noted since the checkpoint only.
            self.machine = self.start.machine.clone();
            self.machine.track_from_here();
        } else {
            self.machine.restore(&self.start.machine);
        }
    }
}
