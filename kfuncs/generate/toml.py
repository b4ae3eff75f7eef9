# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes TOML: tables of plain values, one key a line, short inline tables inside arrays."""

import textwrap


def value(item):
    """One TOML value."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int):
        return str(item)
    if isinstance(item, str):
        return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(item, dict):
        return "{ " + ", ".join(f"{key} = {value(part)}" for key, part in item.items()) + " }"
    return "[" + ", ".join(value(part) for part in item) + "]"


def pair(key, item):
    """`key = value`; long arrays are broken into lines, several strings or one inline table a line."""
    line = f"{key} = {value(item)}"
    if isinstance(item, list) and len(line) > 120:
        if all(isinstance(part, str) for part in item):
            body = textwrap.fill(", ".join(value(part) for part in item), 116, break_on_hyphens=False)
            return f"{key} = [\n" + textwrap.indent(body, "    ") + ",\n]"
        return f"{key} = [\n" + "".join(f"    {value(part)},\n" for part in item) + "]"
    return line


def table(heading, entries):
    """A table under `[heading]` or `[[heading]]`."""
    return f"{heading}\n" + "".join(pair(key, item) + "\n" for key, item in entries.items())


def document(comment, tables):
    """A file: what it is, that it is generated, and its tables."""
    head = "".join(f"# {line}\n" for line in comment)
    return head + "# Written by kfuncs/generate/generate.py; do not edit.\n\n" + "\n".join(tables)
