//! How a value stands in the log: `scalar(id=2,umax=255)`, `ptr_or_null_task_struct(id=1)`, `fp-8`
//! (`print_reg_state`, `kernel/bpf/log.c`, Linux 6.12).
//!
//! What is known of the number itself is written by [`super::domain::text`], the type's name is made in
//! [`super::type_name`]. Registers and slots around the values are in [`super::log_state`].

use std::fmt::{self, Write};

use super::domain::text::{Signed, Unsigned, fmt_bounds};
use super::value::{Dynptr, Iterator, IteratorState, MapRef, Number, Pointer, Target, TypeRef, Value};

/// What the log says of a map: name and sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapText<'a> {
    /// Its name, empty for an inner map known by its description only.
    pub name: &'a str,
    /// Size of a key.
    pub key_size: u32,
    /// Size of a value.
    pub value_size: u32,
}

/// Names that values refer to.
pub trait Names {
    /// The name of a type; empty if it has none.
    fn type_name(&self, ty: TypeRef) -> &str;
    /// Is every number printed as one that matters?
    fn every_number_counts(&self) -> bool {
        false
    }
    /// A map's name and sizes; `None` if there is no such map.
    fn map(&self, map: MapRef) -> Option<MapText<'_>>;
}

/// Attributes in brackets, with commas between them (`verbose_a`).
struct Attributes<'a> {
    out: &'a mut String,
    separator: &'static str,
}

impl Attributes<'_> {
    fn add(&mut self, attribute: fmt::Arguments<'_>) -> fmt::Result {
        let separator = std::mem::replace(&mut self.separator, ",");
        write!(self.out, "{separator}{attribute}")
    }
}

/// Writes a register's or a spilled register's value; `frame` is the number of the frame that it is in.
///
/// # Errors
/// None: a [`String`] takes all text.
pub fn write_value(out: &mut String, value: &Value, frame: usize, names: &dyn Names) -> fmt::Result {
    match value {
        Value::Uninitialised => write!(out, "?()"),
        Value::Scalar(number) => write_number(out, number, number.precise || names.every_number_counts()),
        Value::Pointer(pointer) => write_pointer(out, pointer, frame, names),
        Value::Iterator(iterator) => write_iterator(out, iterator, names),
        Value::Dynptr(dynptr) => write_dynptr(out, dynptr),
    }
}

fn write_number(out: &mut String, number: &Number, precise: bool) -> fmt::Result {
    if precise {
        out.push('P');
    }
    if number.bounds.is_const() {
        return write!(out, "{}", Signed(number.bounds.var_off.value as i64));
    }
    out.push_str("scalar(");
    let mut attributes = Attributes { out, separator: "" };
    if number.id != 0 {
        attributes.add(format_args!("id={}", number.id))?;
    }
    if let Some(delta) = number.delta {
        write!(attributes.out, "{delta:+}")?;
    }
    fmt_bounds(&number.bounds, attributes.out, &mut attributes.separator)?;
    out.push(')');
    Ok(())
}

fn write_pointer(out: &mut String, pointer: &Pointer, frame: usize, names: &dyn Names) -> fmt::Result {
    out.push_str(&pointer.kernel_name());
    match pointer.target {
        Target::Arena => return Ok(()),
        Target::Stack { frame: own } => {
            if usize::from(own) != frame {
                write!(out, "[{own}]")?;
            }
            if let Some(offset) = pointer.known_offset() {
                return write!(out, "{}", Signed(offset));
            }
        }
        Target::Object(ty) => out.push_str(names.type_name(ty)),
        _ => {}
    }
    out.push('(');
    let mut attributes = Attributes { out, separator: "" };
    write_identity(&mut attributes, pointer)?;
    write_map(&mut attributes, pointer, names)?;
    if pointer.offset != 0 {
        attributes.add(format_args!("off={}", Signed(pointer.offset.into())))?;
    }
    write_extent(&mut attributes, &pointer.target)?;
    fmt_bounds(&pointer.variable, attributes.out, &mut attributes.separator)?;
    out.push(')');
    Ok(())
}

fn write_identity(attributes: &mut Attributes<'_>, pointer: &Pointer) -> fmt::Result {
    if pointer.id != 0 {
        attributes.add(format_args!("id={}", pointer.id))?;
    }
    if pointer.reference != 0 {
        attributes.add(format_args!("ref_obj_id={}", pointer.reference))?;
    }
    if pointer.is_non_owning() {
        attributes.add(format_args!("non_own_ref"))?;
    }
    Ok(())
}

fn write_map(attributes: &mut Attributes<'_>, pointer: &Pointer, names: &dyn Names) -> fmt::Result {
    let Some(map) = pointer.map().and_then(|map| names.map(map)) else { return Ok(()) };
    if !map.name.is_empty() {
        attributes.add(format_args!("map={}", map.name))?;
    }
    attributes.add(format_args!("ks={},vs={}", map.key_size, map.value_size))
}

/// How far a packet, memory or dynptr reaches.
fn write_extent(attributes: &mut Attributes<'_>, target: &Target) -> fmt::Result {
    match *target {
        Target::Packet { range, .. } => attributes.add(format_args!("r={}", Unsigned(i64::from(range) as u64))),
        Target::Memory { size, .. } => attributes.add(format_args!("sz={}", Unsigned(size.into()))),
        Target::ConstDynptr(kind) => attributes.add(format_args!("type={}", kind.kernel_name())),
        _ => Ok(()),
    }
}

fn write_iterator(out: &mut String, iterator: &Iterator, names: &dyn Names) -> fmt::Result {
    let name = names.type_name(iterator.ty);
    let kind = name.strip_prefix("bpf_iter_").unwrap_or(name);
    let state = match iterator.state {
        Some(IteratorState::Active) => "active",
        Some(IteratorState::Drained) => "drained",
        None => "<invalid>",
    };
    write!(out, "iter_{kind}(ref_id={},state={state},depth={})", iterator.reference, iterator.depth)
}

fn write_dynptr(out: &mut String, dynptr: &Dynptr) -> fmt::Result {
    write!(out, "dynptr_{}(", dynptr.kind.kernel_name())?;
    let mut attributes = Attributes { out, separator: "" };
    if dynptr.id != 0 {
        attributes.add(format_args!("id={}", dynptr.id))?;
    }
    if dynptr.reference != 0 {
        attributes.add(format_args!("ref_id={}", dynptr.reference))?;
    }
    if dynptr.first {
        // The mark of the first slot shares its place with the number of the dynptr that a slice is of.
        attributes.add(format_args!("dynptr_id=1"))?;
    }
    out.push(')');
    Ok(())
}
