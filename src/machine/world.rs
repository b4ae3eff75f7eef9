//! What surrounds the programs: the current task and its cgroup, clocks, random numbers, locks.
//!
//! The task and the cgroup are structs of the given kernel types, of which the fields named in [`World::task`] can be
//! read; any other is reported as not modelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::btf::Btf;

use super::callbacks::Callbacks;
use super::fault::Trap;
use super::fingerprint::wide;
use super::kept::Kept;
use super::kernel_struct::{KernelStruct, UNKNOWN_SIZE};
use super::memory::{Contents, Memory};
use super::region::RegionKind;
use super::setup::MachineOptions;
use super::story::RegionId;
use super::types::PerCpuVariable;

/// Id of the one cgroup that tasks are in, as `bpf_get_current_cgroup_id` gives it.
pub const CGROUP_ID: u64 = 1;
/// Surroundings of the programs.
#[derive(Clone, Debug)]
pub struct World {
    task: Option<RegionId>,
    cgroup: Option<RegionId>,
    root_cgroup: Option<RegionId>,
    variables: BTreeMap<String, RegionId>,
    /// Each CPU's copy of variables, by where these are among all of their kind.
    per_cpu: BTreeMap<(u32, u32), RegionId>,
    random: Vec<u64>,
    /// Calls of clocks so far.
    ticks: u64,
    /// What is read of what is not modelled, in order, and how many of these each CPU has read.
    readings: Arc<[u64]>,
    read: Vec<usize>,
    /// Who holds which spin lock: place of the lock and CPU.
    pub(super) locks: BTreeMap<(RegionId, u32), u32>,
    /// What the kernel wrote into programs' memory for itself, by address.
    pub(super) kept: BTreeMap<u64, Kept>,
    /// Timers and work items.
    pub(super) callbacks: Callbacks,
}

