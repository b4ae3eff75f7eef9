//! The operations that the value domain distinguishes.

/// Register width that an operation works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low 32 bits; arithmetic zeroes the upper half.
    W32,
    /// All 64 bits.
    W64,
}

/// Arithmetic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AluOp {
    /// `dst += src`
    Add,
    /// `dst -= src`
    Sub,
    /// `dst *= src`
    Mul,
    /// `dst /= src`, unsigned
    Div,
    /// `dst /= src`, signed
    SignedDiv,
    /// `dst |= src`
    Or,
    /// `dst &= src`
    And,
    /// `dst <<= src`
    LeftShift,
    /// `dst >>= src`, zeroes shifted in
    RightShift,
    /// `dst = -dst`
    Neg,
    /// `dst %= src`, unsigned
    Mod,
    /// `dst %= src`, signed
    SignedMod,
    /// `dst ^= src`
    Xor,
    /// `dst = src`
    Mov,
    /// `dst >>= src`, copies of the sign shifted in
    ArithmeticRightShift,
}

/// Condition of a jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JumpOp {
    /// `dst == src`
    Equal,
    /// `dst != src`
    NotEqual,
    /// `dst > src`, unsigned
    Greater,
    /// `dst >= src`, unsigned
    GreaterEqual,
    /// `dst < src`, unsigned
    Less,
    /// `dst <= src`, unsigned
    LessEqual,
    /// `dst > src`, signed
    SignedGreater,
    /// `dst >= src`, signed
    SignedGreaterEqual,
    /// `dst < src`, signed
    SignedLess,
    /// `dst <= src`, signed
    SignedLessEqual,
    /// `dst & src != 0`
    Set,
}
