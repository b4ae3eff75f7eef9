//! The format string of `bpf_snprintf`, which the kernel reads before the program runs (`check_bpf_snprintf_call`,
//! `kernel/bpf/verifier.c`, and `bpf_bprintf_prepare`, `kernel/bpf/helpers.c`, Linux 6.12).
//!
//! Other helpers that format, such as `bpf_trace_printk`, read theirs when they run.

use super::env::{Check, Verifier, reject, unsupported};
use super::rule::Rule;
use super::value::Target;
use crate::isa::Register;

/// Bytes of each value that is formatted.
const VALUE_BYTES: u64 = 8;

impl Verifier<'_> {
    /// Does the format suit the number of values, and can the kernel read it?
    pub fn check_snprintf(&self) -> Check {
        let length = self.number(Register::R5)?.bounds.var_off.value;
        if length % VALUE_BYTES != 0 {
            return reject(Rule::FormattedValuesCutShort);
        }
        let Some((pointer, Target::MapValue(map))) =
            self.state.value(Register::R3).as_pointer().map(|pointer| (pointer, pointer.target))
        else {
            return unsupported("a format string that is no map's value");
        };
        let start = pointer.known_offset().and_then(|offset| usize::try_from(offset).ok());
        let bytes = self.frozen_bytes(self.map(map)?);
        let Some(rest) = bytes.zip(start).and_then(|(bytes, start)| bytes.get(start..)) else {
            return unsupported("a format string whose bytes are not known");
        };
        let format = rest.split(|&byte| byte == 0).next().unwrap_or_default();
        if accepts(format, length / VALUE_BYTES) { Ok(()) } else { reject(Rule::InvalidFormatString) }
    }
}

/// May a program format that many values so? A format may use fewer than it is given.
#[must_use]
fn accepts(format: &[u8], values: u64) -> bool {
    let mut rest = format;
    let mut used = 0;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte.is_ascii_control() && !is_space(byte) {
            return false;
        }
        if byte != b'%' {
            continue;
        }
        if let Some(behind) = rest.strip_prefix(b"%") {
            rest = behind;
            continue;
        }
        used += 1;
        match without_conversion(rest) {
            Some(behind) if used <= values => rest = behind,
            _ => return false,
        }
    }
    true
}

/// What is behind a conversion, of which `rest` starts behind the percent sign; `None` if there is no such conversion.
fn without_conversion(rest: &[u8]) -> Option<&[u8]> {
    let flags = rest.iter().take_while(|byte| b"0+- ".contains(byte)).count();
    let mut rest = rest.get(flags..)?;
    if rest.first().is_some_and(|byte| (b'1'..=b'9').contains(byte)) {
        let width = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = rest.get(width..)?;
    }
    match rest {
        [b'p', b'k' | b'u', b's', behind @ ..] | [b's', behind @ ..] => ends_word(behind).then_some(behind),
        [b'p', behind @ ..] if ends_word(behind) => Some(behind),
        [b'p', b'K' | b'x' | b's' | b'S' | b'B', behind @ ..] => Some(behind),
        [b'p', b'i' | b'I', b'4' | b'6', behind @ ..] | [b'c', behind @ ..] => Some(behind),
        [b'l', b'l', kind, behind @ ..] | [b'l', kind, behind @ ..] | [kind, behind @ ..] if is_integer(*kind) => {
            Some(behind)
        }
        _ => None,
    }
}

fn is_integer(kind: u8) -> bool {
    b"iduxX".contains(&kind)
}

/// Is there nothing more, or a space or punctuation mark?
fn ends_word(rest: &[u8]) -> bool {
    rest.first().is_none_or(|&byte| is_space(byte) || is_punctuation(byte))
}

/// White space to the kernel, whose table is of Latin-1 (`lib/ctype.c`).
fn is_space(byte: u8) -> bool {
    matches!(byte, 9..=13 | b' ' | 0xa0)
}

/// Punctuation to the kernel.
fn is_punctuation(byte: u8) -> bool {
    byte.is_ascii_punctuation() || matches!(byte, 0xa1..=0xbf | 0xd7 | 0xf7)
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn formats_that_the_kernel_takes() {
        for (format, values) in [
            ("", 0),
            ("50%% of it\n", 0),
            ("%d %u %lld %llx %i", 5),
            ("%-10d|% 08lx", 2),
            ("%s, %pks %pus.", 3),
            ("%p %pK %px %ps %pS %pB", 6),
            ("%pi4 %pI6x %c", 3),
            ("only %d", 2),
            ("caf\u{e9} %d\u{e9}", 1),
        ] {
            assert!(accepts(format.as_bytes(), values), "{format}");
        }
    }

    #[test]
    fn formats_that_the_kernel_refuses() {
        for (format, values) in [
            ("%d %d", 1),
            ("%", 1),
            ("%l", 1),
            ("%llld", 1),
            ("%5%", 1),
            ("%sx", 1),
            ("%pksx", 1),
            ("%pi5", 1),
            ("%pz", 1),
            ("%o", 1),
            ("%f", 1),
            ("a\u{1}b", 0),
            ("a\u{7f}", 0),
            ("%s\u{e9}", 1),
            ("%\u{e9}", 1),
        ] {
            assert!(!accepts(format.as_bytes(), values), "{format}");
        }
    }
}
