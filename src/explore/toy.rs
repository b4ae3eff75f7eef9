//! Small systems to try the explorer on: actors that run a few instructions over shared variables and locks.
//!
//! Fast enough to measure the explorer itself, and rich enough to hold all that reduction must get right: conflicts, locks, waiting, branches,
//! steps whose touches depend on what others wrote, and steps that end the run.

use std::fmt::Write;
use std::sync::Arc;

use super::causality::Mixer;
use super::system::{Actor, Choice, Ending, Stability, System, Touch, TouchKind, Waiting};

/// An instruction. Variables and locks are numbered; a number that does not exist names nothing, and the instruction does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Plain read into the actor's register.
    Read(u8),
    /// Plain write of a value.
    Write(u8, u8),
    /// Plain write of the register.
    Store(u8),
    /// Atomic addition.
    Add(u8, u8),
    /// Atomic exchange: the register receives what was there.
    Swap(u8, u8),
    /// Read that acquires.
    Acquire(u8),
    /// Write that releases.
    Release(u8, u8),
    /// Read whose dependants see what the writer did before.
    Dereference(u8),
    /// Takes a lock; no choice while another holds it.
    Lock(u8),
    /// Gives a lock back.
    Unlock(u8),
    /// Goes on only when a variable has a value.
    Await(u8, u8),
    /// So many ways to go on; the register receives which.
    Choose(u8),
    /// Skips the next instruction unless the register has this value.
    SkipUnless(u8),
    /// Ends the run, as a bug, if a variable has a value.
    Fail(u8, u8),
    /// Writes a variable that another one chooses.
    Scatter(u8),
}

/// What can go wrong in a toy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToyFinding {
    /// [`Op::Fail`] of an actor.
    Failed {
        /// Whose.
        actor: u16,
        /// Which of its instructions.
        at: usize,
    },
    /// Two plain accesses without order.
    Race {
        /// The variable.
        place: u64,
    },
    /// All who are left wait.
    Deadlock,
}

const LOCKS: u64 = 1 << 16;

/// A toy: programs, and the state they share.
#[derive(Clone, Debug)]
pub struct Toy {
    programs: Arc<[Vec<Op>]>,
    variables: Vec<u8>,
    holders: Vec<Option<u16>>,
    actors: Vec<State>,
    touches: Vec<Touch>,
    stability: Stability,
    fixed_failures: bool,
    /// Variables, holders and actors that were kept.
    kept: (Vec<u8>, Vec<Option<u16>>, Vec<State>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    at: usize,
    register: u8,
}

impl Toy {
    /// One actor for each program, over so many variables, all 0, and locks, all free.
    #[must_use]
    pub fn new(programs: Vec<Vec<Op>>, variables: usize, locks: usize) -> Toy {
        Toy {
            actors: vec![State::default(); programs.len()],
            programs: programs.into(),
            variables: vec![0; variables],
            holders: vec![None; locks],
            touches: Vec::new(),
            stability: Stability::Fixed,
            fixed_failures: false,
            kept: Default::default(),
        }
    }

    /// The same, with [`Op::Fail`] said to touch the same wherever it comes.
    #[must_use]
    pub fn with_fixed_failures(mut self) -> Toy {
        self.fixed_failures = true;
        self
    }

    /// What each actor runs.
    #[must_use]
    pub fn programs(&self) -> &[Vec<Op>] {
        &self.programs
    }

    /// So many actors that race for one variable with so many steps each.
    #[must_use]
    pub fn race(actors: usize, steps: usize) -> Toy {
        let program = |actor: usize| (0..steps).map(|step| Op::Swap(0, (actor * steps + step + 1) as u8)).collect();
        Toy::new((0..actors).map(program).collect(), 1, 0)
    }

    fn op(&self, actor: usize) -> Option<Op> {
        self.programs.get(actor)?.get(self.actors.get(actor)?.at).copied()
    }

    fn get(&self, variable: u8) -> u8 {
        self.variables.get(usize::from(variable)).copied().unwrap_or_default()
    }

    fn set(&mut self, variable: u8, value: u8) {
        if let Some(slot) = self.variables.get_mut(usize::from(variable)) {
            *slot = value;
        }
    }

