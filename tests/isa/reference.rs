//! An interpreter of the table: as slow and as plain as can be.

use kptrsim::isa::RawInsn;

use super::program::{Outcome, Program, wide};
use super::rows::{Fetch, Meaning, Pair, Table, signed, unsigned};

/// Where the buffer lies.
const BUFFER: u64 = 0x7000_0000_0000;
/// No program of these tests is longer than this.
const MOST: usize = 10_000_000;

struct Reference<'a> {
    table: &'a Table,
    slots: Vec<RawInsn>,
    registers: [u64; 11],
    memory: Vec<u8>,
    /// Where to return to, and the caller's r6 to r9.
    frames: Vec<(usize, [u64; 4])>,
    at: usize,
}

/// Runs a program by the table.
///
/// # Panics
/// If the program does what the table leaves open: a slot without a row, an access outside its memory, no end.
pub fn run(table: &Table, program: &Program) -> Outcome {
    let slots = program.with_prologue(wide(9, BUFFER));
    let memory = program.memory.clone();
    let mut state = Reference { table, slots, registers: [0; 11], memory, frames: Vec::new(), at: 0 };
    for _ in 0..MOST {
        if let Some(value) = state.step() {
            return Outcome { value, memory: state.memory };
        }
    }
    panic!("the program does not end");
}

impl Reference<'_> {
    fn step(&mut self) -> Option<u64> {
        let raw = self.slots[self.at];
        let row = self.table.find(raw).unwrap_or_else(|| panic!("no row has {raw:?}"));
        let (dst, src) = (usize::from(raw.dst), usize::from(raw.src));
        let operand = if row.by_register() { self.registers[src] } else { i64::from(raw.imm) as u64 };
        self.at += 1;
        match row.meaning {
            Meaning::Alu(bits, result) => {
                let value = result(&Pair::new(bits, self.registers[dst], operand));
                self.registers[dst] = unsigned(value, bits) as u64;
            }
            Meaning::JumpIf(bits, holds) => {
                if holds(&Pair::new(bits, self.registers[dst], operand)) {
                    self.jump(raw.offset.into());
                }
            }
            Meaning::Jump => self.jump(raw.offset.into()),
            Meaning::JumpLong => self.jump(raw.imm),
            Meaning::Load(bytes, sign) => {
                let value = self.load(self.place(src, raw.offset), bytes);
                self.registers[dst] = if sign { signed(value, 8 * bytes) as u64 } else { value as u64 };
            }
            Meaning::Store(bytes) => self.store(self.place(dst, raw.offset), bytes, operand.into()),
            Meaning::Atomic(bytes, update, fetch) => {
                let place = self.place(dst, raw.offset);
                let old = self.load(place, bytes);
                let [value, r0] = [operand, self.registers[0]].map(|value| unsigned(value.into(), 8 * bytes));
                self.store(place, bytes, update(old, value, r0));
                match fetch {
                    Fetch::Nothing => {}
                    Fetch::Source => self.registers[src] = old as u64,
                    Fetch::R0 => self.registers[0] = old as u64,
                }
            }
            Meaning::Wide => {
                let high = u64::from(self.slots[self.at].imm as u32);
                self.registers[dst] = high << 32 | u64::from(raw.imm as u32);
                self.at += 1;
            }
            Meaning::CallLocal => {
                let saved = [6, 7, 8, 9].map(|register| self.registers[register]);
                self.frames.push((self.at, saved));
                self.jump(raw.imm);
            }
            Meaning::Exit => match self.frames.pop() {
                None => return Some(self.registers[0]),
                Some((at, saved)) => {
                    self.at = at;
                    self.registers[6..10].copy_from_slice(&saved);
                }
            },
            Meaning::Platform => panic!("{} depends on the platform", row.mnemonic),
        }
        None
    }

    fn jump(&mut self, slots: i32) {
        self.at = (self.at as i64 + i64::from(slots)) as usize;
    }

    fn place(&self, register: usize, offset: i16) -> usize {
        let address = i128::from(self.registers[register]) + i128::from(offset);
        usize::try_from(address - i128::from(BUFFER)).expect("accesses lie in the buffer")
    }

    fn load(&self, place: usize, bytes: u32) -> i128 {
        self.memory[place..][..bytes as usize].iter().rev().fold(0, |value, &byte| value << 8 | i128::from(byte))
    }

    fn store(&mut self, place: usize, bytes: u32, value: i128) {
        for byte in 0..bytes {
            self.memory[place + byte as usize] = (value >> (8 * byte)) as u8;
        }
    }
}
