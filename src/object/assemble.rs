//! Putting programs together: the entry function, then each function it needs, once, in libbpf's order.
//!
//! Instruction numbers are compared with the kernel's log, so the order matters: a called function is appended when
//! the first call of it is met, and its own calls are followed before the caller's next one
//! (`bpf_object__reloc_code`, `tools/lib/bpf/libbpf.c`, 6.12).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::btf::{Btf, Linkage, Type, TypeId};
use crate::isa::{RawInsn, opcode};

use super::code::{Code, CodeFunction};
use super::elf::Elf;
use super::error::ObjectError;
use super::ext::{Ext, Placed, SectionRecords};
use super::model::{FuncInfo, Function, LinePlace, Program, Section, Unresolved};
use super::relocate::{CALL, FunctionRef, FunctionRefs};

/// Most slots of one program: the kernel takes no more (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MAX_SLOTS: usize = 1_000_000;
/// Most slots of all programs of an object together; only a hostile object comes near.
const MAX_TOTAL_SLOTS: usize = 4_000_000;

/// What assembling needs to know of the object.
pub(super) struct Assembler<'a> {
    pub(super) elf: &'a Elf<'a>,
    pub(super) code: &'a Code<'a>,
    pub(super) btf: Option<&'a Btf>,
    pub(super) ext: &'a Ext,
    pub(super) functions: &'a FunctionRefs,
    /// By section and slot.
    pub(super) unresolved: &'a FxHashMap<(usize, usize), Arc<str>>,
    /// Why a function could not be relocated, by its index.
    pub(super) faults: &'a FxHashMap<usize, ObjectError>,
}

/// One program while it grows.
struct Growing {
    program: Program,
    /// Start of each function that is in it, by its index.
    placed: FxHashMap<usize, usize>,
    /// Are function records kept? Not if the entry has none.
    keep_functions: bool,
    keep_lines: bool,
}

