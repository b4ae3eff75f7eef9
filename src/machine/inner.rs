//! The inner loop: what is quick, done quickly.
//!
//! It calls nothing. Whatever needs more than a look at what is at hand (an error, a helper, memory that no recent access was to, a state
//! that has to be noted before it changes) it leaves undone, for [`super::execute`] to do.

use crate::isa::{AluOp, AtomicOp, JumpOp};

use super::alu;
use super::code::NO_FRAME;
use super::memory::{Memory, Recent, StackSpan};
use super::operation::{Operation, operations};
use super::task::{Call, Execution, close_call, open_call};

/// Executes instructions, at most so many, up to one that takes longer; says how many of them are left.
#[inline(never)]
pub(super) fn run(
    execution: &mut Execution,
    stacks: &[StackSpan],
    memory: &mut Memory,
    recent: &mut Recent,
    most: u64,
) -> u64 {
    let Execution { program, registers, known, pc, frames, .. } = execution;
    let ops = program.ops.as_slice();
    let mut unknown = !*known;
    let mut at = *pc as usize;
    let mut left = most;
    let mut stack = StackSpan::innermost(stacks, frames.len());
    // Whoever leaves the loop before its end has not done the instruction.
    while left > 0 {
        let Some(op) = ops.get(at) else { break };
        let mut next = at + 1;
        // What it reads must hold something; the frame pointer always does.
        macro_rules! known {
            () => {
                if op.reads & unknown != 0 {
                    break;
                }
            };
        }
        macro_rules! register {
            ($field:ident) => {
                registers[op.$field.get()]
            };
        }
        // What reads its own register has found it known.
        macro_rules! arithmetic {
            ($name:ident, $value:expr) => {{
                known!();
                register!(dst) = $value;
                if matches!(AluOp::$name, AluOp::Mov) {
                    unknown &= op.keeps;
                }
            }};
        }
        macro_rules! jump {
            ($holds:expr) => {{
                known!();
                if $holds {
                    next = op.target as usize;
                }
            }};
        }
        macro_rules! address {
            ($field:ident) => {
                register!($field).wrapping_add_signed(op.offset.into())
            };
        }
        macro_rules! load {
            ($value:expr) => {{
                let Some(value) = $value else { break };
                register!(dst) = value;
                unknown &= op.keeps;
            }};
        }
        macro_rules! store {
            ($stored:expr) => {{
                known!();
                if $stored.is_none() {
                    break;
                }
            }};
        }
        macro_rules! atomic {
            ($bytes:literal, $operation:expr) => {{
                known!();
                let (src, expected) = (low::<$bytes>(register!(src)), low::<$bytes>(registers[0]));
                let new = |old| alu::atomic($operation, old, src, expected);
                let old = if op.frame == NO_FRAME {
                    let address = address!(dst);
                    if !address.is_multiple_of($bytes) {
                        break;
                    }
                    memory.update_recent::<$bytes>(recent, address, new)
                } else {
                    memory.update_stack::<$bytes>(stack, op.frame, new)
                };
                let Some(old) = old else { break };
                if op.keeps != u16::MAX {
                    let compares = matches!($operation, AtomicOp::CompareExchange);
                    registers[if compares { 0 } else { op.src.get() }] = old;
                    unknown &= op.keeps;
                }
            }};
        }
        macro_rules! dispatch {
            (
                arithmetic { $($alu:ident $k64:ident $x64:ident $k32:ident $x32:ident;)* }
                condition { $($jump:ident $jk64:ident $jx64:ident $jk32:ident $jx32:ident;)* }
                memory {
                    $($size:ident $bytes:literal $load:ident $store_k:ident $store_x:ident
                        $load_stack:ident $store_stack_k:ident $store_stack_x:ident;)*
                }
                atomic { $($atomic:ident $({ $($fetch:tt)* })? $atomic4:ident $atomic8:ident;)* }
            ) => {
                match op.operation {
                    $(
                        Operation::$k64 => arithmetic!($alu, alu::alu64(AluOp::$alu, register!(dst), op.imm)),
                        Operation::$x64 => arithmetic!($alu, alu::alu64(AluOp::$alu, register!(dst), register!(src))),
                        Operation::$k32 => arithmetic!($alu, alu::alu32(AluOp::$alu, register!(dst), op.imm)),
                        Operation::$x32 => arithmetic!($alu, alu::alu32(AluOp::$alu, register!(dst), register!(src))),
                    )*
                    $(
                        Operation::$jk64 => jump!(alu::holds64(JumpOp::$jump, register!(dst), op.imm)),
                        Operation::$jx64 => jump!(alu::holds64(JumpOp::$jump, register!(dst), register!(src))),
                        Operation::$jk32 => jump!(alu::holds32(JumpOp::$jump, register!(dst), op.imm)),
                        Operation::$jx32 => jump!(alu::holds32(JumpOp::$jump, register!(dst), register!(src))),
                    )*
                    $(
                        Operation::$load => {
                            known!();
                            load!(memory.load_recent::<$bytes>(recent, address!(src)));
                        }
                        Operation::$store_k => store!(memory.store_recent::<$bytes>(recent, address!(dst), op.imm)),
                        Operation::$store_x => {
                            store!(memory.store_recent::<$bytes>(recent, address!(dst), register!(src)))
                        }
                        Operation::$load_stack => load!(memory.load_stack::<$bytes>(stack, op.frame)),
                        Operation::$store_stack_k => store!(memory.store_stack::<$bytes>(stack, op.frame, op.imm)),
                        Operation::$store_stack_x => {
                            store!(memory.store_stack::<$bytes>(stack, op.frame, register!(src)))
                        }
                    )*
                    $(
                        Operation::$atomic4 => atomic!(4, AtomicOp::$atomic $({ $($fetch)* })?),
                        Operation::$atomic8 => atomic!(8, AtomicOp::$atomic $({ $($fetch)* })?),
                    )*
                    Operation::Jump => next = op.target as usize,
                    Operation::LoadImmediate => {
                        register!(dst) = op.imm;
                        next += 1;
                        unknown &= op.keeps;
                    }
                    Operation::CallLocal => {
                        let Some(&callee) = stacks.get(frames.len()) else { break };
                        if frames.len() == frames.capacity() || !memory.reopen_frame(callee) {
                            break;
                        }
                        let call = Call { called_from: at as u32, return_to: next as u32 };
                        unknown = !open_call(frames, registers, !unknown, callee.end, call);
                        recent.forget_stack();
                        (stack, next) = (callee, op.target as usize);
                    }
                    Operation::Exit => {
                        let Some(&caller) = stacks.get(frames.len().wrapping_sub(2)) else { break };
                        if !memory.can_close(stack) {
                            break;
                        }
                        let Some((return_to, known)) = close_call(frames, registers, !unknown) else { break };
                        memory.shut_frame(stack);
                        recent.forget_stack();
                        (stack, next, unknown) = (caller, return_to as usize, !known);
                    }
                    Operation::Other => break,
                }
            };
        }
        operations!(dispatch);
        at = next;
        left -= 1;
    }
    *known = !unknown;
    *pc = at as u32;
    left
}

/// The low `N` bytes of a number.
#[inline(always)]
fn low<const N: usize>(value: u64) -> u64 {
    if N == 8 { value } else { value & 0xffff_ffff }
}
