//! Loading an object, step by step, in libbpf's order.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::btf::{Btf, Linkage, Type};

use super::assemble::Assembler;
use super::code::Code;
use super::elf::Elf;
use super::error::ObjectError;
use super::ext::Ext;
use super::externs::Externs;
use super::maps::{Maps, STRUCT_OPS_SECTIONS};
use super::model::{AttachKind, Object};
use super::{co_re, datasec, kconfig, relocate};

/// What is known of the kernel that the object is meant for.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// The kernel's types, for CO-RE. Without them, relocations that need them are recorded as unresolved.
    pub kernel_btf: Option<&'a Btf>,
    /// Are those only some of the kernel's types and fields? What is not found is then unresolved, and not taken for absent.
    pub kernel_btf_is_partial: bool,
    /// The kernel's build configuration (`/boot/config-*`, plain text), for `.kconfig` externs. Without it, loads of
    /// `CONFIG_` variables are recorded as unresolved.
    pub kernel_config: Option<&'a str>,
    /// Kernel version: major, minor, patch.
    pub kernel_version: (u32, u32, u32),
}

impl Default for LoadOptions<'_> {
    /// No types, no configuration, version 6.12.117.
    fn default() -> Self {
        LoadOptions {
            kernel_btf: None,
            kernel_btf_is_partial: false,
            kernel_config: None,
            kernel_version: (6, 12, 117),
        }
    }
}

impl Object {
    /// Loads an ELF object that clang compiled for BPF. `name` is what to call it, such as its file name without
    /// folder and ending.
    ///
    /// # Errors
    /// [`ObjectError`] where libbpf would not open the object, with the place. A fault of one program only is that
    /// program's [`refused`](super::Program::refused).
    pub fn parse(name: &str, bytes: &[u8], options: &LoadOptions<'_>) -> Result<Object, ObjectError> {
        let elf = Elf::parse(bytes)?;
        let mut code = Code::collect(&elf)?;
        // What is broken libbpf goes on without, where nothing needs it (`bpf_object__init_btf`).
        let mut btf = match elf.section_named(".BTF") {
            Some((_, section)) => match Btf::parse(section.data).map_err(ObjectError::from) {
                Err(error) if !error.is_unsupported() && !needs_types(&elf) => None,
                read => Some(read?),
            },
            None => None,
        };
        let externs = Externs::collect(&elf, btf.as_ref())?;
        if let Some(btf) = &mut btf {
            datasec::fix_up(btf, &elf, &externs)?;
            hide_functions(btf, &code);
        }
        let ext = match (&btf, elf.section_named(".BTF.ext")) {
            (Some(btf), Some((_, section))) => match Ext::parse(section.data, btf) {
                Err(error) if !error.is_unsupported() && !needs_types(&elf) => Ext::default(),
                read => read?,
            },
            _ => Ext::default(),
        };
        let config = kconfig::fill(&externs.config, options)?;
        let mut maps = Maps::collect(&elf, btf.as_ref(), Some(config.bytes))?;
        if let Some(btf) = &btf {
            let entries: FxHashMap<(usize, usize), usize> = code
                .entries()
                .enumerate()
                .filter_map(|(program, index)| {
                    code.functions.get(index).map(|function| ((function.section, function.start), program))
                })
                .collect();
            relocate::relocate_maps(&elf, btf, &mut maps, |section, offset| {
                let slot = usize::try_from(offset / 8).ok().filter(|_| offset % 8 == 0)?;
                entries.get(&(section, slot)).copied()
            })?;
        }

        let mut unresolved = FxHashMap::default();
        let faults = match &btf {
            Some(btf) => {
                let kernel =
                    options.kernel_btf.map(|btf| co_re::KernelTypes { btf, partial: options.kernel_btf_is_partial });
                co_re::relocate(&elf, &mut code, btf, &ext, kernel, &mut unresolved)?
            }
            None => FxHashMap::default(),
        };
        let (functions, configs) = relocate::relocate_code(&elf, &mut code, &maps, &externs)?;
        for (at, variable) in configs {
            if config.unknown.contains(&variable) {
                let name = externs.config.get(variable).map_or("", |variable| &variable.name);
                unresolved.insert(at, Arc::from(format!("the kernel's configuration: {name}")));
            }
        }
        let assembler = Assembler {
            elf: &elf,
            code: &code,
            btf: btf.as_ref(),
            ext: &ext,
            functions: &functions,
            unresolved: &unresolved,
            faults: &faults,
        };
        let mut object = Object {
            name: name.to_owned(),
            license: license(&elf),
            programs: assembler.programs()?,
            maps: maps.maps,
            externs: externs.kernel,
            btf: btf.map(Arc::new),
        };
        object.name_struct_ops_targets();
        Ok(object)
    }

    /// A `struct_ops` program's target is the member that its address is stored in.
    fn name_struct_ops_targets(&mut self) {
        let Some(btf) = &self.btf else { return };
        for map in &self.maps {
            let Some(composite) = btf.ty(map.definition.value_type).composite() else { continue };
            for &(offset, program) in map.initial_programs.iter() {
                let member = composite.members.iter().find(|member| member.byte_offset() == offset);
                if let (Some(member), Some(program)) = (member, self.programs.get_mut(program as usize))
                    && program.section.attach_kind == AttachKind::StructOps
                {
                    program.section.target = format!("{}/{}", composite.name, member.name);
                }
            }
        }
    }
}

/// Has the object maps or implementations of the kernel's structures (`libbpf_needs_btf`)?
fn needs_types(elf: &Elf<'_>) -> bool {
    let implements = |name| elf.section_named(name).is_some_and(|(_, section)| section.size > 0);
    elf.section_named(".maps").is_some() || STRUCT_OPS_SECTIONS.into_iter().any(implements)
}

fn license(elf: &Elf<'_>) -> String {
    let bytes = elf.section_named("license").map_or(&[][..], |(_, section)| section.data);
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    // libbpf keeps 63 bytes.
    String::from_utf8_lossy(text.get(..63).unwrap_or(text)).into_owned()
}

/// A global function whose symbol is hidden is verified as a static one (libbpf's `mark_btf_static`).
fn hide_functions(btf: &mut Btf, code: &Code<'_>) {
    for function in code.functions.iter().filter(|function| function.hidden && code.is_subprogram(function)) {
        if let Some(id) = btf.find_function(function.name)
            && let Type::Function { name, prototype, .. } = btf.ty(id).clone()
        {
            btf.replace(id, Type::Function { name, prototype, linkage: Linkage::Static });
        }
    }
}
