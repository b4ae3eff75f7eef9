//! The stack that a chain of calls needs: at most 512 bytes in all (`check_max_stack_depth`, `kernel/bpf/verifier.c`,
//! Linux 6.12, for x86-64 with its just-in-time compiler, which has no private stacks in this version).

use super::env::{Check, Verifier, reject};
use super::rule::Rule;
use crate::isa::{CallTarget, ImmediateSource, Insn};
use crate::kernel::limits::{CALL_FRAMES, STACK_BYTES, STACK_BYTES_BEFORE_TAIL_CALL};

/// A function on the chain: its index, and the slot to go on at.
#[derive(Clone, Copy)]
struct Visit {
    index: usize,
    next: usize,
}

impl Verifier<'_> {
    /// Walks all chains of calls: from each function that is called back later, which runs on a stack of its own, then
    /// from the entry function.
    pub fn check_stack_depth(&mut self) -> Check {
        for index in (0..self.subprograms.len()).rev() {
            if index == 0 || self.subprograms[index].is_async_callback {
                self.check_chains_from(index)?;
            }
        }
        Ok(())
    }

    fn check_chains_from(&mut self, first: usize) -> Check {
        let mut chain: Vec<Visit> = Vec::new();
        let mut depth = 0;
        let mut tail_call_reached = false;
        self.enter(first, &mut chain, &mut depth)?;
        while let Some(&Visit { index, next }) = chain.last() {
            self.check_throws(index, next, &chain)?;
            match self.next_callee(index, next)? {
                Some((callee, after)) => {
                    if let Some(top) = chain.last_mut() {
                        top.next = after;
                    }
                    tail_call_reached |= self.subprograms[callee].has_tail_call;
                    if chain.len() >= CALL_FRAMES {
                        return reject(Rule::CallStackTooDeep { frames: chain.len() });
                    }
                    self.enter(callee, &mut chain, &mut depth)?;
                }
                None => {
                    depth -= self.rounded_depth(index);
                    chain.pop();
                    let handler = self.exception_callback;
                    if tail_call_reached && chain.iter().any(|caller| Some(caller.index) == handler) {
                        return reject(Rule::ExceptionCallbackTailCalls);
                    }
                }
            }
        }
        Ok(())
    }

    /// An exception cannot pass through a callback's caller.
    fn check_throws(&self, index: usize, from: usize, chain: &[Visit]) -> Check {
        if !chain.iter().any(|visit| self.subprograms[visit.index].is_callback) {
            return Ok(());
        }
        let end = self.next_callee(index, from)?.map_or(self.subprograms[index].end, |(_, after)| after);
        let throw = (from..end)
            .find(|&insn| matches!(self.insns[insn], Ok(Insn::Call(CallTarget::Kfunc(kfunc))) if self.throws(kfunc)));
        throw.map_or(Ok(()), |insn| reject(Rule::ThrowFromCallback { insn, index }))
    }

    fn enter(&self, index: usize, chain: &mut Vec<Visit>, depth: &mut u32) -> Check {
        let subprogram = &self.subprograms[index];
        // Such a load may end the function early, which a callback's caller does not expect.
        let in_callback = subprogram.is_callback || chain.iter().any(|visit| self.subprograms[visit.index].is_callback);
        if subprogram.has_load_packet && in_callback {
            return reject(Rule::LegacyLoadInCallback);
        }
        if index > 0 && subprogram.has_tail_call && *depth >= STACK_BYTES_BEFORE_TAIL_CALL {
            return reject(Rule::TailCallStack { bytes: *depth });
        }
        *depth += self.rounded_depth(index);
        if *depth > STACK_BYTES {
            return reject(Rule::StackTooDeep { frames: chain.len() + 1, bytes: *depth });
        }
        chain.push(Visit { index, next: subprogram.start });
        Ok(())
    }

    fn rounded_depth(&self, index: usize) -> u32 {
        self.subprograms[index].stack_depth.next_multiple_of(16)
    }

    /// The next function that is called or whose address is taken, and the slot behind. One that is called back later
    /// takes no stack here.
    fn next_callee(&self, index: usize, from: usize) -> Check<Option<(usize, usize)>> {
        for insn in from..self.subprograms[index].end {
            let offset = match self.insns[insn] {
                Ok(Insn::Call(CallTarget::Subprogram(offset))) => offset,
                Ok(Insn::LoadImmediate { source: ImmediateSource::Function(offset), .. }) => offset,
                _ => continue,
            };
            let target = usize::try_from(insn as i64 + 1 + i64::from(offset)).ok();
            let Some(callee) = target.and_then(|target| self.subprogram_starting_at(target)) else { continue };
            if self.subprograms[callee].is_async_callback {
                if self.subprograms[callee].has_tail_call {
                    return reject(Rule::AsyncCallbackTailCalls);
                }
                if !matches!(self.insns[insn], Ok(Insn::Call(_))) {
                    continue;
                }
                if self.exception_callback == Some(callee) {
                    return reject(Rule::ExceptionCallbackCalled { insn });
                }
            }
            return Ok(Some((callee, insn + 1)));
        }
        Ok(None)
    }
}
