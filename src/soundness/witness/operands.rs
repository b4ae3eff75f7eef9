//! What a run executes of the rejected program, and by how much the operands of its comparisons differ.
//!
//! Two runs whose inputs differ in one number tell which comparisons that number comes to, and how: so the number can be
//! found at which a comparison turns ([`turning_points`]). That is the input-to-state correspondence of REDQUEEN (Aschermann
//! et al., NDSS 2019), with the distance in the place of the value, as in Angora (Chen and Chen, S&P 2018).

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::explore::watch::Watch;
use crate::isa::{Insn, Operand, Register, Width};
use crate::machine::{Machine, Running};
use crate::object::Program;

/// Comparisons of one run that are kept, and of one instruction.
const MAX_COMPARISONS: usize = 1024;
const MAX_OF_ONE: u32 = 8;

/// A conditional jump's operands.
#[derive(Clone, Copy, Debug)]
struct Compares {
    width: Width,
    left: Register,
    right: Operand,
}

/// The conditional jumps of a program, by slot.
#[derive(Clone, Debug)]
pub(super) struct Jumps(Arc<[Option<Compares>]>);

impl Jumps {
    /// Those of a program.
    pub fn of(program: &Program) -> Jumps {
        let jump = |slot| match program.instruction_at(slot)? {
            Insn::JumpIf { width, dst, src, .. } => Some(Compares { width, left: dst, right: src }),
            _ => None,
        };
        Jumps((0..program.insns.len()).map(jump).collect())
    }
}

/// A comparison that was made: where, and how much larger its left side was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    slot: u32,
    difference: i64,
}

/// Looks on what a run executes of one program.
#[derive(Debug)]
pub(super) struct Executed {
    /// The program's number in the machine.
    pub program: u32,
    /// By slot: was it executed?
    pub slots: Vec<bool>,
    /// Pairs of instructions that one task executed one after the other.
    pub steps: BTreeSet<(u32, u32)>,
    /// The first comparisons, in order.
    pub comparisons: Vec<Comparison>,
    jumps: Jumps,
    /// The instruction before, of each task.
    last: FxHashMap<u32, u32>,
    /// How often each instruction compared.
    counts: FxHashMap<u32, u32>,
}

impl Executed {
    /// Nothing yet of the program with that number in the machine, and these jumps.
    pub fn of(program: u32, jumps: &Jumps) -> Executed {
        Executed {
            program,
            slots: vec![false; jumps.0.len()],
            steps: BTreeSet::new(),
            comparisons: Vec::new(),
            jumps: jumps.clone(),
            last: FxHashMap::default(),
            counts: FxHashMap::default(),
        }
    }

    fn compare(&mut self, running: &Running<'_>, slot: u32) {
        let Some(Some(jump)) = self.jumps.0.get(slot as usize).copied() else { return };
        let count = self.counts.entry(slot).or_default();
        *count += 1;
        if *count > MAX_OF_ONE || self.comparisons.len() >= MAX_COMPARISONS {
            return;
        }
        let right = match jump.right {
            Operand::Register(register) => running.register(register.index()),
            Operand::Immediate(number) => Some(i64::from(number) as u64),
        };
        let (Some(left), Some(right)) = (running.register(jump.left.index()), right) else { return };
        let difference = left.wrapping_sub(right);
        let difference = match jump.width {
            Width::W32 => i64::from(difference as u32 as i32),
            Width::W64 => difference as i64,
        };
        self.comparisons.push(Comparison { slot, difference });
    }
}

impl Watch for Executed {
    fn started(&mut self, _machine: &Machine, task: u32) {
        self.last.remove(&task);
    }

    fn before(&mut self, machine: &Machine, task: u32) {
        let place = machine.moment(task).place;
        if place.program != self.program {
            return;
        }
        let Some(slot) = self.slots.get_mut(place.insn as usize) else { return };
        *slot = true;
        if let Some(last) = self.last.insert(task, place.insn)
            && last != place.insn
        {
            self.steps.insert((last, place.insn));
        }
        if let Some(running) = machine.running(task) {
            self.compare(&running, place.insn);
        }
    }
}

/// By how much a number is to be changed so that a comparison turns, if changing it by `moved` made of the first run's
/// comparisons those of the second: to where both sides are the same, and to either side of that.
pub(super) fn turning_points(first: &[Comparison], second: &[Comparison], moved: i64) -> BTreeSet<i64> {
    let mut points = BTreeSet::new();
    for (one, other) in first.iter().zip(second).take_while(|(one, other)| one.slot == other.slot) {
        let slope = i128::from(other.difference.wrapping_sub(one.difference));
        if slope == 0 {
            continue;
        }
        for side in [0, 1, -1] {
            let by = (side - i128::from(one.difference)) * i128::from(moved) / slope;
            points.extend(i64::try_from(by).ok().filter(|by| *by != 0));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(slot: u32, difference: i64) -> Comparison {
        Comparison { slot, difference }
    }

    #[test]
    fn a_number_is_brought_to_where_a_comparison_turns() {
        // `4 * n - 100`, at n = 0 and n = 1: it turns at 25.
        let points = turning_points(&[at(3, -100)], &[at(3, -96)], 1);
        assert_eq!(points.into_iter().collect::<Vec<_>>(), [24, 25]);
        // `n / 16 - 8`, which one more does not change and 32 more do.
        assert_eq!(turning_points(&[at(3, -8)], &[at(3, -8)], 1), BTreeSet::new());
        assert!(turning_points(&[at(3, -8)], &[at(3, -6)], 32).contains(&128));
        // What falls when the number grows, and a wrapped difference.
        assert!(turning_points(&[at(3, 7)], &[at(3, 6)], 1).contains(&7));
        assert!(turning_points(&[at(3, i64::MAX)], &[at(3, i64::MIN)], 1).iter().all(|by| *by < 0));
    }

    #[test]
    fn only_comparisons_that_both_runs_make_are_looked_at() {
        let first = [at(1, 5), at(2, -3)];
        assert_eq!(turning_points(&first, &[at(1, 5), at(9, -2)], 1), BTreeSet::new());
        assert!(turning_points(&first, &[at(1, 5), at(2, -2)], 1).contains(&3));
    }
}
