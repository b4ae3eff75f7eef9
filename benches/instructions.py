#!/usr/bin/env python3
"""Host instructions and peak memory that verifying costs, for each processed BPF instruction.

    benches/instructions.py [--btf FILE] OBJECT.bpf.o...

Runs a release build of kptrsim under callgrind, which counts instead of timing, so that the numbers are the same on a
busy machine. Prints, for each object:

    processed    BPF instructions that its programs' verification processes
    per insn     host instructions inside `ObjectVerifier::verify`, divided by that
    around       host instructions of the rest, in millions: the kernel's types, loading, and what programs share
    peak MiB     most memory in use, outside callgrind, of which the kernel's types are the larger part for most objects

Needs valgrind. `--btf` names the kernel's types, such as /sys/kernel/btf/vmlinux. KPTRSIM names a binary that is built
already; without it the script builds one. `--keep FOLDER` keeps callgrind's profiles, to look at with
callgrind_annotate.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENTRY = "*ObjectVerifier::verify"


def built() -> str:
    """The binary: the one that the environment names, or a fresh release build."""
    if named := os.environ.get("KPTRSIM"):
        return named
    command = ["cargo", "build", "--release", "--bin", "kptrsim", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return next(path for line in reversed(lines) if (path := json.loads(line).get("executable")))


def counted(command: list[str], profile: pathlib.Path, entry: str | None) -> tuple[int, str]:
    """Host instructions of a command, or of those below a function, and what it printed."""
    callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
    if entry:
        callgrind.append(f"--toggle-collect={entry}")
    run = subprocess.run([*callgrind, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode not in (0, 1, 3) or not found:
        sys.exit(f"{' '.join(command)}: {run.stderr}")
    return int(found[1]), run.stdout


def peak_mib(command: list[str]) -> float:
    """Most memory that a command has in use."""
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ])
    usage: resource.struct_rusage = os.wait4(pid, 0)[2]
    return usage.ru_maxrss / 1024


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objects", nargs="+", type=pathlib.Path, metavar="OBJECT")
    parser.add_argument("--btf", help="the kernel's types")
    parser.add_argument("--keep", type=pathlib.Path, help="where callgrind's profiles go")
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"
    binary = built()
    print(f"{'object':<32} {'processed':>9} {'per insn':>9} {'around':>7} {'peak MiB':>8}")
    for path in arguments.objects:
        command = [binary, "verify", "--format", "json", str(path)]
        command += ["--btf", arguments.btf] if arguments.btf else []
        with tempfile.TemporaryDirectory() as scratch:
            folder = arguments.keep or pathlib.Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            inside, out = counted(command, folder / f"{path.name}.verify.callgrind", ENTRY)
            whole, _ = counted(command, folder / f"{path.name}.callgrind", None)
        processed = sum(json.loads(line)["insns_processed"] for line in out.splitlines())
        around = (whole - inside) / 1e6
        name = path.name.removesuffix(".o").removesuffix(".bpf")
        print(f"{name:<32} {processed:>9} {inside / max(processed, 1):>9.0f} {around:>7.0f} {peak_mib(command):>8.1f}", flush=True)


if __name__ == "__main__":
    main()
