//! Comparisons of every pair of small ranges and tnums.

use super::super::{Scalar, Tnum, branch_taken, refine_edges, refine_edges_of_one};
use super::{Small, WIDTHS, concrete, range, small_scalars};
use crate::isa::{JumpOp, Width};

/// Every condition at every width.
fn comparisons() -> impl Iterator<Item = (JumpOp, Width)> {
    JumpOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width)))
}

/// Checks one comparison of two different registers on every pair of members.
fn check_pair(op: JumpOp, width: Width, left: &Small, right: &Small) {
    let decided = branch_taken(op, width, &left.scalar, &right.scalar);
    let edges = refine_edges(op, width, &left.scalar, &right.scalar);
    for (&l, &r) in left.members.iter().flat_map(|l| right.members.iter().map(move |r| (l, r))) {
        let holds = concrete::jump(op, width, l, r);
        assert!(decided.is_none_or(|taken| taken == holds), "{op:?} {width:?} {l:#x} {r:#x} decided {decided:?}");
        let (narrowed_left, narrowed_right) = if holds { edges.taken } else { edges.not_taken };
        if decided.is_none() {
            assert!(narrowed_left.contains(l), "{op:?} {width:?} {l:#x} {r:#x}: {narrowed_left:?}");
            assert!(narrowed_right.contains(r), "{op:?} {width:?} {l:#x} {r:#x}: {narrowed_right:?}");
        }
    }
}

#[test]
fn decisions_are_right_and_edges_keep_what_takes_them() {
    let scalars = small_scalars(3);
    for left in &scalars {
        for right in &scalars {
            comparisons().for_each(|(op, width)| check_pair(op, width, left, right));
        }
    }
}

#[test]
fn a_register_compared_with_itself_keeps_its_members() {
    for small in small_scalars(4) {
        for (op, width) in comparisons() {
            let decided = branch_taken(op, width, &small.scalar, &small.scalar);
            let edges = refine_edges_of_one(op, width, &small.scalar);
            for &number in &small.members {
                let holds = concrete::jump(op, width, number, number);
                assert!(decided.is_none_or(|taken| taken == holds), "{op:?} {width:?} {number:#x}");
                let narrowed = if holds { edges.taken } else { edges.not_taken };
                assert!(decided.is_some() || narrowed.contains(number), "{op:?} {width:?} {number:#x}");
            }
        }
    }
}

#[test]
fn separate_ranges_are_decided_by_every_order() {
    let (below, above) = (range(1, 5).synced(), range(6, 9).synced());
    let expected = |op| match op {
        JumpOp::Equal | JumpOp::Greater | JumpOp::GreaterEqual => Some(false),
        JumpOp::SignedGreater | JumpOp::SignedGreaterEqual => Some(false),
        JumpOp::Set => None,
        _ => Some(true),
    };
    for (op, width) in comparisons() {
        assert_eq!(branch_taken(op, width, &below, &above), expected(op), "{op:?} {width:?}");
        assert_eq!(branch_taken(op, width, &below, &Scalar::UNKNOWN), None, "{op:?} {width:?}");
    }
}

#[test]
fn both_ways_of_an_order_narrow_both_operands() {
    let (left, right) = (range(0, 10).synced(), range(5, 20).synced());
    let edges = refine_edges(JumpOp::Greater, Width::W64, &left, &right);
    let ends = |scalar: Scalar| (scalar.umin, scalar.umax);
    assert_eq!((ends(edges.taken.0), ends(edges.taken.1)), ((6, 10), (5, 9)));
    assert_eq!((ends(edges.not_taken.0), ends(edges.not_taken.1)), ((0, 10), (5, 20)));
}

#[test]
fn inequality_takes_off_an_end_only() {
    let number = range(0, 10).synced();
    let taken = |value| refine_edges(JumpOp::NotEqual, Width::W64, &number, &Scalar::constant(value)).taken.0;
    assert_eq!((taken(0).umin, taken(10).umax), (1, 9));
    assert_eq!(taken(5), number);
}

#[test]
fn equality_gives_both_operands_what_either_has() {
    let low_bits = Scalar { var_off: Tnum { value: 2, mask: !7 }, ..Scalar::UNKNOWN }.synced();
    let edges = refine_edges(JumpOp::Equal, Width::W64, &low_bits, &range(0, 15).synced());
    assert_eq!(edges.taken.0, edges.taken.1);
    assert_eq!(edges.taken.0.var_off, Tnum { value: 2, mask: 8 });
    assert_eq!((edges.taken.0.umin, edges.taken.0.umax), (2, 10));
}

#[test]
fn a_bit_test_teaches_bits() {
    let edges = refine_edges(JumpOp::Set, Width::W64, &Scalar::UNKNOWN, &Scalar::constant(8));
    assert_eq!((edges.taken.0.var_off.value, edges.not_taken.0.var_off.mask), (8, !8));
    // Of several bits set, none is known; of several clear, each is.
    let edges = refine_edges(JumpOp::Set, Width::W32, &Scalar::UNKNOWN, &Scalar::constant(3));
    assert_eq!((edges.taken.0, edges.not_taken.0.var_off.mask), (Scalar::UNKNOWN, !3));
    assert_eq!(branch_taken(JumpOp::Set, Width::W64, &Scalar::constant(4), &Scalar::UNKNOWN), None);
    let even = Scalar { var_off: Tnum { value: 0, mask: !1 }, ..Scalar::UNKNOWN };
    assert_eq!(branch_taken(JumpOp::Set, Width::W64, &Scalar::constant(1), &even), Some(false));
}

/// `BPF_F_TEST_REG_INVARIANTS` exists because this can happen: a way that is never taken may be left open.
#[test]
fn an_impossible_order_violates_the_invariants() {
    let edges = refine_edges_of_one(JumpOp::Less, Width::W64, &range(3, 4).synced());
    assert!(edges.taken.check_invariants().is_err());
    assert_eq!(edges.not_taken.check_invariants(), Ok(()));
}
