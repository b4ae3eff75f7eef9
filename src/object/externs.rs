//! Externs: what the object expects the kernel (`.ksyms`) or its configuration (`.kconfig`) to provide.
//!
//! Follows `bpf_object__collect_externs` (`tools/lib/bpf/libbpf.c`, 6.12).

use rustc_hash::FxHashMap;

use crate::btf::{Btf, Linkage, Type, TypeId};

use super::elf::Elf;
use super::error::ObjectError;
use super::kconfig::{ConfigKind, ConfigVariable};
use super::model::{Extern, ExternKind};

/// What an undefined symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExternRef {
    /// Index into [`Externs::kernel`].
    Kernel(usize),
    /// Index into [`Externs::config`].
    Config(usize),
}

/// All externs of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Externs {
    /// Those of `.ksyms`, by name.
    pub(super) kernel: Vec<Extern>,
    /// Those of `.kconfig`, in the order in which they lie in memory.
    pub(super) config: Vec<ConfigVariable>,
    /// By index of the ELF symbol.
    pub(super) by_symbol: FxHashMap<usize, ExternRef>,
}

/// What is wrong with an extern that the kernel cannot resolve: libbpf loads whole programs only.
pub(super) const ELSEWHERE: &str = "it stands neither in .ksyms nor in .kconfig, so another object must define it; join \
    the two with `bpftool gen object JOINED.bpf.o THIS.bpf.o OTHER.bpf.o`";

impl Externs {
    /// Finds the externs and lays `.kconfig` out.
    pub(super) fn collect(elf: &Elf<'_>, btf: Option<&Btf>) -> Result<Self, ObjectError> {
        let section_of = btf.map(sections_of_variables).unwrap_or_default();
        let (mut kernel, mut config) = (Vec::new(), Vec::new());
        for (index, symbol) in elf.symbols.iter().enumerate() {
            if !symbol.is_extern() || symbol.name.is_empty() {
                continue;
            }
            let bad = |what: &str| ObjectError::external(symbol.name, what);
            let btf = btf.ok_or_else(|| bad("the object has no BTF to describe it"))?;
            let type_id = find_declaration(btf, symbol.name).ok_or_else(|| bad("BTF has no extern of that name"))?;
            let section = section_of.get(&type_id).ok_or_else(|| bad(ELSEWHERE))?;
            let weak = symbol.binding == object::elf::STB_WEAK;
            match btf.ty(*section).name() {
                ".kconfig" => config.push((index, ConfigVariable::describe(btf, symbol.name, type_id, weak)?)),
                ".ksyms" => {
                    let kind = kind_of(btf, type_id);
                    kernel.push((index, Extern { name: symbol.name.to_owned(), kind, weak, type_id, number: 0 }));
                }
                _ => return Err(bad(ELSEWHERE)),
            }
        }
        Ok(Self::order(kernel, config))
    }

    /// Brings both kinds into libbpf's order (`cmp_externs`): configuration first, by falling alignment, size, name.
    fn order(mut kernel: Vec<(usize, Extern)>, mut config: Vec<(usize, ConfigVariable)>) -> Self {
        config.sort_by(|(_, a), (_, b)| {
            (b.alignment, a.size, a.name.as_bytes()).cmp(&(a.alignment, b.size, b.name.as_bytes()))
        });
        kernel.sort_by(|(_, a), (_, b)| a.name.as_bytes().cmp(b.name.as_bytes()));
        let mut externs = Externs::default();
        let mut end = 0u32;
        for (index, (symbol, mut variable)) in config.into_iter().enumerate() {
            variable.offset = end.next_multiple_of(variable.alignment.max(1));
            end = variable.offset.saturating_add(variable.size);
            externs.by_symbol.insert(symbol, ExternRef::Config(index));
            externs.config.push(variable);
        }
        for (index, (symbol, mut external)) in kernel.into_iter().enumerate() {
            external.number = (externs.config.len() + index) as u32;
            externs.by_symbol.insert(symbol, ExternRef::Kernel(index));
            externs.kernel.push(external);
        }
        externs
    }
}

/// Which `DATASEC` each variable or function is listed in.
fn sections_of_variables(btf: &Btf) -> FxHashMap<TypeId, TypeId> {
    let mut sections = FxHashMap::default();
    for (id, ty) in btf.iter() {
        if let Type::DataSection { variables, .. } = ty {
            for variable in variables {
                sections.entry(variable.type_id).or_insert(id);
            }
        }
    }
    sections
}

/// The first function or variable of that name, if it is an extern.
fn find_declaration(btf: &Btf, name: &str) -> Option<TypeId> {
    let id = btf.find(name, |ty| matches!(ty, Type::Variable { .. } | Type::Function { .. }))?;
    match btf.ty(id) {
        Type::Variable { linkage: Linkage::Extern, .. } | Type::Function { linkage: Linkage::Extern, .. } => Some(id),
        _ => None,
    }
}

fn kind_of(btf: &Btf, declaration: TypeId) -> ExternKind {
    match btf.ty(declaration) {
        Type::Function { .. } => ExternKind::Kfunc,
        Type::Variable { type_id, .. } if *btf.ty(btf.resolve(*type_id)) != Type::Void => ExternKind::Variable,
        _ => ExternKind::Address,
    }
}

impl ConfigVariable {
    fn describe(btf: &Btf, name: &str, declaration: TypeId, weak: bool) -> Result<Self, ObjectError> {
        let bad = || ObjectError::external(name, "its type is not one that .kconfig can fill");
        let Type::Variable { type_id, .. } = btf.ty(declaration) else {
            return Err(ObjectError::external(name, "a function cannot be in .kconfig"));
        };
        let kind = ConfigKind::of(btf, *type_id, 0).ok_or_else(bad)?;
        let size = btf.size_of(*type_id).filter(|size| (1..=1 << 16).contains(size)).ok_or_else(bad)?;
        let alignment = match kind {
            ConfigKind::Text => 1,
            _ => size.min(8),
        };
        Ok(ConfigVariable { name: name.to_owned(), kind, size, alignment, offset: 0, weak, declaration })
    }
}
