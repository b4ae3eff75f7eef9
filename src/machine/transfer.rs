//! Leaving a function otherwise than by returning from it: tail calls, and exceptions.
//!
//! A tail call puts another program into the place of the innermost function, which returns to that one's caller. An
//! exception unwinds to the innermost frame in which a program began, not one of its functions, and runs that program's
//! exception callback there, or returns the cookie if it has none (`bpf_throw` and `bpf_stack_walker`,
//! `kernel/bpf/helpers.c`, Linux 6.12).

use std::sync::Arc;

use crate::btf::{Btf, Type};
use crate::object::Program;

use super::code::LoadedProgram;
use super::ending::check_balance;
use super::event::Outcome;
use super::fault::Trap;
use super::stepper::Machine;
use super::task::Execution;

/// Tail calls that one run may make (`MAX_TAIL_CALL_CNT`).
const MAX_TAIL_CALLS: u32 = 33;
/// What a declaration tag that names an exception callback begins with.
const TAG: &str = "exception_callback:";

impl Machine {
    /// Puts a program of the object, by its place there, into the place of a task's innermost function; `false` if
    /// the task has made all the tail calls that a run may make.
    pub(super) fn tail_call(&mut self, task: u32, place: u32, context: u64) -> Result<bool, Box<Trap>> {
        let object = Arc::clone(&self.object);
        let Some(target) = object.programs.get(place as usize) else { return Ok(false) };
        let index = match self.load(&target.name) {
            Ok(index) => index as usize,
            Err(error) => {
                return Err(Trap::unsupported(format!("a tail call of a program that cannot be loaded: {error}")));
            }
        };
        let program = self.programs.get(index).map(Arc::clone);
        let Some(state) = self.tasks.get_mut(task as usize) else { return Ok(false) };
        let (Some(program), Some(execution)) = (program, &mut state.execution) else { return Ok(false) };
        if execution.tail_calls >= MAX_TAIL_CALLS {
            return Ok(false);
        }
        execution.tail_calls += 1;
        execution.replace_program(program);
        state.enter(0, context, &mut self.memory);
        Ok(true)
    }

    /// Unwinds a task's frames and runs the exception callback.
    pub(super) fn throw(&mut self, task: u32, cookie: u64) -> Result<Outcome, Box<Trap>> {
        let btf = self.object.btf.clone();
        let Some(state) = self.tasks.get_mut(task as usize) else { return Ok(Outcome::Returned(0)) };
        while let Some(execution) = &mut state.execution {
            check_balance(execution)?;
            if execution.own_frames() > 1 {
                state.pop(&mut self.memory);
                continue;
            }
            if let Some(callback) = exception_callback(btf.as_deref(), &execution.program.source) {
                state.enter(callback, cookie, &mut self.memory);
                return Ok(Outcome::Ran);
            }
            execution.finish_call(Some(cookie));
            break;
        }
        self.exit(task)
    }
}

impl Execution {
    /// Makes the innermost frame another program's. The caller's own program is kept for the return.
    fn replace_program(&mut self, program: Arc<LoadedProgram>) {
        let replaced = std::mem::replace(&mut self.program, program);
        if self.frames.len() > 1
            && let Some(frame) = self.frames.last_mut()
        {
            frame.caller.get_or_insert(replaced);
        }
    }
}

/// The first slot of the function that a tag on the program's entry names.
fn exception_callback(btf: Option<&Btf>, program: &Program) -> Option<usize> {
    let (btf, entry) = (btf?, program.functions.first()?);
    let name = btf.iter().find_map(|(_, ty)| match ty {
        Type::DeclTag { name, target, component: None } if *target == entry.type_id => name.strip_prefix(TAG),
        _ => None,
    })?;
    program.functions.iter().rev().find(|function| function.name == name).map(|function| function.start)
}
