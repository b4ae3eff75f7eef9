//! A task: what runs programs on one CPU. The program that it runs, its registers and its call frames.

use std::sync::Arc;

use super::code::{CallSite, Code, LoadedProgram};
use super::context::Context;
use super::copy::Copy;
use super::fault::{FaultKind, Trap};
use super::fingerprint::wide;
use super::memory::{Contents, Memory, StackSpan};
use super::models::Continuation;
use super::region::RegionKind;
use super::story::{Place, RegionId};

/// Frames of calls that a program may have, its entry included (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;
/// Bytes of stack in a frame (`MAX_BPF_STACK`).
pub const STACK_SIZE: u32 = 512;
/// Times that the `may_goto`s of one frame continue before they leave their loop (`BPF_MAX_LOOPS`).
const MAY_GOTO_BUDGET: u32 = 8 * 1024 * 1024;

/// What happens with a frame's result.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// It is the program's.
    Finish,
    /// The calling function goes on.
    Return,
    /// The helper that called back decides.
    Resume(Continuation),
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Slot at which the caller goes on.
    pub return_to: u32,
    /// Slot of the call itself, for backtraces.
    pub called_from: u32,
    /// The caller's `r6` to `r10`.
    saved: [u64; 5],
    /// Which of the caller's registers held something.
    saved_known: u16,
    /// Times that `may_goto` still continues.
    pub may_goto: u32,
    /// The calling function's program, if a tail call put another one into this frame.
    pub caller: Option<Arc<LoadedProgram>>,
    pub then: Then,
}

/// A program that runs.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub program: Arc<LoadedProgram>,
    /// `r0` to `r10`; the rest is unused and makes indexing by a masked number free of checks.
    pub registers: [u64; 16],
    /// Bit N: `rN` holds something.
    pub known: u16,
    /// The slot to execute next.
    pub pc: u32,
    pub frames: Vec<Frame>,
    /// Sections that the program itself has opened with `bpf_rcu_read_lock`.
    pub rcu_sections: u32,
    /// Sections that the program itself has opened with `bpf_preempt_disable`.
    pub preempt_sections: u32,
    /// The lock that it holds, as a region and an offset.
    pub lock: Option<(RegionId, u32)>,
    /// Tail calls made so far.
    pub tail_calls: u32,
    /// Cgroup storage of this run: map, and region of the (first CPU's) value.
    pub storage: Vec<(u32, RegionId)>,
    /// What is left of the call that it is in the middle of.
    pub copy: Option<Box<Copy>>,
}

/// What runs programs, one at a time, and stays on its CPU.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The CPU that it is on.
    pub cpu: u32,
    pub execution: Option<Execution>,
    /// Stack memory by depth of call, made when first needed.
    pub stacks: Vec<StackSpan>,
    /// No frames, but room for them.
    spare: Vec<Frame>,
    /// That of the program that it runs, or ran last.
    pub context: Option<Box<Context>>,
}

const CALLEE_SAVED: u16 = 0b111_1100_0000;
const ARGUMENTS: u16 = 0b11_1110;

impl Frame {
    /// A register that the calling frame finds again, `r6` to `r10`, if there is something in it.
    pub fn saved_register(&self, number: usize) -> Option<u64> {
        let saved = number.checked_sub(6).and_then(|index| self.saved.get(index)).copied();
        saved.filter(|_| number == 10 || self.saved_known & (1 << number) != 0)
    }
}

impl Execution {
    /// A program at its first instruction, whose entry frame is not open yet.
    fn new(program: Arc<LoadedProgram>, frames: Vec<Frame>) -> Execution {
        Execution {
            program,
            registers: [0; 16],
            known: 0,
            pc: 0,
            frames,
            rcu_sections: 0,
            preempt_sections: 0,
            lock: None,
            tail_calls: 0,
            storage: Vec::new(),
            copy: None,
        }
    }

