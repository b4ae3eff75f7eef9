// The state: open sections, references, registers, stack and memory, and what of it has just changed.

const GROUPS = [
  ["section", "Sections and locks"],
  ["reference", "References"],
  ["register", "Registers"],
  ["stack", "Stack"],
  ["memory", "Memory written"],
];

function inOrder(one, other) {
  const number = (key) => Number((key.name.match(/-?\d+$/) ?? ["0"])[0]);
  if (one.kind === "stack") return number(other) - number(one);
  if (one.kind === "register" || one.kind === "reference") return number(one) - number(other) || one.name.localeCompare(other.name);
  return one.name < other.name ? -1 : 1;
}

function valueRow(key, value, isChanged, old) {
  const now = value === undefined ? el("span", { class: "gone" }, "gone") : words(value);
  const was = isChanged && old !== undefined ? el("del", {}, el("span", { class: "unseen" }, " was "), words(old)) : undefined;
  return el("tr", { class: isChanged ? "changed" : undefined, "data-key": key.name },
    el("th", { scope: "row" }, isChanged && el("span", { class: "unseen" }, "changed: "), key.name),
    el("td", {}, el("span", { class: "value" }, now), was));
}

// Rows of a group, by frame.
function groupTables(view, kind, lane, { values, changed }) {
  const tables = new Map();
  view.keys.forEach((key, number) => {
    if (key.kind !== kind || (key.lane !== undefined && key.lane !== lane)) return;
    if (!values.has(number) && !changed.has(number)) return;
    const frame = key.frame ?? 0;
    if (!tables.has(frame)) tables.set(frame, []);
    tables.get(frame).push([key, number]);
  });
  const frames = [...tables.keys()].sort((one, other) => other - one);
  return frames.flatMap((frame) => {
    const rows = tables.get(frame).sort(([one], [other]) => inOrder(one, other));
    const caption = frames.length > 1 || frame > 0 ? el("caption", {}, `frame ${frame}`) : undefined;
    const drawn = rows.map(([key, number]) => valueRow(key, values.get(number), changed.has(number), changed.get(number)));
    return el("table", { class: `values ${kind}` }, caption, drawn);
  });
}

function drawState(walk, position) {
  const { view } = walk;
  const step = walk.step(position);
  const state = walk.state(position);
  const parts = [];
  for (const [kind, title] of GROUPS) {
    const tables = groupTables(view, kind, step.lane, state);
    if (tables.length > 0) parts.push(el("h3", {}, title, view.lanes.length > 1 && ["register", "stack", "section"].includes(kind) ? ` of ${view.lanes[step.lane]}` : ""), ...tables);
  }
  for (const [lane, name] of view.lanes.entries()) {
    if (lane === step.lane) continue;
    const tables = ["section", "register", "stack"].flatMap((kind) => groupTables(view, kind, lane, state).filter((table) => ownedBy(table)));
    const own = view.keys.some((key, number) => key.lane === lane && state.values.has(number));
    if (own) parts.push(el("details", {}, el("summary", {}, name), ...tables));
  }
  if (parts.length === 0) parts.push(el("p", { class: "none" }, "Nothing is known yet."));
  byId("state").replaceChildren(...parts);
}

const ownedBy = (table) => table.rows.length > 0;
