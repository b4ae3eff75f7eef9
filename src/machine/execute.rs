//! Executing one instruction of one CPU.

use crate::isa::{AtomicOp, Size, Width};

use super::alu;
use super::code::{Broken, Code, Op};
use super::event::{Access, AccessKind, StepReport};
use super::fault::{Attempt, FaultKind, Trap};
use super::memory::{Memory, Spot};
use super::rcu::ReadSide;
use super::task::Execution;

/// What is to be done after an instruction that is not done by its own registers and memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flow {
    /// Nothing: the next instruction is set.
    Next,
    /// Open a frame for the function at that slot.
    CallLocal(u32),
    /// Run a helper or kfunc.
    Call(usize),
    /// Load from the packet at that offset.
    LoadPacket(Size, i32),
    /// The innermost frame returns.
    Exit,
}

impl StepReport {
    #[inline]
    fn touched(&mut self, spot: Spot, size: u32, kind: AccessKind) {
        self.accesses.push(Access { region: spot.region, offset: spot.offset, size, kind });
    }
}

/// Executes the instruction at `pc`. On an error nothing has changed, so that the machine can tell where it happened.
#[inline]
pub(super) fn execute(
    execution: &mut Execution,
    memory: &mut Memory,
    reader: &ReadSide,
    report: &mut StepReport,
) -> Result<Flow, Box<Trap>> {
    let Some(&op) = execution.program.ops.get(execution.pc as usize) else {
        return Err(Trap::fault(FaultKind::RanOff));
    };
    if op.reads & !execution.known != 0 {
        let first = (op.reads & !execution.known).trailing_zeros() as u8;
        return Err(Trap::fault(FaultKind::UninitialisedRegister(first)));
    }
    let registers = &mut execution.registers;
    let dst = registers[usize::from(op.dst & 15)];
    let src = if op.immediate { op.imm } else { registers[usize::from(op.src & 15)] };
    let mut next = execution.pc + 1;
    let result = match op.code {
        Code::Alu64(operation) => alu::alu64(operation, dst, src),
        Code::Alu32(operation) => alu::alu32(operation, dst, src),
        Code::Load(size) => {
            let (value, spot) = load(memory, size, src.wrapping_add_signed(op.offset.into()), reader)?;
            report.touched(spot, size.bytes(), AccessKind::Read);
            value
        }
        Code::LoadSigned(size) => {
            let (value, spot) = load(memory, size, src.wrapping_add_signed(op.offset.into()), reader)?;
            report.touched(spot, size.bytes(), AccessKind::Read);
            alu::sign_extend(size, value)
        }
        Code::Store(size) => {
            let spot = store(memory, size, dst.wrapping_add_signed(op.offset.into()), src, reader)?;
            report.touched(spot, size.bytes(), AccessKind::Write);
            execution.pc = next;
            return Ok(Flow::Next);
        }
        Code::Jump64(condition) => {
            execution.pc = if alu::holds64(condition, dst, src) { op.target } else { next };
            return Ok(Flow::Next);
        }
        Code::Jump32(condition) => {
            execution.pc = if alu::holds32(condition, dst, src) { op.target } else { next };
            return Ok(Flow::Next);
        }
        Code::Jump => {
            execution.pc = op.target;
            return Ok(Flow::Next);
        }
        Code::MoveSignExtended(width, from) => {
            let value = alu::sign_extend(from, src);
            if width == Width::W64 { value } else { value & 0xffff_ffff }
        }
        Code::CastUser => match src & 0xffff_ffff {
            0 => 0,
            low => op.imm & !0xffff_ffff | low,
        },
        Code::ByteSwap(endian, size) => alu::byte_swap(endian, size, dst),
        Code::LoadImmediate => {
            next += 1;
            op.imm
        }
        Code::Atomic(size, operation) => {
            atomic(execution, memory, reader, report, op, size, operation)?;
            execution.pc = next;
            return Ok(Flow::Next);
        }
        Code::MayGoto => {
            execution.pc = may_goto(execution, op.target);
            return Ok(Flow::Next);
        }
        Code::LoadPacket(size) => {
            let index = if op.immediate { 0 } else { src };
            return Ok(Flow::LoadPacket(size, index.wrapping_add(op.imm) as i32));
        }
        Code::CallLocal => return Ok(Flow::CallLocal(op.target)),
        Code::Call => return Ok(Flow::Call(op.imm as usize)),
        Code::Exit => return Ok(Flow::Exit),
        Code::Broken => return Err(broken(execution, op)),
    };
    registers[usize::from(op.dst & 15)] = result;
    execution.known |= op.writes;
    execution.pc = next;
    Ok(Flow::Next)
}

#[inline]
fn load(memory: &mut Memory, size: Size, address: u64, reader: &ReadSide) -> Result<(u64, Spot), Box<Trap>> {
    match size {
        Size::B1 => memory.load::<1>(address, reader),
        Size::B2 => memory.load::<2>(address, reader),
        Size::B4 => memory.load::<4>(address, reader),
        Size::B8 => memory.load::<8>(address, reader),
    }
}

#[inline]
fn store(memory: &mut Memory, size: Size, address: u64, value: u64, reader: &ReadSide) -> Result<Spot, Box<Trap>> {
    match size {
        Size::B1 => memory.store::<1>(address, value, reader),
        Size::B2 => memory.store::<2>(address, value, reader),
        Size::B4 => memory.store::<4>(address, value, reader),
        Size::B8 => memory.store::<8>(address, value, reader),
    }
}

fn may_goto(execution: &mut Execution, out: u32) -> u32 {
    let next = execution.pc + 1;
    match execution.frames.last_mut() {
        Some(frame) if frame.may_goto > 0 => {
            frame.may_goto -= 1;
            next
        }
        _ => out,
    }
}

fn atomic(
    execution: &mut Execution,
    memory: &mut Memory,
    reader: &ReadSide,
    report: &mut StepReport,
    op: Op,
    size: Size,
    operation: AtomicOp,
) -> Result<(), Box<Trap>> {
    let address = execution.registers[usize::from(op.dst & 15)].wrapping_add_signed(op.offset.into());
    let bytes = size.bytes();
    if !address.is_multiple_of(u64::from(bytes)) {
        let access = Some(Attempt { address, size: bytes, write: true });
        let region = memory.near(address).map(|(region, _)| region);
        return Err(Box::new(Trap::Fault { kind: FaultKind::Misaligned, access, region }));
    }
    let (old, spot) = load(memory, size, address, reader)?;
    if memory.arena.is_hole(spot.region) {
        return Err(Trap::unsupported("an atomic access where an arena has no page"));
    }
    let width = if size == Size::B8 { u64::MAX } else { 0xffff_ffff };
    let src = execution.registers[usize::from(op.src & 15)] & width;
    let new = alu::atomic(operation, old, src, execution.registers[0] & width);
    store(memory, size, address, new, reader)?;
    report.touched(spot, bytes, AccessKind::Atomic);
    if let Some(register) = crate::isa::Register::new(op.src).and_then(|source| operation.fetched_into(source)) {
        execution.registers[register.index()] = old;
        execution.known |= op.writes;
    }
    Ok(())
}

#[cold]
fn broken(execution: &Execution, op: Op) -> Box<Trap> {
    match execution.program.broken.get(op.imm as usize) {
        Some(Broken::Unsupported(what)) => Trap::unsupported(what.clone()),
        Some(Broken::Invalid(why)) => Trap::fault(FaultKind::BadInstruction(why.clone())),
        None => Trap::fault(FaultKind::BadInstruction(String::new())),
    }
}
