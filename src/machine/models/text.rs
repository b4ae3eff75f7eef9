//! Strings and numbers in them: comparing, parsing, formatting (`kernel/bpf/helpers.c`, Linux 6.12).

use crate::machine::fault::Trap;
use crate::machine::maps::errno;

use super::print::expand;
use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_strncmp", 3, strncmp),
    helper("bpf_strtol", 4, strtol),
    helper("bpf_strtoul", 4, strtoul),
    helper("bpf_snprintf", 5, snprintf),
];

/// Longest number that is parsed, in characters.
const MAX_DIGITS: usize = 63;

fn number(result: i64) -> Modelled {
    Ok(Answer::Value(result as u64))
}

fn strncmp(call: &mut Call<'_>) -> Modelled {
    let (first, size, second) = (call.args[0], u64::from(call.arg32(1)), call.args[2]);
    for index in 0..size {
        let left = call.read(first.wrapping_add(index), 1)?.first().copied().unwrap_or(0);
        let right = call.read(second.wrapping_add(index), 1)?.first().copied().unwrap_or(0);
        if left != right {
            return number(if left < right { -1 } else { 1 });
        }
        if left == 0 {
            break;
        }
    }
    number(0)
}

/// A number at the start of a text.
struct Parsed {
    negative: bool,
    magnitude: u64,
    /// Characters up to its end.
    length: usize,
}

/// White space as the kernel's `isspace` has it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

/// The base and the length of what announces it (`_parse_integer_fixup_radix`).
fn base_of(digits: &[u8], wanted: u64) -> (u32, usize) {
    let after_x = digits.get(2).is_some_and(u8::is_ascii_hexdigit);
    let is_hex = matches!(digits, [b'0', b'x' | b'X', ..]);
    match wanted {
        0 if is_hex && after_x => (16, 2),
        0 if digits.first() == Some(&b'0') => (8, 0),
        0 => (10, 0),
        16 if is_hex => (16, 2),
        other => (other as u32, 0),
    }
}

/// Parses a number, or gives the error number (`__bpf_strtoull`).
fn parse(text: &[u8], flags: u64) -> Result<Parsed, i64> {
    if text.is_empty() || !matches!(flags, 0 | 8 | 10 | 16) {
        return Err(errno::EINVAL);
    }
    let spaces = text.iter().take_while(|&&byte| is_space(byte)).count();
    let negative = text.get(spaces) == Some(&b'-');
    let begins = spaces + usize::from(negative);
    let digits = text.get(begins..).unwrap_or_default();
    let digits = &digits[..digits.len().min(MAX_DIGITS)];
    let (base, prefix) = base_of(digits, flags);
    let values = digits.iter().skip(prefix).map_while(|&digit| char::from(digit).to_digit(base));
    let (mut magnitude, mut count) = (Some(0u64), 0);
    for value in values {
        magnitude = magnitude.and_then(|sum| sum.checked_mul(base.into())?.checked_add(value.into()));
        count += 1;
    }
    if count == 0 {
        return Err(errno::EINVAL);
    }
    let magnitude = magnitude.ok_or(errno::ERANGE)?;
    Ok(Parsed { negative, magnitude, length: begins + prefix + count })
}

fn parse_argument(call: &mut Call<'_>) -> Result<Result<Parsed, i64>, Box<Trap>> {
    let [from, size, flags, to, _] = call.args;
    call.write(to, &[0; 8])?;
    let text = call.read(from, size)?;
    Ok(parse(&text, flags))
}

fn strtol(call: &mut Call<'_>) -> Modelled {
    let parsed = match parse_argument(call)? {
        Ok(parsed) => parsed,
        Err(error) => return number(error),
    };
    let value = if parsed.negative { parsed.magnitude.wrapping_neg() } else { parsed.magnitude } as i64;
    let out_of_range = if parsed.negative { value > 0 } else { value < 0 };
    if out_of_range {
        return number(errno::ERANGE);
    }
    call.write(call.args[3], &value.to_le_bytes())?;
    number(parsed.length as i64)
}

fn strtoul(call: &mut Call<'_>) -> Modelled {
    match parse_argument(call)? {
        Ok(parsed) if parsed.negative => number(errno::EINVAL),
        Ok(parsed) => {
            call.write(call.args[3], &parsed.magnitude.to_le_bytes())?;
            number(parsed.length as i64)
        }
        Err(error) => number(error),
    }
}

fn snprintf(call: &mut Call<'_>) -> Modelled {
    let [to, _, format, values, _] = call.args;
    let (room, size) = (call.arg32(1) as usize, call.arg32(4));
    if !size.is_multiple_of(8) || size > 12 * 8 || (size > 0 && values == 0) {
        return number(errno::EINVAL);
    }
    let format = call.read_string(format, usize::MAX)?;
    if format.windows(2).any(|pair| pair == b"%p") {
        return Err(Trap::unsupported("bpf_snprintf of a pointer, which the kernel hashes"));
    }
    let bytes = call.read(values, size.into())?;
    let values: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let Some(mut text) = expand(call, &format, &values)? else { return number(errno::EINVAL) };
    let length = text.len() as i64 + 1;
    if let Some(last) = room.checked_sub(1) {
        text.truncate(last);
        text.push(0);
        call.write(to, &text)?;
    }
    number(length)
}
