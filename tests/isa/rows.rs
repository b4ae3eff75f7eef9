//! RFC 9669 as a table: one row for each instruction, with its encoding and with what it means in plain wide arithmetic.
//!
//! Nothing here uses the crate's decoder or its arithmetic: that is what the rows are there to judge. Rows of the group
//! [`Group::Linux`] are not in the RFC; a Linux 6.12 kernel has them.

use kptrsim::isa::RawInsn;

/// What may stand in a field of an encoded instruction.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// The number of a register, 0 to 10.
    Register,
    /// Anything.
    Any,
    /// This alone; 0 in fields that an instruction does not use.
    Only(i32),
}

const ZERO: Field = Field::Only(0);

impl Field {
    fn allows(self, value: i32) -> bool {
        match self {
            Field::Register => (0..=10).contains(&value),
            Field::Any => true,
            Field::Only(one) => value == one,
        }
    }
}

/// Conformance groups (RFC 9669, section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Base32,
    Base64,
    Atomic32,
    Atomic64,
    DivMul32,
    DivMul64,
    Packet,
    Linux,
}

/// Both operands of an operation of 32 or 64 bits, each read without and with sign.
pub struct Pair {
    pub d: i128,
    pub s: i128,
    pub signed_d: i128,
    pub signed_s: i128,
    /// What shift counts are masked with: 31 or 63.
    pub mask: i128,
}

impl Pair {
    pub fn new(bits: u32, dst: u64, src: u64) -> Pair {
        let [d, s] = [dst, src].map(|value| unsigned(value.into(), bits));
        Pair { d, s, signed_d: signed(d, bits), signed_s: signed(s, bits), mask: i128::from(bits) - 1 }
    }
}

/// The low bits of a number, read without sign.
pub fn unsigned(value: i128, bits: u32) -> i128 {
    value & ((1 << bits) - 1)
}

/// The low bits of a number, read with sign.
pub fn signed(value: i128, bits: u32) -> i128 {
    let low = unsigned(value, bits);
    if low >= 1 << (bits - 1) { low - (1 << bits) } else { low }
}

/// The low bytes of a number in opposite order.
fn reversed(value: i128, bytes: u32) -> i128 {
    (0..bytes).fold(0, |result, byte| result << 8 | (value >> (8 * byte) & 0xff))
}

/// Which register receives what an atomic operation found in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    Nothing,
    Source,
    R0,
}

/// Memory's old value, the source and `r0`, each of the access's width, to memory's new value.
pub type Update = fn(i128, i128, i128) -> i128;

/// What an instruction does.
#[derive(Clone, Copy)]
pub enum Meaning {
    /// Puts the low bits (32 or 64) of the result into `dst`, and zero above them.
    Alu(u32, fn(&Pair) -> i128),
    /// Goes on `offset` slots further if this holds of both operands' low bits.
    JumpIf(u32, fn(&Pair) -> bool),
    /// Goes on `offset` slots further.
    Jump,
    /// Goes on `imm` slots further.
    JumpLong,
    /// `dst = *(size *)(src + offset)`: number of bytes, and are they read with sign?
    Load(u32, bool),
    /// `*(size *)(dst + offset) = src` or `imm`: number of bytes.
    Store(u32),
    /// `*(size *)(dst + offset) =` what the function says: number of bytes.
    Atomic(u32, Update, Fetch),
    /// `dst = next_imm << 32 | imm`.
    Wide,
    /// Calls a function of the program, `imm` slots further.
    CallLocal,
    /// Returns.
    Exit,
    /// Depends on the platform: helpers, maps, packets. Only the encoding is described here.
    Platform,
}

/// One instruction.
#[derive(Clone)]
pub struct Row {
    pub mnemonic: String,
    pub opcode: u8,
    pub dst: Field,
    pub src: Field,
    pub offset: Field,
    pub imm: Field,
    pub group: Group,
    pub meaning: Meaning,
}

impl Row {
    /// Is the slot an encoding of this instruction?
    pub fn matches(&self, raw: RawInsn) -> bool {
        self.opcode == raw.opcode
            && self.dst.allows(raw.dst.into())
            && self.src.allows(raw.src.into())
            && self.offset.allows(raw.offset.into())
            && self.imm.allows(raw.imm)
    }

