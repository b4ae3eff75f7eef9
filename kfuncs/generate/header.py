# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes include/kptrsim_helpers.h: types, constants, helpers and kfuncs that BPF programs name."""

import re

import uapi

HEAD = """\
/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Written by kfuncs/generate/generate.py; do not edit. Include kptrsim.h, which includes this. */
#ifndef KPTRSIM_HELPERS_H
#define KPTRSIM_HELPERS_H

"""

# Structures of the user interface, each printed whole. Order: as found, dependencies first.
WHOLE = """bpf_spin_lock bpf_timer bpf_wq bpf_dynptr bpf_list_head bpf_list_node bpf_rb_root bpf_rb_node bpf_refcount
bpf_iter_num bpf_iter_bits bpf_iter_task bpf_iter_css bpf_iter_css_task bpf_iter_task_vma bpf_iter_kmem_cache
bpf_flow_keys bpf_sock __sk_buff bpf_tunnel_key bpf_xfrm_state bpf_tcp_sock bpf_sock_tuple bpf_xdp_sock xdp_md
bpf_devmap_val bpf_cpumap_val sk_msg_md sk_reuseport_md bpf_sock_addr bpf_sock_ops bpf_perf_event_value bpf_cgroup_dev_ctx
bpf_raw_tracepoint_args bpf_fib_lookup bpf_redir_neigh bpf_sysctl bpf_sockopt bpf_pidns_info bpf_sk_lookup btf_ptr
bpf_lpm_trie_key_hdr bpf_lpm_trie_key_u8 bpf_cgroup_storage_key bpf_stack_build_id
bpf_perf_event_data bpf_user_pt_regs_t pt_regs bpf_fentry_test_t bpf_nf_ctx bpf_ct_opts bpf_xfrm_info bpf_xfrm_state_opts
bpf_fou_encap bpf_crypto_params""".split()

# Kernel structures that programs walk; only these fields, found in the running kernel by CO-RE.
WALKED = {
    "list_head": ["next", "prev"],
    "kernfs_node": ["name", "id"],
    "cgroup_subsys_state": ["cgroup", "id"],
    "cgroup": ["self", "level", "kn"],
    "css_set": ["dfl_cgrp"],
    "cpumask": ["bits"],
    "bpf_cpumask": ["cpumask"],
    "inode": ["i_ino", "i_mode", "i_size"],
    "dentry": ["d_inode", "d_parent"],
    "vfsmount": ["mnt_flags"],
    "path": ["mnt", "dentry"],
    "file": ["f_inode", "f_flags", "f_path"],
    "mm_struct": ["map_count", "exe_file"],
    "vm_area_struct": ["vm_start", "vm_end", "vm_flags"],
    "task_struct": """flags on_cpu prio policy nr_cpus_allowed cpus_ptr user_cpus_ptr cpus_mask mm exit_state pid tgid
        real_parent parent group_leader start_time comm last_wakee cgroups""".split(),
    "linux_binprm": ["mm", "file", "filename"],
    "sock": ["sk_protocol", "sk_type", "sk_mark"],
    "sk_buff": ["len", "data_len", "mark", "protocol"],
    "bpf_iter_meta": ["session_id", "seq_num", "seq"],
    "bpf_iter__task": ["meta", "task"],
    "bpf_iter__cgroup": ["meta", "cgroup"],
    "bpf_iter__bpf_map_elem": ["meta", "map", "key", "value"],
}

# Enumerations of the user interface that have a name.
ENUMS = """bpf_map_type bpf_attach_type xdp_action sk_action bpf_ret_code bpf_adj_room_mode bpf_hdr_start_off bpf_lwt_encap_mode
bpf_cgroup_iter_order bpf_check_mtu_ret tcx_action_base bpf_addr_space_cast bpf_kfunc_flags""".split()

# What a helper's documented type is called in a program.
PROGRAM_TYPES = {
    "struct bpf_map": "void",
    "struct sk_buff": "struct __sk_buff",
    "struct sk_msg_buff": "struct sk_msg_md",
    "struct xdp_buff": "struct xdp_md",
    "size_t": "unsigned long",
}

# Helpers whose context differs by program type take any pointer.
ANY_CONTEXT = ("bpf_get_socket_cookie", "bpf_sk_assign")


