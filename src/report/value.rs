//! Bytes of memory as values with field names, as their BTF type says.

use serde_json::{Map, Value, json};

use crate::btf::{Btf, Composite, Type, TypeId};

/// Nesting that is followed; deeper types are broken.
const MAX_DEPTH: u32 = 16;
/// Elements of an array that are shown; of a longer one the rest is counted.
const MAX_ELEMENTS: usize = 256;

/// Turns bytes into values. `pointer` gives what a pointer that is not NULL is shown as.
pub struct Values<'a> {
    /// The types.
    pub btf: &'a Btf,
    /// What a pointer is shown as.
    pub pointer: &'a dyn Fn(u64) -> Value,
}

impl Values<'_> {
    /// The value of that type in `bytes`; `null` where there are too few of them.
    #[must_use]
    pub fn read(&self, type_id: TypeId, bytes: &[u8]) -> Value {
        self.within(type_id, bytes, MAX_DEPTH)
    }

    fn within(&self, type_id: TypeId, bytes: &[u8], depth: u32) -> Value {
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        match self.btf.ty(self.btf.resolve(type_id)) {
            Type::Int { size, encoding, .. } => match number(bytes, *size) {
                Some(value) if encoding.bool && value <= 1 => Value::Bool(value == 1),
                value => integer(value, *size, encoding.signed),
            },
            Type::Enum { size, signed, values, .. } => {
                let value = integer(number(bytes, *size), *size, *signed);
                let named = values.iter().find(|(_, number)| value.as_i64() == Some(*number));
                named.map_or(value, |(name, _)| Value::from(&**name))
            }
            Type::Pointer { .. } => match number(bytes, 8) {
                Some(0) | None => Value::Null,
                Some(address) => (self.pointer)(u64::try_from(address).unwrap_or(u64::MAX)),
            },
            Type::Array { element, count, .. } => self.array(*element, *count, bytes, depth),
            Type::Struct(composite) | Type::Union(composite) => {
                let mut fields = Map::new();
                self.fields(composite, bytes, depth, &mut fields);
                Value::Object(fields)
            }
            Type::Float { size, .. } => float(bytes, *size),
            _ => hex(bytes),
        }
    }

    fn array(&self, element: TypeId, count: u32, bytes: &[u8], depth: u32) -> Value {
        let size = self.btf.size_of(element).unwrap_or(0) as usize;
        if let Type::Int { size: 1, encoding, .. } = self.btf.ty(self.btf.resolve(element))
            && (encoding.char || encoding.signed)
            && let Some(text) = text(bytes)
        {
            return Value::String(text);
        }
        let shown = (count as usize).min(MAX_ELEMENTS);
        let mut elements: Vec<_> =
            (0..shown).map(|index| self.within(element, bytes.get(index * size..).unwrap_or(&[]), depth)).collect();
        if shown < count as usize {
            elements.push(json!(format!("... {} more", count as usize - shown)));
        }
        Value::Array(elements)
    }

    fn fields(&self, composite: &Composite, bytes: &[u8], depth: u32, into: &mut Map<String, Value>) {
        let Some(deeper) = depth.checked_sub(1) else { return };
        for member in &composite.members {
            let inner = bytes.get(member.byte_offset() as usize..).unwrap_or(&[]);
            if member.name.is_empty() {
                if let Some(nested) = self.btf.ty(self.btf.resolve(member.type_id)).composite() {
                    self.fields(nested, inner, deeper, into);
                }
                continue;
            }
            let value = if member.bitfield_size > 0 {
                bit_field(bytes, member.bit_offset, member.bitfield_size)
            } else {
                self.within(member.type_id, inner, depth)
            };
            into.insert(member.name.to_string(), value);
        }
    }
}

fn number(bytes: &[u8], size: u32) -> Option<u128> {
    let mut buffer = [0; 16];
    let size = size.min(16) as usize;
    buffer[..size].copy_from_slice(bytes.get(..size)?);
    Some(u128::from_le_bytes(buffer))
}

fn integer(value: Option<u128>, size: u32, signed: bool) -> Value {
    let Some(value) = value else { return Value::Null };
    match (size, signed) {
        (1, true) => json!(value as i8),
        (2, true) => json!(value as i16),
        (4, true) => json!(value as i32),
        (8, true) => json!(value as i64),
        (0..=8, _) => json!(value as u64),
        _ => json!(format!("{value:#x}")),
    }
}

fn bit_field(bytes: &[u8], bit_offset: u32, bits: u8) -> Value {
    let first = bit_offset as usize / 8;
    let mut buffer = [0; 16];
    for (to, from) in buffer.iter_mut().zip(bytes.get(first..).unwrap_or(&[])) {
        *to = *from;
    }
    let value = u128::from_le_bytes(buffer) >> (bit_offset % 8);
    json!((value & ((1u128 << bits.min(64)) - 1)) as u64)
}

fn float(bytes: &[u8], size: u32) -> Value {
    match (size, bytes.first_chunk(), bytes.first_chunk()) {
        (4, Some(four), _) => json!(f32::from_le_bytes(*four)),
        (8, _, Some(eight)) => json!(f64::from_le_bytes(*eight)),
        _ => hex(bytes),
    }
}

/// Bytes as hexadecimal text, at most 64 of them.
#[must_use]
pub fn hex(bytes: &[u8]) -> Value {
    let digits: String = bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    Value::String(if bytes.len() > 64 { format!("{digits}... ({} bytes)", bytes.len()) } else { digits })
}

/// The text in a character array: printable, not empty, and zero from its end on.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(end);
    let printable = text.iter().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n' | b'\t'));
    (printable && !text.is_empty() && rest.iter().all(|&byte| byte == 0))
        .then(|| String::from_utf8_lossy(text).into_owned())
}

/// A value as people read it: `{sum: 0, pc: NULL}`.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::{BtfBuilder, IntEncoding, Member};

    #[test]
    fn structs_read_by_field_name() {
        let mut builder = BtfBuilder::new();
        let encoding = IntEncoding { signed: true, ..IntEncoding::default() };
        let int = builder.push(Type::Int { name: "int".into(), size: 4, bits: 32, offset: 0, encoding });
        let pointer = builder.push(Type::Pointer { target: int });
        let field = |name: &str, type_id, bit_offset, bitfield_size| Member {
            name: name.into(),
            type_id,
            bit_offset,
            bitfield_size,
        };
        let members = vec![
            field("a", int, 0, 0),
            field("low", int, 32, 3),
            field("high", int, 35, 5),
            field("p", pointer, 64, 0),
        ];
        let id = builder.push(Type::Struct(Composite { name: "s".into(), size: 16, members }));
        let btf = builder.finish().expect("types are complete");
        let values = Values { btf: &btf, pointer: &|address| json!(format!("{address:#x}")) };
        let mut bytes = vec![0xfe, 0xff, 0xff, 0xff, 0b1010_1011, 0, 0, 0];
        bytes.extend(0x1234u64.to_le_bytes());
        let value = values.read(id, &bytes);
        assert_eq!(value, json!({"a": -2, "low": 3, "high": 21, "p": "0x1234"}));
        assert_eq!(plain(&value), "{a: -2, low: 3, high: 21, p: \"0x1234\"}");
        assert_eq!(values.read(id, &bytes[..2])["a"], Value::Null, "too few bytes");
    }
}
