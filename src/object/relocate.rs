//! ELF relocations: what each instruction refers to, and how that is written into it.
//!
//! Maps, globals and externs are written into the slots at once, as indexes into the object's tables. Calls and
//! function addresses depend on where functions land in a program, so they are kept for [`assemble`](super::assemble).
//! Follows `bpf_program__record_reloc` and `bpf_object__relocate_data` (`tools/lib/bpf/libbpf.c`, 6.12).

use object::elf;
use rustc_hash::FxHashMap;

use crate::btf::{Btf, Type};
use crate::isa::{RawInsn, opcode};

use super::code::Code;
use super::elf::{Elf, ElfRelocation, ElfSymbol};
use super::error::ObjectError;
use super::externs::{ExternRef, Externs};
use super::maps::Maps;

/// Set in the immediate of an instruction that names a map, variable or kernel function by a number of its own; no
/// index into the object's tables is that large.
pub const RAW_REFERENCE: i32 = i32::MIN;
/// Opcode of a call.
pub(super) const CALL: u8 = 0x85;
/// Map types that can hold maps: arrays and hashes of maps.
const ARRAY_OF_MAPS: u32 = 12;
const HASH_OF_MAPS: u32 = 13;
const PROGRAM_ARRAY: u32 = 3;

/// Which function a call or a function address means: byte offsets in `.text`, to which the instruction's immediate
/// adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FunctionRef {
    /// A call.
    Call(u64),
    /// A function's address.
    Address(u64),
}

/// By section and slot.
pub(super) type FunctionRefs = FxHashMap<(usize, usize), FunctionRef>;
/// Slots that load a `.kconfig` variable: section and slot, index of the variable.
pub(super) type ConfigRefs = Vec<((usize, usize), usize)>;

/// Applies what does not depend on the program, and returns the rest.
pub(super) fn relocate_code(
    elf: &Elf<'_>,
    code: &mut Code<'_>,
    maps: &Maps,
    externs: &Externs,
) -> Result<(FunctionRefs, ConfigRefs), ObjectError> {
    let mut relocator = Relocator { elf, maps, externs, functions: FxHashMap::default(), configs: Vec::new() };
    let sections: Vec<usize> = code.slots.keys().copied().collect();
    for &section in &sections {
        mark_raw_references(code, section);
    }
    for section in sections {
        let Some(entries) = elf.sections.get(section) else { continue };
        for &entry in &entries.relocations {
            relocator.relocate(code, section, entry)?;
        }
    }
    Ok((relocator.functions, relocator.configs))
}

/// A descriptor or BTF id that the code itself holds, without a relocation, must not be taken for an index.
fn mark_raw_references(code: &mut Code<'_>, section: usize) {
    let count = code.slots.get(&section).map_or(0, |slots| slots.len());
    for slot in 0..count {
        if let Some(insn) = code.slot_mut(section, slot) {
            let is_reference = match insn.opcode {
                CALL => insn.src == opcode::PSEUDO_KFUNC_CALL,
                _ => insn.is_wide() && !matches!(insn.src, 0 | opcode::PSEUDO_FUNC),
            };
            if is_reference {
                insn.imm |= RAW_REFERENCE;
            }
        }
    }
}

struct Relocator<'a> {
    elf: &'a Elf<'a>,
    maps: &'a Maps,
    externs: &'a Externs,
    functions: FunctionRefs,
    configs: ConfigRefs,
}

/// What is written into a wide load: source tag, first and second immediate.
struct Wide {
    source: u8,
    low: u32,
    high: u32,
}

