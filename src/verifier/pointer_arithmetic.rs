//! Arithmetic on pointers (`adjust_ptr_min_max_vals`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! The limits for unprivileged programs against speculation are in [`super::speculation`].

use super::arithmetic::operator;
use super::domain::{Scalar, alu};
use super::env::{Check, Verifier, reject, unsupported};
use super::rule::Rule;
use super::speculation::PointerMove;
use super::value::{Number, Pointer, Target, Value};
use crate::isa::{AluOp, Register, Width};
use crate::kernel::limits::VARIABLE_OFFSET;

impl Verifier<'_> {
    /// `dst = pointer op offset`; `pointer_first` tells whether the pointer was in `dst`.
    pub fn pointer_arithmetic(
        &mut self,
        width: Width,
        at: PointerMove,
        pointer: Pointer,
        offset: &Number,
        pointer_first: bool,
    ) -> Check {
        let PointerMove { op, dst, .. } = at;
        let by = &offset.bounds;
        if by.is_contradictory_offset() {
            self.define(dst, Value::unknown());
            return Ok(());
        }
        if width == Width::W32 {
            if self.may_subtract_addresses(op) {
                self.define(dst, Value::unknown());
                return Ok(());
            }
            return reject(Rule::PointerArithmetic32 { register: dst });
        }
        if pointer.attributes.nullable {
            return reject(Rule::NullablePointerArithmetic { register: dst, pointer: pointer.kernel_name() });
        }
        check_target_allows(op, dst, &pointer, by)?;
        check_sane(by, 0, &pointer)?;
        check_sane(&pointer.variable, pointer.offset, &pointer)?;
        let window = self.guard_move(at, &pointer, offset, pointer_first)?;
        let moved = match op {
            AluOp::Add | AluOp::Sub => self.moved(op, dst, pointer, by, pointer_first)?,
            AluOp::And | AluOp::Or | AluOp::Xor => {
                return reject(Rule::BitwiseOnPointer { register: dst, operator: operator(op) });
            }
            _ => return reject(Rule::OperatorOnPointer { register: dst, operator: operator(op) }),
        };
        check_sane_moved(&moved, &pointer)?;
        let mut moved = moved;
        moved.variable.sync();
        self.define(dst, Value::Pointer(moved));
        self.check_moved_inside(dst, &moved)?;
        self.guard_moved(at, &moved, window)
    }

    fn moved(
        &mut self,
        op: AluOp,
        dst: Register,
        pointer: Pointer,
        by: &Scalar,
        pointer_first: bool,
    ) -> Check<Pointer> {
        if op == AluOp::Sub {
            if !pointer_first {
                return reject(Rule::PointerFromScalar { register: dst });
            }
            if matches!(pointer.target, Target::Stack { .. }) {
                return reject(Rule::SubtractFromStackPointer { register: dst });
            }
        }
        let mut moved = pointer;
        if by.is_const() {
            let amount = by.smin;
            let fixed = match op {
                AluOp::Add => i64::from(pointer.offset).checked_add(amount),
                _ => i64::from(pointer.offset).checked_sub(amount),
            };
            if let Some(fixed) = fixed.and_then(|fixed| i32::try_from(fixed).ok()) {
                moved.offset = fixed;
                moved.variable = alu::keep_pointer_offset(&pointer.variable);
                return Ok(moved);
            }
        }
        let Some(variable) = alu::apply_to_pointer(op, &pointer.variable, by) else {
            return unsupported("an operation on a pointer's variable offset");
        };
        moved.variable = variable;
        if let Target::Packet { area, .. } = pointer.target {
            moved.id = self.new_id();
            if op == AluOp::Add || by.smin < 0 {
                moved.target = Target::Packet { area, range: 0 };
            }
        }
        Ok(moved)
    }
}

fn check_target_allows(op: AluOp, dst: Register, pointer: &Pointer, by: &Scalar) -> Check {
    let adds_zero = by.is_const() && by.smin == 0 && op == AluOp::Add;
    let allowed = match pointer.target {
        Target::Context
        | Target::MapValue(_)
        | Target::MapKey(_)
        | Target::Stack { .. }
        | Target::Packet { .. }
        | Target::TracepointBuffer
        | Target::Object(_)
        | Target::Memory { .. }
        | Target::Buffer
        | Target::Function { .. }
        | Target::ConstDynptr(_) => true,
        Target::FlowKeys => by.is_const(),
        Target::ConstMap(_) => adds_zero,
        Target::PacketEnd | Target::Socket(_) | Target::Arena => false,
    };
    if allowed {
        return Ok(());
    }
    reject(Rule::PointerArithmeticProhibited { register: dst, pointer: pointer.kernel_name() })
}

/// Keeps offsets so small that sums of them cannot overflow (`check_reg_sane_offset`).
fn check_sane(scalar: &Scalar, fixed: i32, pointer: &Pointer) -> Check {
    let name = || pointer.kernel_name();
    let value = scalar.var_off.value as i64;
    let out = |value: i64| value >= VARIABLE_OFFSET || value <= -VARIABLE_OFFSET;
    if scalar.is_const() && out(value) {
        return reject(Rule::PointerMathConstant { pointer: name(), value });
    }
    if out(i64::from(fixed)) {
        return reject(Rule::PointerOffsetTooLarge { pointer: name(), offset: fixed });
    }
    if scalar.smin == i64::MIN {
        return reject(Rule::PointerMathUnbounded { pointer: name() });
    }
    if out(scalar.smin) {
        return reject(Rule::PointerOutOfBounds { value: scalar.smin, pointer: name() });
    }
    Ok(())
}

fn check_sane_moved(moved: &Pointer, pointer: &Pointer) -> Check {
    check_sane(&moved.variable, moved.offset, pointer)
}
