//! The words of the kernel's log.

use super::super::text::{Signed, Unsigned, fmt_bounds};
use super::super::{InvariantRule, Scalar, Tnum};
use super::range;

/// The attributes of `scalar` after one that is already there.
fn attributes(scalar: &Scalar) -> String {
    let (mut text, mut separator) = (String::new(), "");
    fmt_bounds(scalar, &mut text, &mut separator).unwrap();
    assert_eq!(separator, if text.is_empty() { "" } else { "," });
    text
}

#[test]
fn numbers_are_decimal_up_to_sixteen_bits() {
    let signed = |number| Signed(number).to_string();
    assert_eq!([signed(-32768), signed(32767)], ["-32768", "32767"]);
    assert_eq!([signed(-32769), signed(32768)], ["0xffffffffffff7fff", "0x8000"]);
    assert_eq!([Unsigned(65535).to_string(), Unsigned(65536).to_string()], ["65535", "0x10000"]);
}

#[test]
fn known_bits_are_a_number_or_a_pair() {
    assert_eq!(Tnum::constant(70000).to_string(), "0x11170");
    assert_eq!(Tnum { value: 0, mask: 0xff }.to_string(), "(0x0; 0xff)");
}

#[test]
fn full_ranges_are_left_out_and_equal_ends_joined() {
    assert_eq!(attributes(&Scalar::UNKNOWN), "");
    assert_eq!(attributes(&range(0, 255).synced()), "smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff)");
    assert_eq!(attributes(&range(-1_i64 as u64, 5).synced()), "smin=smin32=-1,smax=smax32=5");
}

#[test]
fn signed_ends_of_the_low_half_are_not_extended_in_hexadecimal() {
    let scalar = range(-70000_i64 as u64, 70000).synced();
    assert_eq!(attributes(&scalar), "smin=0xfffffffffffeee90,smax=smax32=0x11170,smin32=0xfffeee90");
    let bit = Scalar { var_off: Tnum { value: 0, mask: !0xf }, ..Scalar::UNKNOWN }.synced();
    assert_eq!(
        attributes(&bit),
        "smax=0x7ffffffffffffff0,umax=0xfffffffffffffff0,smax32=0x7ffffff0,umax32=0xfffffff0,\
         var_off=(0x0; 0xfffffffffffffff0)"
    );
}

#[test]
fn a_constant_offset_of_a_pointer_is_an_immediate() {
    assert_eq!(attributes(&Scalar::ZERO), "");
    assert_eq!(attributes(&Scalar::constant(-8_i64 as u64)), "imm=-8");
    let (mut text, mut separator) = (String::from("off=4"), ",");
    fmt_bounds(&Scalar::constant(1 << 20), &mut text, &mut separator).unwrap();
    assert_eq!(text, "off=4,imm=0x100000");
}

#[test]
fn violations_are_told_with_all_parts() {
    let crossed = Scalar { umin: 2, umax: 1, ..Scalar::UNKNOWN };
    let violation = crossed.check_invariants().unwrap_err();
    assert_eq!(
        violation.to_string(),
        "range bounds violation u64=[0x2, 0x1] s64=[0x8000000000000000, 0x7fffffffffffffff] u32=[0x0, 0xffffffff] \
         s32=[0x80000000, 0x7fffffff] var_off=(0x0, 0xffffffffffffffff)"
    );
    let constant = Scalar { var_off: Tnum::constant(3), ..Scalar::UNKNOWN };
    assert_eq!(constant.check_invariants().unwrap_err().rule, InvariantRule::Constant);
    let low = Scalar { var_off: Tnum::UNKNOWN.const_subreg(3), ..Scalar::UNKNOWN };
    assert_eq!(low.check_invariants().unwrap_err().rule, InvariantRule::ConstantSubreg);
    assert_eq!(low.synced().check_invariants(), Ok(()));
}
