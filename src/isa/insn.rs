//! The typed instruction.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the registers `r0` to `r10`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Register(u8);

impl Register {
    /// Return value of calls and of the program.
    pub const R0: Register = Register(0);
    /// First argument of a call; the context when a program starts.
    pub const R1: Register = Register(1);
    /// Second argument.
    pub const R2: Register = Register(2);
    /// Third argument.
    pub const R3: Register = Register(3);
    /// Fourth argument.
    pub const R4: Register = Register(4);
    /// Fifth argument.
    pub const R5: Register = Register(5);
    /// First callee-saved register.
    pub const R6: Register = Register(6);
    /// The frame pointer, read-only.
    pub const R10: Register = Register(10);

    /// The register of that number, or `None` past `r10`.
    #[must_use]
    pub const fn new(number: u8) -> Option<Register> {
        if number <= 10 { Some(Register(number)) } else { None }
    }

    /// The register that carries a call's argument, counted from 0; `None` past the fifth.
    #[must_use]
    pub const fn argument(index: usize) -> Option<Register> {
        if index < 5 { Some(Register(index as u8 + 1)) } else { None }
    }

    /// Its number, 0 to 10.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All registers in order.
    pub fn all() -> impl Iterator<Item = Register> {
        (0..=10).map(Register)
    }

    /// `r1` to `r5`, which a call overwrites.
    pub fn caller_saved() -> impl Iterator<Item = Register> {
        (1..=5).map(Register)
    }
}

/// `r1`; with `#`, `R1`; with `-`, `1`.
impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The kernel's messages write `R1`, its disassembly `r1`; some messages count arguments by the number alone.
        let prefix = match (f.alternate(), f.sign_minus()) {
            (_, true) => "",
            (true, false) => "R",
            (false, false) => "r",
        };
        write!(f, "{prefix}{}", self.0)
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many bits an arithmetic operation or comparison uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Width {
    /// 32 bits; the upper half of the destination becomes zero.
    W32,
    /// 64 bits.
    W64,
}

/// How many bytes a memory access touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Size {
    /// One byte.
    B1,
    /// Two bytes.
    B2,
    /// Four bytes.
    B4,
    /// Eight bytes.
    B8,
}

impl Size {
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B1 => 1,
            Size::B2 => 2,
            Size::B4 => 4,
            Size::B8 => 8,
        }
    }

    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.bytes() * 8
    }
}

/// Second operand of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operand {
    /// A register's value.
    Register(Register),
    /// A constant, sign-extended to the operation's width.
    Immediate(i32),
}

/// `r3`, or the number.
impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Register(register) => write!(f, "{register}"),
            Operand::Immediate(value) => write!(f, "{value}"),
        }
    }
}

/// Arithmetic operations of two operands (`Neg` ignores its second).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    Div,
    SignedDiv,
    Or,
    And,
    LeftShift,
    RightShift,
    Neg,
    Mod,
    SignedMod,
    Xor,
    Mov,
    ArithmeticRightShift,
}

impl AluOp {
    /// The sign between destination and second operand, as the kernel's disassembly and LLVM write it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            AluOp::Add => "+=",
            AluOp::Sub => "-=",
            AluOp::Mul => "*=",
            AluOp::Div => "/=",
            AluOp::SignedDiv => "s/=",
            AluOp::Or => "|=",
            AluOp::And => "&=",
            AluOp::LeftShift => "<<=",
            AluOp::RightShift => ">>=",
            AluOp::Mod => "%=",
            AluOp::SignedMod => "s%=",
            AluOp::Xor => "^=",
            AluOp::Mov => "=",
            AluOp::ArithmeticRightShift => "s>>=",
            AluOp::Neg => "= -",
        }
    }
}

/// Conditions of a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum JumpOp {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    SignedGreater,
    SignedGreaterEqual,
    SignedLess,
    SignedLessEqual,
    /// Any of the second operand's bits is set in the first (`BPF_JSET`).
    Set,
}

impl JumpOp {
    /// Every condition.
    pub const ALL: [JumpOp; 11] = [
        JumpOp::Equal,
        JumpOp::NotEqual,
        JumpOp::Greater,
        JumpOp::GreaterEqual,
        JumpOp::Less,
        JumpOp::LessEqual,
        JumpOp::SignedGreater,
        JumpOp::SignedGreaterEqual,
        JumpOp::SignedLess,
        JumpOp::SignedLessEqual,
        JumpOp::Set,
    ];

