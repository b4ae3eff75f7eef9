//! What expressions can name in an object: its globals and its maps, with what lies in them.
//!
//! Start at [`Names::of`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map as CelMap};

use super::layout::Layout;
use super::observation::{MapContents, MapEntry};
use crate::btf::{Btf, Type};
use crate::object::{Map, Object};

/// A global variable.
#[derive(Clone, Debug)]
pub struct Global {
    /// Index of its section's map in [`Object::maps`].
    pub map: usize,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Its bytes.
    pub size: u32,
    /// What it is.
    pub layout: Layout,
    /// Can programs not write to it?
    pub read_only: bool,
}

/// How the entries of a map are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// By index: `maps.slots[0]`.
    Array,
    /// By a number: `maps.counts[7]`.
    Number(Layout),
    /// By text: `maps.names["eth0"]`; keys that are neither number nor text are written as hexadecimal digits.
    Text(Option<Layout>),
    /// Local storage: entries as a list, whoever owns them.
    Owner,
}

/// A map of `.maps`.
#[derive(Clone, Debug)]
pub struct NamedMap {
    /// Index in [`Object::maps`].
    pub map: usize,
    /// How its entries are found.
    pub access: Access,
    /// Is an entry a list with a value for each CPU?
    pub per_cpu: bool,
    /// What a value is.
    pub value: Layout,
}

/// All that expressions can name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Globals by name.
    pub globals: BTreeMap<String, Global>,
    /// Maps by name; those whose entries cannot be read are not among them.
    pub maps: BTreeMap<String, NamedMap>,
}

impl Names {
    /// The names that an object has.
    #[must_use]
    pub fn of(object: &Object) -> Names {
        let mut names = Names::default();
        let Some(btf) = object.btf.as_deref() else { return names };
        for (index, map) in object.maps.iter().enumerate() {
            match &map.globals {
                Some(section) => add_globals(&mut names, btf, index, section.type_id, section.read_only),
                None => drop(named_map(btf, index, map).map(|named| names.maps.insert(map.name.clone(), named))),
            }
        }
        names
    }

    /// The map in which a name is, for a list of those that have to be read.
    #[must_use]
    pub fn map_of_global(&self, name: &str) -> Option<usize> {
        self.globals.get(name).map(|global| global.map)
    }
}

fn add_globals(names: &mut Names, btf: &Btf, map: usize, section: crate::btf::TypeId, read_only: bool) {
    let Type::DataSection { variables, .. } = btf.ty(section) else { return };
    for variable in variables {
        let name = btf.ty(variable.type_id).name().to_owned();
        let layout = Layout::of(btf, variable.type_id);
        let global = Global { map, offset: variable.offset, size: variable.size, layout, read_only };
        names.globals.entry(name).or_insert(global);
    }
}

fn named_map(btf: &Btf, index: usize, map: &Map) -> Option<NamedMap> {
    // HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU_HASH, LRU_PERCPU_HASH; storage of sockets, inodes, tasks and cgroups.
    let (by_key, per_cpu) = match map.definition.map_type {
        1 | 9 => (true, false),
        5 | 10 => (true, true),
        2 => (false, false),
        6 => (false, true),
        24 | 28 | 29 | 32 => {
            let value = Layout::of(btf, map.definition.value_type);
            return Some(NamedMap { map: index, access: Access::Owner, per_cpu: false, value });
        }
        _ => return None,
    };
    let access = if by_key {
        match Layout::of(btf, map.definition.key_type) {
            number @ Layout::Number { .. } => Access::Number(number),
            text @ Layout::Text { .. } => Access::Text(Some(text)),
            _ => Access::Text(None),
        }
    } else {
        Access::Array
    };
    Some(NamedMap { map: index, access, per_cpu, value: Layout::of(btf, map.definition.value_type) })
}

impl Global {
    /// Its value in its section's bytes.
    #[must_use]
    pub fn value(&self, contents: &MapContents, kernel_pointers: bool) -> Option<Value> {
        let bytes = contents.entries.first()?.values.first()?;
        let start = self.offset as usize;
        self.layout.decode(bytes.get(start..start.checked_add(self.size as usize)?)?, kernel_pointers)
    }
}

impl NamedMap {
    /// The map as a value: a list for arrays and local storage, a map by key otherwise.
    #[must_use]
    pub fn value(&self, contents: &MapContents, kernel_pointers: bool) -> Value {
        let entries = contents.entries.iter();
        let one = |entry: &MapEntry| self.entry(entry, kernel_pointers);
        match &self.access {
            Access::Array | Access::Owner => Value::List(Arc::new(entries.filter_map(one).collect())),
            by_key => {
                let pair = |entry: &MapEntry| Some((by_key.key(&entry.key)?, one(entry)?));
                let map: HashMap<Key, Value> = entries.filter_map(pair).collect();
                Value::Map(CelMap { map: Arc::new(map) })
            }
        }
    }

    fn entry(&self, entry: &MapEntry, kernel_pointers: bool) -> Option<Value> {
        let mut copies = entry.values.iter().map(|bytes| self.value.decode(bytes, kernel_pointers));
        if self.per_cpu {
            return copies.collect::<Option<Vec<_>>>().map(|list| Value::List(Arc::new(list)));
        }
        copies.next().flatten()
    }
}

impl Access {
    fn key(&self, bytes: &[u8]) -> Option<Key> {
        let hexadecimal = || Key::String(Arc::new(super::words::hex(bytes)));
        match self {
            Access::Number(layout) => match layout.decode(bytes, false)? {
                Value::Int(number) => Some(Key::Int(number)),
                Value::UInt(number) => Some(Key::Uint(number)),
                _ => None,
            },
            Access::Text(Some(layout)) => match layout.decode(bytes, false)? {
                Value::String(text) => Some(Key::String(text)),
                _ => None,
            },
            _ => Some(hexadecimal()),
        }
    }
}
