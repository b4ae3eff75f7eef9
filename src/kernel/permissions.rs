//! What the kernel lets a process do by its capabilities when it loads a program: what it asks, and where.
//!
//! A process without any capability is what `kernel.unprivileged_bpf_disabled=0` lets load programs; the processor's
//! mitigations are on. What helpers and context fields ask for stands with them, in [`super::availability`] and
//! [`super::contexts`]. Start at [`Capabilities::allow`].

use super::availability::Capabilities;
use super::enums::{MapType, ProgramType};

/// Something that the kernel lets only some processes do, with the function that asks (Linux 6.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Load types of programs other than socket filters and cgroup's packet filters (`bpf_prog_load`).
    AnyProgramType,
    /// Load a program of more than 4,096 slots (`bpf_prog_load`).
    LongProgram,
    /// Load BTF, without which the kernel knows no line, function or special field of the program (`bpf_btf_load`).
    LoadTypes,
    /// Call functions of the program or of the kernel, or take their address (`add_subprog_and_kfunc`).
    Functions,
    /// Jump backwards (`push_insn`).
    Loops,
    /// Have numbers that do not matter for safety ignored where states are compared (`__mark_reg_unknown`,
    /// `__mark_chain_precision`).
    ImpreciseNumbers,
    /// Have numbers remembered that are spilled to the stack (`check_stack_write_fixed_off`).
    SpilledNumbers,
    /// Have a number linked with another that it is a constant away from (`adjust_reg_min_max_vals`).
    LinkedSums,
    /// Keep more than 64 states for one instruction (`is_state_visited`).
    ManyStates,
    /// Have a state kept wherever paths meet (`bpf_check`).
    StateFrequency,
    /// Let addresses become numbers, and numbers be made of them (`bpf_allow_ptr_leaks`).
    PointerLeaks,
    /// Read stack that was never written (`bpf_allow_uninit_stack`).
    UninitialisedStack,
    /// Go without guards against what the processor does on a mispredicted branch (`bpf_bypass_spec_v1`). Those against
    /// loads that overtake stores (`bpf_bypass_spec_v4`) change no verdict.
    UnguardedBranches,
    /// Read the kernel's structures by their types (`check_ptr_to_btf_access`, `check_ptr_to_map_access`).
    KernelStructures,
}

impl Permission {
    /// The capability that it takes.
    #[must_use]
    pub const fn capability(self) -> Capabilities {
        match self {
            Permission::AnyProgramType
            | Permission::LongProgram
            | Permission::LoadTypes
            | Permission::Functions
            | Permission::Loops
            | Permission::ImpreciseNumbers
            | Permission::SpilledNumbers
            | Permission::LinkedSums
            | Permission::ManyStates
            | Permission::StateFrequency => Capabilities::BPF,
            Permission::PointerLeaks
            | Permission::UninitialisedStack
            | Permission::UnguardedBranches
            | Permission::KernelStructures => Capabilities::PERFMON,
        }
    }
}

impl Capabilities {
    /// May a process with these capabilities do that?
    #[must_use]
    pub fn allow(self, permission: Permission) -> bool {
        self.have(permission.capability())
    }

    /// Is the capability among them? `CAP_SYS_ADMIN` stands in for all (`bpf_token_capable`).
    #[must_use]
    pub fn have(self, capability: Capabilities) -> bool {
        capability.is_empty() || self.intersects(capability | Capabilities::SYS_ADMIN)
    }

    /// May it load programs of that type, as far as `CAP_BPF` goes (`bpf_prog_load`, `kernel/bpf/syscall.c`)?
    #[must_use]
    pub fn allow_program(self, program: ProgramType) -> bool {
        matches!(program, ProgramType::SocketFilter | ProgramType::CgroupSkb) || self.allow(Permission::AnyProgramType)
    }

    /// The capability that creating a map of that type needs (`map_create`, `kernel/bpf/syscall.c`); empty if none.
    #[must_use]
    pub fn for_map(map_type: MapType) -> Capabilities {
        use MapType as M;
        match map_type {
            M::Array
            | M::PercpuArray
            | M::ProgArray
            | M::PerfEventArray
            | M::CgroupArray
            | M::ArrayOfMaps
            | M::Hash
            | M::PercpuHash
            | M::HashOfMaps
            | M::Ringbuf
            | M::UserRingbuf
            | M::CgroupStorage
            | M::PercpuCgroupStorage => Capabilities::empty(),
            M::Sockmap | M::Sockhash | M::Devmap | M::DevmapHash | M::Xskmap => Capabilities::NET_ADMIN,
            _ => Capabilities::BPF,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_gives_its_own_permissions_and_an_administrator_has_them_all() {
        for (permission, mine, other) in [
            (Permission::Loops, Capabilities::BPF, Capabilities::PERFMON),
            (Permission::PointerLeaks, Capabilities::PERFMON, Capabilities::BPF),
        ] {
            assert!(mine.allow(permission) && Capabilities::SYS_ADMIN.allow(permission), "{permission:?}");
            assert!(!other.allow(permission) && !Capabilities::empty().allow(permission), "{permission:?}");
        }
    }

    #[test]
    fn everyone_may_filter_packets_and_create_plain_maps() {
        let nobody = Capabilities::empty();
        assert!(nobody.allow_program(ProgramType::CgroupSkb) && !nobody.allow_program(ProgramType::Xdp));
        assert!(nobody.have(Capabilities::for_map(MapType::Hash)));
        assert!(!nobody.have(Capabilities::for_map(MapType::LruHash)));
        assert!(!Capabilities::BPF.have(Capabilities::for_map(MapType::Sockmap)));
    }
}
