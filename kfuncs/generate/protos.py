# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reads every `struct bpf_func_proto` of the sources: how the verifier checks a helper's arguments and result."""

import re

import sources

BOOLS = ("gpl_only", "pkt_access", "might_sleep", "allow_fastcall")


def aliases(root, enum):
    """Enumerators of a type enumeration that stand for base and flags, e.g. ARG_PTR_TO_UNINIT_MEM."""
    text = sources.clean(root / "include/linux/bpf.h")
    body = re.search(rf"enum {enum} \{{(.*?)\n\}};", text, re.S)[1]
    return {name: [part.strip() for part in value.split("|")] for name, value in re.findall(r"(\w+)\s*=\s*([^,]+\|[^,]+),", body)}


def tokens(text, known, prefix):
    """`ARG_PTR_TO_MEM | MEM_RDONLY` as ["ptr_to_mem", "mem_rdonly"]: the base first, then its flags, sorted."""
    base, flags, todo = "", set(), [part.strip() for part in text.split("|")]
    while todo:
        part = todo.pop()
        if part in known:
            todo += known[part]
        elif part.startswith(prefix):
            base = part[len(prefix) :].lower()
        else:
            flags.add(part.lower())
    return [base, *sorted(flags)]


def type_names(root):
    """What `&array[INDEX]` of BTF ids names: {"array[INDEX]": struct}."""
    ids = sources.clean(root / "include/linux/btf_ids.h")
    names = {f"btf_sock_ids[{key}]": name for key, name in re.findall(r"BTF_SOCK_TYPE\((BTF_SOCK_TYPE_\w+),\s*(\w+)\)", ids)}
    rows = re.findall(r"BTF_TRACING_TYPE\((BTF_TRACING_TYPE_\w+),\s*(\w+)\)", ids)
    names |= {f"btf_tracing_ids[{key}]": name for key, name in rows}
    for path in sources.files_with(root, "BTF_ID_LIST"):
        text = sources.clean(path)
        for name, target in re.findall(r"BTF_ID_LIST(?:_GLOBAL)?_SINGLE\((\w+),\s*struct,\s*(\w+)\)", text):
            names[f"{name}[0]"] = target
        for match in re.finditer(r"BTF_ID_LIST\((\w+)\)((?:\s*BTF_ID\(struct,\s*\w+\))+)", text):
            for index, target in enumerate(re.findall(r"BTF_ID\(struct,\s*(\w+)\)", match[2])):
                names[f"{match[1]}[{index}]"] = target
    names["tcp_sock_id"] = "tcp_sock"  # set at boot by bpf_tcp_ca_init
    return names


def size_of(btf, text):
    """`sizeof(u64)` and `sizeof(struct iphdr)` in bytes."""
    name = re.fullmatch(r"sizeof\((?:struct )?(\w+)\)", text)[1]
    if match := re.fullmatch(r"[us](\d+)", name):
        return int(match[1]) // 8
    return btf.find("struct", name).size


def read(root, btf):
    """Every prototype: a list of dicts with `symbol`, `args`, `ret`, flags and the file they stand in."""
    arg_aliases, ret_aliases = aliases(root, "bpf_arg_type"), aliases(root, "bpf_return_type")
    named, found = type_names(root), []
    pattern = re.compile(r"struct bpf_func_proto (\w+)\s*(?:__weak)?\s*=\s*\{(.*?)\n\};", re.S)
    for path in sources.files_with(root, "bpf_func_proto"):
        for match in pattern.finditer(sources.clean(path)):
            fields = {key: " ".join(value.split()) for key, value in re.findall(r"\.(\w+)\s*=\s*([^,]+),?", match[2])}
            if "ret_type" not in fields:
                fields["ret_type"] = "RET_INTEGER"  # RET_INTEGER is 0
            proto = {"symbol": match[1], "file": str(path.relative_to(root)), "args": []}
            for index in range(1, 6):
                if f"arg{index}_type" not in fields:
                    continue
                kind = {"kind": "|".join(tokens(fields[f"arg{index}_type"], arg_aliases, "ARG_"))}
                if reference := fields.get(f"arg{index}_btf_id"):
                    kind["type"] = "poison" if reference == "BPF_PTR_POISON" else named[reference.lstrip("&")]
                if size := fields.get(f"arg{index}_size"):
                    kind["size"] = size_of(btf, size)
                proto["args"].append(kind)
            proto["ret"] = {"kind": "|".join(tokens(fields["ret_type"], ret_aliases, "RET_"))}
            if reference := fields.get("ret_btf_id"):
                proto["ret"]["type"] = "poison" if reference == "BPF_PTR_POISON" else named[reference.lstrip("&")]
            for flag in BOOLS:
                if fields.get(flag) == "true":
                    proto[flag] = True
            if "allowed" in fields:
                proto["allowed"] = fields["allowed"]
            found.append(proto)
    return found


def changes_packet(root):
    """Helpers after which packet pointers are no longer valid."""
    text = sources.clean(root / "net/core/filter.c")
    body = re.search(r"\nbool bpf_helper_changes_pkt_data\(.*?\n\}", text, re.S)[0]
    body = body[: body.index("return true")]
    return ["bpf_" + name for name in re.findall(r"case BPF_FUNC_(\w+):", body)]


def map_compatibility(root):
    """(map type → only these helpers, helper → only these map types), from check_map_func_compatibility."""
    text = sources.clean(root / "kernel/bpf/verifier.c")
    body = re.search(r"\nstatic int check_map_func_compatibility\(.*?\n\}", text, re.S)[0]
    first, second = re.split(r"switch \(func_id\)", body, maxsplit=1)
    by_map, by_helper, pending = {}, {}, []
    for chunk in re.split(r"\n\tcase (?=BPF_MAP_TYPE)", first)[1:]:
        pending += re.findall(r"^(BPF_MAP_TYPE_\w+):", chunk)
        if "goto" in chunk:
            helpers = ["bpf_" + name for name in re.findall(r"BPF_FUNC_(\w+)", chunk)]
            special = ["may_update_sockmap"] if "may_update_sockmap" in chunk else []
            by_map |= {name: (helpers, special) for name in pending}
            pending = []
    pending = []
    for chunk in re.split(r"\n\tcase (?=BPF_FUNC)", second)[1:]:
        pending += re.findall(r"BPF_FUNC_(\w+):", chunk)
        if "break;" in chunk or "goto" in chunk:
            for name in pending:
                by_helper["bpf_" + name] = re.findall(r"map_type [!=]= (BPF_MAP_TYPE_\w+)", chunk)
            pending = []
    return by_map, by_helper
