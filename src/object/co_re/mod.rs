//! CO-RE: adjusting instructions to the types of the kernel at hand.
//!
//! [`relocate`] walks the records of `.BTF.ext`; [`spec`] reads and matches what a record speaks of, [`compat`] compares
//! types, [`value`] computes what goes into the instruction and [`patch`] puts it there. The rules, poisoning and
//! refusals included, are libbpf's (`tools/lib/bpf/relo_core.c` and `bpf_object__relocate_core`, 6.12), against the
//! kernel's own types only: types of modules are not searched.

mod compat;
mod patch;
mod spec;
mod value;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::btf::{Btf, Type, TypeId};
use crate::isa::RawInsn;

use super::code::Code;
use super::elf::Elf;
use super::error::ObjectError;
use super::ext::{CoreRecord, Ext};
use compat::Compatibility;
use spec::{Kind, Spec};

/// Slots that need the kernel's types, with what they need.
pub(super) type UnresolvedSlots = FxHashMap<(usize, usize), Arc<str>>;
/// Why a function could not be relocated, by index.
pub(super) type Faults = FxHashMap<usize, ObjectError>;

/// The types to relocate against.
#[derive(Clone, Copy)]
pub(super) struct KernelTypes<'a> {
    pub(super) btf: &'a Btf,
    /// Are they only some of the kernel's types and fields, so that one that is not there may exist?
    pub(super) partial: bool,
}

/// Are a type of an object and a type of the kernel compatible, as a kernel function's prototype and the extern that
/// stands for it must be (`bpf_core_types_are_compat`)?
///
/// # Errors
/// Types that are nested too deeply to compare.
pub fn types_are_compatible(local: &Btf, local_id: TypeId, kernel: &Btf, kernel_id: TypeId) -> Result<bool, String> {
    Compatibility::new(local, kernel).types_are_compatible(local_id, kernel_id)
}

/// Applies the relocations of an object. Returns the faults of entry functions; a fault of a subprogram is an error,
/// since libbpf relocates those for whatever program is loaded.
pub(super) fn relocate(
    elf: &Elf<'_>,
    code: &mut Code<'_>,
    btf: &Btf,
    ext: &Ext,
    kernel: Option<KernelTypes<'_>>,
    unresolved: &mut UnresolvedSlots,
) -> Result<Faults, ObjectError> {
    let mut relocator = Relocator { btf, kernel, candidates: FxHashMap::default() };
    let mut faults = Faults::default();
    for part in &ext.core {
        let Some((section, _)) = elf.section_named(&part.section) else { continue };
        for record in &part.records {
            let bad = |what: String| ObjectError::relocation(&part.section, record.offset.into(), what);
            if record.offset % 8 != 0 {
                return Err(bad("a CO-RE relocation is not for the start of an instruction".into()));
            }
            let slot = record.offset as usize / RawInsn::SIZE;
            // Records of a weak function that another definition replaced are left over.
            let Some(index) = code.find(section, slot) else { continue };
            let function = code.functions.get(index);
            let in_subprogram = function.is_some_and(|function| code.is_subprogram(function));
            let second = function.filter(|function| function.contains(slot + 1)).map(|_| code.slot(section, slot + 1));
            match relocator.apply(record, code.slot(section, slot), second) {
                Ok(Outcome::Patched(first, second)) => {
                    write(code, section, slot, first);
                    if let Some(second) = second {
                        write(code, section, slot + 1, second);
                    }
                }
                Ok(Outcome::NeedsKernel(what)) => drop(unresolved.insert((section, slot), what)),
                Err(what) if in_subprogram => return Err(bad(what)),
                Err(what) => drop(faults.entry(index).or_insert_with(|| bad(what))),
            }
        }
    }
    Ok(faults)
}

fn write(code: &mut Code<'_>, section: usize, slot: usize, insn: RawInsn) {
    if let Some(place) = code.slot_mut(section, slot) {
        *place = insn;
    }
}

/// What became of one record.
enum Outcome {
    /// The instruction's new slots.
    Patched(RawInsn, Option<RawInsn>),
    /// It cannot be decided without the kernel's types.
    NeedsKernel(Arc<str>),
}

struct Relocator<'a> {
    btf: &'a Btf,
    kernel: Option<KernelTypes<'a>>,
    /// Kernel types of the same essential name and kind that still qualify, by the object's type.
    candidates: FxHashMap<TypeId, Vec<TypeId>>,
}

