// One example whole: question, reference by token at any checkpoint, completions of two checkpoints, grades.

function checkpointSelect(table, label, chosen, change, none = "") {
  const options = table.checkpoints.map((c) => el("option", { value: c.name, selected: c.name === chosen }, visibleText(checkpointLabel(c))));
  if (none) options.unshift(el("option", { value: "", selected: !chosen }, none));
  const select = el("select", { onchange: (event) => change(event.target.value), autocomplete: "off" }, ...options);
  return el("label", {}, `${label} `, select);
}

const checkpointLabel = (c) => (c.regime ? `${c.name} · ${c.regime}` : c.name);

/** The slider, the tokens under it, and the words about the token that is pointed at. */
function referenceOf(table, detail, view, update) {
  const scored = table.checkpoints.map((c, i) => i).filter((i) => detail.surprise[i]);
  if (!scored.length) {
    return el("div", {}, el("p", { class: "solution", dir: "auto" }, ...visible(detail.solution)),
      el("p", { class: "none" }, "The reference was not scored: no surprise is known."));
  }
  const names = table.checkpoints.map((c) => visibleText(c.name));
  const place = (name) => table.checkpoints.findIndex((c) => c.name === name);
  const nearest = (i) => (scored.includes(i) ? i : scored.at(-1));
  let at = nearest(place(view.at || view.to));
  const pointed = el("p", { class: "pointed", "aria-live": "polite" });
  const holder = el("div", {});
  const key = el("p", { class: "key" }, el("span", { class: "tk more" }, "more"), " and ", el("span", { class: "tk less" }, "less"), " surprising than there; the stronger the colour, the larger the difference, up to 5 nats.");
  const summary = el("p", { class: "summary" });
  const output = el("output", {}, names[at]);
  const draw = () => {
    const against = detail.surprise[place(view.against)] ? place(view.against) : null;
    key.hidden = against === null;
    const mean = meanSurprise(detail.surprise[at]);
    const rise = against === null ? "" : `, ${signedNats(mean - meanSurprise(detail.surprise[against]), 3)} against ${names[against]}`;
    const misses = [...detail.argmax[at]].filter((hit) => hit === "0").length;
    summary.replaceChildren(`${nats(mean, 3)} nats per token at ${names[at]}${rise}; ${misses} of ${detail.tokens.length} tokens are not the model's first choice (underlined).`);
    output.textContent = names[at];
    slider.setAttribute("aria-valuetext", names[at]);
    pointed.textContent = "Point at a token, or focus the text and use the arrow keys.";
    holder.replaceChildren(tokensOf(detail, at, against, names, (words) => { pointed.textContent = words; }));
  };
  const slider = el("input", {
    type: "range", min: 0, max: scored.length - 1, step: 1, value: scored.indexOf(at), autocomplete: "off", class: "slider",
    "aria-label": "Checkpoint at which the reference is scored",
    oninput: (event) => { at = scored[event.target.valueAsNumber]; update({ at: table.checkpoints[at].name }); draw(); },
  });
  const against = checkpointSelect(table, "difference to", view.against, (name) => { update({ against: name }); view.against = name; draw(); }, "none");
  draw();
  return el("div", { class: "reference" },
    el("div", { class: "scrubber" }, el("label", {}, "checkpoint ", slider), output, against),
    courseOf(table, detail, scored), summary, holder, pointed, key);
}

/** The mean surprise along the run as a small line. */
function courseOf(table, detail, scored) {
  const means = scored.map((i) => meanSurprise(detail.surprise[i]));
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const x = (k) => (scored.length < 2 ? 50 : 1 + 98 * (k / (scored.length - 1)));
  const y = (v) => (high === low ? 13 : 24 - 22 * ((v - low) / (high - low)));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  for (const [key, value] of Object.entries({ viewBox: "0 0 100 26", preserveAspectRatio: "none", class: "course", role: "img" })) svg.setAttribute(key, value);
  svg.setAttribute("aria-label", `Surprise along the run: ${means.map((m, k) => `${visibleText(table.checkpoints[scored[k]].name)} ${nats(m)}`).join(", ")} nats per token`);
  line.setAttribute("points", means.map((m, k) => `${x(k)},${y(m)}`).join(" "));
  svg.append(line);
  return svg;
}

/** The whole of one example. `update` changes the address; `again` draws the example anew. */
function exampleOf(table, row, detail, view, { update, again, back, step, position }) {
  const place = (name) => table.checkpoints.findIndex((c) => c.name === name);
  const [a, b] = [place(view.from), place(view.to)];
  const choose = (key) => (name) => again({ [key]: name });
  return el("article", { class: "example", "aria-label": "Example" },
    el("div", { class: "example-bar" },
      el("button", { type: "button", class: "back", onclick: back }, "← All examples"),
      el("span", { class: "where" }, ...visible(table.splits[table.split[row]].name), " · ", el("code", {}, ...visible(table.id[row])), position.text ? ` · ${position.text}` : ""),
      el("button", { type: "button", onclick: () => step(-1), disabled: !position.hasPrevious, title: "k" }, "Previous"),
      el("button", { type: "button", onclick: () => step(1), disabled: !position.hasNext, title: "j" }, "Next")),
    el("h3", { tabindex: -1, class: "example-title" }, "Question"),
    el("p", { class: "whole-question", dir: "auto" }, ...visible(table.question[row])),
    el("p", {}, "Reference answer: ", el("b", { dir: "auto" }, ...visible(table.answer[row] || "none")), "  ", strip(table, table.marks[row], view)),
    el("h3", {}, "Reference solution"),
    referenceOf(table, detail, view, update),
    el("h3", {}, "Completions"),
    el("div", { class: "scrubber" }, checkpointSelect(table, "first", view.from, choose("from")), checkpointSelect(table, "second", view.to, choose("to"))),
    completionsOf(table, row, detail, a, b));
}
