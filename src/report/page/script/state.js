// States along a path. Steps have what changed; the state before each is put together from that.

const CHECKPOINT = 64;

class Walk {
  constructor(view, path) {
    this.view = view;
    this.numbers = [];
    for (let step = view.paths[path]?.last; step !== undefined; step = view.steps[step].parent) this.numbers.push(step);
    this.numbers.reverse();
    this.positions = new Map(this.numbers.map((number, position) => [number, position]));
    this.kept = [new Map()];
  }

  get length() {
    return this.numbers.length;
  }

  step(position) {
    return this.view.steps[this.numbers[position]];
  }

  // The values before a position's step, by key; -1 is before everything.
  values(position) {
    let from = Math.min(Math.floor((position + 1) / CHECKPOINT), this.kept.length - 1);
    let values = new Map(this.kept[from]);
    for (let at = from * CHECKPOINT; at <= position; at += 1) {
      for (const [key, value] of this.step(at).changes ?? []) {
        if (value === null) values.delete(key);
        else values.set(key, value);
      }
      if ((at + 1) % CHECKPOINT === 0 && (at + 1) / CHECKPOINT === this.kept.length) this.kept.push(new Map(values));
    }
    return values;
  }

  // Values before a position's step, and what those that it changed were.
  state(position) {
    const before = this.values(position - 1);
    const changed = new Map((this.step(position).changes ?? []).map(([key]) => [key, before.get(key)]));
    return { values: this.values(position), changed };
  }

  // The next position after that one, or from the start, whose step is such a one.
  next(position, wanted) {
    for (let count = 1; count <= this.length; count += 1) {
      const at = (position + count) % this.length;
      if (wanted(this.step(at))) return at;
    }
    return undefined;
  }
}
