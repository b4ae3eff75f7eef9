//! Places of a run in words: instructions with their source lines, regions of memory, fields.

use serde_json::{Value, json};

use super::told;
use crate::btf::{Type, TypeId};
use crate::isa::{CallName, RawInsn, disassemble};
use crate::kernel::Tables;
use crate::machine::ownership::Holder;
use crate::machine::{Machine, Moment, Place, RegionId, RegionKind, types};
use crate::object::{LineInfo, Object};

/// The last part of a path: what people recognise a source file by.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Names for the disassembly of a program of an object.
pub struct Names<'a>(pub &'a Object);

impl CallName for Names<'_> {
    fn helper(&self, id: i32) -> Option<&str> {
        u32::try_from(id).ok().and_then(|id| Tables::embedded().helper(id)).map(|helper| helper.name.as_str())
    }

    fn kfunc(&self, raw: RawInsn) -> Option<(&str, u32)> {
        self.0.externs.get(raw.imm as u32 as usize).map(|kfunc| (kfunc.name.as_str(), raw.imm as u32))
    }

    fn immediate(&self, raw: RawInsn, _high: RawInsn) -> Option<String> {
        let map = matches!(raw.src, 1 | 2 | 5 | 6).then(|| self.0.maps.get(raw.imm as u32 as usize)).flatten();
        map.map(|map| map.name.clone())
    }
}

/// Words for what happened in a machine.
pub struct Words<'m> {
    machine: &'m Machine,
}

impl<'m> Words<'m> {
    /// Words for that machine.
    #[must_use]
    pub fn new(machine: &'m Machine) -> Words<'m> {
        Words { machine }
    }

    /// The machine that the words are about.
    #[must_use]
    pub fn machine(&self) -> &'m Machine {
        self.machine
    }

