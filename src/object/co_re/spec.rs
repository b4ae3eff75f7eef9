//! What a relocation speaks of: a type, and for fields and enumerators the way into it.

use crate::btf::{Btf, Name, Type, TypeId, essential_name};

use super::compat::Compatibility;

/// `BPF_CORE_SPEC_MAX_LEN`: most steps of a way.
const MAX_STEPS: usize = 64;

/// `enum bpf_core_relo_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    FieldByteOffset,
    FieldByteSize,
    FieldExists,
    FieldSigned,
    FieldLeftShift,
    FieldRightShift,
    TypeIdLocal,
    TypeIdTarget,
    TypeExists,
    TypeSize,
    EnumeratorExists,
    EnumeratorValue,
    TypeMatches,
}

/// By number, with the name that libbpf prints.
const KINDS: [(Kind, &str); 13] = [
    (Kind::FieldByteOffset, "byte_off"),
    (Kind::FieldByteSize, "byte_sz"),
    (Kind::FieldExists, "field_exists"),
    (Kind::FieldSigned, "signed"),
    (Kind::FieldLeftShift, "lshift_u64"),
    (Kind::FieldRightShift, "rshift_u64"),
    (Kind::TypeIdLocal, "local_type_id"),
    (Kind::TypeIdTarget, "target_type_id"),
    (Kind::TypeExists, "type_exists"),
    (Kind::TypeSize, "type_size"),
    (Kind::EnumeratorExists, "enumval_exists"),
    (Kind::EnumeratorValue, "enumval_value"),
    (Kind::TypeMatches, "type_matches"),
];

impl Kind {
    pub(super) fn from_number(number: u32) -> Option<Kind> {
        KINDS.get(number as usize).map(|(kind, _)| *kind)
    }

    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    pub(super) fn is_type(self) -> bool {
        matches!(self, Kind::TypeIdLocal | Kind::TypeIdTarget | Kind::TypeExists | Kind::TypeSize | Kind::TypeMatches)
    }

    pub(super) fn is_enumerator(self) -> bool {
        matches!(self, Kind::EnumeratorExists | Kind::EnumeratorValue)
    }
}

/// A step that means something: into a named member, to an enumerator, or to an array's element.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The struct or enumeration that the member is of, or the element's type; modifiers skipped.
    pub(super) type_id: TypeId,
    pub(super) index: u32,
    /// Member or enumerator; `None` for an element.
    pub(super) name: Option<Name>,
}

/// A type and a way into it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) root: TypeId,
    pub(super) steps: Vec<Step>,
    /// Where the way leads, for fields.
    pub(super) bit_offset: u32,
    /// Steps through anonymous members included.
    raw_length: usize,
}

type Parsed<T> = Result<T, String>;

fn element_size(btf: &Btf, id: TypeId) -> Parsed<u32> {
    btf.size_of(id).ok_or_else(|| format!("type {id} has no size"))
}

impl Spec {
    fn new(root: TypeId) -> Self {
        Spec { root, steps: Vec::new(), bit_offset: 0, raw_length: 0 }
    }

    /// Reads an access string such as `0:1:2` (`bpf_core_parse_spec`).
    pub(super) fn parse(btf: &Btf, root: TypeId, access: &str, kind: Kind) -> Parsed<Spec> {
        let mut spec = Spec::new(root);
        if kind.is_type() {
            return if access == "0" { Ok(spec) } else { Err(format!("access string '{access}' is not '0'")) };
        }
        let indexes = access
            .split(':')
            .map(|part| part.parse::<u32>().ok().filter(|&index| index <= i32::MAX as u32))
            .collect::<Option<Vec<u32>>>()
            .filter(|indexes| indexes.len() <= MAX_STEPS)
            .ok_or_else(|| format!("access string '{access}' is broken"))?;
        let (&first, rest) = indexes.split_first().ok_or("the access string is empty")?;
        let mut id = btf.resolve(root);
        if kind.is_enumerator() {
            let Type::Enum { values, .. } = btf.ty(id) else { return Err("the type is not an enumeration".into()) };
            let (name, _) = values.get(first as usize).filter(|_| rest.is_empty()).ok_or("no such enumerator")?;
            spec.steps.push(Step { type_id: id, index: first, name: Some(Name::clone(name)) });
            return Ok(spec);
        }
        spec.steps.push(Step { type_id: id, index: first, name: None });
        spec.raw_length = indexes.len();
        spec.advance_elements(first, element_size(btf, id)?);
        for &index in rest {
            id = spec.parse_step(btf, id, index)?;
        }
        Ok(spec)
    }

