//! Executing instructions of one CPU.
//!
//! It goes on from instruction to instruction until one needs more than registers and memory. Most are carried out by the inner loop
//! ([`inner`]), where nobody asks for a report of each; what that leaves, and every instruction that is reported, is carried out here, one
//! by one and with all that can go wrong. What is left out, for speed, is a matter of the [`Mode`]; what is checked is not.

use crate::isa::{Register, Size, Width};

use super::alu;
use super::code::{Broken, Code, LoadedProgram, Op};
use super::event::{Access, AccessKind, Outcome, StepReport};
use super::fault::{Attempt, FaultKind, Trap};
use super::frames::{Frame, Then};
use super::inner;
use super::memory::{Allocator, Memory, Recent, Spot};
use super::rcu::ReadSide;
use super::task::{Execution, Task};
use crate::seeded::{self, Fault};

/// Why execution stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flow {
    /// As many instructions were executed as were asked for.
    Next,
    /// The last instruction read bytes that nothing wrote, which is to be noted.
    Noted,
    /// The next instruction is none that this [`Mode`] executes, and others may see it or not.
    Left,
    /// Others can see the next instruction, which this [`Mode`] therefore leaves.
    Shared,
    /// The machine has done the step itself.
    Done(Outcome),
    /// Open a frame for the function at that slot.
    CallLocal(u32),
    /// Run a helper or kfunc.
    Call(usize),
    /// Load from the packet at that offset.
    LoadPacket(Size, i32),
    /// The innermost frame returns.
    Exit,
}

/// What is done besides executing.
pub(super) trait Mode {
    /// Reports what is touched.
    const REPORTS: bool;
    /// Stops before calls, returns, and accesses to what other tasks can see.
    const LOCAL: bool;
}

/// One instruction, with its report.
pub(super) struct Reported;
/// As far as it goes.
pub(super) struct Silent;
/// As far as it goes without anyone else taking notice.
pub(super) struct Local;

impl Mode for Reported {
    const REPORTS: bool = true;
    const LOCAL: bool = false;
}

impl Mode for Silent {
    const REPORTS: bool = false;
    const LOCAL: bool = false;
}

impl Mode for Local {
    const REPORTS: bool = false;
    const LOCAL: bool = true;
}

impl StepReport {
    #[inline]
    fn touched<M: Mode>(&mut self, spot: Spot, size: u32, kind: AccessKind) {
        if M::REPORTS {
            self.accesses.push(Access { region: spot.region, offset: spot.offset, size, kind });
        }
    }
}

/// What instructions are executed with, besides their task.
pub(super) struct Surroundings<'m> {
    pub memory: &'m mut Memory,
    pub reader: &'m ReadSide,
    pub report: &'m mut StepReport,
    /// Who allocates the stack of functions.
    pub allocator: Allocator,
}

/// Executes at most `most` instructions from `pc` on, and says how many were begun and why it stopped.
///
/// On an error, and before what the machine has to do itself, `pc` is still that of the last one begun, and nothing of it has
/// been done.
pub(super) fn execute<M: Mode>(
    task: &mut Task,
    mut with: Surroundings<'_>,
    most: u64,
) -> (u64, Result<Flow, Box<Trap>>) {
    let mut left = most;
    let mut recent = Recent::default();
    loop {
        let Task { execution: Some(execution), stacks, .. } = task else { return (most - left, Ok(Flow::Next)) };
        if !M::REPORTS {
            left = inner::run(execution, stacks, with.memory, &mut recent, left);
        }
        if left == 0 {
            return (most, Ok(Flow::Next));
        }
        if M::LOCAL && execution.next_call_is_shared() {
            return (most - left, Ok(Flow::Shared));
        }
        let flow = one::<M>(execution, &mut with, &mut recent);
        let before = most - left;
        left -= 1;
        match flow {
            Ok(Flow::Next) => {}
            // The function's stack may have to be made first.
            Ok(Flow::CallLocal(target)) if !M::REPORTS => {
                with.memory.allocator = with.allocator;
                let return_to = execution.pc + 1;
                if let Err(trap) = task.push(with.memory, target, return_to, Then::Return) {
                    return (before + 1, Err(trap));
                }
                recent.change_stack(u32::MAX);
            }
            Ok(Flow::Left | Flow::Shared) => return (before, flow),
            flow => return (before + 1, flow),
        }
    }
}

