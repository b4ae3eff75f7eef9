//! Maps: those that the object declares in `.maps`, and one for each section of global variables.
//!
//! The order is libbpf's: `.maps` in the order of its `DATASEC`, then sections of globals, then `.kconfig`, then
//! `.struct_ops` variables (`bpf_object__init_maps`, `tools/lib/bpf/libbpf.c`, 6.12).

use rustc_hash::FxHashMap;

use crate::btf::{Btf, Linkage, Type, TypeId};

use super::elf::{Elf, ElfSectionKind};
use super::error::ObjectError;
use super::externs::ELSEWHERE;
use super::map_definition;
use super::model::{GlobalSection, Map, MapDefinition};

const ARRAY: u32 = 2;
const STRUCT_OPS: u32 = 26;
const ARENA: u32 = 33;
/// `BPF_F_RDONLY_PROG`.
const READ_ONLY_FOR_PROGRAMS: u32 = 1 << 7;
/// `BPF_F_MMAPABLE`.
const MAPPABLE: u32 = 1 << 10;
/// `BPF_F_LINK`.
const LINK: u32 = 1 << 13;
/// Sections of variables that describe `struct_ops`.
pub(super) const STRUCT_OPS_SECTIONS: [&str; 4] =
    [".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"];

/// Where a variable of a section lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) section: usize,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) type_id: TypeId,
}

/// All maps, and how to find them from an ELF place.
#[derive(Clone, Debug, Default)]
pub(super) struct Maps {
    pub(super) maps: Vec<Map>,
    /// Place of each map that a variable declares, by map index.
    pub(super) places: Vec<Option<Place>>,
    /// Map of each section of globals.
    pub(super) by_section: FxHashMap<usize, usize>,
    /// The map of `.kconfig`.
    pub(super) config: Option<usize>,
    /// The arena that `.addr_space.1` variables live in.
    pub(super) arena: Option<usize>,
    /// Index of the section `.maps`.
    pub(super) declared_in: Option<usize>,
}

impl Maps {
    /// Reads declarations and globals.
    pub(super) fn collect(elf: &Elf<'_>, btf: Option<&Btf>, config: Option<Vec<u8>>) -> Result<Self, ObjectError> {
        if elf.section_named("maps").is_some() {
            return Err(ObjectError::section(
                "maps",
                "legacy map definitions are not supported by libbpf 1.0 and later; declare maps in SEC(\".maps\") with BTF",
            ));
        }
        let mut maps = Maps::default();
        maps.add_declared(elf, btf)?;
        maps.add_globals(elf, btf)?;
        if let (Some(arena), Some((_, section))) = (maps.arena, elf.section_named(".addr_space.1")) {
            maps.maps[arena].arena = section.data.to_vec();
        }
        if let Some(bytes) = config.filter(|bytes| !bytes.is_empty()) {
            maps.config = Some(maps.maps.len());
            maps.add_section(".kconfig", None, bytes, true, btf)?;
        }
        maps.add_struct_ops(elf, btf)?;
        Ok(maps)
    }

    fn add_declared(&mut self, elf: &Elf<'_>, btf: Option<&Btf>) -> Result<(), ObjectError> {
        let Some((section, contents)) = elf.section_named(".maps") else {
            return Ok(());
        };
        self.declared_in = Some(section);
        let missing = || ObjectError::section(".maps", "the object has no BTF that describes it");
        let btf = btf.ok_or_else(missing)?;
        let sections = data_section(btf, ".maps").ok_or_else(missing)?;
        let Type::DataSection { variables, .. } = btf.ty(sections) else { return Err(missing()) };
        for variable in variables {
            let Type::Variable { name, type_id, linkage } = btf.ty(variable.type_id) else {
                return Err(ObjectError::section(".maps", format!("type {} is not a variable", variable.type_id)));
            };
            let end = u64::from(variable.offset) + u64::from(variable.size);
            if end > contents.size {
                return Err(ObjectError::map(name, "it reaches past the end of .maps"));
            }
            match linkage {
                Linkage::Global => {}
                Linkage::Extern => return Err(ObjectError::map(name, ELSEWHERE)),
                Linkage::Static => {
                    return Err(ObjectError::map(name, "a map must be a global variable, not a static one"));
                }
            }
            let declaration = btf.resolve(*type_id);
            let Type::Struct(composite) = btf.ty(declaration) else {
                return Err(ObjectError::map(name, "its type is not a struct"));
            };
            if composite.size > variable.size {
                return Err(ObjectError::map(name, "its struct is larger than the variable"));
            }
            let definition = map_definition::parse(btf, name, composite)?;
            if definition.map_type == ARENA {
                if self.arena.is_some() {
                    return Err(ObjectError::map(name, "an object can have one arena only"));
                }
                self.arena = Some(self.maps.len());
            }
            let place =
                Place { section, offset: variable.offset.into(), size: variable.size.into(), type_id: declaration };
            self.push(name, definition, None, Some(place));
        }
        Ok(())
    }

