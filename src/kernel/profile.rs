//! One kernel build, as the verifier sees it: its types and its tables together.
//!
//! Types come from the kernel's own BTF if there is one, else from the built-in declarations
//! ([`super::default_types`]). Start at [`Profile`].

use std::sync::{Arc, OnceLock};

use super::availability::{Capabilities, ProgramFacts};
use super::default_types;
use super::enums::{AttachType, MapType, ProgramType};
use super::helper::HelperProto;
use super::kfunc::Kfunc;
use super::special::FieldTrust;
use super::tables::Tables;
use crate::btf::{Btf, Type, TypeId};
use crate::object::{LoadOptions, Section};

/// Licences that count as GPL (`license_is_gpl_compatible`, `include/linux/license.h`, Linux 6.12).
const GPL_COMPATIBLE: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// Does that licence allow what is exported to the GPL only?
#[must_use]
pub fn is_gpl_compatible(license: &str) -> bool {
    GPL_COMPATIBLE.contains(&license)
}

/// Number of the helper that jumps to another program.
pub const HELPER_TAIL_CALL: i32 = 12;

/// CPUs of the kernel unless something else is said.
const DEFAULT_CPUS: u32 = 4;

/// A kernel build.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its build, such as `6.12.117+deb12-cloud-amd64`.
    pub build: String,
    /// Its types.
    pub btf: Arc<Btf>,
    /// CPUs that it may have, which bounds what `bpf_get_smp_processor_id` gives.
    pub cpus: u32,
    /// Are the types the kernel's own, so that what is not there does not exist?
    complete: bool,
    tables: TablesRef,
    /// Per-CPU variables, ascending; looked for when first asked for.
    percpu_variables: OnceLock<Vec<TypeId>>,
}

#[derive(Clone, Debug)]
enum TablesRef {
    Embedded(&'static Tables),
    Own(Arc<Tables>),
}

impl Profile {
    /// The build whose tables are embedded, with the types that are built in.
    #[must_use]
    pub fn embedded() -> Profile {
        Profile::from_tables(TablesRef::Embedded(Tables::embedded()))
    }

    /// The same, with tables that a user has added to.
    #[must_use]
    pub fn with_tables(tables: Tables) -> Profile {
        Profile::from_tables(TablesRef::Own(Arc::new(tables)))
    }

    fn from_tables(tables: TablesRef) -> Profile {
        let btf = Arc::new(default_types::build(tables.get()));
        Profile {
            build: default_types::BUILD.to_owned(),
            btf,
            cpus: DEFAULT_CPUS,
            complete: false,
            tables,
            percpu_variables: OnceLock::from(Vec::new()),
        }
    }

    /// A build's own types, with the tables that are embedded or, if given, those that a user has added to.
    #[must_use]
    pub fn of_kernel(build: impl Into<String>, btf: Btf, tables: Option<Tables>) -> Profile {
        let embedded = || TablesRef::Embedded(Tables::embedded());
        Profile {
            build: build.into(),
            percpu_variables: OnceLock::new(),
            btf: Arc::new(btf),
            cpus: DEFAULT_CPUS,
            complete: true,
            tables: tables.map_or_else(embedded, |tables| TablesRef::Own(Arc::new(tables))),
        }
    }

    /// The same tables with a build's own types.
    #[must_use]
    pub fn with_types(self, build: impl Into<String>, btf: Btf) -> Profile {
        let (build, btf, percpu_variables) = (build.into(), Arc::new(btf), OnceLock::new());
        Profile { build, btf, percpu_variables, complete: true, ..self }
    }

    /// The same build with tables that a user has added to.
    #[must_use]
    pub fn and_tables(self, tables: Tables) -> Profile {
        if !self.complete {
            // The built-in types are made of the tables.
            return Profile::with_tables(tables);
        }
        Profile { tables: TablesRef::Own(Arc::new(tables)), ..self }
    }

    /// Tables of helpers, kfuncs and special types.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        self.tables.get()
    }

