//! What the processor may do ahead of time, as an unprivileged program could make use of it.
//!
//! On a branch that it mispredicts a processor runs code with values that the branch excludes. The kernel guards
//! programs of unprivileged users against that: arithmetic on a pointer is masked at run time so that it cannot leave
//! its object (`do_misc_fixups`), which takes one known limit for each instruction; and the ways that a branch never
//! takes are explored all the same. `sanitize_ptr_alu` and what stands around it, `kernel/bpf/verifier.c`, Linux 6.12.

use super::env::{Check, Stop, Verifier, reject};
use super::memory::{Access, Mode, Source};
use super::rule::Rule;
use super::state::{Cell, Place};
use super::value::{Number, Pointer, Target, Value};
use crate::isa::{AluOp, Operand, Register};
use crate::kernel::Permission;
use crate::kernel::limits::STACK_BYTES;

/// How the arithmetic of an instruction is masked; the same on all paths (`alu_state`, `alu_limit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// Not: both operands are numbers.
    Numbers,
    /// A pointer is moved by at most so much.
    Pointer(PointerMask),
}

/// The mask of an offset that is added to a pointer or subtracted from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointerMask {
    negative: bool,
    known: bool,
    pointer_first: bool,
    limit: u32,
}

/// What the mask was made from, before the pointer is moved.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    mask: PointerMask,
    to_left: bool,
}

/// An addition to a pointer or subtraction from it.
#[derive(Clone, Copy, Debug)]
pub struct PointerMove {
    /// Addition or subtraction; others are not masked.
    pub op: AluOp,
    /// Where the result goes.
    pub dst: Register,
    /// The second operand.
    pub src: Operand,
}

fn is_masked(op: AluOp) -> bool {
    matches!(op, AluOp::Add | AluOp::Sub)
}

/// Bytes between a pointer and the end of its object that it is moved towards (`retrieve_ptr_limit`).
fn limit_of(verifier: &Verifier<'_>, pointer: &Pointer, to_left: bool, dst: Register, op: AluOp) -> Check<u32> {
    let (limit, size) = match pointer.target {
        Target::Stack { .. } if !pointer.attributes.nullable => {
            let offset = (pointer.variable.var_off.value as i64).wrapping_add(i64::from(pointer.offset));
            (offset.wrapping_neg() as u32, STACK_BYTES + u32::from(to_left))
        }
        Target::MapValue(map) if !pointer.attributes.nullable => {
            let offset = if to_left { pointer.variable.smin } else { pointer.variable.umax as i64 };
            (offset.wrapping_add(i64::from(pointer.offset)) as u32, verifier.map(map)?.value_size)
        }
        _ => return reject(Rule::UnmaskedPointer { register: dst }),
    };
    if limit >= size {
        return reject(Rule::MaskBeyondObject { register: dst, operation: operation(op) });
    }
    Ok(limit)
}

fn operation(op: AluOp) -> &'static str {
    if op == AluOp::Add { "add" } else { "sub" }
}