class Printer:
    """Collects the types that the header needs, dependencies first."""

    def __init__(self, btf):
        self.btf, self.done, self.lines, self.forward = btf, set(), [], set()

    def need(self, id, pointed=False):
        """Makes sure that type `id` is declared (by name only, when it is pointed to)."""
        ty = self.btf.types[id]
        if ty.kind in ("struct", "union", "fwd") and ty.name:
            if pointed or ty.kind == "fwd":
                self.forward.add(("union " if ty.kind == "union" or ty.kind == "fwd" and ty.flag else "struct ") + ty.name)
            else:
                self.structure(ty, WALKED.get(ty.name))
        elif ty.kind in ("struct", "union"):
            for _, member, _, _ in ty.items:
                self.need(member)
        elif ty.kind == "ptr":
            self.need(ty.ref, True)
        elif ty.kind in ("const", "volatile", "restrict", "type_tag", "array"):
            self.need(ty.ref, pointed and ty.kind != "array")
        elif ty.kind == "typedef":
            self.typedef(ty)
        elif ty.kind == "func_proto":
            self.need(ty.ref, True)
            for _, parameter in ty.items:
                self.need(parameter, True)
        elif ty.kind in ("enum", "enum64") and ty.name:
            self.enum(ty)

    def typedef(self, ty):
        """A typedef; the integers of fixed width stand in kptrsim.h."""
        if ty.name in self.done or re.fullmatch(r"(__)?[us](8|16|32|64)|_?_?bool|size_t", ty.name):
            return
        self.done.add(ty.name)
        self.need(ty.ref)
        self.lines.append(f"typedef {self.btf.declare(ty.ref, ty.name, self.body)};")

    def enum(self, ty):
        """A named enumeration."""
        if ("enum", ty.name) in self.done:
            return
        self.done.add(("enum", ty.name))
        self.lines.append(f"enum {ty.name} {{")
        self.lines += [f"\t{name} = {number(value)}," for name, value in ty.items] + ["};"]

    def body(self, ty, fields=None):
        """The text of a structure between its keyword and its declarator."""
        lines = [f"{ty.kind} {ty.name}".rstrip() + " {"]
        for name, member, _offset, bits in self.pick(ty, fields):
            text = self.btf.declare(member, name, self.body).replace("\n", "\n\t")
            lines.append(f"\t{text}{' : %d' % bits if bits else ''};")
        return "\n".join(lines + ["}"])

    def pick(self, ty, fields):
        """The named fields, also from anonymous members (flattened: CO-RE finds them by name)."""
        if fields is None:
            return ty.items
        found = []
        for field in fields:
            hit = find_field(self.btf, ty, field)
            if not hit:
                raise SystemExit(f"header: no field {ty.name}.{field}")
            found.append(hit)
        return found

    def structure(self, ty, fields=None):
        """A structure, its members' types first; whole, or (with `fields`) for CO-RE."""
        if (ty.kind, ty.name) in self.done:
            return
        self.done.add((ty.kind, ty.name))
        for _, member, _, _ in self.pick(ty, fields):
            self.need(member)
        core = " __attribute__((preserve_access_index))" if fields else ""
        self.lines.append(f"{self.body(ty, fields)}{core};")
        if not fields:
            self.lines.append(f"_Static_assert(sizeof({ty.kind} {ty.name}) == {ty.size}, \"{ty.name}\");")


def find_field(btf, ty, field):
    """(name, type, bit offset, bits) of a field, also inside anonymous members."""
    for name, member, offset, bits in ty.items:
        if name == field:
            return name, member, offset, bits
        inner = btf.types[member]
        if not name and inner.kind in ("struct", "union"):
            hit = find_field(btf, inner, field)
            if hit:
                return hit[0], hit[1], hit[2] + offset, hit[3]
    return None


def number(value):
    """An enumerator's value as C."""
    if value < 0:
        return str(value)
    return str(value) if value < 1 << 31 else (hex(value) + ("U" if value < 1 << 32 else "ULL"))


def program_type(text):
    """A helper's documented type as programs write it."""
    for kernel, program in PROGRAM_TYPES.items():
        text = re.sub(rf"\b{kernel}\b", program, text)
    return text


def helper_line(name, id, prototype):
    """A helper as a constant function pointer: clang turns a call through it into `call id`."""
    result, parameters = prototype
    if name in ANY_CONTEXT:
        parameters = [("void *", parameters[0][1])] + parameters[1:]
    texts = []
    for kind, label in parameters:
        kind = program_type(kind)
        texts.append(kind if not label else kind + ("" if kind.endswith("*") else " ") + label)
    result = program_type(result)
    space = "" if result.endswith("*") else " "
    fast = "__kptrsim_fastcall " if name == "bpf_get_smp_processor_id" else ""
    return f"static {fast}{result}{space}(*const {name})({', '.join(texts) or 'void'}) = (void *){id};"


def write(btf, uapi_text, kfuncs):
    """The whole header as text. `kfuncs` are `func` types."""
    printer = Printer(btf)
    for name in ENUMS:
        ty = btf.find("enum", name) or btf.find("enum64", name)
        if ty:
            printer.enum(ty)
    members = uapi.bpf_enum_members(uapi_text)
    for ty in btf.types:
        if ty.kind in ("enum", "enum64") and not ty.name and all(name in members for name, _ in ty.items):
            key = ty.items[0][0]
            if key not in printer.done:
                printer.done.add(key)
                printer.lines += ["enum {"] + [f"\t{name} = {number(value)}," for name, value in ty.items] + ["};"]
    for name in WHOLE:
        ty = btf.find("struct", name) or btf.find("typedef", name)
        if ty:
            printer.need(ty.id)
    for name, fields in WALKED.items():
        printer.structure(btf.find("struct", name), fields)
    for func in kfuncs:
        printer.need(func.ref)
    ids, prototypes = uapi.helper_ids(uapi_text), uapi.helper_prototypes(uapi_text)
    helpers = [helper_line(name, id, prototypes[name]) for name, id in sorted(ids.items(), key=lambda row: row[1])]
    for line in helpers:
        printer.forward.update(re.findall(r"\bstruct \w+", line))
    externs = [f"extern {btf.prototype(func)} __ksym;" for func in sorted(kfuncs, key=lambda func: func.name)]
    parts = [HEAD, *[f"{line};\n" for line in sorted(printer.forward)], "\n", "\n".join(printer.lines), "\n\n"]
    parts += ["/* Helpers: a call through one of these becomes `call number`. */\n", "\n".join(helpers), "\n\n"]
    parts += ["#ifndef KPTRSIM_NO_KFUNCS\n", "\n".join(externs), "\n#endif\n\n#endif\n"]
    return "".join(parts)
