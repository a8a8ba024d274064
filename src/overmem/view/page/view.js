"use strict";
// The page of `overmem view`: which runs there are, the verdict of the chosen one, and its examples, read again as they change.
(() => {
  const EVERY = 3000;
  const byId = (id) => document.getElementById(id);
  let shown = null;
  let runs = [];

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  const percent = (x) => `${(100 * x).toFixed(1)}%`;

  function accuracyText(estimate) {
    if (!estimate || estimate.value === null) return "—";
    const interval = estimate.low === null || estimate.high === null ? "" : ` (${percent(estimate.low)} to ${percent(estimate.high)}, n = ${estimate.n.toLocaleString("en")})`;
    return percent(estimate.value) + interval;
  }

  const addressOf = (run) => `#examples?${new URLSearchParams({ run: run.name })}`;

  function drawRuns(current) {
    const run = runs[current];
    document.title = `${run.name}: overmem view`;
    byId("run-name").textContent = run.name;
    byId("headline").textContent = run.headline;
    byId("about").replaceChildren(...(run.regime ? [element("span", { class: `chip ${run.regime}` }, run.regime)] : []),
      ...(run.ship ? [`ship ${run.ship}, accuracy ${accuracyText(run.accuracy)}`] : []));
    byId("run-links").replaceChildren(...(run.report ? [element("a", { href: `/runs/${current}/report` }, "Report of this run")] : []));
    if (runs.length < 2) return;
    const rows = runs.map((r, i) => element("tr", i === current ? { class: "current" } : {},
      element("th", { scope: "row" }, element("a", { href: addressOf(r) }, r.name)),
      element("td", {}, element("span", { class: `chip ${r.regime}` }, r.regime || "no verdict yet")),
      element("td", {}, r.ship || "none"), element("td", {}, accuracyText(r.accuracy)), element("td", {}, r.headline)));
    const head = ["run", "regime", "ship", "accuracy there", "verdict"].map((text) => element("th", { scope: "col" }, text));
    byId("runs").replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
  }

  const chosen = () => {
    const name = new URLSearchParams(location.hash.replace(/^#examples\?/, "")).get("run");
    return Math.max(0, runs.findIndex((run) => run.name === name));
  };

  async function show() {
    const current = chosen();
    if (shown && shown.current === current) return;
    shown?.explorer?.stop();
    shown = { current, explorer: null };
    drawRuns(current);
    const turn = shown;
    const root = byId("explorer");
    root.textContent = "Reading the examples.";
    try {
      const explorer = await startServed(root, `/runs/${current}`, runs[current].name);
      if (turn === shown) turn.explorer = explorer;
      else explorer.stop();
    } catch (error) {
      root.textContent = `The examples could not be read: ${error.message}`;
    }
  }

  async function readRuns() {
    runs = await (await fetch("/runs", { cache: "no-store" })).json();
  }

  async function keepUp() {
    try {
      if (document.visibilityState === "visible") {
        await readRuns();
        drawRuns(shown.current);
        await shown.explorer?.refresh();
      }
      document.body.classList.remove("lost");
    } catch {
      document.body.classList.add("lost"); // the server was stopped; the page keeps what it has
    }
    setTimeout(keepUp, EVERY);
  }

  startGlosses({});
  window.addEventListener("hashchange", show);
  readRuns().then(show).then(() => setTimeout(keepUp, EVERY)).catch((error) => { byId("headline").textContent = `The runs could not be read: ${error.message}`; });
})();
