//! `bpf_trace_printk` and `bpf_trace_vprintk`: what they print is kept with the run.
//!
//! The format is the kernel's for BPF (`bpf_bprintf_prepare`): integers, `%c`, `%s` and plain pointers, whose text here
//! is the simulated address. Other pointer formats end the run as not modelled.

use crate::machine::fault::Trap;
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, helper, probe};

pub(super) static MODELS: &[Model] =
    &[helper("bpf_trace_printk", 2, trace_printk), helper("bpf_trace_vprintk", 4, trace_vprintk)];

/// Lines of output that are kept.
const MAX_LINES: usize = 10_000;
/// Longest text of one call (`MAX_BPRINTF_BUF`).
const MAX_TEXT: usize = 1024;

fn trace_printk(call: &mut Call<'_>) -> Modelled {
    let format = call.read(call.args[0], call.arg32(1).into())?;
    let values = [call.args[2], call.args[3], call.args[4]];
    print(call, &format, &values)
}

fn trace_vprintk(call: &mut Call<'_>) -> Modelled {
    let format = call.read(call.args[0], call.arg32(1).into())?;
    let size = call.arg32(3);
    if !size.is_multiple_of(8) || size > 12 * 8 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let bytes = if call.args[2] == 0 { Vec::new() } else { call.read(call.args[2], size.into())? };
    let values: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    print(call, &format, &values)
}

fn print(call: &mut Call<'_>, format: &[u8], values: &[u64]) -> Modelled {
    // Without a final zero byte the kernel refuses the format.
    let Some(end) = format.iter().position(|&byte| byte == 0) else {
        return Ok(Answer::Value(errno::EINVAL as u64));
    };
    let Some(mut text) = expand(call, &format[..end], values)? else {
        return Ok(Answer::Value(errno::EINVAL as u64));
    };
    let length = text.len();
    text.truncate(MAX_TEXT - 1);
    if call.machine.printed.len() < MAX_LINES {
        call.machine.printed.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(Answer::Value(length as u64))
}

/// One `%` directive.
#[derive(Default)]
struct Directive {
    width: usize,
    zeros: bool,
    left: bool,
    plus: bool,
    alternate: bool,
    longs: u8,
}

impl Directive {
    fn pad(&self, sign: &str, digits: &str) -> String {
        let used = sign.len() + digits.len();
        let missing = self.width.saturating_sub(used);
        if self.left {
            format!("{sign}{digits}{}", " ".repeat(missing))
        } else if self.zeros {
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{sign}{digits}", " ".repeat(missing))
        }
    }
}

/// The text, or `None` where the kernel refuses the format.
pub(super) fn expand(call: &mut Call<'_>, format: &[u8], values: &[u64]) -> Result<Option<Vec<u8>>, Box<Trap>> {
    let mut text = Vec::new();
    let mut values = values.iter().copied();
    let mut rest = format.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            text.push(byte);
            continue;
        }
        let mut directive = Directive::default();
        let conversion = loop {
            match rest.next() {
                Some(b'0') if directive.width == 0 => directive.zeros = true,
                Some(b'-') => directive.left = true,
                Some(b'+') => directive.plus = true,
                Some(b'#') => directive.alternate = true,
                Some(b' ') => {}
                Some(digit @ b'0'..=b'9') => {
                    directive.width = (directive.width * 10 + usize::from(digit - b'0')).min(MAX_TEXT);
                }
                Some(b'l') => directive.longs += 1,
                Some(other) => break other,
                None => return Ok(None),
            }
        };
        if conversion == b'%' {
            text.push(b'%');
            continue;
        }
        let Some(value) = values.next() else { return Ok(None) };
        match conversion {
            b's' => {
                // Where nothing is to be read the kernel prints nothing (`bpf_trace_copy_string`).
                let string = probe::read_string_for(call, value, MAX_TEXT)?.unwrap_or_default();
                text.extend(directive.pad("", &String::from_utf8_lossy(&string)).into_bytes());
            }
            b'c' => text.push(value as u8),
            b'p' => pointer(&mut rest, &directive, value, &mut text)?,
            _ => match number(&directive, conversion, value) {
                Some(number) => text.extend(number.into_bytes()),
                None => return Ok(None),
            },
        }
        if text.len() > 4 * MAX_TEXT {
            text.truncate(4 * MAX_TEXT);
        }
    }
    Ok(Some(text))
}

fn pointer(
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
    directive: &Directive,
    value: u64,
    text: &mut Vec<u8>,
) -> Result<(), Box<Trap>> {
    match rest.peek() {
        Some(b'K' | b'x') => {
            rest.next();
        }
        Some(&next) if next.is_ascii_alphabetic() => {
            return Err(Trap::unsupported(format!("the format %p{}", char::from(next))));
        }
        _ => {}
    }
    text.extend(directive.pad("", &format!("{value:016x}")).into_bytes());
    Ok(())
}

fn number(directive: &Directive, conversion: u8, value: u64) -> Option<String> {
    let wide = directive.longs > 0;
    let unsigned = if wide { value } else { u64::from(value as u32) };
    let signed = if wide { value as i64 } else { i64::from(value as i32) };
    Some(match conversion {
        b'd' | b'i' => {
            let sign = if signed < 0 { "-" } else { ["", "+"][usize::from(directive.plus)] };
            directive.pad(sign, &signed.unsigned_abs().to_string())
        }
        b'u' => directive.pad("", &unsigned.to_string()),
        b'x' => directive.pad(["", "0x"][usize::from(directive.alternate)], &format!("{unsigned:x}")),
        b'X' => directive.pad(["", "0X"][usize::from(directive.alternate)], &format!("{unsigned:X}")),
        _ => return None,
    })
}
