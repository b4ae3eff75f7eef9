//! Types written as the bytes of a `.BTF` section: what [`Btf::parse`] reads, backwards.
//!
//! Format: `Documentation/bpf/btf.rst`, Linux 6.12.

use rustc_hash::FxHashMap;

use super::table::Btf;
use super::types::{Composite, IntEncoding, Linkage, Type, TypeId};

/// Bytes of the header.
const HEADER: u32 = 24;

/// A string section that grows: each string stands in it once.
#[derive(Clone, Debug)]
pub struct StringTable {
    bytes: Vec<u8>,
    offsets: FxHashMap<String, u32>,
}

impl Default for StringTable {
    fn default() -> Self {
        // Offset 0 is the empty string.
        StringTable { bytes: vec![0], offsets: FxHashMap::default() }
    }
}

impl StringTable {
    /// The offset of a string, which is added if it is new. What stands behind a zero byte is left out.
    pub fn offset(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or("");
        if text.is_empty() {
            return 0;
        }
        if let Some(&offset) = self.offsets.get(text) {
            return offset;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.offsets.insert(text.to_owned(), offset);
        offset
    }

    /// The section's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Btf {
    /// The bytes of the section, without strings other than the types' names.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_with(&mut StringTable::default())
    }

    /// The bytes of the section, with the strings of `strings` in it and the types' names added to them. What
    /// refers to strings, as `.BTF.ext` does, is written before and puts its own there.
    #[must_use]
    pub fn to_bytes_with(&self, strings: &mut StringTable) -> Vec<u8> {
        let mut types = Vec::new();
        for (_, ty) in self.iter().skip(1) {
            write_type(&mut types, strings, ty);
        }
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [HEADER, 0, types.len() as u32, types.len() as u32, strings.bytes.len() as u32] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.append(&mut types);
        bytes.extend_from_slice(&strings.bytes);
        bytes
    }
}

impl Btf {
    /// One type as the words that it is written as.
    #[must_use]
    pub fn type_words(&self, id: TypeId, strings: &mut StringTable) -> Vec<u32> {
        let mut bytes = Vec::new();
        write_type(&mut bytes, strings, self.ty(id));
        bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }
}

fn words(bytes: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

/// The second word of every type.
fn info(kind: u32, flag: bool, count: usize) -> u32 {
    kind << 24 | u32::from(flag) << 31 | count as u32 & 0xffff
}

fn linkage_number(linkage: Linkage) -> u32 {
    match linkage {
        Linkage::Static => 0,
        Linkage::Global => 1,
        Linkage::Extern => 2,
    }
}

fn write_type(bytes: &mut Vec<u8>, strings: &mut StringTable, ty: &Type) {
    let name = strings.offset(ty.name());
    match ty {
        Type::Void => {}
        Type::Int { size, bits, offset, encoding, .. } => {
            words(bytes, &[name, info(1, false, 0), *size, int_word(*encoding, *offset, *bits)]);
        }
        Type::Pointer { target } => words(bytes, &[name, info(2, false, 0), target.0]),
        Type::Array { element, index, count } => {
            words(bytes, &[name, info(3, false, 0), 0, element.0, index.0, *count]);
        }
        Type::Struct(composite) => write_composite(bytes, strings, name, 4, composite),
        Type::Union(composite) => write_composite(bytes, strings, name, 5, composite),
        Type::Enum { size, signed, is_64, values, .. } => {
            let kind = if *is_64 { 19 } else { 6 };
            words(bytes, &[name, info(kind, *signed, values.len()), *size]);
            for (name, value) in values {
                words(bytes, &[strings.offset(name), *value as u32]);
                if *is_64 {
                    words(bytes, &[(*value >> 32) as u32]);
                }
            }
        }
        Type::Forward { is_union, .. } => words(bytes, &[name, info(7, *is_union, 0), 0]),
        Type::Typedef { target, .. } => words(bytes, &[name, info(8, false, 0), target.0]),
        Type::Volatile { target } => words(bytes, &[name, info(9, false, 0), target.0]),
        Type::Const { target } => words(bytes, &[name, info(10, false, 0), target.0]),
        Type::Restrict { target } => words(bytes, &[name, info(11, false, 0), target.0]),
        Type::Function { prototype, linkage, .. } => {
            words(bytes, &[name, info(12, false, linkage_number(*linkage) as usize), prototype.0]);
        }
        Type::FunctionPrototype { returns, parameters } => {
            words(bytes, &[name, info(13, false, parameters.len()), returns.0]);
            for parameter in parameters {
                words(bytes, &[strings.offset(&parameter.name), parameter.type_id.0]);
            }
        }
        Type::Variable { type_id, linkage, .. } => {
            words(bytes, &[name, info(14, false, 0), type_id.0, linkage_number(*linkage)]);
        }
        Type::DataSection { size, variables, .. } => {
            words(bytes, &[name, info(15, false, variables.len()), *size]);
            for variable in variables {
                words(bytes, &[variable.type_id.0, variable.offset, variable.size]);
            }
        }
        Type::Float { size, .. } => words(bytes, &[name, info(16, false, 0), *size]),
        Type::DeclTag { target, component, .. } => {
            words(bytes, &[name, info(17, false, 0), target.0, component.unwrap_or(u32::MAX)]);
        }
        Type::TypeTag { target, .. } => words(bytes, &[name, info(18, false, 0), target.0]),
    }
}

fn int_word(encoding: IntEncoding, offset: u8, bits: u8) -> u32 {
    let IntEncoding { signed, char, bool } = encoding;
    let encoding = u32::from(signed) | u32::from(char) << 1 | u32::from(bool) << 2;
    encoding << 24 | u32::from(offset) << 16 | u32::from(bits)
}

fn write_composite(bytes: &mut Vec<u8>, strings: &mut StringTable, name: u32, kind: u32, composite: &Composite) {
    let bitfields = composite.members.iter().any(|member| member.bitfield_size != 0);
    words(bytes, &[name, info(kind, bitfields, composite.members.len()), composite.size]);
    for member in &composite.members {
        let place = if bitfields {
            u32::from(member.bitfield_size) << 24 | member.bit_offset & 0xff_ffff
        } else {
            member.bit_offset
        };
        words(bytes, &[strings.offset(&member.name), member.type_id.0, place]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Profile;

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let types = Profile::embedded().btf;
        let again = Btf::parse(&types.to_bytes()).expect("written BTF parses");
        assert!(types.len() > 1000);
        assert!(types.iter().eq(again.iter()));
    }
}
