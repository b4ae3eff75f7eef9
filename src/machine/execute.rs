//! Executing instructions of one CPU: the inner loop.
//!
//! It goes on from instruction to instruction until one needs more than registers and memory. What it leaves out, for speed, is
//! a matter of its [`Mode`]; what it checks is not.

use crate::isa::{AluOp, JumpOp, Register, Size, Width};

use super::alu;
use super::code::{Broken, Code, LoadedProgram, Op};
use super::event::{Access, AccessKind, StepReport};
use super::fault::{Attempt, FaultKind, Trap};
use super::memory::{Allocator, Memory, Recent, Spot};
use super::operation::{Operation, operations};
use super::rcu::ReadSide;
use super::task::{Execution, Frame, Task, Then};
use crate::seeded::{self, Fault};

/// Why the inner loop stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flow {
    /// As many instructions were executed as were asked for.
    Next,
    /// The last instruction read bytes that nothing wrote, which is to be noted.
    Noted,
    /// The next instruction is none that this [`Mode`] executes.
    Left,
    /// Open a frame for the function at that slot.
    CallLocal(u32),
    /// Run a helper or kfunc.
    Call(usize),
    /// Load from the packet at that offset.
    LoadPacket(Size, i32),
    /// The innermost frame returns.
    Exit,
}

/// What the inner loop does besides executing.
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
    let mut begun = 0;
    loop {
        let Some(execution) = &mut task.execution else { return (begun, Ok(Flow::Next)) };
        let (more, stopped) = stretch::<M>(execution, &mut with, most - begun);
        begun += more;
        match stopped {
            Ok(Flow::CallLocal(target)) if !M::REPORTS => {
                with.memory.allocator = with.allocator;
                let return_to = execution.pc + 1;
                if let Err(trap) = task.push(with.memory, target, return_to, Then::Return) {
                    return (begun, Err(trap));
                }
            }
            Ok(Flow::Exit) if !M::REPORTS && task.return_to_caller(with.memory) => {}
            Ok(Flow::Exit) if M::LOCAL => return (begun - 1, Ok(Flow::Left)),
            stopped => return (begun, stopped),
        }
    }
}

