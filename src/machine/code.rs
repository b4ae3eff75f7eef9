//! A program as the machine runs it: decoded once, each slot a fixed-size operation.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::isa::{
    AluOp, AtomicOp, CallTarget, Endian, ImmediateSource, Insn, JumpOp, Operand, Register, Size, Width, decode,
};
use crate::object::Program;

use super::arena_pointers;
use super::models::{Model, Scheduling};
use super::operation::Operation;
use super::straight;
use super::task::STACK_SIZE;

/// First address of the functions that callbacks are named by; nothing can be read there.
pub(super) const CODE_BASE: u64 = 0xffff_ffff_a000_0000;
const CODE_STRIDE: u64 = 1 << 24;
/// `BPF_PROG_TYPE_EXT`.
const EXTENSION: u32 = 28;

/// What an operation does. The operands are in [`Op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Alu64(AluOp),
    Alu32(AluOp),
    MoveSignExtended(Width, Size),
    /// A pointer into an arena becomes user space's; `imm` is where user space has the arena.
    CastUser,
    ByteSwap(Endian, Size),
    LoadImmediate,
    Load(Size),
    LoadSigned(Size),
    Store(Size),
    Atomic(Size, AtomicOp),
    Jump,
    Jump64(JumpOp),
    Jump32(JumpOp),
    MayGoto,
    /// A legacy packet load at `imm`, plus `src` unless that is none (`immediate`).
    LoadPacket(Size),
    /// A function of the program; `target` is its first slot.
    CallLocal,
    /// A helper or kfunc; `imm` is an index into [`LoadedProgram::calls`].
    Call,
    Exit,
    /// Not executable; `imm` is an index into [`LoadedProgram::broken`].
    Broken,
}

/// A register's number, whose type says that it is less than 16: what has 16 elements is indexed by it without a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

impl Index {
    fn of(register: Register) -> Index {
        use Index::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};
        const ALL: [Index; 11] = [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10];
        ALL.get(register.index()).copied().unwrap_or(R0)
    }

    #[inline(always)]
    pub fn get(self) -> usize {
        self as usize
    }
}

/// [`Op::frame`] of what does not access its function's stack by the frame pointer, or not at a multiple of its size.
pub(super) const NO_FRAME: u16 = u16::MAX;

/// One slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub code: Code,
    /// The same for the inner loop.
    pub operation: Operation,
    pub dst: Index,
    pub src: Index,
    /// The second operand is `imm`, not `src`.
    pub immediate: bool,
    /// Memory offset in bytes.
    pub offset: i16,
    /// Registers that must hold something.
    pub reads: u16,
    /// Registers that hold something afterwards.
    pub writes: u16,
    /// All others.
    pub keeps: u16,
    /// Registers that must hold something for the straight run that begins here ([`super::straight`]).
    pub needs: u16,
    /// The slot before which that run ends.
    pub run_end: u32,
    /// Slots from the next one to `target`; for a return, to the program's first.
    pub hop: i32,
    /// Where in its function's stack it accesses memory, if that follows from the instruction alone; else [`NO_FRAME`].
    pub frame: u16,
    /// Slot that a jump or call goes to.
    pub target: u32,
    pub imm: u64,
}

/// A helper or kfunc that a program calls.
#[derive(Clone, Debug)]
pub(super) struct CallSite {
    pub name: Arc<str>,
    pub kfunc: bool,
    pub model: Option<&'static Model>,
}

impl CallSite {
    /// Can other tasks see the call, or change what it gives?
    pub fn is_shared(&self) -> bool {
        self.model.is_some_and(|model| !matches!(model.scheduling, Scheduling::Local))
    }
}

/// Why a slot cannot be executed.
#[derive(Clone, Debug)]
pub(super) enum Broken {
    /// It is no instruction.
    Invalid(String),
    /// It is one that the machine does not model.
    Unsupported(String),
}

/// A program, ready to run.
#[derive(Clone, Debug)]
pub struct LoadedProgram {
    /// The program as loaded from the object.
    pub(super) source: Program,
    pub(super) index: u32,
    pub(super) ops: Vec<Op>,
    pub(super) calls: Vec<CallSite>,
    pub(super) broken: Vec<Broken>,
    /// Slots of casts that give a pointer into an arena.
    arena_casts: BTreeSet<u32>,
}

impl LoadedProgram {
    /// The program as loaded from the object.
    #[must_use]
    pub fn source(&self) -> &Program {
        &self.source
    }

    /// The address by which a callback that starts at `slot` is named.
    pub(super) fn function_address(index: u32, slot: u32) -> u64 {
        CODE_BASE + u64::from(index) * CODE_STRIDE + u64::from(slot) * 8
    }

