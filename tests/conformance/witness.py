#!/usr/bin/env python3
"""Looks for witnesses for rejected programs, those of the selftests about ownership and our own, and writes WITNESS.md.

KPTRSIM_SELFTESTS_FOLDER names the folder whose `objects` are the compiled selftests; the first argument is the binary, all
others go to `kptrsim witness` for the selftests. With --records FILE the records of an earlier call are put into the table
instead; every call leaves its records in the file that KPTRSIM_WITNESS_RECORDS names, if it names one.
"""

import collections
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).parent
OWN = HERE.parent / "programs" / "reject"
HEAD = """# Witnesses for rejected programs

`kptrsim witness` asked for each program that the verifier rejects: those of the selftests' families that `families.toml` marks as being
about ownership, and our own under `tests/programs/reject`. Written by `tests/conformance/witness.py`; `docs/soundness.md` says what is
looked for, and how it is decided that there is no harm.

- *witness*: a run shows the harm, at the rejected instruction or after it, and its token repeats it.
- *no harm named*: the rule is about form, about what the kernel offers, a convention, or what the verifier can know.
- *harmless*: all runs of the small scenarios were tried, nothing from outside decides what happens in them, and none does harm.
- *open*: none of these. Harm may exist; each stands in the last section with what is known of the cause.

The share is that of the witnesses among the programs for which harm may exist: *witness* and *open* together.
"""
COLUMNS = ["programs", "witness", "no harm named", "harmless", "open"]


def objects():
    families = tomllib.loads((HERE / "families.toml").read_text())["family"]
    folder = pathlib.Path(os.environ["KPTRSIM_SELFTESTS_FOLDER"]) / "objects"
    for path in sorted(folder.glob("*.bpf.o")):
        name = path.name.removesuffix(".bpf.o")
        family = next((f for f in families if any(fnmatch.fnmatch(name, p) for p in f["objects"])), None)
        if family and family.get("ownership"):
            yield path


def records(binary, options):
    asked = [(path, options) for path in objects()] + [(path, []) for path in sorted(OWN.glob("*.bpf.c"))]
    for path, words in asked:
        command = [binary, "witness", str(path), "--format", "json", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1, 3):
            print(f"{path.name}: {done.stderr.strip()}", file=sys.stderr)
        yield from (json.loads(line) for line in done.stdout.splitlines())


def name(record):
    return pathlib.Path(record["object"]).name.removesuffix(".bpf.o").removesuffix(".bpf.c")


def column(record):
    named = {"witness": "witness", "no-harm": "no harm named", "harmless": "harmless"}
    return named.get(record["answer"], "open")


def cause(record):
    tried = record["tried"]
    if tried["unsupported"]:
        return "no model: " + tried["unsupported"][0]
    reached = "the instruction is executed" if tried["reached"] else "no input leads to the instruction"
    return reached + (f"; {tried['missing']}" if tried.get("missing") else "")


def share(counts):
    possible = counts["witness"] + counts["open"]
    return f"{100 * counts['witness'] / possible:.1f} %" if possible else "-"


def counted(found):
    rules = collections.defaultdict(collections.Counter)
    for record in found:
        rules[record["rule"]].update(["programs", column(record)])
    ordered = sorted(rules.items(), key=lambda one: (-one[1]["programs"], one[0]))
    total = sum(rules.values(), collections.Counter())
    lines = ["| rule | " + " | ".join(COLUMNS) + " | share |", "| --- |" + " ---: |" * (len(COLUMNS) + 1)]
    for rule, counts in [*ordered, ("**all**", total)]:
        lines.append(f"| {rule} | " + " | ".join(str(counts[c]) for c in COLUMNS) + f" | {share(counts)} |")
    return lines, total


def table(found):
    own = [record for record in found if record["object"].endswith(".bpf.c")]
    selftests = [record for record in found if not record["object"].endswith(".bpf.c")]
    parts = [("The selftests' ownership rejections", selftests), ("Our own rejected programs", own)]
    summary = ["| | " + " | ".join(COLUMNS) + " | share |", "| --- |" + " ---: |" * (len(COLUMNS) + 1)]
    sections, total = [], collections.Counter()
    for title, part in parts:
        lines, counts = counted(part)
        total += counts
        summary.append(f"| {title} | " + " | ".join(str(counts[c]) for c in COLUMNS) + f" | {share(counts)} |")
        sections += ["", f"## {title}", "", *lines]
    summary.append("| **together** | " + " | ".join(str(total[c]) for c in COLUMNS) + f" | {share(total)} |")
    last = ["", "## Without a witness, though harm may exist", "", "| object | program | rule | what is known |"]
    last += ["| --- | --- | --- | --- |"]
    for record in found:
        if column(record) == "open":
            last.append(f"| {name(record)} | {record['program']} | {record['rule']} | {cause(record)} |")
    return HEAD + "\n" + "\n".join([*summary, *sections, *last]) + "\n"


def main():
    if sys.argv[1:2] == ["--records"]:
        found = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
    else:
        found = []
        kept = os.environ.get("KPTRSIM_WITNESS_RECORDS", os.devnull)
        with open(kept, "w", encoding="utf-8") as file:
            for record in records(sys.argv[1], sys.argv[2:]):
                found.append(record)
                file.write(json.dumps(record) + "\n")
    (HERE / "WITNESS.md").write_text(table(found))


if __name__ == "__main__":
    main()
