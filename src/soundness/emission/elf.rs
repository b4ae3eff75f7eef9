//! The ELF object.

use object::write::{Object, Relocation, SectionId, StandardSection, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope, elf,
};
use rustc_hash::FxHashMap;

use super::types::MAP_BYTES;
use super::{Batch, EmissionError, function_name};
use crate::btf::StringTable;
use crate::isa::RawInsn;
use crate::soundness::program::universe::MapName;
use crate::soundness::program::{Function, Line, Reference};

/// Kernel functions are for programs under this licence.
pub(super) const LICENSE: &[u8] = b"GPL\0";

/// The tag that clang gives to calls of what it does not define.
const EXTERN_CALL: RawInsn = RawInsn { opcode: 0x85, dst: 0, src: 1, offset: 0, imm: -1 };

/// Symbols that relocations refer to.
struct Symbols {
    maps: FxHashMap<MapName, SymbolId>,
    kfuncs: FxHashMap<String, SymbolId>,
    text: SymbolId,
}

impl Batch<'_> {
    /// The object's bytes. The same programs give the same bytes.
    ///
    /// # Errors
    /// If the object library refuses.
    pub fn object(&self) -> Result<Vec<u8>, EmissionError> {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let text = object.section_id(StandardSection::Text);
        let symbols = self.symbols(&mut object, text);
        let mut sections: FxHashMap<&str, SectionId> = FxHashMap::default();
        for (index, (name, code)) in self.programs.iter().enumerate() {
            let Some(entry) = code.functions.first() else { continue };
            let section_name = code.kind.section();
            let section = *sections
                .entry(section_name)
                .or_insert_with(|| object.add_section(Vec::new(), section_name.as_bytes().to_vec(), SectionKind::Text));
            self.add_function(&mut object, section, index, entry, (name.clone(), SymbolScope::Dynamic), &symbols)?;
        }
        for (program, index, function) in self.text() {
            let name = self.programs.get(program).map_or("", |(name, _)| name.as_str());
            let symbol = (function_name(name, index), SymbolScope::Compilation);
            self.add_function(&mut object, text, program, function, symbol, &symbols)?;
        }
        let mut strings = StringTable::default();
        let ext = self.ext(&mut strings);
        let btf = self.types.btf().to_bytes_with(&mut strings);
        for (name, bytes) in [(".BTF", btf), (".BTF.ext", ext)] {
            let section = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Other);
            object.set_section_data(section, bytes, 4);
        }
        Ok(object.write()?)
    }

    fn symbols(&self, object: &mut Object<'_>, text: SectionId) -> Symbols {
        let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
        let place = object.append_section_data(license, LICENSE, 1);
        object.add_symbol(data_symbol("_license", place, LICENSE.len() as u64, license));
        let maps_section = object.add_section(Vec::new(), b".maps".to_vec(), SectionKind::Data);
        let mut maps = FxHashMap::default();
        for map in MapName::ALL {
            let place = object.append_section_data(maps_section, &[0; MAP_BYTES as usize], 8);
            let symbol = data_symbol(map.name(), place, u64::from(MAP_BYTES), maps_section);
            maps.insert(map, object.add_symbol(symbol));
        }
        let kfunc = |name: &str| Symbol {
            name: name.as_bytes().to_vec(),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Unknown,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        };
        let kfuncs = self.types.kfuncs().map(|name| (name.to_owned(), object.add_symbol(kfunc(name)))).collect();
        Symbols { maps, kfuncs, text: object.section_symbol(text) }
    }

    fn add_function(
        &self,
        object: &mut Object<'_>,
        section: SectionId,
        program: usize,
        function: &Function,
        (name, scope): (String, SymbolScope),
        symbols: &Symbols,
    ) -> Result<(), EmissionError> {
        let mut bytes = Vec::with_capacity(8 * function.lines.len());
        let mut relocations = Vec::new();
        for line in &function.lines {
            if let Some(relocation) = relocation(line, symbols) {
                relocations.push((bytes.len() as u64, relocation));
            }
            for slot in self.placed(program, line) {
                bytes.extend_from_slice(&slot.to_bytes());
            }
        }
        let place = object.append_section_data(section, &bytes, 8);
        for (offset, (symbol, r_type)) in relocations {
            let flags = RelocationFlags::Elf { r_type };
            object.add_relocation(section, Relocation { offset: place + offset, symbol, addend: 0, flags })?;
        }
        object.add_symbol(Symbol {
            name: name.into_bytes(),
            value: place,
            size: bytes.len() as u64,
            kind: SymbolKind::Text,
            scope,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        Ok(())
    }

    /// A line's slots as they stand in the object, before relocation.
    pub(super) fn placed(&self, program: usize, line: &Line) -> impl Iterator<Item = RawInsn> {
        let first = match line.reference {
            Some(Reference::Map(_)) => RawInsn { src: 0, imm: 0, ..line.raw },
            Some(Reference::Kfunc(_)) => EXTERN_CALL,
            Some(Reference::Function(index)) => {
                RawInsn { src: 0, imm: self.callback_place(program, index) as i32, ..line.raw }
            }
            Some(Reference::TypeId(structure)) => RawInsn { imm: self.types.structure(structure).0 as i32, ..line.raw },
            None => line.raw,
        };
        std::iter::once(first).chain(line.high)
    }
}

fn data_symbol(name: &str, value: u64, size: u64, section: SectionId) -> Symbol {
    Symbol {
        name: name.as_bytes().to_vec(),
        value,
        size,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    }
}

fn relocation(line: &Line, symbols: &Symbols) -> Option<(SymbolId, elf::RelocationType)> {
    match line.reference.as_ref()? {
        Reference::Map(map) => Some((*symbols.maps.get(map)?, elf::R_BPF_64_64)),
        Reference::Kfunc(name) => Some((*symbols.kfuncs.get(name)?, elf::R_BPF_64_32)),
        Reference::Function(_) => Some((symbols.text, elf::R_BPF_64_64)),
        Reference::TypeId(_) => None,
    }
}