    /// The sign between the operands, as the kernel's disassembly and LLVM write it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            JumpOp::Equal => "==",
            JumpOp::NotEqual => "!=",
            JumpOp::Greater => ">",
            JumpOp::GreaterEqual => ">=",
            JumpOp::Less => "<",
            JumpOp::LessEqual => "<=",
            JumpOp::SignedGreater => "s>",
            JumpOp::SignedGreaterEqual => "s>=",
            JumpOp::SignedLess => "s<",
            JumpOp::SignedLessEqual => "s<=",
            JumpOp::Set => "&",
        }
    }
}

/// Byte-order conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endian {
    /// To little endian: truncates on a little-endian machine.
    ToLittle,
    /// To big endian: swaps on a little-endian machine.
    ToBig,
    /// Unconditional byte swap (v4).
    Swap,
}

/// Atomic read-modify-write operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AtomicOp {
    /// Add; with `fetch`, the old value comes back in the source register.
    Add {
        /// Return the old value.
        fetch: bool,
    },
    /// Bitwise or.
    Or {
        /// Return the old value.
        fetch: bool,
    },
    /// Bitwise and.
    And {
        /// Return the old value.
        fetch: bool,
    },
    /// Bitwise exclusive or.
    Xor {
        /// Return the old value.
        fetch: bool,
    },
    /// Exchange; the old value comes back in the source register.
    Exchange,
    /// Store the source if memory equals `r0`; the old value comes back in `r0`.
    CompareExchange,
}

impl AtomicOp {
    /// The register that receives memory's old value, if any.
    #[must_use]
    pub fn fetched_into(self, source: Register) -> Option<Register> {
        match self {
            AtomicOp::Add { fetch } | AtomicOp::Or { fetch } | AtomicOp::And { fetch } | AtomicOp::Xor { fetch } => {
                fetch.then_some(source)
            }
            AtomicOp::Exchange => Some(source),
            AtomicOp::CompareExchange => Some(Register::R0),
        }
    }
}

/// What the immediate of a wide load stands for. In a loaded object the numbers are indexes into the object's
/// own tables; in bytes for a kernel they are descriptors and BTF ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ImmediateSource {
    /// A plain number.
    Value(u64),
    /// A map: index into the object's maps.
    Map(u32),
    /// The address of a map's value: map index, and byte offset.
    MapValue {
        /// Index into the object's maps.
        map: u32,
        /// Byte offset into the first value.
        offset: u32,
    },
    /// A kernel variable: index into the object's externs.
    KernelVariable(u32),
    /// A function of this program: slot at which it starts, relative to the next slot.
    Function(i32),
}

/// Whom a call calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CallTarget {
    /// A helper, by its number.
    Helper(i32),
    /// A function of this program: slot offset relative to the next slot.
    Subprogram(i32),
    /// A kernel function: index into the object's externs.
    Kfunc(u32),
}

/// One decoded instruction. Jump offsets count slots from the slot after the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Insn {
    /// `dst = dst op src`, or `dst = src` for [`AluOp::Mov`].
    Alu { width: Width, op: AluOp, dst: Register, src: Operand },
    /// `dst = (sN)src`: sign-extending move (v4).
    MoveSignExtended { width: Width, from: Size, dst: Register, src: Register },
    /// `dst = addr_space_cast(src, to, from)` between arena and user addresses.
    AddressSpaceCast { dst: Register, src: Register, to: u16, from: u16 },
    /// Byte-order conversion of the low 16, 32 or 64 bits.
    ByteSwap { dst: Register, endian: Endian, size: Size },
    /// Wide load; takes two slots.
    LoadImmediate { dst: Register, source: ImmediateSource },
    /// `dst = *(size *)(src + offset)`.
    Load { size: Size, signed: bool, dst: Register, src: Register, offset: i16 },
    /// `*(size *)(dst + offset) = src`.
    Store { size: Size, dst: Register, offset: i16, src: Operand },
    /// `lock *(size *)(dst + offset) op= src`.
    Atomic { size: Size, op: AtomicOp, dst: Register, src: Register, offset: i16 },
    /// Legacy packet load: `r0 = *(size *)skb[imm]` or `skb[src + imm]`.
    LoadPacket { size: Size, index: Option<Register>, offset: i32 },
    /// Unconditional jump.
    Jump { offset: i32 },
    /// Conditional jump.
    JumpIf { width: Width, op: JumpOp, dst: Register, src: Operand, offset: i16 },
    /// `may_goto`: jump out of a loop that ran too long.
    MayGoto { offset: i16 },
    /// Call.
    Call(CallTarget),
    /// Return from a function, or end of the program.
    Exit,
}

impl Insn {
    /// Slots that it takes: two for a wide load, else one.
    #[must_use]
    pub fn slots(self) -> usize {
        if matches!(self, Insn::LoadImmediate { .. }) { 2 } else { 1 }
    }
}
