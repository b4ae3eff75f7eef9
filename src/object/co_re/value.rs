//! What a relocation puts into its instruction: what the compiler put there, and what is right for the kernel.

use crate::btf::{Btf, Type, TypeId};

use super::spec::{Kind, Spec};

/// The result of one relocation (`struct bpf_core_relo_res`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relocated {
    /// What the instruction must hold now, if `validate`.
    pub(super) original: u64,
    pub(super) new: u64,
    pub(super) validate: bool,
    /// Nothing in the kernel fits: the instruction becomes an invalid call.
    pub(super) poison: bool,
    /// Sizes of the accessed field, before and after.
    pub(super) original_size: u32,
    pub(super) new_size: u32,
    /// The sizes differ and the access cannot be widened or narrowed.
    pub(super) bad_resize: bool,
}

impl Relocated {
    /// A type of the object itself.
    pub(super) fn local_type_id(id: TypeId) -> Self {
        Relocated { original: id.0.into(), new: id.0.into(), ..Relocated::default() }
    }
}

/// One side's value.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    number: u64,
    /// Size and type of the field, if a load or store of it may be resized.
    field: Option<(u32, TypeId)>,
    validate: bool,
}

impl Value {
    fn exact(number: impl Into<u64>) -> Self {
        Value { number: number.into(), field: None, validate: true }
    }
}

/// A type's side: its table and the way into it.
type Side<'a> = (&'a Btf, &'a Spec);

/// Computes both sides (`bpf_core_calc_relo`).
pub(super) fn relocated(kind: Kind, local: Side<'_>, target: Option<Side<'_>>) -> Result<Relocated, String> {
    let original = side(kind, local)?;
    let new = match target {
        Some(target) => side(kind, target)?,
        None => match kind {
            Kind::FieldExists | Kind::EnumeratorExists => Value::exact(0u64),
            kind if kind.is_type() => Value::exact(0u64),
            _ => return Ok(Relocated { validate: true, poison: true, ..Relocated::default() }),
        },
    };
    let (original_size, new_size) = (original.field.map_or(0, |field| field.0), new.field.map_or(0, |field| field.0));
    let resizable = match (original.field, new.field, target) {
        (Some((_, a)), Some((_, b)), Some((kernel, _))) => can_resize(local.0.ty(a), kernel.ty(b)),
        _ => false,
    };
    Ok(Relocated {
        original: original.number,
        new: new.number,
        validate: original.validate,
        poison: false,
        original_size,
        new_size,
        bad_resize: original_size != new_size && !resizable,
    })
}

/// Only pointers and unsigned numbers keep their meaning when they are read wider or narrower.
fn can_resize(original: &Type, new: &Type) -> bool {
    let is_plain_signed = |ty: &Type| match ty {
        Type::Int { encoding, .. } => encoding.signed && !encoding.char && !encoding.bool,
        _ => true,
    };
    match (original, new) {
        (Type::Pointer { .. }, Type::Pointer { .. }) => true,
        (Type::Int { .. }, Type::Int { .. }) => !is_plain_signed(original) && !is_plain_signed(new),
        _ => false,
    }
}

fn side(kind: Kind, (btf, spec): Side<'_>) -> Result<Value, String> {
    let size_of_root = || btf.size_of(spec.root).ok_or_else(|| "the type has no size".to_owned());
    Ok(match kind {
        Kind::TypeExists | Kind::TypeMatches | Kind::FieldExists | Kind::EnumeratorExists => Value::exact(1u64),
        // Ids may change when objects are linked, so what the instruction holds says nothing.
        Kind::TypeIdTarget | Kind::TypeIdLocal => Value { validate: false, ..Value::exact(spec.root.0) },
        Kind::TypeSize => Value::exact(size_of_root()?),
        Kind::EnumeratorValue => {
            let step = spec.steps.first().ok_or("the enumerator is missing")?;
            match btf.ty(step.type_id) {
                Type::Enum { values, signed, is_64, .. } => {
                    let (_, value) = values.get(step.index as usize).ok_or("the enumerator is missing")?;
                    // libbpf reads a 32-bit enumerator as a signed one whatever its type says.
                    let value = if *is_64 || *signed { *value } else { i64::from(*value as i32) };
                    Value::exact(value as u64)
                }
                _ => return Err("the type is not an enumeration".into()),
            }
        }
        _ => field(kind, btf, spec)?,
    })
}

/// `bpf_core_calc_field_relo`.
fn field(kind: Kind, btf: &Btf, spec: &Spec) -> Result<Value, String> {
    let step = spec.steps.last().ok_or("the access string is empty")?;
    let no_size = || "the field's type has no size".to_owned();
    if step.name.is_none() {
        let size = btf.size_of(step.type_id).ok_or_else(no_size)?;
        return match kind {
            Kind::FieldByteOffset => {
                Ok(Value { field: Some((size, step.type_id)), ..Value::exact(spec.bit_offset / 8) })
            }
            Kind::FieldByteSize => Ok(Value::exact(size)),
            _ => Err("it cannot be applied to an array's element".into()),
        };
    }
    let member = btf
        .ty(step.type_id)
        .composite()
        .and_then(|composite| composite.members.get(step.index as usize))
        .ok_or("the member is missing")?;
    let type_id = btf.resolve(member.type_id);
    let size = btf.size_of(type_id).ok_or_else(no_size)?;
    let bits = u32::from(member.bitfield_size);
    let is_bitfield = bits > 0;
    let (byte_offset, byte_size, bits) = if is_bitfield {
        let (offset, size) = containing_load(spec.bit_offset, bits, size)?;
        (offset, size, bits)
    } else {
        (spec.bit_offset / 8, size, size.wrapping_mul(8))
    };
    // Compilers may load a bit-field in another way than libbpf would, so what they wrote proves nothing.
    let value = |number: u64| Value { number, field: None, validate: !is_bitfield };
    Ok(match kind {
        Kind::FieldByteOffset if is_bitfield => value(byte_offset.into()),
        Kind::FieldByteOffset => Value { field: Some((byte_size, type_id)), ..value(byte_offset.into()) },
        Kind::FieldByteSize => value(byte_size.into()),
        Kind::FieldSigned => Value::exact(match btf.ty(type_id) {
            Type::Enum { signed, .. } => u64::from(*signed),
            Type::Int { encoding, .. } => u64::from(encoding.signed),
            _ => 0,
        }),
        Kind::FieldLeftShift => {
            let end = spec.bit_offset.wrapping_add(bits).wrapping_sub(byte_offset.wrapping_mul(8));
            value(64u32.wrapping_sub(end).into())
        }
        Kind::FieldRightShift => Value::exact(64u32.wrapping_sub(bits)),
        _ => return Err("it is not a relocation of a field".into()),
    })
}

/// The smallest aligned load, at least as wide as the field's type, that holds a whole bit-field: byte offset, size.
fn containing_load(bit_offset: u32, bits: u32, mut size: u32) -> Result<(u32, u32), String> {
    let too_wide = || "the bit-field cannot be read with one load".to_owned();
    if size == 0 || size > 1 << 16 {
        return Err(too_wide());
    }
    loop {
        let offset = bit_offset / 8 / size * size;
        if u64::from(bit_offset) + u64::from(bits) - u64::from(offset) * 8 <= u64::from(size) * 8 {
            return Ok((offset, size));
        }
        if size >= 8 {
            return Err(too_wide());
        }
        size *= 2;
    }
}
