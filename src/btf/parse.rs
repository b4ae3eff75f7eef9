//! Reading BTF bytes.
//!
//! The parser is our own although crates for it exist: `btfparse` exposes no string section, which `.BTF.ext` refers
//! to, keeps several copies of every name, and finds only the last of several types of one name, while relocation
//! needs them all; `btf-rs` is LGPL. The format is `include/uapi/linux/btf.h` and
//! `Documentation/bpf/btf.rst`, Linux 6.12; header checks are those of libbpf's `btf_parse_hdr`.
//! Split BTF (of modules) is not read.

use super::outline::Outline;
use super::strings::{Checked, Interner, StringFault, Strings};
use super::table::{Btf, BtfBuilder, BtfError, Unread};
use super::types::{Composite, IntEncoding, Linkage, Member, Name, Parameter, SectionVariable, Type, TypeId};

const MAGIC: u16 = 0xeb9f;
const HEADER_SIZE: usize = 24;
/// `BTF_INFO_MASK`: bits of the second word that mean something.
pub(super) const INFO_MASK: u32 = 0x9f00_ffff;
/// Bits of an integer's word that the kernel knows.
pub(super) const INT_MASK: u32 = 0x07ff_ffff;
/// `BTF_MAX_TYPE`: ids fit 20 bits.
pub(super) const MAX_TYPES: usize = 0xf_ffff;

impl Btf {
    /// Reads a `.BTF` section, or the kernel's `/sys/kernel/btf/vmlinux`. If all is in order, each type is read only
    /// when it is first asked for.
    ///
    /// # Errors
    /// [`BtfError::Malformed`] with the byte at which the data is broken, [`BtfError::Unsupported`] for what others take, and those of
    /// [`BtfBuilder::finish`].
    pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
        let sections = Sections::split(bytes)?;
        match Outline::of(&sections) {
            Some(outline) => Ok(Btf::of_unread(Unread::new(sections.types, outline), sections.strings.to_vec())),
            None => read_all(&sections),
        }
    }
}

/// Reads all types at once.
pub(super) fn read_all(sections: &Sections<'_>) -> Result<Btf, BtfError> {
    let mut builder = BtfBuilder::new();
    let mut reader = Reader {
        bytes: sections.types,
        at: 0,
        base: sections.types_at,
        names: Interner::new(sections.strings),
        id: builder.next_id(),
        sets_reserved: false,
    };
    while reader.at < reader.bytes.len() {
        reader.id = builder.next_id();
        if reader.id.index() > MAX_TYPES {
            return Err(reader.broken("more types than an id can name"));
        }
        let ty = reader.read_type()?;
        if std::mem::take(&mut reader.sets_reserved) {
            builder.note_reserved_bits();
        }
        builder.push(ty);
    }
    builder.set_strings(sections.strings.to_vec());
    builder.finish()
}

/// Reads one type that starts at a byte of the type section. Its outline has shown that nothing is wrong with it.
pub(super) fn read_one(types: &[u8], at: usize, strings: &[u8]) -> Option<Type> {
    let names = Checked(strings);
    Reader { bytes: types, at, base: 0, names, id: TypeId::VOID, sets_reserved: false }.read_type().ok()
}

fn malformed(offset: usize, what: impl Into<String>) -> BtfError {
    BtfError::Malformed { offset, what: what.into() }
}

fn unsupported(offset: usize, what: impl Into<String>) -> BtfError {
    BtfError::Unsupported { what: format!("byte {offset} of the types: {}", what.into()) }
}

/// The two parts of BTF.
pub(super) struct Sections<'data> {
    pub(super) types: &'data [u8],
    /// Where the types start in the whole.
    types_at: usize,
    pub(super) strings: &'data [u8],
}

