# SPDX-License-Identifier: MIT OR Apache-2.0
"""The kernel types and attach targets that are built in, for use without a kernel's BTF."""

import header

# Structure → fields (None: all). Types that only pointers name stay opaque.
TYPES = {
    **{name: fields for name, fields in header.WALKED.items()},
    "task_struct": header.WALKED["task_struct"] + ["usage", "rcu", "rcu_users", "bpf_storage", "nsproxy", "signal", "stack"],
    "cgroup": header.WALKED["cgroup"] + ["flags", "nr_descendants", "ancestors", "bpf_cgrp_storage"],
    "cgroup_subsys_state": ["cgroup", "ss", "refcnt", "parent", "id", "flags", "serial_nr"],
    "css_set": ["subsys", "refcount", "dom_cset", "dfl_cgrp", "nr_tasks"],
    "bpf_cpumask": None,
    "cpumask": None,
    "kernfs_node": ["name", "parent", "id", "mode"],
    "linux_binprm": ["mm", "file", "executable", "interpreter", "cred", "argc", "envc", "filename", "interp", "buf"],
    "cred": ["uid", "gid", "euid", "egid"],
    "super_block": ["s_dev", "s_magic"],
    "seq_file": ["count", "size"],
    "sock": ["__sk_common", "sk_protocol", "sk_type", "sk_mark", "sk_pacing_rate", "sk_pacing_status"],
    "sock_common": ["skc_family", "skc_state", "skc_daddr", "skc_rcv_saddr", "skc_dport", "skc_num"],
    "socket": ["state", "type", "sk", "file"],
    "request_sock": ["sk"],
    "inode": ["i_mode", "i_ino", "i_size", "i_sb", "i_uid"],
    "dentry": ["d_parent", "d_inode", "d_name", "d_sb"],
    "qstr": ["len", "name"],
    "file": ["f_flags", "f_mode", "f_inode", "f_path", "f_pos", "f_cred"],
    "sk_buff": ["sk", "dev", "len", "data_len", "mark", "protocol"],
    "pt_regs": None,
    "bpf_map": ["map_type", "key_size", "value_size", "max_entries", "id", "name"],
    "bpf_iter_meta": None,
    "bpf_iter__bpf_map": None,
    "bpf_iter__bpf_map_elem": None,
    "bpf_iter__task": None,
    "bpf_iter__task_file": None,
    "bpf_iter__task_vma": None,
    "bpf_iter__cgroup": None,
    "bpf_fentry_test_t": None,
    "bpf_dummy_ops": None,
    "bpf_dummy_ops_state": None,
    "tcp_congestion_ops": None,
    "tcp_sock": ["inet_conn", "snd_cwnd", "snd_cwnd_cnt", "snd_ssthresh", "snd_cwnd_stamp", "snd_una", "app_limited"],
    "inet_connection_sock": ["icsk_inet", "icsk_ca_priv", "icsk_ack"],
    "inet_sock": ["sk"],
    "ack_sample": None,
    "rate_sample": None,
    "bpf_spin_lock": None,
    "bpf_timer": None,
    "bpf_wq": None,
    "bpf_list_head": None,
    "bpf_list_node": None,
    "bpf_rb_root": None,
    "bpf_rb_node": None,
    "bpf_refcount": None,
    "bpf_dynptr": None,
    "bpf_iter_num": None,
    "bpf_iter_bits": None,
    "bpf_iter_task": None,
    "bpf_iter_css": None,
    "bpf_iter_css_task": None,
    "bpf_iter_task_vma": None,
    "prog_test_ref_kfunc": None,
    "prog_test_member": None,
    "bpf_crypto_ctx": None,
    "bpf_key": None,
}

FUNCTIONS = """bpf_fentry_test1 bpf_fentry_test2 bpf_fentry_test3 bpf_fentry_test4 bpf_fentry_test5 bpf_fentry_test6
bpf_fentry_test7 bpf_fentry_test8 bpf_fentry_test9 bpf_fentry_test10 bpf_fentry_test_sinfo bpf_modify_return_test
bpf_modify_return_test2 bpf_modify_return_test_tp bpf_fentry_shadow_test do_nanosleep vfs_read vfs_write vfs_open
vfs_unlink do_unlinkat do_sys_openat2 tcp_v4_connect tcp_connect ip_rcv inet_csk_accept wake_up_new_task
__x64_sys_getpgid __x64_sys_nanosleep __x64_sys_openat security_file_open security_inode_getattr filp_close""".split()

