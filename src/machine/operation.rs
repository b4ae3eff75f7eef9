//! What the inner loop branches on: one number for what an instruction does, its width and where its second operand is.
//!
//! [`Code`] says the same in parts, for all who look at an instruction before it runs. The table below is read twice: here for
//! the numbers, and in `inner` for what they do.

use crate::isa::{AluOp, AtomicOp, JumpOp, Size};

use super::code::Code;

/// Hands the table to the macro of that name. A row is an operation and its numbers: 64 bits with an immediate (`K`, as in
/// `BPF_K`) and with a register (`X`), then the same in 32 bits. An access to memory may be to any, or to its function's stack. An atomic
/// operation has 4 or 8 bytes, and is shown as the one that gives the old value back, if there are two.
macro_rules! operations {
    ($apply:ident) => {
        $apply! {
            arithmetic {
                Add Add64K Add64X Add32K Add32X;
                Sub Sub64K Sub64X Sub32K Sub32X;
                Mul Mul64K Mul64X Mul32K Mul32X;
                Div Div64K Div64X Div32K Div32X;
                SignedDiv SignedDiv64K SignedDiv64X SignedDiv32K SignedDiv32X;
                Or Or64K Or64X Or32K Or32X;
                And And64K And64X And32K And32X;
                LeftShift LeftShift64K LeftShift64X LeftShift32K LeftShift32X;
                RightShift RightShift64K RightShift64X RightShift32K RightShift32X;
                Neg Neg64K Neg64X Neg32K Neg32X;
                Mod Mod64K Mod64X Mod32K Mod32X;
                SignedMod SignedMod64K SignedMod64X SignedMod32K SignedMod32X;
                Xor Xor64K Xor64X Xor32K Xor32X;
                Mov Mov64K Mov64X Mov32K Mov32X;
                ArithmeticRightShift Arsh64K Arsh64X Arsh32K Arsh32X;
            }
            condition {
                Equal Equal64K Equal64X Equal32K Equal32X;
                NotEqual NotEqual64K NotEqual64X NotEqual32K NotEqual32X;
                Greater Greater64K Greater64X Greater32K Greater32X;
                GreaterEqual GreaterEqual64K GreaterEqual64X GreaterEqual32K GreaterEqual32X;
                Less Less64K Less64X Less32K Less32X;
                LessEqual LessEqual64K LessEqual64X LessEqual32K LessEqual32X;
                SignedGreater SignedGreater64K SignedGreater64X SignedGreater32K SignedGreater32X;
                SignedGreaterEqual
                    SignedGreaterEqual64K SignedGreaterEqual64X SignedGreaterEqual32K SignedGreaterEqual32X;
                SignedLess SignedLess64K SignedLess64X SignedLess32K SignedLess32X;
                SignedLessEqual SignedLessEqual64K SignedLessEqual64X SignedLessEqual32K SignedLessEqual32X;
                Set Set64K Set64X Set32K Set32X;
            }
            memory {
                B1 1 Load1 Store1K Store1X LoadStack1 StoreStack1K StoreStack1X;
                B2 2 Load2 Store2K Store2X LoadStack2 StoreStack2K StoreStack2X;
                B4 4 Load4 Store4K Store4X LoadStack4 StoreStack4K StoreStack4X;
                B8 8 Load8 Store8K Store8X LoadStack8 StoreStack8K StoreStack8X;
            }
            atomic {
                Add { fetch: true } AtomicAdd4 AtomicAdd8;
                Or { fetch: true } AtomicOr4 AtomicOr8;
                And { fetch: true } AtomicAnd4 AtomicAnd8;
                Xor { fetch: true } AtomicXor4 AtomicXor8;
                Exchange AtomicExchange4 AtomicExchange8;
                CompareExchange AtomicCompareExchange4 AtomicCompareExchange8;
            }
        }
    };
}
pub(super) use operations;

macro_rules! numbers {
    (
        arithmetic { $($alu:ident $k64:ident $x64:ident $k32:ident $x32:ident;)* }
        condition { $($jump:ident $jk64:ident $jx64:ident $jk32:ident $jx32:ident;)* }
        memory {
            $($size:ident $bytes:literal
                $load:ident $store_k:ident $store_x:ident $load_stack:ident $store_stack_k:ident $store_stack_x:ident;)*
        }
        atomic { $($atomic:ident $({ $($fetch:tt)* })? $atomic4:ident $atomic8:ident;)* }
    ) => {
        /// What the inner loop does for an instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the table tells")]
        pub(super) enum Operation {
            $($k64, $x64, $k32, $x32,)*
            $($jk64, $jx64, $jk32, $jx32,)*
            $($load, $store_k, $store_x, $load_stack, $store_stack_k, $store_stack_x,)*
            $($atomic4, $atomic8,)*
            Jump,
            LoadImmediate,
            CallLocal,
            Exit,
            /// What the inner loop leaves to others.
            Other,
        }

        impl Operation {
            /// The number of what `code` does with an immediate or a register, and to its function's stack or any memory.
            pub fn of(code: Code, immediate: bool, stack: bool) -> Operation {
                match (code, immediate) {
                    $(
                        (Code::Alu64(AluOp::$alu), true) => Operation::$k64,
                        (Code::Alu64(AluOp::$alu), false) => Operation::$x64,
                        (Code::Alu32(AluOp::$alu), true) => Operation::$k32,
                        (Code::Alu32(AluOp::$alu), false) => Operation::$x32,
                    )*
                    $(
                        (Code::Jump64(JumpOp::$jump), true) => Operation::$jk64,
                        (Code::Jump64(JumpOp::$jump), false) => Operation::$jx64,
                        (Code::Jump32(JumpOp::$jump), true) => Operation::$jk32,
                        (Code::Jump32(JumpOp::$jump), false) => Operation::$jx32,
                    )*
                    $(
                        (Code::Load(Size::$size), _) if stack => Operation::$load_stack,
                        (Code::Load(Size::$size), _) => Operation::$load,
                        (Code::Store(Size::$size), true) if stack => Operation::$store_stack_k,
                        (Code::Store(Size::$size), true) => Operation::$store_k,
                        (Code::Store(Size::$size), false) if stack => Operation::$store_stack_x,
                        (Code::Store(Size::$size), false) => Operation::$store_x,
                    )*
                    $(
                        (Code::Atomic(Size::B4, AtomicOp::$atomic { .. }), _) => Operation::$atomic4,
                        (Code::Atomic(Size::B8, AtomicOp::$atomic { .. }), _) => Operation::$atomic8,
                    )*
                    (Code::Jump, _) => Operation::Jump,
                    (Code::LoadImmediate, _) => Operation::LoadImmediate,
                    (Code::CallLocal, _) => Operation::CallLocal,
                    (Code::Exit, _) => Operation::Exit,
                    _ => Operation::Other,
                }
            }
        }
    };
}
operations!(numbers);
