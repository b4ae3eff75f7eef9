//! Branches, loops, early ends.

use super::env::{Env, Home};
use super::{Lowering, r};
use crate::isa::{AluOp, ImmediateSource, Insn, JumpOp, Operand, Register, Size, Width};
use crate::soundness::program::assembler::{Function, Reference};
use crate::soundness::program::model::{Condition, Loop, MutationKind, Source, Statement};

/// `bpf_loop`.
const LOOP: i32 = 181;

impl Lowering {
    pub(super) fn branch(&mut self, condition: &Condition, then: &[Statement], otherwise: &[Statement]) {
        let left = self.number(condition.left);
        let right = self.operand(condition.right);
        let name = if condition.width == Width::W64 { "r" } else { "w" };
        self.current.statement(format!("if {name}{left} {} {right}", condition.op.sign()));
        let join = self.current.label();
        let jump = |op| Insn::JumpIf { width: condition.width, op, dst: r(left), src: right, offset: 0 };
        if let Some(negated) = negated(condition.op).filter(|_| otherwise.is_empty()) {
            self.current.push_jump(jump(negated), join);
            let skipped = self.env.clone();
            self.block(then);
            self.current.place(join);
            self.env.join(&skipped);
            return;
        }
        let taken = self.current.label();
        self.current.push_jump(jump(condition.op), taken);
        let before = self.env.clone();
        self.block(otherwise);
        if !self.env.dead {
            self.current.statement("else".to_owned());
            self.goto(join);
        }
        let other = std::mem::replace(&mut self.env, before);
        self.current.place(taken);
        self.block(then);
        self.current.place(join);
        self.env.join(&other);
    }

    pub(super) fn early_return(&mut self, value: Source) {
        if self.owed > 0 {
            return;
        }
        let value = self.operand(value);
        self.current.statement(format!("return {value}"));
        self.alu(AluOp::Mov, Width::W64, 0, value);
        if self.in_callback {
            self.alu(AluOp::And, Width::W64, 0, Operand::Immediate(1));
        }
        self.push(Insn::Exit);
        self.env.dead = true;
    }

    pub(super) fn repeat(&mut self, kind: Loop, body: &[Statement]) {
        match kind {
            Loop::Counted(times) => self.counted(times, body),
            Loop::MayGoto => self.may_goto(body),
            Loop::Iterator(start, end) if !self.locked => self.iterate(start, end, body),
            Loop::Callback(times) if !self.locked && !self.in_callback => self.callback(times, body),
            Loop::Iterator(..) | Loop::Callback(_) => {}
        }
    }

    /// The body of a loop, after which what it needs at its head is there again.
    fn turn(&mut self, body: &[Statement]) -> bool {
        let head = self.env.clone();
        self.block(body);
        if self.env.dead {
            return false;
        }
        for register in self.env.lost(&head) {
            self.constant(register, 0);
            self.env.set_number(register);
        }
        true
    }

    fn counted(&mut self, times: u8, body: &[Statement]) {
        let Some(slot) = self.env.take_slot() else { return };
        self.current.statement(format!("repeat {times} times"));
        let (head, done) = (self.current.label(), self.current.label());
        self.push(Insn::Store { size: Size::B8, dst: Register::R10, offset: slot, src: Operand::Immediate(0) });
        self.env.keep_callee_saved();
        self.current.place(head);
        self.fill(0, slot);
        self.jump_if(JumpOp::GreaterEqual, 0, Operand::Immediate(i32::from(times)), done);
        let skipped = self.env.clone();
        self.env.set_number(0);
        let start = skipped.clone();
        self.block(body);
        if !self.env.dead {
            for register in self.env.lost(&start) {
                self.constant(register, 0);
            }
            self.current.statement("next".to_owned());
            self.fill(0, slot);
            self.alu(AluOp::Add, Width::W64, 0, Operand::Immediate(1));
            self.spill(slot, 0);
            self.goto(head);
        }
        self.current.place(done);
        self.env = skipped;
        self.env.release(Home::Slot(slot));
    }

    fn may_goto(&mut self, body: &[Statement]) {
        self.current.statement("may_goto loop".to_owned());
        let (head, done) = (self.current.label(), self.current.label());
        self.env.keep_callee_saved();
        self.current.place(head);
        self.current.push_jump(Insn::MayGoto { offset: 0 }, done);
        let skipped = self.env.clone();
        if self.turn(body) {
            self.current.statement("next".to_owned());
            self.goto(head);
        }
        self.current.place(done);
        self.env = skipped;
    }