TRACEPOINTS = """task_newtask task_rename sched_switch sched_wakeup sched_wakeup_new sched_process_fork sched_process_exec
sched_process_exit sched_process_wait sched_pi_setprio sys_enter sys_exit cgroup_mkdir cgroup_rmdir cgroup_release
cgroup_attach_task signal_generate kfree_skb consume_skb netif_receive_skb net_dev_xmit tcp_probe tcp_retransmit_skb
inet_sock_set_state block_rq_issue block_rq_complete kmalloc kfree bpf_test_finish timer_start hrtimer_start workqueue_execute_start
xdp_exception softirq_entry irq_handler_entry bpf_trigger_tp bpf_trace_printk""".split()

# Typedefs in the documented prototypes of helpers.
HELPER_TYPES = "__be16 __be32 __wsum s32 s64 size_t u16 u32 u64".split()


def member_names(btf, ty):
    """All members, those of anonymous members too."""
    for name, member, _offset, _bits in ty.items:
        if name:
            yield name
        elif btf.types[member].kind in ("struct", "union"):
            yield from member_names(btf, btf.types[member])


def types(btf, kfuncs):
    """Structure and typedef entries; typedefs that `kfuncs` (function types) or helpers name are among them."""
    structs, typedefs = [], {}

    def reach(id):
        """Typedefs that a field's type names."""
        ty = btf.types[id]
        if ty.kind == "typedef":
            if ty.name not in typedefs:
                typedefs[ty.name] = None
                if btf.types[ty.ref].kind in ("struct", "union") and not btf.types[ty.ref].name:
                    typedefs[ty.name] = {"name": ty.name, "size": btf.types[ty.ref].size}
                elif btf.types[ty.ref].kind == "enum" and not btf.types[ty.ref].name:
                    typedefs[ty.name] = {"name": ty.name, "type": "unsigned int"}
                else:
                    reach(ty.ref)
                    typedefs[ty.name] = {"name": ty.name, "type": btf.declare(ty.ref)}
        elif ty.kind in ("ptr", "const", "volatile", "restrict", "array", "type_tag"):
            reach(ty.ref)
        elif ty.kind == "func_proto":
            reach(ty.ref)
            for _, parameter in ty.items:
                reach(parameter)

    for name, wanted in sorted(TYPES.items()):
        ty = btf.find("struct", name)
        if not ty:
            continue
        names = wanted if wanted is not None else list(member_names(btf, ty))
        fields = []
        for field in dict.fromkeys(names):
            hit = header.find_field(btf, ty, field) if field else None
            if not hit:
                continue
            _, member, offset, bits = hit
            reach(member)
            anonymous = lambda inner: f"{inner.kind} __size_{inner.size}"
            row = {"offset": offset // 8, "declaration": btf.declare(member, field, anonymous)}
            if bits:
                row |= {"bit": offset % 8, "bits": bits}
            fields.append(row)
        fields.sort(key=lambda row: (row["offset"], row.get("bit", 0)))
        structs.append({"name": name, "size": ty.size, "complete": wanted is None, "fields": fields})
    for func in [*kfuncs, *(func for name in FUNCTIONS if (func := btf.find("func", name)))]:
        reach(func.ref)
    for name in HELPER_TYPES:
        reach(btf.find("typedef", name).id)
    return structs, [row for _, row in sorted(typedefs.items()) if row]


def attach(btf):
    """Prototypes of functions and raw tracepoints."""
    functions = [{"name": name, "prototype": btf.prototype(func)} for name in FUNCTIONS if (func := btf.find("func", name))]
    tracepoints = []
    for name in TRACEPOINTS:
        alias = btf.find("typedef", "btf_trace_" + name)
        if not alias:
            continue
        proto = btf.types[btf.types[alias.ref].ref]
        tracepoints.append({"name": name, "prototype": btf.declare(proto.ref, f"{name}({btf.parameters(proto)})")})
    return functions, tracepoints
