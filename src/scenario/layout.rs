//! What lies where in the bytes of a global or a map's value, and what those bytes say.
//!
//! A [`Layout`] is made of BTF once; then it decodes any number of values. What only the kernel may see (locks, timers, heads of lists and
//! trees, and the pointers in kptr fields but for whether they are null) never becomes a value, so that a real kernel's bytes and a simulated
//! machine's say the same. Start at [`Layout::of`].

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};

use crate::btf::{Btf, Composite, Type, TypeId};

/// Structs in structs, arrays of arrays: how deep a layout goes.
const MAX_DEPTH: u32 = 16;

/// Parts of one layout; a struct with more is left out from there on.
const MAX_PARTS: usize = 4096;

/// Elements of one array that are decoded.
const MAX_ELEMENTS: u32 = 1 << 16;

/// What lies in some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A whole number, or an enumeration's.
    Number {
        /// Bits before it, from the start of its bytes.
        shift: u32,
        /// Bits that it has, at most 64.
        bits: u32,
        /// Two's complement.
        signed: bool,
    },
    /// A `bool`.
    Truth,
    /// An array of `char`.
    Text {
        /// Its bytes.
        size: u32,
    },
    /// A pointer: only whether it is null is seen.
    Pointer {
        /// Is it a kptr field, which a system call reads as zero?
        kernel: bool,
    },
    /// An array.
    List {
        /// What an element is.
        element: Box<Layout>,
        /// Bytes from one to the next.
        stride: u32,
        /// How many.
        count: u32,
    },
    /// A struct or union.
    Record(Vec<Field>),
    /// Nothing that may be seen.
    Hidden,
}

/// A field of a struct or union. Those of an anonymous one in it are fields of the outer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Bytes from the start of the struct.
    pub offset: u32,
    /// What it is.
    pub layout: Layout,
}

/// The structs that only the kernel may look into (`btf_field_type_name`, Linux 6.12), and the one whose count programs do not see.
const KERNEL_STRUCTS: [&str; 9] = [
    "bpf_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_list_head",
    "bpf_list_node",
    "bpf_rb_root",
    "bpf_rb_node",
    "bpf_refcount",
    "bpf_dynptr",
];

/// The tags of kptr fields.
const KPTR_TAGS: [&str; 3] = ["kptr", "kptr_untrusted", "percpu_kptr"];

/// What a pointer that is not null is shown as.
const SET: &str = "set";

impl Layout {
    /// The layout of a type.
    #[must_use]
    pub fn of(btf: &Btf, id: TypeId) -> Layout {
        let mut parts = 0;
        layout(btf, id, MAX_DEPTH, &mut parts)
    }

    /// The field of that name, if it is a struct that has one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        let Layout::Record(fields) = self else { return None };
        fields.iter().find(|field| field.name == name)
    }

    /// Is there a kptr anywhere in it?
    #[must_use]
    pub fn has_kernel_pointer(&self) -> bool {
        match self {
            Layout::Pointer { kernel } => *kernel,
            Layout::List { element, .. } => element.has_kernel_pointer(),
            Layout::Record(fields) => fields.iter().any(|field| field.layout.has_kernel_pointer()),
            _ => false,
        }
    }

    /// The value in these bytes; `None` where nothing may be seen, or the bytes are too few. `kernel_pointers` says whether the bytes of
    /// kptr fields are real.
    #[must_use]
    pub fn decode(&self, bytes: &[u8], kernel_pointers: bool) -> Option<Value> {
        match self {
            Layout::Number { shift, bits, signed } => number(bytes, *shift, *bits, *signed),
            Layout::Truth => bytes.first().map(|&byte| Value::Bool(byte != 0)),
            Layout::Text { size } => bytes.get(..*size as usize).map(|bytes| Value::String(Arc::new(text(bytes)))),
            Layout::Pointer { kernel: true } if !kernel_pointers => None,
            Layout::Pointer { .. } => {
                let null = bytes.first_chunk::<8>()?.iter().all(|&byte| byte == 0);
                Some(if null { Value::Null } else { Value::String(Arc::new(SET.into())) })
            }
            Layout::List { element, stride, count } => {
                let part = |index: u32| {
                    let start = index.checked_mul(*stride)? as usize;
                    element.decode(bytes.get(start..start.checked_add(*stride as usize)?)?, kernel_pointers)
                };
                (0..*count).map(part).collect::<Option<Vec<_>>>().map(|list| Value::List(Arc::new(list)))
            }
            Layout::Record(fields) => {
                let part = |field: &Field| {
                    let value = field.layout.decode(bytes.get(field.offset as usize..)?, kernel_pointers)?;
                    Some((Key::String(Arc::new(field.name.clone())), value))
                };
                let map: HashMap<Key, Value> = fields.iter().filter_map(part).collect();
                Some(Value::Map(Map { map: Arc::new(map) }))
            }
            Layout::Hidden => None,
        }
    }
}