impl Verifier<'_> {
    /// Must that instruction's arithmetic be masked? A constant in the instruction is what it is.
    fn is_guarded(&self, op: AluOp, src: Operand) -> bool {
        is_masked(op) && matches!(src, Operand::Register(_)) && !self.may(Permission::UnguardedBranches)
    }

    /// One instruction is masked in one way (`update_alu_sanitation_state`).
    fn note_masking(&mut self, masking: Masking, op: AluOp, dst: Register) -> Check {
        let noted = &mut self.facts[self.insn].masking;
        if noted.is_some_and(|before| before != masking) {
            return reject(Rule::MasksDiffer { register: dst, operation: operation(op) });
        }
        *noted = Some(masking);
        Ok(())
    }

    /// Arithmetic of two numbers (`sanitize_val_alu`).
    pub fn guard_numbers(&mut self, op: AluOp, dst: Register, src: Operand) -> Check {
        if self.is_guarded(op, src) { self.note_masking(Masking::Numbers, op, dst) } else { Ok(()) }
    }

    /// Before a pointer is moved: can the move be masked? Explores what follows if it does not happen. The window is for
    /// [`Verifier::guard_moved`].
    pub fn guard_move(
        &mut self,
        at: PointerMove,
        pointer: &Pointer,
        by: &Number,
        first: bool,
    ) -> Check<Option<Window>> {
        let PointerMove { op, dst, src } = at;
        let Operand::Register(offset_register) = src else { return Ok(None) };
        if !self.is_guarded(op, src) {
            return Ok(None);
        }
        let by = &by.bounds;
        let known = by.is_const();
        let mut window = None;
        if !self.state.speculative {
            let negative = by.smin < 0;
            if !known && negative != (by.smax < 0) {
                return reject(Rule::MixedSigns { register: offset_register });
            }
            let to_left = negative == (op == AluOp::Add);
            let limit = limit_of(self, pointer, to_left, dst, op)?;
            let mask = PointerMask { negative, known, pointer_first: first, limit };
            window = Some(Window { mask, to_left });
            self.exact_numbers |= !known;
        }
        if !known {
            let moved = if first { dst } else { offset_register };
            let unmoved = self.state.frame().registers[moved.index()];
            let unmoved = Cell { value: Value::Pointer(*pointer), ..unmoved };
            self.explore_masked(dst, unmoved, moved)?;
        }
        Ok(window)
    }

    /// The way on with the pointer where it was, as masking an offset out of range leaves it.
    fn explore_masked(&mut self, dst: Register, pointer: Cell, from: Register) -> Check {
        match self.push_speculative(self.insn + 1) {
            Ok(pushed) => {
                let frame = self.pushed(pushed).frame_mut();
                frame.registers[dst.index()] = pointer;
                frame.marks.set(Place::of(dst), frame.marks.of(Place::of(from)));
                Ok(())
            }
            Err(Stop::Reject(rule)) => {
                self.say(&rule);
                reject(Rule::SpeculationTooComplex { register: dst })
            }
            Err(other) => Err(other),
        }
    }

    /// After a pointer was moved: its mask must be that of all other paths.
    pub fn guard_moved(&mut self, at: PointerMove, moved: &Pointer, window: Option<Window>) -> Check {
        let Some(Window { mask, to_left }) = window else { return Ok(()) };
        let limit = limit_of(self, moved, to_left, at.dst, at.op)?;
        let limit = (mask.limit.wrapping_sub(limit) as i32).unsigned_abs();
        self.note_masking(Masking::Pointer(PointerMask { limit, ..mask }), at.op, at.dst)
    }

    /// A moved pointer stays inside its object, so that it can be masked later (`sanitize_check_bounds`).
    pub fn check_moved_inside(&mut self, dst: Register, moved: &Pointer) -> Check {
        if self.may(Permission::UnguardedBranches) || moved.attributes.nullable {
            return Ok(());
        }
        match moved.target {
            Target::Stack { .. } => check_stack_pointer(dst, moved),
            Target::MapValue(map) => {
                let access = Access {
                    base: dst,
                    offset: moved.offset,
                    size: 1,
                    mode: Mode::Read,
                    register: None,
                    signed: false,
                    atomic: false,
                };
                let map = self.map(map)?;
                match self.check_map_region(moved, map, access, false, Source::Helper) {
                    Err(Stop::Reject(rule)) => {
                        self.say(&rule);
                        reject(Rule::MapPointerOutside { register: dst })
                    }
                    other => other,
                }
            }
            _ => Ok(()),
        }
    }

    /// The way that a branch surely does not take is explored as well: there the operands are not what they are
    /// compared to be (`sanitize_speculative_path`).
    pub fn explore_untaken(&mut self, untaken: usize, dst: Register, src: Operand) -> Check {
        if self.may(Permission::UnguardedBranches) {
            return Ok(());
        }
        let pushed = self.push_speculative(untaken)?;
        let operands = [Some(dst), if let Operand::Register(src) = src { Some(src) } else { None }];
        for register in operands.into_iter().flatten() {
            self.pushed(pushed).set(register, Value::unknown());
        }
        Ok(())
    }

    /// Puts a path aside that the processor may only begin by mistake.
    fn push_speculative(&mut self, insn: usize) -> Check<usize> {
        let pushed = self.push_branch(insn)?;
        self.pushed(pushed).speculative = true;
        Ok(pushed)
    }
}

/// `check_stack_access_for_ptr_arithmetic`.
fn check_stack_pointer(register: Register, moved: &Pointer) -> Check {
    let variable = moved.variable.var_off;
    let offset = moved.offset.wrapping_add(variable.value as i32);
    if !moved.variable.is_const() {
        return reject(Rule::VariableStackPointer { register, variable, offset });
    }
    if offset >= 0 || i64::from(offset) < -i64::from(STACK_BYTES) {
        return reject(Rule::StackPointerOutside { register, offset });
    }
    Ok(())
}
