//! Tests of the value domain: exhaustive at small widths, by sampling at 64 bits, and against the kernel.
//!
//! * [`tnum`], [`alu`], [`branch`]: every small operand and every member of it, so soundness there is proved.
//! * [`sampled`]: 64-bit operands around a known member, found by proptest.
//! * [`kernel`]: digests of what the kernel's own compiled functions answer; [`text`]: its log's words.

mod alu;
mod branch;
mod concrete;
mod generate;
mod kernel;
mod sampled;
mod text;
mod tnum;

use super::{Scalar, Tnum};
use crate::isa::{AluOp, Width};

/// Both widths.
const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// The operations that the domain computes.
const COMPUTED: [AluOp; 9] = [
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

/// The operations after which nothing is known.
const NOT_COMPUTED: [AluOp; 5] = [AluOp::Div, AluOp::SignedDiv, AluOp::Mod, AluOp::SignedMod, AluOp::Neg];

/// A scalar with all its members listed.
struct Small {
    scalar: Scalar,
    members: Vec<u64>,
}

impl Small {
    /// The members of `candidates` that `scalar`, once synced, admits.
    fn new(scalar: Scalar, candidates: impl Iterator<Item = u64>) -> Small {
        let scalar = scalar.synced();
        Small { scalar, members: candidates.filter(|&number| scalar.contains(number)).collect() }
    }
}

/// All ranges with ends from -`reach` to `reach`, around zero, around both ends of the low half and around the
/// signed end of each width; and all tnums of three bits there.
fn small_scalars(reach: i64) -> Vec<Small> {
    let centres = [0_u64, 1 << 31, 1 << 32, 1 << 63, u64::MAX << 31];
    let mut scalars = Vec::new();
    for centre in centres {
        let at = |offset: i64| centre.wrapping_add(offset as u64);
        for low in -reach..=reach {
            for high in low..=reach {
                scalars.push(Small::new(range(at(low), at(high)), (low..=high).map(at)));
            }
        }
        for bits in tnum::tnums_of_width(3) {
            let var_off = Tnum { value: bits.value | centre, ..bits };
            scalars.push(Small::new(Scalar { var_off, ..Scalar::UNKNOWN }, (0..8).map(|low| centre | low)));
        }
    }
    scalars
}

/// The numbers from `first` on to `last`, as a signed range or else as an unsigned one.
fn range(first: u64, last: u64) -> Scalar {
    let mut scalar = Scalar::UNKNOWN;
    if first as i64 <= last as i64 {
        (scalar.smin, scalar.smax) = (first as i64, last as i64);
    } else {
        (scalar.umin, scalar.umax) = (first, last);
    }
    scalar
}
