//! Straight runs: instructions that are carried out one after the other, unless a condition on the way leads elsewhere.
//!
//! Whether a register that is read holds something, and whether an instruction may still be executed, need not be asked before
//! each: the inner loop asks it once for a run, where the run is entered. A run may be entered at any slot, and ends where control
//! certainly goes elsewhere.

use super::code::{Code, Op};
use super::operation::Operation;

/// Finds where the run that begins at each slot ends, and what it reads before it writes it.
pub(super) fn mark(ops: &mut [Op]) {
    for at in (0..ops.len()).rev() {
        let Op { code, target, reads, writes, .. } = ops[at];
        ops[at].hop = target.wrapping_sub(at as u32 + 1) as i32;
        if let Code::Jump | Code::Jump64(_) | Code::Jump32(_) | Code::CallLocal = code {
            // What leads outside is for others to report.
            if target as usize > ops.len() {
                ops[at].operation = Operation::Other;
            }
        }
        let slots = if code == Code::LoadImmediate { 2 } else { 1 };
        let (run_end, after) = match (ops[at].operation, ops.get(at + slots)) {
            (Operation::Other, _) => (at as u32, 0),
            (Operation::Jump | Operation::CallLocal | Operation::Exit, _) | (_, None) => ((at + slots) as u32, 0),
            (_, Some(next)) => (next.run_end, next.needs),
        };
        ops[at].run_end = run_end;
        ops[at].needs = reads | after & !writes;
    }
}