    /// Frames of the innermost program: its own and its functions', without those that it was tail-called from.
    pub fn own_frames(&self) -> usize {
        let begins = self.frames.iter().rposition(|frame| frame.caller.is_some()).unwrap_or(0);
        self.frames.len() - begins
    }

    /// A digest of all that it will do.
    pub fn digest(&self) -> u128 {
        let frames = self.frames.iter().map(|frame| {
            let caller = frame.caller.as_ref().map(|caller| caller.index);
            (frame.return_to, frame.saved, frame.saved_known, frame.may_goto, caller, format!("{:?}", frame.then))
        });
        let frames: Vec<_> = frames.collect();
        let sections = (self.rcu_sections, self.preempt_sections, self.lock.is_some(), self.tail_calls);
        let copy = self.copy.as_ref().map(|copy| copy.digest());
        wide(&(self.program.index, self.registers, self.known, self.pc, frames, sections, copy))
    }

    /// The call that it makes next, as an index into [`LoadedProgram::calls`], if the call's arguments hold something.
    pub fn next_call(&self) -> Option<usize> {
        let op = self.program.ops.get(self.pc as usize)?;
        (op.code == Code::Call && op.reads & !self.known == 0).then_some(op.imm as usize)
    }

    /// Can others see the call that it makes next?
    pub fn next_call_is_shared(&self) -> bool {
        self.next_call().and_then(|site| self.program.calls.get(site)).is_some_and(CallSite::is_shared)
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place { program: self.program.index, insn: self.pc }
    }

    /// The calls that led here, innermost first.
    pub fn callers(&self) -> Vec<Place> {
        let mut program = self.program.index;
        let open = self.frames.iter().skip(1).rev();
        open.map(|frame| {
            program = frame.caller.as_ref().map_or(program, |caller| caller.index);
            Place { program, insn: frame.called_from }
        })
        .collect()
    }

    /// Sets `r0` after a call and forgets the argument registers.
    pub fn finish_call(&mut self, value: Option<u64>) {
        self.known &= !(ARGUMENTS | 1);
        if let Some(value) = value {
            self.registers[0] = value;
            self.known |= 1;
        }
    }
}

impl Task {
    /// The section of the program that it runs.
    pub fn execution_section(&self) -> Option<&crate::object::Section> {
        self.execution.as_ref().map(|execution| &execution.program.source.section)
    }

    /// An idle task on that CPU.
    pub fn new(cpu: u32) -> Task {
        Task { cpu, execution: None, stacks: Vec::new(), spare: Vec::new(), context: None }
    }

    /// Puts a program at its first instruction, whose entry frame is not open yet.
    pub fn begin(&mut self, program: Arc<LoadedProgram>) {
        let mut frames = std::mem::take(&mut self.spare);
        frames.reserve(MAX_FRAMES);
        self.execution = Some(Execution::new(program, frames));
    }

    /// Ends the program and gives back its cgroup storage.
    pub fn end(&mut self) -> Vec<(u32, RegionId)> {
        let Some(ended) = self.execution.take() else { return Vec::new() };
        self.spare = ended.frames;
        self.spare.clear();
        ended.storage
    }

    /// Back to how `base` is, of which this was a clone.
    pub fn restore(&mut self, base: &Task) {
        self.end();
        self.execution.clone_from(&base.execution);
        self.stacks.truncate(base.stacks.len());
        self.context.clone_from(&base.context);
    }

    /// The stack memory of this task by depth.
    pub fn stacks(&self) -> &[StackSpan] {
        &self.stacks
    }

    /// Closes the innermost frame, restores the caller's registers and program, and says what comes next.
    pub fn pop(&mut self, memory: &mut Memory) -> Option<Frame> {
        let execution = self.execution.as_mut()?;
        let mut frame = execution.frames.pop()?;
        if let Some(caller) = frame.caller.take() {
            execution.program = caller;
        }
        if let Some(&stack) = self.stacks.get(execution.frames.len()) {
            memory.close_frame(stack);
        }
        execution.registers[6..11].copy_from_slice(&frame.saved);
        execution.known = frame.saved_known;
        execution.pc = frame.return_to;
        Some(frame)
    }

