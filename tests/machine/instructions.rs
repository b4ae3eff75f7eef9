//! Each instruction with edge values, against a table of its own and against rbpf where rbpf is right.

use kptrsim::isa::RawInsn;
use proptest::prelude::*;

use super::build::*;

/// Numbers at which arithmetic goes wrong first.
const EDGES: [u64; 18] = [
    0,
    1,
    2,
    7,
    31,
    32,
    63,
    64,
    0x7f,
    0x80,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fff6,
    u64::MAX,
];

/// What `dst op src` must give, said again in 128 bits and without the machine's code.
fn expected(opcode: u8, offset: i16, dst: u64, src: u64) -> u64 {
    let wide = opcode & 7 == 7;
    let bits = if wide { 64 } else { 32 };
    let mask = if wide { u128::from(u64::MAX) } else { 0xffff_ffff };
    let (a, b) = (u128::from(dst) & mask, u128::from(src) & mask);
    let sign = |x: u128| if x >> (bits - 1) & 1 == 1 { x as i128 - (1i128 << bits) } else { x as i128 };
    let shift = (b % bits as u128) as u32;
    let result: i128 = match (opcode & 0xf0, offset) {
        (0x00, _) => (a + b) as i128,
        (0x10, _) => a as i128 - b as i128,
        (0x20, _) => a.wrapping_mul(b) as i128,
        (0x30, 0) => a.checked_div(b).unwrap_or(0) as i128,
        (0x30, _) => sign(a).checked_div(sign(b)).unwrap_or(0),
        (0x40, _) => (a | b) as i128,
        (0x50, _) => (a & b) as i128,
        (0x60, _) => (a << shift) as i128,
        (0x70, _) => (a >> shift) as i128,
        (0x80, _) => -(a as i128),
        (0x90, 0) => a.checked_rem(b).unwrap_or(a) as i128,
        (0x90, _) => sign(a).checked_rem(sign(b)).unwrap_or(a as i128),
        (0xa0, _) => (a ^ b) as i128,
        (0xb0, _) => b as i128,
        (0xc0, _) => sign(a) >> shift,
        _ => unreachable!("not an arithmetic operation"),
    };
    (result as u128 & mask) as u64
}

fn alu(opcode: u8, offset: i16, dst: u64, src: u64) -> Vec<RawInsn> {
    let mut program = wide(0, dst).to_vec();
    program.extend(wide(1, src));
    program.push(insn(opcode, 0, if opcode & 8 != 0 { 1 } else { 0 }, offset, 0));
    program.push(exit());
    program
}

#[test]
fn arithmetic_on_edge_values() {
    let plain = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0].map(|op| (op | 8, 0));
    let all = plain.into_iter().chain([(0x38, 1), (0x98, 1), (0x80, 0)]);
    for (operation, offset) in all {
        for class in [4, 7] {
            for dst in EDGES {
                for src in EDGES {
                    let opcode = operation | class;
                    let found = value(&once(&alu(opcode, offset, dst, src)));
                    let wanted = expected(opcode, offset, dst, src);
                    assert_eq!(found, wanted, "opcode {opcode:#x} offset {offset}: {dst:#x}, {src:#x}");
                }
            }
        }
    }
}

#[test]
fn division_follows_the_kernel_where_processors_trap() {
    let run = |opcode, offset, dst: u64, src: u64| value(&once(&alu(opcode, offset, dst, src)));
    let min = i64::MIN as u64;
    assert_eq!(run(0x3f, 0, 5, 0), 0, "division by zero is zero");
    assert_eq!(run(0x9f, 0, 5, 0), 5, "the remainder of it is the dividend");
    assert_eq!(run(0x9c, 0, 0xdead_0000_0005, 0), 5, "in 32 bits its low half");
    assert_eq!(run(0x3f, 1, min, u64::MAX), min);
    assert_eq!(run(0x9f, 1, min, u64::MAX), 0);
    assert_eq!(run(0x3c, 1, 0x8000_0000, 0xffff_ffff), 0x8000_0000);
    assert_eq!(run(0x3f, 1, -10i64 as u64, 3), -3i64 as u64);
    assert_eq!(run(0x9f, 1, -10i64 as u64, 3), -1i64 as u64);
}

#[test]
fn immediates_are_sign_extended() {
    for (opcode, wanted) in [(0xb7, u64::MAX), (0xb4, 0xffff_ffff)] {
        assert_eq!(value(&once(&[insn(opcode, 0, 0, 0, -1), exit()])), wanted);
    }
    // if r1 == -1 is taken for r1 = -1 (rbpf gets this wrong).
    let mut program = wide(1, u64::MAX).to_vec();
    program.extend([mov(0, 1), if_equal(1, -1, 1), mov(0, 0), exit()]);
    assert_eq!(value(&once(&program)), 1);
}

