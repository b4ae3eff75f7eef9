// Where the reader is, and how they get elsewhere. The address has the view, the path and the step, so that each step can be linked to.

const at = { view: undefined, walk: undefined, path: 0, position: 0 };
const panes = {
  source: new CodePane(byId("source"), (wanted) => goToNext(wanted)),
  bytecode: new CodePane(byId("bytecode"), (wanted) => goToNext(wanted)),
};
const pathPane = new PathPane(byId("steps"));
const timeline = new TimelineDrawing(byId("timeline"), (position) => go(position));
const graph = new GraphDrawing(byId("graph"), (wanted) => goToNext(wanted));

function linkTo(view, path, step) {
  return `#${new URLSearchParams({ view: view.name, path: String(path), step: String(step + 1) })}`;
}

const linkHere = (step) => linkTo(at.view, at.path, step);

// The position that a view is opened at: where something went wrong, else its start.
function opening(view, walk) {
  const error = view.story.find((one) => one.kind === "error" && one.step !== undefined);
  if (error !== undefined) return walk.positions.get(error.step) ?? 0;
  return STATUS[view.status].tone === "bad" ? walk.length - 1 : 0;
}

function show(view, path, step) {
  const changed = at.view !== view || at.path !== path;
  if (changed) {
    at.view = view;
    at.path = path;
    at.walk = new Walk(view, path);
    drawView();
  }
  const { walk } = at;
  const position = step === undefined ? opening(view, walk) : walk.positions.get(step) ?? 0;
  at.position = Math.min(Math.max(position, 0), Math.max(walk.length - 1, 0));
  drawStep();
}

