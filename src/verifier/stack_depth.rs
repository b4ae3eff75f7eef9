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
    /// Walks all chains of calls from the entry function.
    pub fn check_stack_depth(&mut self) -> Check {
        let mut chain: Vec<Visit> = Vec::new();
        let mut depth = 0;
        self.enter(0, &mut chain, &mut depth)?;
        while let Some(&Visit { index, next }) = chain.last() {
            self.check_throws(index, next, &chain)?;
            match self.next_callee(index, next) {
                Some((callee, after)) => {
                    if let Some(top) = chain.last_mut() {
                        top.next = after;
                    }
                    if chain.len() >= CALL_FRAMES {
                        return reject(Rule::CallStackTooDeep { frames: chain.len() });
                    }
                    self.enter(callee, &mut chain, &mut depth)?;
                }
                None => {
                    depth -= self.rounded_depth(index);
                    chain.pop();
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
        let end = self.next_callee(index, from).map_or(self.subprograms[index].end, |(_, after)| after);
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

    /// The next function that is called or whose address is taken, and the slot behind.
    fn next_callee(&self, index: usize, from: usize) -> Option<(usize, usize)> {
        (from..self.subprograms[index].end).find_map(|insn| {
            let offset = match self.insns[insn] {
                Ok(Insn::Call(CallTarget::Subprogram(offset))) => offset,
                Ok(Insn::LoadImmediate { source: ImmediateSource::Function(offset), .. }) => offset,
                _ => return None,
            };
            let target = insn as i64 + 1 + i64::from(offset);
            let callee = self.subprogram_starting_at(usize::try_from(target).ok()?)?;
            let later = self.subprograms[callee].is_async_callback && !matches!(self.insns[insn], Ok(Insn::Call(_)));
            (!later).then_some((callee, insn + 1))
        })
    }
}
