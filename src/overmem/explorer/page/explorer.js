// The explorer: filters, the table or one example, and an address that can be shared.

const EMPTY = { split: "", shift: "", change: "any", from: "", to: "", q: "", cut: "", sort: "telling", reverse: "", page: 0, example: "", at: "", against: "" };
const KEYS = [...Object.keys(EMPTY), "run"];

/** The view that an address names; null where it is not one of the explorer. */
function viewOf(hash, defaults) {
  const match = /^#examples\?(.*)$/s.exec(hash);
  if (!match) return null;
  const given = new URLSearchParams(match[1]);
  const view = { ...defaults };
  for (const key of KEYS) if (given.has(key)) view[key] = given.get(key);
  view.page = Math.max(0, Math.floor(Number(view.page)) || 0);
  return view;
}

function hashOf(view, defaults) {
  const given = new URLSearchParams();
  for (const key of KEYS) if (String(view[key]) !== String(defaults[key])) given.set(key, view[key]);
  return `#examples?${given}`;
}

/** Options of the view that name what this table does not have go back to their defaults. */
function checked(view, table, defaults) {
  const names = table.checkpoints.map((c) => c.name);
  const sane = { ...view };
  for (const key of ["from", "to"]) if (!names.includes(sane[key])) sane[key] = defaults[key];
  for (const key of ["at", "against"]) if (!names.includes(sane[key])) sane[key] = "";
  if (!table.splits.some((s) => s.name === sane.split)) sane.split = "";
  if (sane.shift !== "none" && !table.splits.some((s) => s.shift === sane.shift)) sane.shift = "";
  if (!(sane.change in CHANGES)) sane.change = "any";
  if (!(sane.sort in SORTS)) sane.sort = "telling";
  return sane;
}

