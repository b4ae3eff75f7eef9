//! Accesses to structs described by BTF, the kernel's and the program's own (`check_ptr_to_btf_access`,
//! `kernel/bpf/verifier.c`, Linux 6.12).

use super::env::{Check, Verifier, reject, unsupported};
use super::memory::{Access, Mode};
use super::rule::Rule;
use super::struct_walk::{self, Found, PointerTag};
use super::value::{Attributes, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::{Type, TypeId};
use crate::isa::Register;
use crate::kernel::{FieldTrust, ProgramType};
use crate::object::ExternKind;
use crate::seeded::{self, Fault};

impl Verifier<'_> {
    /// A load from or store to a struct.
    pub fn check_object_access(&mut self, pointer: &Pointer, ty: TypeRef, access: Access) -> Check {
        self.check_may_read_structure(&self.type_name(ty))?;
        self.check_object_pointer(pointer, ty, access)?;
        let attributes = pointer.attributes;
        if access.mode == Mode::Write {
            if attributes.trust == Trust::Untrusted {
                return reject(Rule::OnlyReadSupported);
            }
            if !attributes.allocated {
                return self.check_kernel_struct_write(ty, access);
            }
        }
        let known_owner = pointer.is_non_owning() || attributes.trust == Trust::Rcu || pointer.reference != 0;
        if attributes.allocated && !known_owner {
            return reject(Rule::OwnerUnknown);
        }
        let offset = access.offset as u32;
        self.check_special_fields(attributes, ty, offset, access.size)?;
        let found = struct_walk::access(self.types(ty.space)?, ty.id, offset, access.size, !attributes.allocated)?;
        let (Mode::Read, Some(register)) = (access.mode, access.register) else { return Ok(()) };
        let loaded = match found {
            Found::Pointer { target, field, tag, untrusted } if !attributes.allocated => {
                self.loaded_pointer(pointer, ty, target, &field, tag, untrusted)
            }
            _ => Value::unknown(),
        };
        self.state.set(register, loaded);
        Ok(())
    }

    fn check_object_pointer(&self, pointer: &Pointer, ty: TypeRef, access: Access) -> Check {
        let register = access.base;
        let name = || self.type_name(ty);
        if ty.space == TypeSpace::Kernel && !self.is_gpl() {
            return reject(Rule::KernelStructWithoutGpl { name: name() });
        }
        if access.offset < 0 {
            return reject(Rule::NegativeObjectOffset { register, name: name(), offset: access.offset });
        }
        if !pointer.variable.var_off.equals_const(0) {
            return reject(Rule::VariableObjectOffset {
                register,
                name: name(),
                offset: access.offset,
                variable: pointer.variable.var_off,
            });
        }
        if pointer.attributes.user {
            return reject(Rule::UserMemory { register, name: name(), offset: access.offset });
        }
        if pointer.attributes.percpu && !seeded::active(Fault::PercpuUsedPlain) {
            return reject(Rule::PercpuMemory { register, name: name(), offset: access.offset });
        }
        Ok(())
    }

    /// Some program types may write to some fields of some kernel structs.
    fn check_kernel_struct_write(&self, ty: TypeRef, access: Access) -> Check {
        if self.program_type() == Some(ProgramType::StructOps) {
            return self.check_struct_ops_store(ty, access);
        }
        if self.profile.may_write_kernel_structs(self.program.section.program_type) {
            return unsupported(format!("a store to the kernel's struct {}", self.type_name(ty)));
        }
        reject(Rule::OnlyReadSupported)
    }

    fn check_special_fields(&self, attributes: Attributes, ty: TypeRef, offset: u32, size: u32) -> Check {
        if !attributes.allocated {
            return Ok(());
        }
        match self.local_fields(ty).and_then(|fields| fields.overlapping(offset, size)) {
            Some(field) => reject(Rule::DirectAccessToField { field: field.name() }),
            None => Ok(()),
        }
    }

    /// What trust a pointer has that was read from a struct.
    fn loaded_pointer(
        &mut self,
        from: &Pointer,
        ty: TypeRef,
        target: TypeId,
        field: &str,
        tag: PointerTag,
        through_union: bool,
    ) -> Value {
        let mut attributes = Attributes {
            user: tag == PointerTag::User,
            percpu: tag == PointerTag::Percpu,
            trust: if through_union { Trust::Untrusted } else { tag.trust() },
            ..Attributes::default()
        };
        if from.attributes.trust == Trust::Untrusted {
            attributes = Attributes { trust: Trust::Untrusted, ..Attributes::default() };
        } else if from.is_trusted() || from.is_rcu() {
            attributes = self.trust_of_loaded(attributes, ty, field, tag, through_union);
        } else if attributes.trust == Trust::Rcu {
            attributes.trust = Trust::Plain;
        }
        let id = if attributes.nullable { self.new_id() } else { 0 };
        let target = Target::Object(TypeRef { space: ty.space, id: target });
        Value::Pointer(Pointer { id, ..Pointer::to(target).with(attributes) })
    }

    fn trust_of_loaded(
        &self,
        mut attributes: Attributes,
        ty: TypeRef,
        field: &str,
        tag: PointerTag,
        through_union: bool,
    ) -> Attributes {
        let declared = self.profile.field_trust(self.type_of(ty).name(), field);
        match declared {
            Some(FieldTrust::Trusted) => attributes.trust = Trust::Trusted,
            Some(FieldTrust::TrustedOrNull) => {
                attributes.trust = Trust::Trusted;
                attributes.nullable = true;
            }
            _ if !self.in_rcu_section() => {
                attributes = Attributes { trust: Trust::Untrusted, ..Attributes::default() };
            }
            Some(FieldTrust::Rcu) => attributes.trust = Trust::Rcu,
            Some(FieldTrust::RcuOrNull) => {
                attributes.trust = Trust::Rcu;
                attributes.nullable = true;
            }
            None if tag == PointerTag::Rcu => {
                // Read through a union it stays untrusted besides.
                attributes.trust = if through_union { Trust::Untrusted } else { Trust::Rcu };
                attributes.nullable = true;
            }
            None => {}
        }
        attributes
    }

    /// Do the types match: the same struct, or, unless `strict`, one that has it at that offset
    /// (`btf_struct_ids_match`)?
    #[must_use]
    pub fn types_match(&self, found: TypeRef, offset: i32, wanted: TypeRef, strict: bool, flexible: bool) -> bool {
        if offset == 0 && found == wanted {
            return true;
        }
        if strict || found.space != wanted.space || offset < 0 {
            return false;
        }
        let Ok(btf) = self.types(found.space) else { return false };
        struct_walk::has_struct_at(btf, found.id, offset as u32, flexible, |inner| inner == wanted.id)
    }

    /// A pointer whose offset must be fixed, and zero unless `fixed_allowed` (`__check_ptr_off_reg`).
    pub fn check_fixed_offset(&self, pointer: &Pointer, register: Register, fixed_allowed: bool) -> Check {
        let name = || pointer.kernel_name();
        if pointer.offset < 0 {
            return reject(Rule::NegativeOffset { register, pointer: name(), offset: pointer.offset });
        }
        if !fixed_allowed && pointer.offset != 0 {
            return reject(Rule::ModifiedPointer { register, pointer: name(), offset: pointer.offset });
        }
        if !pointer.variable.var_off.equals_const(0) {
            return reject(Rule::VariableOffset { pointer: name(), variable: pointer.variable.var_off });
        }
        Ok(())
    }

    /// The special fields of a struct of the program, such as `bpf_obj_new` allocates.
    #[must_use]
    pub fn local_fields(&self, ty: TypeRef) -> Option<&super::maps::Fields> {
        if ty.space != TypeSpace::Program {
            return None;
        }
        self.local_fields.get(&ty.id)
    }

    /// Does the pointer lead to something that has a `bpf_spin_lock`?
    #[must_use]
    pub fn may_point_to_lock(&self, pointer: &Pointer) -> bool {
        self.fields_of(pointer).is_some_and(super::maps::Fields::has_lock)
    }

    /// The special fields of what a pointer points to (`reg_btf_record`).
    #[must_use]
    pub fn fields_of(&self, pointer: &Pointer) -> Option<&super::maps::Fields> {
        match pointer.target {
            Target::MapValue(map) if !pointer.attributes.nullable => self.map(map).ok()?.fields.as_ref(),
            Target::Object(ty) if pointer.is_allocated_object() => self.local_fields(ty),
            _ => None,
        }
    }

    /// The value of a kernel variable's address (`check_pseudo_btf_id`).
    pub fn kernel_variable(&mut self, index: u32) -> Check<Value> {
        let Some(external) = self.object.externs.get(index as usize) else {
            return unsupported(format!("extern number {index} does not exist"));
        };
        let known = self.profile.has_kernel_btf();
        match external.kind {
            ExternKind::Address => return Ok(Value::constant(self.symbol_address(index, &external.name))),
            ExternKind::Kfunc => {
                if self.kernel_function(external)?.is_none() {
                    return Ok(Value::constant(0));
                }
                let attributes = Attributes { read_only: true, ..Attributes::default() };
                return Ok(Value::Pointer(Pointer::to(Target::Memory { size: 0, dynptr: 0 }).with(attributes)));
            }
            ExternKind::Variable => {}
        }
        let found = self.profile.btf.find(&external.name, |ty| matches!(ty, Type::Variable { .. }));
        let Some(id) = found else {
            if external.weak && known {
                return Ok(Value::constant(0));
            }
            return unsupported(format!(
                "the kernel variable {}; its type is not known without the kernel's BTF",
                external.name
            ));
        };
        let Type::Variable { type_id, .. } = self.profile.btf.ty(id) else {
            return unsupported("a kernel variable that is none");
        };
        let btf = &self.profile.btf;
        let ty = btf.resolve(*type_id);
        let percpu = self.profile.is_percpu_variable(id);
        let target = TypeRef { space: TypeSpace::Kernel, id: if percpu { *type_id } else { ty } };
        if percpu {
            let attributes = Attributes { percpu: true, ..Attributes::default() };
            return Ok(Value::Pointer(Pointer::to(Target::Object(target)).with(attributes)));
        }
        if btf.ty(ty).composite().is_some() {
            return Ok(Value::Pointer(Pointer::to(Target::Object(target))));
        }
        let Some(size) = btf.size_of(ty) else {
            return unsupported(format!("the kernel variable {}, whose size is unknown", external.name));
        };
        let attributes = Attributes { read_only: true, ..Attributes::default() };
        Ok(Value::Pointer(Pointer::to(Target::Memory { size, dynptr: 0 }).with(attributes)))
    }
}