    /// Are the types the kernel's own, so that what is not among them does not exist?
    #[must_use]
    pub fn has_kernel_btf(&self) -> bool {
        self.complete
    }

    /// How objects are loaded for this kernel: with its types, or those that are built in.
    #[must_use]
    pub fn load_options(&self) -> LoadOptions<'_> {
        LoadOptions { kernel_btf: Some(&self.btf), kernel_btf_is_partial: !self.complete, ..LoadOptions::default() }
    }

    /// Are all fields of that kernel struct known?
    #[must_use]
    pub fn is_complete(&self, name: &str) -> bool {
        self.complete || self.tables().structure(name).is_some_and(|structure| structure.complete)
    }

    /// A helper's name.
    #[must_use]
    pub fn helper_name(&self, id: u32) -> Option<&str> {
        self.tables().helper(id).map(|helper| helper.name.as_str())
    }

    /// May that helper change the packet?
    #[must_use]
    pub fn helper_changes_packet(&self, id: u32) -> bool {
        self.tables().helper(id).is_some_and(|helper| helper.changes_packet)
    }

    /// The highest helper number.
    #[must_use]
    pub fn last_helper(&self) -> u32 {
        self.tables().last_helper()
    }

    /// Facts about a program that decide what it may call, loaded by a process with all capabilities.
    #[must_use]
    pub fn facts<'a>(
        &self,
        program: ProgramType,
        attach: Option<AttachType>,
        section: &'a Section,
    ) -> ProgramFacts<'a> {
        ProgramFacts {
            program,
            attach,
            sleepable: section.sleepable,
            capabilities: Capabilities::all(),
            target: &section.target,
            struct_ops: section.struct_ops_member(),
        }
    }

    /// How a helper is checked for such a program, if it may call it when a process with these capabilities loads it.
    #[must_use]
    pub fn helper_for(
        &self,
        program: ProgramType,
        attach: Option<AttachType>,
        section: &Section,
        capabilities: Capabilities,
        id: u32,
    ) -> Option<&'static HelperProto> {
        let facts = ProgramFacts { capabilities, ..self.facts(program, attach, section) };
        self.tables().helper_for(id, &facts)
    }

    /// A kfunc that such a program may call.
    #[must_use]
    pub fn kfunc_for(
        &self,
        name: &str,
        program: ProgramType,
        attach: Option<AttachType>,
        section: &Section,
    ) -> Option<&Kfunc> {
        self.tables().kfunc_for(name, &self.facts(program, attach, section))
    }

    /// Do a map's type and a helper go together (`check_map_func_compatibility`, `kernel/bpf/verifier.c`)?
    #[must_use]
    pub fn map_allows_helper(&self, map_type: MapType, id: u32) -> bool {
        let Some(helper) = self.tables().helper(id) else { return false };
        let by_map = self.tables().map_helpers(map_type).is_none_or(|entry| entry.helpers.contains(&helper.name));
        by_map && (helper.maps.is_empty() || helper.maps.contains(&map_type))
    }

    /// Does RCU keep objects of that kernel struct alive?
    #[must_use]
    pub fn is_rcu_protected(&self, name: &str) -> bool {
        self.tables().special().rcu_protected.iter().any(|protected| protected == name)
    }

    /// How far a pointer read from that field of that struct is trusted.
    #[must_use]
    pub fn field_trust(&self, structure: &str, field: &str) -> Option<FieldTrust> {
        self.tables().special().field_trust(structure, field)
    }

    /// Has that kernel struct a function that frees it, so that a map field may own one?
    #[must_use]
    pub fn has_destructor(&self, structure: &str) -> bool {
        self.tables().destructor(structure).is_some()
    }

    /// The C type of the context as programs of that type see it, such as `struct __sk_buff`.
    #[must_use]
    pub fn context_type(&self, program: ProgramType) -> Option<&str> {
        self.program_entry(program).map(|entry| entry.context.as_str())
    }

    /// The C type of the context as the kernel has it, such as `struct sk_buff`.
    #[must_use]
    pub fn kernel_context_type(&self, program: ProgramType) -> Option<&str> {
        self.program_entry(program).map(|entry| entry.kernel_context.as_str())
    }

    fn program_entry(&self, program: ProgramType) -> Option<&super::availability::ProgramEntry> {
        self.tables().availability().programs.get(program.name())
    }

    /// May programs of that type (by number) store to some kernel structs (`btf_struct_access`)?
    #[must_use]
    pub fn may_write_kernel_structs(&self, program: u32) -> bool {
        matches!(
            ProgramType::from_number(program),
            Some(ProgramType::SchedCls | ProgramType::SchedAct | ProgramType::Xdp)
        )
    }

    /// May fmod_ret programs change the result of that function? (By name or, for LSM hooks, by prefix; builds with
    /// error injection allow more.)
    #[must_use]
    pub fn result_is_modifiable(&self, function: &str) -> bool {
        function.starts_with("security_") || self.tables().special().fmod_ret.iter().any(|one| one.name == function)
    }

    /// May a program that is attached to that function sleep?
    #[must_use]
    pub fn may_sleep_when_attached_to(&self, function: &str) -> bool {
        self.tables()
            .special()
            .fmod_ret
            .iter()
            .any(|one| one.name == function && one.flags.contains(super::kfunc::KfuncFlags::SLEEPABLE))
    }

    /// May programs of that kind change maps of sockets (`may_update_sockmap`, `kernel/bpf/verifier.c`)? `None` if the
    /// map's type and the helper have no such rule.
    #[must_use]
    pub fn may_update_sockmap(
        &self,
        map_type: MapType,
        helper: u32,
        program: ProgramType,
        attach: Option<AttachType>,
    ) -> Option<bool> {
        let name = self.helper_name(helper)?;
        let ruled = self.tables().map_helpers(map_type)?.or_rules.iter().any(|rule| rule == "may_update_sockmap");
        if !ruled || !matches!(name, "bpf_map_update_elem" | "bpf_map_delete_elem") {
            return None;
        }
        Some(match program {
            ProgramType::Tracing => attach == Some(AttachType::TraceIter),
            ProgramType::SockOps => name == "bpf_map_delete_elem",
            ProgramType::SocketFilter
            | ProgramType::SchedCls
            | ProgramType::SchedAct
            | ProgramType::Xdp
            | ProgramType::SkReuseport
            | ProgramType::FlowDissector
            | ProgramType::SkLookup => true,
            _ => false,
        })
    }

    /// Is it a variable of which each CPU has a copy?
    #[must_use]
    pub fn is_percpu_variable(&self, id: TypeId) -> bool {
        self.percpu_variables.get_or_init(|| percpu_variables(&self.btf)).binary_search(&id).is_ok()
    }
}

