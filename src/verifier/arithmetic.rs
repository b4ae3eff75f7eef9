//! Arithmetic instructions: moves, scalar operations, byte swaps (`check_alu_op`, `adjust_reg_min_max_vals`,
//! `kernel/bpf/verifier.c`, Linux 6.12). Numbers are computed in [`super::domain`]; operations on pointers are in
//! [`super::pointer_arithmetic`].

use super::domain::{Scalar, alu};
use super::env::{Check, Verifier, reject, unsupported};
use super::rule::Rule;
use super::speculation::PointerMove;
use super::state::{Live, Place};
use super::value::{Number, Value};
use crate::isa::{AluOp, Insn, Operand, Register, Size, Width};
use crate::kernel::Permission;

/// How much of a register an operation of that width reads.
pub fn read_flag(width: Width) -> Live {
    match width {
        Width::W32 => Live::READ32,
        Width::W64 => Live::READ64,
    }
}

impl Verifier<'_> {
    /// An arithmetic instruction.
    pub fn check_arithmetic(&mut self, insn: Insn) -> Check {
        let dst = match insn {
            Insn::Alu { width, op: AluOp::Mov, dst, src } => {
                self.check_move(width, dst, src)?;
                dst
            }
            Insn::Alu { width, op: AluOp::Neg, dst, .. } => {
                self.check_unary(dst, read_flag(width))?;
                dst
            }
            Insn::Alu { width, op, dst, src } => {
                self.check_binary(width, op, dst, src)?;
                dst
            }
            Insn::ByteSwap { dst, size, .. } => {
                self.check_unary(dst, if size == Size::B8 { Live::READ64 } else { Live::READ32 })?;
                dst
            }
            Insn::MoveSignExtended { width, from, dst, src } => {
                self.check_sign_extension(width, from, dst, src)?;
                dst
            }
            Insn::AddressSpaceCast { dst, src, from, .. } => {
                self.check_space_cast(dst, src, from)?;
                dst
            }
            other => return unsupported(format!("{other:?} is no arithmetic instruction")),
        };
        self.check_bounds(dst);
        Ok(())
    }

    /// Where the views of a number contradict each other the kernel gives its ranges up
    /// (`reg_bounds_sanity_check`).
    pub fn check_bounds(&mut self, register: Register) {
        let cell = &mut self.state.frame_mut().registers[register.index()];
        let bounds = match &mut cell.value {
            Value::Scalar(number) => &mut number.bounds,
            Value::Pointer(pointer) => &mut pointer.variable,
            _ => return,
        };
        if bounds.check_invariants().is_err() {
            bounds.forget_bounds();
        }
    }

    fn check_unary(&mut self, dst: Register, flag: Live) -> Check {
        self.check_read(dst, flag)?;
        self.check_operand_is_no_address(dst)?;
        self.write(dst)?;
        self.define(dst, Value::unknown());
        Ok(())
    }

    fn check_move(&mut self, width: Width, dst: Register, src: Operand) -> Check {
        let value = match src {
            Operand::Immediate(imm) => {
                self.write(dst)?;
                Value::constant(match width {
                    Width::W64 => i64::from(imm) as u64,
                    Width::W32 => u64::from(imm as u32),
                })
            }
            Operand::Register(src) => {
                self.check_read(src, read_flag(width))?;
                self.write(dst)?;
                match width {
                    Width::W64 => {
                        self.link_before_copy(src);
                        self.value(src)
                    }
                    Width::W32 if self.hides(src) => return reject(Rule::AddressCopiedInPart { register: src }),
                    Width::W32 => self.moved_low(src),
                }
            }
        };
        self.define(dst, value);
        Ok(())
    }

    /// The value that `w_dst = w_src` gives.
    fn moved_low(&mut self, src: Register) -> Value {
        let Value::Scalar(number) = self.value(src) else {
            // The lower half of a pointer is a number like any other to a program that may leak pointers.
            return Value::Scalar(Number { bounds: Scalar::UNKNOWN.moved_low(), ..Number::unknown() });
        };
        let fits = number.bounds.significant_bits() <= 32;
        let mut moved = if fits {
            self.link_before_copy(src);
            self.number(src).unwrap_or(number)
        } else {
            number
        };
        if !fits {
            moved.unlink();
        }
        moved.bounds = moved.bounds.moved_low();
        Value::Scalar(moved)
    }

    fn check_sign_extension(&mut self, width: Width, from: Size, dst: Register, src: Register) -> Check {
        self.check_read(src, read_flag(width))?;
        self.write(dst)?;
        if self.hides(src) {
            let register = src;
            return reject(match width {
                Width::W64 => Rule::AddressSignExtended { register },
                Width::W32 => Rule::AddressCopiedInPart { register },
            });
        }
        let Value::Scalar(number) = self.value(src) else {
            let bounds = match width {
                Width::W64 => Scalar::UNKNOWN,
                Width::W32 => Scalar::UNKNOWN.moved_low(),
            };
            self.define(dst, Value::Scalar(Number { bounds, ..Number::unknown() }));
            return Ok(());
        };
        let kept = number.bounds.is_kept_by_sign_extension(from);
        let mut extended = number;
        if kept {
            self.link_before_copy(src);
            extended = self.number(src)?;
        } else {
            extended.unlink();
        }
        extended.bounds = extended.bounds.moved_sign_extended(from, width);
        self.define(dst, Value::Scalar(extended));
        Ok(())
    }

    /// Before a scalar is copied it gets an id, so that what is learnt of one is learnt of both
    /// (`assign_scalar_id_before_mov`).
    pub fn link_before_copy(&mut self, src: Register) {
        let Value::Scalar(number) = &mut self.state.frame_mut().registers[src.index()].value else { return };
        if number.delta.is_some() {
            number.unlink();
        }
        if number.id == 0 && !number.bounds.is_const() {
            self.last_id += 1;
            number.id = self.last_id;
        }
    }

    /// For number + pointer the kernel copies the pointer's whole register, so the result also has its liveness and
    /// origin (`adjust_ptr_min_max_vals`).
    fn inherit_liveness(&mut self, dst: Register, src: Operand) {
        let Operand::Register(src) = src else { return };
        let frame = self.state.frame_mut();
        let parent = frame.registers[src.index()].parent;
        let result = &mut frame.registers[dst.index()];
        if matches!(result.value, Value::Pointer(_)) {
            result.parent = parent;
            frame.marks.set(Place::of(dst), frame.marks.of(Place::of(src)));
        }
    }

    fn check_binary(&mut self, width: Width, op: AluOp, dst: Register, src: Operand) -> Check {
        if let Operand::Register(src) = src {
            self.check_read(src, read_flag(width))?;
        }
        self.check_read(dst, read_flag(width))?;
        if let Operand::Immediate(imm) = src {
            check_immediate(width, op, imm)?;
        }
        self.write(dst)?;
        if self.arena_arithmetic(dst, src) {
            return Ok(());
        }
        // By far the most are between numbers, for which only the bounds of the source are looked at.
        let number = |register| self.state.value(register).as_number().map(|number: &Number| number.bounds);
        let bounds = match src {
            Operand::Register(src) => number(src),
            Operand::Immediate(imm) => Some(Scalar::constant(i64::from(imm) as u64)),
        };
        if let (Value::Scalar(_), Some(bounds)) = (self.state.value(dst), bounds) {
            return self.scalars(width, op, dst, src, &bounds);
        }
        let left = self.value(dst);
        let right = match src {
            Operand::Register(src) => self.value(src),
            Operand::Immediate(imm) => Value::constant(i64::from(imm) as u64),
        };
        match (left, right) {
            (Value::Pointer(pointer), Value::Scalar(offset)) => {
                if let Operand::Register(src) = src {
                    self.mark_precise(src)?;
                }
                self.pointer_arithmetic(width, PointerMove { op, dst, src }, pointer, &offset, true)
            }
            (Value::Scalar(offset), Value::Pointer(pointer)) => {
                self.mark_precise(dst)?;
                self.pointer_arithmetic(width, PointerMove { op, dst, src }, pointer, &offset, false)?;
                self.inherit_liveness(dst, src);
                Ok(())
            }
            (Value::Pointer(_), Value::Pointer(_)) => {
                if self.may_subtract_addresses(op) {
                    self.define(dst, Value::unknown());
                    return Ok(());
                }
                reject(Rule::PointerWithPointer { register: dst, operator: operator(op) })
            }
            _ => unsupported("arithmetic on a value that is neither a number nor a pointer"),
        }
    }

    fn scalars(&mut self, width: Width, op: AluOp, dst: Register, src: Operand, right: &Scalar) -> Check {
        if let Operand::Register(src) = src
            && self.state.value(dst).as_number().is_some_and(|left| left.precise)
        {
            self.mark_precise(src)?;
        }
        let left = self.number(dst)?;
        self.guard_numbers(op, dst, src)?;
        if let Some(fork) = alu::fork_of_sign_mask(op, &left.bounds, right) {
            let pushed = self.push_branch(self.insn)?;
            let forked = |bounds| {
                if fork.only_low {
                    Number { bounds, ..left }
                } else {
                    Number { bounds, precise: left.precise, ..Number::UNKNOWN }
                }
            };
            self.pushed(pushed).set(dst, Value::Scalar(forked(fork.pushed)));
            self.state.set(dst, Value::Scalar(forked(fork.here)));
        }
        let links_kept = self.may(Permission::LinkedSums);
        let frame = self.state.frame_mut();
        if let Value::Scalar(number) = &mut frame.registers[dst.index()].value {
            match alu::apply(op, width, &number.bounds, right) {
                Some(bounds) => {
                    number.bounds = bounds;
                    // The kernel makes a known result of bits anew (`scalar_min_max_and` and its kin).
                    if matches!(op, AluOp::And | AluOp::Or | AluOp::Xor) && right.is_const() && bounds.is_const() {
                        number.null_of = None;
                    }
                }
                // An unknown register forgets its link and its precision along with its value.
                None => *number = Number::unknown(),
            }
            let same = matches!(src, Operand::Register(src) if src == dst);
            relink_after(links_kept, width, op, number, right, same);
        }
        frame.marks.write(Place::of(dst));
        self.log.touch_register(dst);
        Ok(())
    }
}

