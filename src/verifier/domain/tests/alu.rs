//! Arithmetic and resizing on every small range and tnum.

use super::super::{Scalar, Tnum, alu};
use super::{COMPUTED, NOT_COMPUTED, WIDTHS, concrete, range, small_scalars};
use crate::isa::{AluOp, Size, Width};

#[test]
fn syncing_small_scalars_loses_no_member_and_breaks_no_invariant() {
    for small in small_scalars(4) {
        assert!(!small.members.is_empty());
        assert_eq!(small.scalar.check_invariants(), Ok(()));
        let again = small.scalar.synced();
        assert!(small.members.iter().all(|&number| again.contains(number)), "{:?}", small.scalar);
    }
}

#[test]
fn results_contain_every_concrete_result() {
    let scalars = small_scalars(3);
    for dst in &scalars {
        for src in &scalars {
            for (op, width) in COMPUTED.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
                let Some(result) = alu::apply(op, width, &dst.scalar, &src.scalar) else { continue };
                for (&left, &right) in dst.members.iter().flat_map(|l| src.members.iter().map(move |r| (l, r))) {
                    let number = concrete::alu(op, width, left, right);
                    assert!(result.contains(number), "{op:?} {width:?} {left:#x} {right:#x}: {result:?}");
                }
            }
        }
    }
}

#[test]
fn constants_give_constants() {
    let numbers = [0, 1, 2, 31, 32, 63, 0x7fff_ffff, 0x8000_0000, u64::MAX, 1 << 63, u64::MAX << 31];
    for (left, right) in numbers.into_iter().flat_map(|left| numbers.map(|right| (left, right))) {
        for (op, width) in COMPUTED.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
            let result = alu::apply(op, width, &Scalar::constant(left), &Scalar::constant(right));
            let is_shift = matches!(op, AluOp::LeftShift | AluOp::RightShift | AluOp::ArithmeticRightShift);
            let bits = if width == Width::W32 { 32 } else { 64 };
            let expected = (!is_shift || right < bits).then(|| concrete::alu(op, width, left, right));
            assert_eq!(result, expected.map(Scalar::constant), "{op:?} {width:?} {left:#x} {right:#x}");
        }
    }
}

#[test]
fn what_the_kernel_gives_up_on_is_not_computed() {
    let seven = Scalar::constant(7);
    for (op, width) in NOT_COMPUTED.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width))) {
        assert_eq!(alu::apply(op, width, &seven, &seven), None, "{op:?}");
    }
    for op in [AluOp::LeftShift, AluOp::RightShift, AluOp::ArithmeticRightShift] {
        assert_eq!(alu::apply(op, Width::W64, &seven, &range(0, 1)), None);
        assert_eq!(alu::apply(op, Width::W32, &seven, &Scalar::constant(32)), None);
        // The low half is a fine count, but the kernel looks at the whole register's maximum too.
        assert_eq!(alu::apply(op, Width::W32, &seven, &Scalar::constant(1 << 32 | 3)), None);
    }
}

#[test]
fn a_mask_bounds_an_unknown_number() {
    let masked = alu::apply(AluOp::And, Width::W64, &Scalar::UNKNOWN, &Scalar::constant(0xff)).unwrap();
    assert_eq!((masked.umin, masked.umax, masked.smin, masked.smax), (0, 255, 0, 255));
    assert_eq!(masked.var_off, Tnum { value: 0, mask: 0xff });
    let scaled = alu::apply(AluOp::Mul, Width::W64, &masked, &Scalar::constant(4)).unwrap();
    assert_eq!((scaled.umin, scaled.umax), (0, 1020));
    let index = alu::apply(AluOp::Sub, Width::W64, &scaled, &Scalar::constant(20)).unwrap();
    assert_eq!((index.smin, index.smax), (-20, 1000));
}

#[test]
fn the_shift_pair_that_sign_extends_keeps_the_signed_range() {
    let word = range(-5_i64 as u64, 9).synced().moved_low();
    let up = alu::apply(AluOp::LeftShift, Width::W64, &word, &Scalar::constant(32)).unwrap();
    let down = alu::apply(AluOp::ArithmeticRightShift, Width::W64, &up, &Scalar::constant(32)).unwrap();
    assert_eq!((down.smin, down.smax), (-5, 9));
}

