//! Soundness at 64 bits: operands are scalars made around a number, and the results must hold the number's.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::{Scalar, Tnum, alu, branch_taken, refine_edges, refine_edges_of_one};
use super::{COMPUTED, WIDTHS, concrete};
use crate::isa::{AluOp, JumpOp, Size, Width};

/// Numbers near powers of two, small ones, and any.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..70_u64,
        (0..64_u32, -3..=3_i64, any::<bool>()).prop_map(|(bit, offset, negate)| {
            let near = (1_u64 << bit).wrapping_add(offset as u64);
            if negate { near.wrapping_neg() } else { near }
        }),
        (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift),
        any::<u64>(),
    ]
}

/// A number and a scalar that contains it: each view is left open or reaches a random way around the number.
fn member() -> impl Strategy<Value = (u64, Scalar)> {
    let reach = || proptest::option::of(number());
    let reaches = proptest::array::uniform8(reach());
    (number(), reach(), reaches, any::<bool>()).prop_map(|(member, mask, reaches, sync)| {
        let mut scalar = around(member, mask.unwrap_or(u64::MAX), reaches);
        if sync {
            scalar.sync();
        }
        (member, scalar)
    })
}

/// A scalar whose unknown bits are `mask` and whose range ends lie so far from `member`, if anywhere.
fn around(member: u64, mask: u64, reaches: [Option<u64>; 8]) -> Scalar {
    let [umin, umax, smin, smax, umin32, umax32, smin32, smax32] = reaches;
    let (signed, low, low_signed) = (member as i64, member as u32, member as i32);
    let full = Scalar::UNKNOWN;
    Scalar {
        var_off: Tnum { value: member & !mask, mask },
        umin: umin.map_or(full.umin, |by| member.saturating_sub(by)),
        umax: umax.map_or(full.umax, |by| member.saturating_add(by)),
        smin: smin.map_or(full.smin, |by| signed.saturating_sub_unsigned(by)),
        smax: smax.map_or(full.smax, |by| signed.saturating_add_unsigned(by)),
        umin32: umin32.map_or(full.umin32, |by| low.saturating_sub(by as u32)),
        umax32: umax32.map_or(full.umax32, |by| low.saturating_add(by as u32)),
        smin32: smin32.map_or(full.smin32, |by| low_signed.saturating_sub_unsigned(by as u32)),
        smax32: smax32.map_or(full.smax32, |by| low_signed.saturating_add_unsigned(by as u32)),
    }
}

fn width() -> impl Strategy<Value = Width> {
    select(&WIDTHS[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sync_keeps_the_member_and_the_invariants((number, scalar) in member()) {
        let synced = scalar.synced();
        prop_assert!(scalar.contains(number) && synced.contains(number), "{number:#x}: {scalar:?} {synced:?}");
        prop_assert_eq!(synced.check_invariants(), Ok(()));
        prop_assert!(synced.includes(&synced));
    }

    #[test]
    fn inclusion_carries_members_over((number, old) in member(), (_, current) in member()) {
        let narrowed = Scalar { var_off: old.var_off & current.var_off, ..current };
        prop_assert!(!old.includes(&narrowed) || !narrowed.contains(number) || old.contains(number));
        prop_assert!(Scalar::UNKNOWN.includes(&current));
        prop_assert_eq!(old.includes(&Scalar::constant(number)), true);
    }

    #[test]
    fn arithmetic_contains_the_concrete_result(
        op in select(&COMPUTED[..]),
        width in width(),
        (left, dst) in member(),
        (right, src) in prop_oneof![2 => member(), 1 => (0..64_u64).prop_map(|n| (n, Scalar::constant(n)))],
    ) {
        if let Some(result) = alu::apply(op, width, &dst, &src) {
            let number = concrete::alu(op, width, left, right);
            prop_assert!(result.contains(number), "{left:#x} {right:#x} -> {number:#x}: {result:?}");
        }
    }

    #[test]
    fn pointer_offsets_contain_the_concrete_offset((left, pointer) in member(), (right, offset) in member()) {
        let sum = alu::apply_to_pointer(AluOp::Add, &pointer, &offset).unwrap();
        prop_assert!(sum.contains(left.wrapping_add(right)), "{sum:?}");
        let difference = alu::apply_to_pointer(AluOp::Sub, &pointer, &offset).unwrap();
        prop_assert!(difference.contains(left.wrapping_sub(right)), "{difference:?}");
        prop_assert!(alu::keep_pointer_offset(&pointer).contains(left));
        let shifted = alu::shifted_by(&pointer, right as i32);
        prop_assert!(shifted.contains(left.wrapping_add(right as i32 as u64)), "{shifted:?}");
    }

    #[test]
    fn resizing_contains_the_concrete_result(
        (number, scalar) in member(),
        size in select(&[Size::B1, Size::B2, Size::B4, Size::B8][..]),
        width in width(),
    ) {
        prop_assert!(scalar.truncated(size).contains(concrete::truncate(number, size)));
        prop_assert!(scalar.moved_low().contains(number & 0xffff_ffff));
        let extended = scalar.moved_sign_extended(size, width);
        prop_assert!(extended.contains(concrete::sign_extend(number, size, width)), "{number:#x}: {extended:?}");
        prop_assert!(u64::BITS - number.leading_zeros() <= scalar.significant_bits());
    }

    #[test]
    fn comparisons_are_sound(
        op in select(&JumpOp::ALL[..]),
        width in width(),
        (left, left_scalar) in member(),
        (right, right_scalar) in member(),
    ) {
        let holds = concrete::jump(op, width, left, right);
        match branch_taken(op, width, &left_scalar, &right_scalar) {
            Some(taken) => prop_assert_eq!(taken, holds),
            None => {
                let edges = refine_edges(op, width, &left_scalar, &right_scalar);
                let (narrowed_left, narrowed_right) = if holds { edges.taken } else { edges.not_taken };
                prop_assert!(narrowed_left.contains(left), "{left:#x}: {narrowed_left:?}");
                prop_assert!(narrowed_right.contains(right), "{right:#x}: {narrowed_right:?}");
            }
        }
    }

    #[test]
    fn comparing_a_register_with_itself_is_sound(
        op in select(&JumpOp::ALL[..]),
        width in width(),
        (number, scalar) in member(),
    ) {
        let holds = concrete::jump(op, width, number, number);
        match branch_taken(op, width, &scalar, &scalar) {
            Some(taken) => prop_assert_eq!(taken, holds),
            None => {
                let edges = refine_edges_of_one(op, width, &scalar);
                let narrowed = if holds { edges.taken } else { edges.not_taken };
                prop_assert!(narrowed.contains(number), "{number:#x}: {narrowed:?}");
            }
        }
    }

    #[test]
    fn a_decision_agrees_with_its_mirror_image((_, left) in member(), (_, right) in member(), width in width()) {
        for (op, mirrored) in [
            (JumpOp::Less, JumpOp::Greater),
            (JumpOp::LessEqual, JumpOp::GreaterEqual),
            (JumpOp::SignedLess, JumpOp::SignedGreater),
            (JumpOp::SignedLessEqual, JumpOp::SignedGreaterEqual),
            (JumpOp::Equal, JumpOp::Equal),
        ] {
            prop_assert_eq!(branch_taken(op, width, &left, &right), branch_taken(mirrored, width, &right, &left));
        }
    }
}
