//! What a recorded path of the verifier says, in words: events, and how a path came to an instruction.

use crate::isa::disassemble;
use crate::object::{Object, Program};
use crate::verifier::path::{Came, Event};

use super::place::Names;

/// What an instruction did, in a few words.
#[must_use]
pub fn event(event: &Event) -> String {
    match event {
        Event::Called { name } => format!("calls {name}"),
        Event::Read { register, from, .. } => format!("reads a number from {from} into {register}"),
        Event::Loaded { register, from } => format!("loads a pointer from {from} into {register}"),
        Event::Acquired { id, what, by } if by.is_empty() => format!("acquires reference {id}, {what}"),
        Event::Acquired { id, what, by } => format!("acquires reference {id}, {what}, from {by}"),
        Event::Released { id } => format!("gives reference {id} back"),
        Event::Null { id } => format!("reference {id} is NULL: there is nothing to give back"),
        Event::Moved { id, into } => format!("moves reference {id} into {into}"),
        Event::Lost { id, from } => format!("loses reference {id}: the last pointer was in {from}"),
        Event::Branch { condition, taken, both, .. } => {
            let holds = if *taken { "holds" } else { "does not hold" };
            let both = if *both { " on this path" } else { ", and cannot be otherwise" };
            format!("{condition} {holds}{both}")
        }
        Event::Locked => "takes the lock".to_owned(),
        Event::Unlocked => "gives back the lock".to_owned(),
        Event::RcuEntered => "enters an RCU section".to_owned(),
        Event::RcuLeft => "leaves the RCU section".to_owned(),
        Event::PreemptDisabled => "turns preemption off".to_owned(),
        Event::PreemptEnabled => "turns preemption on".to_owned(),
        Event::Invalidated { what } => format!("{what}: what this points to may be gone, and it is forgotten"),
        Event::Distrusted { what } => format!("{what}: untrusted from here on"),
        Event::Pruned { .. } => "the path ends: what was verified before covers it".to_owned(),
        Event::PathEnds => "the path ends with the program".to_owned(),
        Event::Rejected { reason, .. } => format!("refused: {reason}"),
        Event::Unsupported { what } => format!("not supported: {what}"),
    }
}

/// Is it nothing but the program's course, which its instructions show as well?
#[must_use]
pub fn is_course(event: &Event) -> bool {
    matches!(event, Event::Called { .. } | Event::Loaded { .. } | Event::Read { .. })
}

/// How a path came to an instruction, where that is more than the next one or a jump.
#[must_use]
pub fn came(came: Came, program: &Program, slot: usize) -> Option<String> {
    let function = || program.function_at(slot).map_or("a function", |function| function.name.as_str());
    match came {
        Came::Start => Some(format!("{} starts", function())),
        Came::Fallthrough | Came::Jump | Came::Taken | Came::NotTaken => None,
        Came::Call => Some(format!("{} is called", function())),
        Came::Return => Some("returned".to_owned()),
        Came::Callback => Some(format!("{} is called back", function())),
        Came::AsyncCallback => Some(format!("{} runs later", function())),
        Came::Speculative => Some("the processor may come here by mistake".to_owned()),
        Came::Again => Some("once more, with other assumptions on its numbers".to_owned()),
    }
}

/// An instruction as the kernel's log prints it, without its number and opcode.
#[must_use]
pub fn instruction(object: &Object, program: &Program, slot: usize) -> String {
    let Some(&raw) = program.insns.get(slot) else { return "past the program's end".to_owned() };
    let text = disassemble(raw, program.insns.get(slot + 1).copied(), &Names(object));
    text.split_once(") ").map_or(text.clone(), |(_, text)| text.to_owned())
}
