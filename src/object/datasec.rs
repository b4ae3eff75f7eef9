//! What the compiler leaves out of BTF's data sections: their sizes and the places of their variables.
//!
//! Follows `btf_fixup_datasec` and the end of `bpf_object__collect_externs` (`tools/lib/bpf/libbpf.c`, 6.12). Externs
//! keep their own types here: what libbpf changes them to is only for the kernel's BTF loader.

use rustc_hash::FxHashMap;

use crate::btf::{Btf, Linkage, SectionVariable, Type, TypeId};

use super::elf::{Elf, ElfSymbol};
use super::error::ObjectError;
use super::externs::Externs;

/// Completes every data section.
pub(super) fn fix_up(btf: &mut Btf, elf: &Elf<'_>, externs: &Externs) -> Result<(), ObjectError> {
    let symbols: FxHashMap<&str, &ElfSymbol<'_>> = elf
        .symbols
        .iter()
        .rev()
        .filter(|symbol| symbol.is_visible() && matches!(symbol.kind, object::elf::STT_OBJECT))
        .map(|symbol| (symbol.name, symbol))
        .collect();
    let sections: Vec<TypeId> =
        btf.iter().filter(|(_, ty)| matches!(ty, Type::DataSection { .. })).map(|(id, _)| id).collect();
    for id in sections {
        let Type::DataSection { name, size, variables } = btf.ty(id).clone() else { continue };
        let (size, mut variables) = match &*name {
            ".ksyms" => (size, variables),
            ".kconfig" => place_config(variables, externs),
            _ => place_globals(btf, elf, &symbols, &name, size, variables)?,
        };
        variables.sort_by_key(|variable| variable.offset);
        btf.replace(id, Type::DataSection { name, size, variables });
    }
    Ok(())
}

fn place_config(mut variables: Vec<SectionVariable>, externs: &Externs) -> (u32, Vec<SectionVariable>) {
    for variable in &mut variables {
        if let Some(config) = externs.config.iter().find(|config| config.declaration == variable.type_id) {
            variable.offset = config.offset;
        }
    }
    (externs.config.last().map_or(0, |last| last.offset + last.size), variables)
}

fn place_globals(
    btf: &mut Btf,
    elf: &Elf<'_>,
    symbols: &FxHashMap<&str, &ElfSymbol<'_>>,
    name: &str,
    size: u32,
    mut variables: Vec<SectionVariable>,
) -> Result<(u32, Vec<SectionVariable>), ObjectError> {
    let bad = |what: String| ObjectError::section(".BTF", format!("data section {name}: {what}"));
    let place = size == 0;
    let size = if place {
        let (_, section) = elf.section_named(name).ok_or_else(|| bad("the object has no such section".into()))?;
        u32::try_from(section.size)
            .ok()
            .filter(|&size| size > 0)
            .ok_or_else(|| bad("the object's section is empty or too large".into()))?
    } else {
        size
    };
    for variable in &mut variables {
        let Type::Variable { name: variable_name, type_id, linkage } = btf.ty(variable.type_id).clone() else {
            return Err(bad(format!("type {} is not a variable", variable.type_id)));
        };
        if linkage != Linkage::Global {
            continue;
        }
        let symbol = symbols
            .get(&*variable_name)
            .ok_or_else(|| bad(format!("the object has no symbol for variable '{variable_name}'")))?;
        if place {
            variable.offset = u32::try_from(symbol.value)
                .map_err(|_| bad(format!("variable '{variable_name}' lies outside the section")))?;
        }
        if symbol.hidden {
            btf.replace(variable.type_id, Type::Variable { name: variable_name, type_id, linkage: Linkage::Static });
        }
    }
    Ok((size, variables))
}
