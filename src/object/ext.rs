//! `.BTF.ext`: which function and which source line each instruction belongs to, and the CO-RE relocations.
//!
//! Format: `Documentation/bpf/btf.rst`, Linux 6.12. Offsets of instructions are turned into slots of their section.

use std::sync::Arc;

use crate::btf::strings::Interner;
use crate::btf::{Btf, TypeId};
use crate::isa::RawInsn;

use super::error::ObjectError;
use super::model::LineInfo;

const SECTION: &str = ".BTF.ext";

/// The records of one kind for one section, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct SectionRecords<T> {
    pub(super) section: Arc<str>,
    pub(super) records: Vec<T>,
}

/// Where a function starts, and its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct FunctionRecord {
    pub(super) slot: usize,
    pub(super) type_id: TypeId,
}

/// A CO-RE relocation (`struct bpf_core_relo`).
#[derive(Clone, Debug)]
pub(super) struct CoreRecord {
    /// Byte offset in the section.
    pub(super) offset: u32,
    pub(super) type_id: TypeId,
    /// Access string such as `0:1:2`.
    pub(super) access: Arc<str>,
    /// `enum bpf_core_relo_kind` number.
    pub(super) kind: u32,
}

/// Everything in the section.
#[derive(Clone, Debug, Default)]
pub(super) struct Ext {
    pub(super) functions: Vec<SectionRecords<FunctionRecord>>,
    pub(super) lines: Vec<SectionRecords<LineInfo>>,
    pub(super) core: Vec<SectionRecords<CoreRecord>>,
}

fn broken(what: impl Into<String>) -> ObjectError {
    ObjectError::section(SECTION, what)
}

impl Ext {
    /// Reads the section; strings are those of `btf`.
    pub(super) fn parse(bytes: &[u8], btf: &Btf) -> Result<Self, ObjectError> {
        let word = |at: usize| read_word(bytes, at).ok_or_else(|| broken("the header is cut off"));
        if word(0)? != 0x0001_eb9f {
            return Err(broken("the magic number, version or flags are not those of .BTF.ext version 1"));
        }
        let header = word(4)? as usize;
        if header < 24 || header > bytes.len() {
            return Err(broken(format!("header length {header} is impossible")));
        }
        let mut strings = Interner::new(btf.string_section());
        let part = |at: usize| -> Result<&[u8], ObjectError> {
            if header < at + 8 {
                return Ok(&[]);
            }
            let start = header.saturating_add(word(at)? as usize);
            bytes
                .get(start..start.saturating_add(word(at + 4)? as usize))
                .ok_or_else(|| broken(format!("the part that byte {at} names reaches past the end")))
        };
        let (functions, lines, core) = (part(8)?, part(16)?, part(24)?);
        Ok(Ext {
            functions: read_part(functions, 2, &mut strings, |[offset, id, _, _], _| {
                let type_id = TypeId(id);
                if !matches!(btf.ty(type_id), crate::btf::Type::Function { .. }) {
                    return Err(broken(format!("type {type_id} of a function record is not a function")));
                }
                Ok(FunctionRecord { slot: offset as usize / RawInsn::SIZE, type_id })
            })?,
            lines: read_part(lines, 4, &mut strings, |[offset, file, text, place], strings| {
                Ok(LineInfo {
                    insn: offset as usize / RawInsn::SIZE,
                    file: string(strings, file)?,
                    text: string(strings, text)?,
                    line: place >> 10,
                    column: place & 0x3ff,
                })
            })?,
            core: read_part(core, 4, &mut strings, |[offset, id, access, kind], strings| {
                let type_id = TypeId(id);
                if btf.get(type_id).is_none() {
                    return Err(broken(format!("type {type_id} of a CO-RE relocation does not exist")));
                }
                Ok(CoreRecord { offset, type_id, access: string(strings, access)?, kind })
            })?,
        })
    }
}

fn read_word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn string(strings: &mut Interner<'_>, offset: u32) -> Result<Arc<str>, ObjectError> {
    strings.get_lossy(offset).map_err(|fault| broken(fault.describe()))
}

/// Reads one part: the size of a record, then for each section its name, a count, and the records, of which the first
/// `words` words (at most four) are known.
fn read_part<T>(
    part: &[u8],
    words: usize,
    strings: &mut Interner<'_>,
    mut record: impl FnMut([u32; 4], &mut Interner<'_>) -> Result<T, ObjectError>,
) -> Result<Vec<SectionRecords<T>>, ObjectError> {
    let mut sections = Vec::new();
    if part.is_empty() {
        return Ok(sections);
    }
    let cut = || broken("records are cut off");
    let size = read_word(part, 0).ok_or_else(cut)? as usize;
    if size < words * 4 || !size.is_multiple_of(4) {
        return Err(broken(format!("record size {size} is impossible")));
    }
    let mut at = 4;
    while at < part.len() {
        let name = string(strings, read_word(part, at).ok_or_else(cut)?)?;
        let count = read_word(part, at + 4).ok_or_else(cut)? as usize;
        at += 8;
        let bytes = count.checked_mul(size).and_then(|length| part.get(at..at.checked_add(length)?)).ok_or_else(cut)?;
        let mut records = Vec::with_capacity(count);
        for chunk in bytes.chunks_exact(size) {
            let mut fields = [0; 4];
            for (index, field) in fields.iter_mut().enumerate().take(words) {
                *field = read_word(chunk, index * 4).ok_or_else(cut)?;
            }
            records.push(record(fields, strings)?);
        }
        at += bytes.len();
        sections.push(SectionRecords { section: name, records });
    }
    Ok(sections)
}