#[test]
fn resizing_contains_every_concrete_result() {
    for small in small_scalars(4) {
        let scalar = small.scalar;
        for &number in &small.members {
            assert!(scalar.moved_low().contains(number & 0xffff_ffff), "{number:#x} in {scalar:?}");
            for size in [Size::B1, Size::B2, Size::B4, Size::B8] {
                let loaded = concrete::truncate(number, size);
                assert!(scalar.truncated(size).contains(loaded), "{size:?} {number:#x} in {scalar:?}");
                for width in WIDTHS {
                    let extended = concrete::sign_extend(number, size, width);
                    let moved = scalar.moved_sign_extended(size, width);
                    assert!(moved.contains(extended), "{size:?} {width:?} {number:#x} in {scalar:?}");
                }
                if scalar.is_kept_by_sign_extension(size) {
                    assert_eq!(concrete::sign_extend(number, size, Width::W64), number);
                }
            }
        }
    }
}

#[test]
fn loads_of_unknown_bytes_have_the_range_of_their_size() {
    let byte = Scalar::UNKNOWN.truncated(Size::B1);
    assert_eq!((byte.umin, byte.umax, byte.smax32), (0, 255, 255));
    let signed = Scalar::UNKNOWN.sign_extended(Size::B2);
    assert_eq!((signed.smin, signed.smax, signed.smin32, signed.umax), (-32768, 32767, -32768, u64::MAX));
    assert_eq!(Scalar::UNKNOWN.truncated(Size::B8), Scalar::UNKNOWN);
    assert_eq!(Scalar::constant(0x80).sign_extended(Size::B1), Scalar::constant(-128_i64 as u64));
    assert_eq!(Scalar::constant(0x80).sign_extended_low(Size::B1), Scalar::constant(0xffff_ff80));
}

#[test]
fn all_zeroes_or_all_ones_are_two_paths() {
    let sign = range(u64::MAX, 0).synced();
    assert_eq!((sign.smin, sign.smax), (-1, 0));
    let fork = alu::fork_of_sign_mask(AluOp::And, &sign, &Scalar::constant(6)).unwrap();
    assert_eq!((fork.here, fork.pushed, fork.only_low), (Scalar::constant(u64::MAX), Scalar::ZERO, false));
    let low = alu::fork_of_sign_mask(AluOp::Or, &sign.moved_low(), &Scalar::constant(6)).unwrap();
    assert!(low.only_low && low.here.const_value(Width::W32) == Some(0xffff_ffff) && low.pushed.umax32 == 0);
    assert_eq!(alu::fork_of_sign_mask(AluOp::Xor, &sign, &Scalar::constant(6)), None);
    assert_eq!(alu::fork_of_sign_mask(AluOp::And, &sign, &sign), None);
    assert_eq!(alu::fork_of_sign_mask(AluOp::And, &range(0, 1), &Scalar::constant(6)), None);
}

#[test]
fn pointer_offsets_move_with_the_scalar_added() {
    let index = range(0, 7).synced();
    let moved = alu::apply_to_pointer(AluOp::Add, &Scalar::ZERO, &index).unwrap();
    assert_eq!((moved.smin, moved.smax, moved.umax, moved.var_off), (0, 7, 7, Tnum::range(0, 7)));
    let back = alu::apply_to_pointer(AluOp::Sub, &moved, &Scalar::constant(8)).unwrap();
    assert_eq!((back.smin, back.smax), (-8, -1));
    assert_eq!(alu::apply_to_pointer(AluOp::Mul, &moved, &index), None);
    assert_eq!(alu::keep_pointer_offset(&moved), moved);
    assert_eq!(alu::shifted_by(&index, -3).smin, -3);
}

/// The kernel takes the low half's range, learnt before the whole register was found to be zero.
#[test]
fn syncing_may_widen_a_sign_extended_number() {
    let zero = Scalar { smax: 0, umax: 4, ..Scalar::UNKNOWN };
    let synced = zero.synced();
    assert_eq!((synced.smin, synced.smax, synced.umax), (0, 4, 4));
}
