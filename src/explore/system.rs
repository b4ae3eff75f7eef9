//! What the explorer drives: something with actors that take steps, each of which says what it touched.
//!
//! The simulated machine under a scenario is one such system; the small systems of the explorer's own tests are others. Policies, reduction,
//! races, tokens and shrinking know nothing but this. Start at [`System`].

use crate::seeded::{self, Fault};
use std::fmt;

/// One that takes steps of its own: a program on a CPU, a CPU's store buffer, the end of grace periods, a timer.
///
/// The number is the same in every run of a system, whatever the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(pub u16);

/// A step that could be taken now: whose, and how it goes where it can go in several ways (an allocation fails or does not).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Choice {
    /// Who takes the step.
    pub actor: Actor,
    /// How it goes; 0 is the usual way.
    pub branch: u16,
}

/// How a step touched something, for two questions: do two steps commute, and does one happen before another?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TouchKind {
    /// Plain read.
    Read,
    /// Plain write.
    Write,
    /// A read that what it points to depends on (`rcu_dereference`): sees what was done before the write that it reads. Commutes with reads.
    Dereference,
    /// An atomic write or read-modify-write: ordered with all others at the place, acquires and releases.
    Atomic,
    /// Orders what comes after it behind every earlier `Release` or `Atomic` of the place; commutes with others of its kind.
    Acquire,
    /// Orders what came before it ahead of every later `Acquire` or `Atomic` of the place; commutes with others of its kind.
    Release,
    /// Depends on every `Change`, `Write` and `Atomic` of the place, orders nothing and races with nothing: is it alive, has a section begun?
    Observe,
    /// Conflicts with everything but its own kind, orders nothing and races with nothing: the end of a life, a free.
    Change,
    /// Takes what only one can hold; ordered as `Atomic`. While it is held, another's step that would take it is no choice.
    Lock,
    /// Gives back what `Lock` took; ordered as `Atomic`.
    Unlock,
}

impl TouchKind {
    /// Does the order of two touches of one place matter to what either does?
    #[must_use]
    pub fn conflicts(self, other: TouchKind) -> bool {
        use TouchKind::{Acquire, Change, Dereference, Observe, Read, Release};
        if seeded::active(Fault::ReadsNeverConflict) && self == Read {
            return false;
        }
        !matches!(
            (self, other),
            (Read | Dereference | Observe, Read | Dereference | Observe)
                | (Acquire | Observe, Acquire | Observe)
                | (Release | Observe, Release | Observe)
                | (Change, Change)
        )
    }

    /// Does it conflict with touches of every kind?
    #[must_use]
    pub fn is_exclusive(self) -> bool {
        matches!(self, TouchKind::Write | TouchKind::Atomic | TouchKind::Lock | TouchKind::Unlock)
    }

    /// Can it change what others see?
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self, TouchKind::Read | TouchKind::Dereference | TouchKind::Acquire | TouchKind::Observe)
    }

    /// Is it a plain access, which races with any unordered conflicting one?
    #[must_use]
    pub fn is_plain(self) -> bool {
        matches!(self, TouchKind::Read | TouchKind::Write)
    }
}

/// Bytes that a step touched. Places that are not memory (a lock, RCU, an allocator's list) have one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Touch {
    /// Which thing; the same number for the same thing in every run.
    pub place: u64,
    /// First byte.
    pub start: u32,
    /// Number of bytes, at least 1.
    pub size: u32,
    /// How.
    pub kind: TouchKind,
}

impl Touch {
    /// Do the two share a byte?
    #[must_use]
    pub fn overlaps(&self, other: &Touch) -> bool {
        self.place == other.place
            && self.start < other.start.saturating_add(other.size)
            && other.start < self.start.saturating_add(self.size)
    }

    /// Do steps with these touches fail to commute?
    #[must_use]
    pub fn conflicts(&self, other: &Touch) -> bool {
        self.overlaps(other) && self.kind.conflicts(other.kind)
    }
}

/// How far a step depends on what other actors did before it. Reduction must know what steps commute with before it takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stability {
    /// It is always possible, but for a [`TouchKind::Lock`] that another holds, and always touches the same. It may fail in some runs and not
    /// in others; of those that it ends, some that differ only in steps without bearing on the failure may then be left out.
    Fixed,
    /// It touches the same, but others can make it impossible for a time in ways of their own.
    Held,
    /// It may touch something else. Reduction takes it to conflict with every other step: right, and slow. Better to touch, as
    /// [`TouchKind::Atomic`], something that stands for all that it could touch, and be fixed.
    Varies,
}

/// A step that an actor has before it and cannot take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The step.
    pub choice: Choice,
    /// What it waits at: what a step that lets it go on, or that holds it up, touches in conflict with this.
    pub at: Touch,
    /// This is all that it would touch, and all that can hold it up.
    pub fixed: bool,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending<F> {
    /// What went wrong; empty if nothing did.
    pub findings: Vec<F>,
    /// What can be observed when all is over: the same text for the same observation. `None` if the run did not come to its end.
    pub outcome: Option<String>,
}

/// A system under exploration.
///
/// It is deterministic: after [`System::reset`] the same choices lead to the same touches, endings and bytes.
pub trait System {
    /// What can go wrong. Two findings with equal keys are the same bug.
    type Finding: Clone + fmt::Debug + Send;

    /// How many actors there are: their numbers are below it.
    fn actor_count(&self) -> usize;

    /// Back to the start.
    fn reset(&mut self);

    /// Keeps the present state, in the middle of a run, so that [`System::return_to_kept`] can come back to it; [`System::reset`] drops it.
    /// `false`: it is not kept.
    fn keep(&mut self) -> bool {
        false
    }

    /// Back to the state that [`System::keep`] kept last. Asked only if there is one.
    fn return_to_kept(&mut self) {}

    /// The steps that could be taken now, in ascending order; none when the run is over or stuck. Performing one actor's step may only
    /// take another actor's choices away, or give it new ones, if the two steps' touches conflict.
    fn choices(&self, into: &mut Vec<Choice>);

    /// The steps that actors have before them and cannot take now, each for what it waits at; one actor may wait at several places. Reduction
    /// relies on it: who waits for a lock must be here, or the run in which it comes first is not looked for. Asked when no choices are left,
    /// and after a step that failed.
    fn waiting(&self, _into: &mut Vec<Waiting>) {}

    /// Takes a step, of those that [`System::choices`] names. `Err` ends the run at once.
    fn perform(&mut self, choice: Choice) -> Result<(), Self::Finding>;

    /// What the last step touched.
    fn touches(&self) -> &[Touch];

    /// How far the last step would have been the same, had other actors done other things before it: the same actor with the same steps of its
    /// own behind it, which saw the same.
    fn stability(&self) -> Stability {
        Stability::Varies
    }

    /// The run's end: judged when no choices are left, or after `perform` has failed.
    fn ending(&mut self) -> Ending<Self::Finding>;

    /// The finding for two plain accesses that nothing orders: each the number of its step in this run, from 0, and its touch.
    fn race(&self, first: (usize, Touch), second: (usize, Touch)) -> Option<Self::Finding>;

    /// By what two findings are the same bug: kind and places, not the schedule.
    fn key(finding: &Self::Finding) -> String;

    /// A digest of everything that the future depends on; `None` if states are not told apart.
    fn fingerprint(&self) -> Option<u128>;

    /// What an actor is called.
    fn actor_name(&self, actor: Actor) -> String;
}
