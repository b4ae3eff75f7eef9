// The path as a list of links, as much of it as can be looked over.

const AROUND = 120;

class PathPane {
  constructor(container) {
    this.container = container;
    this.walk = undefined;
    this.from = 0;
    this.to = 0;
    this.items = new Map();
  }

  draw(walk, position, link) {
    const outside = position < this.from + 10 || position >= this.to - 10;
    const whole = this.from === 0 && this.to === walk.length;
    if (this.walk !== walk || (outside && !whole)) this.fill(walk, position, link);
    for (const [at, item] of this.items) {
      const here = at === position;
      item.toggleAttribute("aria-current", here);
      if (here) item.setAttribute("aria-current", "step");
      item.tabIndex = here ? 0 : -1;
    }
    const item = this.items.get(position);
    if (item !== undefined) reveal(this.container, item);
  }

  fill(walk, position, link) {
    this.walk = walk;
    this.from = walk.length <= 3 * AROUND ? 0 : Math.max(0, position - AROUND);
    this.to = walk.length <= 3 * AROUND ? walk.length : Math.min(walk.length, position + AROUND);
    this.items = new Map();
    const rows = [];
    let before;
    if (this.from > 0) rows.push(el("li", { class: "heading" }, `${this.from} earlier steps`));
    for (let at = this.from; at < this.to; at += 1) {
      const step = walk.step(at);
      rows.push(...this.rows(walk, at, step, before, link));
      before = step;
    }
    if (this.to < walk.length) rows.push(el("li", { class: "heading" }, `${walk.length - this.to} later steps`));
    this.container.replaceChildren(el("ol", { class: "path" }, rows));
  }

  rows(walk, at, step, before, link) {
    const rows = [];
    const lanes = walk.view.lanes.length > 1;
    const line = instructionOf(step)?.line;
    const moved = before === undefined || before.lane !== step.lane || !sameLine(line, instructionOf(before)?.line);
    if (moved && line !== undefined) {
      const lane = lanes ? [el("span", { class: `lane lane${step.lane % 8}` }, walk.view.lanes[step.lane]), " "] : [];
      rows.push(el("li", { class: "heading" }, lane, placeOf(step)));
    }
    const text = instructionOf(step)?.text;
    const came = step.came === undefined ? undefined : el("span", { class: "came" }, words(step.came));
    const item = el("a", { href: link(walk.numbers[at]), tabindex: "-1" },
      el("span", { class: "number" }, String(step.slot ?? "·")),
      el("span", { class: "text" }, came, came && text ? " " : "", text));
    this.items.set(at, item);
    rows.push(el("li", {}, item));
    return rows;
  }
}
