#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Makes kfuncs/*.toml and kfuncs/include/kptrsim_helpers.h from a kernel's sources and its vmlinux.

    python3 kfuncs/generate/generate.py --source LINUX_SOURCE_DIR --btf-ids VMLINUX --config CONFIG --build 6.12.117

Run by maintainers, seldom; the results are committed. Python 3's standard library only.
"""

import argparse
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import availability  # noqa: E402
import btf as btf_format  # noqa: E402
import embedded  # noqa: E402
import header  # noqa: E402
import kfuncs  # noqa: E402
import protos  # noqa: E402
import sources  # noqa: E402
import special  # noqa: E402
import struct_ops  # noqa: E402
import toml  # noqa: E402
import uapi  # noqa: E402


def helpers_file(build, uapi_text, root, found):
    """helpers.toml: numbers and C prototypes, then how each prototype's arguments are checked."""
    ids, prototypes = uapi.helper_ids(uapi_text), uapi.helper_prototypes(uapi_text)
    changes = set(protos.changes_packet(root))
    by_map, by_helper = protos.map_compatibility(root)
    tables = []
    for name, id in sorted(ids.items(), key=lambda row: row[1]):
        entry = {"id": id, "name": name, "prototype": uapi.show(name, prototypes[name])}
        if name in changes:
            entry["changes_packet"] = True
        if name in by_helper:
            entry["maps"] = [map_type(kind) for kind in by_helper[name]]
        tables.append(toml.table("[[helper]]", entry))
    for kind, (names, special_cases) in by_map.items():
        entry = {"type": map_type(kind), "helpers": names}
        if special_cases:
            entry["or"] = special_cases
        tables.append(toml.table("[[map]]", entry))
    for proto in found:
        entry = {"symbol": proto["symbol"]}
        entry["args"] = [arg["kind"] if len(arg) == 1 else arg for arg in proto["args"]]
        entry["ret"] = proto["ret"]["kind"] if len(proto["ret"]) == 1 else proto["ret"]
        entry |= {key: proto[key] for key in (*protos.BOOLS, "allowed") if key in proto}
        tables.append(toml.table("[[proto]]", entry))
    return toml.document([f"Helpers of Linux {build}."], tables)


def map_type(text):
    """`BPF_MAP_TYPE_ARRAY` as `array`."""
    return text.removeprefix("BPF_MAP_TYPE_").lower()


def availability_file(build, root, config):
    """availability.toml: which prototype a program type gets for a helper."""
    reader = availability.Reader(root, config)
    types, contexts, structs = availability.program_tables(root)
    functions = [name for name in sorted(reader.bodies) if name.endswith("func_proto") and name != "bpf_iter_get_func_proto"]
    functions = [name for name in functions if any("func_id" in str(part) for part in reader.bodies[name]) or True]
    tables = []
    for kind, function in types.items():
        entry = {"type": kind}
        if function:
            entry["table"] = function
        entry |= {"context": contexts[kind][0], "kernel_context": contexts[kind][1]}
        tables.append(toml.table("[[program]]", entry))
    for name, function in sorted(structs.items()):
        tables.append(toml.table("[[struct_ops]]", {"struct": name, **({"table": function} if function else {})}))
    for target, function in sorted(availability.iterator_tables(root).items()):
        tables.append(toml.table("[[iterator]]", {"target": target, "table": function}))
    for function in functions:
        other, rows = reader.table(function)
        first = []
        while len(first) < len(other) and "try" in other[len(first)] and all(
            len(row) > len(first) and row[len(first)] == other[len(first)] for row in rows.values()
        ):
            first.append(other[len(first)])
        cut = len(first)
        entry = {"name": function, "first": [plain(row) for row in first], "otherwise": [plain(row) for row in other[cut:]]}
        text = toml.table("[[table]]", entry) + "[table.helpers]\n"
        for name, decided in rows.items():
            decided = [plain(row) for row in decided[cut:]]
            shown = decided[0]["proto"] if len(decided) == 1 and set(decided[0]) == {"proto"} else decided
            text += toml.pair("bpf_" + name.removeprefix("BPF_FUNC_"), shown) + "\n"
        tables.append(text)
    if reader.unknown:
        print("availability: not understood:", sorted(reader.unknown), file=sys.stderr)
    return toml.document([f"Which helper prototype a program type gets, in Linux {build}."], tables)


def plain(row):
    """A row without an empty condition."""
    return {key: item for key, item in row.items() if key != "when" or item}


