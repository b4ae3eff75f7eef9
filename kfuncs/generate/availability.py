# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which prototype a program type gets for a helper.

The kernel answers with functions of one shape (`bpf_base_func_proto`, `xdp_func_proto` …): a switch over the helper,
some conditions, and another such function in the end. They are run symbolically here, once for each helper that they
name and once for any other. The result is an ordered list of rows; the first whose conditions all hold decides:

    {"when": [conditions], "proto": symbol}    that prototype
    {"when": [conditions]}                     not offered
    {"when": [conditions], "table": name}      as that function says
    {"when": [conditions], "try": name}        as that function says, if it offers the helper; else the next row
"""

import re

import sources

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\w+|->|&&|\|\||[=!<>]=|[^\s\w]')
CASE_LIMIT = 64  # rows of one helper; more means that a function was misread


class Lines:
    """A token stream."""

    def __init__(self, tokens):
        self.tokens, self.at = tokens, 0

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, token):
        found = self.next()
        if found != token:
            raise ValueError(f"expected {token}, found {found}: {' '.join(self.tokens[self.at - 8:self.at + 8])}")

    def until(self, closing):
        """Tokens up to a closing token at depth 0, which is consumed."""
        depth, taken = 0, []
        while depth or self.peek() != closing:
            token = self.next()
            depth += token in ("(", "{", "[")
            depth -= token in (")", "}", "]")
            taken.append(token)
        self.next()
        return taken


def parse_block(lines):
    """Statements up to `}`."""
    found = []
    while lines.peek() != "}":
        found.append(parse_statement(lines))
    lines.next()
    return found


def parse_statement(lines):
    """One statement as a tuple; what is not understood is ("skip", text)."""
    word = lines.next()
    if word == "{":
        return ("block", parse_block(lines))
    if word in ("if", "switch"):
        lines.expect("(")
        condition = lines.until(")")
        body = parse_statement(lines)
        if word == "switch":
            return ("switch", condition, body[1])
        other = ("block", [])
        if lines.peek() == "else":
            lines.next()
            other = parse_statement(lines)
        return ("if", condition, body, other)
    if word == "case":
        return ("case", lines.until(":")[0])
    if word == "default":
        lines.expect(":")
        return ("default",)
    if word == "return":
        return ("return", lines.until(";"))
    if word == "break":
        lines.expect(";")
        return ("break",)
    if word == "__config_off":
        lines.expect("(")
        return ("config", lines.until(")"))
    if word == "__config_end":
        return ("config", None)
    rest = [word, *lines.until(";")] if word != ";" else []
    if len(rest) > 2 and rest[1] == "=":
        return ("assign", rest[0], rest[2:])
    return ("skip", rest)


class Reader:
    """Runs the functions."""

    def __init__(self, root, config):
        self.config, self.bodies, self.unknown = config, {}, set()
        shape = r"\n(?:static )?(?:const )?struct bpf_func_proto \*\s*(\w+)\(([^;{]*?)\)\n\{\n(.*?)\n\}"
        for path in sources.files_with(root, "bpf_func_proto"):
            for match in re.finditer(shape, sources.clean(path), re.S):
                lines = Lines(TOKEN.findall(self.preprocess(match[3])) + ["}"])
                try:
                    self.bodies[match[1]] = parse_block(lines)
                except (ValueError, IndexError):
                    self.unknown.add(match[1])

    def preprocess(self, text):
        """Drops `#if` lines; a region whose option is off is marked, so that its cases say so."""
        taken, depth = [], []
        for line in text.split("\n"):
            match = re.match(r"\s*#\s*(ifdef|if|endif)\b\s*(.*)", line)
            if not match:
                taken.append(line)
            elif match[1] == "endif":
                taken.append(depth.pop())
            elif self.holds(match[2]):
                depth.append("")
            else:
                taken.append(f"__config_off({sources.config(match[2]).split()[0]})")
                depth.append("__config_end")
        return "\n".join(taken)

    def holds(self, text):
        """Is a preprocessor condition true in the given kernel configuration?"""
        if re.search(r"IS_MODULE\(", text):
            return False
        return all(self.config.get(name) in ("y", "m") for name in re.findall(r"CONFIG_\w+", text))

    def table(self, function):
        """(rows for any other helper, {helper: rows}) of a function."""
        helpers = set()

        def collect(statements):
            for statement in statements:
                if statement[0] == "case" and statement[1].startswith("BPF_FUNC_"):
                    helpers.add(statement[1])
                for part in statement[1:]:
                    if isinstance(part, tuple):
                        collect([part])
                    elif isinstance(part, list) and part and isinstance(part[0], tuple):
                        collect(part)

        collect(self.bodies[function])
        rows = {name: self.run(function, name) for name in sorted(helpers)}
        other = self.run(function, "other")
        return other, {name: row for name, row in rows.items() if row != other}

    def run(self, function, helper):
        """The simplified rows of one helper."""
        rows = []
        for conditions, outcome in self.block(self.bodies[function], {"helper": helper}):
            kind, value = outcome[:2]
            row = {"when": conditions}
            if kind == "return" and value is not None:
                row |= {value[0]: value[1]}
            elif kind not in ("return", "next"):
                raise ValueError(f"{function}: {kind}")
            rows.append(row)
        if len(rows) > CASE_LIMIT:
            raise ValueError(f"{function}: too many cases")
        return simplify(rows)

    def block(self, statements, state):
        """Rows of a sequence of statements: (conditions, ("return", value) | ("break",) | ("next", state))."""
        rows = [([], ("next", state))]
        for statement in statements:
            following = []
            for conditions, outcome in rows:
                if outcome[0] != "next":
                    following.append((conditions, outcome))
                    continue
                following += [(conditions + more, then) for more, then in self.statement(statement, outcome[1])]
            rows = following
        return rows

    def statement(self, statement, state):
        kind = statement[0]
        if kind == "block":
            return self.block(statement[1], state)
        if kind == "return":
            return [(when, ("return", value)) for when, value in self.value(statement[1], state)]
        if kind == "break":
            return [([], ("break", state))]
        if kind == "assign":
            rows = []
            for when, value in self.value(statement[2], state):
                if value and value[0] == "table":  # decided by that table where it offers the helper
                    rows.append((when, ("return", ("try", value[1]))))
                    value = None
                rows.append((when, ("next", state | {statement[1]: ("value", value)})))
            return rows
        if kind == "if":
            return self.choose(statement, state)
        if kind == "switch":
            return self.switch(statement, state)
        return [([], ("next", state))]

    def choose(self, statement, state):
        condition = "".join(statement[1])
        if condition == "!md_dst":  # memory for tunnels; cannot fail for us
            return [([], ("next", state))]
        if condition.startswith("!fn&&"):  # fn was tried already
            condition, words = condition[5:], statement[1][3:]
        else:
            words = statement[1]
        if condition in state:
            return self.statement(statement[2] if state[condition][1] else statement[3], state)
        yes, no = self.statement(statement[2], state), self.statement(statement[3], state)
        return [(when + more, then) for when in self.conditions(words) for more, then in yes] + no

    def switch(self, statement, state):
        subject, body = "".join(statement[1]), statement[2]
        if subject in ("func_id", "which"):
            return self.after_switch(self.block(self.from_case(body, state["helper"]), state))
        assert subject == "prog->expected_attach_type", subject
        rows, labels = [], []
        for index, item in enumerate(body):
            if item[0] == "case":
                labels.append(attach(item[1]))
            elif labels and body[index - 1][0] == "case":
                arm = self.block(strip_labels(body[index:]), state)
                rows += [(["attach_type = " + " | ".join(labels)] + more, then) for more, then in arm]
                labels = []
        rows += self.block(self.from_case(body, "other"), state)
        return self.after_switch(rows)

    def from_case(self, body, label):
        """The statements that run when `label` is switched on."""
        off = None
        for index, item in enumerate(body):
            if item[0] == "config":
                off = item[1]
            if item == ("case", label):
                rest = strip_labels(body[index + 1 :])
                return rest if not off else [("if", ["config", off[0]], ("block", rest), ("return", ["NULL"]))]
        for index, item in enumerate(body):
            if item[0] == "default":
                return strip_labels(body[index + 1 :])
        return []

    def after_switch(self, rows):
        """`break` leaves the switch."""
        return [(when, ("next", then[1]) if then[0] == "break" else then) for when, then in rows]

    def value(self, words, state):
        """Rows of a returned or assigned expression."""
        text = "".join(words)
        if "?" in words:
            at = words.index("?")
            colon = at + words[at:].index(":")
            yes, no = self.value(words[at + 1 : colon], state), self.value(words[colon + 1 :], state)
            return [(when + more, then) for when in self.conditions(words[:at]) for more, then in yes] + no
        if text == "NULL":
            return [([], None)]
        if match := re.fullmatch(r"&(\w+)", text):
            return [([], ("proto", match[1]))]
        if text in state:
            return [([], state[text][1])]
        if match := re.fullmatch(r"(\w+)\((?:func_id,prog)\)", text):
            return [([], ("table", match[1]))]
        if match := re.fullmatch(r"(\w+)\((?:func_id|which)?\)", text):
            rows = self.block(self.bodies[match[1]], {"helper": state["helper"]})
            return [(when, then[1]) for when, then in rows]
        raise ValueError("value " + text)

    def conditions(self, words):
        """A condition as a list of alternatives, each a list of tokens that must all hold."""
        depth = 0
        for operator in ("||", "&&"):
            for index, word in enumerate(words):
                depth += (word == "(") - (word == ")")
                if word == operator and depth == 0:
                    left, right = self.conditions(words[:index]), self.conditions(words[index + 1 :])
                    return left + right if operator == "||" else [one + two for one in left for two in right]
        return [[self.atom("".join(words))]]

    def atom(self, text):
        """One condition as a token."""
        for pattern, token in ATOMS:
            if match := re.fullmatch(pattern, text):
                return token(*match.groups())
        self.unknown.add(text)
        return "kernel: " + text


def attach(name):
    """`BPF_TRACE_ITER` as `trace_iter`."""
    return name.removeprefix("BPF_").lower()


ATOMS = [
    (r"prog->expected_attach_type==(\w+)", lambda name: "attach_type = " + attach(name)),
    (r"prog->expected_attach_type!=(\w+)", lambda name: "attach_type != " + attach(name)),
    (r"prog->type==BPF_PROG_TYPE_(\w+)", lambda name: "program_type = " + name.lower()),
    (r"prog->sleepable", lambda: "sleepable"),
    (r"is_kprobe_multi\(prog\)", lambda: "kprobe_multi"),
    (r"bpf_prog_has_trampoline\(prog\)", lambda: "trampoline"),
    (r"bpf_prog_check_recur\(prog\)", lambda: "recursion_checked"),
    (r"bpf_token_capable\(prog->aux->token,CAP_(\w+)\)", lambda name: "capable " + name.lower()),
    (r"!bpf_token_capable\(prog->aux->token,CAP_(\w+)\)", lambda name: "!capable " + name.lower()),
    (r"!capable\(CAP_(\w+)\)", lambda name: "!capable " + name.lower()),
    (r"security_locked_down\(LOCKDOWN_(\w+)\)<0", lambda name: "locked_down " + name.lower()),
    (r"btf_id_set_contains\(&(\w+),prog->aux->attach_btf_id\)", lambda name: "attach_target in " + name),
    (r"prog_ops_moff\(prog\)!=offsetof\(struct(\w+),(\w+)\)", lambda one, two: f"struct_ops_member != {one}.{two}"),
    (r"config(CONFIG_\w+)", lambda name: "config " + name),
]


def strip_labels(statements):
    """Without case labels and configuration marks: what runs when control falls through them."""
    return [item for item in statements if item[0] not in ("case", "default", "config")]


def negate(condition):
    """The opposite of a condition token."""
    if " != " in condition:
        return condition.replace(" != ", " = ", 1)
    if " = " in condition and not condition.startswith("!"):
        return condition.replace(" = ", " != ", 1)
    return condition[1:] if condition.startswith("!") else "!" + condition


def simplify(rows):
    """Cuts rows that cannot be reached, and turns `when c: no; else R` into R with `not c`."""
    kept = []
    for row in rows:
        kept.append(row)
        if not row["when"] and "try" not in row:
            break
    result = []
    for row in reversed(kept):
        refuses = len(row) == 1
        if refuses and not result:
            continue
        if refuses and len(row["when"]) == 1 and not any("try" in later for later in result):
            for later in result:
                if len(later) > 1:
                    later["when"] = [negate(row["when"][0]), *later["when"]]
            continue
        result.insert(0, dict(row, when=list(row["when"])))
    return merge(result)


def merge(rows):
    """Cuts contradictions, repeated conditions, and a row that the next one covers with the same outcome."""
    kept = []
    for row in rows:
        when = list(dict.fromkeys(row["when"]))
        if not any(negate(condition) in when for condition in when):
            kept.append(dict(row, when=when))
    result = []
    for row in reversed(kept):
        outcome = {key: value for key, value in row.items() if key != "when"}
        after = result[0] if result else None
        if after and outcome == {key: value for key, value in after.items() if key != "when"}:
            if set(after["when"]) <= set(row["when"]):
                continue
            differ = [c for c in row["when"] if c not in after["when"]]
            other = [c for c in after["when"] if c not in row["when"]]
            if len(differ) == len(other) == 1 and differ[0] == negate(other[0]):
                result[0] = dict(after, when=[c for c in after["when"] if c != other[0]])
                continue
        result.insert(0, row)
    return result


def program_tables(root):
    """Program type → function, and struct_ops structure → function."""
    verifier_ops, types = {}, {}
    for path in sources.files_with(root, "bpf_verifier_ops"):
        text = sources.clean(path)
        for match in re.finditer(r"struct bpf_verifier_ops (\w+)\s*=\s*\{(.*?)\n?\};", text, re.S):
            found = re.search(r"\.get_func_proto\s*=\s*(\w+)", match[2])
            verifier_ops[match[1]] = found[1] if found else None
    text = sources.clean(root / "include/linux/bpf_types.h")
    contexts = {}
    for match in re.finditer(r"BPF_PROG_TYPE\(BPF_PROG_TYPE_(\w+),\s*(\w+),\s*([^,]+),\s*([^)]+)\)", text):
        types[match[1].lower()] = verifier_ops.get(match[2] + "_verifier_ops")
        contexts[match[1].lower()] = (" ".join(match[3].split()), " ".join(match[4].split()))
    structs = {}
    for path in sources.files_with(root, "struct bpf_struct_ops "):
        for match in re.finditer(r"struct bpf_struct_ops (\w+)\s*=\s*\{(.*?)\n\};", sources.clean(path), re.S):
            name = re.search(r'\.name\s*=\s*"(\w+)"', match[2])
            ops = re.search(r"\.verifier_ops\s*=\s*&(\w+)", match[2])
            if name and ops:
                structs[name[1]] = verifier_ops.get(ops[1])
    return types, contexts, structs


def iterator_tables(root):
    """BPF iterator target → function with further helpers."""
    found = {}
    for path in sources.files_with(root, "struct bpf_iter_reg "):
        for match in re.finditer(r"struct bpf_iter_reg (\w+)\s*=\s*\{(.*?)\n\};", sources.clean(path), re.S):
            name = re.search(r'\.target\s*=\s*"(\w+)"', match[2])
            function = re.search(r"\.get_func_proto\s*=\s*(\w+)", match[2])
            if name and function:
                found[name[1]] = function[1]
    return found
