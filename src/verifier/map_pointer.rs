//! Reading a map's own description through a pointer to the map, as if that pointed to the kernel's struct
//! (`check_ptr_to_map_access`, `kernel/bpf/verifier.c`, Linux 6.12).

use super::env::{Check, Verifier, reject, unsupported};
use super::memory::{Access, Mode};
use super::rule::Rule;
use super::struct_walk::{self, Found};
use super::value::{Attributes, MapRef, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::kernel::MapType;

/// The kernel's struct for a map of that type (`map_btf_id` of its operations).
#[must_use]
pub fn kernel_struct(map_type: MapType) -> Option<&'static str> {
    use MapType as M;
    Some(match map_type {
        M::Array | M::PercpuArray | M::ProgArray | M::PerfEventArray | M::CgroupArray | M::ArrayOfMaps => "bpf_array",
        M::Hash | M::LruHash | M::PercpuHash | M::LruPercpuHash | M::HashOfMaps => "bpf_htab",
        M::Arena => "bpf_arena",
        M::BloomFilter => "bpf_bloom_filter",
        M::SkStorage | M::InodeStorage | M::TaskStorage | M::CgrpStorage => "bpf_local_storage_map",
        M::StructOps => "bpf_struct_ops_map",
        M::Cpumap => "bpf_cpu_map",
        M::Devmap | M::DevmapHash => "bpf_dtab",
        M::CgroupStorage | M::PercpuCgroupStorage => "bpf_cgroup_storage_map",
        M::LpmTrie => "lpm_trie",
        M::Queue | M::Stack => "bpf_queue_stack",
        M::ReuseportSockarray => "reuseport_array",
        M::Ringbuf | M::UserRingbuf => "bpf_ringbuf_map",
        M::StackTrace => "bpf_stack_map",
        M::Sockmap => "bpf_stab",
        M::Sockhash => "bpf_shtab",
        M::Xskmap => "xsk_map",
        M::Unspec => return None,
    })
}

impl Verifier<'_> {
    /// A load from a map itself.
    pub fn check_map_pointer_access(&mut self, map_ref: MapRef, access: Access) -> Check {
        let map_type = self.map(map_ref)?.map_type;
        let Some(name) = kernel_struct(map_type) else {
            return reject(Rule::MapAccessNotSupported { map_type: map_type.number() });
        };
        self.check_may_read_structure(name)?;
        if access.offset < 0 {
            return reject(Rule::NegativeMapOffset { register: access.base, name, offset: access.offset });
        }
        if access.mode == Mode::Write {
            return reject(Rule::OnlyReadFromMap { name });
        }
        let btf = self.profile.btf.clone();
        let Some(id) = btf.find_struct(name) else {
            return unsupported(format!("struct {name}, which is not known without the kernel's BTF"));
        };
        let found = struct_walk::access(&btf, id, access.offset as u32, access.size, true)?;
        let Some(register) = access.register else { return Ok(()) };
        let loaded = match found {
            Found::Pointer { target, tag, untrusted, .. } => {
                let attributes = Attributes {
                    user: tag == struct_walk::PointerTag::User,
                    percpu: tag == struct_walk::PointerTag::Percpu,
                    trust: if untrusted { Trust::Untrusted } else { tag.trust() },
                    ..Attributes::default()
                };
                let target = Target::Object(TypeRef { space: TypeSpace::Kernel, id: target });
                Value::Pointer(Pointer::to(target).with(attributes))
            }
            Found::Scalar | Found::Struct(_) => Value::unknown(),
        };
        self.state.set(register, loaded);
        Ok(())
    }
}
