//! A simulation with a follower beside it, as a system that schedules are made for.

use super::follow::{Follower, Violation};
use crate::explore::finding::Finding;
use crate::explore::simulation::Simulation;
use crate::explore::system::{Actor, Choice, Ending, Stability, System, Touch, Waiting};

/// What can be found.
#[derive(Clone, Debug)]
pub enum Found {
    /// A concrete state that is in no abstract one.
    Outside(Box<Violation>),
    /// What the run came to.
    Run(Finding),
}

impl Found {
    /// By what two findings are the same.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Found::Outside(violation) => {
                format!("not-contained {}:{}", violation.at.place.program, violation.at.place.insn)
            }
            Found::Run(finding) => finding.key(),
        }
    }
}

/// A simulation that is followed.
#[derive(Debug)]
pub struct Watched {
    /// What runs.
    pub simulation: Simulation,
    /// Who looks on.
    pub follower: Follower,
    outside: bool,
}

impl Watched {
    /// Follows a simulation.
    #[must_use]
    pub fn new(simulation: Simulation, follower: Follower) -> Watched {
        Watched { simulation, follower, outside: false }
    }
}

impl System for Watched {
    type Finding = Found;

    fn actor_count(&self) -> usize {
        self.simulation.actor_count()
    }

    fn reset(&mut self) {
        self.simulation.reset();
        self.follower.reset();
        self.outside = false;
    }

    fn choices(&self, into: &mut Vec<Choice>) {
        if !self.outside {
            self.simulation.choices(into);
        }
    }

    fn waiting(&self, into: &mut Vec<Waiting>) {
        self.simulation.waiting(into);
    }

    fn perform(&mut self, choice: Choice) -> Result<(), Found> {
        let done = self.simulation.perform_watched(choice, &mut self.follower);
        if let Some(violation) = self.follower.take_violation() {
            self.outside = true;
            return Err(Found::Outside(violation));
        }
        done.map_err(Found::Run)
    }

    fn touches(&self) -> &[Touch] {
        self.simulation.touches()
    }

    fn stability(&self) -> Stability {
        self.simulation.stability()
    }

    fn ending(&mut self) -> Ending<Found> {
        if self.outside {
            return Ending { findings: Vec::new(), outcome: None };
        }
        let Ending { findings, outcome } = self.simulation.ending();
        Ending { findings: findings.into_iter().map(Found::Run).collect(), outcome }
    }

    fn race(&self, first: (usize, Touch), second: (usize, Touch)) -> Option<Found> {
        self.simulation.race(first, second).map(Found::Run)
    }

    fn key(finding: &Found) -> String {
        finding.key()
    }

    fn fingerprint(&self) -> Option<u128> {
        None
    }

    fn actor_name(&self, actor: Actor) -> String {
        self.simulation.actor_name(actor)
    }
}
