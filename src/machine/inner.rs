//! The inner loop: what is quick, done quickly.
//!
//! It goes through straight runs ([`super::straight`]), asks at the beginning of each what need not be asked of each instruction, and calls
//! nothing. Whatever needs more than a look at what is at hand (an error, a helper, memory that no recent access was to, a state
//! that has to be noted before it changes) it leaves undone, for [`super::execute`] to do.

use std::slice::Iter;

use crate::isa::{AluOp, AtomicOp, JumpOp};

use super::alu;
use super::code::{NO_FRAME, Op};
use super::memory::{Memory, Recent, StackSpan};
use super::operation::{Operation, operations};
use super::task::{Execution, MAX_FRAMES};

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
    let mut unknown = u32::from(!*known);
    // Deeper calls may be too deep, which is not counted here.
    let stacks_here = stacks.get(..MAX_FRAMES).unwrap_or(stacks);
    recent.stack = StackSpan::innermost(stacks, frames.depth());
    // What is left is not counted down: going straight on, instructions run out at this slot.
    let most_here = most.min(u64::MAX / 2);
    let mut limit = most_here + u64::from(*pc);
    let mut target = *pc;
    let at = 'quick: loop {
        let Some(mut rest) = straight_from(ops, target, limit, unknown) else { break target as usize };
        target = 'run: {
            while let Some(op) = rest.next() {
                // The instruction is done, and control goes to its target.
                macro_rules! go {
                    () => {{
                        limit = limit.wrapping_add_signed(op.hop.into());
                        break 'run op.target;
                    }};
                }
                // The instruction is not done.
                macro_rules! leave {
                    () => {
                        break 'quick ops.len() - rest.len() - 1
                    };
                }
                macro_rules! register {
                    ($field:ident) => {
                        registers[op.$field.get()]
                    };
                }
                macro_rules! address {
                    ($field:ident) => {
                        register!($field).wrapping_add_signed(op.offset.into())
                    };
                }
                macro_rules! arithmetic {
                    ($name:ident, $value:expr) => {{
                        register!(dst) = $value;
                        // What reads its own register has found it known.
                        if matches!(AluOp::$name, AluOp::Mov) {
                            unknown &= u32::from(op.keeps);
                        }
                    }};
                }
                macro_rules! jump {
                    ($holds:expr) => {
                        if $holds {
                            go!();
                        }
                    };
                }
                macro_rules! load {
                    ($value:expr) => {{
                        let Some(value) = $value else { leave!() };
                        register!(dst) = value;
                        unknown &= u32::from(op.keeps);
                    }};
                }
                macro_rules! store {
                    ($stored:expr) => {
                        if $stored.is_none() {
                            leave!();
                        }
                    };
                }
                macro_rules! atomic {
                    ($bytes:literal, $operation:expr) => {{
                        let (src, expected) = (low::<$bytes>(register!(src)), low::<$bytes>(registers[0]));
                        let new = |old| alu::atomic($operation, old, src, expected);
                        let old = if op.frame == NO_FRAME {
                            let address = address!(dst);
                            if !address.is_multiple_of($bytes) {
                                leave!();
                            }
                            memory.update_recent::<$bytes>(recent, address, new)
                        } else {
                            memory.update_stack::<$bytes>(recent.stack, op.frame, new)
                        };
                        let Some(old) = old else { leave!() };
                        if op.keeps != u16::MAX {
                            let compares = matches!($operation, AtomicOp::CompareExchange);
                            registers[if compares { 0 } else { op.src.get() }] = old;
                            unknown &= u32::from(op.keeps);
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
                                Operation::$x64 => {
                                    arithmetic!($alu, alu::alu64(AluOp::$alu, register!(dst), register!(src)))
                                }
                                Operation::$k32 => arithmetic!($alu, alu::alu32(AluOp::$alu, register!(dst), op.imm)),
                                Operation::$x32 => {
                                    arithmetic!($alu, alu::alu32(AluOp::$alu, register!(dst), register!(src)))
                                }
                            )*
                            $(
                                Operation::$jk64 => jump!(alu::holds64(JumpOp::$jump, register!(dst), op.imm)),
                                Operation::$jx64 => {
                                    jump!(alu::holds64(JumpOp::$jump, register!(dst), register!(src)))
                                }
                                Operation::$jk32 => jump!(alu::holds32(JumpOp::$jump, register!(dst), op.imm)),
                                Operation::$jx32 => {
                                    jump!(alu::holds32(JumpOp::$jump, register!(dst), register!(src)))
                                }
                            )*
                            $(
                                Operation::$load => load!(memory.load_recent::<$bytes>(recent, address!(src))),
                                Operation::$store_k => {
                                    store!(memory.store_recent::<$bytes>(recent, address!(dst), op.imm))
                                }
                                Operation::$store_x => {
                                    store!(memory.store_recent::<$bytes>(recent, address!(dst), register!(src)))
                                }
                                Operation::$load_stack => load!(memory.load_stack::<$bytes>(recent.stack, op.frame)),
                                Operation::$store_stack_k => {
                                    store!(memory.store_stack::<$bytes>(recent.stack, op.frame, op.imm))
                                }
                                Operation::$store_stack_x => {
                                    store!(memory.store_stack::<$bytes>(recent.stack, op.frame, register!(src)))
                                }
                            )*
                            $(
                                Operation::$atomic4 => atomic!(4, AtomicOp::$atomic $({ $($fetch)* })?),
                                Operation::$atomic8 => atomic!(8, AtomicOp::$atomic $({ $($fetch)* })?),
                            )*
                            Operation::Jump => go!(),
                            Operation::LoadImmediate => {
                                // Its second slot is no instruction.
                                rest.next();
                                limit += 1;
                                register!(dst) = op.imm;
                                unknown &= u32::from(op.keeps);
                            }
                            Operation::CallLocal => {
                                let Some(&callee) = stacks_here.get(frames.depth()) else { leave!() };
                                if !memory.is_new_stack(callee.start) {
                                    leave!();
                                }
                                let return_to = op.target.wrapping_add_signed(op.hop.wrapping_neg());
                                let opened = frames.open_call(registers, unknown as u16, callee.end, return_to);
                                let Some(now) = opened else { leave!() };
                                memory.forget_stack(callee.start);
                                recent.change_stack(callee.start);
                                unknown = u32::from(now);
                                go!();
                            }
                            Operation::Exit => {
                                let below = frames.depth().wrapping_sub(2);
                                let Some(&caller) = stacks_here.get(below) else { leave!() };
                                if !memory.is_new_stack(recent.stack) {
                                    leave!();
                                }
                                let closed = frames.close_call(registers, unknown as u16, caller.end);
                                let Some((return_to, now)) = closed else { leave!() };
                                recent.change_stack(caller.start);
                                unknown = u32::from(now);
                                limit = limit.wrapping_add_signed(op.hop.into()) + u64::from(return_to);
                                break 'run return_to;
                            }
                            Operation::Other => leave!(),
                        }
                    };
                }
                operations!(dispatch);
            }
            break 'quick ops.len();
        };
    };
    // Nobody looked at the marks meanwhile.
    if std::mem::take(&mut recent.moved) {
        for (depth, &stack) in stacks_here.iter().enumerate() {
            memory.mark_frame(stack, depth < frames.depth());
        }
    }
    *known = !unknown as u16;
    *pc = at as u32;
    most - most_here + limit.wrapping_sub(at as u64)
}

/// The instructions from a slot on, if there are so many left as go straight on from there, and all registers that those need hold
/// something.
#[inline(always)]
fn straight_from(ops: &[Op], slot: u32, limit: u64, unknown: u32) -> Option<Iter<'_, Op>> {
    let ops = ops.get(slot as usize..)?;
    let first = ops.first()?;
    (u32::from(first.needs) & unknown == 0 && u64::from(first.run_end) <= limit).then(|| ops.iter())
}

/// The low `N` bytes of a number.
#[inline(always)]
fn low<const N: usize>(value: u64) -> u64 {
    if N == 8 { value } else { value & 0xffff_ffff }
}
