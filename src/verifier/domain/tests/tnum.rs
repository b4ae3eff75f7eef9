//! Every tnum of four bits, at the bottom of the word, at the top, and below known ones.

use super::super::Tnum;
use crate::isa::Width;

/// Width of the tnums tried in pairs.
const BITS: u32 = 4;

/// Every tnum of the low `bits` bits, the others known to be zero.
pub fn tnums_of_width(bits: u32) -> Vec<Tnum> {
    let numbers = 0..1_u64 << bits;
    numbers
        .clone()
        .flat_map(|mask| numbers.clone().map(move |value| Tnum { value, mask }))
        .filter(|tnum| tnum.value & tnum.mask == 0)
        .collect()
}

/// The members of a tnum with few unknown bits.
fn members(tnum: Tnum) -> Vec<u64> {
    let mut chosen = 0_u64;
    let mut members = Vec::new();
    loop {
        members.push(tnum.value | chosen);
        chosen = chosen.wrapping_sub(tnum.mask) & tnum.mask;
        if chosen == 0 {
            return members;
        }
    }
}

/// The smallest tnum that holds all of `numbers`.
fn best(numbers: impl IntoIterator<Item = u64>) -> Tnum {
    let (ones, zeroes) = numbers.into_iter().fold((u64::MAX, u64::MAX), |(ones, zeroes), n| (ones & n, zeroes & !n));
    Tnum { value: ones, mask: !(ones | zeroes) }
}

/// Runs `check` on every pair, at the bottom of the word, at the top, and the first below known ones.
fn for_all_pairs(mut check: impl FnMut(Tnum, Tnum)) {
    let small = tnums_of_width(BITS);
    let negative = |tnum: Tnum| Tnum { value: tnum.value | u64::MAX << BITS, ..tnum };
    for &left in &small {
        for &right in &small {
            check(left, right);
            check(left.shift_left(64 - BITS), right.shift_left(64 - BITS));
            check(negative(left), right);
        }
    }
}

/// All results of `operation` on members of both.
fn results(left: Tnum, right: Tnum, operation: impl Fn(u64, u64) -> u64) -> Vec<u64> {
    let right = members(right);
    members(left).into_iter().flat_map(|l| right.iter().map(move |&r| (l, r))).map(|(l, r)| operation(l, r)).collect()
}

#[test]
fn members_of_a_tnum_are_those_it_contains() {
    for tnum in tnums_of_width(BITS) {
        let contained: Vec<u64> = (0..1 << BITS).filter(|&number| tnum.contains(number)).collect();
        assert_eq!(members(tnum), contained, "{tnum}");
    }
}

#[test]
fn sums_and_differences_are_sound_and_best() {
    for_all_pairs(|left, right| {
        assert_eq!(left.wrapping_add(right), best(results(left, right, u64::wrapping_add)), "{left} + {right}");
        assert_eq!(left.wrapping_sub(right), best(results(left, right, u64::wrapping_sub)), "{left} - {right}");
    });
}

#[test]
fn bitwise_operations_are_sound_and_best() {
    for_all_pairs(|left, right| {
        assert_eq!(left & right, best(results(left, right, |l, r| l & r)), "{left} & {right}");
        assert_eq!(left | right, best(results(left, right, |l, r| l | r)), "{left} | {right}");
        assert_eq!(left ^ right, best(results(left, right, |l, r| l ^ r)), "{left} ^ {right}");
    });
}

#[test]
fn products_are_sound() {
    let mut best_of_all = 0_u32;
    for_all_pairs(|left, right| {
        let product = left.wrapping_mul(right);
        let numbers = results(left, right, u64::wrapping_mul);
        assert!(numbers.iter().all(|&number| product.contains(number)), "{left} * {right} = {product}");
        best_of_all += u32::from(product == best(numbers));
    });
    // The kernel's product loses bits here and there; most pairs it gets exactly.
    assert!(best_of_all > 10_000, "{best_of_all}");
}

#[test]
fn shifts_by_a_known_count_are_exact() {
    for small in tnums_of_width(BITS) {
        for tnum in [small, small.shift_left(29), small.shift_left(64 - BITS)] {
            for count in 0..64 {
                let map = |shift: &dyn Fn(u64) -> u64| best(members(tnum).into_iter().map(shift));
                assert_eq!(tnum.shift_left(count), map(&|n| n << count), "{tnum} << {count}");
                assert_eq!(tnum.shift_right(count), map(&|n| n >> count), "{tnum} >> {count}");
                let signed = map(&|n| (n as i64 >> count) as u64);
                assert_eq!(tnum.shift_right_arithmetic(count, Width::W64), signed, "{tnum} s>> {count}");
                let low = map(&|n| u64::from((n as i32 >> (count % 32)) as u32));
                assert_eq!(tnum.shift_right_arithmetic(count % 32, Width::W32), low, "{tnum} s>> {count}, 32 bits");
            }
        }
    }
}

#[test]
fn comparisons_of_tnums_are_those_of_sets() {
    for_all_pairs(|left, right| {
        let (all_right, all_left) = (members(right), members(left));
        let common: Vec<u64> = all_right.iter().copied().filter(|&number| left.contains(number)).collect();
        assert_eq!(left.includes(right), common.len() == all_right.len(), "{right} in {left}");
        assert_eq!(left.overlaps(right), !common.is_empty(), "{left} overlaps {right}");
        if left.overlaps(right) {
            assert_eq!(left.intersect(right), best(common), "{left} and {right}");
        }
        for size in [1, 2, 4, 8, 16] {
            assert_eq!(left.is_aligned(size), all_left.iter().all(|number| number % size == 0), "{left} by {size}");
        }
    });
}

#[test]
fn a_range_becomes_the_best_tnum() {
    for offset in [0, (1 << 32) - 20, u64::MAX - 40] {
        for min in 0..40 {
            for max in min..40 {
                assert_eq!(Tnum::range(offset + min, offset + max), best(offset + min..=offset + max), "{min}..={max}");
            }
        }
    }
    assert_eq!(Tnum::range(0, u64::MAX), Tnum::UNKNOWN);
    assert_eq!(Tnum::range(i64::MAX as u64, 1 << 63), Tnum::UNKNOWN);
}

#[test]
fn halves_are_taken_and_put_together() {
    let tnum = Tnum { value: 0x1234_0000_5678_0000, mask: 0x0000_ffff_0000_00ff };
    assert_eq!(tnum.subreg(), Tnum { value: 0x5678_0000, mask: 0xff });
    assert_eq!(tnum.clear_subreg(), Tnum { value: 0x1234_0000_0000_0000, mask: 0x0000_ffff_0000_0000 });
    assert_eq!(tnum.clear_subreg() | tnum.subreg(), tnum);
    assert_eq!(tnum.const_subreg(7), Tnum { value: 0x1234_0000_0000_0007, mask: 0x0000_ffff_0000_0000 });
    assert_eq!(tnum.truncate(1), Tnum { value: 0, mask: 0xff });
    assert_eq!(tnum.truncate(8), tnum);
    assert!(!tnum.subreg_is_const() && tnum.const_subreg(7).subreg_is_const());
}

/// The worked example of the kernel's `Documentation/bpf/verifier.rst`.
#[test]
fn a_byte_is_ored_and_incremented_as_documented() {
    let byte = Tnum { value: 0, mask: 0xff };
    let ored = byte | Tnum::constant(0x40);
    assert_eq!(ored, Tnum { value: 0x40, mask: 0xbf });
    assert_eq!(ored.wrapping_add(Tnum::constant(1)), Tnum { value: 0, mask: 0x1ff });
}
