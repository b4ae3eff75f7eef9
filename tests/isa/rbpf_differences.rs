//! Where rbpf 0.4.1 is not RFC 9669, by name, with the reason. Each is shown, so that a newer rbpf which mends one is noticed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kptrsim::isa::RawInsn;

use super::program::{Program, bytes, exit, insn, mov, wide};

/// One difference.
struct Difference {
    name: &'static str,
    /// The instructions that it is about.
    covers: fn(RawInsn) -> bool,
    /// Does rbpf still do so?
    shown: fn() -> bool,
}

const DIFFERENCES: [Difference; 15] = [
    // It does not look at the offset that makes a division signed.
    Difference {
        name: "signed-division",
        covers: |raw| is_alu(raw) && matches!(raw.opcode & 0xf0, 0x30 | 0x90) && raw.offset == 1,
        shown: || result(&[mov(0, -10), insn(0x37, 0, 0, 1, 3)]) == Some((-10i64 as u64) / 3),
    },
    // Nor at the one that makes a move extend the sign.
    Difference {
        name: "sign-extending-move",
        covers: |raw| matches!(raw.opcode, 0xbc | 0xbf) && raw.offset != 0,
        shown: || result(&[mov(1, 0x80), insn(0xbf, 0, 1, 8, 0)]) == Some(0x80),
    },
    // The 32-bit remainder of a division by zero leaves the upper half as it was.
    Difference {
        name: "remainder-32-by-zero",
        covers: |raw| raw.opcode == 0x9c || raw.opcode == 0x94 && raw.imm == 0,
        shown: || {
            let [low, high] = wide(0, 0xdead_0000_0005);
            result(&[low, high, insn(0x94, 0, 0, 0, 0)]) == Some(0xdead_0000_0005)
        },
    },
    // Unsigned 64-bit conditions extend their immediate with zeroes.
    Difference {
        name: "unsigned-condition-immediate",
        covers: |raw| matches!(raw.opcode, 0x15 | 0x25 | 0x35 | 0x55 | 0xa5 | 0xb5) && raw.imm < 0,
        shown: || result(&[mov(0, -1), insn(0x15, 0, 0, 1, -1), mov(0, 7)]) == Some(7),
    },
    // 64-bit negation of the smallest number overflows, which panics in builds that check for it.
    Difference {
        name: "negation-of-the-smallest",
        covers: |raw| raw.opcode == 0x87,
        shown: || {
            let [low, high] = wide(0, i64::MIN as u64);
            panics(&[low, high, insn(0x87, 0, 0, 0, 0)]) == overflow_is_checked()
        },
    },
    // What follows is refused.
    Difference { name: "byte-swap", covers: |raw| raw.opcode == 0xd7, shown: || refuses(insn(0xd7, 0, 0, 0, 16)) },
    Difference { name: "long-jump", covers: |raw| raw.opcode == 0x06, shown: || refuses(insn(0x06, 0, 0, 0, 0)) },
    Difference {
        name: "sign-extending-load",
        covers: |raw| matches!(raw.opcode, 0x81 | 0x89 | 0x91),
        shown: || [0x81, 0x89, 0x91].iter().all(|&opcode| refuses(insn(opcode, 0, 10, -8, 0))),
    },
    Difference {
        name: "atomic-operations",
        covers: |raw| matches!(raw.opcode, 0xc3 | 0xdb),
        shown: || [0xc3, 0xdb].iter().all(|&opcode| refuses(insn(opcode, 10, 0, -8, 0))),
    },
    Difference {
        name: "call-by-btf-id",
        covers: |raw| raw.opcode == 0x85 && raw.src == 2,
        shown: || refuses(insn(0x85, 0, 2, 0, 1)),
    },
    // A sum of usize and a negative number, which overflows: see negation.
    Difference {
        name: "call-backwards",
        covers: |raw| raw.opcode == 0x85 && raw.src == 1 && raw.imm < 0,
        shown: || {
            let back = [insn(0x05, 0, 0, 2, 0), mov(0, 3), exit(), insn(0x85, 0, 1, 0, -3)];
            panics(&back) == overflow_is_checked()
        },
    },
    // Subtypes are not looked at: maps and functions are numbers.
    Difference {
        name: "wide-load-subtypes",
        covers: |raw| raw.opcode == 0x18 && raw.src != 0,
        shown: || result(&[insn(0x18, 0, 4, 0, 5), insn(0, 0, 0, 0, 0)]) == Some(5),
    },
    // In the host's byte order, and eight bytes must be there. A load of eight bytes exists.
    Difference {
        name: "packet-loads",
        covers: |raw| raw.opcode & 0x07 == 0 && matches!(raw.opcode & 0xe0, 0x20 | 0x40),
        shown: || result(&[insn(0x28, 0, 0, 0, 0)]) == Some(0x0201) && result(&[insn(0x38, 0, 0, 0, 0)]).is_some(),
    },
    // Fields that an instruction does not use may hold anything.
    Difference {
        name: "reserved-fields",
        covers: |_| false,
        shown: || result(&[mov(0, 4), insn(0x07, 0, 3, 9, 1)]) == Some(5),
    },
    // Jumps are reckoned in 16 bits from the program's start.
    Difference {
        name: "far-jumps",
        covers: |raw| matches!(raw.opcode & 0x07, 5 | 6) && raw.offset.unsigned_abs() > 1 << 14,
        shown: || {
            let mut slots = vec![insn(0x05, 0, 0, i16::MAX, 0)];
            slots.extend(vec![mov(0, 1); i16::MAX as usize]);
            panics(&slots)
        },
    },
];

/// Is rbpf right about this instruction, whatever its operands?
pub fn agrees_on(raw: RawInsn) -> bool {
    !DIFFERENCES.iter().any(|difference| (difference.covers)(raw))
}

pub fn each_is_still_there() {
    for difference in &DIFFERENCES {
        assert!((difference.shown)(), "rbpf no longer differs in {}", difference.name);
    }
}

fn is_alu(raw: RawInsn) -> bool {
    matches!(raw.opcode & 0x07, 4 | 7)
}

fn program(slots: &[RawInsn]) -> Program {
    Program { slots: [slots, &[exit()]].concat(), memory: (1..=64).collect() }
}

/// What rbpf returns; `None` if it refuses.
fn result(slots: &[RawInsn]) -> Option<u64> {
    let code = bytes(&program(slots).slots);
    let mut memory = program(slots).memory;
    let vm = rbpf::EbpfVmRaw::new(Some(&code)).ok()?;
    vm.execute_program(&mut memory).ok()
}

fn refuses(raw: RawInsn) -> bool {
    rbpf::EbpfVmRaw::new(Some(&bytes(&[raw, mov(0, 0), exit()]))).is_err()
}

fn panics(slots: &[RawInsn]) -> bool {
    catch_unwind(AssertUnwindSafe(|| program(slots).in_rbpf())).is_err()
}

/// Is this a build in which overflow panics?
fn overflow_is_checked() -> bool {
    let smallest = std::hint::black_box(i64::MIN);
    catch_unwind(|| -smallest).is_err()
}
