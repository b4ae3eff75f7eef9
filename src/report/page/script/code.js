// Source and bytecode: the current line and instruction, and which ones the path comes by.

class CodePane {
  constructor(container, go) {
    this.container = container;
    this.go = go;
    this.shown = undefined;
    this.rows = new Map();
    this.current = undefined;
  }

  // Shows other rows: [key, number, text, title], a title for a heading, or a key of `undefined` for a gap.
  fill(what, rows, wanted) {
    if (this.shown === what) return;
    this.shown = what;
    this.rows = new Map();
    this.current = undefined;
    const row = ([key, number, text, title]) => {
      if (key === undefined) return el("div", { class: "heading", title }, text);
      const line = el("div", { class: "row", on: { click: () => this.go(wanted(key)) } },
        el("span", { class: "number" }, String(number)), el("span", { class: "text" }, text));
      this.rows.set(key, line);
      return line;
    };
    this.container.replaceChildren(...rows.map(row));
  }

  visited(keys) {
    for (const [key, row] of this.rows) row.classList.toggle("visited", keys.has(key));
  }

  mark(key) {
    const row = this.rows.get(key);
    if (this.current !== row) {
      this.current?.classList.remove("current");
      this.current?.removeAttribute("aria-current");
    }
    this.current = row;
    if (row === undefined) return;
    row.classList.add("current");
    row.setAttribute("aria-current", "step");
    reveal(this.container, row);
  }
}

function sourceRows(file) {
  const rows = [[undefined, "", fileName(file), page.files[file].name]];
  let last = 0;
  for (const { number, text } of page.files[file].lines) {
    if (number !== last + 1) rows.push([undefined, "", "⋯"]);
    rows.push([number, number, text === "" ? " " : text]);
    last = number;
  }
  return rows;
}

function bytecodeRows(program) {
  const starts = new Map(page.programs[program].functions.map((one) => [one.start, one.name]));
  const rows = [];
  for (const { slot, text } of page.programs[program].instructions) {
    if (starts.has(slot)) rows.push([undefined, "", starts.get(slot)]);
    rows.push([slot, slot, text]);
  }
  return rows;
}

function drawCode(panes, walk, position, step) {
  if (step.program === undefined) {
    // Between programs: what ran last stays in sight, without a mark.
    const last = walk.numbers.slice(0, position).reverse().map((number) => walk.view.steps[number]).find((one) => one.program !== undefined);
    if (last !== undefined) drawCode(panes, walk, position, last);
    panes.source.mark(undefined);
    panes.bytecode.mark(undefined);
    return;
  }
  const { program } = step;
  const line = instructionOf(step)?.line;
  panes.bytecode.fill(program, bytecodeRows(program), (slot) => (one) => one.program === program && one.slot === slot);
  panes.bytecode.visited(new Set(walk.numbers.map((number) => walk.view.steps[number]).filter((one) => one.program === program).map((one) => one.slot)));
  panes.bytecode.mark(step.slot);
  if (line === undefined) {
    if (page.files.length === 0) panes.source.fill("none", [[undefined, "", "The object does not say which source lines it came from."]], undefined);
    panes.source.mark(undefined);
    return;
  }
  const [file] = line;
  panes.source.fill(file, sourceRows(file), (number) => (one) => sameLine(instructionOf(one)?.line, [file, number]));
  panes.source.visited(visitedLines(walk, file));
  panes.source.mark(line[1]);
}

function visitedLines(walk, file) {
  const lines = new Set();
  for (const number of walk.numbers) {
    const line = instructionOf(walk.view.steps[number])?.line;
    if (line !== undefined && line[0] === file) lines.add(line[1]);
  }
  return lines;
}