/// Executes one instruction.
#[inline(never)]
fn one<M: Mode>(
    execution: &mut Execution,
    with: &mut Surroundings<'_>,
    recent: &mut Recent,
) -> Result<Flow, Box<Trap>> {
    let Some(op) = execution.program.ops.get(execution.pc as usize).copied() else {
        return Err(Trap::fault(FaultKind::RanOff));
    };
    let unknown = op.reads & !execution.known;
    if unknown != 0 {
        if M::LOCAL {
            return Ok(Flow::Left);
        }
        return Err(Trap::fault(FaultKind::UninitialisedRegister(unknown.trailing_zeros() as u8)));
    }
    let (dst, register) = (execution.registers[op.dst.get()], execution.registers[op.src.get()]);
    let src = if op.immediate { op.imm } else { register };
    let mut next = execution.pc + 1;
    let result = match op.code {
        Code::Load(_) | Code::LoadSigned(_) | Code::Store(_) | Code::Atomic(..) => {
            return access::<M>(&op, execution, with, recent);
        }
        Code::Alu64(what) => Some(alu::alu64(what, dst, src)),
        Code::Alu32(what) => Some(alu::alu32(what, dst, src)),
        Code::MoveSignExtended(Width::W64, from) => Some(alu::sign_extend(from, src)),
        Code::MoveSignExtended(Width::W32, from) => Some(low(4, alu::sign_extend(from, src))),
        Code::CastUser => Some(match low(4, src) {
            0 => 0,
            low => op.imm & !0xffff_ffff | low,
        }),
        Code::ByteSwap(endian, size) => Some(alu::byte_swap(endian, size, dst)),
        Code::LoadImmediate => {
            next += 1;
            Some(op.imm)
        }
        Code::Jump => {
            next = op.target;
            None
        }
        Code::Jump64(what) if alu::holds64(what, dst, src) => {
            next = op.target;
            None
        }
        Code::Jump32(what) if alu::holds32(what, dst, src) => {
            next = op.target;
            None
        }
        Code::Jump64(_) | Code::Jump32(_) => None,
        Code::MayGoto => {
            next = may_goto(&mut execution.frames, next, op.target);
            None
        }
        Code::CallLocal => return Ok(Flow::CallLocal(op.target)),
        Code::Exit if M::LOCAL => {
            return Ok(if execution.frames.len() <= 1 { Flow::Shared } else { Flow::Left });
        }
        Code::Exit => return Ok(Flow::Exit),
        Code::Call if M::LOCAL => return Ok(Flow::Left),
        Code::Call => return Ok(Flow::Call(op.imm as usize)),
        Code::LoadPacket(_) if M::LOCAL => return Ok(Flow::Left),
        Code::LoadPacket(size) => {
            let index = if op.immediate { 0 } else { src };
            return Ok(Flow::LoadPacket(size, index.wrapping_add(op.imm) as i32));
        }
        Code::Broken => return Err(broken(&execution.program, &op)),
    };
    if let Some(result) = result {
        execution.registers[op.dst.get()] = result;
        execution.known |= op.writes;
    }
    execution.pc = next;
    Ok(Flow::Next)
}

/// Executes an instruction that loads, stores or does both at once.
fn access<M: Mode>(
    op: &Op,
    execution: &mut Execution,
    with: &mut Surroundings<'_>,
    recent: &mut Recent,
) -> Result<Flow, Box<Trap>> {
    let base = if matches!(op.code, Code::Load(_) | Code::LoadSigned(_)) { op.src } else { op.dst };
    let address = execution.registers[base.get()].wrapping_add_signed(op.offset.into());
    let Surroundings { memory, reader, report, .. } = with;
    if M::LOCAL && memory.is_shared(address) {
        return Ok(Flow::Shared);
    }
    let src = if op.immediate { op.imm } else { execution.registers[op.src.get()] };
    let registers = &mut execution.registers;
    let (spot, size, kind) = match op.code {
        Code::Load(size) | Code::LoadSigned(size) => {
            let (value, spot) = memory.load_afar(recent, size, address, reader)?;
            let signed = matches!(op.code, Code::LoadSigned(_));
            registers[op.dst.get()] = if signed { alu::sign_extend(size, value) } else { value };
            (spot, size, AccessKind::Read)
        }
        Code::Atomic(size, operation) => {
            let bytes = size.bytes();
            if !address.is_multiple_of(bytes.into()) {
                let access = Some(Attempt { address, size: bytes, write: true });
                let region = memory.near(address).map(|(region, _)| region);
                return Err(Box::new(Trap::Fault { kind: FaultKind::Misaligned, access, region }));
            }
            let (old, spot) = memory.load_afar(recent, size, address, reader)?;
            if memory.arena.is_hole(spot.region) {
                return Err(Trap::unsupported("an atomic access where an arena has no page"));
            }
            let new = alu::atomic(operation, old, low(bytes, src), low(bytes, registers[0]));
            memory.store_afar(recent, size, address, new, reader)?;
            if let Some(register) = Register::new(op.src.get() as u8).and_then(|src| operation.fetched_into(src)) {
                registers[register.index()] = old;
            }
            let reads_only = seeded::active(Fault::AtomicReadsOnly);
            (spot, size, if reads_only { AccessKind::Read } else { AccessKind::Atomic })
        }
        Code::Store(size) => (memory.store_afar(recent, size, address, src, reader)?, size, AccessKind::Write),
        _ => return Err(broken(&execution.program, op)),
    };
    report.touched::<M>(spot, size.bytes(), kind);
    execution.known |= op.writes;
    execution.pc += 1;
    Ok(if memory.unwritten_read.is_some() { Flow::Noted } else { Flow::Next })
}

/// The low bytes of a number, 4 or 8 of them.
fn low(bytes: u32, value: u64) -> u64 {
    if bytes == 8 { value } else { value & 0xffff_ffff }
}

/// Where a `may_goto` leads: to the instruction after it, as long as its frame may go on, or out of the loop.
fn may_goto(frames: &mut [Frame], next: u32, out: u32) -> u32 {
    match frames.last_mut() {
        Some(frame) if frame.may_goto > 0 => {
            frame.may_goto -= 1;
            next
        }
        _ => out,
    }
}

#[cold]
fn broken(program: &LoadedProgram, op: &Op) -> Box<Trap> {
    match program.broken.get(op.imm as usize) {
        Some(Broken::Unsupported(what)) => Trap::unsupported(what.clone()),
        Some(Broken::Invalid(why)) => Trap::fault(FaultKind::BadInstruction(why.clone())),
        None => Trap::fault(FaultKind::BadInstruction(String::new())),
    }
}
