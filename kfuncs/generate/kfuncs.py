# SPDX-License-Identifier: MIT OR Apache-2.0
"""kfuncs by family, with prototypes from BTF and flags from the sources, checked against .BTF_ids."""

import re
import struct

import sources
import special

FAMILIES = [  # the first whose pattern matches the kfunc's name takes it
    ("percpu", r"bpf_percpu_obj_"),
    ("graph", r"bpf_(list|rbtree)_"),
    ("obj", r"bpf_obj_|bpf_refcount_|bpf_cast_to|bpf_rdonly_cast"),
    ("rcu", r"bpf_rcu_"),
    ("iter", r"bpf_iter_"),
    ("cpumask", r"bpf_cpumask_"),
    ("dynptr", r"bpf_dynptr_(?!from_(skb|xdp))"),
    ("task", r"bpf_task_(?!under|get_cgroup)"),
    ("cgroup", r"bpf_cgroup_|bpf_task_(under|get_cgroup)|cgroup_rstat|css_rstat|bpf_rstat"),
    ("preempt", r"bpf_preempt_"),
    ("wq", r"bpf_wq_"),
    ("crypto", r"bpf_crypto_"),
    ("key", r"bpf_(lookup_\w+_key|key_put|verify_pkcs7)"),
    ("fs", r"bpf_(get_task_exe_file|put_file|path_d_path|get_file_xattr|get_fsverity|get_dentry_xattr)"),
    ("sched_ext", r"scx_|__scx"),
    ("hid", r"hid_bpf_|call_hid"),
    ("arena", r"bpf_arena_"),
    ("tcp_congestion", r"tcp_|cubictcp_|dctcp_|bbr_"),
    ("net", r"bpf_(skb|xdp|sk|sock|ct|skc|dynptr_from|fou|kfunc_call|tcp)|\w*_fou_|bpf_modify_return|mptcp"),
    ("misc", r""),
]

HOOKS = {  # registering for one of these offers a kfunc to all of its group (bpf_prog_type_to_kfunc_hook)
    "unspec": ["any"],
    "tracing": ["tracing", "tracepoint", "perf_event", "lsm"],
    "cgroup": "cgroup_skb cgroup_sock cgroup_device cgroup_sock_addr cgroup_sockopt cgroup_sysctl".split(),
    "lwt": ["lwt_out", "lwt_in", "lwt_xmit", "lwt_seg6local"],
}

FILTERS = {  # what the filter functions of kfunc sets demand
    "bpf_fs_kfuncs_filter": "program_type = lsm",
    "bpf_get_fsverity_digest_filter": "program_type = lsm",
    "tracing_iter_filter": "attach_type = trace_iter",
    "bpf_kprobe_multi_filter": "kprobe_session",
}


def programs(hook):
    """The program types that registering for `hook` reaches."""
    for group in HOOKS.values():
        if hook in group:
            return group
    return HOOKS.get(hook, [hook])


def source_prototype(root, path, name):
    """The prototype as the source has it, for kfuncs that this kernel's BTF lacks."""
    text = sources.clean(root / path)
    match = re.search(rf"__bpf_kfunc\s+((?:[\w\s\*]+?)\b{name}\([^{{;]*?\))\s*\{{", text)
    if not match:
        match = re.search(rf"\n((?:[\w\s\*]+?)\b{name}\([^{{;]*?\))\s*\{{", text)
    if not match:
        return None
    flat = re.sub(r"\b(static|noinline|inline|__always_inline|notrace|__used|asmlinkage|__visible|__naked|extern)\b", " ", match[1])
    flat = " ".join(flat.split())
    return re.sub(r"\(\s*", "(", re.sub(r"\*\s+", "*", flat))


def check_flags(found, btf, ids, config):
    """Looks for each set, as (id, flags) pairs sorted by id, in .BTF_ids; returns the sets that are not there."""
    masks = {flag: 1 << bit for bit, flag in enumerate(FLAG_BITS)}
    missing = []
    for one in found:
        rows = []
        for name, flags in one.members:
            func = btf.find("func", name)
            condition = one.conditions.get(name)
            if func and (not condition or special.on(config, condition.split(" && "))):
                rows.append((func.id, sum(masks[flag] for flag in flags)))
        if not rows:
            continue
        packed = b"".join(struct.pack("<II", *row) for row in sorted(set(rows)))
        count = struct.pack("<I", len(set(rows)))  # before the set's own flags: 1 for kfuncs, 0 for a plain set
        if not any(count + struct.pack("<I", kind) + packed in ids for kind in (0, 1)):
            missing.append(one.symbol)
    return missing


FLAG_BITS = """acquire release ret_null unused3 trusted_args sleepable destructive rcu iter_new iter_next iter_destroy
rcu_protected""".split()


def merge(found, root, btf):
    """{family: [kfunc]} with one entry a kfunc (more when its flags differ by program type)."""
    by_name = {}
    for one in found:
        for name, flags in one.members:
            if one.hooks == ["fmod_ret"]:
                continue
            func = btf.find("func", name)
            prototype = btf.prototype(func) if func else source_prototype(root, one.path, name)
            if not prototype:
                raise SystemExit(f"no prototype for {name} in {one.path}")
            row = {"name": name, "prototype": prototype, "flags": flags, "programs": []}
            row = by_name.setdefault((name, *flags), row)  # flags may differ by program type
            for hook in one.hooks:
                row["programs"] += [kind for kind in programs(hook) if kind not in row["programs"]]
            if one.filter:
                row["when"] = [FILTERS[one.filter]]
            row["source"] = one.path
            if not func:
                row["absent"] = True
    families = {name: [] for name, _ in FAMILIES}
    for (name, *_), row in sorted(by_name.items()):
        family = next(family for family, pattern in FAMILIES if re.match(pattern, name))
        families[family].append(row)
    return {family: rows for family, rows in families.items() if rows}
