//! What a schedule can show to be wrong.

use crate::machine::{AccessKind, End, FaultKind, Field, Leak, Moment, Place, RegionId};

/// One of two accesses that race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RacingAccess {
    /// Where and when.
    pub at: Moment,
    /// How.
    pub kind: AccessKind,
}

/// What went wrong.
#[derive(Clone, Debug)]
pub enum Finding {
    /// A program could not go on: a fault, something that is not modelled, or a limit.
    Ended(End),
    /// A program ended and still held a reference.
    Leak(Leak),
    /// The pointer in a kptr field was overwritten by a plain store: what it led to is lost.
    Overwritten {
        /// What is lost.
        region: RegionId,
        /// The field.
        field: Field,
        /// Where its reference was acquired.
        acquired: Moment,
    },
    /// Two accesses to the same bytes, one of them a write, that nothing orders.
    Race {
        /// The one that came first in this schedule.
        first: RacingAccess,
        /// The other.
        second: RacingAccess,
        /// What they touched.
        region: RegionId,
        /// The first byte that the second touched, from the region's start.
        offset: u32,
    },
    /// Something that the scenario demands does not hold.
    Broken {
        /// The expression.
        condition: String,
        /// Must it hold always, or only at the end?
        always: bool,
        /// The step after which it did not; `None` at the end.
        at: Option<Moment>,
        /// Why it could not be evaluated, if that is how it failed.
        error: Option<String>,
    },
    /// Nobody can go on, and these wait.
    Deadlock(Vec<Moment>),
}

impl Finding {
    /// Kinds that are no faults of the machine's.
    const KINDS: [&'static str; 4] = ["leak", "overwritten-reference", "data-race", "broken-condition"];

    /// All kinds that a scenario can allow.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        Finding::KINDS.into_iter().chain(FaultKind::NAMES)
    }

    /// A short fixed name, as a scenario's `allow` has it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Finding::Ended(End::Fault(fault)) => fault.kind.name(),
            Finding::Ended(End::Unsupported(_)) => "unsupported",
            Finding::Ended(End::Limit(..)) => "limit",
            Finding::Ended(End::Returned(_)) => "returned",
            Finding::Leak(_) => "leak",
            Finding::Overwritten { .. } => "overwritten-reference",
            Finding::Race { .. } => "data-race",
            Finding::Broken { .. } => "broken-condition",
            Finding::Deadlock(_) => "deadlock",
        }
    }

    /// Is it for want of a model or beyond a limit, and says nothing about the programs?
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self, Finding::Ended(End::Unsupported(_) | End::Limit(..)))
    }

    /// By what two findings are the same: kind and places.
    #[must_use]
    pub fn key(&self) -> String {
        let place = |place: Place| format!("{}:{}", place.program, place.insn);
        let places = match self {
            Finding::Ended(End::Fault(fault)) => place(fault.at.place),
            Finding::Ended(End::Unsupported(what)) => place(what.at.place),
            Finding::Ended(End::Limit(_, at)) => place(at.place),
            Finding::Ended(End::Returned(_)) => String::new(),
            Finding::Leak(leak) => place(leak.acquired.place),
            Finding::Overwritten { acquired, .. } => place(acquired.place),
            Finding::Race { first, second, .. } => {
                let mut both = [first.at.place, second.at.place];
                both.sort_unstable();
                both.map(place).join(" ")
            }
            Finding::Broken { condition, .. } => condition.clone(),
            Finding::Deadlock(waiting) => {
                let mut all: Vec<_> = waiting.iter().map(|at| at.place).collect();
                all.sort_unstable();
                all.into_iter().map(place).collect::<Vec<_>>().join(" ")
            }
        };
        format!("{} {places}", self.kind())
    }
}
