"use strict";
// The values of a chart by keyboard: with the chart focused, the arrow keys read one point after the other.
globalThis.startReading = ({ charts }) => (place, key) => {
  const { usermeta, datasets } = charts[key];
  const points = (usermeta?.rows ?? []).flatMap((table) => datasets[table]).filter((row) => row.text);
  if (!points.length) return;
  const note = Object.assign(document.createElement("p"), { className: "reading", hidden: true });
  note.setAttribute("role", "status");
  const wordsOf = (row) => {
    const of = [row.checkpoint, row.name, row.line ?? row.split, row.step === undefined ? "" : `step ${row.step}`];
    return `${[...new Set(of.filter(Boolean))].join(", ")}: ${row.text}${row.n ? `, n = ${row.n.toLocaleString("en")}` : ""}`;
  };
  let current = -1;
  place.tabIndex = 0;
  place.setAttribute("aria-label", `${place.getAttribute("aria-label")} Arrow keys read the values.`);
  place.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: points.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    current = Math.max(0, Math.min(points.length - 1, moves[event.key]));
    note.hidden = false;
    note.textContent = `${wordsOf(points[current])} (${current + 1} of ${points.length})`;
  });
  place.addEventListener("blur", () => { note.hidden = true; });
  place.after(note);
};
