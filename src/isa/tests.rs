//! Encoding, decoding and disassembly against the kernel's tables and wording.

use proptest::prelude::*;

use super::*;

struct NoNames;

impl CallName for NoNames {
    fn helper(&self, id: i32) -> Option<&str> {
        (id == 1).then_some("bpf_map_lookup_elem")
    }
    fn kfunc(&self, raw: RawInsn) -> Option<(&str, u32)> {
        (raw.imm == 7).then_some(("bpf_percpu_obj_new_impl", 32492))
    }
    fn immediate(&self, raw: RawInsn, _: RawInsn) -> Option<String> {
        (raw.src == opcode::PSEUDO_MAP_FD).then(|| format!("map{}", raw.imm))
    }
}

fn raw(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> RawInsn {
    RawInsn { opcode, dst, src, offset, imm }
}

/// `bpf_opcode_in_insntable` (`kernel/bpf/core.c`, 6.12), from the sets of operations and not from our decoder.
fn in_kernel_table(opcode: u8) -> bool {
    let (class, high, by_register) = (opcode & 7, opcode >> 4, opcode & 8 != 0);
    let (size, mode) = ((opcode >> 3) & 3, opcode >> 5);
    match class {
        // LD: the wide load, and legacy packet access of 4, 2 and 1 bytes.
        0 => opcode == 0x18 || (matches!(mode, 1 | 2) && size != 3),
        1 => mode == 3 || (mode == 4 && size != 3),
        2 => mode == 3,
        3 => mode == 3 || (mode == 6 && matches!(size, 0 | 3)),
        4 => matches!(high, 0..=7 | 9..=13) || (high == 8 && !by_register),
        7 => matches!(high, 0..=7 | 9..=12) || (matches!(high, 8 | 13) && !by_register),
        5 => matches!(high, 1..=7 | 10..=13) || (matches!(high, 0 | 8 | 9 | 14) && !by_register),
        _ => matches!(high, 1..=7 | 10..=13) || (high == 0 && !by_register),
    }
}

#[test]
fn exactly_the_kernels_opcodes_decode() {
    for code in 0..=255 {
        let results: Vec<_> = [0, 16].map(|imm| decode(raw(code, 0, 0, 0, imm), Some(RawInsn::default()))).into();
        if in_kernel_table(code) {
            assert!(results.iter().any(Result::is_ok), "{code:#04x} must decode: {results:?}");
        } else {
            // Loads are looked at for their mode and unused fields before their opcode is looked up.
            let is_load = code & 0x07 == 1;
            let refused = |result: &Result<Insn, DecodeError>| match result {
                Err(DecodeError::UnknownOpcode(unknown)) => *unknown == code,
                Err(DecodeError::ReservedFields(what)) => is_load && *what == "BPF_LDX",
                _ => false,
            };
            assert!(results.iter().all(refused), "{code:#04x} must not decode: {results:?}");
        }
    }
}

#[test]
fn each_class_reads_as_in_the_kernels_log() {
    let cases = [
        (raw(0xb7, 1, 0, 0, -5), "(b7) r1 = -5"),
        (raw(0xbc, 1, 2, 0, 0), "(bc) w1 = w2"),
        (raw(0xbf, 1, 2, 16, 0), "(bf) r1 = (s16)r2"),
        (raw(0x37, 3, 0, 1, 7), "(37) r3 s/= 7"),
        (raw(0x9c, 3, 4, 1, 0), "(9c) w3 s%= w4"),
        (raw(0x87, 3, 0, 0, 0), "(87) r3 = -r3"),
        (raw(0xc7, 3, 0, 0, 3), "(c7) r3 s>>= 3"),
        (raw(0xdc, 1, 0, 0, 16), "(dc) r1 = be16 r1"),
        (raw(0xd7, 1, 0, 0, 64), "(d7) r1 = bswap64 r1"),
        (raw(0xbf, 1, 2, 1, 1 << 16), "(bf) r1 = addr_space_cast(r2, 1, 0)"),
        (raw(0x61, 1, 10, -8, 0), "(61) r1 = *(u32 *)(r10 -8)"),
        (raw(0x91, 1, 2, 4, 0), "(91) r1 = *(s8 *)(r2 +4)"),
        (raw(0x7a, 10, 0, -8, 3), "(7a) *(u64 *)(r10 -8) = 3"),
        (raw(0x6b, 10, 1, -2, 0), "(6b) *(u16 *)(r10 -2) = r1"),
        (raw(0xdb, 1, 2, 0, 0), "(db) lock *(u64 *)(r1 +0) += r2"),
        (raw(0xc3, 1, 2, 0, 0x51), "(c3) r2 = atomic_fetch_and((u32 *)(r1 +0), r2)"),
        (raw(0xdb, 1, 2, 8, 0xe1), "(db) r2 = atomic64_xchg((u64 *)(r1 +8), r2)"),
        (raw(0xdb, 1, 2, 8, 0xf1), "(db) r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)"),
        (raw(0x30, 0, 0, 0, 14), "(30) r0 = *(u8 *)skb[14]"),
        (raw(0x48, 0, 6, 0, 2), "(48) r0 = *(u16 *)skb[r6 + 2]"),
        (raw(0x05, 0, 0, -3, 0), "(05) goto pc-3"),
        (raw(0x06, 0, 0, 0, 70000), "(06) gotol pc+70000"),
        (raw(0xe5, 0, 0, 4, 0), "(e5) may_goto pc+4"),
        (raw(0x55, 1, 0, 5, -1), "(55) if r1 != 0xffffffff goto pc+5"),
        (raw(0x6e, 1, 2, 5, 0), "(6e) if w1 s> w2 goto pc+5"),
        (raw(0x85, 0, 0, 0, 1), "(85) call bpf_map_lookup_elem#1"),
        (raw(0x85, 0, 0, 0, 195_896_080), "(85) call unknown#195896080"),
        (raw(0x85, 0, 1, 0, 9), "(85) call pc+9"),
        (raw(0x85, 0, 2, 0, 7), "(85) call bpf_percpu_obj_new_impl#32492"),
        (raw(0x95, 0, 0, 0, 0), "(95) exit"),
        (raw(0x18, 1, 1, 0, 4), "(18) r1 = map4"),
    ];
    for (insn, text) in cases {
        assert_eq!(disassemble(insn, Some(RawInsn::default()), &NoNames), text);
        assert!(decode(insn, Some(RawInsn::default())).is_ok(), "{text}");
    }
    let wide = disassemble(raw(0x18, 1, 0, 0, -1), Some(raw(0, 0, 0, 0, 1)), &NoNames);
    assert_eq!(wide, "(18) r1 = 0x1ffffffff");
}

#[test]
fn reserved_fields_and_registers_are_refused() {
    let refused = |insn| decode(insn, Some(RawInsn::default())).expect_err("it must be refused").to_string();
    assert_eq!(refused(raw(0x07, 1, 1, 0, 0)), "BPF_ALU uses reserved fields");
    assert_eq!(refused(raw(0x61, 1, 2, 0, 1)), "BPF_LDX uses reserved fields");
    assert_eq!(refused(raw(0xb7, 11, 0, 0, 0)), "R11 is invalid");
    assert_eq!(refused(raw(0xdb, 1, 2, 0, 0x12)), "BPF_ATOMIC uses invalid atomic opcode 12");
    assert_eq!(decode(raw(0x18, 1, 0, 0, 0), None), Err(DecodeError::BrokenWideLoad));
}

proptest! {
    #[test]
    fn bytes_and_slots_are_the_same(bytes in prop::collection::vec(any::<[u8; 8]>(), 0..20)) {
        let flat: Vec<u8> = bytes.concat();
        let slots = RawInsn::read_all(&flat);
        prop_assert_eq!(slots.len(), bytes.len());
        let again: Vec<[u8; 8]> = slots.iter().map(|slot| slot.to_bytes()).collect();
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn any_slot_decodes_or_is_refused_and_disassembles(first: [u8; 8], second: [u8; 8]) {
        let slots = RawInsn::read_all(&[first, second].concat());
        if let Ok(insn) = decode(slots[0], Some(slots[1])) {
            prop_assert!(in_kernel_table(slots[0].opcode));
            prop_assert_eq!(insn.slots() == 2, slots[0].is_wide());
        }
        prop_assert!(!disassemble(slots[0], Some(slots[1]), &NoNames).is_empty());
    }
}
