//! Which instructions count with pointers into an arena: they do so in 32 bits.
//!
//! The kernel's verifier knows where a register holds such a pointer and makes 64-bit arithmetic on it 32-bit arithmetic
//! (`needs_zext` in `adjust_reg_min_max_vals`, `kernel/bpf/verifier.c`, Linux 6.12), which a program can see. Here the same is
//! found out before a program runs, for registers and for what it keeps at a fixed place of a function's stack: an arena's
//! pointer comes of a cast, and goes with copies, arithmetic, calls and returns.

use std::collections::BTreeSet;

use crate::isa::{AluOp, Size};

use super::code::{Code, NO_FRAME, Op};
use super::frames::{ARGUMENTS, CALLEE_SAVED};

/// What may hold such a pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    /// Bit N: `rN`.
    registers: u16,
    /// Bit N: the Nth eight bytes of the function's stack.
    slots: u64,
}

/// `r0` to `r5`, which a helper leaves with other values.
const LOST: u16 = 0b11_1111;

impl Held {
    fn has(self, register: usize) -> bool {
        self.registers & 1 << register != 0
    }

    fn and(self, other: Held) -> Held {
        Held { registers: self.registers | other.registers, slots: self.slots | other.slots }
    }
}

/// Does arithmetic on the operation's operands count with a pointer?
fn counts(op: &Op, held: Held) -> bool {
    held.has(op.dst.get()) || (!op.immediate && held.has(op.src.get()))
}

/// The search for such pointers in a program.
struct Search<'o> {
    ops: &'o [Op],
    /// Slots of casts that give such a pointer.
    casts: &'o BTreeSet<u32>,
    /// First slots of the program's functions.
    starts: &'o BTreeSet<u32>,
    /// What may be held before each slot; `None` where nothing leads.
    before: Vec<Option<Held>>,
    /// Functions that may return such a pointer, by their first slot.
    returning: BTreeSet<u32>,
    open: BTreeSet<u32>,
}

impl Search<'_> {
    fn reach(&mut self, slot: u32, held: Held) {
        let Some(before) = self.before.get_mut(slot as usize) else { return };
        let joined = before.unwrap_or_default().and(held);
        if *before != Some(joined) {
            *before = Some(joined);
            self.open.insert(slot);
        }
    }

    /// Goes on from a slot to those that may come next.
    fn follow(&mut self, slot: u32, held: Held) {
        let Some(op) = self.ops.get(slot as usize) else { return };
        let next = slot + 1;
        let after = self.after(slot, op, held);
        match op.code {
            Code::Jump => self.reach(op.target, after),
            Code::Jump64(_) | Code::Jump32(_) | Code::MayGoto => {
                self.reach(op.target, after);
                self.reach(next, after);
            }
            Code::LoadImmediate => self.reach(next + 1, after),
            Code::CallLocal => {
                self.reach(op.target, Held { registers: held.registers & ARGUMENTS, slots: 0 });
                let result = u16::from(self.returning.contains(&op.target));
                self.reach(next, Held { registers: held.registers & CALLEE_SAVED | result, ..held });
            }
            Code::Exit => self.leave(slot, held),
            Code::Broken => {}
            _ => self.reach(next, after),
        }
    }

    /// A function ends: who calls it goes on with its result.
    fn leave(&mut self, slot: u32, held: Held) {
        let start = self.starts.range(..=slot).next_back().copied().unwrap_or(0);
        if held.has(0) && self.returning.insert(start) {
            let calls = (0..).zip(self.ops).filter(|(_, op)| op.code == Code::CallLocal && op.target == start);
            let reached = calls.filter(|(slot, _)| self.before.get(*slot as usize).is_some_and(Option::is_some));
            self.open.extend(reached.map(|(slot, _)| slot).collect::<Vec<_>>());
        }
    }

    /// What may be held after an operation.
    fn after(&self, slot: u32, op: &Op, held: Held) -> Held {
        let place = op.place_in_frame();
        let in_frame = (place != NO_FRAME).then(|| 1_u64 << (place / 8));
        let gives = match op.code {
            Code::Alu32(AluOp::Mov) => self.casts.contains(&slot),
            Code::Alu64(AluOp::Mov) => !op.immediate && held.has(op.src.get()),
            Code::Alu64(AluOp::Neg) | Code::Alu32(AluOp::Neg) => false,
            Code::Alu64(_) | Code::Alu32(_) => counts(op, held),
            Code::Load(Size::B8) => in_frame.is_some_and(|bit| held.slots & bit != 0),
            _ => false,
        };
        let lost = if matches!(op.code, Code::Call | Code::LoadPacket(_)) { LOST } else { op.writes };
        let registers = held.registers & !lost | if gives { 1 << op.dst.get() } else { 0 };
        let slots = match (op.code, in_frame) {
            (Code::Store(Size::B8), Some(bit)) if !op.immediate && held.has(op.src.get()) => held.slots | bit,
            (Code::Store(_) | Code::Atomic(..), Some(bit)) => held.slots & !bit,
            _ => held.slots,
        };
        Held { registers, slots }
    }
}

/// Makes 64-bit arithmetic on pointers that these casts give 32-bit arithmetic.
pub(super) fn narrow(ops: &mut [Op], casts: &BTreeSet<u32>, starts: &BTreeSet<u32>) {
    if casts.is_empty() {
        return;
    }
    let before = vec![None; ops.len()];
    let mut search = Search { ops, casts, starts, before, returning: BTreeSet::new(), open: BTreeSet::new() };
    for &start in starts.iter().chain([&0]) {
        search.reach(start, Held::default());
    }
    while let Some(slot) = search.open.pop_first() {
        if let Some(Some(held)) = search.before.get(slot as usize).copied() {
            search.follow(slot, held);
        }
    }
    let before = search.before;
    for (op, held) in ops.iter_mut().zip(before) {
        if let (Code::Alu64(what), Some(held)) = (op.code, held)
            && !matches!(what, AluOp::Mov | AluOp::Neg)
            && counts(op, held)
        {
            op.code = Code::Alu32(what);
        }
    }
}
