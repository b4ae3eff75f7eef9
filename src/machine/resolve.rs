//! What the wide loads and calls of a program name: addresses of maps and kernel variables, and models.

use std::sync::Arc;

use crate::btf::Type;
use crate::isa::{CallTarget, ImmediateSource};
use crate::kernel::Tables;
use crate::object::{Extern, ExternKind, types_are_compatible};

use super::code::{CallSite, Resolve};
use super::fault::Trap;
use super::models;
use super::region::RegionKind;
use super::stepper::Machine;
use super::types;

impl Resolve for Machine {
    fn immediate(&mut self, source: ImmediateSource) -> Result<u64, String> {
        match source {
            ImmediateSource::Value(value) => Ok(value),
            ImmediateSource::Map(map) => match self.maps.get(map as usize) {
                Some(state) => Ok(self.memory.base(state.handle)),
                None => Err(format!("map {map}, which the object does not have")),
            },
            ImmediateSource::MapValue { map, offset } => self.direct_value(map, offset),
            ImmediateSource::KernelVariable(index) => {
                let object = Arc::clone(&self.object);
                let Some(variable) = object.externs.get(index as usize) else {
                    return Err(format!("extern {index}, which the object does not have"));
                };
                if variable.kind == ExternKind::Kfunc {
                    // Only a test whether the kernel has it takes a kfunc's address.
                    if !self.has_kfunc(variable) {
                        return Ok(0);
                    }
                }
                if let Some(place) = self.per_cpu_place(bare_name(&variable.name)) {
                    return Ok(place.into());
                }
                self.variable(&variable.name).map_err(|_| "too much memory".to_owned())
            }
            ImmediateSource::Function(_) => Err("a function outside the program".to_owned()),
        }
    }

    fn arena(&mut self) -> Result<Option<u64>, String> {
        self.arena_start().map_err(|_| "more memory than the limit allows".to_owned())
    }

    fn call(&mut self, target: CallTarget) -> CallSite {
        let (name, kfunc): (Arc<str>, bool) = match target {
            CallTarget::Helper(id) => {
                let known = u32::try_from(id).ok().and_then(|id| Tables::embedded().helper(id));
                (known.map_or_else(|| format!("number {id}").into(), |helper| helper.name.as_str().into()), false)
            }
            CallTarget::Kfunc(index) => match self.object.externs.get(index as usize) {
                Some(kfunc) => (bare_name(&kfunc.name).into(), true),
                None => (format!("number {index}").into(), true),
            },
            CallTarget::Subprogram(_) => ("function".into(), false),
        };
        let model = models::find(&name).filter(|model| model.kfunc == kfunc);
        CallSite { name, kfunc, model }
    }
}

impl Machine {
    /// Has the kernel that function, with the prototype that the object declares (`bpf_object__resolve_ksym_func_btf_id`)?
    fn has_kfunc(&self, declared: &Extern) -> bool {
        let name = bare_name(&declared.name);
        let Some((kernel, id)) = self.kernel_types().and_then(|types| Some((types, types.find_function(name)?))) else {
            return Tables::embedded().kfunc(name).is_some();
        };
        let Some(local) = &self.object.btf else { return true };
        match (local.ty(declared.type_id), kernel.ty(id)) {
            (Type::Function { prototype: wanted, .. }, Type::Function { prototype, .. }) => {
                types_are_compatible(local, *wanted, kernel, *prototype).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// The address of a variable or function of the kernel, whose contents are not modelled: that of the symbol, where the object
    /// refers to it without a type.
    pub(super) fn variable(&mut self, name: &str) -> Result<u64, Box<Trap>> {
        let is_it = |one: &Extern| one.kind == ExternKind::Address && one.name == name;
        let Some(number) = self.object.externs.iter().position(is_it) else {
            return self.world.variable(&mut self.memory, name);
        };
        let region = self.memory.symbol(number as u32, RegionKind::KernelVariable { name: name.into() })?;
        Ok(self.memory.base(region))
    }

    /// Where a variable of the kernel is among those of which each CPU has a copy.
    fn per_cpu_place(&self, name: &str) -> Option<u32> {
        types::per_cpu_variables(self.kernel_types()?).find(|one| one.name == name).map(|one| one.offset)
    }
}

/// An extern's name without the `___flavour` that libbpf ignores.
fn bare_name(name: &str) -> &str {
    name.find("___").map_or(name, |end| &name[..end])
}
