// What happens side by side: lanes with their sections, waits for grace periods, objects' lives, arrows between accesses.

const STATES = {
  owned: "owned",
  published: "published",
  borrowed: "borrowed under RCU",
  waiting: "waiting for a grace period",
  freed: "freed",
  lost: "lost",
};
const SECTIONS = {
  rcu: "RCU section",
  "rcu-tasks-trace": "RCU tasks trace section",
  lock: "lock held",
  "preemption-off": "preemption off",
};
const LANE_HEIGHT = 24;
const BAR_HEIGHT = 12;
const ROW_GAP = 8;

// Rows of the drawing: a label, a height, and bars.
function timelineRows(view) {
  const { timeline } = view;
  const rows = view.lanes.map((name, lane) => ({ name, height: LANE_HEIGHT, lane }));
  const result = [];
  for (const row of rows) {
    result.push(row);
    for (const [kind, title] of Object.entries(SECTIONS)) {
      const bars = timeline.sections.filter((one) => one.lane === row.lane && one.kind === kind);
      if (bars.length > 0) result.push({ name: title, height: BAR_HEIGHT, minor: true, bars: bars.map((one) => ({ ...one, class: kind, text: title })) });
    }
  }
  const end = view.steps.length;
  for (const [number, life] of timeline.objects.entries()) {
    result.push({ name: life.name, height: LANE_HEIGHT - 4, bars: life.spans.map((span) => ({ from: span.from, to: span.to, class: span.state, text: STATES[span.state], detail: span.detail })) });
    for (const wait of timeline.grace_periods.filter((one) => one.object === number)) {
      const ripe = wait.ripe ?? wait.to ?? end;
      const bars = [{ from: wait.from, to: ripe, class: "readers", text: "readers are left", detail: "" }, { from: ripe, to: wait.to ?? end, class: "ripe", text: wait.to === undefined ? "may end" : "may end; ended", detail: "" }];
      result.push({ name: "grace period", height: BAR_HEIGHT, minor: true, bars: bars.filter((bar) => bar.from < bar.to) });
    }
  }
  let y = ROW_GAP;
  for (const row of result) {
    row.y = y;
    y += row.height + (row.minor ? 4 : ROW_GAP);
  }
  return { rows: result, height: y + ROW_GAP };
}

class TimelineDrawing {
  constructor(section, go) {
    this.section = section;
    this.go = go;
    this.shown = undefined;
  }

  draw(view, position) {
    this.section.hidden = view.timeline === undefined;
    if (view.timeline === undefined) return;
    const room = Math.max(120, this.section.clientWidth - this.labelWidth() - 40);
    if (this.shown?.view !== view || this.shown?.room !== room) this.fill(view, room);
    const x = this.x(position);
    this.cursor.setAttribute("x", String(x));
    const { scroll } = this;
    if (x < scroll.scrollLeft + 20 || x > scroll.scrollLeft + scroll.clientWidth - 40) scroll.scrollLeft = x - scroll.clientWidth / 2;
  }

  labelWidth() {
    return this.section.clientWidth < 560 ? 0 : 230;
  }

  x(step) {
    return step * this.unit;
  }

  fill(view, room) {
    this.shown = { view, room };
    this.unit = Math.min(22, Math.max(1.5, room / view.steps.length));
    const { rows, height } = timelineRows(view);
    const width = Math.ceil(this.unit * view.steps.length) + 4;
    this.cursor = svg("rect", { y: 0, width: Math.max(2, this.unit), height, class: "cursor" });
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Lanes, RCU sections, grace periods and objects' lives; the same is below as a list",
      on: { click: (event) => this.go(Math.floor((event.clientX - picture.getBoundingClientRect().left) / this.unit)) } },
      svg("defs", {}, svg("marker", { id: "arrow-tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerUnits: "userSpaceOnUse", markerWidth: 11, markerHeight: 11, orient: "auto" }, svg("path", { d: "M0,0 L8,4 L0,8 z", class: "arrow-tip" }))),
      this.cursor,
      rows.map((row) => (row.lane === undefined ? this.bars(row) : this.lane(view, row))),
      view.timeline.arrows.map((arrow, number) => this.arrow(view, rows, arrow, number === 0)));
    this.scroll = el("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": "Timeline" }, picture);
    const labels = el("div", { class: "labels", "aria-hidden": "true" }, rows.map((row) => this.label(row)));
    labels.style.height = `${height}px`;
    fill(this.section, 
      el("h2", { id: "timeline-title" }, "Timeline"), this.legend(view),
      el("div", { class: "lanes" }, labels, this.scroll), this.list(view));
  }