impl Relocator<'_> {
    fn apply(&mut self, record: &CoreRecord, first: RawInsn, second: Option<RawInsn>) -> Result<Outcome, String> {
        let kind = Kind::from_number(record.kind)
            .ok_or_else(|| format!("CO-RE relocation kind {} is unknown", record.kind))?;
        if self.btf.get(record.type_id).is_none() {
            return Err(format!("type {} of a CO-RE relocation does not exist", record.type_id));
        }
        let access = record.access.as_ref().ok_or("the access of a CO-RE relocation is behind the string section")?;
        let local = Spec::parse(self.btf, record.type_id, access, kind)
            .map_err(|what| format!("CO-RE relocation {}: {what}", describe(self.btf, record, kind)))?;
        let resolved = match self.kernel {
            _ if kind == Kind::TypeIdLocal => Some(value::Relocated::local_type_id(record.type_id)),
            Some(KernelTypes { btf, partial: false }) => Some(
                self.resolve(btf, &local, kind, record.type_id)
                    .map_err(|what| format!("CO-RE relocation {}: {what}", describe(self.btf, record, kind)))?,
            ),
            Some(KernelTypes { btf, partial: true }) => self.resolve_found(btf, &local, kind, record.type_id),
            None => None,
        };
        let Some(result) = resolved else {
            let what = format!("the kernel's types: {}", describe(self.btf, record, kind));
            return Ok(Outcome::NeedsKernel(Arc::from(what)));
        };
        let (first, second) = patch::patch(first, second, &result)
            .map_err(|what| format!("CO-RE relocation {}: {what}", describe(self.btf, record, kind)))?;
        Ok(Outcome::Patched(first, second))
    }

    /// What some of the kernel's types are enough for: where a field is that they have.
    fn resolve_found(&mut self, kernel: &Btf, local: &Spec, kind: Kind, id: TypeId) -> Option<value::Relocated> {
        let result = match kind {
            Kind::FieldByteOffset => self.resolve(kernel, local, kind, id).ok()?,
            Kind::FieldExists => self.resolve(kernel, local, kind, id).ok().filter(|result| result.new == 1)?,
            _ => return None,
        };
        (!result.poison && !result.bad_resize).then_some(result)
    }

    /// Matches against every candidate; all that match must agree (`bpf_core_calc_relo_insn`).
    fn resolve(
        &mut self,
        kernel: &Btf,
        local: &Spec,
        kind: Kind,
        local_id: TypeId,
    ) -> Result<value::Relocated, String> {
        let local_type = self.btf.ty(local_id);
        if local_type.name().is_empty() {
            return Err("the type has no name by which the kernel's could be found".into());
        }
        let candidates = self.candidates.entry(local_id).or_insert_with(|| find_candidates(kernel, local_type));
        let compatibility = Compatibility::new(self.btf, kernel);
        let mut agreed: Option<(u32, value::Relocated)> = None;
        let mut matching = Vec::new();
        for &candidate in candidates.iter() {
            let Some(target) = local.match_against(&compatibility, candidate, kind)? else { continue };
            let result = value::relocated(kind, (self.btf, local), Some((kernel, &target)))?;
            match &agreed {
                None => agreed = Some((target.bit_offset, result)),
                Some((offset, _)) if *offset != target.bit_offset => {
                    return Err(format!("the kernel has it at bits {offset} and {}", target.bit_offset));
                }
                Some((_, before)) if before.poison != result.poison || before.new != result.new => {
                    return Err(format!("the kernel has types that give {} and {}", before.new, result.new));
                }
                Some(_) => {}
            }
            matching.push(candidate);
        }
        match agreed {
            Some((_, result)) => {
                *candidates = matching;
                Ok(result)
            }
            None => value::relocated(kind, (self.btf, local), None),
        }
    }
}

/// Kernel types of the same kind and name, flavours aside, by ascending id (`bpf_core_add_cands`).
fn find_candidates(kernel: &Btf, local: &Type) -> Vec<TypeId> {
    kernel
        .ids_with_essential_name(local.name())
        .into_iter()
        .filter(|&id| std::mem::discriminant(kernel.ty(id)) == std::mem::discriminant(local))
        .collect()
}

/// Such as `<byte_off> struct task_struct (0:5:1)`.
fn describe(btf: &Btf, record: &CoreRecord, kind: Kind) -> String {
    let ty = btf.ty(record.type_id);
    let keyword = match ty {
        Type::Struct(_) => "struct ",
        Type::Union(_) => "union ",
        Type::Enum { .. } => "enum ",
        _ => "",
    };
    let name = if ty.name().is_empty() { "<anon>" } else { ty.name() };
    format!("<{}> {keyword}{name} ({})", kind.name(), record.access.as_deref().unwrap_or_default())
}