def special_file(build, root, config, sets):
    """special_types.toml."""
    tables = [toml.table("[[safe_fields]]", row) for row in special.safe_fields(root)]
    rcu = special.id_set(root, "kernel/bpf/verifier.c", "rcu_protected_types", config)
    tables.insert(0, toml.pair("rcu_protected", rcu) + "\n")
    fmod = [one for one in sets if one.hooks == ["fmod_ret"]]
    rows = [{"name": name, "flags": flags} for one in fmod for name, flags in one.members]
    tables.insert(1, toml.pair("fmod_ret", rows) + "\n")
    names = protos.type_names(root)
    socks = {key[len("btf_sock_ids[BTF_SOCK_TYPE_") : -1].lower(): name for key, name in names.items() if "SOCK_TYPE_" in key}
    tables.append(toml.table("[sock_types]", dict(sorted(socks.items()))))
    tables += [toml.table("[[destructor]]", row) for row in special.destructors(root)]
    tables.append(toml.table("[function_sets]", special.function_sets(root, config)))
    tables += [toml.table("[[iterator]]", row) for row in special.iterator_targets(root)]
    tables += [toml.table("[[raw_tracepoint]]", row) for row in special.raw_tracepoint_arguments(root)]
    return toml.document([f"Types and functions that the verifier of Linux {build} treats specially."], tables)


def embedded_files(build, btf, root, config, funcs):
    """(types.toml, attach.toml)."""
    structs, typedefs = embedded.types(btf, funcs)
    functions, tracepoints = embedded.attach(btf)
    first = [toml.table("[[struct]]", row) for row in structs] + [toml.table("[[typedef]]", row) for row in typedefs]
    lsm = [{"name": name, "prototype": text} for name, text in special.lsm_hooks(root, config)]
    second = [toml.table(f"[[{kind}]]", row) for kind, rows in (("function", functions), ("tracepoint", tracepoints), ("lsm", lsm)) for row in rows]
    return (
        toml.document([f"Kernel types of Linux {build}, for use without a kernel's BTF."], first),
        toml.document([f"Attach targets of Linux {build}, for use without a kernel's BTF."], second),
    )


def main():
    """Parses arguments, writes all files."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--source", required=True, type=pathlib.Path, help="extracted kernel sources")
    arguments.add_argument("--btf-ids", required=True, type=pathlib.Path, help="vmlinux (ELF) with .BTF and .BTF_ids")
    arguments.add_argument("--config", required=True, type=pathlib.Path, help="that kernel's configuration")
    arguments.add_argument("--build", required=True, help="that kernel's version, for the files' first line")
    arguments.add_argument("--out", type=pathlib.Path, default=HERE.parent)
    options = arguments.parse_args()
    root, build = options.source, options.build
    elf = btf_format.Elf(options.btf_ids)
    btf = btf_format.Btf(elf.section(".BTF"))
    config = dict(re.findall(r"^(CONFIG_\w+)=(\S+)", options.config.read_text(), re.M))
    uapi_text = (root / "include/uapi/linux/bpf.h").read_text()
    sets = sources.kfunc_sets(root)
    missing = kfuncs.check_flags(sets, btf, elf.section(".BTF_ids"), config)
    if missing:
        print("flags not confirmed by .BTF_ids:", missing, file=sys.stderr)
    write = lambda name, text: (options.out / name).write_text(text)
    write("helpers.toml", helpers_file(build, uapi_text, root, protos.read(root, btf)))
    write("availability.toml", availability_file(build, root, config))
    write("special_types.toml", special_file(build, root, config, sets))
    names = sorted({name for found in sets for name, _ in found.members})
    funcs = [func for name in names if (func := btf.find("func", name))]
    structs = [toml.table("[[struct_ops]]", row) for row in struct_ops.rows(root, btf)]
    write("struct_ops.toml", toml.document([f"Structures of Linux {build} that struct_ops programs implement."], structs))
    types, attach = embedded_files(build, btf, root, config, funcs)
    write("types.toml", types)
    write("attach.toml", attach)
    for family, rows in kfuncs.merge(sets, root, btf).items():
        tables = [toml.table("[[kfunc]]", row) for row in rows]
        write(f"{family}.toml", toml.document([f"kfuncs of Linux {build}: the {family} family."], tables))
    write("include/kptrsim_helpers.h", header.write(btf, uapi_text, funcs))


if __name__ == "__main__":
    main()