fn layout(btf: &Btf, id: TypeId, depth: u32, parts: &mut usize) -> Layout {
    *parts += 1;
    if depth == 0 || *parts > MAX_PARTS {
        return Layout::Hidden;
    }
    match btf.ty(btf.resolve(id)) {
        Type::Int { encoding, .. } if encoding.bool => Layout::Truth,
        Type::Int { bits, offset, encoding, .. } if *bits <= 64 => {
            Layout::Number { shift: u32::from(*offset), bits: u32::from(*bits), signed: encoding.signed }
        }
        Type::Enum { size, signed, .. } if *size <= 8 => Layout::Number { shift: 0, bits: size * 8, signed: *signed },
        Type::Pointer { target } => Layout::Pointer { kernel: is_kptr(btf, *target) },
        Type::Array { element, count, .. } => array(btf, *element, *count, depth, parts),
        Type::Struct(composite) | Type::Union(composite) => {
            if KERNEL_STRUCTS.contains(&&*composite.name) {
                return Layout::Hidden;
            }
            let mut fields = Vec::new();
            add_fields(btf, composite, 0, depth, parts, &mut fields);
            Layout::Record(fields)
        }
        Type::Variable { type_id, .. } => layout(btf, *type_id, depth - 1, parts),
        _ => Layout::Hidden,
    }
}

fn array(btf: &Btf, element: TypeId, count: u32, depth: u32, parts: &mut usize) -> Layout {
    let Some(stride) = btf.size_of(element) else { return Layout::Hidden };
    if matches!(btf.ty(btf.resolve(element)), Type::Int { name, size: 1, .. } if **name == *"char") {
        return Layout::Text { size: count };
    }
    match layout(btf, element, depth - 1, parts) {
        Layout::Hidden => Layout::Hidden,
        _ if count > MAX_ELEMENTS => Layout::Hidden,
        element => Layout::List { element: Box::new(element), stride, count },
    }
}

fn add_fields(btf: &Btf, from: &Composite, base: u32, depth: u32, parts: &mut usize, into: &mut Vec<Field>) {
    for member in &from.members {
        let offset = base.saturating_add(member.byte_offset());
        if member.name.is_empty() {
            if let (Some(inner), Some(depth)) =
                (btf.ty(btf.resolve(member.type_id)).composite(), depth.checked_sub(1).filter(|&depth| depth > 0))
            {
                add_fields(btf, inner, offset, depth, parts, into);
            }
            continue;
        }
        let layout = match (layout(btf, member.type_id, depth - 1, parts), member.bitfield_size) {
            (whole, 0) => whole,
            (Layout::Number { signed, .. }, bits) => {
                Layout::Number { shift: member.bit_offset % 8, bits: u32::from(bits), signed }
            }
            _ => Layout::Hidden,
        };
        if layout != Layout::Hidden && *parts <= MAX_PARTS {
            into.push(Field { name: member.name.to_string(), offset, layout });
        }
    }
}

