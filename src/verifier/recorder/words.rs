//! Words for the recorded path: what is called, what is held, which place a pointer points to.

use crate::btf::{Type, TypeId};
use crate::isa::{CallTarget, Insn};
use crate::verifier::env::Verifier;
use crate::verifier::obligations::Held;
use crate::verifier::path::PointerField;
use crate::verifier::value::{Pointer, Target, TypeRef};

/// Tags on a pointer that are looked through at most.
const MOST_TAGS: usize = 8;

impl Verifier<'_> {
    /// What a reference is to, in words.
    #[must_use]
    pub fn held_text(&self, held: Held) -> String {
        let name = |ty: TypeRef| format!("struct {}", self.type_name(ty));
        match held {
            Held::Object(ty) => format!("an object of {}", name(ty)),
            Held::PercpuObject(ty) => format!("a per-CPU object of {}", name(ty)),
            Held::Iterator(ty) => format!("an iterator ({})", name(ty)),
            Held::Other => "a reference".to_owned(),
        }
    }

    /// The helper or kfunc that an instruction calls.
    #[must_use]
    pub fn called(&self, insn: usize) -> Option<String> {
        match self.insns.get(insn)?.as_ref().ok()? {
            Insn::Call(CallTarget::Helper(id)) => Some(self.helper_name(u32::try_from(*id).ok()?)),
            Insn::Call(CallTarget::Kfunc(index)) => {
                let external = self.object.externs.get(*index as usize)?;
                Some(crate::btf::essential_name(&external.name).to_owned())
            }
            _ => None,
        }
    }

    /// The place that a pointer points to, in words: ``field `pc` of map `slots` ``, `` `head` ``.
    #[must_use]
    pub fn place_text(&self, pointer: &Pointer) -> String {
        let offset = pointer.known_offset().and_then(|offset| u32::try_from(offset).ok());
        match pointer.target {
            Target::MapValue(map) => {
                let Some(declared) = self.object.maps.get(map.index as usize) else { return "a map".to_owned() };
                let path = offset.and_then(|offset| match &declared.globals {
                    Some(section) => self.global_at(section.type_id, offset),
                    None => self.field_path(declared.definition.value_type, offset),
                });
                match (path, &declared.globals) {
                    (Some(path), Some(_)) => format!("`{path}`"),
                    (Some(path), None) => format!("field `{path}` of map `{}`", declared.name),
                    (None, _) => format!("map `{}`", declared.name),
                }
            }
            Target::Object(ty) => {
                let name = self.type_name(ty);
                let path = self.types(ty.space).ok().zip(offset).and_then(|(btf, at)| btf.member_at(ty.id, at));
                match path.filter(|place| !place.path.is_empty()) {
                    Some(place) => format!("field `{}` of an object of struct {name}", place.path),
                    None => format!("an object of struct {name}"),
                }
            }
            Target::Context => match offset.and_then(|offset| self.context_member(offset)) {
                Some(field) => format!("field `{field}` of the context"),
                None => "the context".to_owned(),
            },
            Target::Packet { .. } => "the packet".to_owned(),
            _ => "memory".to_owned(),
        }
    }

    /// The member of the context at an offset, by the type that the program's own first parameter points to.
    fn context_member(&self, offset: u32) -> Option<String> {
        let btf = self.btf.as_ref()?;
        let Type::Function { prototype, .. } = btf.ty(self.subprograms.first()?.type_id?) else { return None };
        let Type::FunctionPrototype { parameters, .. } = btf.ty(*prototype) else { return None };
        let Type::Pointer { target } = btf.ty(btf.resolve(parameters.first()?.type_id)) else { return None };
        self.field_path(*target, offset)
    }

    /// What a field of a map's value is declared as, if that is a pointer.
    #[must_use]
    pub fn pointer_field(&self, place: &Pointer) -> Option<PointerField> {
        let Target::MapValue(map) = place.target else { return None };
        let declared = self.object.maps.get(map.index as usize).filter(|map| map.globals.is_none())?;
        let offset = place.known_offset().and_then(|offset| u32::try_from(offset).ok())?;
        let btf = self.btf.as_ref()?;
        let field = btf.member_at(declared.definition.value_type, offset)?.type_id;
        let Type::Pointer { mut target } = *btf.ty(btf.resolve(field)) else { return None };
        let mut tagged = false;
        // Tags stand between a pointer and what it points to; broken BTF may go in a circle.
        for _ in 0..MOST_TAGS {
            let Type::TypeTag { target: behind, .. } = btf.ty(target) else { break };
            (tagged, target) = (true, *behind);
        }
        match btf.ty(btf.resolve(target)) {
            Type::Forward { name, .. } if tagged => Some(PointerField::Incomplete { to: format!("struct {name}") }),
            Type::Forward { name, .. } if !tagged => Some(PointerField::Untagged { to: format!("struct {name}") }),
            Type::Struct(composite) if !tagged => {
                Some(PointerField::Untagged { to: format!("struct {}", composite.name) })
            }
            _ => None,
        }
    }

    fn field_path(&self, ty: TypeId, offset: u32) -> Option<String> {
        let path = without_inside(self.btf.as_ref()?.member_at(ty, offset)?.path);
        (!path.is_empty()).then_some(path)
    }

    fn global_at(&self, section: TypeId, offset: u32) -> Option<String> {
        let btf = self.btf.as_ref()?;
        let Type::DataSection { variables, .. } = btf.ty(section) else { return None };
        let inside = |start: u32, size: u32| (start..start.saturating_add(size)).contains(&offset);
        let entry = variables.iter().find(|entry| inside(entry.offset, entry.size))?;
        let Type::Variable { name, type_id, .. } = btf.ty(entry.type_id) else { return None };
        let path = btf.member_at(*type_id, offset - entry.offset).map(|place| without_inside(place.path));
        Some(match path.unwrap_or_default() {
            path if path.is_empty() => name.to_string(),
            path if path.starts_with('[') => format!("{name}{path}"),
            path => format!("{name}.{path}"),
        })
    }
}

/// A path without what is inside the kernel's own structs, which programs see as opaque.
fn without_inside(path: String) -> String {
    match path.find("__opaque") {
        Some(inside) => path[..inside].trim_end_matches('.').to_owned(),
        None => path,
    }
}
