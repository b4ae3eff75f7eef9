//! Values for `.kconfig` externs: from a kernel's configuration file, and the `LINUX_*` ones that a loader makes up.
//!
//! Follows `find_kcfg_type`, `set_kcfg_value_*` and `bpf_object__resolve_externs` (`tools/lib/bpf/libbpf.c`, 6.12).

use rustc_hash::FxHashMap;

use crate::btf::{Btf, Type, TypeId};

use super::error::ObjectError;
use super::load::LoadOptions;

/// What a variable can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfigKind {
    /// One byte, a character or a small number.
    Char,
    /// `bool`.
    Bool,
    /// A number of 2, 4 or 8 bytes.
    Number { signed: bool },
    /// `enum libbpf_tristate`: no, yes, module.
    Tristate,
    /// An array of characters.
    Text,
}

impl ConfigKind {
    /// The kind for a type; `None` if no value can be given to it.
    pub(super) fn of(btf: &Btf, type_id: TypeId, depth: u32) -> Option<Self> {
        match btf.ty(btf.resolve(type_id)) {
            Type::Int { size, encoding, .. } if encoding.bool => (*size == 1).then_some(ConfigKind::Bool),
            Type::Int { size: 1, .. } => Some(ConfigKind::Char),
            Type::Int { size: 2 | 4 | 8, encoding, .. } => Some(ConfigKind::Number { signed: encoding.signed }),
            Type::Enum { name, size, is_64, .. } => {
                (&**name == "libbpf_tristate" && (*is_64 || *size == 4)).then_some(ConfigKind::Tristate)
            }
            Type::Array { element, count, .. } if *count > 0 && depth == 0 => {
                (Self::of(btf, *element, 1)? == ConfigKind::Char).then_some(ConfigKind::Text)
            }
            _ => None,
        }
    }
}

/// One `.kconfig` extern.
#[derive(Clone, Debug)]
pub(super) struct ConfigVariable {
    pub(super) name: String,
    pub(super) kind: ConfigKind,
    pub(super) size: u32,
    pub(super) alignment: u32,
    /// Byte offset in the section.
    pub(super) offset: u32,
    pub(super) weak: bool,
    /// The variable in the object's BTF.
    pub(super) declaration: TypeId,
}

impl ConfigVariable {
    fn bad(&self, value: &str) -> ObjectError {
        ObjectError::external(&self.name, format!("the value {value} does not fit its type"))
    }

    /// The bytes of a value as it stands in a configuration file.
    fn encode(&self, value: &str) -> Result<Vec<u8>, ObjectError> {
        if let Some(text) = value.strip_prefix('"') {
            let text = text.strip_suffix('"').ok_or_else(|| self.bad(value))?;
            return self.encode_text(text).ok_or_else(|| self.bad(value));
        }
        match value.chars().next() {
            Some(letter @ ('y' | 'n' | 'm')) => self.encode_letter(letter).ok_or_else(|| self.bad(value)),
            _ if matches!(self.kind, ConfigKind::Char | ConfigKind::Number { .. }) => {
                let number = parse_number(value).ok_or_else(|| self.bad(value))?;
                self.encode_number(number).ok_or_else(|| self.bad(value))
            }
            _ => Err(self.bad(value)),
        }
    }

    fn encode_letter(&self, letter: char) -> Option<Vec<u8>> {
        match self.kind {
            ConfigKind::Bool if letter != 'm' => Some(vec![u8::from(letter == 'y')]),
            ConfigKind::Char => Some(vec![letter as u8]),
            ConfigKind::Tristate => {
                let mut bytes = vec![0; self.size as usize];
                *bytes.first_mut()? = match letter {
                    'y' => 1,
                    'm' => 2,
                    _ => 0,
                };
                Some(bytes)
            }
            _ => None,
        }
    }

    fn encode_text(&self, text: &str) -> Option<Vec<u8>> {
        if self.kind != ConfigKind::Text {
            return None;
        }
        let kept = text.len().min(self.size as usize - 1);
        let mut bytes = text.as_bytes().get(..kept)?.to_vec();
        bytes.resize(self.size as usize, 0);
        Some(bytes)
    }

    fn encode_number(&self, value: u64) -> Option<Vec<u8>> {
        let fits = match (self.kind, self.size) {
            (ConfigKind::Bool, _) => value <= 1,
            (_, 8) => true,
            (ConfigKind::Number { signed: true }, size) => {
                let bits = size * 8;
                value.wrapping_add(1 << (bits - 1)) < 1 << bits
            }
            (ConfigKind::Number { .. } | ConfigKind::Char, size) => value >> (size * 8) == 0,
            (ConfigKind::Tristate | ConfigKind::Text, _) => false,
        };
        fits.then(|| value.to_le_bytes().get(..self.size as usize).map(<[u8]>::to_vec))?
    }
}

/// A number as `strtoull` with base 0 reads it.
fn parse_number(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// The contents of the `.kconfig` section, and the variables whose value is not known.
pub(super) struct ConfigValues {
    pub(super) bytes: Vec<u8>,
    /// Indexes of variables that need a configuration file which was not given.
    pub(super) unknown: Vec<usize>,
}

/// Gives every variable its value.
pub(super) fn fill(variables: &[ConfigVariable], options: &LoadOptions<'_>) -> Result<ConfigValues, ObjectError> {
    let size = variables.last().map_or(0, |last| last.offset.saturating_add(last.size));
    let mut values = ConfigValues { bytes: vec![0; size as usize], unknown: Vec::new() };
    let settings = options.kernel_config.map(read_settings);
    for (index, variable) in variables.iter().enumerate() {
        let bytes = if variable.name.starts_with("CONFIG_") {
            match &settings {
                None => {
                    values.unknown.push(index);
                    continue;
                }
                Some(settings) => {
                    settings.get(variable.name.as_str()).map(|value| variable.encode(value)).transpose()?
                }
            }
        } else {
            virtual_value(variable, options)?
        };
        match bytes {
            Some(bytes) => {
                let start = variable.offset as usize;
                if let Some(place) = values.bytes.get_mut(start..start + bytes.len()) {
                    place.copy_from_slice(&bytes);
                }
            }
            None if variable.weak => {}
            None => return Err(ObjectError::external(&variable.name, "the kernel's configuration does not set it")),
        }
    }
    Ok(values)
}

fn virtual_value(variable: &ConfigVariable, options: &LoadOptions<'_>) -> Result<Option<Vec<u8>>, ObjectError> {
    let value = match variable.name.as_str() {
        "LINUX_KERNEL_VERSION" => {
            let (major, minor, patch) = options.kernel_version;
            (u64::from(major) << 16) + (u64::from(minor) << 8) + u64::from(patch.min(255))
        }
        // Kernels since 5.15, and every x86-64 one since 4.17.
        "LINUX_HAS_BPF_COOKIE" | "LINUX_HAS_SYSCALL_WRAPPER" => 1,
        name if name.starts_with("LINUX_") && variable.weak => 0,
        name => return Err(ObjectError::external(name, "neither a CONFIG_ variable nor one that libbpf makes up")),
    };
    variable.encode_number(value).map(Some).ok_or_else(|| variable.bad(&value.to_string()))
}

/// The `CONFIG_X=value` lines; the first of several counts.
fn read_settings(text: &str) -> FxHashMap<&str, &str> {
    let mut settings = FxHashMap::default();
    for line in text.lines().filter(|line| line.starts_with("CONFIG_")) {
        if let Some((name, value)) = line.split_once('=') {
            settings.entry(name).or_insert(value);
        }
    }
    settings
}
