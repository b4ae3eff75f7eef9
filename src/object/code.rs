//! The functions of an object and their slots, before they are put together into programs.
//!
//! Follows `bpf_object__add_programs` (`tools/lib/bpf/libbpf.c`, 6.12).

use std::collections::BTreeMap;

use object::elf;

use crate::isa::RawInsn;

use super::elf::{Elf, ElfSectionKind};
use super::error::ObjectError;

/// A function as its ELF symbol describes it.
#[derive(Clone, Debug)]
pub(super) struct CodeFunction<'data> {
    pub(super) name: &'data str,
    /// Index of its section.
    pub(super) section: usize,
    /// First slot in the section.
    pub(super) start: usize,
    /// Number of slots.
    pub(super) count: usize,
    /// Is its symbol global (or weak)?
    pub(super) global: bool,
    /// Is its symbol hidden, so that the verifier is told it is static?
    pub(super) hidden: bool,
}

impl CodeFunction<'_> {
    /// Does that slot of its section belong to it?
    pub(super) fn contains(&self, slot: usize) -> bool {
        slot >= self.start && slot - self.start < self.count
    }
}

/// All functions, by section and start, and all slots, by section.
#[derive(Clone, Debug)]
pub(super) struct Code<'data> {
    pub(super) functions: Vec<CodeFunction<'data>>,
    pub(super) slots: BTreeMap<usize, Vec<RawInsn>>,
    /// The section `.text`, whose functions are subprograms and never entries.
    pub(super) text: Option<usize>,
}

impl<'data> Code<'data> {
    /// Reads every section of code.
    pub(super) fn collect(elf: &Elf<'data>) -> Result<Self, ObjectError> {
        let mut code = Code { functions: Vec::new(), slots: BTreeMap::new(), text: None };
        for (index, section) in elf.sections.iter().enumerate() {
            if section.kind == ElfSectionKind::Code && !section.data.is_empty() {
                code.slots.insert(index, RawInsn::read_all(section.data));
                if section.name == ".text" {
                    code.text = Some(index);
                }
            }
        }
        for symbol in &elf.symbols {
            if symbol.kind != elf::STT_FUNC || !code.slots.contains_key(&symbol.section) {
                continue;
            }
            let section = elf.section_name(symbol.section);
            let bad = |what: &str| ObjectError::section(section, format!("function {} {what}", symbol.name));
            let size = elf.sections.get(symbol.section).map_or(0, |section| section.size);
            if symbol.value.checked_add(symbol.size).is_none_or(|end| end > size) {
                return Err(bad("crosses the end of the section"));
            }
            if symbol.size == 0 || symbol.size % 8 != 0 || symbol.value % 8 != 0 {
                return Err(bad("does not consist of whole instructions"));
            }
            if Some(symbol.section) != code.text && !symbol.is_visible() {
                return Err(bad("is static, which only functions in .text may be"));
            }
            code.functions.push(CodeFunction {
                name: symbol.name,
                section: symbol.section,
                start: symbol.value as usize / RawInsn::SIZE,
                count: symbol.size as usize / RawInsn::SIZE,
                global: symbol.is_visible(),
                hidden: symbol.is_visible() && symbol.hidden,
            });
        }
        code.functions.sort_by_key(|function| (function.section, function.start));
        Ok(code)
    }

    /// The function that a slot of a section belongs to.
    pub(super) fn find(&self, section: usize, slot: usize) -> Option<usize> {
        let after = self.functions.partition_point(|function| (function.section, function.start) <= (section, slot));
        let index = after.checked_sub(1)?;
        let function = self.functions.get(index)?;
        (function.section == section && function.contains(slot)).then_some(index)
    }

    /// Is it a subprogram rather than an entry?
    pub(super) fn is_subprogram(&self, function: &CodeFunction<'_>) -> bool {
        Some(function.section) == self.text
    }

    /// Indexes of the entry functions, in the order of the programs that they make.
    pub(super) fn entries(&self) -> impl Iterator<Item = usize> {
        (0..self.functions.len())
            .filter(|&index| self.functions.get(index).is_some_and(|function| !self.is_subprogram(function)))
    }

    /// A slot, to change it.
    pub(super) fn slot_mut(&mut self, section: usize, slot: usize) -> Option<&mut RawInsn> {
        self.slots.get_mut(&section)?.get_mut(slot)
    }

    /// A slot; an empty one if there is none.
    pub(super) fn slot(&self, section: usize, slot: usize) -> RawInsn {
        self.slots.get(&section).and_then(|slots| slots.get(slot)).copied().unwrap_or_default()
    }
}
