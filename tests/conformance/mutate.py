#!/usr/bin/env python3
"""BPF objects with one or two instructions of each function changed, to ask a kernel and the verifier about.

    tests/conformance/mutate.py SEED FOLDER OBJECT...
    kptrsim crosscheck --format json FOLDER/*.bpf.o > answers.jsonl

The same seed and file name give the same changes. An instruction that libbpf relocates stays as it is, and so do wide loads:
an object that libbpf refuses tells nothing about a verifier.
"""

import pathlib
import random
import struct
import sys

SHT_SYMTAB, SHT_REL, STT_FUNC = 2, 9, 2
LD_IMM64 = 0x18
JUMPS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0]
ARITHMETIC = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xA0, 0xB0, 0xC0]
ATOMICS = [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1]
CHANGES = ["leave out", "destination", "source", "immediate", "offset", "operation", "size", "class", "swap", "repeat"]


def text_at(data: bytes, at: int) -> str:
    """The string that begins there."""
    return data[at : data.index(b"\0", at)].decode()


def sections(data: bytes) -> list[dict]:
    """The section headers of a 64-bit ELF file."""
    (first,), (count, names) = struct.unpack_from("<Q", data, 0x28), struct.unpack_from("<HH", data, 0x3C)
    keys = ("name", "type", "flags", "address", "offset", "size", "link", "info")
    found = [dict(zip(keys, struct.unpack_from("<IIQQQQII", data, first + 64 * index))) for index in range(count)]
    for section in found:
        section["label"] = text_at(data, found[names]["offset"] + section["name"])
    return found


def core_relocated(data: bytes, found: list[dict]) -> dict[str, set[int]]:
    """For each section the offsets of instructions with CO-RE relocations (`.BTF.ext`)."""
    by_name = {section["label"]: section["offset"] for section in found}
    offsets: dict[str, set[int]] = {}
    if ".BTF" not in by_name or ".BTF.ext" not in by_name:
        return offsets
    btf, extension = by_name[".BTF"], by_name[".BTF.ext"]
    (header,) = struct.unpack_from("<I", data, extension + 4)
    if header < 32:
        return offsets
    start, length = struct.unpack_from("<II", data, extension + 24)
    strings = btf + struct.unpack_from("<I", data, btf + 4)[0] + struct.unpack_from("<I", data, btf + 16)[0]
    at = extension + header + start
    end = at + length
    if length:
        (record,) = struct.unpack_from("<I", data, at)
        at += 4
        while at < end:
            name, count = struct.unpack_from("<II", data, at)
            rows = range(at + 8, at + 8 + count * record, record)
            offsets.setdefault(text_at(data, strings + name), set()).update(
                struct.unpack_from("<I", data, row)[0] for row in rows
            )
            at += 8 + count * record
    return offsets


def functions(data: bytes, found: list[dict]):
    """For each function the place of its section in the file, and the offsets in there of instructions that may change."""
    fixed = core_relocated(data, found)
    relocated: dict[int, set[int]] = {}
    for section in (one for one in found if one["type"] == SHT_REL):
        rows = range(section["offset"], section["offset"] + section["size"], 16)
        relocated.setdefault(section["info"], set()).update(struct.unpack_from("<Q", data, row)[0] for row in rows)
    for table in (one for one in found if one["type"] == SHT_SYMTAB):
        for row in range(table["offset"], table["offset"] + table["size"], 24):
            _, info, _, home, start, size = struct.unpack_from("<IBBHQQ", data, row)
            if info & 15 != STT_FUNC or home >= len(found) or size == 0:
                continue
            base, keep = found[home]["offset"], relocated.get(home, set()) | fixed.get(found[home]["label"], set())
            at, slots = start, []
            while at < start + size:
                wide = data[base + at] == LD_IMM64
                if not wide and at not in keep:
                    slots.append(at)
                at += 16 if wide else 8
            if slots:
                yield base, slots


def change(data: bytearray, base: int, at: int, slots: list[int], draw: random.Random) -> None:
    """Changes the instruction at an offset in its section."""
    place = base + at
    code, registers, offset, immediate = struct.unpack_from("<BBhi", data, place)
    kind, destination, source = code & 7, registers & 15, registers >> 4
    how = draw.choice(CHANGES)
    if how in ("swap", "repeat"):
        if at + 8 in slots:
            this, following = data[place : place + 8], data[place + 8 : place + 16]
            if how == "swap":
                data[place : place + 8] = following
            data[place + 8 : place + 16] = this
        return
    if how == "leave out":
        code, destination, source, offset, immediate = 0x05, 0, 0, 0, 0
    elif how == "destination":
        destination = draw.randrange(11)
    elif how == "source" and (code & 8 or kind in (1, 3)):
        source = draw.randrange(11)
    elif how == "immediate":
        others = [immediate + 1, immediate - 1, immediate * 2, 0, -1, 1, 8, 16, 2**31 - 1, -(2**31), draw.randrange(220)]
        immediate = draw.choice(others)
    elif how == "offset":
        offset = draw.choice([offset + 1, offset - 1, offset + 8, offset - 8, offset + 4, offset - 4, 0, -offset, offset * 2])
    elif how == "operation":
        if kind in (5, 6) and code & 0xF0 not in (0x00, 0x80, 0x90):
            code = code & 0x0F | draw.choice(JUMPS)
        elif kind in (4, 7):
            code = code & 0x0F | draw.choice(ARITHMETIC)
        elif kind == 3 and code & 0xE0 == 0xC0:
            immediate = draw.choice(ATOMICS)
        elif kind in (1, 3):
            code = code & 0x1F | draw.choice([0x60, 0x80 if kind == 1 else 0xC0])
    elif how == "size" and kind in (1, 2, 3):
        code = code & ~0x18 | draw.choice([0x00, 0x08, 0x10, 0x18])
    elif how == "class":
        code = code & 0xF8 | {4: 7, 7: 4, 5: 6, 6: 5, 2: 3, 3: 2}.get(kind, kind)
    offset = (offset + 2**15) % 2**16 - 2**15
    immediate = (immediate + 2**31) % 2**32 - 2**31
    struct.pack_into("<BBhi", data, place, code, destination | source << 4, offset, immediate)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """The object with something changed in each function."""
    result = bytearray(data)
    for base, slots in functions(data, sections(data)):
        for _ in range(1 if draw.random() < 0.7 else 2):
            change(result, base, draw.choice(slots), slots, draw)
    return bytes(result)


def main() -> None:
    """Writes the changed objects."""
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    seed, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(pathlib.Path, sys.argv[3:]):
        (folder / path.name).write_bytes(mutated(path.read_bytes(), random.Random(f"{seed}:{path.name}")))


if __name__ == "__main__":
    main()