impl Assembler<'_> {
    /// Makes all programs.
    pub(super) fn programs(&self) -> Result<Vec<Program>, ObjectError> {
        let mut programs = Vec::new();
        let mut total = 0usize;
        for entry in self.code.entries() {
            let program = self.program(entry);
            total += program.insns.len().max(program.line_info.len()).max(1);
            if total > MAX_TOTAL_SLOTS {
                return Err(ObjectError::unsupported(format!(
                    "its programs have more than {MAX_TOTAL_SLOTS} instructions together"
                )));
            }
            programs.push(program);
        }
        Ok(programs)
    }

    fn program(&self, entry: usize) -> Program {
        let (name, section) = self
            .code
            .functions
            .get(entry)
            .map_or(("", ""), |function| (function.name, self.elf.section_name(function.section)));
        let mut growing = Growing {
            program: Program {
                name: name.to_owned(),
                section: Section::parse(section),
                insns: Vec::new(),
                functions: Vec::new(),
                lines: Vec::new(),
                func_info: Vec::new(),
                line_info: Vec::new(),
                unresolved: Vec::new(),
                refused: None,
            },
            placed: FxHashMap::default(),
            keep_functions: true,
            keep_lines: true,
        };
        if let Err(error) = self.grow(&mut growing, entry) {
            growing.program.refused = Some(error);
        }
        growing.program
    }

    fn grow(&self, growing: &mut Growing, entry: usize) -> Result<(), ObjectError> {
        self.append(growing, entry)?;
        self.follow(growing, entry)?;
        if let Some(callback) = self.exception_callback(&growing.program.name)?
            && !growing.placed.contains_key(&callback)
        {
            self.append(growing, callback)?;
            self.follow(growing, callback)?;
        }
        Ok(())
    }

    /// Appends one function's slots and records.
    fn append(&self, growing: &mut Growing, index: usize) -> Result<(), ObjectError> {
        let Some(function) = self.code.functions.get(index) else { return Ok(()) };
        if let Some(fault) = self.faults.get(&index) {
            return Err(fault.clone());
        }
        let start = growing.program.insns.len();
        if start + function.count > MAX_SLOTS {
            let section = self.elf.section_name(function.section);
            return Err(ObjectError::section(
                section,
                format!("program {} has more than {MAX_SLOTS} instructions", growing.program.name),
            ));
        }
        let range = function.start..function.start + function.count;
        if let Some(slots) = self.code.slots.get(&function.section).and_then(|slots| slots.get(range.clone())) {
            growing.program.insns.extend_from_slice(slots);
        }
        growing.placed.insert(index, start);
        for slot in range {
            if let Some(what) = self.unresolved.get(&(function.section, slot)) {
                let insn = slot - function.start + start;
                growing.program.unresolved.push(Unresolved { insn, what: Arc::clone(what) });
            }
        }
        let type_id = self.append_functions(growing, index, start)?;
        let declared_global =
            self.btf.is_some_and(|btf| matches!(btf.ty(type_id), Type::Function { linkage: Linkage::Global, .. }));
        growing.program.functions.push(Function {
            name: function.name.to_owned(),
            start,
            type_id,
            global: declared_global && !function.hidden,
        });
        self.append_lines(growing, index, start)
    }

    /// Appends the records of a function and returns its type; as libbpf, none are kept of a whole program where the entry
    /// has none.
    fn append_functions(&self, growing: &mut Growing, index: usize, start: usize) -> Result<TypeId, ObjectError> {
        let Some(function) = self.code.functions.get(index).filter(|_| growing.keep_functions) else {
            return Ok(TypeId::VOID);
        };
        let records = self.moved(&self.ext.functions, function, start);
        if records.is_empty() {
            if !growing.program.functions.is_empty() {
                return Err(self.missing(index, "function"));
            }
            growing.keep_functions = false;
        }
        let is_function = |id: &TypeId| self.btf.is_some_and(|btf| matches!(btf.ty(*id), Type::Function { .. }));
        let own = records.iter().find(|record| record.slot as usize == start);
        let type_id = own.map(|record| record.what).filter(is_function);
        let records = records.into_iter().map(|record| FuncInfo { insn: record.slot, type_id: record.what });
        growing.program.func_info.extend(records);
        self.check_count(growing, growing.program.func_info.len(), "functions")?;
        Ok(type_id.unwrap_or(TypeId::VOID))
    }

    fn append_lines(&self, growing: &mut Growing, index: usize, start: usize) -> Result<(), ObjectError> {
        let Some(function) = self.code.functions.get(index).filter(|_| growing.keep_lines) else { return Ok(()) };
        let records = self.moved(&self.ext.lines, function, start);
        if records.is_empty() {
            if !growing.program.line_info.is_empty() {
                return Err(self.missing(index, "line"));
            }
            growing.keep_lines = false;
        }
        let program = &mut growing.program;
        for Placed { slot, what: line } in records {
            program.line_info.push(LinePlace { insn: slot, has_texts: line.has_texts() });
            // What is out of order the kernel refuses; until it is asked, the others are shown.
            let ascends = program.lines.last().is_none_or(|last| last.insn < slot as usize);
            program.lines.extend(line.shown(slot).filter(|line| ascends && line.insn < start + function.count));
        }
        self.check_count(growing, growing.program.line_info.len(), "lines")
    }

    /// The records that a loader takes for a function, for the places to which it moves: from the first that is inside to the
    /// last before one that is behind its end, and all between them (`adjust_prog_btf_ext_info`).
    fn moved<T: Clone>(
        &self,
        parts: &[SectionRecords<Placed<T>>],
        function: &CodeFunction<'_>,
        start: usize,
    ) -> Vec<Placed<T>> {
        let records = self.records_of(parts, function.section).map_or(&[][..], |part| &part.records);
        let end = function.start + function.count;
        let before_end = records.iter().position(|record| record.slot as usize >= end).unwrap_or(records.len());
        let is_inside = |record: &Placed<T>| record.slot as usize >= function.start;
        let records = &records[..before_end];
        let (first, last) = (records.iter().position(is_inside), records.iter().rposition(is_inside));
        let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
        let by = (start as u32).wrapping_sub(function.start as u32);
        let moved = |record: &Placed<T>| Placed { slot: record.slot.wrapping_add(by), what: record.what.clone() };
        records[first..=last].iter().map(moved).collect()
    }

    /// No more records than slots can be right, and a broken object must not fill the memory with them.
    fn check_count(&self, growing: &Growing, count: usize, what: &str) -> Result<(), ObjectError> {
        if count <= MAX_SLOTS {
            return Ok(());
        }
        Err(ObjectError::unsupported(format!(
            "program {} with more than {MAX_SLOTS} records of {what}",
            growing.program.name
        )))
    }

    fn missing(&self, index: usize, what: &str) -> ObjectError {
        let name = self.code.functions.get(index).map_or("", |function| function.name);
        ObjectError::section(".BTF.ext", format!("no {what} information for {name}, although the program has some"))
    }

    fn records_of<'r, T>(&self, parts: &'r [SectionRecords<T>], section: usize) -> Option<&'r SectionRecords<T>> {
        let name = self.elf.section_name(section);
        let same_name = |part: &&SectionRecords<T>| &*part.section == name;
        parts.iter().find(same_name).filter(|_| self.elf.section_named(name).is_some_and(|(index, _)| index == section))
    }

    /// Follows the calls of a function and of what it calls, appending as needed.
    fn follow(&self, growing: &mut Growing, root: usize) -> Result<(), ObjectError> {
        // Pairs of function and next slot to look at; a call of a new function puts the caller on hold.
        let mut held = vec![(root, 0usize)];
        while let Some((index, offset)) = held.pop() {
            let Some(function) = self.code.functions.get(index) else { continue };
            let Some(&start) = growing.placed.get(&index) else { continue };
            for offset in offset..function.count {
                let Some(&insn) = growing.program.insns.get(start + offset) else { break };
                if !refers_to_function(insn) {
                    continue;
                }
                let target = self.target(index, offset, insn)?;
                let is_new = !growing.placed.contains_key(&target);
                if is_new {
                    self.append(growing, target)?;
                }
                let landed = growing.placed.get(&target).copied().unwrap_or_default();
                if let Some(insn) = growing.program.insns.get_mut(start + offset) {
                    insn.imm = landed as i32 - (start + offset) as i32 - 1;
                }
                if is_new {
                    held.push((index, offset + 1));
                    held.push((target, 0));
                    break;
                }
            }
        }
        Ok(())
    }

    /// The function that a call or function address means.
    fn target(&self, index: usize, offset: usize, insn: RawInsn) -> Result<usize, ObjectError> {
        let Some(function) = self.code.functions.get(index) else { return Err(ObjectError::elf("no such function")) };
        let slot = function.start + offset;
        let bad = |what: &str| {
            ObjectError::relocation(self.elf.section_name(function.section), (slot * RawInsn::SIZE) as u64, what)
        };
        let imm = i64::from(insn.imm);
        let slot_in_text = match self.functions.get(&(function.section, slot)) {
            Some(FunctionRef::Call(value)) => (*value / 8) as i64 + imm + 1,
            Some(FunctionRef::Address(value)) => (*value as i64).wrapping_add(imm) / 8,
            None if insn.opcode == CALL => slot as i64 + imm + 1,
            None => return Err(bad("the function address has no relocation")),
        };
        let text = self.code.text.ok_or_else(|| bad("a function is called, but there is no .text section"))?;
        usize::try_from(slot_in_text)
            .ok()
            .and_then(|slot| self.code.find(text, slot))
            .ok_or_else(|| bad("no function of .text is at the called place"))
    }

    /// The function that a declaration tag `exception_callback:NAME` on the entry names (`bpf_prog_assign_exc_cb`).
    fn exception_callback(&self, entry: &str) -> Result<Option<usize>, ObjectError> {
        let Some(btf) = self.btf else { return Ok(None) };
        let mut callbacks = btf.iter().filter_map(|(_, ty)| match ty {
            Type::DeclTag { name, target, component: None } if btf.ty(*target).name() == entry => {
                name.strip_prefix("exception_callback:")
            }
            _ => None,
        });
        let Some(name) = callbacks.next() else { return Ok(None) };
        // The verifier complains of several; libbpf then appends none.
        if callbacks.next().is_some() {
            return Ok(None);
        }
        let bad = |what: &str| ObjectError::section(".BTF", format!("exception callback '{name}' of {entry} {what}"));
        let mut found = self
            .code
            .functions
            .iter()
            .enumerate()
            .filter(|(_, function)| self.code.is_subprogram(function) && function.name == name);
        match (found.next(), found.next()) {
            (Some((index, function)), None) if function.global && !function.hidden => Ok(Some(index)),
            (Some(_), _) => Err(bad("must be a single global function that is not hidden")),
            (None, _) => Err(bad("does not exist")),
        }
    }
}

/// A call of a function of this object, or a load of one's address.
fn refers_to_function(insn: RawInsn) -> bool {
    let is_call = insn.opcode == CALL && insn.src == opcode::PSEUDO_CALL && insn.dst == 0 && insn.offset == 0;
    is_call || (insn.is_wide() && insn.src == opcode::PSEUDO_FUNC)
}
