# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reads include/uapi/linux/bpf.h: the numbers of helpers and their C prototypes."""

import re


def helper_ids(text):
    """Helper name (`bpf_…`) to id, from the `FN(name, id, …)` list."""
    start = text.index("#define ___BPF_FUNC_MAPPER")
    body = text[start : text.index("#define __BPF_FUNC_MAPPER", start)]
    pairs = re.findall(r"FN\((\w+),\s*(\d+),", body)
    return {"bpf_" + name: int(number) for name, number in pairs if name != "unspec"}


def helper_prototypes(text):
    """Helper name to its prototype (return type, [(type, name)]), from the comment that documents each helper."""
    found = {}
    pattern = re.compile(r"^ \* ([a-z_][\w ]*?)( ?\**)(bpf_\w+)\((.*?)\)\s*\n \*\s+Description", re.M | re.S)
    for match in pattern.finditer(text):
        result = " ".join(match[1].split()) + (" *" if "*" in match[2] else "")
        parameters = []
        for part in re.sub(r"\n \*\s*", " ", match[4]).split(","):
            part = " ".join(part.split())
            if part in ("void", "..."):
                parameters += [("...", "")] if part == "..." else []
                continue
            split = re.match(r"(.*?)\s*(\*+)?\s*(\w+)$", part)
            parameters.append(((split[1] + " " + split[2]) if split[2] else split[1], split[3]))
        found.setdefault(match[3], (result, parameters))
    return found


def show(name, prototype):
    """One line of C."""
    result, parameters = prototype
    texts = [kind if not label else kind + ("" if kind.endswith("*") else " ") + label for kind, label in parameters]
    return f"{result}{'' if result.endswith('*') else ' '}{name}({', '.join(texts) or 'void'})"


def bpf_enum_members(text):
    """Every enumerator that the header defines, by name (their values come from BTF)."""
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    names = set()
    for body in re.findall(r"\benum\s*\w*\s*\{(.*?)\}", bare, flags=re.S):
        names.update(re.findall(r"^\s*([A-Za-z_]\w*)\s*(?:=|,|$)", body, flags=re.M))
    return names