    /// Begins a function in the innermost frame, in the place of what ran there: with one argument and nothing on the
    /// stack.
    pub fn enter(&mut self, slot: usize, argument: u64, memory: &mut Memory) {
        let Some(execution) = &mut self.execution else { return };
        let Some(depth) = execution.frames.len().checked_sub(1) else { return };
        if let Some(&stack) = self.stacks.get(depth) {
            memory.open_frame(stack);
        }
        execution.pc = slot as u32;
        execution.registers[1] = argument;
        execution.known = 1 << 1 | 1 << 10;
        execution.frames[depth].may_goto = MAY_GOTO_BUDGET;
    }

    /// Opens a frame for a function at `target`: the arguments stay in `r1` to `r5`.
    ///
    /// # Errors
    /// A fault past [`MAX_FRAMES`], or the limit of memory.
    pub fn push(&mut self, memory: &mut Memory, target: u32, return_to: u32, then: Then) -> Result<(), Box<Trap>> {
        let Some(execution) = &mut self.execution else { return Ok(()) };
        let depth = execution.frames.len();
        if depth >= MAX_FRAMES && execution.own_frames() >= MAX_FRAMES {
            return Err(Trap::fault(FaultKind::CallDepth));
        }
        let stack = match self.stacks.get(depth) {
            Some(&stack) => {
                memory.open_frame(stack);
                stack
            }
            None => {
                let kind = RegionKind::Stack { cpu: self.cpu, frame: depth as u32 };
                let stack = memory.allocate(kind, STACK_SIZE, Contents::Unwritten, None)?;
                let stack = memory.stack_span(stack);
                self.stacks.push(stack);
                stack
            }
        };
        let Execution { registers, known, pc, frames, .. } = execution;
        *known = open_call(frames, registers, *known, stack.end, Call { called_from: *pc, return_to });
        if let Some(frame) = frames.last_mut() {
            frame.then = then;
        }
        *pc = target;
        Ok(())
    }
}

/// From where a function is called, and where its caller goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub called_from: u32,
    pub return_to: u32,
}

/// Opens the frame of a function that returns to its caller, and whose stack ends at `stack_end`; says which registers hold something in it.
#[inline(always)]
pub(super) fn open_call(
    frames: &mut Vec<Frame>,
    registers: &mut [u64; 16],
    known: u16,
    stack_end: u64,
    call: Call,
) -> u16 {
    let [.., r6, r7, r8, r9, r10, _, _, _, _, _] = *registers;
    frames.push(Frame {
        return_to: call.return_to,
        called_from: call.called_from,
        saved: [r6, r7, r8, r9, r10],
        saved_known: known & CALLEE_SAVED,
        may_goto: MAY_GOTO_BUDGET,
        caller: None,
        then: Then::Return,
    });
    registers[10] = stack_end;
    (known & ARGUMENTS) | 1 << 10
}

/// Returns from a function of the program to the one that called it: where that goes on, and which registers hold something. `None` if
/// the innermost frame is no such function's, and then nothing has changed.
#[inline(always)]
pub(super) fn close_call(frames: &mut Vec<Frame>, registers: &mut [u64; 16], known: u16) -> Option<(u32, u16)> {
    let Some(Frame { caller: None, then: Then::Return, .. }) = frames.last() else { return None };
    let Frame { saved, saved_known, return_to, caller, then, .. } = frames.pop()?;
    // Nothing is in them, and so nothing has to be dropped.
    std::mem::forget((caller, then));
    registers[6..11].copy_from_slice(&saved);
    // What is in r0 stays, if there is something.
    Some((return_to, saved_known | (known & 1)))
}