    /// The name of the program that an instruction belongs to.
    #[must_use]
    pub fn program(&self, place: Place) -> &'m str {
        self.machine.programs().get(place.program as usize).map_or("?", |program| program.source().name.as_str())
    }

    /// `file.c:12: text of the line`, or the instruction's number where the source is not known.
    #[must_use]
    pub fn source(&self, place: Place) -> String {
        if place == Place::BEFORE {
            return "a program of another object takes what the maps hold, and drops it".to_owned();
        }
        if place == Place::GRACE_PERIOD {
            return "a grace period ends".to_owned();
        }
        let program = self.machine.programs().get(place.program as usize);
        match program.and_then(|program| program.source().line_at(place.insn as usize)) {
            Some(line) => format!("{}:{}: {}", file_name(&line.file), line.line, line.text.trim()),
            None => format!("instruction {}", place.insn),
        }
    }

    /// The source line of an instruction, if known.
    #[must_use]
    pub fn line(&self, place: Place) -> Option<&'m LineInfo> {
        let program = self.machine.programs().get(place.program as usize).filter(|_| place != Place::BEFORE)?;
        program.source().line_at(place.insn as usize)
    }

    /// A place for a message: where something happened, and what.
    #[must_use]
    pub fn told(&self, place: Place, what: &str, primary: bool) -> told::Place {
        let line = self.line(place).cloned();
        let place_text = self.source(place);
        told::Place { line, otherwise: place_text, label: what.to_owned(), primary, at: None }
    }

    /// The same of a moment: with the program and the CPU.
    #[must_use]
    pub fn told_moment(&self, moment: Moment, what: &str, primary: bool) -> told::Place {
        let whose = match moment.place {
            Place::BEFORE => String::new(),
            place => format!(" ({}, CPU {})", self.program(place), moment.cpu),
        };
        told::Place { at: Some(moment), ..self.told(moment.place, &format!("{what}{whose}"), primary) }
    }

    /// An instruction as the kernel's log prints it.
    #[must_use]
    pub fn instruction(&self, place: Place) -> String {
        let slots = self.machine.programs().get(place.program as usize).map(|program| &program.source().insns);
        match slots.and_then(|slots| slots.get(place.insn as usize).map(|raw| (raw, slots))) {
            Some((&raw, slots)) => {
                let text = disassemble(raw, slots.get(place.insn as usize + 1).copied(), &Names(self.machine.object()));
                format!("{}: {text}", place.insn)
            }
            None => format!("{}: past the program's end", place.insn),
        }
    }

    /// A moment in one line.
    #[must_use]
    pub fn moment(&self, moment: Moment) -> String {
        if moment.place == Place::BEFORE {
            return "by a program of another object".to_owned();
        }
        format!("{} ({}, CPU {})", self.source(moment.place), self.program(moment.place), moment.cpu)
    }

    /// A place as JSON: program, instruction, and source if known.
    #[must_use]
    pub fn place_json(&self, place: Place) -> Value {
        let program = self.machine.programs().get(place.program as usize);
        let line = program.and_then(|program| program.source().line_at(place.insn as usize));
        let source = line.map(
            |line| json!({"file": &*line.file, "line": line.line, "column": line.column, "text": line.text.trim()}),
        );
        json!({"program": self.program(place), "insn": place.insn, "source": source})
    }

    /// A moment as JSON: a place, with CPU and step.
    #[must_use]
    pub fn moment_json(&self, moment: Moment) -> Value {
        let mut value = self.place_json(moment.place);
        value["cpu"] = json!(moment.cpu);
        value["step"] = json!(moment.step);
        value
    }

    /// `struct val_t`, for a type of the object.
    #[must_use]
    pub fn type_name(&self, type_id: TypeId) -> String {
        match self.machine.object().btf.as_deref().map(|btf| btf.ty(btf.resolve(type_id))) {
            Some(Type::Struct(composite)) if !composite.name.is_empty() => format!("struct {}", composite.name),
            Some(Type::Union(composite)) if !composite.name.is_empty() => format!("union {}", composite.name),
            Some(ty) if !ty.name().is_empty() => ty.name().to_owned(),
            _ => "unnamed type".to_owned(),
        }
    }

    /// What a region is, in words.
    #[must_use]
    pub fn region(&self, id: RegionId) -> String {
        match &self.machine.memory().region(id).kind {
            RegionKind::Stack { cpu, frame: 0 } => format!("the program's stack on CPU {cpu}"),
            RegionKind::Stack { cpu, frame } => format!("the stack of call {frame} on CPU {cpu}"),
            RegionKind::Context | RegionKind::SyscallContext => "the program's context".to_owned(),
            RegionKind::Packet => "the packet".to_owned(),
            RegionKind::FlowKeys => "the flow dissector's keys".to_owned(),
            RegionKind::MapValue { map, element, cpu } => {
                let value = self.element(*map, *element, id);
                cpu.map_or(value.clone(), |cpu| format!("{value}, copy of CPU {cpu}"))
            }
            RegionKind::MapKey { map } => format!("a key of map {}", self.map_name(*map)),
            RegionKind::ArenaPage { map } => format!("a page of arena {}", self.map_name(*map)),
            RegionKind::Record { map } => format!("a record of ring buffer {}", self.map_name(*map)),
            RegionKind::Map { map } => format!("map {} itself", self.map_name(*map)),
            RegionKind::Object { type_id } => format!("object of {}", self.type_name(*type_id)),
            RegionKind::PerCpuObject { type_id } => format!("per-CPU object of {}", self.type_name(*type_id)),
            RegionKind::PerCpuCopy { cpu, type_id, .. } => {
                format!("CPU {cpu}'s copy of a per-CPU object of {}", self.type_name(*type_id))
            }
            RegionKind::KernelObject { name, .. } => format!("struct {name} of the kernel"),
            RegionKind::KernelVariable { name } => format!("kernel variable {name}"),
        }
    }

    /// The name of a map, of globals that of the section.
    #[must_use]
    pub fn map_name(&self, map: u32) -> &'m str {
        self.machine.maps().get(map as usize).map_or("?", |map| map.name.as_str())
    }

    fn element(&self, map: u32, element: u64, region: RegionId) -> String {
        let object = self.machine.object();
        let Some(declared) = object.maps.get(map as usize) else { return "?".to_owned() };
        if declared.globals.is_some() {
            return declared.name.clone();
        }
        let is_array = matches!(declared.definition.map_type, 2 | 6);
        if is_array {
            return format!("{}[{element}]", declared.name);
        }
        let Some(state) = self.machine.maps().get(map as usize) else { return declared.name.clone() };
        let holds = |first: RegionId| (first.0..first.0 + self.machine.cpu_count()).contains(&region.0);
        let key = state.elements().into_iter().find(|&(_, first)| first == region || (state.per_cpu && holds(first)));
        match key {
            Some((key, _)) if !key.is_empty() => format!("{}[{}]", declared.name, self.key(map, &key)),
            Some(_) => format!("the storage in {}", declared.name),
            None => format!("a deleted element of {}", declared.name),
        }
    }

    /// A key as people read it.
    #[must_use]
    pub fn key(&self, map: u32, key: &[u8]) -> String {
        super::value::plain(&self.key_json(map, key))
    }

    /// A key as a value.
    #[must_use]
    pub fn key_json(&self, map: u32, key: &[u8]) -> Value {
        let object = self.machine.object();
        let key_type = object.maps.get(map as usize).map(|map| map.definition.key_type);
        match (object.btf.as_deref(), key_type) {
            (Some(btf), Some(key_type)) if btf.size_of(key_type) == Some(key.len() as u32) => {
                super::value::Values { btf, pointer: &|address| json!(format!("{address:#x}")) }.read(key_type, key)
            }
            _ => key
                .first_chunk()
                .filter(|_| key.len() == 4)
                .map_or_else(|| super::value::hex(key), |bytes| json!(u32::from_le_bytes(*bytes))),
        }
    }

    /// A place inside a region: `array[0].pc`.
    #[must_use]
    pub fn field(&self, (region, offset): (RegionId, u32)) -> String {
        let object = self.machine.object();
        let type_id = match self.machine.memory().region(region).kind {
            RegionKind::MapValue { map, .. } => object.maps.get(map as usize).map(|map| map.definition.value_type),
            RegionKind::Object { type_id } | RegionKind::PerCpuCopy { type_id, .. } => Some(type_id),
            _ => None,
        };
        let path = type_id.zip(object.btf.as_deref()).and_then(|(id, btf)| match btf.ty(btf.resolve(id)) {
            Type::DataSection { variables, .. } => variables
                .iter()
                .find(|variable| (variable.offset..variable.offset.saturating_add(variable.size)).contains(&offset))
                .map(|variable| btf.ty(variable.type_id).name().to_owned()),
            _ => types::field_at(btf, id, offset),
        });
        match path {
            Some(path) => format!("{}.{path}", self.region(region)),
            None => format!("{} at offset {offset}", self.region(region)),
        }
    }

    /// Who holds a reference.
    #[must_use]
    pub fn holder(&self, holder: Holder) -> String {
        match holder {
            Holder::Task(task) => format!("the program on CPU {}", self.machine.cpu_of(task)),
            Holder::Field(field) => self.field(field),
            Holder::Graph { root, .. } => format!("the list or tree {}", self.field(root)),
            Holder::Lost => "nobody".to_owned(),
        }
    }

    /// What a pointer is shown as: the object that it points to, or its number.
    #[must_use]
    pub fn pointer(&self, address: u64) -> Value {
        match self.machine.memory().at(address) {
            Some(spot) if spot.offset == 0 => json!(format!("{address:#x} ({})", self.region(spot.region))),
            _ => json!(format!("{address:#x}")),
        }
    }
}
