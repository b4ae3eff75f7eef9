//! Putting a relocation's value into its instruction (`bpf_core_patch_insn`).

use crate::isa::{RawInsn, opcode};

use super::value::Relocated;

/// The call that takes the place of an instruction for which nothing in the kernel fits: the verifier refuses it with
/// `invalid func unknown#195896080`, if it is reached.
const POISON: RawInsn = RawInsn { opcode: 0x85, dst: 0, src: 0, offset: 0, imm: 195_896_080 };

type Slots = (RawInsn, Option<RawInsn>);

/// The instruction's new slots; `second` is the slot behind it, and comes back if it changes.
pub(super) fn patch(first: RawInsn, second: Option<RawInsn>, result: &Relocated) -> Result<Slots, String> {
    match first.opcode & opcode::CLASS_MASK {
        4 | 7 if first.opcode & opcode::SOURCE_REGISTER == 0 => patch_arithmetic(first, result),
        1..=3 => patch_memory(first, result),
        0 if first.is_wide() => patch_wide(first, second, result),
        _ => Err(format!("instruction {:#04x} cannot be relocated", first.opcode)),
    }
}

fn expect(result: &Relocated, found: u64) -> Result<(), String> {
    if result.validate && found != result.original {
        return Err(format!("the instruction holds {found} instead of {}", result.original));
    }
    Ok(())
}

fn patch_arithmetic(first: RawInsn, result: &Relocated) -> Result<Slots, String> {
    if result.poison {
        return Ok((POISON, None));
    }
    expect(result, i64::from(first.imm) as u64)?;
    Ok((RawInsn { imm: result.new as i32, ..first }, None))
}

fn patch_memory(first: RawInsn, result: &Relocated) -> Result<Slots, String> {
    if result.poison {
        return Ok((POISON, None));
    }
    expect(result, i64::from(first.offset) as u64)?;
    let offset = i16::try_from(result.new).map_err(|_| format!("offset {} does not fit", result.new))?;
    if result.bad_resize {
        return Ok((POISON, None));
    }
    let mut insn = RawInsn { offset, ..first };
    if result.original_size != result.new_size {
        const SIZES: [(u32, u8); 4] = [(1, 0x10), (2, 0x08), (4, 0x00), (8, 0x18)];
        let bits_of = |size: u32| SIZES.iter().find(|(bytes, _)| *bytes == size).map(|(_, bits)| *bits);
        if bits_of(result.original_size) != Some(first.opcode & opcode::SIZE_MASK) {
            return Err(format!("the access is not {} bytes wide", result.original_size));
        }
        let bits = bits_of(result.new_size).ok_or_else(|| format!("no access is {} bytes wide", result.new_size))?;
        insn.opcode = (first.opcode & !opcode::SIZE_MASK) | bits;
    }
    Ok((insn, None))
}

fn patch_wide(first: RawInsn, second: Option<RawInsn>, result: &Relocated) -> Result<Slots, String> {
    let plain = |insn: &RawInsn| insn.dst == 0 && insn.opcode == 0;
    let second = second
        .filter(|second| plain(second) && second.src == 0 && second.offset == 0 && first.src == 0 && first.offset == 0)
        .ok_or("the wide load has an unexpected form")?;
    if result.poison {
        return Ok((POISON, Some(POISON)));
    }
    expect(result, u64::from(first.imm as u32) | (u64::from(second.imm as u32) << 32))?;
    let first = RawInsn { imm: result.new as i32, ..first };
    Ok((first, Some(RawInsn { imm: (result.new >> 32) as i32, ..second })))
}
