//! Programs that implement a member of a kernel structure: which members there are, and what a program may store to
//! (`check_struct_ops_btf_id`, `kernel/bpf/verifier.c`; `btf_struct_access` of `net/ipv4/bpf_tcp_ca.c` and
//! `net/bpf/bpf_dummy_struct_ops.c`, Linux 6.12).

use super::env::{Check, Verifier, reject, unsupported};
use super::memory::Access;
use super::rule::{Errno, Rule};
use super::value::TypeRef;
use crate::btf::{Btf, Type, TypeId};
use crate::kernel::{StructOps, Writable, WritableField};

impl<'a> Verifier<'a> {
    /// The member that the program implements: its structure, and its name.
    #[must_use]
    pub fn implemented_member(&self) -> Option<(&'a str, &'a str)> {
        self.program.section.struct_ops_member()
    }

    /// What the kernel says of the structure that the program implements a member of.
    #[must_use]
    pub fn implemented_struct(&self) -> Option<&'static StructOps> {
        let (structure, _) = self.implemented_member()?;
        self.profile.tables().struct_ops(structure)
    }

    /// The prototype of the member that the program implements (`btf_type_resolve_func_ptr`).
    #[must_use]
    pub fn implemented_prototype(&self) -> Option<TypeId> {
        let btf = &self.profile.btf;
        let (structure, name) = self.implemented_member()?;
        let composite = btf.ty(btf.find_struct(structure)?).composite()?;
        let member = composite.members.iter().find(|member| &*member.name == name)?;
        let Type::Pointer { target } = btf.ty(btf.resolve(member.type_id)) else { return None };
        let prototype = btf.resolve(*target);
        matches!(btf.ty(prototype), Type::FunctionPrototype { .. }).then_some(prototype)
    }

    /// The kernel calls such a member.
    pub fn check_struct_ops(&mut self) -> Check {
        let Some((structure, member)) = self.implemented_member() else {
            return unsupported("a struct_ops program that no struct_ops variable refers to");
        };
        if !self.is_gpl() {
            return reject(Rule::StructOpsNeedsGpl);
        }
        let Some(ops) = self.implemented_struct() else {
            return unsupported(format!("programs that implement struct {structure}, which is not in the tables"));
        };
        if self.implemented_prototype().is_none() {
            return unsupported(format!("member {member} of struct {structure}, which is not in the kernel's BTF"));
        }
        let wrong = |errno| {
            let (member, structure) = (member.to_owned(), structure.to_owned());
            reject(Rule::UnsupportedMember { member, structure, errno })
        };
        if !ops.members.iter().any(|name| name == member) {
            return wrong(Errno::NotSupported);
        }
        if self.program.section.sleepable && !ops.may_sleep(member) {
            return wrong(Errno::Invalid);
        }
        Ok(())
    }

    /// A store to an object of the kernel's.
    pub fn check_struct_ops_store(&self, ty: TypeRef, access: Access) -> Check {
        let Some(writable) = self.implemented_struct().and_then(|ops| ops.writable.as_ref()) else {
            return reject(Rule::OnlyReadSupported);
        };
        let btf = &self.profile.btf;
        let Some(id) = btf.find_struct(&writable.structure) else {
            return unsupported(format!("struct {}, which is not known without the kernel's BTF", writable.structure));
        };
        let (offset, size) = (access.offset, access.size);
        let end = i64::from(offset) + i64::from(size);
        if writable.fields.is_empty() {
            if ty.id != id {
                return reject(Rule::OnlyAccessTo { name: writable.structure.clone() });
            }
            if btf.size_of(id).is_none_or(|bytes| end > i64::from(bytes)) {
                return reject(Rule::StoreBeyondStruct { offset, size });
            }
            return Ok(());
        }
        if ty.id != id {
            return reject(Rule::OnlyReadSupported);
        }
        let name = writable.structure.clone();
        let Some(field_end) = self.writable_field_end(writable, offset)? else {
            return reject(Rule::NoWriteSupport { name, offset });
        };
        if end > i64::from(field_end) {
            return reject(Rule::StoreBeyondField { offset, size, name, end: field_end });
        }
        Ok(())
    }

    /// Where the writable field ends that a store at that offset goes to.
    fn writable_field_end(&self, writable: &Writable, offset: i32) -> Check<Option<u32>> {
        let mut unknown = None;
        for field in &writable.fields {
            let Some((start, end)) = span(&self.profile.btf, field) else {
                unknown = Some(field);
                continue;
            };
            let (first, last) = (i64::from(start), if field.inside { i64::from(end) } else { i64::from(start) + 1 });
            if (first..last).contains(&i64::from(offset)) {
                return Ok(Some(end));
            }
        }
        match unknown {
            None => Ok(None),
            Some(field) => unsupported(format!(
                "field {} of struct {}, which is not known without the kernel's BTF",
                field.field, field.structure
            )),
        }
    }
}

/// Where a field starts and ends in its structure.
fn span(btf: &Btf, field: &WritableField) -> Option<(u32, u32)> {
    let mut id = btf.find_struct(&field.structure)?;
    let mut start = 0u32;
    for name in field.field.split('.') {
        let (inner, offset) = member_offset(btf, id, name, 0)?;
        start = start.checked_add(offset)?;
        id = inner;
    }
    Some((start, start.checked_add(btf.size_of(id)?)?))
}

/// Members without names that may be nested in each other.
const MAX_NESTING: usize = 8;

/// The type and offset of a member, also of one inside members without a name.
fn member_offset(btf: &Btf, id: TypeId, name: &str, depth: usize) -> Option<(TypeId, u32)> {
    let composite = btf.ty(btf.resolve(id)).composite()?;
    composite.members.iter().find_map(|member| {
        if &*member.name == name {
            return Some((member.type_id, member.byte_offset()));
        }
        if !member.name.is_empty() || depth >= MAX_NESTING {
            return None;
        }
        let (inner, offset) = member_offset(btf, member.type_id, name, depth + 1)?;
        Some((inner, offset.checked_add(member.byte_offset())?))
    })
}
