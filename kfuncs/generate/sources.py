# SPDX-License-Identifier: MIT OR Apache-2.0
"""Finds kfunc sets and where they are registered, in the kernel's C sources."""

import dataclasses
import functools
import pathlib
import re


@functools.cache
def clean(path):
    """A C file without comments and with continued lines joined; line structure is otherwise kept."""
    text = pathlib.Path(path).read_text(errors="replace").replace("\\\n", " ")
    strip = lambda match: match[0] if match[0].startswith('"') else "\n" * match[0].count("\n")
    return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', strip, text, flags=re.S)


@functools.cache
def files_with(root, *words):
    """Paths of C files under `root` (tools and documentation aside) that contain one of `words`."""
    found = []
    for folder in ("kernel", "net", "fs", "drivers", "security", "mm", "lib", "block", "crypto", "arch/x86"):
        for path in sorted((pathlib.Path(root) / folder).rglob("*.c")):
            raw = path.read_bytes()
            if any(word.encode() in raw for word in words):
                found.append(path)
    return tuple(found)


def with_conditions(text):
    """Yields (line, conditions): the `#if` conditions around each line, outermost first."""
    stack = []
    for line in text.split("\n"):
        match = re.match(r"\s*#\s*(ifdef|ifndef|if|elif|else|endif)\b\s*(.*)", line)
        if not match:
            yield line, tuple(stack)
            continue
        word, rest = match[1], " ".join(match[2].split())
        if word == "endif":
            stack.pop()
        elif word == "else":
            stack[-1] = f"!({stack[-1]})"
        elif word == "elif":
            stack[-1] = f"!({stack[-1]}) && {config(rest)}"
        else:
            stack.append({"ifdef": rest, "ifndef": f"!{rest}", "if": config(rest)}[word])


def config(text):
    """`IS_ENABLED(CONFIG_X)` and `defined(CONFIG_X)` as the plain name."""
    return re.sub(r"(?:IS_ENABLED|IS_BUILTIN|defined)\s*\(\s*(\w+)\s*\)", r"\1", text)


@dataclasses.dataclass
class KfuncSet:
    """One BTF_KFUNCS_START set: (kfunc, flags) and the hooks that it is registered for."""

    symbol: str
    path: str
    members: list
    hooks: list = dataclasses.field(default_factory=list)
    filter: str = ""
    conditions: dict = dataclasses.field(default_factory=dict)


def kfunc_sets(root):
    """All kfunc sets, those for fmod_ret too (their hook is `fmod_ret`)."""
    sets = []
    for path in files_with(root, "BTF_KFUNCS_START", "register_btf_fmodret_id_set"):
        text = clean(path)
        if "XDP_METADATA_KFUNC_xxx" in text:
            rows = r"XDP_METADATA_KFUNC\(\s*XDP_METADATA_KFUNC_\w+,\s*\w+,\s*(\w+),"
            names = re.findall(rows, clean(pathlib.Path(root) / "include/net/xdp.h"))
            expanded = "\n".join(f"BTF_ID_FLAGS(func, {name}, KF_TRUSTED_ARGS)" for name in names)
            text = text.replace("XDP_METADATA_KFUNC_xxx", expanded, 1)
        text = re.sub(r"BTF_ID_FLAGS\([^)]*\)", lambda match: " ".join(match[0].split()), text)
        found = {}
        current = None
        for line, conditions in with_conditions(text):
            if match := re.match(r"\s*BTF_(?:KFUNCS|SET8)_START\((\w+)\)", line):
                current = found[match[1]] = KfuncSet(match[1], str(path.relative_to(root)), [])
            elif re.match(r"\s*BTF_(?:KFUNCS|SET8)_END", line):
                current = None
            elif current is not None and (match := re.match(r"\s*BTF_ID_FLAGS\(func,\s*(\w+)\s*(?:,([^)]*))?\)", line)):
                flags = [flag.strip()[3:].lower() for flag in (match[2] or "").split("|") if flag.strip()]
                current.members.append((match[1], flags))
                if conditions:
                    current.conditions[match[1]] = " && ".join(conditions)
        variables = {}
        for match in re.finditer(r"struct btf_kfunc_id_set (\w+)\s*=\s*\{(.*?)\};", text, re.S):
            symbol = re.search(r"\.set\s*=\s*&(\w+)", match[2])
            check = re.search(r"\.filter\s*=\s*(\w+)", match[2])
            variables[match[1]] = (symbol[1], check[1] if check else "")
        register = r"register_btf_(?:kfunc_id_set\(\s*BPF_PROG_TYPE_(\w+)\s*,|fmodret_id_set\()\s*&(\w+)\s*\)"
        for match in re.finditer(register, text):
            symbol, check = variables[match[2]]
            found[symbol].hooks.append(match[1].lower() if match[1] else "fmod_ret")
            found[symbol].filter = check
        sets += found.values()
    return sets
