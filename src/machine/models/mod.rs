//! What helpers and kfuncs do when they run: one Rust function each, in a file by family, found by name.
//!
//! A model gets a [`Call`] and answers with a value, or with a callback to run first. What has no model here has none
//! at all: the run ends and names it. Start reading at [`Model`] and any family's `MODELS`.

mod call;
mod continuation;
mod graph;
mod iter;
mod local_storage;
mod lock;
mod map;
mod misc;
mod obj;
mod percpu;
mod print;
mod rcu;
mod task;

use super::fault::Trap;

pub(super) use call::Call;
pub(super) use continuation::Continuation;

/// What a model answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// The call returns this.
    Value(u64),
    /// The call returns nothing: `r0` holds nothing.
    Nothing,
    /// The call has to wait; it will be made again.
    Blocked,
    /// A function of the program is to run first; `then` gets its result.
    CallBack {
        /// Its address.
        function: u64,
        /// Its arguments.
        args: [u64; 5],
        /// What goes on afterwards.
        then: Continuation,
    },
}

/// What a model's function returns.
pub(super) type Modelled = Result<Answer, Box<Trap>>;

/// A helper or kfunc that the machine can run.
#[derive(Debug)]
pub struct Model {
    /// Its name in the kernel.
    pub name: &'static str,
    /// Is it a kfunc, not a helper?
    pub kfunc: bool,
    /// Registers from `r1` on that it reads, 0 to 5.
    pub arguments: u8,
    pub(super) run: fn(&mut Call<'_>) -> Modelled,
}

const fn helper(name: &'static str, arguments: u8, run: fn(&mut Call<'_>) -> Modelled) -> Model {
    Model { name, kfunc: false, arguments, run }
}

const fn kfunc(name: &'static str, arguments: u8, run: fn(&mut Call<'_>) -> Modelled) -> Model {
    Model { name, kfunc: true, arguments, run }
}

static FAMILIES: [&[Model]; 11] = [
    graph::MODELS,
    iter::MODELS,
    local_storage::MODELS,
    lock::MODELS,
    map::MODELS,
    misc::MODELS,
    obj::MODELS,
    percpu::MODELS,
    print::MODELS,
    rcu::MODELS,
    task::MODELS,
];

/// All models.
pub fn all() -> impl Iterator<Item = &'static Model> {
    FAMILIES.iter().copied().flatten()
}

/// The model of that name, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static Model> {
    all().find(|model| model.name == name)
}

/// Numbers of the helpers that have models (`___BPF_FUNC_MAPPER` in `include/uapi/linux/bpf.h`, Linux 6.12).
static HELPER_NUMBERS: [(i32, &str); 42] = [
    (1, "bpf_map_lookup_elem"),
    (2, "bpf_map_update_elem"),
    (3, "bpf_map_delete_elem"),
    (4, "bpf_probe_read"),
    (5, "bpf_ktime_get_ns"),
    (6, "bpf_trace_printk"),
    (7, "bpf_get_prandom_u32"),
    (8, "bpf_get_smp_processor_id"),
    (14, "bpf_get_current_pid_tgid"),
    (15, "bpf_get_current_uid_gid"),
    (16, "bpf_get_current_comm"),
    (35, "bpf_get_current_task"),
    (42, "bpf_get_numa_node_id"),
    (80, "bpf_get_current_cgroup_id"),
    (93, "bpf_spin_lock"),
    (94, "bpf_spin_unlock"),
    (113, "bpf_probe_read_kernel"),
    (118, "bpf_jiffies64"),
    (125, "bpf_ktime_get_boot_ns"),
    (153, "bpf_per_cpu_ptr"),
    (154, "bpf_this_cpu_ptr"),
    (156, "bpf_task_storage_get"),
    (157, "bpf_task_storage_delete"),
    (158, "bpf_get_current_task_btf"),
    (160, "bpf_ktime_get_coarse_ns"),
    (164, "bpf_for_each_map_elem"),
    (177, "bpf_trace_vprintk"),
    (181, "bpf_loop"),
    (182, "bpf_strncmp"),
    (194, "bpf_kptr_xchg"),
    (195, "bpf_map_lookup_percpu_elem"),
    (208, "bpf_ktime_get_tai_ns"),
    (210, "bpf_cgrp_storage_get"),
    (211, "bpf_cgrp_storage_delete"),
    (107, "bpf_sk_storage_get"),
    (108, "bpf_sk_storage_delete"),
    (145, "bpf_inode_storage_get"),
    (146, "bpf_inode_storage_delete"),
    (12, "bpf_tail_call"),
    (28, "bpf_skb_load_bytes"),
    (131, "bpf_ringbuf_reserve"),
    (25, "bpf_perf_event_output"),
];

/// The name of a helper, if it is known.
#[must_use]
pub fn helper_name(id: i32) -> Option<&'static str> {
    HELPER_NUMBERS.iter().find(|&&(number, _)| number == id).map(|&(_, name)| name)
}