impl World {
    /// Surroundings in which nothing was asked for yet.
    #[must_use]
    pub fn new(seed: u64, cpus: u32, readings: Arc<[u64]>) -> World {
        // Splitmix: close seeds and neighbouring CPUs must not give related numbers.
        let mix = |value: u64| {
            let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (value ^ (value >> 31)) | 1
        };
        let state = |cpu: u32| mix(seed.wrapping_add(u64::from(cpu) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        World {
            task: None,
            cgroup: None,
            root_cgroup: None,
            variables: BTreeMap::new(),
            per_cpu: BTreeMap::new(),
            random: (0..cpus).map(state).collect(),
            ticks: 0,
            readings,
            read: vec![0; cpus as usize],
            locks: BTreeMap::new(),
            kept: BTreeMap::new(),
            callbacks: Callbacks::default(),
        }
    }

    /// A digest of what changes while programs run.
    pub(super) fn digest(&self) -> u128 {
        wide(&(&self.random, self.ticks, &self.read, self.callbacks.contents()))
    }

    /// The next of the readings that were given, of which each CPU has all, if there is one left.
    pub(super) fn reading(&mut self, cpu: u32) -> Option<u64> {
        let read = self.read.get_mut(cpu as usize)?;
        let reading = self.readings.get(*read).copied()?;
        *read += 1;
        Some(reading)
    }

    /// The next random number of a CPU: a reading, or one of its own (xorshift64*).
    pub(super) fn random(&mut self, cpu: u32) -> u32 {
        if let Some(reading) = self.reading(cpu) {
            return reading as u32;
        }
        let Some(state) = self.random.get_mut(cpu as usize) else { return 0 };
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A clock in nanoseconds: a reading, or one that grows by a microsecond each time it is read, from one second on.
    pub(super) fn nanoseconds(&mut self, cpu: u32) -> u64 {
        if let Some(reading) = self.reading(cpu) {
            return reading;
        }
        self.ticks += 1;
        1_000_000_000 + self.ticks * 1000
    }

    /// The address of a kernel variable, whose contents are not modelled.
    pub(super) fn variable(&mut self, memory: &mut Memory, name: &str) -> Result<u64, Box<Trap>> {
        if let Some(&region) = self.variables.get(name) {
            return Ok(memory.base(region));
        }
        let kind = RegionKind::KernelVariable { name: name.into() };
        let region = memory.allocate(kind, UNKNOWN_SIZE, Contents::Opaque, None)?;
        self.variables.insert(name.to_owned(), region);
        Ok(memory.base(region))
    }

    /// A CPU's copy of a variable; `None` if its contents are not modelled. Of a run queue (`runqueues`) that is its `cpu`.
    /// No program is counted in `bpf_prog_active`, which only kprobes, tracepoints and performance events do.
    pub(super) fn per_cpu_variable(
        &mut self,
        memory: &mut Memory,
        btf: Option<&Btf>,
        variable: &PerCpuVariable<'_>,
        cpu: u32,
    ) -> Result<Option<RegionId>, Box<Trap>> {
        let place = (variable.offset, cpu);
        if let Some(&region) = self.per_cpu.get(&place) {
            return Ok(Some(region));
        }
        let region = match variable.name {
            "runqueues" => {
                let mut queue = KernelStruct::new(memory, btf, "rq")?;
                queue.set("cpu", &cpu.to_le_bytes(), memory);
                queue.region
            }
            name @ "bpf_prog_active" => {
                let kind = RegionKind::KernelObject { name: name.into(), type_id: variable.type_id };
                let region = memory.allocate(kind, variable.size, Contents::Sparse, None)?;
                memory.poke(region, 0, &[0; 4]);
                region
            }
            _ => return Ok(None),
        };
        self.per_cpu.insert(place, region);
        Ok(Some(region))
    }

    /// The current task: `pid`, `tgid`, `comm`, `group_leader`, `real_parent` and `parent` (itself), `cgroups`, `cpus_mask`, `cpus_ptr`.
    pub(super) fn task(
        &mut self,
        memory: &mut Memory,
        btf: Option<&Btf>,
        options: &MachineOptions,
    ) -> Result<RegionId, Box<Trap>> {
        if let Some(task) = self.task {
            return Ok(task);
        }
        let cgroup = self.cgroup(memory, btf)?;
        let mut css_set = KernelStruct::new(memory, btf, "css_set")?;
        css_set.set("dfl_cgrp", &memory.base(cgroup).to_le_bytes(), memory);
        let css_set = memory.base(css_set.region);
        let mut task = KernelStruct::new(memory, btf, "task_struct")?;
        let itself = memory.base(task.region);
        let mut comm = [0; 16];
        for (to, from) in comm.iter_mut().zip(options.comm.bytes().take(15)) {
            *to = from;
        }
        task.set("pid", &options.tid.to_le_bytes(), memory);
        task.set("tgid", &options.pid.to_le_bytes(), memory);
        task.set("comm", &comm, memory);
        task.set("cgroups", &css_set.to_le_bytes(), memory);
        if let Some(cpus) = task.offset("cpus_mask") {
            // It may run on every CPU.
            let mask = u64::MAX >> (64 - options.cpus.clamp(1, 64));
            task.set("cpus_mask", &mask.to_le_bytes(), memory);
            task.set("cpus_ptr", &(itself + u64::from(cpus)).to_le_bytes(), memory);
        }
        for relative in ["group_leader", "real_parent", "parent"] {
            task.set(relative, &itself.to_le_bytes(), memory);
        }
        self.task = Some(task.region);
        Ok(task.region)
    }

    /// The cgroup of the current task: `kn` with its `id`, `level` 1 and `self.id` 1.
    pub(super) fn cgroup(&mut self, memory: &mut Memory, btf: Option<&Btf>) -> Result<RegionId, Box<Trap>> {
        if let Some(cgroup) = self.cgroup {
            return Ok(cgroup);
        }
        let mut node = KernelStruct::new(memory, btf, "kernfs_node")?;
        node.set("id", &CGROUP_ID.to_le_bytes(), memory);
        let node = memory.base(node.region);
        let mut cgroup = KernelStruct::new(memory, btf, "cgroup")?;
        cgroup.set("kn", &node.to_le_bytes(), memory);
        cgroup.set("level", &1u32.to_le_bytes(), memory);
        cgroup.set("self.id", &1u32.to_le_bytes(), memory);
        self.cgroup = Some(cgroup.region);
        Ok(cgroup.region)
    }
}

impl World {
    /// The root of all cgroups: `level` 0. Its id is not modelled.
    pub(super) fn root_cgroup(&mut self, memory: &mut Memory, btf: Option<&Btf>) -> Result<RegionId, Box<Trap>> {
        if let Some(root) = self.root_cgroup {
            return Ok(root);
        }
        let mut root = KernelStruct::new(memory, btf, "cgroup")?;
        root.set("level", &0u32.to_le_bytes(), memory);
        self.root_cgroup = Some(root.region);
        Ok(root.region)
    }
}
