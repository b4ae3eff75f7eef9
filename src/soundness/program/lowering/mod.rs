//! From the tree of statements to instructions.
//!
//! One walk. What is known at each point ([`Env`]: which registers hold numbers, which pointers are at hand, which
//! stack bytes were written) says what a [`Pick`] may choose. Each care that a mutation can take away asks
//! [`Lowering::spoils`] first. Numbers live anywhere in `r0` to `r9`, pointers in `r6` to `r9` or in stack slots.

mod control;
mod env;
mod kfuncs;
mod memory;
mod mutate;
mod numbers;
mod objects;

use rustc_hash::FxHashMap;

use super::assembler::{Code, Function, Label, Reference};
use super::model::{MutationKind, Pick, Program, ProgramKind, Source, Statement};
use crate::isa::{AluOp, CallTarget, Insn, JumpOp, Operand, Register, Size, Width};
use env::{Env, Home, Pointer, What};

/// Instructions of one function past which further statements become nothing.
const MAX_LINES: usize = 2000;

/// Statements inside each other past which further ones become nothing.
const MAX_DEPTH: u32 = 24;

/// Lowers a program. The same program gives the same instructions.
#[must_use]
pub fn lower(program: &Program) -> Code {
    if program.mutations.is_empty() {
        return Lowering::new(program.kind).program(program);
    }
    // A first walk counts the places where something can go wrong.
    let mut counting = Lowering::new(program.kind);
    counting.program(program);
    let mut lowering = Lowering::new(program.kind);
    for mutation in &program.mutations {
        let sites = counting.sites.get(&mutation.kind).copied().unwrap_or(0);
        if let Some(site) = u32::from(mutation.site).checked_rem(sites) {
            lowering.spoiled.push((mutation.kind, site));
        }
    }
    lowering.program(program)
}

struct Lowering {
    kind: ProgramKind,
    env: Env,
    /// The function that is being written.
    current: Function,
    /// Finished callbacks, in the order in which they were begun; the entry function goes before them.
    callbacks: Vec<Function>,
    /// The comparison of tree nodes, once it is there: its index among all functions.
    less: Option<usize>,
    /// In an RCU section that the program entered itself.
    rcu: bool,
    locked: bool,
    in_callback: bool,
    /// How much must be given back before the function may end.
    owed: u32,
    depth: u32,
    /// Where the context is kept, if it is.
    context: Option<i16>,
    sites: FxHashMap<MutationKind, u32>,
    spoiled: Vec<(MutationKind, u32)>,
    /// Structures of users' objects.
    foreign: Vec<String>,
}

fn r(number: u8) -> Register {
    Register::new(number).unwrap_or(Register::R0)
}

impl Lowering {
    fn new(kind: ProgramKind) -> Self {
        Lowering {
            kind,
            env: Env::default(),
            current: Function::new(1),
            callbacks: Vec::new(),
            less: None,
            rcu: false,
            locked: false,
            in_callback: false,
            owed: 0,
            depth: 0,
            context: None,
            sites: FxHashMap::default(),
            spoiled: Vec::new(),
            foreign: Vec::new(),
        }
    }

    fn program(&mut self, program: &Program) -> Code {
        if needs_context(self.kind, &program.body)
            && let Some(slot) = self.env.take_slot()
        {
            self.push(Insn::Store { size: Size::B8, dst: Register::R10, offset: slot, src: Operand::Register(r(1)) });
            self.context = Some(slot);
        }
        self.block(&program.body);
        self.finish(false);
        let mut functions = vec![std::mem::take(&mut self.current)];
        functions.append(&mut self.callbacks);
        mutate::apply(&mut functions, &program.mutations);
        functions.iter_mut().for_each(Function::resolve);
        Code { kind: self.kind, functions }
    }

    /// The end of a function: its result, if it can be reached.
    fn finish(&mut self, callback: bool) {
        if self.env.dead {
            return;
        }
        self.current.statement("return".to_owned());
        if callback {
            self.constant(0, 0);
        } else if !self.env.is_number(0) {
            match self.env.numbers().first() {
                Some(&register) => self.mov(0, register),
                None => self.constant(0, 0),
            }
        }
        self.push(Insn::Exit);
        self.env.dead = true;
    }