#[test]
fn moves_and_loads_extend_the_sign() {
    let value_of = 0x8000_8000_8000_8080u64;
    for (class, offset, wanted) in [
        (7, 8, 0xffff_ffff_ffff_ff80),
        (7, 16, 0xffff_ffff_ffff_8080),
        (7, 32, 0xffff_ffff_8000_8080),
        (4, 8, 0xffff_ff80),
        (4, 16, 0xffff_8080),
    ] {
        let mut program = wide(1, value_of).to_vec();
        program.extend([insn(0xb8 | class, 0, 1, offset, 0), exit()]);
        assert_eq!(value(&once(&program)), wanted, "class {class}, {offset} bits");
    }
    // Loads: opcode, then what it reads of the stored number.
    for (opcode, wanted) in [
        (0x71, 0x80),
        (0x69, 0x8080),
        (0x61, 0x8000_8080),
        (0x79, value_of),
        (0x91, 0xffff_ffff_ffff_ff80),
        (0x89, 0xffff_ffff_ffff_8080),
        (0x81, 0xffff_ffff_8000_8080),
    ] {
        let mut program = wide(1, value_of).to_vec();
        program.extend([store(10, -8, 1), insn(opcode, 0, 10, -8, 0), exit()]);
        assert_eq!(value(&once(&program)), wanted, "load {opcode:#x}");
    }
}

#[test]
fn stores_touch_just_their_bytes() {
    for (size, register, immediate, mask) in
        [(1, 0x73, 0x72, 0xffu64), (2, 0x6b, 0x6a, 0xffff), (4, 0x63, 0x62, 0xffff_ffff), (8, 0x7b, 0x7a, u64::MAX)]
    {
        let before = 0x1122_3344_5566_7788u64;
        let mut program = wide(1, before).to_vec();
        program.extend([store(10, -8, 1), mov(2, -3), insn(register, 10, 2, -8, 0), load(0, 10, -8), exit()]);
        let wanted = (before & !mask) | (-3i64 as u64 & mask);
        assert_eq!(value(&once(&program)), wanted, "{size} bytes from a register");
        let mut program = wide(1, before).to_vec();
        program.extend([store(10, -8, 1), insn(immediate, 10, 0, -8, -3), load(0, 10, -8), exit()]);
        assert_eq!(value(&once(&program)), wanted, "{size} bytes of an immediate");
    }
}

#[test]
fn byte_swaps() {
    let number = 0x0102_0304_0506_0708u64;
    for (opcode, bits, wanted) in [
        (0xd4, 16, 0x0708),
        (0xd4, 32, 0x0506_0708),
        (0xd4, 64, number),
        (0xdc, 16, 0x0807),
        (0xdc, 32, 0x0807_0605),
        (0xdc, 64, 0x0807_0605_0403_0201),
        (0xd7, 16, 0x0807),
        (0xd7, 32, 0x0807_0605),
        (0xd7, 64, 0x0807_0605_0403_0201),
    ] {
        let mut program = wide(0, number).to_vec();
        program.extend([insn(opcode, 0, 0, 0, bits), exit()]);
        assert_eq!(value(&once(&program)), wanted, "{opcode:#x} {bits}");
    }
}

#[test]
fn conditions_on_edge_values() {
    type Holds = fn(u64, u64) -> bool;
    let conditions: [(u8, Holds); 11] = [
        (0x10, |a, b| a == b),
        (0x20, |a, b| a > b),
        (0x30, |a, b| a >= b),
        (0x40, |a, b| a & b != 0),
        (0x50, |a, b| a != b),
        (0x60, |a, b| (a as i64) > b as i64),
        (0x70, |a, b| a as i64 >= b as i64),
        (0xa0, |a, b| a < b),
        (0xb0, |a, b| a <= b),
        (0xc0, |a, b| (a as i64) < b as i64),
        (0xd0, |a, b| a as i64 <= b as i64),
    ];
    for (operation, holds) in conditions {
        for dst in EDGES {
            for src in EDGES {
                let program = |class: u8| {
                    let mut program = wide(1, dst).to_vec();
                    program.extend(wide(2, src));
                    program.extend([mov(0, 1), insn(operation | 8 | class, 1, 2, 1, 0), mov(0, 0), exit()]);
                    value(&once(&program)) == 1
                };
                assert_eq!(program(5), holds(dst, src), "{operation:#x}: {dst:#x}, {src:#x}");
                // Narrow: shifting both up keeps every relation of the low halves.
                let (low_dst, low_src) = (dst << 32, src << 32);
                assert_eq!(program(6), holds(low_dst, low_src), "narrow {operation:#x}: {dst:#x}, {src:#x}");
            }
        }
    }
}

