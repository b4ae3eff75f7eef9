// The page's data: what is embedded, and look-ups in it.

const page = JSON.parse(byId("page-data").textContent);

const words = (number) => page.texts[number];

const STATUS = {
  accepted: { mark: "✓", word: "accepted", tone: "good" },
  rejected: { mark: "✗", word: "rejected", tone: "bad" },
  unsupported: { mark: "?", word: "not supported", tone: "open" },
  fine: { mark: "✓", word: "nothing wrong", tone: "good" },
  found: { mark: "✗", word: "something is wrong", tone: "bad" },
  undecided: { mark: "?", word: "undecided", tone: "open" },
};

const instructionsOf = page.programs.map((program) => new Map(program.instructions.map((one) => [one.slot, one])));

// The instruction that a step is before, if there is one.
function instructionOf(step) {
  return step.program === undefined ? undefined : instructionsOf[step.program].get(step.slot);
}

function functionOf(step) {
  if (step.program === undefined) return undefined;
  const all = page.programs[step.program].functions;
  return all.find((one) => one.start <= step.slot && step.slot < one.end);
}

function sameLine(one, other) {
  return one !== undefined && other !== undefined && one[0] === other[0] && one[1] === other[1];
}

const linesOf = page.files.map((file) => new Map(file.lines.map((line) => [line.number, line.text])));

const fileName = (file) => page.files[file].name.split("/").pop();

// A step in a few words: its source line, or what happens.
function placeOf(step) {
  const instruction = instructionOf(step);
  if (instruction === undefined) return step.came === undefined ? "" : words(step.came);
  if (instruction.line === undefined) return `instruction ${step.slot}`;
  const [file, line] = instruction.line;
  const text = (linesOf[file].get(line) ?? "").trim();
  return `${fileName(file)}:${line}${text === "" ? "" : `: ${text}`}`;
}
