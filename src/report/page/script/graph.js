// The control-flow graph of the function that the step is in, with the path drawn.

// Blocks and edges of a function that a path comes by.
function travelled(walk, program, fn) {
  const blockOf = new Map();
  fn.graph.blocks.forEach((block, index) => blockOf.set(block.first, index));
  const blocks = new Set();
  const edges = new Set();
  let inside;
  for (const number of walk.numbers) {
    const step = walk.view.steps[number];
    if (step.program !== program || step.slot < fn.start || step.slot >= fn.end) continue;
    const entered = blockOf.get(step.slot);
    if (entered !== undefined) {
      if (inside !== undefined && inside.last) edges.add(`${inside.block} ${entered}`);
      inside = { block: entered, last: false };
      blocks.add(entered);
    }
    if (inside !== undefined) inside.last = fn.graph.blocks[inside.block].last === step.slot;
  }
  return { blocks, edges };
}

function edgePath(points) {
  const [[x, y], ...rest] = points;
  let path = `M${x},${y}`;
  let [px, py] = [x, y];
  for (const [qx, qy] of rest) {
    const middle = (py + qy) / 2;
    path += px === qx ? ` L${qx},${qy}` : ` C${px},${middle} ${qx},${middle} ${qx},${qy}`;
    [px, py] = [qx, qy];
  }
  return path;
}

class GraphDrawing {
  constructor(section, go) {
    this.section = section;
    this.go = go;
    this.shown = undefined;
    this.blocks = [];
  }

  draw(walk, step) {
    const fn = functionOf(step);
    if (fn === undefined) return;
    if (this.shown?.fn !== fn || this.shown?.walk !== walk) this.fill(walk, step.program, fn);
    fn.graph?.blocks.forEach((block, index) => {
      const here = block.first <= step.slot && step.slot <= block.last;
      this.blocks[index].classList.toggle("current", here);
      if (here) this.center(block);
    });
  }

  center(block) {
    const scroll = this.section.querySelector(".canvas");
    const scale = this.scale ?? 1;
    const [x, y] = [(block.x + block.width / 2) * scale, (block.y + block.height / 2) * scale];
    if (x < scroll.scrollLeft + 80 || x > scroll.scrollLeft + scroll.clientWidth - 80) scroll.scrollLeft = x - scroll.clientWidth / 2;
    if (y < scroll.scrollTop + 40 || y > scroll.scrollTop + scroll.clientHeight - 40) scroll.scrollTop = y - scroll.clientHeight / 2;
  }

  fill(walk, program, fn) {
    this.shown = { walk, fn };
    this.section.hidden = false;
    const title = el("h2", { id: "graph-title" }, `Control flow of ${fn.name}`);
    if (fn.graph === null) {
      fill(this.section, title, el("p", { class: "none" }, "It has too many blocks to be drawn."));
      return;
    }
    const { blocks, edges } = travelled(walk, program, fn);
    const ended = walk.step(walk.length - 1);
    const bad = STATUS[walk.view.status].tone === "bad";
    const failed = (block) => bad && ended.program === program && block.first <= ended.slot && ended.slot <= block.last;
    this.blocks = fn.graph.blocks.map((block, index) =>
      svg("g", { class: `block${blocks.has(index) ? " visited" : ""}${failed(block) ? " failed" : ""}`, on: { click: () => this.visit(program, block) } },
        svg("rect", { x: block.x, y: block.y, width: block.width, height: block.height, rx: 5 }),
        svg("text", { x: block.x + 8, y: block.y + 17, class: "range" }, block.first === block.last ? `${block.first}` : `${block.first}–${block.last}`),
        block.label.map((line, row) => svg("text", { x: block.x + 8, y: block.y + 33 + 16 * row }, line))));
    const drawn = fn.graph.edges.filter((edge) => edge.points.length > 0);
    const ways = [...drawn].sort((one, other) => edges.has(`${one.from} ${one.to}`) - edges.has(`${other.from} ${other.to}`));
    const lines = ways.map((edge) => {
      const taken = edges.has(`${edge.from} ${edge.to}`);
      return svg("path", { d: edgePath(edge.points), class: `edge ${edge.kind}${taken ? " visited" : ""}`, "marker-end": `url(#${taken ? "tip-visited" : "tip"})` },
        edge.condition !== undefined && svg("title", {}, edge.condition));
    });
    this.canvas(title, fn, blocks.size, svg("g", {}, lines), svg("g", {}, this.blocks));
  }

  canvas(title, fn, visited, ...parts) {
    const { width, height } = fn.graph;
    const label = `${fn.graph.blocks.length} blocks, of which the path comes by ${visited}`;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Control-flow graph of ${fn.name}: ${label}` },
      svg("defs", {}, ["tip", "tip-visited"].map((id) => svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerUnits: "userSpaceOnUse", markerWidth: 11, markerHeight: 11, orient: "auto-start-reverse" }, svg("path", { d: "M0,0 L8,4 L0,8 z", class: id })))),
      ...parts);
    const resize = (scale) => {
      this.scale = scale;
      picture.setAttribute("width", String(Math.round(width * scale)));
      picture.setAttribute("height", String(Math.round(height * scale)));
    };
    const zoom = (name, text, by) => el("button", { type: "button", "aria-label": name, on: { click: () => resize(Math.min(3, Math.max(0.2, (this.scale ?? 1) * by))) } }, text);
    resize(1);
    fill(this.section, 
      el("div", { class: "titled" }, title, el("span", { class: "buttons" }, zoom("Smaller", "−", 0.8), zoom("Larger", "+", 1.25))),
      el("p", { class: "legend" }, `${label}. Solid: the condition holds; dashed: it does not. `, el("span", { class: "swatch path-swatch" }), " the path"),
      el("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": "The graph" }, picture));
  }

  visit(program, block) {
    this.go((step) => step.program === program && block.first <= step.slot && step.slot <= block.last);
  }
}
