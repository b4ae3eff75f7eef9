//! What is an instruction and what is not.

use std::collections::BTreeMap;

use kptrsim::isa::{DecodeError, RawInsn, decode};
use kptrsim::machine::{End, FaultKind};

use super::program::{Program, exit, insn, mov};
use super::rows::{Group, Table};

/// Values of each field at which some row begins, ends, or says no.
const REGISTERS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 15];
const OFFSETS: [i16; 12] = [0, 1, 2, 8, 16, 24, 32, 64, -1, -8, i16::MIN, i16::MAX];
const IMMEDIATES: [i32; 30] = [
    0,
    1,
    2,
    8,
    16,
    32,
    64,
    0x10,
    0x20,
    0x30,
    0x40,
    0x41,
    0x50,
    0x51,
    0x60,
    0x70,
    0xa0,
    0xa1,
    0xb0,
    0xe0,
    0xe1,
    0xf0,
    0xf1,
    0xff,
    0x100,
    0x1_0000,
    0x1_0001,
    -1,
    i32::MIN,
    i32::MAX,
];

pub fn slots_decode_if_and_only_if_a_row_has_them() {
    let table = Table::new();
    let mut reached = vec![false; table.rows.len()];
    for_each_slot(|raw| {
        let decoded = decode(raw, Some(RawInsn::default()));
        let mut rows = table.of_opcode(raw.opcode).filter(|(_, row)| row.matches(raw));
        let row = rows.next();
        assert_eq!(decoded.is_ok(), row.is_some(), "{raw:?} decodes to {decoded:?}");
        if let Some((index, row)) = row {
            reached[index] = true;
            assert!(rows.next().is_none(), "{raw:?} is {} and something else", row.mnemonic);
        }
    });
    let unreached: Vec<&str> =
        table.rows.iter().zip(&reached).filter(|(_, reached)| !**reached).map(|(row, _)| &*row.mnemonic).collect();
    assert_eq!(unreached, Vec::<&str>::new());
}

/// What each conformance group asks for, counted in the RFC's tables with both sources of an operand.
pub fn groups_are_whole() {
    let mut found = BTreeMap::new();
    for row in &Table::new().rows {
        *found.entry(row.group).or_insert(0) += 1;
    }
    let wanted = [
        (Group::Base32, 67),
        (Group::Base64, 57),
        (Group::Atomic32, 10),
        (Group::Atomic64, 10),
        (Group::DivMul32, 10),
        (Group::DivMul64, 10),
        (Group::Packet, 6),
        (Group::Linux, 3),
    ];
    assert_eq!(found, BTreeMap::from(wanted));
}

fn for_each_slot(mut look: impl FnMut(RawInsn)) {
    for opcode in 0..=u8::MAX {
        for dst in [0, 10, 11] {
            for src in REGISTERS {
                for offset in OFFSETS {
                    for imm in IMMEDIATES {
                        look(RawInsn { opcode, dst, src, offset, imm });
                    }
                }
            }
        }
    }
}

pub fn second_slots() {
    let first = insn(0x18, 1, 0, 0, 7);
    assert_eq!(decode(first, None), Err(DecodeError::BrokenWideLoad));
    for imm in IMMEDIATES {
        assert!(decode(first, Some(insn(0, 0, 0, 0, imm))).is_ok(), "{imm}");
    }
    for bit in 0..32 {
        // The fields before the immediate: opcode, registers, offset.
        let [opcode, registers, low, high] = (1u32 << bit).to_le_bytes();
        let offset = i16::from_le_bytes([low, high]);
        let second = insn(opcode, registers & 15, registers >> 4, offset, 0);
        assert_eq!(decode(first, Some(second)), Err(DecodeError::BrokenWideLoad), "{second:?}");
    }
}

/// Opcodes without a row, and rows with one field that they do not have.
pub fn what_no_row_has_faults() {
    let table = Table::new();
    let mut refused = 0;
    for opcode in 0..=u8::MAX {
        for (dst, src, offset, imm) in [(0, 0, 0, 0), (1, 1, 1, 1), (0, 15, 0, 0), (11, 0, 0, 0), (0, 0, 3, 0)] {
            let raw = insn(opcode, dst, src, offset, imm);
            if table.find(raw).is_some() {
                continue;
            }
            refused += 1;
            let program = Program { slots: vec![mov(0, 0), mov(1, 0), raw, exit()], memory: vec![0; 8] };
            match program.end() {
                End::Fault(fault) => assert!(matches!(fault.kind, FaultKind::BadInstruction(_)), "{raw:?}: {fault:?}"),
                end => panic!("{raw:?}: {end:?}"),
            }
        }
    }
    assert!(refused > 256, "{refused}");
}
