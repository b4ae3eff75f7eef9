//! The text of an instruction, as the kernel's log prints it (`print_bpf_insn`, `kernel/bpf/disasm.c`, Linux 6.12).

use super::opcode as op;
use super::raw::RawInsn;

/// Names that a disassembly needs and that the instruction does not carry.
pub trait CallName {
    /// The name of a helper, such as `bpf_map_lookup_elem`, or `None` for a number without one.
    fn helper(&self, id: i32) -> Option<&str>;
    /// The name and the BTF id of the kernel function that the call names.
    fn kfunc(&self, raw: RawInsn) -> Option<(&str, u32)>;
    /// The 64-bit immediate as the log shows it, where it is no plain number.
    fn immediate(&self, raw: RawInsn, high: RawInsn) -> Option<String>;
}

const ALU: [&str; 16] =
    ["+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian", "", ""];
const JUMP: [&str; 16] =
    ["jmp", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<=", "", ""];
const CLASS: [&str; 8] = ["ld", "ldx", "st", "stx", "alu", "jmp", "jmp32", "alu64"];

/// The text of one instruction without its address; `high` is the slot behind it (used by the wide load only).
#[must_use]
pub fn disassemble(raw: RawInsn, high: Option<RawInsn>, names: &dyn CallName) -> String {
    let code = raw.opcode;
    let body = match code & op::CLASS_MASK {
        0 => load_body(raw, high, names),
        1 => load_register_body(raw),
        2 if code & op::MODE_MASK == op::MODE_MEM => {
            Ok(format!("*({} *)(r{} {:+}) = {}", unsigned(raw), raw.dst, raw.offset, raw.imm))
        }
        2 => Err(format!("BUG_st_{code:02x}")),
        3 => store_body(raw),
        4 | 7 => Ok(alu_body(raw)),
        _ => Ok(jump_body(raw, names)),
    };
    match body {
        Ok(body) => format!("({code:02x}) {body}"),
        Err(bug) => bug,
    }
}

fn unsigned(raw: RawInsn) -> &'static str {
    ["u32", "u16", "u8", "u64"][usize::from((raw.opcode & op::SIZE_MASK) >> 3)]
}

fn load_body(raw: RawInsn, high: Option<RawInsn>, names: &dyn CallName) -> Result<String, String> {
    match raw.opcode & op::MODE_MASK {
        op::MODE_ABS => Ok(format!("r0 = *({} *)skb[{}]", unsigned(raw), raw.imm)),
        op::MODE_IND => Ok(format!("r0 = *({} *)skb[r{} + {}]", unsigned(raw), raw.src, raw.imm)),
        op::MODE_IMM if raw.is_wide() => {
            let high = high.unwrap_or_default();
            let value = names.immediate(raw, high).unwrap_or_else(|| {
                let full = (u64::from(high.imm as u32) << 32) | u64::from(raw.imm as u32);
                format!("0x{full:x}")
            });
            Ok(format!("r{} = {value}", raw.dst))
        }
        _ => Err(format!("BUG_ld_{:02x}", raw.opcode)),
    }
}

fn load_register_body(raw: RawInsn) -> Result<String, String> {
    let what = match raw.opcode & op::MODE_MASK {
        op::MODE_MEM => unsigned(raw),
        op::MODE_MEMSX => ["s32", "s16", "s8", "s64"][usize::from((raw.opcode & op::SIZE_MASK) >> 3)],
        _ => return Err(format!("BUG_ldx_{:02x}", raw.opcode)),
    };
    Ok(format!("r{} = *({what} *)(r{} {:+})", raw.dst, raw.src, raw.offset))
}

fn store_body(raw: RawInsn) -> Result<String, String> {
    let place = format!("*)(r{} {:+})", raw.dst, raw.offset);
    let size = unsigned(raw);
    let bug = || Err(format!("BUG_{:02x}", raw.opcode));
    match raw.opcode & op::MODE_MASK {
        op::MODE_MEM => Ok(format!("*({size} {place} = r{}", raw.src)),
        op::MODE_ATOMIC => {
            let wide = if size == "u64" { "64" } else { "" };
            let name = match raw.imm & !op::ATOMIC_FETCH {
                op::ATOMIC_ADD => "add",
                op::ATOMIC_AND => "and",
                op::ATOMIC_OR => "or",
                op::ATOMIC_XOR => "xor",
                _ if raw.imm == op::ATOMIC_CMPXCHG => {
                    return Ok(format!("r0 = atomic{wide}_cmpxchg(({size} {place}, r0, r{})", raw.src));
                }
                _ if raw.imm == op::ATOMIC_XCHG => {
                    return Ok(format!("r{} = atomic{wide}_xchg(({size} {place}, r{})", raw.src, raw.src));
                }
                _ => return bug(),
            };
            if raw.imm & op::ATOMIC_FETCH != 0 {
                Ok(format!("r{} = atomic{wide}_fetch_{name}(({size} {place}, r{})", raw.src, raw.src))
            } else {
                let sign = ALU[((raw.imm as u8) >> 4) as usize];
                Ok(format!("lock *({size} {place} {sign} r{}", raw.src))
            }
        }
        _ => bug(),
    }
}