    /// The slot of a callback of this program, or `None` if the address names none.
    pub(super) fn function_slot(&self, address: u64) -> Option<u32> {
        let distance = address.checked_sub(Self::function_address(self.index, 0))?;
        let slot = distance / 8;
        let starts = |start: usize| start as u64 == slot;
        let known = distance.is_multiple_of(8) && self.source.functions.iter().any(|f| starts(f.start));
        known.then_some(slot as u32)
    }
}

/// What a wide load's immediate stands for, and which code a call runs: asked while a program is loaded.
pub(super) trait Resolve {
    /// The value of the immediate, or why there is none.
    fn immediate(&mut self, source: ImmediateSource) -> Result<u64, String>;
    /// Where user space has the object's arena; `None` if pointers into it stay as they are.
    fn arena(&mut self) -> Result<Option<u64>, String>;
    /// The helper or kfunc that is called.
    fn call(&mut self, target: CallTarget) -> CallSite;
}

/// Decodes a program. Slots that are no instruction become operations that fault when they are reached.
pub(super) fn load(index: u32, source: &Program, resolve: &mut dyn Resolve) -> LoadedProgram {
    let mut program = LoadedProgram {
        source: source.clone(),
        index,
        ops: Vec::new(),
        calls: Vec::new(),
        broken: Vec::new(),
        arena_casts: BTreeSet::new(),
    };
    let mut second_half = false;
    for (slot, &raw) in source.insns.iter().enumerate() {
        let op = if second_half {
            second_half = false;
            program.broken(Broken::Invalid("the second half of a wide load".to_owned()))
        } else if let Some(unresolved) = source.unresolved_at(slot) {
            second_half = raw.is_wide();
            program.unsupported(format!("this needs {}", unresolved.what))
        } else {
            match decode(raw, source.insns.get(slot + 1).copied()) {
                Ok(insn) => {
                    second_half = insn.slots() == 2;
                    program.lower(slot, insn, resolve)
                }
                Err(error) => program.broken(Broken::Invalid(error.to_string())),
            }
        };
        program.ops.push(op);
    }
    if source.section.program_type == EXTENSION {
        let what = "the arguments of a function that this program replaces";
        let entry = program.unsupported(what);
        if let Some(first) = program.ops.first_mut() {
            *first = entry;
        }
    }
    let starts = source.functions.iter().filter_map(|function| u32::try_from(function.start).ok()).collect();
    arena_pointers::narrow(&mut program.ops, &program.arena_casts, &starts);
    for op in &mut program.ops {
        op.keeps = !op.writes;
        op.frame = op.place_in_frame();
        op.operation = Operation::of(op.code, op.immediate, op.frame != NO_FRAME);
    }
    straight::mark(&mut program.ops);
    program
}

fn bit(register: Register) -> u16 {
    1 << register.index()
}

fn blank(code: Code) -> Op {
    Op {
        code,
        operation: Operation::Other,
        dst: Index::R0,
        src: Index::R0,
        immediate: false,
        offset: 0,
        reads: 0,
        writes: 0,
        keeps: u16::MAX,
        needs: 0,
        run_end: 0,
        hop: 0,
        frame: NO_FRAME,
        target: 0,
        imm: 0,
    }
}

impl Op {
    /// Where in its function's stack it accesses memory by the frame pointer; else [`NO_FRAME`].
    pub fn place_in_frame(&self) -> u16 {
        let (size, base) = match self.code {
            Code::Load(size) => (size, self.src),
            Code::Store(size) | Code::Atomic(size, _) => (size, self.dst),
            _ => return NO_FRAME,
        };
        let place = i64::from(STACK_SIZE) + i64::from(self.offset);
        let inside = (0..i64::from(STACK_SIZE)).contains(&place) && place % i64::from(size.bytes()) == 0;
        if base == Index::R10 && inside { place as u16 } else { NO_FRAME }
    }

    fn operand(mut self, operand: Operand) -> Op {
        match operand {
            Operand::Register(register) => {
                self.src = Index::of(register);
                self.reads |= bit(register);
            }
            Operand::Immediate(imm) => {
                self.immediate = true;
                self.imm = i64::from(imm) as u64;
            }
        }
        self
    }

    fn reading(mut self, register: Register) -> Op {
        self.src = Index::of(register);
        self.reads |= bit(register);
        self
    }

    fn writing(mut self, register: Register) -> Op {
        self.dst = Index::of(register);
        self.writes |= bit(register);
        self
    }

    fn at(mut self, slot: usize, offset: i32) -> Op {
        // A target outside the program is past its end, where `fetch` reports it.
        self.target = (slot as i64 + 1 + i64::from(offset)).try_into().unwrap_or(u32::MAX);
        self
    }
}

impl LoadedProgram {
    fn broken(&mut self, why: Broken) -> Op {
        self.broken.push(why);
        Op { imm: self.broken.len() as u64 - 1, ..blank(Code::Broken) }
    }

    fn unsupported(&mut self, what: impl Into<String>) -> Op {
        self.broken(Broken::Unsupported(what.into()))
    }

