//! What the instructions refer to, checked before any path is explored: opcodes, maps, and whether a map's fields may
//! be used by such a program (`resolve_pseudo_ldimm64`, `check_map_prog_compatibility`, `kernel/bpf/verifier.c`,
//! Linux 6.12).

use super::env::{Check, Verifier, reject, unsupported};
use super::maps::MapInfo;
use super::rule::{Errno, Rule};
use crate::btf::fields::FieldKind;
use crate::isa::{CallTarget, DecodeError, ImmediateSource, Insn, opcode};
use crate::kernel::limits::{USED_MAPS, VARIABLE_OFFSET};
use crate::kernel::{MapType, ProgramType};
use crate::object::RAW_REFERENCE;

/// Map types that a program which may sleep can use.
const FOR_SLEEPABLE: [MapType; 17] = [
    MapType::Hash,
    MapType::LruHash,
    MapType::Array,
    MapType::PercpuHash,
    MapType::PercpuArray,
    MapType::LruPercpuHash,
    MapType::ArrayOfMaps,
    MapType::HashOfMaps,
    MapType::Ringbuf,
    MapType::UserRingbuf,
    MapType::InodeStorage,
    MapType::SkStorage,
    MapType::TaskStorage,
    MapType::CgrpStorage,
    MapType::Queue,
    MapType::Stack,
    MapType::Arena,
];

/// Standard input, output and error.
const STANDARD_FILES: i32 = 3;
/// Files that a process has open at most, unless it asks for more.
const MAX_FILES: i32 = 1024;

/// Size of a page, in which an arena's size counts.
const PAGE_BYTES: u64 = 4096;

/// Kfuncs that read what a network device knows of a frame (`XDP_METADATA_KFUNC_xxx`, `include/net/xdp.h`).
const DEVICE_KFUNCS: [&str; 3] =
    ["bpf_xdp_metadata_rx_timestamp", "bpf_xdp_metadata_rx_hash", "bpf_xdp_metadata_rx_vlan_tag"];

impl Verifier<'_> {
    /// Checks all references of the program.
    pub fn check_references(&mut self) -> Check {
        let mut used = UsedMaps::default();
        let mut insn = 0;
        while insn < self.insns.len() {
            self.insn = insn;
            match self.insns[insn] {
                Err(
                    error @ (DecodeError::UnknownOpcode(_)
                    | DecodeError::ReservedFields("BPF_LDX")
                    | DecodeError::BrokenWideLoad
                    | DecodeError::UnknownWideLoad),
                ) => return reject(Rule::Undecodable { error }),
                Ok(Insn::LoadImmediate { source, .. }) => self.check_reference(source, &mut used)?,
                Ok(Insn::Call(CallTarget::Kfunc(index))) if is_raw(index) => {
                    return unsupported("a call of a kernel function by its number");
                }
                _ => {}
            }
            insn += if self.raw(insn).is_wide() { 2 } else { 1 };
        }
        self.insn = 0;
        Ok(())
    }

    /// Kfuncs that ask a network device need a program that is loaded for that device, which ours never is
    /// (`bpf_dev_bound_kfunc_check`, `kernel/bpf/offload.c`).
    pub fn check_device_kfuncs(&mut self) -> Check {
        for insn in 0..self.insns.len() {
            let Ok(Insn::Call(CallTarget::Kfunc(index))) = self.insns[insn] else { continue };
            let called = self.object.externs.get(index as usize);
            if called.is_some_and(|called| DEVICE_KFUNCS.contains(&called.name.as_str())) {
                self.insn = insn;
                return reject(Rule::MetadataWithoutDevice);
            }
        }
        Ok(())
    }

    fn check_reference(&self, source: ImmediateSource, used: &mut UsedMaps) -> Check {
        match source {
            ImmediateSource::Map(index) => {
                let map = self.check_map_reference(index, used)?;
                used.note(map)
            }
            ImmediateSource::MapValue { map, offset } => {
                let map = self.check_map_reference(map, used)?;
                check_direct_value(map, offset)?;
                used.note(map)
            }
            ImmediateSource::KernelVariable(index) if is_raw(index) => {
                unsupported("the address of a kernel variable by its number")
            }
            ImmediateSource::Value(_) | ImmediateSource::Function(_) | ImmediateSource::KernelVariable(_) => Ok(()),
        }
    }

    fn check_map_reference(&self, index: u32, used: &UsedMaps) -> Check<&MapInfo> {
        if is_raw(index) {
            return self.refuse_descriptor(descriptor(index));
        }
        let map = self.map(super::value::MapRef { index, uid: 0 })?;
        used.check_room_for(map)?;
        self.check_map_fits(map)?;
        Ok(map)
    }

    /// A number that the code itself holds: of the loader's files only the first three are known, which are no maps.
    fn refuse_descriptor<T>(&self, descriptor: i32) -> Check<T> {
        if matches!(self.raw(self.insn).src, opcode::PSEUDO_MAP_IDX | opcode::PSEUDO_MAP_IDX_VALUE) {
            return reject(Rule::MapIndexWithoutTable);
        }
        match descriptor {
            0..STANDARD_FILES => reject(Rule::NotAMap { descriptor, errno: Errno::Invalid }),
            STANDARD_FILES..MAX_FILES => unsupported(format!("file {descriptor} of whoever loads the program")),
            _ => reject(Rule::NotAMap { descriptor, errno: Errno::BadDescriptor }),
        }
    }

    fn check_map_fits(&self, map: &MapInfo) -> Check {
        let program = self.program_type();
        let tracing = matches!(
            program,
            Some(
                ProgramType::Kprobe
                    | ProgramType::Tracepoint
                    | ProgramType::PerfEvent
                    | ProgramType::RawTracepoint
                    | ProgramType::RawTracepointWritable
            )
        );
        let has = |kind| map.fields.as_ref().is_some_and(|fields| fields.find(kind).is_some());
        if tracing && (has(FieldKind::ListHead) || has(FieldKind::RbRoot)) {
            return reject(Rule::TracingWithGraph);
        }
        if has(FieldKind::SpinLock) && program == Some(ProgramType::SocketFilter) {
            return reject(Rule::SocketFilterWithLock);
        }
        for (kind, field) in
            [(FieldKind::SpinLock, "bpf_spin_lock"), (FieldKind::Timer, "bpf_timer"), (FieldKind::WorkQueue, "bpf_wq")]
        {
            if tracing && has(kind) {
                return reject(Rule::TracingWithField { field });
            }
        }
        if map.map_type == MapType::StructOps {
            return reject(Rule::StructOpsMapInProgram);
        }
        if self.program.section.sleepable && !FOR_SLEEPABLE.contains(&map.map_type) {
            return reject(Rule::MapNotForSleepable);
        }
        Ok(())
    }
}

