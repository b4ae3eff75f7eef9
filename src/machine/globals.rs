//! Setting global variables before a run: `nr_cpus=4`, `config.limits[2]=-1`.

use std::sync::Arc;

use thiserror::Error;

use crate::btf::{Btf, Type, TypeId};

use super::stepper::Machine;
use super::types;

/// Why a global variable cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetError {
    /// No `=` in it.
    #[error("`{0}` sets nothing: write NAME=VALUE")]
    NoValue(String),
    /// The object has no types, so that variables have no places.
    #[error("the object has no BTF, so that `{0}` cannot be found")]
    NoTypes(String),
    /// No variable of that name.
    #[error("the object has no global variable `{name}`; it has {available}")]
    NoVariable {
        /// The name asked for.
        name: String,
        /// Those that there are.
        available: String,
    },
    /// The path behind the variable's name leads nowhere.
    #[error("`{path}`: {why}")]
    BadPath {
        /// The whole path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The value is no number, or too large.
    #[error("`{value}` does not fit `{path}`: {why}")]
    BadValue {
        /// The whole path.
        path: String,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Where a variable is.
struct Variable {
    map: u32,
    offset: u32,
    type_id: TypeId,
}

impl Machine {
    /// Writes bytes into a section of globals, or another array of one value, from an offset on. What is past its end is left out.
    pub fn write_global(&mut self, map: u32, offset: u32, bytes: &[u8]) {
        if let Some(region) = self.first_value(map) {
            self.memory.poke(region, offset, bytes);
        }
    }

    /// Sets a global variable, or a part of one: `assignment` is `NAME=VALUE`, where the name may go on with `.field`
    /// and `[index]`. Values are decimal, `0x` hexadecimal, negative, `true` or `false`, or an enumerator's name.
    /// Read-only variables can be set too, as a loader does before it loads the programs.
    ///
    /// # Errors
    /// [`SetError`] says which part is wrong.
    pub fn set_global(&mut self, assignment: &str) -> Result<(), SetError> {
        let (path, value) = assignment.split_once('=').ok_or_else(|| SetError::NoValue(assignment.to_owned()))?;
        let (path, value) = (path.trim(), value.trim());
        let object = Arc::clone(&self.object);
        let btf = object.btf.as_deref().ok_or_else(|| SetError::NoTypes(path.to_owned()))?;
        let name_end = path.find(['.', '[']).unwrap_or(path.len());
        let variable = self.find_variable(btf, &path[..name_end])?;
        let (offset, type_id) = walk(btf, &variable, path, &path[name_end..])?;
        let bytes = encode(btf, type_id, path, value)?;
        if let Some(region) = self.first_value(variable.map) {
            self.memory.poke(region, offset, &bytes);
        }
        Ok(())
    }

    fn find_variable(&self, btf: &Btf, name: &str) -> Result<Variable, SetError> {
        let mut names = Vec::new();
        for (map, globals) in self.object.maps.iter().enumerate().filter_map(|(i, m)| Some((i, m.globals.as_ref()?))) {
            let Type::DataSection { variables, .. } = btf.ty(globals.type_id) else { continue };
            for entry in variables {
                let Type::Variable { name: found, type_id, .. } = btf.ty(entry.type_id) else { continue };
                if &**found == name {
                    return Ok(Variable { map: map as u32, offset: entry.offset, type_id: *type_id });
                }
                names.push(found.to_string());
            }
        }
        let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(SetError::NoVariable { name: name.to_owned(), available })
    }
}

/// Follows `.field` and `[index]`.
fn walk(btf: &Btf, variable: &Variable, path: &str, mut rest: &str) -> Result<(u32, TypeId), SetError> {
    let bad = |why: String| SetError::BadPath { path: path.to_owned(), why };
    let (mut offset, mut type_id) = (variable.offset, variable.type_id);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let field = &after[..end];
            let (at, inner) =
                types::member(btf, type_id, field).ok_or_else(|| bad(format!("there is no field `{field}`")))?;
            offset = offset.saturating_add(at);
            (type_id, rest) = (inner, &after[end..]);
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or_else(|| bad("`]` is missing".to_owned()))?;
            let Type::Array { element, count, .. } = *btf.ty(btf.resolve(type_id)) else {
                return Err(bad("this is no array".to_owned()));
            };
            let index: u32 = index.trim().parse().map_err(|_| bad(format!("`{index}` is no index")))?;
            if index >= count {
                return Err(bad(format!("index {index} is past the array's {count} elements")));
            }
            offset = offset.saturating_add(index.saturating_mul(btf.size_of(element).unwrap_or(0)));
            (type_id, rest) = (element, after);
        } else {
            return Err(bad(format!("`{rest}` is neither `.field` nor `[index]`")));
        }
    }
    Ok((offset, type_id))
}

/// The bytes of a value.
fn encode(btf: &Btf, type_id: TypeId, path: &str, value: &str) -> Result<Vec<u8>, SetError> {
    let bad = |why: &str| SetError::BadValue { path: path.to_owned(), value: value.to_owned(), why: why.to_owned() };
    let (size, signed) = match btf.ty(btf.resolve(type_id)) {
        Type::Int { size, encoding, .. } => (*size, encoding.signed),
        Type::Enum { size, signed, .. } => (*size, *signed),
        Type::Pointer { .. } => (8, false),
        _ => return Err(bad("only numbers can be set; name a field of it")),
    };
    let named = match btf.ty(btf.resolve(type_id)) {
        Type::Enum { values, .. } => values.iter().find(|(name, _)| &**name == value).map(|&(_, v)| i128::from(v)),
        _ => None,
    };
    let number = named.or_else(|| number(value)).ok_or_else(|| bad("it is no number"))?;
    let bits = size.saturating_mul(8).clamp(1, 64);
    // A number fits if either reading of the bits has it: -1 and 0xffffffff are both common for masks.
    let fits = number < (1i128 << bits)
        && number >= -(1i128 << (bits - 1))
        && (number >= 0 || signed || size > 1 || number >= -128);
    if !fits {
        return Err(bad(&format!("it needs more than {bits} bits")));
    }
    Ok((number as i64 as u64)
        .to_le_bytes()
        .iter()
        .copied()
        .chain(std::iter::repeat(0))
        .take(size.min(16) as usize)
        .collect())
}

fn number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let magnitude = match digits {
        "true" => 1,
        "false" => 0,
        _ => match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => i128::from(u64::from_str_radix(hex, 16).ok()?),
            None => i128::from(digits.parse::<u64>().ok()?),
        },
    };
    Some(if negative { -magnitude } else { magnitude })
}