    /// Does its second operand come from a register?
    pub fn by_register(&self) -> bool {
        matches!(self.src, Field::Register)
    }
}

type Arithmetic = (u8, i32, &'static str, fn(&Pair) -> i128);

/// Section 4.1: code, offset, name, meaning.
const ARITHMETIC: [Arithmetic; 14] = [
    (0x0, 0, "add", |n| n.d + n.s),
    (0x1, 0, "sub", |n| n.d - n.s),
    (0x2, 0, "mul", |n| n.d.wrapping_mul(n.s)),
    (0x3, 0, "div", |n| if n.s != 0 { n.d / n.s } else { 0 }),
    (0x3, 1, "sdiv", |n| if n.s != 0 { n.signed_d / n.signed_s } else { 0 }),
    (0x4, 0, "or", |n| n.d | n.s),
    (0x5, 0, "and", |n| n.d & n.s),
    (0x6, 0, "lsh", |n| n.d << (n.s & n.mask)),
    (0x7, 0, "rsh", |n| n.d >> (n.s & n.mask)),
    (0x9, 0, "mod", |n| if n.s != 0 { n.d % n.s } else { n.d }),
    // a % n = a - n * trunc(a / n), and division of integers truncates.
    (0x9, 1, "smod", |n| if n.s != 0 { n.signed_d - n.signed_s * (n.signed_d / n.signed_s) } else { n.d }),
    (0xa, 0, "xor", |n| n.d ^ n.s),
    (0xb, 0, "mov", |n| n.s),
    (0xc, 0, "arsh", |n| n.signed_d >> (n.s & n.mask)),
];

type SignExtension = (u8, u32, i32, &'static str, fn(&Pair) -> i128);

/// Section 4.1, `MOVSX`: opcode, bits, offset, name, meaning.
const SIGN_EXTENSIONS: [SignExtension; 5] = [
    (0xbc, 32, 8, "movsx32 s8", |n| signed(n.s, 8)),
    (0xbc, 32, 16, "movsx32 s16", |n| signed(n.s, 16)),
    (0xbf, 64, 8, "movsx64 s8", |n| signed(n.s, 8)),
    (0xbf, 64, 16, "movsx64 s16", |n| signed(n.s, 16)),
    (0xbf, 64, 32, "movsx64 s32", |n| signed(n.s, 32)),
];

type Swap = (u8, i32, &'static str, fn(&Pair) -> i128);

/// Section 4.2, on a host of little byte order: opcode, imm, name, meaning.
const SWAPS: [Swap; 9] = [
    (0xd4, 16, "le16", |n| unsigned(n.d, 16)),
    (0xd4, 32, "le32", |n| unsigned(n.d, 32)),
    (0xd4, 64, "le64", |n| n.d),
    (0xdc, 16, "be16", |n| reversed(n.d, 2)),
    (0xdc, 32, "be32", |n| reversed(n.d, 4)),
    (0xdc, 64, "be64", |n| reversed(n.d, 8)),
    (0xd7, 16, "bswap16", |n| reversed(n.d, 2)),
    (0xd7, 32, "bswap32", |n| reversed(n.d, 4)),
    (0xd7, 64, "bswap64", |n| reversed(n.d, 8)),
];

type Condition = (u8, &'static str, fn(&Pair) -> bool);

/// Section 4.3: code, name, condition.
const CONDITIONS: [Condition; 11] = [
    (0x1, "jeq", |n| n.d == n.s),
    (0x2, "jgt", |n| n.d > n.s),
    (0x3, "jge", |n| n.d >= n.s),
    (0x4, "jset", |n| n.d & n.s != 0),
    (0x5, "jne", |n| n.d != n.s),
    (0x6, "jsgt", |n| n.signed_d > n.signed_s),
    (0x7, "jsge", |n| n.signed_d >= n.signed_s),
    (0xa, "jlt", |n| n.d < n.s),
    (0xb, "jle", |n| n.d <= n.s),
    (0xc, "jslt", |n| n.signed_d < n.signed_s),
    (0xd, "jsle", |n| n.signed_d <= n.signed_s),
];

/// Section 5.3: imm, name, memory's new value, who gets the old one.
const ATOMICS: [(i32, &str, Update, Fetch); 10] = [
    (0x00, "add", |old, src, _| old + src, Fetch::Nothing),
    (0x01, "fetch_add", |old, src, _| old + src, Fetch::Source),
    (0x40, "or", |old, src, _| old | src, Fetch::Nothing),
    (0x41, "fetch_or", |old, src, _| old | src, Fetch::Source),
    (0x50, "and", |old, src, _| old & src, Fetch::Nothing),
    (0x51, "fetch_and", |old, src, _| old & src, Fetch::Source),
    (0xa0, "xor", |old, src, _| old ^ src, Fetch::Nothing),
    (0xa1, "fetch_xor", |old, src, _| old ^ src, Fetch::Source),
    (0xe1, "xchg", |_, src, _| src, Fetch::Source),
    (0xf1, "cmpxchg", |old, src, r0| if old == r0 { src } else { old }, Fetch::R0),
];

/// Sizes: bits of the opcode, bytes, suffix.
const SIZES: [(u8, u32, &str); 4] = [(0x00, 4, "w"), (0x08, 2, "h"), (0x10, 1, "b"), (0x18, 8, "dw")];

/// All rows, and where each opcode's are.
pub struct Table {
    pub rows: Vec<Row>,
    by_opcode: Vec<Vec<usize>>,
}

impl Table {
    pub fn new() -> Table {
        let rows = [arithmetic(), jumps(), memory(), platform()].concat();
        let of = |opcode: u8| (0..rows.len()).filter(|&index| rows[index].opcode == opcode).collect();
        let by_opcode = (0..=u8::MAX).map(of).collect();
        Table { rows, by_opcode }
    }

    /// Rows with that opcode, with their indexes.
    pub fn of_opcode(&self, opcode: u8) -> impl Iterator<Item = (usize, &Row)> {
        self.by_opcode[usize::from(opcode)].iter().map(|&index| (index, &self.rows[index]))
    }

    /// The row that the slot encodes.
    pub fn find(&self, raw: RawInsn) -> Option<&Row> {
        self.of_opcode(raw.opcode).map(|(_, row)| row).find(|row| row.matches(raw))
    }
}

fn row(mnemonic: impl Into<String>, opcode: u8, fields: [Field; 4], group: Group, meaning: Meaning) -> Row {
    let [dst, src, offset, imm] = fields;
    Row { mnemonic: mnemonic.into(), opcode, dst, src, offset, imm, group, meaning }
}

fn arithmetic() -> Vec<Row> {
    use Field::{Any, Only, Register};
    let mut rows = Vec::new();
    for (class, bits) in [(4, 32), (7, 64)] {
        let narrow = bits == 32;
        for (code, offset, name, meaning) in ARITHMETIC {
            let group = match (code, narrow) {
                (0x2 | 0x3 | 0x9, true) => Group::DivMul32,
                (0x2 | 0x3 | 0x9, false) => Group::DivMul64,
                (_, true) => Group::Base32,
                (_, false) => Group::Base64,
            };
            for (source, src, imm) in [(0x0, ZERO, Any), (0x8, Register, ZERO)] {
                let fields = [Register, src, Only(offset), imm];
                let letter = if source == 0 { "k" } else { "x" };
                let opcode = code << 4 | source | class;
                rows.push(row(format!("{name}{bits} {letter}"), opcode, fields, group, Meaning::Alu(bits, meaning)));
            }
        }
        let group = if narrow { Group::Base32 } else { Group::Base64 };
        let fields = [Register, ZERO, ZERO, ZERO];
        rows.push(row(format!("neg{bits}"), 0x80 | class, fields, group, Meaning::Alu(bits, |n| -n.d)));
    }
    for (opcode, bits, offset, name, meaning) in SIGN_EXTENSIONS {
        let group = if bits == 32 { Group::Base32 } else { Group::Base64 };
        rows.push(row(name, opcode, [Register, Register, Only(offset), ZERO], group, Meaning::Alu(bits, meaning)));
    }
    for (opcode, imm, name, meaning) in SWAPS {
        let group = if imm == 64 { Group::Base64 } else { Group::Base32 };
        rows.push(row(name, opcode, [Register, ZERO, ZERO, Only(imm)], group, Meaning::Alu(64, meaning)));
    }
    rows
}

fn jumps() -> Vec<Row> {
    use Field::{Any, Only, Register};
    let mut rows = Vec::new();
    for (class, bits, group) in [(5, 64, Group::Base64), (6, 32, Group::Base32)] {
        for (code, name, holds) in CONDITIONS {
            for (source, src, imm) in [(0x0, ZERO, Any), (0x8, Register, ZERO)] {
                let letter = if source == 0 { "k" } else { "x" };
                let fields = [Register, src, Any, imm];
                let opcode = code << 4 | source | class;
                rows.push(row(format!("{name}{bits} {letter}"), opcode, fields, group, Meaning::JumpIf(bits, holds)));
            }
        }
    }
    rows.push(row("ja", 0x05, [ZERO, ZERO, Any, ZERO], Group::Base32, Meaning::Jump));
    rows.push(row("gotol", 0x06, [ZERO, ZERO, ZERO, Any], Group::Base32, Meaning::JumpLong));
    rows.push(row("call local", 0x85, [ZERO, Only(1), ZERO, Any], Group::Base32, Meaning::CallLocal));
    // The kernel does not look at the offset of an exit (`do_check`).
    rows.push(row("exit", 0x95, [ZERO, ZERO, Any, ZERO], Group::Base32, Meaning::Exit));
    rows
}

fn memory() -> Vec<Row> {
    use Field::{Any, Only, Register};
    let mut rows = Vec::new();
    for (size, bytes, suffix) in SIZES {
        let group = if bytes == 8 { Group::Base64 } else { Group::Base32 };
        let load = [Register, Register, Any, ZERO];
        rows.push(row(format!("ldx{suffix}"), 0x61 | size, load, group, Meaning::Load(bytes, false)));
        rows.push(row(format!("st{suffix}"), 0x62 | size, [Register, ZERO, Any, Any], group, Meaning::Store(bytes)));
        rows.push(row(format!("stx{suffix}"), 0x63 | size, load, group, Meaning::Store(bytes)));
        if bytes != 8 {
            rows.push(row(format!("ldxs{suffix}"), 0x81 | size, load, group, Meaning::Load(bytes, true)));
        }
    }
    for (imm, name, update, fetch) in ATOMICS {
        for (opcode, bytes, group) in [(0xc3, 4, Group::Atomic32), (0xdb, 8, Group::Atomic64)] {
            let fields = [Register, Register, Any, Only(imm)];
            rows.push(row(
                format!("{name}{}", bytes * 8),
                opcode,
                fields,
                group,
                Meaning::Atomic(bytes, update, fetch),
            ));
        }
    }
    rows.push(row("lddw", 0x18, [Register, ZERO, ZERO, Any], Group::Base64, Meaning::Wide));
    rows
}

fn platform() -> Vec<Row> {
    use Field::{Any, Only, Register};
    let platform = |name: &str, opcode, fields, group| row(name, opcode, fields, group, Meaning::Platform);
    let mut rows: Vec<Row> = (1..=6)
        .map(|source| platform("lddw of the platform", 0x18, [Register, Only(source), ZERO, Any], Group::Base64))
        .collect();
    rows.push(platform("call helper", 0x85, [ZERO, ZERO, ZERO, Any], Group::Base32));
    // Linux: the offset is an index into the BTFs that the loader gave.
    rows.push(platform("call by BTF id", 0x85, [ZERO, Only(2), Any, Any], Group::Base32));
    for (size, bytes, suffix) in SIZES {
        if bytes != 8 {
            let name = |mode: &str| format!("{mode}{suffix}");
            rows.push(platform(&name("ldabs"), 0x20 | size, [ZERO, ZERO, ZERO, Any], Group::Packet));
            rows.push(platform(&name("ldind"), 0x40 | size, [ZERO, Register, ZERO, Any], Group::Packet));
        }
    }
    rows.push(platform("may_goto", 0xe5, [ZERO, ZERO, Any, ZERO], Group::Linux));
    for spaces in [1, 1 << 16] {
        let fields = [Register, Register, Only(1), Only(spaces)];
        rows.push(platform("addr_space_cast", 0xbf, fields, Group::Linux));
    }
    rows
}
