//! What the loader tells the kernel of a program's functions and lines, which has to fit the program
//! (`check_btf_info_early` and `check_btf_info`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! The records are those of the object, however broken; where they fit, [`Program::functions`](crate::object::Program::functions) and
//! [`Program::lines`](crate::object::Program::lines) say the same.

use std::sync::Arc;

use super::env::{Check, Verifier, reject};
use super::rule::Rule;
use crate::btf::{Btf, Type};
use crate::object::{FuncInfo, LinePlace};

impl Verifier<'_> {
    /// The types that come with the program, as far as the kernel knows: it asks for them only where there are records that
    /// refer to them (`prog->aux->btf`).
    #[must_use]
    pub fn program_types(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref().filter(|_| !self.program.func_info.is_empty() || !self.program.line_info.is_empty())
    }

    /// The records of functions that the kernel gets.
    fn function_records(&self) -> &[FuncInfo] {
        // Records come with the types to which they refer.
        if self.btf.is_some() { &self.program.func_info } else { &[] }
    }

    fn line_records(&self) -> &[LinePlace] {
        if self.btf.is_some() { &self.program.line_info } else { &[] }
    }

    /// Records of functions ascend from the first slot and name functions (`check_btf_func_early`).
    pub fn check_function_records(&self) -> Check {
        let mut before: Option<u32> = None;
        for record in self.function_records() {
            match before {
                None if record.insn != 0 => return reject(Rule::FirstFunctionRecordNotAtStart { insn: record.insn }),
                Some(before) if record.insn <= before => {
                    return reject(Rule::FunctionRecordsNotAscending { insn: record.insn, before });
                }
                _ => {}
            }
            let ty = self.btf.as_ref().and_then(|btf| btf.get(record.type_id));
            if !matches!(ty, Some(Type::Function { .. })) {
                return reject(Rule::FunctionRecordOfNoFunction { id: record.type_id.0 as i32 });
            }
            before = Some(record.insn);
        }
        Ok(())
    }

    /// Each function of the program has a record, and there are no others (`check_btf_func`).
    pub fn check_functions_have_records(&self) -> Check {
        let records = self.function_records();
        if records.is_empty() {
            return Ok(());
        }
        if records.len() != self.subprograms.len() {
            return reject(Rule::FunctionRecordCount);
        }
        let fits = |(record, start): (&FuncInfo, usize)| record.insn as usize == start;
        let starts = self.subprograms.iter().map(|subprogram| subprogram.start);
        if records.iter().zip(starts).all(fits) { Ok(()) } else { reject(Rule::FunctionRecordElsewhere) }
    }

    /// Lines ascend and start at instructions, and each function starts with one (`check_btf_line`).
    pub fn check_lines(&self) -> Check {
        let records = self.line_records();
        if records.is_empty() {
            return Ok(());
        }
        let (mut next, mut before) = (0, 0);
        for (line, record) in records.iter().enumerate() {
            let slot = record.insn as usize;
            if line > 0 && record.insn <= before || slot >= self.insns.len() {
                let len = self.insns.len();
                return reject(Rule::LineOutOfPlace { line, insn: record.insn, before, len });
            }
            if self.raw(slot).opcode == 0 {
                return reject(Rule::LineAtNoInsn { line });
            }
            if !record.has_texts {
                return reject(Rule::LineWithoutText { line });
            }
            match self.subprograms.get(next) {
                Some(subprogram) if subprogram.start == slot => next += 1,
                Some(subprogram) if subprogram.start < slot => {
                    return reject(Rule::FunctionWithoutLine { index: next });
                }
                _ => {}
            }
            before = record.insn;
        }
        let count = self.subprograms.len() - next;
        if count > 0 { reject(Rule::FunctionsWithoutLine { count, index: next }) } else { Ok(()) }
    }
}
