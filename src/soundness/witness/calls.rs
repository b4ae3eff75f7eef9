//! What comes of a call of a helper or kfunc, as far as numbers from outside go: does its result follow from what programs
//! did, and may it be given such numbers at all?
//!
//! Everything here errs on one side. What no table names gives numbers of which nothing is known, and must not be given any.

use super::dependence::Mark;

/// Helpers and kfuncs whose results follow from their arguments and from what programs did, by how their names begin.
/// That allocations fail is a choice of the schedule, and so is whether a socket or an area of memory is found; whether maps are empty or filled
/// is one of the scenario.
const INSIDE: [&str; 35] = [
    "bpf_obj_",
    "bpf_percpu_obj_",
    "bpf_refcount_",
    "bpf_kptr_xchg",
    "bpf_list_",
    "bpf_rbtree_",
    "bpf_spin_",
    "bpf_rcu_",
    "bpf_preempt_",
    "bpf_iter_num_",
    "bpf_iter_bits_",
    "bpf_iter_testmod_seq_",
    "bpf_map_",
    "bpf_for_each_map_elem",
    "bpf_loop",
    "bpf_find_vma",
    "bpf_this_cpu_ptr",
    "bpf_per_cpu_ptr",
    "bpf_ringbuf_",
    "bpf_user_ringbuf_drain",
    "bpf_dynptr_",
    "bpf_timer_",
    "bpf_wq_",
    "bpf_throw",
    "bpf_get_smp_processor_id",
    "bpf_get_current_task",
    "bpf_task_acquire",
    "bpf_task_release",
    "bpf_cgroup_acquire",
    "bpf_cgroup_release",
    "bpf_cpumask_",
    "bpf_tail_call",
    "bpf_trace_printk",
    "bpf_sk_lookup_",
    "bpf_sk_release",
];

/// Of those, the ones that make a view of a packet: its size is the packet's.
const OF_PACKETS: [&str; 2] = ["bpf_dynptr_from_skb", "bpf_dynptr_from_xdp"];
/// Those that write what a map holds.
const GIVE_VALUES: [&str; 2] = ["bpf_map_pop_elem", "bpf_map_peek_elem"];

/// Those whose bytes from outside decide what they return and write, and nothing else.
const DECIDE_RESULT: [&str; 5] =
    ["bpf_cpumask_", "bpf_dynptr_size", "bpf_dynptr_adjust", "bpf_dynptr_slice", "bpf_dynptr_data"];
/// Those on which bytes from outside have no bearing, though they may be copied; and those that read nothing but what the kernel keeps
/// for itself in values and objects.
const DECIDE_NOTHING: [&str; 13] = [
    "bpf_dynptr_is_null",
    "bpf_dynptr_is_rdonly",
    "bpf_dynptr_clone",
    "bpf_sk_lookup_",
    "bpf_obj_",
    "bpf_percpu_obj_",
    "bpf_refcount_",
    "bpf_kptr_xchg",
    "bpf_list_",
    "bpf_rbtree_",
    "bpf_spin_",
    "bpf_timer_",
    "bpf_wq_",
];
/// Those that only move bytes, and the registers that point to others, which decide what they do.
const MOVE: [(&str, &[usize]); 5] = [
    ("bpf_map_update_elem", &[2]),
    ("bpf_dynptr_read", &[3]),
    ("bpf_dynptr_write", &[1]),
    ("bpf_map_push_elem", &[]),
    ("bpf_ringbuf_output", &[]),
];
/// Registers that may hold a number from outside, since any number there does the same but for the result.
const ANY_NUMBER: [(&str, &[usize]); 4] = [
    ("bpf_sk_lookup_", &[3, 4, 5]),
    ("bpf_cpumask_test_cpu", &[1]),
    ("bpf_cpumask_set_cpu", &[1]),
    ("bpf_cpumask_clear_cpu", &[1]),
];