    fn touch(&mut self, variable: u8, kind: TouchKind) {
        self.touches.push(Touch { place: u64::from(variable), start: 0, size: 1, kind });
    }

    /// Where an actor waits, if it cannot go on.
    fn waits(&self, op: Op) -> Option<Touch> {
        match op {
            Op::Lock(lock) => {
                self.holders.get(usize::from(lock)).copied().flatten()?;
                Some(Touch { place: LOCKS + u64::from(lock), start: 0, size: 1, kind: TouchKind::Lock })
            }
            Op::Await(variable, value) if self.get(variable) != value => {
                Some(Touch { place: u64::from(variable), start: 0, size: 1, kind: TouchKind::Acquire })
            }
            _ => None,
        }
    }

    /// Takes the instruction; true if it is a failure.
    fn execute(&mut self, actor: usize, op: Op, branch: u16) -> bool {
        let mut register = self.actors[actor].register;
        let mut skip = 0;
        match op {
            Op::Read(variable) => {
                self.touch(variable, TouchKind::Read);
                register = self.get(variable);
            }
            Op::Acquire(variable) | Op::Await(variable, _) => {
                if matches!(op, Op::Await(..)) {
                    self.stability = Stability::Held;
                }
                self.touch(variable, TouchKind::Acquire);
                register = self.get(variable);
            }
            Op::Dereference(variable) => {
                self.touch(variable, TouchKind::Dereference);
                register = self.get(variable);
            }
            Op::Write(variable, value) => {
                self.touch(variable, TouchKind::Write);
                self.set(variable, value);
            }
            Op::Store(variable) => {
                self.touch(variable, TouchKind::Write);
                self.set(variable, register);
            }
            Op::Release(variable, value) => {
                self.touch(variable, TouchKind::Atomic);
                self.set(variable, value);
            }
            Op::Add(variable, value) => {
                self.touch(variable, TouchKind::Atomic);
                self.set(variable, self.get(variable).wrapping_add(value));
            }
            Op::Swap(variable, value) => {
                self.touch(variable, TouchKind::Atomic);
                register = self.get(variable);
                self.set(variable, value);
            }
            Op::Lock(lock) | Op::Unlock(lock) => self.hold(actor, lock, matches!(op, Op::Lock(_))),
            Op::Choose(_) => register = branch as u8,
            Op::SkipUnless(value) => skip = usize::from(register != value),
            Op::Fail(variable, value) => {
                self.touch(variable, TouchKind::Acquire);
                if !self.fixed_failures {
                    self.stability = Stability::Varies;
                }
                if self.get(variable) == value {
                    return true;
                }
            }
            Op::Scatter(variable) => {
                self.stability = Stability::Varies;
                self.touch(variable, TouchKind::Acquire);
                let count = self.variables.len().max(1);
                let target = (usize::from(variable) + 1 + usize::from(self.get(variable))) % count;
                self.touch(target as u8, TouchKind::Atomic);
                self.set(target as u8, self.get(target as u8).wrapping_add(1));
            }
        }
        let state = &mut self.actors[actor];
        state.register = register;
        state.at += 1 + skip;
        false
    }

    fn hold(&mut self, actor: usize, lock: u8, take: bool) {
        let Some(holder) = self.holders.get_mut(usize::from(lock)) else { return };
        if !take && *holder != Some(actor as u16) {
            return;
        }
        *holder = take.then_some(actor as u16);
        let kind = if take { TouchKind::Lock } else { TouchKind::Unlock };
        self.touches.push(Touch { place: LOCKS + u64::from(lock), start: 0, size: 1, kind });
    }
}

impl System for Toy {
    type Finding = ToyFinding;

    fn actor_count(&self) -> usize {
        self.actors.len()
    }

    fn reset(&mut self) {
        self.variables.fill(0);
        self.holders.fill(None);
        self.actors.fill(State::default());
    }

    fn keep(&mut self) -> bool {
        self.kept.0.clone_from(&self.variables);
        self.kept.1.clone_from(&self.holders);
        self.kept.2.clone_from(&self.actors);
        true
    }

