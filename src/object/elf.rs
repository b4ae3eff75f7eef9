//! The ELF file: sections, symbols and relocation entries, read once and checked, in the terms of this room.

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, Rel, SectionHeader, Sym};

use super::error::ObjectError;
use super::maps::STRUCT_OPS_SECTIONS;

/// More zero-initialised bytes than this in one object are refused, since they cost memory and no file size.
const MAX_BSS: u64 = 64 << 20;

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElfSectionKind {
    /// Contents from the file, executable.
    Code,
    /// Contents from the file.
    Data,
    /// Zeroes.
    Zero,
    /// Anything else.
    Other,
}

/// A section. Index 0 is the empty one that ELF reserves.
#[derive(Clone, Debug)]
pub(super) struct ElfSection<'data> {
    pub(super) name: &'data str,
    pub(super) kind: ElfSectionKind,
    /// Contents; empty for [`ElfSectionKind::Zero`].
    pub(super) data: &'data [u8],
    pub(super) size: u64,
    /// Is it flagged as code?
    executable: bool,
    /// Relocation entries that change this section.
    pub(super) relocations: Vec<ElfRelocation>,
}

/// A relocation entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct ElfRelocation {
    pub(super) offset: u64,
    /// Index into [`Elf::symbols`]; in range.
    pub(super) symbol: usize,
}

/// A symbol.
#[derive(Clone, Debug)]
pub(super) struct ElfSymbol<'data> {
    pub(super) name: &'data str,
    pub(super) value: u64,
    pub(super) size: u64,
    /// Section index; 0 if undefined, `SHN_LORESERVE` and above for special ones.
    pub(super) section: usize,
    pub(super) binding: elf::SymbolBind,
    pub(super) kind: elf::SymbolType,
    pub(super) hidden: bool,
}

impl ElfSymbol<'_> {
    /// Undefined, to be found in the kernel (libbpf's `sym_is_extern`).
    pub(super) fn is_extern(&self) -> bool {
        self.section == 0 && self.is_visible() && self.kind == elf::STT_NOTYPE
    }

    /// Global or weak.
    pub(super) fn is_visible(&self) -> bool {
        self.binding == elf::STB_GLOBAL || self.binding == elf::STB_WEAK
    }
}

/// The file.
#[derive(Clone, Debug)]
pub(super) struct Elf<'data> {
    pub(super) sections: Vec<ElfSection<'data>>,
    pub(super) symbols: Vec<ElfSymbol<'data>>,
}

impl<'data> Elf<'data> {
    /// Reads the file.
    pub(super) fn parse(data: &'data [u8]) -> Result<Self, ObjectError> {
        let header = check_header(data)?;
        let broken = |error: object::read::Error| ObjectError::elf(error.to_string());
        let table = header.sections(LittleEndian, data).map_err(broken)?;
        let mut sections = Vec::new();
        let mut zero_bytes = 0u64;
        for (index, section) in table.enumerate() {
            let name = table.section_name(LittleEndian, section).map_err(broken).and_then(|name| {
                std::str::from_utf8(name).map_err(|_| not_text(&format!("the name of section {index}")))
            })?;
            let kind = section_kind(section, name);
            let size = section.sh_size(LittleEndian);
            if kind == ElfSectionKind::Zero {
                zero_bytes = zero_bytes.saturating_add(size);
                if zero_bytes > MAX_BSS {
                    return Err(ObjectError::unsupported(format!(
                        "section {name}: more than {MAX_BSS} bytes of zero-initialised data"
                    )));
                }
            }
            let contents = match kind {
                ElfSectionKind::Code | ElfSectionKind::Data => section
                    .data(LittleEndian, data)
                    .map_err(|_| ObjectError::section(name, "its contents reach past the end of the file"))?,
                ElfSectionKind::Zero | ElfSectionKind::Other => &[],
            };
            let executable = is_executable(section);
            sections.push(ElfSection { name, kind, data: contents, size, executable, relocations: Vec::new() });
        }
        let symbols = read_symbols(data, &table)?;
        let mut elf = Elf { sections, symbols };
        elf.read_relocations(data, &table)?;
        Ok(elf)
    }

    fn read_relocations(
        &mut self,
        data: &'data [u8],
        table: &object::read::elf::SectionTable<'data, FileHeader64<LittleEndian>>,
    ) -> Result<(), ObjectError> {
        for section in table.iter() {
            let target = section.sh_info(LittleEndian) as usize;
            let name = table.section_name(LittleEndian, section).unwrap_or_default();
            if is_ignored(section, name) || !self.is_relocated_by(target, name) {
                continue;
            }
            check_entries(section, elf::SHT_REL, 16)?;
            let Some((entries, _)) =
                section.rel(LittleEndian, data).map_err(|error| ObjectError::elf(error.to_string()))?
            else {
                continue;
            };
            let Some(target) = self.sections.get_mut(target) else {
                return Err(ObjectError::elf(format!(
                    "a relocation section is for section {target}, which does not exist"
                )));
            };
            for entry in entries {
                let offset = entry.r_offset(LittleEndian);
                let symbol = entry.r_sym(LittleEndian) as usize;
                if symbol >= self.symbols.len() {
                    return Err(ObjectError::relocation(
                        target.name,
                        offset,
                        format!("symbol {symbol} does not exist"),
                    ));
                }
                target.relocations.push(ElfRelocation { offset, symbol });
            }
        }
        Ok(())
    }

    /// Does the loader apply what a section of that name has for another one: for code, and for what describes maps?
    fn is_relocated_by(&self, target: usize, name: &[u8]) -> bool {
        let described = name.strip_prefix(b".rel");
        let of_maps = described.is_some_and(|described| {
            described == b".maps" || STRUCT_OPS_SECTIONS.iter().any(|section| section.as_bytes() == described)
        });
        of_maps || self.sections.get(target).is_none_or(|target| target.executable)
    }