/// Helpers that give a number or write bytes, and do nothing else: whichever number it is, what they did is the same.
const NUMBERS: [&str; 30] = [
    "bpf_ktime_get_",
    "bpf_jiffies64",
    "bpf_get_prandom_u32",
    "bpf_get_current_pid_tgid",
    "bpf_get_current_uid_gid",
    "bpf_get_current_comm",
    "bpf_get_current_cgroup_id",
    "bpf_get_current_ancestor_cgroup_id",
    "bpf_get_numa_node_id",
    "bpf_get_cgroup_classid",
    "bpf_get_route_realm",
    "bpf_get_hash_recalc",
    "bpf_get_socket_uid",
    "bpf_get_socket_cookie",
    "bpf_get_func_arg",
    "bpf_get_func_ret",
    "bpf_get_func_ip",
    "bpf_get_attach_cookie",
    "bpf_skb_load_bytes",
    "bpf_xdp_load_bytes",
    "bpf_xdp_get_buff_len",
    "bpf_probe_read",
    "bpf_copy_from_user",
    "bpf_csum_diff",
    "bpf_strncmp",
    "bpf_strtol",
    "bpf_strtoul",
    "bpf_snprintf",
    "bpf_perf_event_output",
    "bpf_trace_vprintk",
];

fn is_any(name: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| name.starts_with(start))
}

fn registers(name: &str, table: &[(&str, &'static [usize])]) -> Option<&'static [usize]> {
    table.iter().find(|(start, _)| name.starts_with(start)).map(|(_, registers)| *registers)
}

/// Where bytes from outside go that a call reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    /// They decide what the call does.
    Decide,
    /// They decide its result and what it writes.
    Result,
    /// They are written elsewhere, unless one of these registers points to them.
    Moved(&'static [usize]),
}

/// A call under way, and what it was given so far.
#[derive(Clone, Debug)]
pub(super) struct Calling {
    arguments: [u64; 5],
    bytes: Bytes,
    /// What its result is, whatever it was given, and what it writes.
    result: Mark,
    writes: Mark,
    /// Is its result the same, whatever it was given?
    settled: bool,
    /// What it was given.
    given: Mark,
    /// Does what it was given decide what it does?
    depends: bool,
}

impl Calling {
    /// A call of that function with those arguments, of which the first, those that it reads, are so marked.
    pub fn new(name: &str, arguments: [u64; 5], marks: &[Mark]) -> Calling {
        let inside = is_any(name, &INSIDE);
        let bytes = match registers(name, &MOVE) {
            Some(pointers) => Bytes::Moved(pointers),
            None if is_any(name, &DECIDE_RESULT) || is_any(name, &DECIDE_NOTHING) || !inside => Bytes::Result,
            None => Bytes::Decide,
        };
        let any_number = registers(name, &ANY_NUMBER).unwrap_or_default();
        let given = marks.iter().copied().filter(|mark| mark.is_number()).max().unwrap_or_default();
        let decides = |(at, mark): (usize, &Mark)| mark.is_number() && !any_number.contains(&(at + 1));
        let depends = marks.iter().enumerate().any(decides);
        let outside = if is_any(name, &NUMBERS) { Mark::Number } else { Mark::Unknown };
        let result = if inside { Mark::Inside } else { outside };
        let gives = OF_PACKETS.contains(&name) || GIVE_VALUES.contains(&name);
        let writes = if gives { Mark::Number } else { result };
        Calling { arguments, bytes, result, writes, settled: is_any(name, &DECIDE_NOTHING), given, depends }
    }

    /// It reads bytes from outside at an address.
    pub fn reads(&mut self, address: u64, mark: Mark) {
        let points = |number: &usize| number.checked_sub(1).and_then(|at| self.arguments.get(at)) == Some(&address);
        self.depends |= match self.bytes {
            Bytes::Decide => true,
            Bytes::Result => false,
            Bytes::Moved(pointers) => pointers.iter().any(points),
        };
        self.given = self.given.max(mark);
    }

    /// Does what it does depend on numbers from outside?
    pub fn depends(&self) -> bool {
        self.depends
    }

    /// What bytes are that it writes.
    pub fn writes(&self) -> Mark {
        self.writes.max(self.given)
    }

    /// What its result is.
    pub fn result(&self) -> Mark {
        if self.settled || matches!(self.bytes, Bytes::Moved(_)) { self.result } else { self.result.max(self.given) }
    }
}
