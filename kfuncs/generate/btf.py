# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reads BTF (Linux's type format) and prints its types as C.

Only what the generator needs: every kind is parsed, and a type can be printed as a declaration, a function prototype,
or a structure with the byte offset of each member.
Format: Documentation/bpf/btf.rst of the kernel.
"""

import struct

KINDS = (
    "void int ptr array struct union enum fwd typedef volatile const restrict func func_proto var datasec float "
    "decl_tag type_tag enum64"
).split()


class Type:
    """One BTF type. `ref` is the type id that pointers, typedefs and modifiers name; `items` are members, values or parameters."""

    __slots__ = ("id", "name", "kind", "ref", "size", "items", "flag", "count", "bits", "signed")

    def __init__(self, id, name, kind):
        self.id, self.name, self.kind = id, name, kind
        self.ref = self.size = self.count = self.bits = 0
        self.items, self.flag, self.signed = [], False, False


class Btf:
    """All types of one BTF blob."""

    def __init__(self, data):
        magic, _version, _flags, header, type_at, type_len, text_at, _text_len = struct.unpack_from("<HBBIIIII", data)
        if magic != 0xEB9F:
            raise ValueError("no BTF magic")
        self.data, self.text = data, header + text_at
        self.types = [Type(0, "void", "void")]
        self.by_name = {}
        at, end = header + type_at, header + type_at + type_len
        while at < end:
            at = self._read(at)
        for ty in self.types[1:]:
            if ty.name:
                self.by_name.setdefault((ty.kind, ty.name), ty)

    def _string(self, at):
        start = self.text + at
        return self.data[start : self.data.index(b"\0", start)].decode()

    def _read(self, at):
        name, info, size = struct.unpack_from("<III", self.data, at)
        at += 12
        kind, count = KINDS[info >> 24 & 31], info & 0xFFFF
        ty = Type(len(self.types), self._string(name), kind)
        ty.flag, ty.ref, ty.size = bool(info >> 31), size, size
        self.types.append(ty)
        word = lambda fields: struct.unpack_from("<" + "I" * fields, self.data, at)
        if kind == "int":
            (data,) = word(1)
            ty.bits, ty.signed = data & 0xFF, bool(data >> 24 & 1)
            return at + 4
        if kind == "array":
            ty.ref, _index, ty.count = word(3)
            return at + 12
        if kind in ("var", "decl_tag"):
            return at + 4
        width = {"struct": 3, "union": 3, "enum": 2, "func_proto": 2, "datasec": 3, "enum64": 3}.get(kind, 0)
        for _ in range(count if width else 0):
            row = word(width)
            at += 4 * width
            if kind in ("struct", "union"):
                offset, bits = (row[2] & 0xFFFFFF, row[2] >> 24) if ty.flag else (row[2], 0)
                ty.items.append((self._string(row[0]), row[1], offset, bits))
            elif kind == "func_proto":
                ty.items.append((self._string(row[0]), row[1]))
            elif kind == "enum":
                value = row[1] - (1 << 32) if ty.flag and row[1] >> 31 else row[1]
                ty.items.append((self._string(row[0]), value))
            elif kind == "enum64":
                value = row[2] << 32 | row[1]
                ty.items.append((self._string(row[0]), value - (1 << 64) if ty.flag and value >> 63 else value))
            else:
                ty.items.append(row)
        return at

    def find(self, kind, name):
        """The first type of that kind and name, or None."""
        return self.by_name.get((kind, name))

    def strip(self, id):
        """Follows modifiers (not typedefs)."""
        while self.types[id].kind in ("const", "volatile", "restrict", "type_tag"):
            id = self.types[id].ref
        return id

    def declare(self, id, name="", anonymous=None):
        """C text that declares `name` to be of type `id`. `anonymous` prints structures without a name."""
        ty = self.types[id]
        join = lambda left, right: left + (" " if right and not right.startswith("[") else "") + right
        if ty.kind in ("struct", "union", "enum", "enum64"):
            keyword = "enum" if ty.kind == "enum64" else ty.kind
            if ty.name:
                return join(f"{keyword} {ty.name}", name)
            return join(anonymous(ty) if anonymous else f"{keyword} {{}}", name)
        if ty.kind == "fwd":
            return join(f"{'union' if ty.flag else 'struct'} {ty.name}", name)
        if ty.kind in ("int", "float", "typedef", "void"):
            return join(ty.name, name)
        if ty.kind == "array":
            return self.declare(ty.ref, (f"({name})" if name.startswith("*") else name) + f"[{ty.count}]", anonymous)
        if ty.kind == "func_proto":
            inner = f"({name})" if name.startswith("*") else name
            return self.declare(ty.ref, f"{inner}({self.parameters(ty)})")
        if ty.kind == "ptr":
            target, tags = ty.ref, []
            while self.types[target].kind == "type_tag":
                tags.append("__" + self.types[target].name)
                target = self.types[target].ref
            if tags:  # `struct css_set __rcu *cgroups`, as kernel sources write it
                return join(self.declare(target, "", anonymous), " ".join(tags) + " *" + name)
            return self.declare(target, "*" + name, anonymous)
        if ty.kind in ("const", "volatile", "restrict"):
            if self.types[ty.ref].kind == "ptr":
                return self.declare(ty.ref, join(ty.kind, name), anonymous).replace(f"*{ty.kind}", f"*{ty.kind}")
            return join(ty.kind, self.declare(ty.ref, name, anonymous))
        if ty.kind == "type_tag":
            return self.declare(ty.ref, name, anonymous)
        raise ValueError(f"type {id} of kind {ty.kind} cannot be declared")

    def parameters(self, proto):
        """The parameter list of a function prototype."""
        texts = ["..." if not ty and not name else self.declare(ty, name) for name, ty in proto.items]
        return ", ".join(texts) or "void"

    def prototype(self, func):
        """The C prototype of a `func` type, parameter names included."""
        proto = self.types[func.ref]
        return self.declare(proto.ref, f"{func.name}({self.parameters(proto)})")


class Elf:
    """The sections of a 64-bit little-endian ELF file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path}: not a 64-bit little-endian ELF file")
        (table,) = struct.unpack_from("<Q", self.data, 40)
        size, count, names = struct.unpack_from("<HHH", self.data, 58)
        rows = [struct.unpack_from("<IIQQQQ", self.data, table + size * i) for i in range(count)]
        start = rows[names][4]
        self.sections = {}
        for name, _type, _flags, _address, offset, length in rows:
            end = self.data.index(b"\0", start + name)
            self.sections[self.data[start + name : end].decode()] = (offset, length)

    def section(self, name):
        """A section's bytes."""
        offset, length = self.sections[name]
        return self.data[offset : offset + length]
