//! Where functions stand in an object's file, and which of their slots the loader writes itself.
//!
//! For those who change instructions of an existing object: what is relocated, by symbols or by CO-RE, is no instruction yet, and one
//! slot of a wide load is half of one.

use std::collections::BTreeMap;

use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, elf};
use rustc_hash::FxHashSet;

use super::error::ObjectError;
use super::ext::Ext;
use crate::btf::Btf;
use crate::isa::RawInsn;

/// A function's instructions in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionLayout {
    /// The symbol's name.
    pub name: String,
    /// Place in the file of its first slot, in bytes.
    pub start: usize,
    /// Slots, from its first, that hold an instruction of their own, ascending.
    pub free: Vec<usize>,
}

/// The functions of an object with at least one free slot, in the order of its symbols.
///
/// # Errors
/// If it is no ELF file that can be read. One without types has no CO-RE relocations.
pub fn function_layouts(bytes: &[u8]) -> Result<Vec<FunctionLayout>, ObjectError> {
    let failed = |error: object::read::Error| ObjectError::Elf { what: error.to_string() };
    let header = FileHeader64::<Endianness>::parse(bytes).map_err(failed)?;
    let endian = header.endian().map_err(failed)?;
    let sections = header.sections(endian, bytes).map_err(failed)?;
    let mut fixed: BTreeMap<usize, FxHashSet<u64>> = BTreeMap::new();
    for section in sections.iter() {
        if let Some((rows, _)) = section.rel(endian, bytes).map_err(failed)? {
            let target = section.sh_info(endian) as usize;
            fixed.entry(target).or_default().extend(rows.iter().map(|row| row.r_offset.get(endian)));
        }
    }
    let data = |name: &str| {
        let (_, section) = sections.section_by_name(endian, name.as_bytes())?;
        section.data(endian, bytes).ok()
    };
    if let (Some(types), Some(ext)) = (data(".BTF").and_then(|types| Btf::parse(types).ok()), data(".BTF.ext")) {
        for part in Ext::parse(ext, &types)?.core {
            if let Some((index, _)) = sections.section_by_name(endian, part.section.as_bytes()) {
                fixed.entry(index.0).or_default().extend(part.records.iter().map(|record| u64::from(record.offset)));
            }
        }
    }
    let symbols = sections.symbols(endian, bytes, elf::SHT_SYMTAB).map_err(failed)?;
    let mut layouts = Vec::new();
    for symbol in symbols.iter().filter(|symbol| symbol.st_type() == elf::STT_FUNC) {
        let index = usize::from(symbol.st_shndx(endian).0);
        let Ok(section) = sections.section(object::SectionIndex(index)) else { continue };
        let Some((home, length)) = section.file_range(endian) else { continue };
        let (first, size) = (symbol.st_value(endian), symbol.st_size(endian));
        if first.checked_add(size).is_none_or(|end| end > length) {
            continue;
        }
        let start = home.checked_add(first).and_then(|start| usize::try_from(start).ok());
        let code = start.zip(usize::try_from(size).ok());
        let Some((start, code)) =
            code.and_then(|(start, size)| Some((start, bytes.get(start..start.checked_add(size)?)?)))
        else {
            continue;
        };
        let free = free_slots(code, |slot| {
            let at = first + (slot * RawInsn::SIZE) as u64;
            fixed.get(&index).is_some_and(|fixed| fixed.contains(&at))
        });
        if !free.is_empty() {
            let name = String::from_utf8_lossy(symbol.name(endian, symbols.strings()).unwrap_or_default()).into_owned();
            layouts.push(FunctionLayout { name, start, free });
        }
    }
    Ok(layouts)
}

/// Slots that are neither written by the loader nor part of a wide load.
fn free_slots(code: &[u8], is_fixed: impl Fn(usize) -> bool) -> Vec<usize> {
    let slots = RawInsn::read_all(code);
    let (mut free, mut slot) = (Vec::new(), 0);
    while let Some(raw) = slots.get(slot) {
        if !raw.is_wide() && !is_fixed(slot) {
            free.push(slot);
        }
        slot += if raw.is_wide() { 2 } else { 1 };
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/percpu_slot.bpf.o"));

    #[test]
    fn a_function_ends_where_it_leaves_and_calls_of_the_kernel_are_not_free() {
        let layouts = function_layouts(OBJECT).expect("it is read");
        let make = layouts.iter().find(|layout| layout.name == "make").expect("it has that function");
        let raw = |slot: usize| RawInsn::read_all(&OBJECT[make.start + slot * RawInsn::SIZE..])[0];
        assert!(make.free.is_sorted());
        let last = *make.free.last().expect("some are free");
        assert_eq!(raw(last).opcode, 0x95);
        // A call of a kernel function stands in the file as a call of nothing.
        assert!(make.free.iter().all(|&slot| !(raw(slot).opcode == 0x85 && raw(slot).src == 2)));
        assert!(make.free.iter().all(|&slot| !raw(slot).is_wide()));
        assert!(make.free.len() < last + 1);
    }

    #[test]
    fn what_is_no_object_has_words() {
        assert!(function_layouts(b"").is_err());
        for length in 0..OBJECT.len() {
            let _ = function_layouts(&OBJECT[..length]);
        }
    }
}
