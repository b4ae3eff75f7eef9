//! `.BTF.ext`: which function and which source line each instruction belongs to, and the CO-RE relocations.
//!
//! Format: `Documentation/bpf/btf.rst`, Linux 6.12. Offsets of instructions are turned into slots of their section. What a record says
//! is not looked at here: a loader hands records on, and the kernel refuses a program whose records it cannot take.

use std::sync::Arc;

use crate::btf::strings::{Interner, StringFault};
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

/// What stands for a slot, of a section or of a program.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) slot: u32,
    pub(super) what: T,
}

/// A line, without its texts if one of them lies outside of the string section.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// File and line.
    texts: Option<(Arc<str>, Arc<str>)>,
    line: u32,
    column: u32,
}

impl Line {
    /// Has it both texts?
    pub(super) fn has_texts(&self) -> bool {
        self.texts.is_some()
    }

    /// What to show for it at a slot.
    pub(super) fn shown(self, slot: u32) -> Option<LineInfo> {
        let (file, text) = self.texts?;
        Some(LineInfo { insn: slot as usize, file, text, line: self.line, column: self.column })
    }
}

/// A CO-RE relocation (`struct bpf_core_relo`).
#[derive(Clone, Debug)]
pub(super) struct CoreRecord {
    /// Byte offset in the section.
    pub(super) offset: u32,
    pub(super) type_id: TypeId,
    /// Access string such as `0:1:2`; `None` if it lies outside of the string section.
    pub(super) access: Option<Arc<str>>,
    /// `enum bpf_core_relo_kind` number.
    pub(super) kind: u32,
}

/// Everything in the section.
#[derive(Clone, Debug, Default)]
pub(super) struct Ext {
    pub(super) functions: Vec<SectionRecords<Placed<TypeId>>>,
    pub(super) lines: Vec<SectionRecords<Placed<Line>>>,
    pub(super) core: Vec<SectionRecords<CoreRecord>>,
}

fn broken(what: impl Into<String>) -> ObjectError {
    ObjectError::section(SECTION, what)
}

impl Ext {
    /// Reads the section; strings are those of `btf`. Faults are those for which libbpf takes none of it (`btf_ext__new`), but for
    /// what is unsupported.
    pub(super) fn parse(bytes: &[u8], btf: &Btf) -> Result<Self, ObjectError> {
        let word = |at: usize| read_word(bytes, at).ok_or_else(|| broken("the header is cut off"));
        if word(0)? != 0x0001_eb9f {
            return Err(broken("the magic number, version or flags are not those of .BTF.ext version 1"));
        }
        let header = word(4)? as usize;
        if header < 24 || header >= bytes.len() {
            return Err(broken(format!("header length {header} is impossible")));
        }
        let mut strings = Interner::new(btf.string_section());
        let part = |at: usize| -> Result<&[u8], ObjectError> {
            if header < at + 8 {
                return Ok(&[]);
            }
            let start = header.saturating_add(word(at)? as usize);
            if word(at + 4)? != 0 && word(at)? % 4 != 0 {
                return Err(broken(format!("the part that byte {at} names is not aligned to four bytes")));
            }
            bytes
                .get(start..start.saturating_add(word(at + 4)? as usize))
                .ok_or_else(|| broken(format!("the part that byte {at} names reaches past the end")))
        };
        let (functions, lines, core) = (part(8)?, part(16)?, part(24)?);
        Ok(Ext {
            functions: read_part(functions, 2, &mut strings, |[offset, id, _, _], _| {
                Ok(Placed { slot: slot(offset), what: TypeId(id) })
            })?,
            lines: read_part(lines, 4, &mut strings, |[offset, file, text, place], strings| {
                let texts = string(strings, file)?.zip(string(strings, text)?);
                Ok(Placed { slot: slot(offset), what: Line { texts, line: place >> 10, column: place & 0x3ff } })
            })?,
            core: read_part(core, 4, &mut strings, |[offset, id, access, kind], strings| {
                Ok(CoreRecord { offset, type_id: TypeId(id), access: string(strings, access)?, kind })
            })?,
        })
    }
}

fn read_word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn slot(offset: u32) -> u32 {
    offset / RawInsn::SIZE as u32
}

/// The string at that offset; `None` if there is none.
fn string(strings: &mut Interner<'_>, offset: u32) -> Result<Option<Arc<str>>, ObjectError> {
    match strings.get_lossy(offset) {
        Ok(text) => Ok(Some(text)),
        Err(fault @ StringFault::TooMuch) => {
            Err(ObjectError::unsupported(format!("section {SECTION}: {}", fault.describe())))
        }
        Err(_) => Ok(None),
    }
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
    if part.len() == 4 {
        return Err(broken("a part has no records"));
    }
    // The kernel wants zeros behind what it knows, and limits the size.
    if size > words * 4 {
        return Err(ObjectError::unsupported(format!("section {SECTION}: records of {size} bytes, not {}", words * 4)));
    }
    let mut at = 4;
    while at < part.len() {
        // What has no name, or that of no section, belongs to none.
        let name = string(strings, read_word(part, at).ok_or_else(cut)?)?.unwrap_or_default();
        let count = read_word(part, at + 4).ok_or_else(cut)? as usize;
        if count == 0 {
            return Err(broken("a section has no records"));
        }
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