impl<'data> Sections<'data> {
    pub(super) fn split(bytes: &'data [u8]) -> Result<Self, BtfError> {
        let header =
            bytes.first_chunk::<HEADER_SIZE>().ok_or_else(|| malformed(bytes.len(), "the header is cut off"))?;
        let word = |at: usize| {
            let bytes = header.get(at..at + 4).and_then(|bytes| bytes.first_chunk()).copied();
            u32::from_le_bytes(bytes.unwrap_or_default()) as usize
        };
        match u16::from_le_bytes([header[0], header[1]]) {
            MAGIC => {}
            magic if magic.swap_bytes() == MAGIC => return Err(malformed(0, "the byte order is big-endian")),
            magic => return Err(malformed(0, format!("the magic number is {magic:#06x}, not {MAGIC:#06x}"))),
        }
        if header[2] != 1 {
            return Err(unsupported(2, format!("version {}", header[2])));
        }
        if header[3] != 0 {
            return Err(unsupported(3, format!("flags {:#x}", header[3])));
        }
        let header_length = word(4);
        if header_length > bytes.len() {
            return Err(malformed(4, format!("header length {header_length} is impossible")));
        }
        if header_length < HEADER_SIZE {
            return Err(unsupported(4, format!("a header of {header_length} bytes")));
        }
        if bytes[HEADER_SIZE..header_length].iter().any(|&byte| byte != 0) {
            return Err(unsupported(HEADER_SIZE, "a header with fields from a later version"));
        }
        let (types_offset, types_length, strings_offset, strings_length) = (word(8), word(12), word(16), word(20));
        if !types_offset.is_multiple_of(4) {
            return Err(malformed(8, "the type section is not aligned to four bytes"));
        }
        let section = |offset: usize, length: usize, what: &str, at: usize| {
            let start = header_length.saturating_add(offset);
            bytes
                .get(start..start.saturating_add(length))
                .ok_or_else(|| malformed(at, format!("the {what} section reaches past the end")))
        };
        let types = section(types_offset, types_length, "type", 8)?;
        let strings = section(strings_offset, strings_length, "string", 16)?;
        if types_offset.saturating_add(types_length) > strings_offset {
            return Err(malformed(16, "the string section starts inside the type section"));
        }
        match (strings.first(), strings.last()) {
            (Some(0), Some(0)) => {}
            _ => return Err(malformed(header_length + strings_offset, "the string section has no zero at both ends")),
        }
        Ok(Sections { types, types_at: header_length + types_offset, strings })
    }
}

/// The first twelve bytes of every type.
struct Head {
    name: Name,
    kind: u8,
    flag: bool,
    count: usize,
    /// A size or a type id, as the kind says.
    word: u32,
}

/// Is anything set that types of that kind do not have (`check_meta` of each kind)?
pub(super) fn sets_reserved(kind: u8, flag: bool, count: usize, named: bool, word: u32) -> bool {
    // Sets of kinds, by their bit: a kernel has 100,000 types to ask this of.
    const WITH_FLAG: u32 = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 19;
    const WITH_COUNT: u32 = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 19;
    const WITHOUT_NAME: u32 = 1 << 2 | 1 << 3 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 13;
    const WITHOUT_WORD: u32 = 1 << 3 | 1 << 7;
    let kind = 1u32 << (kind & 31);
    (flag && kind & WITH_FLAG == 0)
        || (count != 0 && kind & WITH_COUNT == 0)
        || (named && kind & WITHOUT_NAME != 0)
        || (word != 0 && kind & WITHOUT_WORD != 0)
}

struct Reader<'data, S> {
    bytes: &'data [u8],
    at: usize,
    base: usize,
    names: S,
    /// The type that is being read.
    id: TypeId,
    /// Has it bits, a name or a size where its kind has none?
    sets_reserved: bool,
}