    fn return_to_kept(&mut self) {
        self.variables.clone_from(&self.kept.0);
        self.holders.clone_from(&self.kept.1);
        self.actors.clone_from(&self.kept.2);
    }

    fn choices(&self, into: &mut Vec<Choice>) {
        for actor in 0..self.actors.len() {
            let Some(op) = self.op(actor) else { continue };
            let branches = if let Op::Choose(ways) = op { u16::from(ways.max(1)) } else { 1 };
            if self.waits(op).is_none() {
                into.extend((0..branches).map(|branch| Choice { actor: Actor(actor as u16), branch }));
            }
        }
    }

    fn waiting(&self, into: &mut Vec<Waiting>) {
        for actor in 0..self.actors.len() {
            if let Some(at) = self.op(actor).and_then(|op| self.waits(op)) {
                into.push(Waiting {
                    choice: Choice { actor: Actor(actor as u16), branch: 0 },
                    at,
                    fixed: at.kind == TouchKind::Lock,
                });
            }
        }
    }

    fn perform(&mut self, choice: Choice) -> Result<(), ToyFinding> {
        self.touches.clear();
        self.stability = Stability::Fixed;
        let actor = usize::from(choice.actor.0);
        match self.op(actor) {
            Some(op) if self.execute(actor, op, choice.branch) => {
                Err(ToyFinding::Failed { actor: choice.actor.0, at: self.actors[actor].at })
            }
            _ => Ok(()),
        }
    }

    fn touches(&self) -> &[Touch] {
        &self.touches
    }

    fn stability(&self) -> Stability {
        self.stability
    }

    fn ending(&mut self) -> Ending<ToyFinding> {
        if (0..self.actors.len()).any(|actor| self.op(actor).is_some()) {
            return Ending { findings: vec![ToyFinding::Deadlock], outcome: None };
        }
        let mut outcome = String::with_capacity(2 * (self.variables.len() + self.actors.len()) + 1);
        let hex = |nibble: u8| char::from_digit(u32::from(nibble & 15), 16).unwrap_or_default();
        for value in self.variables.iter().copied().chain(self.actors.iter().map(|state| state.register)) {
            outcome.push(hex(value >> 4));
            outcome.push(hex(value));
        }
        Ending { findings: Vec::new(), outcome: Some(outcome) }
    }

    fn race(&self, first: (usize, Touch), _second: (usize, Touch)) -> Option<ToyFinding> {
        Some(ToyFinding::Race { place: first.1.place })
    }

    fn key(finding: &ToyFinding) -> String {
        let mut key = String::new();
        // Writing to a string does not fail.
        let _ = match finding {
            ToyFinding::Failed { actor, at } => write!(key, "failed {actor} {at}"),
            ToyFinding::Race { place } => write!(key, "race {place}"),
            ToyFinding::Deadlock => write!(key, "deadlock"),
        };
        key
    }

    fn fingerprint(&self) -> Option<u128> {
        let mut hash = Mixer::default();
        for state in &self.actors {
            hash.add((state.at as u64) << 8 | u64::from(state.register));
        }
        self.variables.iter().for_each(|value| hash.add(u64::from(*value)));
        self.holders.iter().for_each(|holder| hash.add(holder.map_or(u64::MAX, u64::from)));
        Some(hash.finish())
    }

    fn actor_name(&self, actor: Actor) -> String {
        format!("actor {}", actor.0)
    }
}

impl Toy {
    /// Two actors of whom one publishes, takes back and publishes again, and the other fails if it looks once after each: three switches in
    /// order, in the middle of steps that have nothing to do with it.
    #[must_use]
    pub fn republish() -> Toy {
        let publisher = [
            Op::Add(3, 1),
            Op::Swap(0, 1),
            Op::Add(3, 1),
            Op::Swap(0, 2),
            Op::Add(3, 1),
            Op::Swap(0, 1),
            Op::Add(3, 1),
        ];
        let look = |seen| [Op::Add(4, 1), Op::Acquire(0), Op::SkipUnless(seen), Op::Add(2, 1)];
        let reader = [look(1), look(2), look(1)].concat();
        Toy::new(vec![publisher.to_vec(), [reader, vec![Op::Fail(2, 3)]].concat()], 5, 0).with_fixed_failures()
    }
}
