//! What a step touched, as searches compare it.

use super::Simulation;
use crate::explore::system::{Touch, TouchKind};
use crate::machine::AccessKind;

/// The state as a whole, as a place: what must always hold looks at it. No region has this number.
const JUDGED: u64 = u64::MAX;

impl Simulation {
    /// Adds what the machine reports of its last step.
    pub(super) fn take_touches(&mut self) {
        let report = self.machine.report();
        let memory = self.machine.memory();
        for access in &report.accesses {
            if memory.is_private(access.region) {
                continue;
            }
            let kind = match access.kind {
                AccessKind::Read if access.size == 8 && self.machine.is_kptr(access.region, access.offset) => {
                    TouchKind::Dereference
                }
                kind => touch_kind(kind),
            };
            let place = memory.region(access.region).place;
            self.touches.push(Touch { place, start: access.offset, size: access.size.max(1), kind });
        }
        for order in &report.orders {
            self.touches.push(Touch { place: order.place, start: 0, size: 1, kind: touch_kind(order.kind) });
        }
        let changes = |touch: &Touch| touch.kind.writes() && touch.kind != TouchKind::Release;
        if self.start.has_always && self.touches.iter().any(changes) {
            // What must always hold is judged between any two steps that change something: their order matters, and orders nothing else.
            let kinds = [TouchKind::Observe, TouchKind::Change];
            self.touches.extend(kinds.map(|kind| Touch { place: JUDGED, start: 0, size: 1, kind }));
        }
    }
}

fn touch_kind(kind: AccessKind) -> TouchKind {
    match kind {
        AccessKind::Read => TouchKind::Read,
        AccessKind::Write => TouchKind::Write,
        AccessKind::Atomic => TouchKind::Atomic,
        AccessKind::Dereference => TouchKind::Dereference,
        AccessKind::Acquire => TouchKind::Acquire,
        AccessKind::Release => TouchKind::Release,
        AccessKind::Lock => TouchKind::Lock,
        AccessKind::Unlock => TouchKind::Unlock,
        AccessKind::Observe => TouchKind::Observe,
        AccessKind::Change => TouchKind::Change,
    }
}

/// What an access was that races, in the words of the machine.
pub(super) fn plain_kind(kind: TouchKind) -> AccessKind {
    match kind {
        TouchKind::Write => AccessKind::Write,
        TouchKind::Dereference => AccessKind::Dereference,
        TouchKind::Atomic => AccessKind::Atomic,
        _ => AccessKind::Read,
    }
}