/// A constant added to a linked scalar keeps the link with a delta; anything else breaks it.
fn relink_after(kept: bool, width: Width, op: AluOp, result: &mut Number, right: &Scalar, same: bool) {
    let keeps = kept && op == AluOp::Add && width == Width::W64 && result.id != 0 && right.is_const() && !same;
    let added = right.var_off.value;
    if keeps && result.delta.is_none() && added <= i32::MAX as u64 {
        result.delta = Some(added as i32);
    } else {
        result.unlink();
    }
}

fn check_immediate(width: Width, op: AluOp, imm: i32) -> Check {
    match op {
        AluOp::Div | AluOp::SignedDiv | AluOp::Mod | AluOp::SignedMod if imm == 0 => reject(Rule::DivisionByZero),
        AluOp::LeftShift | AluOp::RightShift | AluOp::ArithmeticRightShift => {
            let bits = if width == Width::W64 { 64 } else { 32 };
            if (0..bits).contains(&imm) { Ok(()) } else { reject(Rule::InvalidShift { count: imm }) }
        }
        _ => Ok(()),
    }
}

/// The operator as the kernel's messages print it.
pub fn operator(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div | AluOp::SignedDiv => "/=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::LeftShift => "<<=",
        AluOp::RightShift => ">>=",
        AluOp::Neg => "neg",
        AluOp::Mod | AluOp::SignedMod => "%=",
        AluOp::Xor => "^=",
        AluOp::Mov => "=",
        AluOp::ArithmeticRightShift => "s>>=",
    }
}