#[test]
fn atomics_of_both_widths() {
    let (old, operand) = (0xffff_ffff_ffff_fff0u64, 0x1_0000_001fu64);
    // Immediate, memory afterwards in 64 bits, does the source register get the old value?
    for (imm, wanted, fetches) in [
        (0x00, old.wrapping_add(operand), false),
        (0x01, old.wrapping_add(operand), true),
        (0x40, old | operand, false),
        (0x41, old | operand, true),
        (0x50, old & operand, false),
        (0x51, old & operand, true),
        (0xa0, old ^ operand, false),
        (0xa1, old ^ operand, true),
        (0xe1, operand, true),
    ] {
        for (opcode, mask) in [(0xdb, u64::MAX), (0xc3, 0xffff_ffff)] {
            let program = |result: RawInsn| {
                let mut program = wide(1, old).to_vec();
                program.push(store(10, -8, 1));
                program.extend(wide(2, operand));
                program.extend([insn(opcode, 10, 2, -8, imm), result, exit()]);
                value(&once(&program))
            };
            let memory = (old & !mask) | (wanted & mask);
            assert_eq!(program(load(0, 10, -8)), memory, "memory after {imm:#x} on {opcode:#x}");
            let source = if fetches { old & mask } else { operand };
            assert_eq!(program(copy(0, 2)), source, "register after {imm:#x} on {opcode:#x}");
        }
    }
}

#[test]
fn compare_and_exchange_returns_the_old_value() {
    for (expected, wanted) in [(5, 9), (6, 5)] {
        let program = |result: RawInsn| {
            let body = [mov(1, 5), store(10, -8, 1), mov(0, expected), mov(2, 9), insn(0xdb, 10, 2, -8, 0xf1)];
            let mut program = body.to_vec();
            program.extend([result, exit()]);
            value(&once(&program))
        };
        assert_eq!(program(load(0, 10, -8)), wanted);
        assert_eq!(program(copy(0, 0)), 5);
    }
}

#[test]
fn jumps_far_and_loops_that_may_go_on() {
    // gotol over one instruction.
    assert_eq!(value(&once(&[mov(0, 3), insn(0x06, 0, 0, 0, 1), mov(0, 4), exit()])), 3);
    // A loop without end leaves through may_goto after 8 million rounds; the budget of instructions ends it first.
    let endless = [mov(0, 0), insn(0xe5, 0, 0, 2, 0), add(0, 1), insn(0x05, 0, 0, -3, 0), exit()];
    let end = once(&endless);
    assert!(matches!(end, kptrsim::machine::End::Limit(..)), "{end:?}");
}

#[test]
fn functions_have_their_own_registers_and_stack() {
    // r6 survives the call, r0 is the result, and the callee's frame is another one.
    let program = [
        mov(6, 40),
        store(10, -8, 6),
        mov(1, 2),
        insn(0x85, 0, 1, 0, 3),
        insn(0x0f, 0, 6, 0, 0),
        load(1, 10, -8),
        exit(),
        mov(6, 1),
        store(10, -8, 6),
        copy(0, 1),
        exit(),
    ];
    assert_eq!(value(&once(&program)), 42);
}

proptest! {
    /// Random arithmetic on four registers gives what rbpf gives. Left out are the operations that rbpf has wrong
    /// (signed division, 32-bit remainder by zero, sign-extending moves, negation of the smallest number).
    #[test]
    fn straight_line_programs_agree_with_rbpf(
        seeds in prop::array::uniform4(any::<u64>()),
        steps in prop::collection::vec((0usize..11, 0u8..2, 0u8..2, 0u8..4, 0u8..4, any::<i32>()), 1..40),
    ) {
        const OPERATIONS: [u8; 11] = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0];
        let mut program = Vec::new();
        for (register, seed) in seeds.into_iter().enumerate() {
            program.extend(wide(register as u8, seed));
        }
        for (operation, class, by_register, dst, src, imm) in steps {
            let opcode = OPERATIONS[operation] | if class == 0 { 4 } else { 7 };
            let imm = match OPERATIONS[operation] {
                0x30 => imm | 1,
                0x60 | 0x70 | 0xc0 => imm & 31,
                _ => imm,
            };
            program.push(if by_register == 1 {
                insn(opcode | 8, dst, src, 0, 0)
            } else {
                insn(opcode, dst, 0, 0, imm)
            });
        }
        program.push(exit());
        let bytes: Vec<u8> = program.iter().flat_map(|slot| slot.to_bytes()).collect();
        let vm = rbpf::EbpfVmNoData::new(Some(&bytes)).expect("rbpf takes the program");
        let peer = vm.execute_program().expect("rbpf runs the program");
        prop_assert_eq!(value(&once(&program)), peer);
    }
}
