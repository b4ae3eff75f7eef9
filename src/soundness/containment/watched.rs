//! A simulation with a follower beside it, as a system that schedules are made for.

use super::follow::{Follower, Violation};
use super::tolerated::{KernelGap, kernel_gap};
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
    /// Does a run go on where a known gap of the kernel let its state out?
    passes_gaps: bool,
    outside: bool,
    passed: Option<Passed>,
}

/// A known gap of the kernel that a run went through.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Which.
    pub gap: &'static KernelGap,
    /// The state that it let out.
    pub violation: Box<Violation>,
}

impl Watched {
    /// Follows a simulation. If it passes gaps, a run goes on, without being followed, where a known gap of the kernel let its state out;
    /// otherwise it ends there, as it does wherever its state is in none of the verifier's.
    #[must_use]
    pub fn new(simulation: Simulation, follower: Follower, passes_gaps: bool) -> Watched {
        Watched { simulation, follower, passes_gaps, outside: false, passed: None }
    }

    /// The gap that this run went through.
    #[must_use]
    pub fn passed(&self) -> Option<&Passed> {
        self.passed.as_ref()
    }

    /// The known gap that let a state out.
    fn gap(&self, violation: &Violation) -> Option<&'static KernelGap> {
        let program = self.simulation.machine().programs().get(violation.at.place.program as usize)?;
        kernel_gap(violation, program.source())
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
        self.passed = None;
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
            let Some(gap) = self.gap(&violation).filter(|_| self.passes_gaps) else {
                self.outside = true;
                return Err(Found::Outside(violation));
            };
            self.follower.rest();
            self.passed = Some(Passed { gap, violation });
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
