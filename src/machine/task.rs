//! A task: what runs programs on one CPU. The program that it runs, its registers and its call frames.

use std::sync::Arc;

use super::code::{CallSite, Code, LoadedProgram};
use super::context::Context;
use super::copy::Copy;
use super::fault::{FaultKind, Trap};
use super::fingerprint::wide;
use super::frames::{ARGUMENTS, Frame, Frames, MAY_GOTO_BUDGET, Then};
use super::memory::{Contents, Memory, StackSpan};
use super::region::RegionKind;
use super::story::{Place, RegionId};

/// Frames of calls that a program may have, its entry included (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;
/// Bytes of stack in a frame (`MAX_BPF_STACK`).
pub const STACK_SIZE: u32 = 512;
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
    pub frames: Frames,
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
    spare: Frames,
    /// That of the program that it runs, or ran last.
    pub context: Option<Box<Context>>,
}

impl Execution {
    /// A program at its first instruction, whose entry frame is not open yet.
    fn new(program: Arc<LoadedProgram>, frames: Frames) -> Execution {
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
            (frame.return_to, frame.saved, frame.saved_known(), frame.may_goto, caller, format!("{:?}", frame.then))
        });
        let frames: Vec<_> = frames.collect();
        let sections = (self.rcu_sections, self.preempt_sections, self.lock.is_some(), self.tail_calls);
        let copy = self.copy.as_ref().map(|copy| copy.digest());
        wide(&(self.program.index, self.registers, self.known, self.pc, frames, sections, copy))
    }

    /// The call that it makes next, as an index into [`LoadedProgram::calls`], if the call's arguments hold something.
    pub fn next_call(&self) -> Option<usize> {
        let op = self.program.ops.get(self.pc as usize)?;
        (matches!(op.code, Code::Call) && op.reads & !self.known == 0).then_some(op.imm as usize)
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
            Place { program, insn: frame.called_from() }
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

    /// What it runs.
    pub fn running(&mut self) -> Option<&mut Execution> {
        self.execution.as_mut()
    }

    /// An idle task on that CPU.
    pub fn new(cpu: u32) -> Task {
        Task { cpu, execution: None, stacks: Vec::new(), spare: Frames::default(), context: None }
    }

    /// Puts a program at its first instruction, whose entry frame is not open yet.
    pub fn begin(&mut self, program: Arc<LoadedProgram>) {
        let frames = std::mem::take(&mut self.spare);
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
        let below = execution.frames.depth().checked_sub(1).and_then(|caller| self.stacks.get(caller));
        execution.known = !frame.restore(&mut execution.registers, below.map_or(0, |stack| stack.end));
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
        frames.reserve();
        if let Some(unknown) = frames.open_call(registers, !*known, stack.end, return_to) {
            *known = !unknown;
        }
        if let Some(frame) = frames.last_mut() {
            frame.then = then;
        }
        *pc = target;
        Ok(())
    }
}