/// The maps that the program was seen to refer to (`add_used_map_from_fd`).
#[derive(Debug, Default)]
struct UsedMaps {
    maps: Vec<(u32, MapType)>,
}

impl UsedMaps {
    fn contains(&self, map: &MapInfo) -> bool {
        self.maps.iter().any(|&(index, _)| index == map.index)
    }

    fn check_room_for(&self, map: &MapInfo) -> Check {
        if self.maps.len() >= USED_MAPS && !self.contains(map) {
            return reject(Rule::TooManyMaps { limit: USED_MAPS });
        }
        Ok(())
    }

    /// Of some types a program has at most one map.
    fn note(&mut self, map: &MapInfo) -> Check {
        if self.contains(map) {
            return Ok(());
        }
        let has_one = self.maps.iter().any(|&(_, map_type)| map_type == map.map_type);
        match map.map_type {
            MapType::CgroupStorage | MapType::PercpuCgroupStorage if has_one => reject(Rule::SecondCgroupStorage),
            _ => {
                self.maps.push((map.index, map.map_type));
                Ok(())
            }
        }
    }
}

/// The address of a byte of the map's only value (`map_direct_value_addr`).
fn check_direct_value(map: &MapInfo, offset: u32) -> Check {
    if i64::from(offset) >= VARIABLE_OFFSET {
        return reject(Rule::DirectValueOffset { offset });
    }
    let outside = |errno| reject(Rule::OutsideDirectValue { value_size: map.value_size, offset, errno });
    match map.map_type {
        MapType::Array => {}
        MapType::Arena if u64::from(offset) > u64::from(map.max_entries) * PAGE_BYTES => return outside(Errno::Range),
        MapType::Arena => return Ok(()),
        _ => return reject(Rule::NoDirectValue),
    }
    if map.max_entries != 1 {
        return outside(Errno::NotSupported);
    }
    if offset >= map.value_size { outside(Errno::Invalid) } else { Ok(()) }
}

fn is_raw(index: u32) -> bool {
    index & RAW_REFERENCE as u32 != 0
}

/// The number as the code has it; its highest bit but one is its sign.
fn descriptor(index: u32) -> i32 {
    ((index << 1) as i32) >> 1
}
