//! The value domain at small operands: whatever members they have, the result has what the operation makes of them.
//!
//! What the operations do to numbers is the unit tests' `concrete`, written from the instruction set's definition (RFC 9669).

use kptrsim::isa::{AluOp, JumpOp, Size, Width};
use kptrsim::verifier::domain::{Scalar, Tnum, alu, branch_taken, refine_edges};

use crate::{Cases, concrete};

/// Pairs of operands that can be asked about.
const COUNT: usize = 20_000;

/// Around which numbers operands lie: zero, both ends of the low half, the signed end, and high up.
const CENTRES: [u64; 7] = [0, 1 << 31, 1 << 32, 1 << 63, u64::MAX << 31, 3 << 32, u64::MAX - 3];

const OPERATIONS: [AluOp; 9] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Or,
    AluOp::And,
    AluOp::Xor,
    AluOp::LeftShift,
    AluOp::RightShift,
    AluOp::ArithmeticRightShift,
];

/// Pairs of small scalars.
pub struct Domain;

/// The numbers of SplitMix64.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next one, below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A scalar, and members of it.
fn operand(numbers: &mut Numbers) -> (Scalar, Vec<u64>) {
    let centre = CENTRES[numbers.below(CENTRES.len() as u64) as usize];
    let mut scalar = Scalar::UNKNOWN;
    let mut candidates: Vec<u64> = (0..16).map(|low| centre.wrapping_add(low).wrapping_sub(8)).collect();
    match numbers.below(5) {
        0 => {
            let (first, last) = (numbers.below(8), 8 + numbers.below(8));
            let (first, last) = (candidates[first as usize], candidates[last as usize]);
            if first as i64 <= last as i64 {
                (scalar.smin, scalar.smax) = (first as i64, last as i64);
            } else {
                (scalar.umin, scalar.umax) = (first, last);
            }
        }
        1 => {
            let mask = numbers.below(16) | if numbers.below(2) == 0 { 0 } else { 0xf << 32 };
            scalar.var_off = Tnum { value: (centre | numbers.below(16)) & !mask, mask };
            candidates = (0..16).map(|low| scalar.var_off.value | (low | low << 32) & mask).collect();
        }
        2 => scalar = Scalar::constant(numbers.below(64)),
        3 => {
            // A low half in bounds under any upper half.
            let (first, last) = (numbers.below(8), 8 + numbers.below(8));
            (scalar.umin32, scalar.umax32) = (first as u32, last as u32);
            candidates = (first..=last).flat_map(|low| CENTRES.map(|centre| centre >> 32 << 32 | low)).collect();
        }
        _ => {
            (scalar.umin, scalar.umax) = (numbers.below(8), 1 << numbers.below(63));
            candidates = vec![scalar.umin, scalar.umin + 1, scalar.umax / 2, scalar.umax - 1, scalar.umax];
        }
    }
    let scalar = scalar.synced();
    if let Some(value) = scalar.const_value(Width::W64) {
        candidates.push(value);
    }
    candidates.retain(|&number| scalar.contains(number));
    (scalar, candidates)
}

fn missing(what: impl std::fmt::Debug, width: Width, number: u64, found: &Scalar) -> Result<(), String> {
    if found.contains(number) { Ok(()) } else { Err(format!("{what:?} at {width:?}: {number:#x} is not in {found:?}")) }
}

fn check_pair(left: &(Scalar, Vec<u64>), right: &(Scalar, Vec<u64>), width: Width) -> Result<(), String> {
    let pairs = || left.1.iter().flat_map(|&dst| right.1.iter().map(move |&src| (dst, src)));
    for op in OPERATIONS {
        let Some(result) = alu::apply(op, width, &left.0, &right.0) else { continue };
        pairs().try_for_each(|(dst, src)| missing(op, width, concrete::alu(op, width, dst, src), &result))?;
    }
    for op in JumpOp::ALL {
        match branch_taken(op, width, &left.0, &right.0) {
            Some(taken) => {
                if let Some((dst, src)) = pairs().find(|&(dst, src)| concrete::jump(op, width, dst, src) != taken) {
                    return Err(format!("{op:?} at {width:?} of {dst:#x} and {src:#x} is not {taken}"));
                }
            }
            None => {
                let edges = refine_edges(op, width, &left.0, &right.0);
                pairs().try_for_each(|(dst, src)| {
                    let edge = if concrete::jump(op, width, dst, src) { &edges.taken } else { &edges.not_taken };
                    missing(op, width, dst, &edge.0).and_then(|()| missing(op, width, src, &edge.1))
                })?;
            }
        }
    }
    Ok(())
}

fn check_sizes((scalar, members): &(Scalar, Vec<u64>)) -> Result<(), String> {
    for size in [Size::B1, Size::B2, Size::B4] {
        let extended = scalar.sign_extended(size);
        let cut = scalar.truncated(size);
        for &member in members {
            missing(size, Width::W64, concrete::sign_extend(member, size, Width::W64), &extended)?;
            missing(size, Width::W64, concrete::truncate(member, size), &cut)?;
        }
    }
    Ok(())
}

impl Cases for Domain {
    fn count(&self) -> usize {
        COUNT
    }

    fn check(&self, case: usize) -> Result<(), String> {
        let mut numbers = Numbers(case as u64);
        let (left, right) = (operand(&mut numbers), operand(&mut numbers));
        check_sizes(&left)?;
        for width in [Width::W32, Width::W64] {
            check_pair(&left, &right, width)?;
        }
        Ok(())
    }
}
