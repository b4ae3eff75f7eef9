//! Mutations of finished instructions, which know nothing of statements.

use crate::isa::opcode as op;
use crate::soundness::program::assembler::{Function, Line};
use crate::soundness::program::model::{Mutation, MutationKind};

/// Comparisons by operation bits.
const COMPARISONS: [u8; 11] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];

/// Immediates at which bounds break.
const IMMEDIATES: [i32; 12] = [0, 1, -1, 2, 7, 8, 31, 32, 63, 64, i32::MAX, i32::MIN];

/// Distances by which an offset or immediate is off.
const DISTANCES: [i16; 8] = [1, -1, 2, 4, -4, 8, -8, 64];

/// Applies those mutations that change instructions; the others have been obeyed while lowering.
pub(super) fn apply(functions: &mut [Function], mutations: &[Mutation]) {
    for mutation in mutations {
        let sites: Vec<(usize, usize)> = functions
            .iter()
            .enumerate()
            .flat_map(|(index, function)| {
                let lines = function.lines.iter().enumerate();
                lines.filter(|(_, line)| applies(mutation.kind, line)).map(move |(line, _)| (index, line))
            })
            .collect();
        let Some(index) = usize::from(mutation.site).checked_rem(sites.len()) else { continue };
        let (function, line) = sites[index];
        change(&mut functions[function], line, mutation);
    }
}

fn class(line: &Line) -> u8 {
    line.raw.opcode & op::CLASS_MASK
}

fn is_exit(line: &Line) -> bool {
    line.raw.opcode == 5 | op::JUMP_EXIT
}

fn is_comparison(line: &Line) -> bool {
    matches!(class(line), 5 | 6) && COMPARISONS.contains(&(line.raw.opcode & op::OPERATION_MASK))
}

/// Can that go wrong with this instruction?
fn applies(kind: MutationKind, line: &Line) -> bool {
    let (class, reads_register) = (class(line), line.raw.opcode & op::SOURCE_REGISTER != 0);
    let is_jump = matches!(class, 5 | 6);
    match kind {
        MutationKind::DropInstruction => !is_exit(line),
        MutationKind::RepeatInstruction | MutationKind::SwapInstructions => !is_exit(line) && line.target.is_none(),
        MutationKind::WrongDestination => !is_jump || is_comparison(line),
        MutationKind::WrongSource => {
            matches!(class, 1 | 3)
                || (matches!(class, 4 | 7) && reads_register)
                || (is_comparison(line) && reads_register)
        }
        MutationKind::WrongImmediate => {
            line.reference.is_none()
                && (class == 2 || (!reads_register && (matches!(class, 4 | 7) || is_comparison(line))))
        }
        MutationKind::WrongOffset => matches!(class, 1..=3),
        MutationKind::WrongComparison => is_comparison(line),
        _ => false,
    }
}

fn change(function: &mut Function, index: usize, mutation: &Mutation) {
    match mutation.kind {
        MutationKind::DropInstruction => return function.remove(index),
        MutationKind::RepeatInstruction => return function.repeat(index),
        MutationKind::SwapInstructions => {
            let follower = function.lines.get(index + 1);
            if follower.is_some_and(|line| line.target.is_none() && !is_exit(line)) {
                function.lines.swap(index, index + 1);
            }
            return;
        }
        _ => {}
    }
    let Some(line) = function.lines.get_mut(index) else { return };
    let value = usize::from(mutation.value);
    let register = |old: u8| (old + 1 + mutation.value % 10) % 11;
    match mutation.kind {
        MutationKind::WrongDestination => line.raw.dst = register(line.raw.dst),
        MutationKind::WrongSource => line.raw.src = register(line.raw.src),
        MutationKind::WrongImmediate => {
            line.raw.imm = match value % 3 {
                0 => line.raw.imm.wrapping_add(i32::from(DISTANCES[value / 3 % DISTANCES.len()])),
                1 => IMMEDIATES[value / 3 % IMMEDIATES.len()],
                _ => line.raw.imm.wrapping_neg(),
            };
        }
        MutationKind::WrongOffset => {
            line.raw.offset = line.raw.offset.wrapping_add(DISTANCES[value % DISTANCES.len()]);
        }
        MutationKind::WrongComparison => {
            let comparison = COMPARISONS[value % COMPARISONS.len()];
            line.raw.opcode = line.raw.opcode & !op::OPERATION_MASK | comparison;
        }
        _ => {}
    }
}