impl TablesRef {
    fn get(&self) -> &Tables {
        match self {
            TablesRef::Embedded(tables) => tables,
            TablesRef::Own(tables) => tables,
        }
    }
}

fn percpu_variables(btf: &Btf) -> Vec<TypeId> {
    let mut found: Vec<TypeId> = btf
        .ids_named(".data..percpu")
        .filter_map(|id| match btf.ty(id) {
            Type::DataSection { variables, .. } => Some(variables.iter().map(|variable| variable.type_id)),
            _ => None,
        })
        .flatten()
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_tables_and_a_kernels_own_types_go_together() {
        let types = || {
            let header = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
            Btf::parse(&[&header[..], &[0]].concat()).expect("no types at all")
        };
        let tables = || Tables::embedded().clone();
        let is_own = |profile: &Profile| matches!(profile.tables, TablesRef::Own(_));
        for profile in [
            Profile::with_tables(tables()).with_types("a build", types()),
            Profile::embedded().with_types("a build", types()).and_tables(tables()),
        ] {
            assert!(profile.has_kernel_btf() && is_own(&profile), "in either order");
            assert_eq!(profile.build, "a build");
        }
        let built_in = Profile::embedded().and_tables(tables());
        assert!(!built_in.has_kernel_btf() && is_own(&built_in));
    }
}