    fn iterate(&mut self, start: i16, end: i16, body: &[Statement]) {
        let Some(slot) = self.env.take_slot() else { return };
        self.current.statement(format!("for {start} to {end}"));
        let (head, done) = (self.current.label(), self.current.label());
        self.stack_address(1, slot);
        self.constant(2, i32::from(start));
        self.constant(3, i32::from(end));
        self.kfunc("bpf_iter_num_new");
        self.env.keep_callee_saved();
        self.current.place(head);
        self.stack_address(1, slot);
        self.kfunc("bpf_iter_num_next");
        if !self.spoils(MutationKind::DropNullCheck) {
            self.jump_if(JumpOp::Equal, 0, Operand::Immediate(0), done);
        }
        let skipped = self.env.clone();
        self.push(Insn::Load { size: Size::B4, signed: false, dst: r(0), src: r(0), offset: 0 });
        self.owed += 1;
        let head_env = self.env.clone();
        self.env.set_number(0);
        self.block(body);
        self.owed -= 1;
        for register in self.env.lost(&head_env) {
            self.constant(register, 0);
        }
        self.current.statement("next".to_owned());
        self.goto(head);
        self.current.place(done);
        self.env = skipped;
        if !self.spoils(MutationKind::SkipDestroy) {
            self.stack_address(1, slot);
            self.kfunc("bpf_iter_num_destroy");
        }
        self.env.release(Home::Slot(slot));
    }

    fn callback(&mut self, times: u16, body: &[Statement]) {
        let index = 1 + self.callbacks.len();
        self.current.statement(format!("bpf_loop {times} times"));
        self.constant(1, i32::from(times));
        self.function_address(2, index);
        self.constant(3, 0);
        self.constant(4, 0);
        self.helper(LOOP);
        self.env.set_number(0);
        let function = self.in_function(Env::callback(2), 2, |lowering| lowering.block(body));
        if let Some(place) = self.callbacks.get_mut(index - 1) {
            *place = function;
        }
    }

    pub(super) fn function_address(&mut self, register: u8, index: usize) {
        let insn = Insn::LoadImmediate { dst: r(register), source: ImmediateSource::Function(0) };
        self.current.push_reference(insn, Reference::Function(index));
    }

    /// Writes another function, for which the next place among the callbacks is kept.
    fn in_function(&mut self, env: Env, arguments: usize, body: impl FnOnce(&mut Self)) -> Function {
        self.callbacks.push(Function::default());
        let outer = std::mem::replace(&mut self.current, Function::new(arguments));
        let outer_env = std::mem::replace(&mut self.env, env);
        let outer_rest = (self.owed, self.context, self.in_callback);
        (self.owed, self.context, self.in_callback) = (0, None, true);
        body(self);
        self.finish(true);
        (self.owed, self.context, self.in_callback) = outer_rest;
        self.env = outer_env;
        std::mem::replace(&mut self.current, outer)
    }

    /// The comparison that trees are sorted by.
    pub(super) fn less(&mut self, key: i16) -> usize {
        if let Some(index) = self.less {
            return index;
        }
        let index = 1 + self.callbacks.len();
        self.less = Some(index);
        let function = self.in_function(Env::default(), 2, |lowering| {
            let out = lowering.current.label();
            for register in [1, 2] {
                let register = r(register);
                lowering.push(Insn::Load { size: Size::B8, signed: false, dst: register, src: register, offset: key });
            }
            lowering.constant(0, 1);
            lowering.jump_if(JumpOp::Less, 1, Operand::Register(r(2)), out);
            lowering.constant(0, 0);
            lowering.current.place(out);
            lowering.push(Insn::Exit);
            lowering.env.dead = true;
        });
        if let Some(place) = self.callbacks.get_mut(index - 1) {
            *place = function;
        }
        index
    }

    /// The address of a stack slot.
    pub(super) fn stack_address(&mut self, register: u8, slot: i16) {
        self.mov(register, 10);
        self.alu(AluOp::Add, Width::W64, register, Operand::Immediate(i32::from(slot)));
        self.env.clear_number(register);
    }
}

/// The comparison that holds just where this one does not.
fn negated(op: JumpOp) -> Option<JumpOp> {
    Some(match op {
        JumpOp::Equal => JumpOp::NotEqual,
        JumpOp::NotEqual => JumpOp::Equal,
        JumpOp::Greater => JumpOp::LessEqual,
        JumpOp::LessEqual => JumpOp::Greater,
        JumpOp::Less => JumpOp::GreaterEqual,
        JumpOp::GreaterEqual => JumpOp::Less,
        JumpOp::SignedGreater => JumpOp::SignedLessEqual,
        JumpOp::SignedLessEqual => JumpOp::SignedGreater,
        JumpOp::SignedLess => JumpOp::SignedGreaterEqual,
        JumpOp::SignedGreaterEqual => JumpOp::SignedLess,
        JumpOp::Set => return None,
    })
}