    /// Is this the place at which such a mutation takes its care away?
    fn spoils(&mut self, kind: MutationKind) -> bool {
        let count = self.sites.entry(kind).or_insert(0);
        let site = *count;
        *count += 1;
        self.spoiled.contains(&(kind, site))
    }

    fn block(&mut self, statements: &[Statement]) {
        self.depth += 1;
        for statement in statements {
            if self.env.dead || self.depth > MAX_DEPTH || self.current.lines.len() > MAX_LINES {
                break;
            }
            self.statement(statement);
        }
        self.depth -= 1;
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Constant { .. }
            | Statement::Random { .. }
            | Statement::Context { .. }
            | Statement::Alu { .. }
            | Statement::Unary { .. } => self.number_statement(statement),
            Statement::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
            Statement::Loop { kind, body } => self.repeat(*kind, body),
            Statement::Return { value } => self.early_return(*value),
            Statement::Spill { .. } | Statement::Fill { .. } | Statement::StackIndex { .. } => {
                self.stack_statement(statement);
            }
            Statement::Lookup { .. }
            | Statement::Update { .. }
            | Statement::Delete { .. }
            | Statement::Memory { .. }
            | Statement::Index { .. }
            | Statement::Fetch { .. }
            | Statement::Packet { .. }
            | Statement::PacketAt { .. } => self.memory_statement(statement),
            Statement::Kfunc { kfunc, numbers, objects, home, body } => {
                self.user_kfunc(kfunc, numbers, *objects, *home, body);
            }
            _ => self.object_statement(statement),
        }
    }

    fn push(&mut self, insn: Insn) {
        self.current.push(insn);
    }

    fn mov(&mut self, dst: u8, src: u8) {
        if dst != src {
            self.alu(AluOp::Mov, Width::W64, dst, Operand::Register(r(src)));
        }
    }

    fn constant(&mut self, dst: u8, value: i32) {
        self.alu(AluOp::Mov, Width::W64, dst, Operand::Immediate(value));
    }

    fn alu(&mut self, op: AluOp, width: Width, dst: u8, src: Operand) {
        self.push(Insn::Alu { width, op, dst: r(dst), src });
    }

    fn jump_if(&mut self, op: JumpOp, dst: u8, src: Operand, label: Label) {
        self.current.push_jump(Insn::JumpIf { width: Width::W64, op, dst: r(dst), src, offset: 0 }, label);
    }

    fn goto(&mut self, label: Label) {
        self.current.push_jump(Insn::Jump { offset: 0 }, label);
    }

    /// Calls a helper; `r0` is no number yet, whatever it returns.
    fn helper(&mut self, number: i32) {
        self.push(Insn::Call(CallTarget::Helper(number)));
        self.env.clobber();
    }

    fn kfunc(&mut self, name: &str) {
        self.current.push_reference(Insn::Call(CallTarget::Kfunc(0)), Reference::Kfunc(name.to_owned()));
        self.env.clobber();
    }

    /// A register with a number; one is made if there is none.
    fn number(&mut self, pick: Pick) -> u8 {
        if let Some(register) = pick.of(&self.env.numbers()) {
            return register;
        }
        self.constant(0, i32::from(pick.0));
        self.env.set_number(0);
        0
    }

    fn operand(&mut self, source: Source) -> Operand {
        match source {
            Source::Constant(value) => Operand::Immediate(value),
            Source::Register(pick) => Operand::Register(r(self.number(pick))),
        }
    }

    /// A register that may be overwritten.
    fn destination(&self, pick: Pick) -> u8 {
        pick.of(&self.env.free()).unwrap_or(0)
    }

    /// A register for a moment, other than those; whatever number was in it is lost.
    fn temporary(&mut self, avoid: &[u8]) -> u8 {
        let register = [5, 4, 3, 2, 1, 0].into_iter().find(|register| !avoid.contains(register)).unwrap_or(0);
        self.env.clear_number(register);
        register
    }

    /// The pointer in a register: the one where it is kept, or `spare`, into which it is filled.
    fn pointer_in(&mut self, pointer: Pointer, spare: u8) -> u8 {
        match pointer.home {
            Home::Register(register) => register,
            Home::Slot(slot) => {
                self.fill(spare, slot);
                self.env.clear_number(spare);
                spare
            }
        }
    }

    /// The pointer plus a distance, in that register.
    fn argument(&mut self, register: u8, pointer: Pointer, offset: i16) {
        let from = self.pointer_in(pointer, register);
        self.mov(register, from);
        if offset != 0 {
            self.alu(AluOp::Add, Width::W64, register, Operand::Immediate(i32::from(offset)));
        }
        self.env.clear_number(register);
    }

    fn fill(&mut self, dst: u8, slot: i16) {
        self.push(Insn::Load { size: Size::B8, signed: false, dst: r(dst), src: Register::R10, offset: slot });
    }

    fn spill(&mut self, slot: i16, src: u8) {
        self.push(Insn::Store { size: Size::B8, dst: Register::R10, offset: slot, src: Operand::Register(r(src)) });
    }

    /// A place for a pointer; `None` if all are taken.
    fn home(&mut self, pick: Pick) -> Option<Home> {
        let home = pick.of(&self.env.homes())?;
        self.env.occupy(home);
        Some(home)
    }

    fn keep(&mut self, home: Home, register: u8) {
        match home {
            Home::Register(to) => self.mov(to, register),
            Home::Slot(slot) => self.spill(slot, register),
        }
    }

    /// Runs `body` with the pointer in `r0`, if it is not NULL, and joins both ways behind it. `end` is what becomes
    /// of the pointer; `adjust` is what its address is off by.
    fn if_not_null(&mut self, what: What, home: Pick, body: &[Statement], end: impl FnOnce(&mut Self, Pointer)) {
        let check_first = home.0 & 0x80 == 0;
        let Some(place) = self.home(home) else { return };
        let skip = self.current.label();
        if !check_first {
            self.keep(place, 0);
        }
        let trusts = what == What::Copy && self.spoils(MutationKind::TrustCpuNumber);
        if !self.spoils(MutationKind::DropNullCheck) && !trusts {
            self.jump_if(JumpOp::Equal, 0, Operand::Immediate(0), skip);
        }
        if check_first {
            self.keep(place, 0);
        }
        self.within(Pointer { what, home: place }, skip, body, end);
    }

    /// Runs `body` with a pointer at hand, `end`, and joins with what jumps to `skip` from here.
    fn within(&mut self, pointer: Pointer, skip: Label, body: &[Statement], end: impl FnOnce(&mut Self, Pointer)) {
        let mut skipped = self.env.clone();
        skipped.release(pointer.home);
        self.env.pointers.push(pointer);
        self.block(body);
        self.env.pointers.pop();
        if !self.env.dead {
            end(self, pointer);
            if self.spoils(MutationKind::UseAfterScope) {
                let spare = self.temporary(&[]);
                let from = self.pointer_in(pointer, spare);
                self.push(Insn::Load { size: Size::B8, signed: false, dst: r(spare), src: r(from), offset: 0 });
            }
        }
        self.env.release(pointer.home);
        self.current.place(skip);
        self.env.join(&skipped);
    }

    /// A pointer of that sort at hand.
    fn find(&self, pick: Pick, wanted: impl Fn(What) -> bool) -> Option<Pointer> {
        let fitting: Vec<Pointer> = self.env.pointers.iter().copied().filter(|pointer| wanted(pointer.what)).collect();
        pick.of(&fitting)
    }
}

/// Does any statement look into the context?
fn needs_context(kind: ProgramKind, body: &[Statement]) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Context { .. } => !kind.context_fields().is_empty(),
        Statement::Packet { .. } | Statement::PacketAt { .. } => kind.packet().is_some(),
        other => other.blocks().iter().any(|block| needs_context(kind, block)),
    })
}
