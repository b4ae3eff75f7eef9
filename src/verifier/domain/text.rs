//! How the kernel's log writes numbers and what is known of them (Linux 6.12.117 `kernel/bpf/log.c`).
//!
//! Only the part that is about the number: the register's type, identity and other attributes stand
//! before it and are written by the verifier's log.

use std::fmt::{self, Write};

use super::scalar::Scalar;

/// A signed number: decimal within 16 bits, else the hexadecimal of its 64 bits (`verbose_snum`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed(pub i64);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_short(self.0) { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

/// An unsigned number: decimal up to 65535, else hexadecimal (`verbose_unum`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsigned(pub u64);

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 <= u16::MAX.into() { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

/// Whether the log writes it in decimal (`is_snum_decimal`).
fn is_short(number: i64) -> bool {
    i16::try_from(number).is_ok()
}

/// Writes what is known of a number as attributes of a register, each after `separator`, which is `","` once
/// anything was written (end of `print_reg_state`): the ranges that are not full and the known bits if there
/// are any. Of a constant, `imm=` unless it is zero, as for a pointer; the log writes a constant scalar
/// as the bare number instead.
///
/// # Errors
/// Those of `out`.
pub fn fmt_bounds(scalar: &Scalar, out: &mut impl Write, separator: &mut &'static str) -> fmt::Result {
    if scalar.is_const() {
        if scalar.var_off.value == 0 {
            return Ok(());
        }
        let value = Signed(scalar.var_off.value as i64);
        return write!(out, "{}imm={value}", std::mem::replace(separator, ","));
    }
    fmt_ranges(scalar, out, separator)?;
    if scalar.var_off.is_unknown() {
        return Ok(());
    }
    write!(out, "{}var_off={}", std::mem::replace(separator, ","), scalar.var_off)
}

/// One end of a range, as the log sees it.
#[derive(Clone, Copy)]
struct End {
    name: &'static str,
    /// The number's bits: of the low half, sign-extended only when written in decimal.
    bits: u64,
    signed: bool,
    /// Whether it is not to be written, because it tells nothing or was written along with an equal one.
    omitted: bool,
}

impl End {
    fn signed(name: &'static str, bits: u64, full: bool) -> End {
        End { name, bits, signed: true, omitted: full }
    }

    fn unsigned(name: &'static str, bits: u64, full: bool) -> End {
        End { name, bits, signed: false, omitted: full }
    }

    fn is_negative(&self) -> bool {
        self.signed && (self.bits as i64) < 0
    }

    fn is_equal(&self, other: &End) -> bool {
        self.bits == other.bits && self.is_negative() == other.is_negative()
    }
}

/// Writes the ends of all ranges that are not full, equal lower ends together and equal upper ends
/// together (`print_scalar_ranges`).
fn fmt_ranges(scalar: &Scalar, out: &mut impl Write, separator: &mut &'static str) -> fmt::Result {
    let mut ends = range_ends(scalar);
    for first in 0..ends.len() {
        let [end, later @ ..] = &mut ends[first..] else { break };
        if end.omitted {
            continue;
        }
        write!(out, "{}{}=", std::mem::replace(separator, ","), end.name)?;
        // Lower and upper ends alternate: the next of the same kind is two further on.
        for same in later.iter_mut().skip(1).step_by(2).filter(|same| !same.omitted && same.is_equal(end)) {
            same.omitted = true;
            write!(out, "{}=", same.name)?;
        }
        match end.signed {
            true => write!(out, "{}", Signed(end.bits as i64))?,
            false => write!(out, "{}", Unsigned(end.bits))?,
        }
    }
    Ok(())
}

/// The ends of the four ranges in the log's order.
fn range_ends(scalar: &Scalar) -> [End; 8] {
    let low = |end: i32| if is_short(end.into()) { i64::from(end) as u64 } else { u64::from(end as u32) };
    [
        End::signed("smin", scalar.smin as u64, scalar.smin == i64::MIN),
        End::signed("smax", scalar.smax as u64, scalar.smax == i64::MAX),
        End::unsigned("umin", scalar.umin, scalar.umin == 0),
        End::unsigned("umax", scalar.umax, scalar.umax == u64::MAX),
        End::signed("smin32", low(scalar.smin32), scalar.smin32 == i32::MIN),
        End::signed("smax32", low(scalar.smax32), scalar.smax32 == i32::MAX),
        End::unsigned("umin32", scalar.umin32.into(), scalar.umin32 == 0),
        End::unsigned("umax32", scalar.umax32.into(), scalar.umax32 == u32::MAX),
    ]
}