    fn parse_step(&mut self, btf: &Btf, id: TypeId, index: u32) -> Parsed<TypeId> {
        let id = btf.resolve(id);
        match btf.ty(id) {
            Type::Struct(composite) | Type::Union(composite) => {
                let member = composite.members.get(index as usize).ok_or("no such member")?;
                self.bit_offset = self.bit_offset.wrapping_add(member.bit_offset);
                if !member.name.is_empty() {
                    self.steps.push(Step { type_id: id, index, name: Some(Name::clone(&member.name)) });
                }
                Ok(member.type_id)
            }
            Type::Array { element, count, .. } => {
                if index >= *count && !self.is_flexible(btf, *count) {
                    return Err("the index is past the end of the array".into());
                }
                let id = btf.resolve(*element);
                self.steps.push(Step { type_id: id, index, name: None });
                self.advance_elements(index, element_size(btf, id)?);
                Ok(id)
            }
            _ => Err(format!("the access string goes into type {id}, which is neither a struct nor an array")),
        }
    }

    fn advance_elements(&mut self, index: u32, size: u32) {
        self.bit_offset = self.bit_offset.wrapping_add(index.wrapping_mul(size).wrapping_mul(8));
    }

    /// Is an array of that many elements, reached by the steps so far, the flexible one at the end of a struct?
    fn is_flexible(&self, btf: &Btf, count: u32) -> bool {
        let Some(Step { type_id, index, name: Some(_) }) = self.steps.last() else { return false };
        let members = btf.ty(*type_id).composite().map_or(0, |composite| composite.members.len());
        count == 0 && *index as usize + 1 == members
    }

    /// The same way in a kernel type, or `None` if it does not have it (`bpf_core_spec_match`).
    pub(super) fn match_against(
        &self,
        types: &Compatibility<'_>,
        candidate: TypeId,
        kind: Kind,
    ) -> Parsed<Option<Spec>> {
        let mut target = Spec::new(candidate);
        if kind.is_type() {
            let fits = if kind == Kind::TypeMatches {
                types.types_match(self.root, candidate)?
            } else {
                types.types_are_compatible(self.root, candidate)?
            };
            return Ok(fits.then_some(target));
        }
        if kind.is_enumerator() {
            return Ok(self.match_enumerator(types.target, candidate).map(|step| {
                target.steps.push(step);
                target
            }));
        }
        let mut id = candidate;
        for (position, step) in self.steps.iter().enumerate() {
            let next = match &step.name {
                Some(_) => target.match_member(types, (self, position), id)?,
                None => target.match_element(types.target, step.index, id, position == 0)?,
            };
            match next {
                Some(next) => id = next,
                None => return Ok(None),
            }
        }
        Ok(Some(target))
    }

    fn match_enumerator(&self, kernel: &Btf, candidate: TypeId) -> Option<Step> {
        let type_id = kernel.resolve(candidate);
        let Type::Enum { values, .. } = kernel.ty(type_id) else { return None };
        let wanted = essential_name(self.steps.first()?.name.as_deref()?);
        let index = values.iter().position(|(name, _)| essential_name(name) == wanted)?;
        let (name, _) = values.get(index)?;
        Some(Step { type_id, index: index as u32, name: Some(Name::clone(name)) })
    }

    fn match_element(&mut self, kernel: &Btf, index: u32, id: TypeId, is_root: bool) -> Parsed<Option<TypeId>> {
        let mut id = kernel.resolve(id);
        // The first index is into an array of the root type itself.
        if !is_root {
            let Type::Array { element, count, .. } = kernel.ty(id) else { return Ok(None) };
            if index >= *count && !self.is_flexible(kernel, *count) {
                return Ok(None);
            }
            id = kernel.resolve(*element);
        }
        self.raw_length += 1;
        if self.raw_length > MAX_STEPS {
            return Err("the way into the kernel's type is too long".into());
        }
        self.steps.push(Step { type_id: id, index, name: None });
        self.advance_elements(index, element_size(kernel, id)?);
        Ok(Some(id))
    }

    /// Looks for the member of that name, into anonymous structs and unions too; returns its type
    /// (`bpf_core_match_member`).
    fn match_member(
        &mut self,
        types: &Compatibility<'_>,
        (local, position): (&Spec, usize),
        id: TypeId,
    ) -> Parsed<Option<TypeId>> {
        types.count_step()?;
        let id = types.target.resolve(id);
        let Some(composite) = types.target.ty(id).composite() else { return Ok(None) };
        let wanted = local
            .steps
            .get(position)
            .and_then(|step| types.local.ty(step.type_id).composite()?.members.get(step.index as usize));
        let Some(wanted) = wanted else { return Ok(None) };
        for (index, member) in composite.members.iter().enumerate() {
            if self.raw_length == MAX_STEPS {
                return Err("the way into the kernel's type is too long".into());
            }
            self.raw_length += 1;
            let before = self.bit_offset;
            self.bit_offset = before.wrapping_add(member.bit_offset);
            if member.name.is_empty() {
                if let Some(found) = self.match_member(types, (local, position), member.type_id)? {
                    return Ok(Some(found));
                }
            } else if member.name == wanted.name {
                if !types.fields_are_compatible(wanted.type_id, member.type_id)? {
                    return Ok(None);
                }
                self.steps.push(Step { type_id: id, index: index as u32, name: Some(Name::clone(&member.name)) });
                return Ok(Some(member.type_id));
            }
            self.bit_offset = before;
            self.raw_length -= 1;
        }
        Ok(None)
    }
}
