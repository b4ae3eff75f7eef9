//! Internet checksums: differences of bytes, and what they do to a packet's fields.
//!
//! Sums are in one's complement (RFC 1624), as `csum_partial` and `csum_fold` have them on x86-64, Linux 6.12.

use crate::machine::maps::errno;

use super::packet::compute_pointers;
use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_csum_diff", 5, diff),
    // Packets of test runs have no checksum that a device computed.
    helper("bpf_csum_update", 2, |call| call.packet().map(|_| Answer::Value(errno::ENOTSUPP as u64))),
    helper("bpf_l3_csum_replace", 5, replace_l3),
    helper("bpf_l4_csum_replace", 5, replace_l4),
];

/// Most bytes of both parts of a difference (`MAX_BPF_STACK`).
const MAX_DIFF: u32 = 512;
/// How many bytes the replaced field has.
const SIZE_FLAGS: u64 = 0xf;
/// `BPF_F_PSEUDO_HDR`, `BPF_F_MARK_MANGLED_0`, `BPF_F_MARK_ENFORCE`, `BPF_F_IPV6`.
const PSEUDO_HEADER: u64 = 1 << 4;
const MARK_MANGLED: u64 = 1 << 5;
const MARK_ENFORCE: u64 = 1 << 6;
const IPV6: u64 = 1 << 7;

/// One's complement sum of two 32-bit sums.
fn add(one: u32, two: u32) -> u32 {
    let (sum, carry) = one.overflowing_add(two);
    sum + u32::from(carry)
}

/// The 16-bit checksum of a sum.
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn replaced_by(checksum: u16, difference: u32) -> u16 {
    fold(add(difference, !u32::from(checksum)))
}

fn replaced(checksum: u16, from: u32, to: u32) -> u16 {
    let without = add(!u32::from(checksum), !from);
    fold(add(without, to))
}

/// A field of two bytes, whose sums are of 16 bits.
fn replaced_half(checksum: u16, from: u16, to: u16) -> u16 {
    let add = |one: u16, two: u16| {
        let (sum, carry) = one.overflowing_add(two);
        sum + u16::from(carry)
    };
    !add(add(!checksum, !from), to)
}

fn diff(call: &mut Call<'_>) -> Modelled {
    let [from, _, to, _, seed] = call.args;
    let (from_size, to_size) = (call.arg32(1), call.arg32(3));
    if !(from_size | to_size).is_multiple_of(4) || from_size.saturating_add(to_size) > MAX_DIFF {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let mut sum = seed as u32;
    let words =
        |bytes: Vec<u8>| -> Vec<u32> { bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect() };
    for word in words(call.read(from, from_size.into())?) {
        sum = add(sum, !word);
    }
    for word in words(call.read(to, to_size.into())?) {
        sum = add(sum, word);
    }
    Ok(Answer::Value(sum.into()))
}

/// The checksum at an offset of the packet, changed by a function; the function's error is the result.
fn change(call: &mut Call<'_>, change: impl FnOnce(u16) -> Result<u16, i64>) -> Modelled {
    let offset = call.arg32(1);
    if offset > 0xffff || offset & 1 != 0 {
        return Ok(Answer::Value(errno::EFAULT as u64));
    }
    compute_pointers(call.packet_mut()?.0);
    let Some((region, at)) = call.packet()?.1.place(offset.into(), 2) else {
        return Ok(Answer::Value(errno::EFAULT as u64));
    };
    let memory = &mut call.machine.memory;
    let bytes = memory.peek(region).get(at as usize..).and_then(|bytes| bytes.first_chunk());
    let checksum = bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes));
    match change(checksum) {
        Ok(new) => {
            memory.poke(region, at, &new.to_le_bytes());
            Ok(Answer::Value(0))
        }
        Err(error) => Ok(Answer::Value(error as u64)),
    }
}

fn replace_l3(call: &mut Call<'_>) -> Modelled {
    let [_, _, from, to, flags] = call.args;
    if flags & !SIZE_FLAGS != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    change(call, |checksum| match flags {
        0 if from == 0 => Ok(replaced_by(checksum, to as u32)),
        2 => Ok(replaced_half(checksum, from as u16, to as u16)),
        4 => Ok(replaced(checksum, from as u32, to as u32)),
        _ => Err(errno::EINVAL),
    })
}

fn replace_l4(call: &mut Call<'_>) -> Modelled {
    let [_, _, from, to, flags] = call.args;
    if flags & !(SIZE_FLAGS | PSEUDO_HEADER | MARK_MANGLED | MARK_ENFORCE | IPV6) != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let (mangled, enforce) = (flags & MARK_MANGLED != 0, flags & MARK_ENFORCE != 0);
    let marked = |checksum: u16| if mangled && checksum == 0 { 0xffff } else { checksum };
    change(call, |checksum| {
        if mangled && !enforce && checksum == 0 {
            return Ok(0);
        }
        match flags & SIZE_FLAGS {
            0 if from == 0 => Ok(marked(replaced_by(checksum, to as u32))),
            2 => Ok(marked(replaced(checksum, (from as u16).into(), (to as u16).into()))),
            4 => Ok(marked(replaced(checksum, from as u32, to as u32))),
            _ => Err(errno::EINVAL),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checksum over words, computed anew.
    fn checksum(words: &[u32]) -> u16 {
        fold(words.iter().fold(0, |sum, &word| add(sum, word)))
    }

    #[test]
    fn replacing_a_word_gives_the_checksum_of_the_new_words() {
        let (old, new) = ([0x1234_5678, 0x9abc_def0], [0x1234_5678, 0x0bad_cafe]);
        assert_eq!(replaced(checksum(&old), old[1], new[1]), checksum(&new));
        let difference = add(!old[1], new[1]);
        assert_eq!(replaced_by(checksum(&old), difference), checksum(&new));
    }

    #[test]
    fn replacing_half_a_word_gives_the_checksum_of_the_new_words() {
        assert_eq!(replaced_half(checksum(&[0x1234_5678]), 0x5678, 0x4321), checksum(&[0x1234_4321]));
    }
}