/// Does the type that a pointer points to carry a kptr's tag?
fn is_kptr(btf: &Btf, mut target: TypeId) -> bool {
    for _ in 0..MAX_DEPTH {
        match btf.ty(target) {
            Type::TypeTag { name, .. } if KPTR_TAGS.contains(&&**name) => return true,
            other => match other.modified() {
                Some(next) => target = next,
                None => return false,
            },
        }
    }
    false
}

/// A little-endian number of up to 64 bits. What fits is an `int`, what does not a `uint`, so that numbers compare without casts.
fn number(bytes: &[u8], shift: u32, bits: u32, signed: bool) -> Option<Value> {
    let needed = (shift + bits).div_ceil(8) as usize;
    let raw = bytes.get(..needed)?.iter().rev().fold(0_u128, |number, &byte| number << 8 | u128::from(byte));
    let value = (raw >> shift) & ((1_u128 << bits) - 1);
    let value = i128::try_from(value).ok()?;
    let negative = signed && bits > 0 && value >> (bits - 1) & 1 == 1;
    let value = if negative { value - (1_i128 << bits) } else { value };
    match i64::try_from(value) {
        Ok(value) => Some(Value::Int(value)),
        Err(_) => u64::try_from(value).ok().map(Value::UInt),
    }
}

/// An array of characters, without the zeros at its end; other bytes as escapes, so that no two arrays of one size give the same.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.iter().take(end).flat_map(|&byte| std::ascii::escape_default(byte)).map(char::from).collect()
}

/// Writes a value in one canonical line: fields and keys in ascending order.
#[must_use]
pub fn render(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null => "null".into(),
        Value::String(text) if text.as_str() == SET => SET.into(),
        Value::String(text) => format!("{text:?}"),
        Value::List(list) => format!("[{}]", list.iter().map(render).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let mut entries: Vec<_> = map.map.iter().collect();
            entries.sort_by(|one, other| one.0.cmp(other.0));
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", key_text(key), render(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Int(number) => number.to_string(),
        Key::Uint(number) => number.to_string(),
        Key::Bool(truth) => truth.to_string(),
        Key::String(text) => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign_and_all_their_bits() {
        let decode = |bytes: &[u8], bits, signed| number(bytes, 0, bits, signed).expect("there are enough bytes");
        assert_eq!(decode(&[0xff; 4], 32, true), Value::Int(-1));
        assert_eq!(decode(&[0xff; 4], 32, false), Value::Int(0xffff_ffff));
        assert_eq!(decode(&[0xff; 8], 64, true), Value::Int(-1));
        assert_eq!(decode(&[0xff; 8], 64, false), Value::UInt(u64::MAX));
        assert_eq!(number(&[0b1010_0000], 4, 3, false), Some(Value::Int(2)));
        assert_eq!(number(&[0b0110_0000], 4, 3, true), Some(Value::Int(-2)));
        assert_eq!(number(&[0; 3], 0, 32, true), None);
    }

    #[test]
    fn values_are_written_in_one_way() {
        let list = Value::List(Arc::new(vec![Value::Int(1), Value::Null, Value::Bool(true)]));
        assert_eq!(render(&list), "[1, null, true]");
        let entries = [(Key::String(Arc::new("b".into())), Value::Int(2)), (Key::String(Arc::new("a".into())), list)];
        let map = Value::Map(Map { map: Arc::new(entries.into_iter().collect()) });
        assert_eq!(render(&map), "{a: [1, null, true], b: 2}");
        assert_eq!(text(b"ab\0\xff\0\0"), "ab\\x00\\xff");
    }

    #[test]
    fn pointers_are_null_or_set_and_a_system_call_does_not_see_kptrs() {
        let kptr = Layout::Pointer { kernel: true };
        assert_eq!(kptr.decode(&[0; 8], true), Some(Value::Null));
        assert_eq!(kptr.decode(&[1; 8], true).as_ref().map(render), Some("set".into()));
        assert_eq!(kptr.decode(&[0; 8], false), None);
    }
}