/// The same inside one function.
#[inline(always)]
fn stretch<M: Mode>(
    execution: &mut Execution,
    with: &mut Surroundings<'_>,
    most: u64,
) -> (u64, Result<Flow, Box<Trap>>) {
    let Surroundings { memory, reader, report, .. } = with;
    let Execution { program, registers, known, pc, frames, .. } = execution;
    let ops = program.ops.as_slice();
    let mut recent = Recent::default();
    let mut unknown = !*known;
    let mut at = *pc;
    let mut left = most;
    let stopped = loop {
        if left == 0 {
            break Ok(Flow::Next);
        }
        left -= 1;
        let Some(op) = ops.get(at as usize) else { break Err(Trap::fault(FaultKind::RanOff)) };
        if op.reads & unknown != 0 {
            if M::LOCAL {
                left += 1;
                break Ok(Flow::Left);
            }
            let first = (op.reads & unknown).trailing_zeros() as u8;
            break Err(Trap::fault(FaultKind::UninitialisedRegister(first)));
        }
        macro_rules! register {
            ($field:ident) => {
                registers[usize::from(op.$field & 15)]
            };
        }
        macro_rules! set {
            ($value:expr) => {{
                register!(dst) = $value;
                at += 1;
            }};
        }
        // What reads its own register has found it known.
        macro_rules! arithmetic {
            ($name:ident, $value:expr) => {{
                set!($value);
                if matches!(AluOp::$name, AluOp::Mov) {
                    unknown &= !op.writes;
                }
            }};
        }
        macro_rules! jump {
            ($holds:expr) => {
                at = if $holds { op.target } else { at + 1 }
            };
        }
        macro_rules! address {
            ($field:ident) => {{
                let address = register!($field).wrapping_add_signed(op.offset.into());
                if M::LOCAL && memory.is_shared(address) {
                    left += 1;
                    break Ok(Flow::Left);
                }
                address
            }};
        }
        macro_rules! load {
            ($bytes:literal) => {{
                let address = address!(src);
                match memory.load_recent::<$bytes>(&mut recent, address, reader) {
                    Ok((value, spot)) => {
                        report.touched::<M>(spot, $bytes, AccessKind::Read);
                        set!(value);
                        unknown &= !op.writes;
                        if memory.unwritten_read.is_some() {
                            break Ok(Flow::Noted);
                        }
                    }
                    Err(trap) => break Err(trap),
                }
            }};
        }
        macro_rules! store {
            ($bytes:literal, $value:expr) => {{
                let address = address!(dst);
                match memory.store_recent::<$bytes>(&mut recent, address, $value, reader) {
                    Ok(spot) => {
                        report.touched::<M>(spot, $bytes, AccessKind::Write);
                        at += 1;
                    }
                    Err(trap) => break Err(trap),
                }
            }};
        }
        macro_rules! atomic {
            ($bytes:literal) => {{
                let address = address!(dst);
                match atomic::<$bytes>(op, registers, memory, &mut recent, reader, address) {
                    Ok(spot) => {
                        let reads_only = seeded::active(Fault::AtomicReadsOnly);
                        let kind = if reads_only { AccessKind::Read } else { AccessKind::Atomic };
                        report.touched::<M>(spot, $bytes, kind);
                        at += 1;
                        unknown &= !op.writes;
                        if memory.unwritten_read.is_some() {
                            break Ok(Flow::Noted);
                        }
                    }
                    Err(trap) => break Err(trap),
                }
            }};
        }
        macro_rules! leave {
            ($flow:expr) => {{
                if M::LOCAL {
                    left += 1;
                    break Ok(Flow::Left);
                }
                break Ok($flow);
            }};
        }
        macro_rules! dispatch {
            (
                arithmetic { $($alu:ident $k64:ident $x64:ident $k32:ident $x32:ident;)* }
                condition { $($jump:ident $jk64:ident $jx64:ident $jk32:ident $jx32:ident;)* }
                memory { $($size:ident $bytes:literal $load:ident $store_k:ident $store_x:ident;)* }
            ) => {
                match op.operation {
                    $(
                        Operation::$k64 => arithmetic!($alu, alu::alu64(AluOp::$alu, register!(dst), op.imm)),
                        Operation::$x64 => arithmetic!($alu, alu::alu64(AluOp::$alu, register!(dst), register!(src))),
                        Operation::$k32 => arithmetic!($alu, alu::alu32(AluOp::$alu, register!(dst), op.imm)),
                        Operation::$x32 => arithmetic!($alu, alu::alu32(AluOp::$alu, register!(dst), register!(src))),
                    )*
                    $(
                        Operation::$jk64 => jump!(alu::holds64(JumpOp::$jump, register!(dst), op.imm)),
                        Operation::$jx64 => jump!(alu::holds64(JumpOp::$jump, register!(dst), register!(src))),
                        Operation::$jk32 => jump!(alu::holds32(JumpOp::$jump, register!(dst), op.imm)),
                        Operation::$jx32 => jump!(alu::holds32(JumpOp::$jump, register!(dst), register!(src))),
                    )*
                    $(
                        Operation::$load => load!($bytes),
                        Operation::$store_k => store!($bytes, op.imm),
                        Operation::$store_x => store!($bytes, register!(src)),
                    )*
                    Operation::Jump => at = op.target,
                    Operation::LoadImmediate => {
                        set!(op.imm);
                        at += 1;
                        unknown &= !op.writes;
                    }
                    Operation::CallLocal => break Ok(Flow::CallLocal(op.target)),
                    Operation::Call => leave!(Flow::Call(op.imm as usize)),
                    Operation::Exit => break Ok(Flow::Exit),
                    Operation::Atomic4 => atomic!(4),
                    Operation::Atomic8 => atomic!(8),
                    Operation::Other => {
                        if M::LOCAL && op.is_shared(registers, memory) {
                            left += 1;
                            break Ok(Flow::Left);
                        }
                        let mut core = Core { program, registers, frames, memory, reader, report };
                        match core.other::<M>(op, at) {
                            Ok(Other::At(next)) => {
                                at = next;
                                unknown &= !op.writes;
                                if memory.unwritten_read.is_some() {
                                    break Ok(Flow::Noted);
                                }
                            }
                            Ok(Other::LoadPacket(size, offset)) => leave!(Flow::LoadPacket(size, offset)),
                            Err(trap) => break Err(trap),
                        }
                    }
                }
            };
        }
        operations!(dispatch);
    };
    *pc = at;
    *known = !unknown;
    (most - left, stopped)
}