impl Relocator<'_> {
    fn relocate(&mut self, code: &mut Code<'_>, section: usize, entry: ElfRelocation) -> Result<(), ObjectError> {
        let bad = |what: String| ObjectError::relocation(self.elf.section_name(section), entry.offset, what);
        if !entry.offset.is_multiple_of(8) {
            return Err(bad("the place is not the start of an instruction".into()));
        }
        let slot = usize::try_from(entry.offset / 8).map_err(|_| bad("the place is outside".into()))?;
        if code.slots.get(&section).is_none_or(|slots| slot >= slots.len()) {
            return Err(bad("the place is outside the section".into()));
        }
        // Code of a weak function that another definition replaced belongs to no function any more.
        let Some(function) = code.find(section, slot).and_then(|index| code.functions.get(index)) else {
            return Ok(());
        };
        let wide_fits = function.contains(slot + 1);
        let Some(symbol) = self.elf.symbols.get(entry.symbol) else { return Ok(()) };
        let insn = code.slot(section, slot);
        if insn.opcode != CALL && !(insn.is_wide() && wide_fits) {
            return Err(bad(format!("instruction {:#04x} cannot refer to '{}'", insn.opcode, symbol.name)));
        }
        let at = (section, slot);
        if symbol.is_extern() {
            return self.relocate_extern(code, at, entry).map_err(bad);
        }
        if insn.opcode == CALL {
            return self.record_call(code, at, insn, symbol).map_err(bad);
        }
        self.relocate_load(code, at, insn, symbol).map_err(bad)
    }

    fn relocate_extern(&mut self, code: &mut Code<'_>, at: (usize, usize), entry: ElfRelocation) -> Result<(), String> {
        let reference = *self.externs.by_symbol.get(&entry.symbol).ok_or("the extern is not described")?;
        let insn = code.slot(at.0, at.1);
        match reference {
            ExternRef::Kernel(index) if insn.opcode == CALL => {
                if let Some(insn) = code.slot_mut(at.0, at.1) {
                    (insn.src, insn.imm) = (opcode::PSEUDO_KFUNC_CALL, index as i32);
                }
            }
            ExternRef::Kernel(index) => {
                write_wide(code, at, Wide { source: opcode::PSEUDO_BTF_ID, low: index as u32, high: 0 });
            }
            ExternRef::Config(_) if insn.opcode == CALL => return Err("a .kconfig variable cannot be called".into()),
            ExternRef::Config(index) => {
                let map = self.maps.config.ok_or("there is no .kconfig map")?;
                let offset = self.externs.config.get(index).map_or(0, |variable| variable.offset);
                write_wide(code, at, Wide { source: opcode::PSEUDO_MAP_VALUE, low: map as u32, high: offset });
                self.configs.push((at, index));
            }
        }
        Ok(())
    }

    fn record_call(
        &mut self,
        code: &Code<'_>,
        at: (usize, usize),
        insn: RawInsn,
        symbol: &ElfSymbol<'_>,
    ) -> Result<(), String> {
        if insn.src != opcode::PSEUDO_CALL {
            return Err("the call is not a call of a function of this object".into());
        }
        if symbol.section == 0 || Some(symbol.section) != code.text {
            let section = self.elf.section_name(symbol.section);
            return Err(format!("the called '{}' is in section {section}, not in .text", symbol.name));
        }
        if !symbol.value.is_multiple_of(8) {
            return Err(format!("the called '{}' does not start at an instruction", symbol.name));
        }
        self.record(at, FunctionRef::Call(symbol.value))
    }

    fn record(&mut self, at: (usize, usize), reference: FunctionRef) -> Result<(), String> {
        match self.functions.insert(at, reference) {
            Some(before) if before != reference => Err("two relocations for one instruction".into()),
            _ => Ok(()),
        }
    }

    fn relocate_load(
        &mut self,
        code: &mut Code<'_>,
        at: (usize, usize),
        insn: RawInsn,
        symbol: &ElfSymbol<'_>,
    ) -> Result<(), String> {
        let section = symbol.section;
        if section == 0 || section >= usize::from(elf::SHN_LORESERVE) {
            return Err(format!("'{}' is in no section; is it an uninitialised common variable?", symbol.name));
        }
        if Some(section) == code.text && is_function(symbol) {
            if !symbol.value.is_multiple_of(8) || insn.imm % 8 != 0 {
                return Err(format!("the address of '{}' is not that of an instruction", symbol.name));
            }
            if let Some(slot) = code.slot_mut(at.0, at.1) {
                slot.src = opcode::PSEUDO_FUNC;
            }
            return self.record(at, FunctionRef::Address(symbol.value));
        }
        if Some(section) == self.maps.declared_in {
            let map = self.maps.starting_at(section, symbol.value).ok_or("no map starts there")?;
            let high = code.slot(at.0, at.1 + 1).imm as u32;
            write_wide(code, at, Wide { source: opcode::PSEUDO_MAP_FD, low: map as u32, high });
            return Ok(());
        }
        let in_arena = self.elf.section_name(section) == ".addr_space.1";
        let map = if in_arena { self.maps.arena } else { self.maps.by_section.get(&section).copied() };
        let map = map.ok_or_else(|| {
            format!(
                "'{}' is in section {}, which holds neither maps nor globals",
                symbol.name,
                self.elf.section_name(section)
            )
        })?;
        let high = (insn.imm as u32).wrapping_add(symbol.value as u32);
        write_wide(code, at, Wide { source: opcode::PSEUDO_MAP_VALUE, low: map as u32, high });
        Ok(())
    }
}

