#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Makes kfuncs/*.toml and kfuncs/include/kptrsim_helpers.h from a kernel's sources and its vmlinux.

    python3 kfuncs/generate/generate.py --source LINUX_SOURCE_DIR --btf-ids VMLINUX

Run by maintainers, seldom; the results are committed. Python 3's standard library only.
"""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import btf as btf_format  # noqa: E402
import header  # noqa: E402
import sources  # noqa: E402


def main():
    """Parses arguments, writes all files."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--source", required=True, type=pathlib.Path, help="extracted kernel sources")
    arguments.add_argument("--btf-ids", required=True, type=pathlib.Path, help="vmlinux (ELF) with .BTF and .BTF_ids")
    arguments.add_argument("--out", type=pathlib.Path, default=HERE.parent)
    options = arguments.parse_args()
    elf = btf_format.Elf(options.btf_ids)
    btf = btf_format.Btf(elf.section(".BTF"))
    uapi_text = (options.source / "include/uapi/linux/bpf.h").read_text()
    sets = sources.kfunc_sets(options.source)
    names = sorted({name for found in sets for name, _ in found.members})
    funcs = [btf.find("func", name) for name in names if btf.find("func", name)]
    (options.out / "include/kptrsim_helpers.h").write_text(header.write(btf, uapi_text, funcs))


if __name__ == "__main__":
    main()
