# SPDX-License-Identifier: MIT OR Apache-2.0
"""Lists that the verifier consults by type or by function: trusted fields, destructors, hooks, nullable arguments."""

import re

import sources

# Sets of functions (BTF_SET_START) that decide what a program may attach to or do there.
FUNCTION_SETS = """sleepable_lsm_hooks untrusted_lsm_hooks bool_lsm_hooks bpf_lsm_disabled_hooks bpf_lsm_current_hooks
bpf_lsm_locked_sockopt_hooks bpf_lsm_unlocked_sockopt_hooks btf_non_sleepable_error_inject btf_id_deny noreturn_deny
btf_allowlist_d_path""".split()


def on(config, conditions):
    """Do all `#if` conditions hold in this configuration?"""
    for text in conditions:
        negated = text.startswith("!(") or text.startswith("!C")
        found = re.findall(r"(!\s*(?:defined)?\s*)?\(?(CONFIG_\w+)", text[1:] if negated else text)
        terms = [(config.get(name) in ("y", "m")) != bool(mark) for mark, name in found]
        holds = any(terms) if "||" in text else all(terms)
        if holds == negated:
            return False
    return True


def safe_fields(root):
    """Fields whose pointers are trusted: [{struct, trust, fields}]."""
    text = sources.clean(root / "kernel/bpf/verifier.c")
    found = []
    for trust, struct, body in re.findall(r"BTF_TYPE_SAFE_(\w+)\(struct (\w+)\) \{(.*?)\n\};", text, re.S):
        found.append({"struct": struct, "trust": trust.lower(), "fields": re.findall(r"\*?(\w+);", body)})
    return found


def id_set(root, path, symbol, config):
    """The names of one BTF_SET_START set."""
    text = sources.clean(root / path)
    names, inside = [], False
    for line, conditions in sources.with_conditions(text):
        if line.startswith(f"BTF_SET_START({symbol})"):
            inside = True
        elif inside and line.startswith("BTF_SET_END"):
            break
        elif inside and (match := re.match(r"BTF_ID\((?:func|struct),\s*(\w+)\)", line)):
            if on(config, conditions):
                names.append(match[1])
    return names


def function_sets(root, config):
    """{set: functions}."""
    found = {}
    for path in sources.files_with(root, "BTF_SET_START"):
        for symbol in re.findall(r"BTF_SET_START\((\w+)\)", sources.clean(path)):
            if symbol in FUNCTION_SETS:
                found[symbol] = id_set(root, path.relative_to(root), symbol, config)
    return {name: found[name] for name in FUNCTION_SETS}


def destructors(root):
    """[{type, kfunc}] of every table that is given to register_btf_id_dtor_kfuncs."""
    found = []
    for path in sources.files_with(root, "register_btf_id_dtor_kfuncs"):
        text = sources.clean(path)
        for symbol, body in re.findall(r"BTF_ID_LIST\((\w*dtor\w*)\)(.*?)(?=\n\n|static|BTF_KFUNCS)", text, re.S):
            pairs = re.findall(r"BTF_ID\(struct,\s*(\w+)\)\s*BTF_ID\(func,\s*(\w+)\)", body)
            found += [{"type": name, "kfunc": kfunc} for name, kfunc in pairs]
    return found


def raw_tracepoint_arguments(root):
    """[{tracepoint, maybe_null, maybe_error}]: arguments (from 0) of raw tracepoints that may be NULL or an error."""
    text = sources.clean(root / "kernel/bpf/btf.c")
    body = re.search(r"raw_tp_null_args\[\] = \{(.*?)\n\};", text, re.S)[1]
    found = []
    for name, mask in re.findall(r'\{\s*"(\w+)",\s*([^}]+?)\s*\}', body):
        bits = 0
        for part in mask.split("|"):
            bits |= int(part.strip().rstrip("ULul"), 0)
        row = {"tracepoint": name, "maybe_null": [i for i in range(12) if bits >> 4 * i & 1]}
        if errors := [i for i in range(12) if bits >> 4 * i & 2]:
            row["maybe_error"] = errors
        found.append(row)
    return found


def iterator_targets(root):
    """BPF iterator programs: [{target, context, arguments: [{field, kind}], resched}]."""
    found = []
    for path in sources.files_with(root, "struct bpf_iter_reg "):
        for match in re.finditer(r"struct bpf_iter_reg \w+\s*=\s*\{(.*?)\n\};", sources.clean(path), re.S):
            body = match[1]
            target = re.search(r'\.target\s*=\s*"(\w+)"', body)
            rows = re.findall(r"offsetof\(struct (\w+),\s*(\w+)\),\s*([A-Z_| ]+)", " ".join(body.split()))
            row = {"target": target[1], "context": "bpf_iter__" + target[1]}
            row["resched"] = "BPF_ITER_RESCHED" in body
            row["arguments"] = [{"field": field, "kind": register_kind(kind)} for _, field, kind in rows]
            function = re.search(r"\.get_func_proto\s*=\s*(\w+)", body)
            if function:
                row["helpers"] = function[1]
            found.append(row)
    return sorted(found, key=lambda row: row["target"])


def register_kind(text):
    """`PTR_TO_BTF_ID_OR_NULL | PTR_TRUSTED` as `ptr_to_btf_id|ptr_maybe_null|ptr_trusted`."""
    words = [word.strip() for word in text.split("|")]
    base = words[0].lower()
    flags = [word.lower() for word in words[1:]]
    if base.endswith("_or_null"):
        base, flags = base.removesuffix("_or_null"), [*flags, "ptr_maybe_null"]
    return "|".join([base, *sorted(flags)])


def lsm_hooks(root, config):
    """Every hook's name (`bpf_lsm_…`) and C prototype."""
    found = []
    text = sources.clean(root / "include/linux/lsm_hook_defs.h")
    joined = re.sub(r",\s*\n\s+", ", ", text)
    for line, conditions in sources.with_conditions(joined):
        match = re.match(r"LSM_HOOK\((\w+),\s*[^,]+,\s*(\w+),\s*(.*)\)$", line.strip())
        if match and on(config, conditions):
            found.append((f"bpf_lsm_{match[2]}", f"{match[1]} bpf_lsm_{match[2]}({' '.join(match[3].split())})"))
    return found