/// A function's symbol, or that of `.text` itself, through which static functions are named.
fn is_function(symbol: &ElfSymbol<'_>) -> bool {
    match symbol.kind {
        elf::STT_SECTION => symbol.binding == elf::STB_LOCAL,
        elf::STT_FUNC => symbol.is_visible(),
        _ => false,
    }
}

fn write_wide(code: &mut Code<'_>, (section, slot): (usize, usize), wide: Wide) {
    if let Some(insn) = code.slot_mut(section, slot) {
        (insn.src, insn.imm) = (wide.source, wide.low as i32);
    }
    if let Some(insn) = code.slot_mut(section, slot + 1) {
        insn.imm = wide.high as i32;
    }
}

/// Fills what map declarations and `struct_ops` variables refer to (`bpf_object__collect_map_relos`,
/// `bpf_object__collect_st_ops_relos`). `program_of` finds a program's index by section and byte offset.
pub(super) fn relocate_maps(
    elf: &Elf<'_>,
    btf: &Btf,
    maps: &mut Maps,
    program_of: impl Fn(usize, u64) -> Option<usize>,
) -> Result<(), ObjectError> {
    let mut sections: Vec<usize> = maps.places.iter().flatten().map(|place| place.section).collect();
    sections.dedup();
    for section in sections {
        let Some(entries) = elf.sections.get(section) else { continue };
        for entry in &entries.relocations {
            let bad = |what: &str| ObjectError::relocation(entries.name, entry.offset, what);
            let Some(symbol) = elf.symbols.get(entry.symbol) else { continue };
            let (index, place) =
                maps.covering(section, entry.offset, 8).ok_or_else(|| bad("no map's declaration is there"))?;
            let offset = (entry.offset - place.offset) as u32;
            let map_type = maps.maps.get(index).map_or(0, |map| map.definition.map_type);
            let program = || {
                program_of(symbol.section, symbol.value)
                    .ok_or_else(|| bad(&format!("'{}' is not an entry function", symbol.name)))
            };
            if Some(section) != maps.declared_in {
                let program = program()? as u32;
                if let Some(map) = maps.maps.get_mut(index) {
                    map.initial_programs.push((offset, program));
                }
                continue;
            }
            let slot =
                values_slot(btf, place.type_id, offset).ok_or_else(|| bad("it is not an element of 'values'"))?;
            match map_type {
                ARRAY_OF_MAPS | HASH_OF_MAPS => {
                    let inner = maps
                        .starting_at(section, symbol.value)
                        .filter(|_| symbol.section == section)
                        .ok_or_else(|| bad(&format!("'{}' is not a declared map", symbol.name)))?;
                    if let Some(map) = maps.maps.get_mut(index) {
                        map.initial_maps.push((slot, inner as u32));
                    }
                }
                PROGRAM_ARRAY => {
                    let program = program()? as u32;
                    if let Some(map) = maps.maps.get_mut(index) {
                        map.initial_programs.push((slot, program));
                    }
                }
                _ => return Err(bad("a map of this type cannot be given initial values")),
            }
        }
    }
    Ok(())
}

/// Which element of a declaration's last member, `values`, lies at that byte.
fn values_slot(btf: &Btf, declaration: crate::btf::TypeId, offset: u32) -> Option<u32> {
    let Type::Struct(composite) = btf.ty(declaration) else { return None };
    let member = composite.members.last().filter(|member| &*member.name == "values")?;
    let inside = offset.checked_sub(member.byte_offset())?;
    inside.is_multiple_of(8).then_some(inside / 8)
}
