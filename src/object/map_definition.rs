//! One map's declaration: the struct that `__uint`, `__type`, `__array` and friends of `bpf_helpers.h` make.
//!
//! Follows `parse_btf_map_def` (`tools/lib/bpf/libbpf.c`, 6.12).

use crate::btf::{Btf, Composite, Member, Type, TypeId};

use super::error::ObjectError;
use super::model::MapDefinition;

const PROGRAM_ARRAY: u32 = 3;
const RING_BUFFER: u32 = 27;
const USER_RING_BUFFER: u32 = 31;
const PAGE: u32 = 4096;
/// Arrays and hashes of maps.
const MAPS_OF_MAPS: [u32; 2] = [12, 13];
/// Map types for which libbpf does not tell the kernel the types of key and value (`bpf_object__create_map`):
/// perf event, cgroup and stack arrays, maps of maps, dev, CPU and XSK maps, socket maps, queue, stack, arena.
const WITHOUT_TYPES: [u32; 14] = [4, 7, 8, 12, 13, 14, 15, 16, 17, 18, 22, 23, 25, 33];

/// Reads the declaration.
pub(super) fn parse(btf: &Btf, map: &str, declaration: &Composite) -> Result<MapDefinition, ObjectError> {
    let mut parser = Parser { btf, map, definition: MapDefinition::default(), inner: false };
    parser.read(declaration)?;
    Ok(parser.definition)
}

struct Parser<'a> {
    btf: &'a Btf,
    map: &'a str,
    definition: MapDefinition,
    /// Is this the declaration of an inner map?
    inner: bool,
}

impl Parser<'_> {
    fn bad(&self, what: impl Into<String>) -> ObjectError {
        let what = what.into();
        ObjectError::map(self.map, if self.inner { format!("inner map: {what}") } else { what })
    }

    fn read(&mut self, declaration: &Composite) -> Result<(), ObjectError> {
        let last = declaration.members.len().saturating_sub(1);
        for (index, member) in declaration.members.iter().enumerate() {
            match &*member.name {
                "type" => self.definition.map_type = self.number(member)?,
                "max_entries" => self.definition.max_entries = self.number(member)?,
                "map_flags" => self.definition.flags = self.number(member)?,
                // Placement in memory says nothing to a verifier or a simulation.
                "numa_node" => drop(self.number(member)?),
                "key_size" | "key" | "value_size" | "value" => self.read_size(member)?,
                "values" if index != last => return Err(self.bad("'values' must be the last member")),
                "values" => self.read_values(member)?,
                "pinning" if self.inner => return Err(self.bad("it cannot be pinned")),
                "pinning" => match self.number(member)? {
                    value @ (0 | 1) => self.definition.pinning = value,
                    value => return Err(self.bad(format!("pinning value {value} is unknown"))),
                },
                "map_extra" => self.definition.map_extra = self.long(member)?,
                name => return Err(self.bad(format!("unknown field '{name}'"))),
            }
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<(), ObjectError> {
        let definition = &mut self.definition;
        if definition.map_type == 0 {
            return Err(self.bad("its type is not given"));
        }
        if matches!(definition.map_type, RING_BUFFER | USER_RING_BUFFER) {
            definition.max_entries = ring_buffer_size(definition.max_entries);
        }
        if WITHOUT_TYPES.contains(&definition.map_type) {
            definition.key_type = TypeId::VOID;
            definition.value_type = TypeId::VOID;
        }
        Ok(())
    }

    /// `__uint(name, value)`: a pointer to an array of `value` elements.
    fn number(&self, member: &Member) -> Result<u32, ObjectError> {
        let not = || self.bad(format!("'{}' is not written with __uint", member.name));
        let Type::Pointer { target } = self.btf.ty(self.btf.resolve(member.type_id)) else { return Err(not()) };
        match self.btf.ty(*target) {
            Type::Array { count, .. } => Ok(*count),
            _ => Err(not()),
        }
    }

    /// `__ulong(name, value)`: an enumeration of one value; `__uint` will do too.
    fn long(&self, member: &Member) -> Result<u64, ObjectError> {
        match self.btf.ty(self.btf.resolve(member.type_id)) {
            Type::Enum { values, .. } => match values.as_slice() {
                [(_, value)] => Ok(*value as u64),
                _ => Err(self.bad(format!("'{}' is not written with __ulong", member.name))),
            },
            _ => self.number(member).map(u64::from),
        }
    }

    /// `key`, `value`: a pointer to the type; `key_size`, `value_size`: a number.
    fn read_size(&mut self, member: &Member) -> Result<(), ObjectError> {
        let (size, type_id) = if member.name.ends_with("_size") {
            (self.number(member)?, None)
        } else {
            let Type::Pointer { target } = self.btf.ty(member.type_id) else {
                return Err(self.bad(format!("'{}' is not written with __type", member.name)));
            };
            let size = self
                .btf
                .size_of(*target)
                .ok_or_else(|| self.bad(format!("the type of its {} has no size", member.name)))?;
            (size, Some(*target))
        };
        let is_key = member.name.starts_with("key");
        let slot = if is_key { &mut self.definition.key_size } else { &mut self.definition.value_size };
        let before = std::mem::replace(slot, size);
        if before != 0 && before != size {
            let what = if is_key { "key" } else { "value" };
            return Err(self.bad(format!("conflicting {what} sizes {before} and {size}")));
        }
        match (type_id, is_key) {
            (Some(id), true) => self.definition.key_type = id,
            (Some(id), false) => self.definition.value_type = id,
            (None, _) => {}
        }
        Ok(())
    }

    /// `__array(values, ...)`: what an array of maps or programs holds.
    fn read_values(&mut self, member: &Member) -> Result<(), ObjectError> {
        if self.inner {
            return Err(self.bad("maps of maps of maps are not supported"));
        }
        let of_maps = MAPS_OF_MAPS.contains(&self.definition.map_type);
        if !of_maps && self.definition.map_type != PROGRAM_ARRAY {
            return Err(self.bad("'values' is for arrays and hashes of maps and arrays of programs"));
        }
        if !matches!(self.definition.value_size, 0 | 4) {
            return Err(self.bad(format!("conflicting value sizes {} and 4", self.definition.value_size)));
        }
        self.definition.value_size = 4;
        let not = || self.bad("'values' is not written with __array");
        let Type::Array { element, count: 0, .. } = self.btf.ty(member.type_id) else { return Err(not()) };
        let Type::Pointer { target } = self.btf.ty(self.btf.resolve(*element)) else { return Err(not()) };
        match self.btf.ty(self.btf.resolve(*target)) {
            Type::FunctionPrototype { .. } if !of_maps => Ok(()),
            Type::Struct(declaration) if of_maps => {
                let mut inner =
                    Parser { btf: self.btf, map: self.map, definition: MapDefinition::default(), inner: true };
                inner.read(declaration)?;
                self.definition.inner = Some(Box::new(inner.definition));
                Ok(())
            }
            _ => Err(self.bad("'values' holds neither maps nor programs as its type wants")),
        }
    }
}

/// Rounds up to a power of two of pages, as libbpf does (`adjust_ringbuf_sz`).
fn ring_buffer_size(size: u32) -> u32 {
    if size == 0 {
        return 0;
    }
    size.div_ceil(PAGE).checked_next_power_of_two().and_then(|pages| pages.checked_mul(PAGE)).unwrap_or(size)
}
