# SPDX-License-Identifier: MIT OR Apache-2.0
"""Structures of function pointers that programs may implement: members, arguments, what may be written."""

import re

import sources


def rows(root, btf):
    """One entry for each `struct bpf_struct_ops` that the build has, by name."""
    found = []
    for path in sources.files_with(root, "struct bpf_struct_ops "):
        text = sources.clean(path)
        for _, body in re.findall(r"struct bpf_struct_ops (\w+)\s*=\s*\{(.*?)\n\};", text, re.S):
            field = lambda name: match[1] if (match := re.search(rf'\.{name}\s*=\s*[&"]?(\w+)', body)) else None
            name, stubs = field("name"), field("cfi_stubs")
            if not (name and stubs and btf.find("struct", f"bpf_struct_ops_{name}")):
                continue
            members = re.findall(r"\.(\w+)\s*=\s*(?:\(\w+ \*\))?(\w+)", variable(text, stubs))
            entry = {"struct": name, "members": [member for member, _ in members]}
            if check := field("check_member"):
                entry["sleepable"] = re.findall(r"offsetof\(struct \w+, (\w+)\)", function(text, check))
            if nullable := list(nullable_arguments(text, members)):
                entry["nullable"] = nullable
            entry |= operations(text, field("verifier_ops"))
            found.append(entry)
    return sorted(found, key=lambda entry: entry["struct"])


def operations(text, symbol):
    """What a `struct bpf_verifier_ops` says of arguments and of stores."""
    body = variable(text, symbol)
    entry = {}
    access = re.search(r"\.is_valid_access\s*=\s*(\w+)", body)
    promoted = re.search(r"btf_id == (\w+)_id\)\s*info->btf_id = (\w+)_id", function(text, access[1]))
    if promoted:
        entry["promoted"] = {"from": promoted[1], "to": promoted[2]}
    if match := re.search(r"\.btf_struct_access\s*=\s*(\w+)", body):
        entry["writable"] = writable(text, function(text, match[1]))
    return entry


def writable(text, body):
    """The structure that programs may store to, and the fields, if not all of it."""
    fields = [
        {"struct": struct, "field": field, **({"inside": True} if kind == "bpf_ctx_range" else {})}
        for kind, struct, field in re.findall(r"case (offsetof|bpf_ctx_range)\(struct (\w+), ([\w.]+)\)", body)
    ]
    if not fields:
        return {"struct": re.search(r'btf_find_by_name_kind\([^"]*"(\w+)"', body)[1]}
    compared = re.search(r"if \(t != (\w+)_type\)", body)[1]
    return {"struct": compared, "fields": fields}


def nullable_arguments(text, members):
    """Arguments that a stub's parameter name says may be NULL."""
    for member, stub in members:
        match = re.search(rf"\n[\w \*]*\b{stub}\(([^)]*)\)\s*\{{", text)
        for index, parameter in enumerate(match[1].split(",") if match else []):
            if parameter.strip().endswith("__nullable"):
                yield {"member": member, "argument": index}


def variable(text, symbol):
    """The initialiser of a variable."""
    return re.search(rf"\b{symbol}\s*=\s*\{{(.*?)\n\}};", text, re.S)[1]


def function(text, symbol):
    """The body of a function."""
    return re.search(rf"\b{symbol}\([^;{{]*\)\s*\n\{{(.*?)\n\}}", text, re.S)[1]