function drawView() {
  const { view, walk } = at;
  byId("layout").classList.toggle("without-steps", walk.length === 0);
  for (const item of byId("views").querySelectorAll("a")) {
    if (item.dataset.view === view.name) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  drawVerdict(view, linkHere);
  const slider = byId("position");
  slider.max = String(Math.max(walk.length - 1, 0));
  const choice = byId("path-choice");
  choice.hidden = view.paths.length < 2;
  byId("path").replaceChildren(...view.paths.map((path, number) => el("option", { value: number }, path.name)));
  byId("path").value = String(at.path);
  byId("steps-title").textContent = view.timeline === undefined ? "Path" : "Steps";
  byId("graph").hidden = true;
  byId("timeline").hidden = true;
}

function drawStep() {
  const { view, walk, position } = at;
  if (walk.length === 0) return;
  const step = walk.step(position);
  drawCode(panes, walk, position, step);
  pathPane.draw(walk, position, linkHere);
  drawState(walk, position);
  timeline.draw(view, position);
  graph.draw(walk, step);
  byId("count").textContent = `${position + 1} of ${walk.length}`;
  const slider = byId("position");
  slider.value = String(position);
  slider.setAttribute("aria-valuetext", `step ${position + 1} of ${walk.length}`);
  for (const id of ["first", "back", "line-back"]) byId(id).disabled = position === 0;
  for (const id of ["last", "on", "line-on"]) byId(id).disabled = position === walk.length - 1;
  drawNow(walk, position, step);
  const link = linkHere(walk.numbers[position]);
  if (location.hash !== link) history.replaceState(null, "", link);
}

// The step in words; read out by screen readers.
function drawNow(walk, position, step) {
  const lane = walk.view.lanes.length > 1 ? `${walk.view.lanes[step.lane]}: ` : "";
  const text = instructionOf(step)?.text;
  const events = (step.events ?? []).map((event) => el("li", {}, words(event)));
  fill(byId("now"),
    el("p", {}, el("span", { class: "unseen" }, `Step ${position + 1}. `), el("b", {}, lane), placeOf(step)),
    text !== undefined ? el("p", { class: "instruction" }, el("code", {}, `${step.slot}: ${text}`), step.came === undefined ? "" : el("span", { class: "came" }, ` ${words(step.came)}`)) : "",
    events.length > 0 ? el("ul", { class: "events" }, events) : "",
  );
}

function go(position) {
  const { walk } = at;
  at.position = Math.min(Math.max(position, 0), walk.length - 1);
  drawStep();
}

function goToNext(wanted) {
  const position = wanted === undefined ? undefined : at.walk.next(at.position, wanted);
  if (position !== undefined) go(position);
}

// One source line on or back: to the first step of another line.
function goByLine(direction) {
  const { walk } = at;
  const line = (position) => instructionOf(walk.step(position))?.line;
  const same = (one, other) => sameLine(line(one), line(other)) && walk.step(one).lane === walk.step(other).lane;
  let position = at.position;
  while (position + direction >= 0 && position + direction < walk.length && same(position, position + direction)) position += direction;
  position += direction;
  if (direction < 0) while (position > 0 && same(position, position - 1)) position -= 1;
  go(position);
}

function goToView(by) {
  const index = page.views.indexOf(at.view) + by;
  if (index >= 0 && index < page.views.length) show(page.views[index], 0, undefined);
}

const KEYS = {
  ArrowRight: (event) => (event.shiftKey ? goByLine(1) : go(at.position + 1)),
  ArrowLeft: (event) => (event.shiftKey ? goByLine(-1) : go(at.position - 1)),
  j: () => go(at.position + 1),
  k: () => go(at.position - 1),
  Home: () => go(0),
  End: () => go(at.walk.length - 1),
  "]": () => goToView(1),
  "[": () => goToView(-1),
  t: () => nextTheme(),
  "?": () => byId("keys").showModal(),
};

function onKey(event) {
  const typing = event.target instanceof HTMLSelectElement || event.target instanceof HTMLTextAreaElement;
  if (typing || event.ctrlKey || event.altKey || event.metaKey || byId("keys").open) return;
  // The slider has its own meaning for these keys, which is the same.
  const action = KEYS[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action(event);
}

async function copyLink() {
  const button = byId("link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The address bar has it";
  }
  setTimeout(() => { button.textContent = "Copy link"; }, 2000);
}

function fromAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const view = page.views.find((one) => one.name === wanted.get("view")) ?? firstView();
  if (view === undefined) return;
  const step = Number(wanted.get("step") ?? 0) - 1;
  if (!(step in view.steps)) {
    show(view, pathOf(wanted, view) ?? 0, undefined);
    return;
  }
  const path = pathOf(wanted, view);
  const has = (number) => new Walk(view, number).positions.has(step);
  const found = path !== undefined && has(path) ? path : view.paths.findIndex((_, number) => has(number));
  show(view, Math.max(found, 0), step);
}

// The path that an address names, if there is one.
function pathOf(wanted, view) {
  const path = wanted.has("path") ? Number(wanted.get("path")) : undefined;
  return path in view.paths ? path : undefined;
}

// What a reader came for: the first that went wrong, else the first.
function firstView() {
  return page.views.find((one) => STATUS[one.status].tone === "bad") ?? page.views[0];
}

function drawViews() {
  const item = (view) => el("li", {}, el("a", { href: `#${new URLSearchParams({ view: view.name })}`, "data-view": view.name }, badge(view.status), el("span", { class: "name" }, view.title)));
  const nav = byId("views");
  nav.hidden = page.views.length < 2;
  byId("layout").classList.toggle("single", page.views.length < 2);
  nav.append(el("h2", {}, page.kind === "verification" ? "Programs" : "Schedules"), el("ul", {}, page.views.map(item)));
}

function begin() {
  setTheme(remembered());
  byId("layout").hidden = false;
  drawViews();
  const clicks = {
    first: () => go(0), back: () => go(at.position - 1), on: () => go(at.position + 1), last: () => go(at.walk.length - 1),
    "line-back": () => goByLine(-1), "line-on": () => goByLine(1), link: copyLink,
    "theme-button": nextTheme, "keys-button": () => byId("keys").showModal(),
  };
  for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
  byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("step").focus(); });
  byId("position").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("path").addEventListener("change", (event) => show(at.view, Number(event.target.value), undefined));
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", fromAddress);
  window.addEventListener("resize", () => at.view !== undefined && timeline.draw(at.view, at.position));
  fromAddress();
}

begin();