/** Show the examples of `source` in `root`; returns what the page may call: `refresh` and `stop`. */
globalThis.startExplorer = function startExplorer(root, source, { run = "", perPage = 50 } = {}) {
  let { table } = source;
  glossary = { ...table.glossary, ...glossary };
  let texts = haystack(table);
  let rows = [];
  let drawn = 0;
  const defaults = { ...EMPTY, from: table.compared[0] || table.checkpoints[0].name, to: table.compared.at(-1) || table.checkpoints.at(-1).name, run: "" };
  const named = viewOf(location.hash, defaults);
  let view = { ...checked(named && (named.run || run) === run ? named : defaults, table, defaults), run };
  const status = el("p", { class: "status", role: "status" });
  const content = el("div", { class: "content" });
  const filters = el("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() });
  const details = new Map();

  const address = () => history.replaceState(null, "", hashOf(view, defaults));
  const keyOf = (row) => `${table.splits[table.split[row]].name}/${table.id[row]}`;
  const rowOf = (key) => table.id.findIndex((_, row) => keyOf(row) === key);
  const set = (change) => { view = { ...view, page: 0, ...change }; address(); draw(); };

  function choice(label, key, options) {
    const select = el("select", { autocomplete: "off", "data-key": key, onchange: (event) => set({ [key]: event.target.value }) },
      ...options.map(([value, text]) => el("option", { value, selected: view[key] === value }, visibleText(text))));
    return el("label", {}, `${label} `, select);
  }

  function drawFilters() {
    const names = table.checkpoints.map((c) => [c.name, checkpointLabel(c)]);
    const shifts = [...new Set(table.splits.map((s) => s.shift).filter(Boolean))];
    let typing = 0;
    const search = el("input", { type: "search", value: view.q, placeholder: "words in question, answer or id", autocomplete: "off", "data-key": "q", "aria-keyshortcuts": "/",
      oninput: (event) => { clearTimeout(typing); typing = setTimeout(() => set({ q: event.target.value }), 80); } });
    const cut = el("input", { type: "checkbox", checked: view.cut === "1", autocomplete: "off", "data-key": "cut", onchange: (event) => set({ cut: event.target.checked ? "1" : "" }) });
    const reverse = el("input", { type: "checkbox", checked: view.reverse === "1", autocomplete: "off", "data-key": "reverse", onchange: (event) => set({ reverse: event.target.checked ? "1" : "" }) });
    filters.replaceChildren(...[
      el("label", { class: "wide" }, "search ", search),
      choice("split", "split", [["", "all splits"], ...table.splits.map((s) => [s.name, s.name])]),
      choice("between", "from", names), choice("and", "to", names),
      choice("answers", "change", Object.entries(CHANGES).map(([key, { label }]) => [key, label])),
      shifts.length ? choice("shift", "shift", [["", "all"], ["none", "not shifted"], ...shifts.map((s) => [s, s])]) : null,
      choice("sort by", "sort", Object.entries(SORTS).map(([key, { label }]) => [key, label])),
      el("label", {}, reverse, " reversed"), el("label", {}, cut, " cut off at the second"),
    ].filter(Boolean));
  }

  function drawTable() {
    const fitting = fittingRows(table, view, texts);
    const [lost, won] = ["lost", "won"].map((change) => changedRows(table, view, fitting, change).length);
    rows = sortedRows(table, changedRows(table, view, fitting, view.change), view);
    const pages = Math.max(1, Math.ceil(rows.length / perPage));
    view.page = Math.min(view.page, pages - 1);
    const part = table.total > table.id.length ? ` This file holds ${count(table.id.length)} of ${count(table.total)} observed examples, the most relevant first; \`overmem view\` shows all.` : "";
    status.replaceChildren(el("b", {}, `${count(rows.length)} of ${count(table.id.length)} examples.`), ` From ${visibleText(view.from)} to ${visibleText(view.to)} ${count(lost)} went from right to wrong, ${count(won)} the other way.${part}`);
    const turn = (by) => () => { view.page += by; address(); drawTable(); root.scrollIntoView({ block: "start" }); };
    const pager = el("div", { class: "pager" },
      el("button", { type: "button", onclick: turn(-1), disabled: view.page === 0 }, "Previous page"),
      el("span", {}, rows.length ? `${count(view.page * perPage + 1)}–${count(Math.min(rows.length, (view.page + 1) * perPage))} of ${count(rows.length)}` : "no example"),
      el("button", { type: "button", onclick: turn(1), disabled: view.page >= pages - 1 }, "Next page"));
    const link = (row) => hashOf({ ...view, example: keyOf(row) }, defaults);
    const shown = rows.length ? el("div", { class: "scroll" }, tableOf(table, rows, view, perPage, link, (row) => open(row))) : el("p", { class: "none" }, "No example fits these filters.");
    content.replaceChildren(legend(), shown, pager);
  }

  function legend() {
    const mark = (kind, words) => el("span", {}, el("i", { class: `mk ${kind}` }), ` ${words}`);
    return el("p", { class: "marks-legend" }, mark("right", "right"), mark("wrong", "wrong"), mark("wrong cut", "cut off"), mark("unknown", "not observed"), mark("right compared", "the two compared checkpoints"),
      el("span", { class: "keys" }, "keys: / search, ↑ ↓ rows, Enter opens, Esc back, j k next and previous"));
  }

  async function drawExample(focus) {
    const row = rowOf(view.example);
    const turn = ++drawn;
    if (row < 0) {
      content.replaceChildren(el("p", { class: "none" }, `This table has no example ${visibleText(view.example)}.`), el("button", { type: "button", class: "back", onclick: back }, "← All examples"));
      return;
    }
    if (!rows.length) rows = chosenRows(table, view, texts);
    let detail = details.get(view.example);
    try {
      detail ??= await source.detail(row);
    } catch (error) {
      content.replaceChildren(el("p", { class: "none" }, `This example could not be read: ${error.message}`), el("button", { type: "button", class: "back", onclick: back }, "← All examples"));
      return;
    }
    if (turn !== drawn) return;
    details.set(view.example, detail);
    const place = rows.indexOf(row);
    const position = { text: place < 0 ? "" : `${count(place + 1)} of ${count(rows.length)}`, hasPrevious: place > 0, hasNext: place >= 0 && place < rows.length - 1 };
    const update = (change) => { view = { ...view, ...change }; address(); };
    const again = (change) => { update(change); drawExample(false); };
    content.replaceChildren(exampleOf(table, row, detail, view, { update, again, back, step, position }));
    if (focus) content.querySelector(".example-title").focus();
  }

  function open(row) {
    view = { ...view, example: keyOf(row) };
    history.pushState(null, "", hashOf(view, defaults));
    draw(true);
    root.scrollIntoView({ block: "start" });
  }

  function back() {
    const row = rowOf(view.example);
    view = { ...view, example: "", at: "", against: "" };
    const place = rows.indexOf(row);
    if (place >= 0) view.page = Math.floor(place / perPage);
    history.pushState(null, "", hashOf(view, defaults));
    draw();
    root.querySelector(`a.open[data-row="${row}"]`)?.focus();
  }

  function step(by) {
    const row = rows[rows.indexOf(rowOf(view.example)) + by];
    if (row !== undefined) open(row);
  }

  function draw(focus = false) {
    filters.hidden = status.hidden = Boolean(view.example);
    if (view.example) drawExample(focus);
    else drawTable();
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !(root.contains(event.target) || event.target === document.body)) return;
    const isTyping = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
    if (event.key === "Escape" && view.example) back();
    else if (isTyping) return;
    else if (event.key === "/" && !view.example) filters.querySelector("[type=search]").focus();
    else if ((event.key === "j" || event.key === "k") && view.example) step(event.key === "j" ? 1 : -1);
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !view.example && root.contains(event.target)) {
      const links = [...content.querySelectorAll("a.open")];
      const next = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      if (links.length) links[Math.max(0, Math.min(links.length - 1, next))].focus();
    } else return;
    event.preventDefault();
  }

  function onHash() {
    const address = viewOf(location.hash, defaults);
    if (!address || (address.run || run) !== run) return;
    view = { ...checked(address, table, defaults), run };
    rows = [];
    drawFilters();
    draw(Boolean(view.example));
    root.scrollIntoView({ block: "start" });
  }

  root.replaceChildren(filters, status, content);
  drawFilters();
  draw();
  if (named) root.scrollIntoView({ block: "start" });
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", onHash);
  window.addEventListener("popstate", onHash);
  return {
    /** Read the table again, as an audit that is running extends it. */
    async refresh() {
      const newer = await source.refreshed?.();
      if (!newer) return;
      table = newer;
      texts = haystack(table);
      details.clear();
      view = checked(view, table, defaults);
      const focused = root.contains(document.activeElement) ? document.activeElement?.dataset?.row : undefined;
      if (!filters.contains(document.activeElement)) drawFilters();
      if (!view.example) {
        drawTable();
        if (focused !== undefined) root.querySelector(`a.open[data-row="${focused}"]`)?.focus();
      }
    },
    stop() {
      document.removeEventListener("keydown", onKey);
      window.removeEventListener("hashchange", onHash);
      window.removeEventListener("popstate", onHash);
    },
  };
};

/** Show the examples that are embedded in the page. */
globalThis.startEmbedded = async function startEmbedded(root, data) {
  try {
    startExplorer(root, await embeddedSource(data), { perPage: 15 });
  } catch (error) {
    root.textContent = `The examples of this page could not be read: ${error.message}`;
    console.error(error);
  }
};

/** Show the examples of one run of a server. */
globalThis.startServed = async function startServed(root, address, run) {
  return startExplorer(root, await servedSource(address), { run });
};
