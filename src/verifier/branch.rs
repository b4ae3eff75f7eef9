//! Conditional jumps: which ways are possible, and what each teaches (`check_cond_jmp_op`, `kernel/bpf/verifier.c`,
//! Linux 6.12). Numbers are compared in [`super::domain::branch`].

use smallvec::SmallVec;

use super::arithmetic::read_flag;
use super::domain::{self, Scalar, alu};
use super::env::{Check, Verifier, reject};
use super::explore::Next;
use super::packet::packet_branch_taken;
use super::precision::{FramePlace, MAX_LINKED};
use super::rule::Rule;
use super::state::{Place, State, for_each_value};
use super::value::{NullOf, Number, Pointer, SocketKind, Target, Value};
use crate::isa::{JumpOp, Operand, Register, Width};
use crate::kernel::limits::VARIABLE_OFFSET;
use crate::seeded::{self, Fault};

/// Linked scalars of both operands.
type Linked = SmallVec<[FramePlace; MAX_LINKED]>;

/// A conditional jump.
#[derive(Clone, Copy)]
struct Branch {
    width: Width,
    op: JumpOp,
    dst: Register,
    src: Operand,
}

impl Verifier<'_> {
    /// A conditional jump.
    pub fn check_branch(&mut self, width: Width, op: JumpOp, dst: Register, src: Operand, offset: i16) -> Check<Next> {
        let branch = Branch { width, op, dst, src };
        let left = self.read(dst, read_flag(width))?;
        let right = match src {
            Operand::Register(src) => self.read(src, read_flag(width))?,
            Operand::Immediate(imm) => Value::constant(i64::from(imm) as u64),
        };
        self.check_compares_no_address(dst, src)?;
        self.note_stack_operands(&left, &right, src);
        let target = self.jump_target(i64::from(offset));
        if let Some(taken) = self.decided(branch, &left, &right)? {
            self.explore_untaken(if taken { self.insn + 1 } else { target }, dst, src)?;
            self.log_insn_state();
            return Ok(if taken { Next::Jump(target) } else { Next::Fallthrough });
        }
        let linked = self.note_linked(branch);
        let pushed = self.push_branch(target)?;
        self.refine(branch, pushed, &linked);
        let null_checked = self.learn_not_null(branch, pushed);
        let packet_checked = match (width, src) {
            (Width::W64, Operand::Register(src)) => self.learn_packet_range(op, dst, src, pushed),
            _ => false,
        };
        if !null_checked && !packet_checked && self.hides(dst) {
            return reject(Rule::AddressComparison { register: dst });
        }
        self.log_insn_state();
        Ok(Next::Fallthrough)
    }

    fn note_stack_operands(&mut self, left: &Value, right: &Value, src: Operand) {
        let is_stack =
            |value: &Value| matches!(value.as_pointer().map(|pointer| pointer.target), Some(Target::Stack { .. }));
        let dst_is_stack = is_stack(left);
        let src_is_stack = matches!(src, Operand::Register(_)) && is_stack(right);
        if dst_is_stack || src_is_stack {
            self.note_history(|entry| {
                entry.dst_is_stack |= dst_is_stack;
                entry.src_is_stack |= src_is_stack;
            });
        }
    }

    /// The way that is surely taken, if one is; then the operands must be exact.
    fn decided(&mut self, branch: Branch, left: &Value, right: &Value) -> Check<Option<bool>> {
        let Some(taken) = self.branch_taken(branch, left, right)? else { return Ok(None) };
        if left.is_scalar() {
            self.mark_precise(branch.dst)?;
        }
        if let Operand::Register(src) = branch.src
            && right.is_scalar()
        {
            self.mark_precise(src)?;
        }
        Ok(Some(taken))
    }

    /// `is_branch_taken`.
    fn branch_taken(&self, branch: Branch, left: &Value, right: &Value) -> Check<Option<bool>> {
        let (left, right) = match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                return Ok(domain::branch_taken(branch.op, branch.width, &left.bounds, &right.bounds));
            }
            (Value::Pointer(left), Value::Pointer(right)) if left.is_packet_or_end() && right.is_packet_or_end() => {
                if branch.width == Width::W64 {
                    return Ok(packet_branch_taken(branch.op, left, right));
                }
                return Ok(None);
            }
            (left, right) => (left, right),
        };
        if branch.width == Width::W32 {
            return Ok(None);
        }
        // Whether it is a pointer that is compared with zero; equality does not care which side it is on.
        let (pointer, number) = match (left, right) {
            (Value::Pointer(pointer), Value::Scalar(number)) | (Value::Scalar(number), Value::Pointer(pointer)) => {
                (pointer, number)
            }
            _ => return Ok(None),
        };
        if !number.bounds.var_off.equals_const(0) || !self.is_surely_not_null(pointer) {
            return Ok(None);
        }
        Ok(match branch.op {
            JumpOp::Equal => Some(false),
            JumpOp::NotEqual => Some(true),
            _ => None,
        })
    }

    /// A pointer of a kind that is never NULL, near enough to its start (`reg_not_null`).
    #[must_use]
    pub fn is_surely_not_null(&self, pointer: &Pointer) -> bool {
        if pointer.attributes.nullable
            || pointer.variable.smin <= -VARIABLE_OFFSET
            || pointer.variable.smax >= VARIABLE_OFFSET
        {
            return false;
        }
        match pointer.target {
            Target::Socket(_)
            | Target::Buffer
            | Target::MapValue(_)
            | Target::MapKey(_)
            | Target::Memory { .. }
            | Target::ConstMap(_) => true,
            Target::Object(_) => pointer.is_trusted(),
            _ => false,
        }
    }

    /// The scalars that share an id with an operand are refined with it; the history must know them.
    fn note_linked(&mut self, branch: Branch) -> Linked {
        let mut linked = Linked::new();
        if let Operand::Register(src) = branch.src {
            self.collect_linked(src, &mut linked);
        }
        self.collect_linked(branch.dst, &mut linked);
        if linked.len() > 1 {
            let noted = linked.clone();
            self.note_history(|entry| entry.linked = noted);
        }
        linked
    }

    fn collect_linked(&mut self, register: Register, linked: &mut Linked) {
        let Value::Scalar(Number { id, .. }) = self.value(register) else { return };
        if id == 0 {
            return;
        }
        let mut collect = |value: &mut Value, place: FramePlace| {
            if let Value::Scalar(number) = value
                && number.id == id
            {
                if linked.len() < MAX_LINKED {
                    linked.push(place);
                } else {
                    number.unlink();
                }
            }
        };
        for (number, frame) in self.state.frames.iter_mut().enumerate().rev() {
            for (index, cell) in frame.registers.iter_mut().enumerate().take(Register::R10.index()) {
                collect(&mut cell.value, (number as u8, Place::Register(index as u8)));
            }
            for (index, slot) in frame.stack.iter_mut().enumerate() {
                if slot.is_spilled() {
                    collect(&mut slot.spilled.value, (number as u8, Place::Slot(index as u8)));
                }
            }
        }
    }

    /// What the comparison teaches about numbers, on both ways (`reg_set_min_max`, `sync_linked_regs`).
    fn refine(&mut self, branch: Branch, pushed: usize, linked: &Linked) {
        let Value::Scalar(left) = self.value(branch.dst) else { return };
        let right = match branch.src {
            Operand::Register(src) => match self.value(src) {
                Value::Scalar(right) => right,
                _ => {
                    self.sync_after_comparison(branch, pushed, linked);
                    return;
                }
            },
            Operand::Immediate(imm) => Number::constant(i64::from(imm) as u64),
        };
        if branch.src == Operand::Register(branch.dst) {
            let edges = domain::refine_edges_of_one(branch.op, branch.width, &left.bounds);
            set_bounds(&mut self.state, branch.dst, edges.not_taken);
            set_bounds(&mut self.pending[pushed].state, branch.dst, edges.taken);
        } else {
            let edges = domain::refine_edges(branch.op, branch.width, &left.bounds, &right.bounds);
            set_bounds(&mut self.state, branch.dst, edges.not_taken.0);
            set_bounds(&mut self.pending[pushed].state, branch.dst, edges.taken.0);
            if let Operand::Register(src) = branch.src {
                set_bounds(&mut self.state, src, edges.not_taken.1);
                set_bounds(&mut self.pending[pushed].state, src, edges.taken.1);
            }
        }
        self.sync_after_comparison(branch, pushed, linked);
    }

    fn sync_after_comparison(&mut self, branch: Branch, pushed: usize, linked: &Linked) {
        if let Operand::Register(src) = branch.src {
            sync_linked(&mut self.state, src, linked);
            sync_linked(&mut self.pending[pushed].state, src, linked);
        }
        sync_linked(&mut self.state, branch.dst, linked);
        sync_linked(&mut self.pending[pushed].state, branch.dst, linked);
    }

    /// A pointer that equals one that is not NULL, or differs from zero, is not NULL. `true` if it was compared with
    /// zero.
    fn learn_not_null(&mut self, branch: Branch, pushed: usize) -> bool {
        if branch.width == Width::W32 || !matches!(branch.op, JumpOp::Equal | JumpOp::NotEqual) {
            return false;
        }
        let equal_is_pushed = branch.op == JumpOp::Equal;
        match branch.src {
            Operand::Immediate(0) if self.value(branch.dst).may_be_null() => {
                self.settle_null(branch.dst, None, !equal_is_pushed);
                self.settle_null(branch.dst, Some(pushed), equal_is_pushed);
                return true;
            }
            Operand::Immediate(_) => {}
            Operand::Register(src) => self.learn_from_equal_pointers(branch.dst, src, pushed, equal_is_pushed),
        }
        false
    }

    fn learn_from_equal_pointers(&mut self, dst: Register, src: Register, pushed: usize, equal_is_pushed: bool) {
        let (Value::Pointer(left), Value::Pointer(right)) = (self.value(dst), self.value(src)) else { return };
        if left.object().is_some() || right.object().is_some() {
            return;
        }
        for (register, nullable, other) in [(src, right, left), (dst, left, right)] {
            if nullable.attributes.nullable && self.is_surely_not_null(&other) {
                let settled = self.not_null(nullable);
                let state = if equal_is_pushed { &mut self.pending[pushed].state } else { &mut self.state };
                state.set(register, Value::Pointer(settled));
            }
        }
    }

    /// All copies of a pointer that was checked are settled: NULL, or not (`mark_ptr_or_null_regs`).
    fn settle_null(&mut self, register: Register, pushed: Option<usize>, is_null: bool) {
        let state = match pushed {
            Some(index) => &self.pending[index].state,
            None => &self.state,
        };
        let Some(checked) = state.value(register).as_pointer().copied() else { return };
        let callback = state.frame().in_callback().then(|| state.current() as u8);
        let settled_of = |verifier: &Self, pointer: Pointer| -> Value {
            if is_null {
                return null_of(&pointer);
            }
            let mut settled = verifier.not_null(pointer);
            if !verifier.may_point_to_lock(&settled) {
                settled.id = 0;
            }
            Value::Pointer(settled)
        };
        let state = self.state_on(pushed);
        if is_null
            && checked.reference != 0
            && checked.reference == checked.id
            && !seeded::active(Fault::NullKeepsReference)
        {
            state.obligations.release(checked.reference, callback);
        }
        // What a pointer becomes depends on it and on its map or type, not on the state: that is lent out meanwhile.
        let mut frames = std::mem::take(&mut state.frames);
        for_each_value(&mut frames, false, |value| {
            if let Value::Pointer(pointer) = value
                && pointer.attributes.nullable
                && pointer.id == checked.id
            {
                *value = settled_of(self, *pointer);
            }
        });
        self.state_on(pushed).frames = frames;
    }

    /// The current state, or that of a pushed branch.
    fn state_on(&mut self, pushed: Option<usize>) -> &mut State {
        match pushed {
            Some(index) => &mut self.pending[index].state,
            None => &mut self.state,
        }
    }

    /// The pointer once it is known not to be NULL (`mark_ptr_not_null_reg`).
    #[must_use]
    pub fn not_null(&self, mut pointer: Pointer) -> Pointer {
        pointer.attributes.nullable = false;
        let Target::MapValue(map_ref) = pointer.target else { return pointer };
        let Ok(map) = self.map(map_ref) else { return pointer };
        pointer.target = match map.looked_up {
            super::maps::LookedUp::Value => Target::MapValue(map_ref),
            super::maps::LookedUp::InnerMap { index, own_identity } => Target::ConstMap(super::value::MapRef {
                index,
                uid: if own_identity { pointer.id } else { map_ref.uid },
            }),
            super::maps::LookedUp::Socket => Target::Socket(SocketKind::Full { from: Some(map_ref) }),
            super::maps::LookedUp::XdpSocket => Target::Socket(SocketKind::Xdp { from: map_ref }),
        };
        pointer
    }
}