    fn lower(&mut self, slot: usize, insn: Insn, resolve: &mut dyn Resolve) -> Op {
        if writes_frame_pointer(insn) {
            return self.broken(Broken::Invalid("frame pointer is read only".to_owned()));
        }
        match insn {
            Insn::Alu { width, op, dst, src } => {
                let code = if width == Width::W64 { Code::Alu64(op) } else { Code::Alu32(op) };
                let mut lowered = blank(code).operand(src).writing(dst);
                if op != AluOp::Mov {
                    lowered.reads |= bit(dst);
                }
                lowered
            }
            Insn::MoveSignExtended { width, from, dst, src } => {
                blank(Code::MoveSignExtended(width, from)).reading(src).writing(dst)
            }
            Insn::AddressSpaceCast { dst, src, to, .. } => {
                match resolve.arena() {
                    Ok(Some(start)) if to != 0 => Op { imm: start, ..blank(Code::CastUser).reading(src).writing(dst) },
                    // A program follows pointers by their low half.
                    Ok(_) => {
                        if to == 0 {
                            self.arena_casts.insert(slot as u32);
                        }
                        blank(Code::Alu32(AluOp::Mov)).reading(src).writing(dst)
                    }
                    Err(what) => self.unsupported(what),
                }
            }
            Insn::ByteSwap { dst, endian, size } => {
                let mut lowered = blank(Code::ByteSwap(endian, size)).writing(dst);
                lowered.reads |= bit(dst);
                lowered
            }
            Insn::LoadImmediate { dst, source } => self.lower_wide(slot, dst, source, resolve),
            Insn::Load { size, signed, dst, src, offset } => {
                let code = if signed { Code::LoadSigned(size) } else { Code::Load(size) };
                Op { offset, ..blank(code).reading(src).writing(dst) }
            }
            Insn::Store { size, dst, offset, src } => {
                let mut lowered = Op { offset, ..blank(Code::Store(size)).operand(src) };
                lowered.dst = Index::of(dst);
                lowered.reads |= bit(dst);
                lowered
            }
            Insn::Atomic { size, op, dst, src, offset } => {
                let mut lowered = Op { offset, ..blank(Code::Atomic(size, op)).reading(src) };
                lowered.dst = Index::of(dst);
                lowered.reads |= bit(dst);
                if op == AtomicOp::CompareExchange {
                    lowered.reads |= bit(Register::R0);
                }
                lowered.writes |= op.fetched_into(src).map_or(0, bit);
                lowered
            }
            Insn::LoadPacket { size, index, offset } => {
                let mut lowered = blank(Code::LoadPacket(size)).writing(Register::R0);
                lowered.reads |= bit(Register::R6);
                lowered.immediate = index.is_none();
                lowered.imm = i64::from(offset) as u64;
                index.map_or(lowered, |index| lowered.reading(index))
            }
            Insn::Jump { offset } => blank(Code::Jump).at(slot, offset),
            Insn::JumpIf { width, op, dst, src, offset } => {
                let code = if width == Width::W64 { Code::Jump64(op) } else { Code::Jump32(op) };
                let mut lowered = blank(code).operand(src).at(slot, offset.into());
                lowered.dst = Index::of(dst);
                lowered.reads |= bit(dst);
                lowered
            }
            Insn::MayGoto { offset } => blank(Code::MayGoto).at(slot, offset.into()),
            Insn::Call(CallTarget::Subprogram(offset)) => blank(Code::CallLocal).at(slot, offset),
            Insn::Call(target) => {
                let site = resolve.call(target);
                let arguments = site.model.map_or(0, |model| model.arguments);
                self.calls.push(site);
                // Registers r1 to rN.
                let reads = ((1u16 << arguments) - 1) << 1;
                Op { imm: self.calls.len() as u64 - 1, reads, ..blank(Code::Call) }
            }
            Insn::Exit => blank(Code::Exit),
        }
    }

    fn lower_wide(&mut self, slot: usize, dst: Register, source: ImmediateSource, resolve: &mut dyn Resolve) -> Op {
        let value = match source {
            ImmediateSource::Function(offset) => {
                let start = slot as i64 + 1 + i64::from(offset);
                Ok(Self::function_address(self.index, start.try_into().unwrap_or(u32::MAX)))
            }
            source => resolve.immediate(source),
        };
        match value {
            Ok(imm) => Op { imm, immediate: true, ..blank(Code::LoadImmediate).writing(dst) },
            Err(what) => self.unsupported(what),
        }
    }
}

fn writes_frame_pointer(insn: Insn) -> bool {
    let written = match insn {
        Insn::Alu { dst, .. }
        | Insn::MoveSignExtended { dst, .. }
        | Insn::ByteSwap { dst, .. }
        | Insn::LoadImmediate { dst, .. }
        | Insn::Load { dst, .. } => Some(dst),
        Insn::Atomic { op, src, .. } => op.fetched_into(src),
        _ => None,
    };
    written == Some(Register::R10)
}
