//! A program in the middle of its run, as it can be looked at: registers, frames, stacks, packet.

use super::arguments;
use super::code::{Code, LoadedProgram};
use super::context::Context;
use super::memory::Memory;
use super::stepper::Machine;
use super::story::RegionId;
use super::task::{Execution, Task};

/// What a task runs, before its next instruction.
#[derive(Clone, Copy, Debug)]
pub struct Running<'m> {
    number: u32,
    task: &'m Task,
    execution: &'m Execution,
    memory: &'m Memory,
}

/// What an instruction does to the flow of control, as far as its slot tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A function of the program is called.
    CallsFunction,
    /// A helper or kfunc is called.
    Calls,
    /// The innermost frame returns.
    Returns,
    /// Anything else.
    Plain,
}

/// Where a packet lies in memory, as addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketBounds {
    /// First byte of the metadata.
    pub meta: u64,
    /// First byte of the data.
    pub data: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl Machine {
    /// What a task runs now; `None` if it is idle or there is no such task.
    #[must_use]
    pub fn running(&self, task: u32) -> Option<Running<'_>> {
        let number = task;
        let task = self.tasks.get(task as usize)?;
        let execution = task.execution.as_ref()?;
        Some(Running { number, task, execution, memory: &self.memory })
    }
}

impl<'m> Running<'m> {
    /// The program.
    #[must_use]
    pub fn program(&self) -> &'m LoadedProgram {
        &self.execution.program
    }

    /// Its index among the loaded ones.
    #[must_use]
    pub fn program_index(&self) -> u32 {
        self.execution.program.index
    }

    /// The slot of the next instruction.
    #[must_use]
    pub fn insn(&self) -> u32 {
        self.execution.pc
    }

    /// What the next instruction does to the flow of control.
    #[must_use]
    pub fn step(&self) -> Step {
        match self.execution.program.ops.get(self.execution.pc as usize).map(|op| op.code) {
            Some(Code::CallLocal) => Step::CallsFunction,
            Some(Code::Call) => Step::Calls,
            Some(Code::Exit) => Step::Returns,
            _ => Step::Plain,
        }
    }

    /// The name of the helper or kfunc that the next instruction calls.
    #[must_use]
    pub fn callee(&self) -> Option<&'m str> {
        let op = self.execution.program.ops.get(self.execution.pc as usize).filter(|op| op.code == Code::Call)?;
        self.execution.program.calls.get(op.imm as usize).map(|site| &*site.name)
    }

    /// Registers from `r1` on that the helper or kfunc reads which the next instruction calls, 0 to 5; 5 where it has no model.
    #[must_use]
    pub fn arguments(&self) -> u8 {
        let op = self.execution.program.ops.get(self.execution.pc as usize).filter(|op| op.code == Code::Call);
        let model = op.and_then(|op| self.execution.program.calls.get(op.imm as usize)?.model);
        model.map_or(5, |model| model.arguments.min(5))
    }

    /// Does each pointer in its context lead to an object: is it called with what the kernel's verifier trusts?
    #[must_use]
    pub fn has_trusted_arguments(&self) -> bool {
        arguments::are_trusted(&self.execution.program.source().section)
    }

    /// Is it in an RCU section, its own or one that it is called in?
    #[must_use]
    pub fn is_in_rcu(&self, machine: &Machine) -> bool {
        machine.rcu().reader(self.number).in_rcu()
    }

    /// The innermost frame's number, from 0; frames of programs that called this one by a tail call count.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.execution.frames.len().saturating_sub(1)
    }

    /// A register of the innermost frame, 0 to 10; `None` if nothing was put into it.
    #[must_use]
    pub fn register(&self, number: usize) -> Option<u64> {
        let known = number <= 10 && self.execution.known & (1 << number) != 0;
        self.execution.registers.get(number).copied().filter(|_| known)
    }

    /// A register that a calling frame finds again when its callee returns: `r6` to `r10`; `None` for others, for frames that call nobody,
    /// and if nothing was put into it.
    #[must_use]
    pub fn saved_register(&self, depth: usize, number: usize) -> Option<u64> {
        let frame = self.execution.frames.get(depth + 1)?;
        if number == 10 { self.task.stacks().get(depth).map(|stack| stack.end) } else { frame.saved_register(number) }
    }

    /// A frame's stack.
    #[must_use]
    pub fn stack(&self, depth: usize) -> Option<RegionId> {
        self.task.stacks().get(depth).map(|stack| stack.region).filter(|_| depth <= self.depth())
    }

    /// Where the packet is, for programs that have one.
    #[must_use]
    pub fn packet(&self) -> Option<PacketBounds> {
        let packet = self.task.context.as_deref().and_then(|context: &Context| context.packet.as_ref())?;
        Some(PacketBounds {
            meta: packet.meta_address(self.memory),
            data: packet.data_address(self.memory),
            end: packet.end_address(self.memory),
        })
    }
}
