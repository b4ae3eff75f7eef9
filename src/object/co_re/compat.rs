//! Comparing the object's types with the kernel's.
//!
//! Three relations, in libbpf's words: fields that are compatible (`bpf_core_fields_are_compat`), types that are
//! compatible (`__bpf_core_types_are_compat`), and types that match (`__bpf_core_types_match`).

use std::cell::Cell;
use std::mem::discriminant;

use crate::btf::{Btf, Composite, Type, TypeId, essential_name};

/// Deepest chain of pointers and arrays, and deepest nesting of the rest.
const MAX_DEPTH: u32 = 32;
/// Comparisons for one relocation before giving up; broken types could otherwise be compared without end.
const MAX_STEPS: u32 = 1 << 20;

type Compared = Result<bool, String>;

fn too_deep() -> String {
    "the types are nested too deeply to compare".into()
}

/// Compares types of one object with those of one kernel.
pub(super) struct Compatibility<'a> {
    pub(super) local: &'a Btf,
    pub(super) target: &'a Btf,
    steps: Cell<u32>,
}

impl<'a> Compatibility<'a> {
    pub(super) fn new(local: &'a Btf, target: &'a Btf) -> Self {
        Compatibility { local, target, steps: Cell::new(0) }
    }

    /// Counts one comparison against the limit.
    pub(super) fn count_step(&self) -> Result<(), String> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > MAX_STEPS { Err(too_deep()) } else { Ok(()) }
    }

    fn resolve(&self, local: TypeId, target: TypeId) -> (&'a Type, &'a Type) {
        (self.local.ty(self.local.resolve(local)), self.target.ty(self.target.resolve(target)))
    }

    /// May a field of one type stand for a field of the other?
    pub(super) fn fields_are_compatible(&self, mut local: TypeId, mut target: TypeId) -> Compared {
        loop {
            self.count_step()?;
            return Ok(match self.resolve(local, target) {
                (Type::Struct(_) | Type::Union(_), Type::Struct(_) | Type::Union(_)) => true,
                (a, b) if discriminant(a) != discriminant(b) => false,
                (Type::Pointer { .. } | Type::Float { .. }, _) => true,
                (a @ (Type::Forward { .. } | Type::Enum { .. }), b) => {
                    let (a, b) = (essential_name(a.name()), essential_name(b.name()));
                    a.is_empty() || b.is_empty() || a == b
                }
                (Type::Int { offset: a, .. }, Type::Int { offset: b, .. }) => *a == 0 && *b == 0,
                (Type::Array { element: a, .. }, Type::Array { element: b, .. }) => {
                    (local, target) = (*a, *b);
                    continue;
                }
                _ => false,
            });
        }
    }

    /// Are two types of the same name compatible, as far as existence, size and id go?
    pub(super) fn types_are_compatible(&self, local: TypeId, target: TypeId) -> Compared {
        self.are_compatible(local, target, MAX_DEPTH)
    }

    fn are_compatible(&self, mut local: TypeId, mut target: TypeId, level: u32) -> Compared {
        if discriminant(self.local.ty(local)) != discriminant(self.target.ty(target)) {
            return Ok(false);
        }
        for _ in 0..MAX_DEPTH {
            self.count_step()?;
            match self.resolve(local, target) {
                (a, b) if discriminant(a) != discriminant(b) => return Ok(false),
                (Type::Void | Type::Struct(_) | Type::Union(_) | Type::Enum { .. } | Type::Forward { .. }, _) => {
                    return Ok(true);
                }
                (Type::Int { offset: a, .. }, Type::Int { offset: b, .. }) => return Ok(*a == 0 && *b == 0),
                (Type::Pointer { target: a }, Type::Pointer { target: b })
                | (Type::Array { element: a, .. }, Type::Array { element: b, .. }) => (local, target) = (*a, *b),
                (
                    Type::FunctionPrototype { returns: a, parameters: of_a },
                    Type::FunctionPrototype { returns: b, parameters: of_b },
                ) => {
                    if of_a.len() != of_b.len() {
                        return Ok(false);
                    }
                    for (a, b) in of_a.iter().zip(of_b) {
                        let level = level.checked_sub(1).ok_or_else(too_deep)?;
                        let (a, b) = (self.local.resolve(a.type_id), self.target.resolve(b.type_id));
                        if !self.are_compatible(a, b, level)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = (*a, *b);
                }
                _ => return Ok(false),
            }
        }
        Err(too_deep())
    }

    /// Do two types match, member for member?
    pub(super) fn types_match(&self, local: TypeId, target: TypeId) -> Compared {
        self.do_match(local, target, false, MAX_DEPTH)
    }

    fn do_match(&self, mut local: TypeId, mut target: TypeId, mut behind_pointer: bool, level: u32) -> Compared {
        if level == 0 {
            return Err(too_deep());
        }
        for _ in 0..MAX_DEPTH {
            self.count_step()?;
            let (a, b) = self.resolve(local, target);
            if !names_match(a.name(), b.name()) {
                return Ok(false);
            }
            (local, target) = match (a, b) {
                (Type::Pointer { target: a }, Type::Pointer { target: b }) => {
                    behind_pointer = true;
                    (*a, *b)
                }
                (Type::Array { element: a, count: count_a, .. }, Type::Array { element: b, count: count_b, .. })
                    if count_a == count_b =>
                {
                    (*a, *b)
                }
                (
                    Type::FunctionPrototype { returns: a, parameters: of_a },
                    Type::FunctionPrototype { returns: b, parameters: of_b },
                ) if of_a.len() == of_b.len() => {
                    for (a, b) in of_a.iter().zip(of_b) {
                        if !self.do_match(a.type_id, b.type_id, behind_pointer, level - 1)? {
                            return Ok(false);
                        }
                    }
                    (*a, *b)
                }
                _ => return self.match_leaves(a, b, behind_pointer, level),
            };
        }
        Err(too_deep())
    }

    fn match_leaves(&self, local: &Type, target: &Type, behind_pointer: bool, level: u32) -> Compared {
        let is_union = |ty: &Type| match ty {
            Type::Union(_) => Some(true),
            Type::Struct(_) => Some(false),
            Type::Forward { is_union, .. } => Some(*is_union),
            _ => None,
        };
        Ok(match (local, target) {
            (Type::Void, Type::Void) => true,
            (Type::Forward { .. }, _) if behind_pointer => is_union(local) == is_union(target),
            (Type::Forward { is_union: a, .. }, Type::Forward { is_union: b, .. }) => a == b,
            (Type::Struct(_) | Type::Union(_), _) if behind_pointer => is_union(local) == is_union(target),
            (Type::Struct(a), Type::Struct(b)) | (Type::Union(a), Type::Union(b)) => {
                return self.composites_match(a, b, level);
            }
            (Type::Enum { size: a, values: of_a, .. }, Type::Enum { size: b, values: of_b, .. }) => {
                if a != b || of_a.len() > of_b.len() {
                    return Ok(false);
                }
                for (name, _) in of_a {
                    self.count_step()?;
                    if !of_b.iter().any(|(other, _)| names_match(name, other)) {
                        return Ok(false);
                    }
                }
                true
            }
            (Type::Int { size: a, encoding: of_a, .. }, Type::Int { size: b, encoding: of_b, .. }) => {
                a == b && of_a.signed == of_b.signed
            }
            _ => false,
        })
    }

    /// Every member of the object's type must have a matching one of the same name.
    fn composites_match(&self, local: &Composite, target: &Composite, level: u32) -> Compared {
        if local.members.len() > target.members.len() {
            return Ok(false);
        }
        for member in &local.members {
            let mut matched = false;
            for other in target.members.iter().filter(|other| names_match(&member.name, &other.name)) {
                if self.do_match(member.type_id, other.type_id, false, level - 1)? {
                    matched = true;
                    break;
                }
            }
            if !matched {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn names_match(local: &str, target: &str) -> bool {
    essential_name(local) == essential_name(target)
}