fn alu_body(raw: RawInsn) -> String {
    let narrow = raw.opcode & op::CLASS_MASK == 4;
    let letter = if narrow { 'w' } else { 'r' };
    let by_register = raw.opcode & op::SOURCE_REGISTER != 0;
    let operation = raw.opcode & op::OPERATION_MASK;
    let dst = raw.dst;
    match operation {
        0xd0 if !narrow => return format!("r{dst} = bswap{} r{dst}", raw.imm),
        0xd0 => {
            let order = if by_register { "be" } else { "le" };
            return format!("r{dst} = {order}{} r{dst}", raw.imm);
        }
        0x80 => return format!("{letter}{dst} = -{letter}{dst}"),
        0xb0 if !narrow && by_register && raw.offset == 1 => {
            let spaces = raw.imm as u32;
            return format!("r{dst} = addr_space_cast(r{}, {}, {})", raw.src, spaces >> 16, spaces as u16);
        }
        0xb0 if !narrow && by_register && raw.offset == -1 => {
            return format!("r{dst} = &(void __percpu *)(r{})", raw.src);
        }
        _ => {}
    }
    let signed = raw.offset == 1 && matches!(operation, 0x30 | 0x90);
    let sign = match operation {
        0x30 if signed => "s/=",
        0x90 if signed => "s%=",
        _ => ALU[usize::from(operation >> 4)],
    };
    if !by_register {
        return format!("{letter}{dst} {sign} {}", raw.imm);
    }
    let extension = match (operation, raw.offset) {
        (0xb0, 8) => "(s8)",
        (0xb0, 16) => "(s16)",
        (0xb0, 32) => "(s32)",
        _ => "",
    };
    format!("{letter}{dst} {sign} {extension}{letter}{}", raw.src)
}

fn jump_body(raw: RawInsn, names: &dyn CallName) -> String {
    let narrow = raw.opcode & op::CLASS_MASK == 6;
    let operation = raw.opcode & op::OPERATION_MASK;
    match (operation, narrow) {
        (op::JUMP_CALL, _) => return call_body(raw, names),
        (0x00, false) if raw.opcode == 0x05 => return format!("goto pc{:+}", raw.offset),
        (0x00, true) if raw.opcode == 0x06 => return format!("gotol pc{:+}", raw.imm),
        (op::JUMP_COND, false) if raw.opcode == 0xe5 && raw.src == 0 => {
            return format!("may_goto pc{:+}", raw.offset);
        }
        (op::JUMP_EXIT, false) if raw.opcode == 0x95 => return "exit".to_owned(),
        _ => {}
    }
    let letter = if narrow { 'w' } else { 'r' };
    let sign = JUMP[usize::from(operation >> 4)];
    if raw.opcode & op::SOURCE_REGISTER != 0 {
        format!("if {letter}{} {sign} {letter}{} goto pc{:+}", raw.dst, raw.src, raw.offset)
    } else {
        format!("if {letter}{} {sign} 0x{:x} goto pc{:+}", raw.dst, raw.imm, raw.offset)
    }
}

fn call_body(raw: RawInsn, names: &dyn CallName) -> String {
    match raw.src {
        op::PSEUDO_CALL => format!("call pc{:+}", raw.imm),
        op::PSEUDO_KFUNC_CALL => match names.kfunc(raw) {
            Some((name, id)) => format!("call {name}#{id}"),
            None => format!("call kernel-function#{}", raw.imm),
        },
        _ => format!("call {}#{}", names.helper(raw.imm).unwrap_or("unknown"), raw.imm),
    }
}

/// The name of an instruction class, as some of the kernel's messages print it; only the low three bits count.
#[must_use]
pub fn class_name(opcode: u8) -> &'static str {
    CLASS[usize::from(opcode & op::CLASS_MASK)]
}