impl Op {
    /// Does it access what other tasks can see?
    fn is_shared(&self, registers: &[u64; 16], memory: &Memory) -> bool {
        matches!(self.code, Code::LoadSigned(_))
            && memory.is_shared(registers[usize::from(self.src & 15)].wrapping_add_signed(self.offset.into()))
    }
}

/// What a rare instruction comes to.
enum Other {
    /// The next one is at that slot.
    At(u32),
    LoadPacket(Size, i32),
}

/// What rare instructions are executed with.
struct Core<'r> {
    program: &'r LoadedProgram,
    registers: &'r mut [u64; 16],
    frames: &'r mut Vec<Frame>,
    memory: &'r mut Memory,
    reader: &'r ReadSide,
    report: &'r mut StepReport,
}

impl Core<'_> {
    #[inline(never)]
    fn other<M: Mode>(&mut self, op: &Op, at: u32) -> Result<Other, Box<Trap>> {
        let dst = self.registers[usize::from(op.dst & 15)];
        let src = if op.immediate { op.imm } else { self.registers[usize::from(op.src & 15)] };
        let result = match op.code {
            Code::LoadSigned(size) => {
                let address = src.wrapping_add_signed(op.offset.into());
                let (value, spot) = load(self.memory, size, address, self.reader)?;
                self.report.touched::<M>(spot, size.bytes(), AccessKind::Read);
                alu::sign_extend(size, value)
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
            Code::MayGoto => return Ok(Other::At(may_goto(self.frames, at, op.target))),
            Code::LoadPacket(size) => {
                let index = if op.immediate { 0 } else { src };
                return Ok(Other::LoadPacket(size, index.wrapping_add(op.imm) as i32));
            }
            // The inner loop has all else.
            _ => return Err(broken(self.program, op)),
        };
        self.registers[usize::from(op.dst & 15)] = result;
        Ok(Other::At(at + 1))
    }
}

/// An atomic operation on `N` bytes.
#[inline(always)]
fn atomic<const N: usize>(
    op: &Op,
    registers: &mut [u64; 16],
    memory: &mut Memory,
    recent: &mut Recent,
    reader: &ReadSide,
    address: u64,
) -> Result<Spot, Box<Trap>> {
    let Code::Atomic(_, operation) = op.code else { return Err(Trap::fault(FaultKind::RanOff)) };
    if !address.is_multiple_of(N as u64) {
        let access = Some(Attempt { address, size: N as u32, write: true });
        let region = memory.near(address).map(|(region, _)| region);
        return Err(Box::new(Trap::Fault { kind: FaultKind::Misaligned, access, region }));
    }
    let (old, spot) = memory.load_recent::<N>(recent, address, reader)?;
    if memory.arena.is_hole(spot.region) {
        return Err(Trap::unsupported("an atomic access where an arena has no page"));
    }
    let width = if N == 8 { u64::MAX } else { 0xffff_ffff };
    let src = registers[usize::from(op.src & 15)] & width;
    let new = alu::atomic(operation, old, src, registers[0] & width);
    memory.store_recent::<N>(recent, address, new, reader)?;
    if op.writes != 0
        && let Some(register) = Register::new(op.src).and_then(|source| operation.fetched_into(source))
    {
        registers[register.index()] = old;
    }
    Ok(spot)
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

fn may_goto(frames: &mut [Frame], at: u32, out: u32) -> u32 {
    match frames.last_mut() {
        Some(frame) if frame.may_goto > 0 => {
            frame.may_goto -= 1;
            at + 1
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
