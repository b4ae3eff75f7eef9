//! The program's own exception callback: the global function that runs when an exception was thrown, named by a tag on
//! the entry function (`bpf_find_exception_callback_insn_off`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! Its arguments are checked with the other global functions', its result with the program's, what it may call with
//! the stack's depth.

use super::env::{Check, Verifier, reject};
use super::rule::Rule;
use crate::btf::{Linkage, Type};
use crate::kernel::limits::SUBPROGRAMS;

/// Prefix of the tag.
const TAG: &str = "exception_callback:";

impl Verifier<'_> {
    /// Finds the callback's first slot and adds it to the functions' starts. [`Verifier::note_exception_callback`]
    /// notes which function it is, once they are known.
    pub fn find_exception_callback(&mut self, starts: &mut Vec<usize>) -> Check {
        let Some(start) = self.exception_callback_start()? else { return Ok(()) };
        self.exception_callback = Some(start);
        if starts.contains(&start) {
            return Ok(());
        }
        if start >= self.insns.len() {
            return reject(Rule::CallOutOfProgram);
        }
        if starts.len() >= SUBPROGRAMS {
            return reject(Rule::TooManySubprograms);
        }
        starts.push(start);
        starts.sort_unstable();
        Ok(())
    }

    fn exception_callback_start(&self) -> Check<Option<usize>> {
        let (Some(btf), Some(entry)) = (&self.btf, self.program.func_info.first()) else { return Ok(None) };
        let mut names = btf.iter().filter_map(|(_, ty)| match ty {
            Type::DeclTag { name, target, component: None } if *target == entry.type_id => name.strip_prefix(TAG),
            _ => None,
        });
        let Some(name) = names.next() else { return Ok(None) };
        if names.next().is_some() {
            return reject(Rule::SeveralExceptionCallbacks);
        }
        let Some(id) = btf.find_function(name) else {
            return reject(Rule::ExceptionCallbackMissing { name: name.to_owned() });
        };
        if !matches!(btf.ty(id), Type::Function { linkage: Linkage::Global, .. }) {
            return reject(Rule::ExceptionCallbackNotGlobal { name: name.to_owned() });
        }
        match self.program.func_info.iter().rev().find(|record| record.type_id == id) {
            None => reject(Rule::ExceptionCallbackNotFunction),
            Some(record) if record.insn == 0 => reject(Rule::ExceptionCallbackAtStart),
            Some(record) => Ok(Some(record.insn as usize)),
        }
    }

    /// Once the functions are known: which of them is the callback (`mark_subprog_exc_cb`). It counts as called.
    pub fn note_exception_callback(&mut self) {
        self.exception_callback = self.exception_callback.and_then(|start| self.subprogram_starting_at(start));
        if let Some(index) = self.exception_callback {
            let callback = &mut self.subprograms[index];
            callback.called = true;
            callback.is_callback = true;
            callback.is_async_callback = true;
        }
    }
}