/// What a pointer becomes where it turned out to be NULL: the number zero. The kernel keeps its old bounds, which are
/// those of offset zero.
fn null_of(pointer: &Pointer) -> Value {
    Value::Scalar(Number { bounds: pointer.variable, null_of: NullOf::left_by(pointer), ..Number::UNKNOWN })
}

fn set_bounds(state: &mut State, register: Register, bounds: Scalar) {
    if let Value::Scalar(number) = &mut state.frame_mut().registers[register.index()].value {
        number.bounds = bounds;
        if bounds.check_invariants().is_err() {
            number.bounds.forget_bounds();
        }
    }
}

/// Carries what was learnt of one scalar to those linked with it (`sync_linked_regs`).
fn sync_linked(state: &mut State, register: Register, linked: &Linked) {
    let Value::Scalar(known) = *state.value(register) else { return };
    if known.id == 0 {
        return;
    }
    let current = state.current() as u8;
    for &(frame, place) in linked {
        if frame == current && place == Place::Register(register.index() as u8) {
            continue;
        }
        let Some(Value::Scalar(other)) = state.cell_mut(frame, place).map(|cell| &mut cell.value) else { continue };
        if other.id != known.id {
            continue;
        }
        let (mine, theirs) = (other.delta.unwrap_or(0), known.delta.unwrap_or(0));
        if (other.delta.is_none() && known.delta.is_none())
            || mine == theirs
            || seeded::active(Fault::LinkedForgetsDifference)
        {
            *other = known;
        } else {
            let bounds = alu::shifted_by(&known.bounds, mine.wrapping_sub(theirs));
            *other = Number { bounds, id: other.id, delta: other.delta, ..known };
        }
    }
}
