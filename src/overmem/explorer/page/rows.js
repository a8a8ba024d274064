// Which rows of the table are shown, and in which order. Pure functions of the table and the view.

const isRight = (mark) => mark === "R" || mark === "r";
const isWrong = (mark) => mark === "W" || mark === "w";
const isCut = (mark) => mark === "r" || mark === "w";

const CHANGES = {
  any: { label: "any answer", holds: () => true },
  lost: { label: "right → wrong", holds: (a, b) => isRight(a) && isWrong(b) },
  won: { label: "wrong → right", holds: (a, b) => isWrong(a) && isRight(b) },
  kept: { label: "right at both", holds: (a, b) => isRight(a) && isRight(b) },
  never: { label: "wrong at both", holds: (a, b) => isWrong(a) && isWrong(b) },
  changed: { label: "changed anywhere", holds: (a, b, marks) => changesOf(marks) > 0 },
};

const SORTS = {
  telling: { label: "most relevant", value: null },
  surprise: { label: "surprise at the second", value: (t, row, a, b) => known(t.nll[row][b]) },
  rise: { label: "rise of surprise", value: (t, row, a, b) => difference(t.nll[row][a], t.nll[row][b]) },
  exposure: { label: "exposure", value: (t, row, a, b) => exposure(t, row, b) },
  changes: { label: "changes along the run", value: (t, row) => changesOf(t.marks[row]) },
  question: { label: "question", value: (t, row) => t.question[row] },
};

const known = (nll) => (nll === undefined || nll < 0 ? null : nll);

function difference(before, after) {
  return known(before) === null || known(after) === null ? null : after - before;
}

/** How far the surprise of a training example fell below that of the base model; null where that is not known. */
function exposure(table, row, at) {
  const base = table.checkpoints.findIndex((c) => c.step === 0);
  if (base < 0 || table.splits[table.split[row]].base !== "train") return null;
  const rise = difference(table.nll[row][base], table.nll[row][at]);
  return rise === null ? null : -rise;
}

/** How often the greedy answer turned from right to wrong or back along the run, merged checkpoints left out. */
function changesOf(marks) {
  let changes = 0;
  let last = null;
  for (const mark of marks) {
    if (mark === "-") continue;
    if (last !== null && isRight(mark) !== last) changes += 1;
    last = isRight(mark);
  }
  return changes;
}

/** Lower-case text that a search looks through, made once per table. */
function haystack(table) {
  return table.id.map((id, row) => `${table.question[row]}\n${table.answer[row]}\n${id}`.toLowerCase());
}

const comparedPlaces = (table, view) => [view.from, view.to].map((name) => table.checkpoints.findIndex((c) => c.name === name));

/** Rows that fit the view in every respect but how the answer changed; `texts` is the table's haystack. */
function fittingRows(table, view, texts) {
  const b = comparedPlaces(table, view)[1];
  const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
  const splits = table.splits.map((s) => (!view.split || s.name === view.split)
    && (!view.shift || (view.shift === "none" ? !s.shift : s.shift === view.shift)));
  const rows = [];
  for (let row = 0; row < table.id.length; row += 1) {
    if (splits[table.split[row]] && (!view.cut || isCut(table.marks[row][b])) && words.every((word) => texts[row].includes(word))) rows.push(row);
  }
  return rows;
}

/** Those of the rows whose answer changed so between the two checkpoints. */
function changedRows(table, view, rows, change) {
  const [a, b] = comparedPlaces(table, view);
  const { holds } = CHANGES[change] || CHANGES.any;
  return rows.filter((row) => holds(table.marks[row][a], table.marks[row][b], table.marks[row]));
}

/** Numbers of the rows to show, in order. */
function chosenRows(table, view, texts) {
  return sortedRows(table, changedRows(table, view, fittingRows(table, view, texts), view.change), view);
}

/** Largest first, unknown values last; text from A to Z. `reverse` turns it around, unknown values stay last. */
function sortedRows(table, rows, view) {
  const [a, b] = comparedPlaces(table, view);
  const { value } = SORTS[view.sort] || SORTS.telling;
  if (!value) return view.reverse ? rows.reverse() : rows;
  const values = new Map(rows.map((row) => [row, value(table, row, a, b)]));
  const way = view.reverse ? -1 : 1;
  return rows.sort((x, y) => {
    const [u, v] = [values.get(x), values.get(y)];
    if (u === null || v === null) return (u === null) - (v === null) || x - y;
    return way * (typeof u === "string" ? u.localeCompare(v) : v - u) || x - y;
  });
}
