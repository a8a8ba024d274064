// The table: one page of rows, each with its marks along the run.

const MARK_WORDS = { R: "right", W: "wrong", r: "right, cut off at the length limit", w: "wrong, cut off at the length limit", "-": "not observed" };
const MARK_CLASSES = { R: "right", W: "wrong", r: "right cut", w: "wrong cut", "-": "unknown" };

const markNodes = new Map();

/** The mark of one checkpoint; equal ones are copies, because a page of the table holds thousands. */
function markNode(name, mark, isCompared) {
  const key = `${isCompared} ${mark} ${name}`;
  if (!markNodes.has(key)) {
    const kind = `mk ${MARK_CLASSES[mark]}${isCompared ? " compared" : ""}`;
    markNodes.set(key, el("i", { class: kind, title: `${visibleText(name)}: ${MARK_WORDS[mark]}` }));
  }
  return markNodes.get(key).cloneNode(true);
}

/** Marks along the run, the two compared checkpoints underlined, with the same in words. */
function strip(table, marks, view) {
  const nodes = [...marks].map((mark, i) => {
    const { name, step } = table.checkpoints[i];
    const node = markNode(name, mark, name === view.from || name === view.to);
    if (i > 0 && step === 0) node.classList.add("begins"); // another run
    return node;
  });
  const words = nodes.map((node) => node.title).join(", ");
  return el("span", { class: "strip", role: "img", "aria-label": words }, ...nodes);
}

function surpriseCell(table, row, view) {
  const [a, b] = comparedPlaces(table, view).map((place) => table.nll[row][place]);
  const [before, after] = [a, b].map((nll) => (known(nll) === null ? "—" : nats(nll)));
  return el("td", { class: "number", "data-label": "surprise" }, `${before} → ${after}`);
}

function exposureCell(table, row, view) {
  const value = exposure(table, row, comparedPlaces(table, view)[1]);
  return el("td", { class: "number", "data-label": "exposure" }, value === null ? "—" : nats(value));
}

/** One page of the rows. Every row holds one link, which opens the example. */
function tableOf(table, rows, view, perPage, hashOf, open) {
  const start = view.page * perPage;
  const shown = rows.slice(start, start + perPage);
  const head = el("thead", {}, el("tr", {},
    el("th", { scope: "col", class: "split" }, "split"), el("th", { scope: "col" }, "question"), el("th", { scope: "col", class: "answer" }, "reference answer"),
    el("th", { scope: "col", class: "marks" }, "greedy answer along the run"),
    el("th", { scope: "col", class: "number" }, ...glossed("surprise", "surprise"), ", nats per token"), el("th", { scope: "col", class: "number" }, ...glossed("exposure", "exposure"))));
  const body = el("tbody", {}, ...shown.map((row, i) => {
    const link = el("a", { class: "open", href: hashOf(row), "data-row": row, dir: "auto" }, ...visible(shortened(table.question[row], 220)));
    return el("tr", { onclick: (event) => { if (!event.target.closest("a")) open(row, start + i); } },
      el("td", { class: "split" }, ...visible(table.splits[table.split[row]].name)),
      el("td", { class: "question" }, link),
      el("td", { class: "answer", dir: "auto", "data-label": "answer" }, ...visible(shortened(table.answer[row], 60))),
      el("td", { class: "marks" }, strip(table, table.marks[row], view)),
      surpriseCell(table, row, view), exposureCell(table, row, view));
  }));
  const drawn = el("table", { class: "examples" }, head, body);
  drawn.style.setProperty("--checkpoints", table.checkpoints.length);
  return drawn;
}

function shortened(text, most) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
