//! The kernel functions that externs stand for, as libbpf resolves them before it loads a program
//! (`bpf_object__resolve_ksym_func_btf_id`, `tools/lib/bpf/libbpf.c`, 6.12).

use super::env::{Check, Verifier, unsupported};
use crate::btf::{Type, TypeId, essential_name};
use crate::object::{Extern, types_are_compatible};

impl Verifier<'_> {
    /// Is there such a function in the kernel? Where there is none the loader puts a call of no function in its place.
    #[must_use]
    pub fn kernel_has_kfunc(&self, index: u32) -> bool {
        let external = self.object.externs.get(index as usize);
        external.is_some_and(|external| matches!(self.kernel_function(external), Ok(Some(_))))
    }

    /// The kernel function that an extern stands for: that of its name, flavour aside, if its prototype is compatible.
    /// `None`: a weak one that the kernel lacks.
    pub fn kernel_function(&self, external: &Extern) -> Check<Option<TypeId>> {
        let btf = &self.profile.btf;
        let name = essential_name(&external.name);
        let known = self.profile.has_kernel_btf();
        let missing = |why: &str| match external.weak && known {
            true => Ok(None),
            false => unsupported(format!("kfunc {name}, {why}")),
        };
        let Some(id) = btf.find_function(name) else {
            return missing("which is not in the kernel's BTF or the tables");
        };
        if !known {
            return match external.weak && name != external.name {
                true => unsupported(format!("weak extern {}, which may fit the kernel's {name} or not", external.name)),
                false => Ok(Some(id)),
            };
        }
        let Some(local) = &self.btf else { return Ok(Some(id)) };
        let (Type::Function { prototype: declared, .. }, Type::Function { prototype, .. }) =
            (local.ty(external.type_id), btf.ty(id))
        else {
            return unsupported(format!("kfunc {name}, which is no function"));
        };
        match types_are_compatible(local, *declared, btf, *prototype) {
            Ok(true) => Ok(Some(id)),
            Ok(false) => missing("whose prototype in the program is not the kernel's, so that the loader refuses it"),
            Err(why) => unsupported(format!("kfunc {name}: {why}")),
        }
    }
}