    /// The first section of that name, with its index.
    pub(super) fn section_named(&self, name: &str) -> Option<(usize, &ElfSection<'data>)> {
        self.sections.iter().enumerate().skip(1).find(|(_, section)| section.name == name)
    }

    /// A section's name, or what to call it in a message.
    pub(super) fn section_name(&self, index: usize) -> &'data str {
        self.sections.get(index).map_or("(special)", |section| section.name)
    }
}

fn check_header(data: &[u8]) -> Result<&FileHeader64<LittleEndian>, ObjectError> {
    match data {
        [0x7f, b'E', b'L', b'F', class, order, ..] => {
            if *order == elf::ELFDATA2MSB.0 {
                return Err(ObjectError::WrongTarget { what: "it is big-endian".into() });
            }
            if *class != elf::ELFCLASS64.0 {
                return Err(ObjectError::WrongTarget { what: format!("its ELF class is {class}, not 64-bit") });
            }
        }
        _ => return Err(ObjectError::elf("it does not start with an ELF header")),
    }
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(|error| ObjectError::elf(error.to_string()))?;
    let machine = header.e_machine(LittleEndian);
    // Old compilers wrote no machine; libbpf takes both.
    if machine != elf::EM_BPF && machine != elf::EM_NONE {
        return Err(ObjectError::WrongTarget { what: format!("its machine is {}, not BPF", machine.0) });
    }
    if header.e_type(LittleEndian) != elf::ET_REL {
        return Err(ObjectError::WrongTarget { what: "it is linked, not relocatable".into() });
    }
    Ok(header)
}

/// Entries of another size than the format's are no entries (`bpf_object__elf_collect`).
fn check_entries(
    section: &elf::SectionHeader64<LittleEndian>,
    kind: elf::SectionType,
    size: u64,
) -> Result<(), ObjectError> {
    let said = section.sh_entsize(LittleEndian);
    if section.sh_type(LittleEndian) != kind || said == size {
        return Ok(());
    }
    Err(ObjectError::elf(format!("a section has entries of {said} bytes, not {size}")))
}

fn not_text(what: &str) -> ObjectError {
    ObjectError::unsupported(format!("{what} is not UTF-8"))
}

/// Sections that the loader does not look at (`ignore_elf_section`).
fn is_ignored(section: &elf::SectionHeader64<LittleEndian>, name: &[u8]) -> bool {
    let described = name.strip_prefix(b".rel").unwrap_or(name);
    let of_types = described.len() < name.len() && [&b".BTF"[..], b".BTF.ext"].contains(&described);
    section.sh_type(LittleEndian) == elf::SHT_STRTAB
        || name.starts_with(b".debug_")
        || described.starts_with(b".debug_")
        || of_types
}

fn is_executable(section: &elf::SectionHeader64<LittleEndian>) -> bool {
    section.sh_flags(LittleEndian).0 & elf::SHF_EXECINSTR.0 != 0
}

fn section_kind(section: &elf::SectionHeader64<LittleEndian>, name: &str) -> ElfSectionKind {
    // Those that have a meaning by their name are no code, whatever they say.
    const NAMED: [&str; 5] = ["license", "version", ".maps", ".BTF", ".BTF.ext"];
    match section.sh_type(LittleEndian) {
        _ if is_ignored(section, name.as_bytes()) => ElfSectionKind::Other,
        elf::SHT_PROGBITS if is_executable(section) && !NAMED.contains(&name) => ElfSectionKind::Code,
        elf::SHT_PROGBITS => ElfSectionKind::Data,
        elf::SHT_NOBITS => ElfSectionKind::Zero,
        _ => ElfSectionKind::Other,
    }
}

fn read_symbols<'data>(
    data: &'data [u8],
    table: &object::read::elf::SectionTable<'data, FileHeader64<LittleEndian>>,
) -> Result<Vec<ElfSymbol<'data>>, ObjectError> {
    let broken = |error: object::read::Error| ObjectError::elf(error.to_string());
    let count = table.iter().filter(|section| section.sh_type(LittleEndian) == elf::SHT_SYMTAB).count();
    if count != 1 {
        return Err(ObjectError::elf(match count {
            0 => "it has no symbol table; was it stripped?".to_owned(),
            _ => format!("it has {count} symbol tables"),
        }));
    }
    for section in table.iter() {
        check_entries(section, elf::SHT_SYMTAB, 24)?;
    }
    let symbols = table.symbols(LittleEndian, data, elf::SHT_SYMTAB).map_err(broken)?;
    let strings = symbols.strings();
    // Names may overlap in a broken table; reading them must not cost the square of the file.
    let mut budget = data.len().saturating_mul(4);
    symbols
        .iter()
        .enumerate()
        .map(|(index, symbol)| {
            let name = symbol.name(LittleEndian, strings).map_err(broken).and_then(|name| {
                std::str::from_utf8(name).map_err(|_| not_text(&format!("the name of symbol {index}")))
            })?;
            budget = budget
                .checked_sub(name.len())
                .ok_or_else(|| ObjectError::elf("the names of its symbols overlap too much"))?;
            let visibility = symbol.st_visibility();
            Ok(ElfSymbol {
                name,
                value: symbol.st_value(LittleEndian),
                size: symbol.st_size(LittleEndian),
                section: usize::from(symbol.st_shndx(LittleEndian).0),
                binding: symbol.st_bind(),
                kind: symbol.st_type(),
                hidden: visibility == elf::STV_HIDDEN || visibility == elf::STV_INTERNAL,
            })
        })
        .collect()
}