    fn push(&mut self, name: &str, definition: MapDefinition, globals: Option<GlobalSection>, place: Option<Place>) {
        self.maps.push(Map {
            name: name.to_owned(),
            definition,
            globals,
            arena: Vec::new(),
            initial_maps: Vec::new(),
            initial_programs: Vec::new(),
        });
        self.places.push(place);
    }

    fn add_globals(&mut self, elf: &Elf<'_>, btf: Option<&Btf>) -> Result<(), ObjectError> {
        for (index, section) in elf.sections.iter().enumerate() {
            let named = |base: &str| {
                section.name.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let (read_only, bytes) = match section.kind {
                ElfSectionKind::Data if named(".data") => (false, section.data.to_vec()),
                ElfSectionKind::Data if named(".rodata") => (true, section.data.to_vec()),
                ElfSectionKind::Zero if named(".bss") => (false, vec![0; section.size as usize]),
                _ => continue,
            };
            if !bytes.is_empty() {
                self.add_section(section.name, Some(index), bytes, read_only, btf)?;
            }
        }
        Ok(())
    }

    fn add_section(
        &mut self,
        name: &str,
        section: Option<usize>,
        bytes: Vec<u8>,
        read_only: bool,
        btf: Option<&Btf>,
    ) -> Result<(), ObjectError> {
        let value_size = i32::try_from(bytes.len())
            .map_err(|_| ObjectError::map(name, "it is larger than a map's value can be (2^31 - 1 bytes)"))?;
        let type_id = btf.and_then(|btf| data_section(btf, name)).unwrap_or_default();
        let mappable = btf.is_some_and(|btf| has_visible_variable(btf, type_id));
        let definition = MapDefinition {
            map_type: ARRAY,
            key_size: 4,
            value_size: value_size as u32,
            max_entries: 1,
            flags: if read_only { READ_ONLY_FOR_PROGRAMS } else { 0 } | if mappable { MAPPABLE } else { 0 },
            value_type: type_id,
            ..MapDefinition::default()
        };
        if let Some(section) = section {
            self.by_section.insert(section, self.maps.len());
        }
        self.push(name, definition, Some(GlobalSection { bytes, read_only, type_id }), None);
        Ok(())
    }

    fn add_struct_ops(&mut self, elf: &Elf<'_>, btf: Option<&Btf>) -> Result<(), ObjectError> {
        for (index, section) in elf.sections.iter().enumerate() {
            if !STRUCT_OPS_SECTIONS.contains(&section.name) || section.data.is_empty() {
                continue;
            }
            let missing = || ObjectError::section(section.name, "the object has no BTF that describes it");
            let btf = btf.ok_or_else(missing)?;
            let id = data_section(btf, section.name).ok_or_else(missing)?;
            let Type::DataSection { variables, .. } = btf.ty(id) else { return Err(missing()) };
            for variable in variables {
                let Type::Variable { name, type_id, .. } = btf.ty(variable.type_id) else {
                    return Err(ObjectError::section(section.name, "a type in it is not a variable"));
                };
                let type_id = btf.resolve(*type_id);
                let Type::Struct(composite) = btf.ty(type_id) else {
                    return Err(ObjectError::map(name, "a struct_ops variable must be a struct"));
                };
                let (offset, size) = (u64::from(variable.offset), u64::from(composite.size));
                if offset + size > section.size {
                    return Err(ObjectError::map(name, "it reaches past the end of its section"));
                }
                let definition = MapDefinition {
                    map_type: STRUCT_OPS,
                    key_size: 4,
                    value_size: composite.size,
                    max_entries: 1,
                    flags: if section.name.ends_with(".link") { LINK } else { 0 },
                    value_type: type_id,
                    ..MapDefinition::default()
                };
                let place = Place { section: index, offset, size, type_id };
                self.push(name, definition, None, Some(place));
            }
        }
        Ok(())
    }

    /// The declared map that covers `size` bytes at a place of a section.
    pub(super) fn covering(&self, section: usize, offset: u64, size: u64) -> Option<(usize, Place)> {
        let end = offset.checked_add(size)?;
        self.places.iter().enumerate().find_map(|(index, place)| {
            let place = (*place)?;
            let inside = place.section == section && place.offset <= offset && end <= place.offset + place.size;
            inside.then_some((index, place))
        })
    }

    /// The map that a variable at exactly that place declares.
    pub(super) fn starting_at(&self, section: usize, offset: u64) -> Option<usize> {
        self.places
            .iter()
            .position(|place| place.is_some_and(|place| place.section == section && place.offset == offset))
    }
}

/// The first `DATASEC` of that name.
pub(super) fn data_section(btf: &Btf, name: &str) -> Option<TypeId> {
    btf.find(name, |ty| matches!(ty, Type::DataSection { .. }))
}

/// Is there a variable that user space could look at through a mapping (`map_is_mmapable`)?
fn has_visible_variable(btf: &Btf, section: TypeId) -> bool {
    let Type::DataSection { variables, .. } = btf.ty(section) else { return false };
    variables.iter().any(|variable| {
        matches!(btf.ty(variable.type_id), Type::Variable { linkage: Linkage::Global | Linkage::Extern, .. })
    })
}
