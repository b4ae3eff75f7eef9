#!/usr/bin/env python3
"""Host instructions of the simulated machine: for each BPF instruction that it executes, and for each schedule.

    benches/machine.py

Runs the bench `machine` under callgrind, which counts instead of timing, so that the numbers are the same on a busy machine:
each loop with two numbers of rounds, whose difference leaves setting up out. rbpf's interpreter runs the same bytecode where
it can (it has no atomics, and knows no maps). Then it prints wall times, which are not the same on a busy machine.

Needs valgrind. MACHINE_BENCH names the bench's binary that is built already; without it the script builds it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOOPS = {"hash": True, "memory": True, "branches": True, "calls": True, "values": False, "atomics": False}
FEW, MANY = 2_000, 12_000


def built() -> str:
    """The binary: the one that the environment names, or a fresh build."""
    if named := os.environ.get("MACHINE_BENCH"):
        return named
    command = ["cargo", "bench", "--bench", "machine", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return next(path for line in reversed(lines) if (path := json.loads(line).get("executable")))


def counted(command: list[str]) -> tuple[int, list[str]]:
    """Host instructions of a command, and the words that it printed."""
    callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}"]
    run = subprocess.run([*callgrind, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)}: {run.stderr}")
    return int(found[1]), run.stdout.split()


def between(few: list[str], many: list[str]) -> tuple[int, list[str], list[str]]:
    """Host instructions that the second command takes more than the first, and what each printed."""
    (less, first), (more, second) = counted(few), counted(many)
    return more - less, first, second


def main() -> None:
    """Prints the tables."""
    binary = built()
    print(f"{'loop':<10} {'host instructions per BPF instruction':>38} {'rbpf':>6}")
    for loop, shared in LOOPS.items():
        host, first, second = between([binary, "ours", loop, str(FEW)], [binary, "ours", loop, str(MANY)])
        executed = int(second[1]) - int(first[1])
        theirs = "-"
        if shared:
            theirs = f"{between([binary, 'rbpf', loop, str(FEW)], [binary, 'rbpf', loop, str(MANY)])[0] / executed:.1f}"
        print(f"{loop:<10} {host / executed:>38.1f} {theirs:>6}", flush=True)
    host = between([binary, "race", "500"], [binary, "race", "1500"])[0]
    print(f"one random schedule of 2 CPUs x 8 exchanges: {host / 1000:.0f} host instructions", flush=True)
    subprocess.run([binary], check=True)


if __name__ == "__main__":
    main()