impl<S: Strings> Reader<'_, S> {
    fn broken(&self, what: impl Into<String>) -> BtfError {
        malformed(self.base + self.at, what)
    }

    fn word(&mut self) -> Result<u32, BtfError> {
        let word = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .ok_or_else(|| self.broken(format!("type {} is cut off", self.id)))?;
        self.at += 4;
        Ok(u32::from_le_bytes(*word))
    }

    fn id(&mut self) -> Result<TypeId, BtfError> {
        self.word().map(TypeId)
    }

    fn name(&mut self) -> Result<Name, BtfError> {
        let at = self.at;
        let offset = self.word()?;
        self.names.get(offset).map_err(|fault: StringFault| match fault {
            // The kernel takes letters of Latin-1 in names.
            StringFault::NotText | StringFault::TooMuch => unsupported(self.base + at, fault.describe()),
            _ => malformed(self.base + at, fault.describe()),
        })
    }

    fn read_type(&mut self) -> Result<Type, BtfError> {
        let name = self.name()?;
        let info = self.word()?;
        let word = self.word()?;
        let head = Head {
            name,
            kind: (info >> 24) as u8 & 0x1f,
            flag: info >> 31 != 0,
            count: (info & 0xffff) as usize,
            word,
        };
        self.check_room(&head)?;
        if info & !INFO_MASK != 0 || sets_reserved(head.kind, head.flag, head.count, !head.name.is_empty(), head.word) {
            self.sets_reserved = true;
        }
        self.read_body(head)
    }

    /// Refuses a count that the remaining bytes cannot hold before anything is allocated for it.
    fn check_room(&self, head: &Head) -> Result<(), BtfError> {
        let each = match head.kind {
            4 | 5 | 15 | 19 => 12,
            6 | 13 => 8,
            _ => 0,
        };
        if head.count * each > self.bytes.len() - self.at {
            return Err(self.broken(format!("type {} is cut off", self.id)));
        }
        Ok(())
    }

    fn read_body(&mut self, head: Head) -> Result<Type, BtfError> {
        let Head { name, kind, flag, count, word } = head;
        let target = TypeId(word);
        Ok(match kind {
            1 => self.read_int(name, word)?,
            2 => Type::Pointer { target },
            3 => Type::Array { element: self.id()?, index: self.id()?, count: self.word()? },
            4 => Type::Struct(self.read_composite(name, word, flag, count)?),
            5 => Type::Union(self.read_composite(name, word, flag, count)?),
            6 => self.read_enum(name, word, flag, count)?,
            7 => Type::Forward { name, is_union: flag },
            8 => Type::Typedef { name, target },
            9 => Type::Volatile { target },
            10 => Type::Const { target },
            11 => Type::Restrict { target },
            12 => Type::Function { name, prototype: target, linkage: self.linkage(count as u32)? },
            13 => Type::FunctionPrototype { returns: target, parameters: self.read_parameters(count)? },
            14 => {
                let linkage = self.word()?;
                Type::Variable { name, type_id: target, linkage: self.linkage(linkage)? }
            }
            15 => Type::DataSection { name, size: word, variables: self.read_variables(count)? },
            16 => Type::Float { name, size: word },
            17 => {
                let component = self.word()?;
                Type::DeclTag { name, target, component: (component != u32::MAX).then_some(component) }
            }
            18 => Type::TypeTag { name, target },
            19 => self.read_enum64(name, word, flag, count)?,
            _ => return Err(self.broken(format!("type {} has unknown kind {kind}", self.id))),
        })
    }

    fn read_int(&mut self, name: Name, size: u32) -> Result<Type, BtfError> {
        let word = self.word()?;
        if word & !INT_MASK != 0 {
            self.sets_reserved = true;
        }
        let encoding = (word >> 24) & 0x0f;
        Ok(Type::Int {
            name,
            size,
            bits: word as u8,
            offset: (word >> 16) as u8,
            encoding: IntEncoding { signed: encoding & 1 != 0, char: encoding & 2 != 0, bool: encoding & 4 != 0 },
        })
    }

    fn read_composite(&mut self, name: Name, size: u32, flag: bool, count: usize) -> Result<Composite, BtfError> {
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.name()?;
            let type_id = self.id()?;
            let word = self.word()?;
            // With the flag, the top byte is the width of a bit-field.
            let (bit_offset, bitfield_size) = if flag { (word & 0xff_ffff, (word >> 24) as u8) } else { (word, 0) };
            members.push(Member { name, type_id, bit_offset, bitfield_size });
        }
        Ok(Composite { name, size, members })
    }

    fn read_enum(&mut self, name: Name, size: u32, signed: bool, count: usize) -> Result<Type, BtfError> {
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.name()?;
            let word = self.word()?;
            values.push((name, if signed { i64::from(word as i32) } else { i64::from(word) }));
        }
        Ok(Type::Enum { name, size, signed, is_64: false, values })
    }

    fn read_enum64(&mut self, name: Name, size: u32, signed: bool, count: usize) -> Result<Type, BtfError> {
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.name()?;
            let (low, high) = (self.word()?, self.word()?);
            values.push((name, ((u64::from(high) << 32) | u64::from(low)) as i64));
        }
        Ok(Type::Enum { name, size, signed, is_64: true, values })
    }

    fn read_parameters(&mut self, count: usize) -> Result<Vec<Parameter>, BtfError> {
        (0..count).map(|_| Ok(Parameter { name: self.name()?, type_id: self.id()? })).collect()
    }

    fn read_variables(&mut self, count: usize) -> Result<Vec<SectionVariable>, BtfError> {
        (0..count)
            .map(|_| Ok(SectionVariable { type_id: self.id()?, offset: self.word()?, size: self.word()? }))
            .collect()
    }

    fn linkage(&self, number: u32) -> Result<Linkage, BtfError> {
        match number {
            0 => Ok(Linkage::Static),
            1 => Ok(Linkage::Global),
            2 => Ok(Linkage::Extern),
            // libbpf takes it, and the kernel refuses the types.
            _ => Err(unsupported(self.base + self.at, format!("type {} with linkage {number}", self.id))),
        }
    }
}
