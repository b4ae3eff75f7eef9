//! Random straight-line arithmetic and short jumps: the machine gives what rbpf gives.
//!
//! Left out is what rbpf has wrong: signed division, 32-bit remainders by zero, sign-extending moves, negation of the smallest number, and
//! comparisons with an immediate.

#[path = "../machine/build.rs"]
#[allow(dead_code)]
mod build;

use build::{exit, insn, once, wide};
use kptrsim::isa::RawInsn;
use kptrsim::machine::End;

use crate::Cases;
use crate::domain::Numbers;

/// Programs that can be drawn.
const COUNT: usize = 1_000;
/// Add, sub, mul, div, or, and, shifts, xor, mov, arithmetic shift, by the opcode's upper half.
const ARITHMETIC: [u8; 11] = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0];
/// Conditions, by the opcode's upper half.
const CONDITIONS: [u8; 11] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];

/// The programs.
pub struct Peer;

/// A number that matters, or any.
fn number(numbers: &mut Numbers) -> u64 {
    match numbers.below(4) {
        0 => [0, 1, u64::MAX, 1 << 31, 1 << 63, 0xffff_ffff][numbers.below(6) as usize],
        _ => numbers.next(),
    }
}

fn step(numbers: &mut Numbers) -> RawInsn {
    let (dst, src) = (numbers.below(4) as u8, numbers.below(4) as u8);
    match numbers.below(8) {
        0 => {
            let opcode = CONDITIONS[numbers.below(11) as usize] | 8 | if numbers.below(2) == 0 { 5 } else { 6 };
            insn(opcode, dst, src, 1, 0)
        }
        1 => insn(0x9f, dst, src, 0, 0),
        2 => insn([0xd4, 0xdc][numbers.below(2) as usize], dst, 0, 0, [16, 32, 64][numbers.below(3) as usize]),
        _ => {
            let operation = ARITHMETIC[numbers.below(11) as usize];
            let opcode = operation | if numbers.below(2) == 0 { 4 } else { 7 };
            let imm = numbers.next() as i32;
            let imm = match operation {
                0x30 => imm | 1,
                0x60 | 0x70 | 0xc0 => imm & 31,
                _ => imm,
            };
            if numbers.below(2) == 0 { insn(opcode | 8, dst, src, 0, 0) } else { insn(opcode, dst, 0, 0, imm) }
        }
    }
}

impl Cases for Peer {
    fn count(&self) -> usize {
        COUNT
    }

    fn check(&self, case: usize) -> Result<(), String> {
        let mut numbers = Numbers(case as u64);
        let mut program: Vec<RawInsn> = (0..4).flat_map(|register| wide(register, number(&mut numbers))).collect();
        program.extend((0..1 + numbers.below(12)).map(|_| step(&mut numbers)));
        // The last jump has something to jump over.
        program.push(insn(0xa7, 0, 0, 0, 1));
        program.push(exit());
        let bytes: Vec<u8> = program.iter().flat_map(|slot| slot.to_bytes()).collect();
        let vm = rbpf::EbpfVmNoData::new(Some(&bytes)).map_err(|error| error.to_string())?;
        let peer = vm.execute_program().map_err(|error| error.to_string())?;
        match once(&program) {
            End::Returned(value) if value == peer => Ok(()),
            other => Err(format!("{other:?}, rbpf returns {peer:#x}")),
        }
    }
}
