#!/usr/bin/env python3
"""Looks for witnesses for the rejected programs of the selftests about ownership, and writes the table in WITNESS.md.

KPTRSIM_SELFTESTS_FOLDER names the folder whose `objects` are the compiled selftests; the first argument is the binary, all
others go to `kptrsim witness`. With --records FILE the records of an earlier call are put into the table instead.
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
HEAD = """# Witnesses for the selftests' ownership rejections

`kptrsim witness` asked for each program that the verifier rejects in the families that `families.toml` marks as being about
ownership. *Witness*: a run shows the harm, at the rejected instruction or after it, and its token repeats it. *No harm*: the rule
names none that a run could show. Of those without, *reached* says that the rejected instruction was executed and nothing of the
kind came of it, *not reached* that no input led there, *no model* that runs ended at something that is not modelled.
Written by `tests/conformance/witness.py`; `docs/soundness.md` says what is looked for.
"""


def objects():
    families = tomllib.loads((HERE / "families.toml").read_text())["family"]
    folder = pathlib.Path(os.environ["KPTRSIM_SELFTESTS_FOLDER"]) / "objects"
    for path in sorted(folder.glob("*.bpf.o")):
        name = path.name.removesuffix(".bpf.o")
        family = next((f for f in families if any(fnmatch.fnmatch(name, p) for p in f["objects"])), None)
        if family and family.get("ownership"):
            yield path


def records(binary, options):
    for path in objects():
        command = [binary, "witness", str(path), "--format", "json", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 2:
            print(f"{path.name}: {done.stderr.strip()}", file=sys.stderr)
        yield from (json.loads(line) for line in done.stdout.splitlines())


def why(record):
    tried = record["tried"]
    if tried["unsupported"]:
        return "no model"
    return "reached" if tried["reached"] else "not reached"


def table(found):
    columns = ["programs", "witness", "no harm", "reached", "not reached", "no model"]
    rules = collections.defaultdict(collections.Counter)
    without = []
    for record in found:
        answer = record["answer"]
        column = {"witness": "witness", "no-harm": "no harm"}.get(answer) or why(record)
        rules[record["rule"]].update(["programs", column])
        if answer == "none-found":
            name = pathlib.Path(record["object"]).name.removesuffix(".bpf.o")
            note = "; ".join(record["tried"]["unsupported"][:1])
            without.append(f"| {name} | {record['program']} | {record['rule']} | {column} | {note} |")
    total = sum(rules.values(), collections.Counter())
    lines = ["| rule | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    row = lambda name, counts: f"| {name} | " + " | ".join(str(counts[c]) for c in columns) + " |"
    ordered = sorted(rules.items(), key=lambda one: (-one[1]["programs"], one[0]))
    lines += [row(name, counts) for name, counts in ordered] + [row("**all**", total)]
    lines += ["", "## Those without", "", "| object | program | rule | why | first of what has no model |"]
    lines += ["| --- | --- | --- | --- | --- |", *without]
    return HEAD + "\n" + "\n".join(lines) + "\n"


def main():
    if sys.argv[1:2] == ["--records"]:
        found = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
    else:
        found = list(records(sys.argv[1], sys.argv[2:]))
    (HERE / "WITNESS.md").write_text(table(found))


if __name__ == "__main__":
    main()
