// The verdict: what, why, and the story with a link to each step.

const NOTES = { error: "what is wrong", note: "what led there", help: "what would mend it" };

function badge(status) {
  const { mark, word, tone } = STATUS[status];
  return el("span", { class: `badge ${tone}` }, el("span", { "aria-hidden": "true" }, mark), ` ${word}`);
}

function factList(facts) {
  return el("dl", { class: "facts" }, facts.map((one) => el("div", {}, el("dt", {}, one.name), el("dd", {}, one.value))));
}

// A note whose first line is a place has it in front, in the type of code.
function noteParts(one, link) {
  const lines = one.text.split("\n");
  const [place, ...rest] = lines.length > 1 ? lines : ["", ...lines];
  const text = rest.join("\n");
  return [one.step === undefined ? text : el("a", { href: link(one.step) }, text), place && el("code", { class: "place" }, place)];
}

function drawVerdict(view, link) {
  const note = (one) =>
    el("li", { class: one.kind },
      el("span", { class: "unseen" }, `${NOTES[one.kind]}: `),
      noteParts(one, link));
  fill(byId("verdict"),
    el("h2", { id: "verdict-title" }, badge(view.status), " ", el("span", { class: "name" }, view.title)),
    view.verdict !== view.title ? el("p", { class: "verdict" }, view.verdict) : undefined,
    factList(view.facts),
    view.story.length > 0 && el("ol", { class: "story" }, view.story.map(note)),
    view.cut !== undefined && el("p", { class: "cut" }, view.cut),
  );
  drawReport(view.report || page.report);
}

function drawReport(report) {
  const section = byId("report");
  section.hidden = report === "";
  fill(section,
    el("h2", { id: "report-title" }, "As the terminal has it"),
    el("details", {}, el("summary", {}, "Show"), el("pre", { tabindex: "0" }, report)),
  );
  if (page.outcomes.length > 0) section.append(outcomeTable());
}

function outcomeTable() {
  const row = (one) => el("tr", {}, el("td", { class: "number" }, String(one.runs)), el("td", {}, one.text));
  return el("table", { id: "outcomes" },
    el("caption", {}, "Outcomes"),
    el("tr", {}, el("th", { scope: "col" }, "runs"), el("th", { scope: "col" }, "what was observed")),
    page.outcomes.map(row));
}