  label(row) {
    const label = el("div", { class: row.minor ? "label minor" : "label", title: row.name }, this.labelWidth() === 0 ? row.name.replace(/^(per-CPU )?object of struct /, "") : row.name);
    label.style.top = `${row.y}px`;
    label.style.height = `${row.height}px`;
    return label;
  }

  // A lane's steps: one bar for each stretch of its own.
  lane(view, row) {
    const parts = [];
    for (let at = 0; at < view.steps.length; at += 1) {
      const step = view.steps[at];
      if (step.lane !== row.lane || step.program === undefined) continue;
      let end = at + 1;
      while (end < view.steps.length && view.steps[end].lane === row.lane && view.steps[end].program === step.program) end += 1;
      const name = page.programs[step.program].name;
      parts.push(this.bar(row, { from: at, to: end, class: `lane${row.lane % 8}`, text: name, detail: `${end - at} steps` }));
      at = end - 1;
    }
    return svg("g", {}, parts);
  }

  bars(row) {
    return svg("g", {}, row.bars.map((bar) => this.bar(row, bar)));
  }

  bar(row, bar) {
    const width = Math.max(2, this.x(bar.to - bar.from) - 1);
    const detail = bar.detail ? `: ${bar.detail}` : "";
    const fits = width > 7 * bar.text.length + 8 && row.height >= BAR_HEIGHT;
    return svg("g", { class: `bar ${bar.class}` },
      svg("title", {}, `${bar.text}${detail} (steps ${bar.from + 1} to ${bar.to})`),
      svg("rect", { x: this.x(bar.from), y: row.y, width, height: row.height, rx: 3 }),
      fits ? svg("text", { x: this.x(bar.from) + 5, y: row.y + row.height / 2 + 4, class: row.minor ? "minor" : undefined }, bar.text) : undefined);
  }

  // Only the first has its text beside it: those of several would lie over each other.
  arrow(view, rows, arrow, isFirst) {
    const end = (number) => {
      const row = rows.find((one) => one.lane === view.steps[number].lane);
      return [this.x(number) + this.unit / 2, row.y + row.height / 2];
    };
    const [[x1, y1], [x2, y2]] = [end(arrow.from), end(arrow.to)];
    const middle = (y1 + y2) / 2 - (y1 === y2 ? 18 : 0);
    const text = x2 > 140 ? svg("text", { x: (x1 + x2) / 2 - 6, y: middle - 4, "text-anchor": "end" }, arrow.text) : svg("text", { x: (x1 + x2) / 2 + 6, y: middle - 4 }, arrow.text);
    return svg("g", { class: "arrow" },
      svg("title", {}, `${arrow.text} (steps ${arrow.from + 1} and ${arrow.to + 1})`),
      svg("circle", { cx: x1, cy: y1, r: 5 }), svg("circle", { cx: x2, cy: y2, r: 5 }),
      svg("path", { d: `M${x1},${y1} C${x1},${middle} ${x2},${middle} ${x2},${y2}`, "marker-end": "url(#arrow-tip)" }), isFirst && text);
  }

  legend(view) {
    const used = new Set(view.timeline.objects.flatMap((life) => life.spans.map((span) => span.state)));
    const entries = Object.entries(STATES).filter(([state]) => used.has(state));
    return el("p", { class: "legend" }, "Objects: ", entries.length === 0 ? "none" : entries.map(([state, text]) => [el("span", { class: `swatch ${state}` }), ` ${text} `]));
  }

  list(view) {
    const link = (step, text) => el("a", { href: linkTo(view, 0, step) }, text);
    const span = (one) => el("li", {}, link(one.from, `step ${one.from + 1}`), `: ${STATES[one.state]}${one.detail ? `, ${one.detail}` : ""}`);
    const objects = view.timeline.objects.map((life) => el("li", {}, life.name, el("ol", {}, life.spans.map(span))));
    const sections = view.timeline.sections.map((one) => el("li", {}, `${view.lanes[one.lane]}: ${SECTIONS[one.kind]} from `, link(one.from, `step ${one.from + 1}`), ` to ${one.to}`));
    const arrows = view.timeline.arrows.map((one) => el("li", {}, `${one.text}: `, link(one.from, `step ${one.from + 1}`), " and ", link(one.to, `step ${one.to + 1}`)));
    return el("details", { class: "as-list" }, el("summary", {}, "The same as a list"),
      el("h3", {}, "Objects"), el("ul", {}, objects), el("h3", {}, "Sections"), el("ul", {}, sections),
      arrows.length > 0 ? [el("h3", {}, "Arrows"), el("ul", {}, arrows)] : []);
  }
}
