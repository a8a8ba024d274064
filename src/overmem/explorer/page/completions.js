// What two checkpoints wrote, next to each other: differences marked, each with its grade and the reason for it.

/** How a completion was graded, in words. */
function gradeWords(completion, detail, answer, grader) {
  const parts = [];
  if (completion.correct === null || completion.correct === undefined) parts.push("not graded");
  else {
    const read = completion.answer ? `the answer read from it is “${completion.answer}”` : "no answer was found in it";
    const against = detail.kind === "code" ? "the tests of the example" : `the reference answer “${answer}”`;
    parts.push(`${completion.correct ? "Right" : "Wrong"}: ${read}, compared with ${against}`);
    parts.push(`graded as ${detail.kind}${grader ? ` (grader ${grader})` : ""}`);
  }
  if (completion.note) parts.push(completion.note);
  if (completion.stop === "length") parts.push(`cut off at the length limit after ${count(completion.tokens)} tokens`);
  return `${parts.join("; ")}.`;
}

function completionOf(name, completion, pieces, words) {
  const state = completion.correct ? "right" : completion.correct === false ? "wrong" : "unknown";
  const text = pieces.map(([piece, isCommon]) => (isCommon
    ? el("span", {}, ...visible(piece))
    : el("mark", {}, ...visible(piece))));
  return el("div", { class: `completion-box ${state}` },
    el("p", { class: "of" }, ...visible(name)),
    el("p", { class: "written", dir: "auto" }, ...text),
    el("p", { class: "grade" }, el("b", {}, state === "right" ? "✓ " : state === "wrong" ? "✗ " : ""), ...visible(words)));
}

/** Two columns: for each draw what the first and what the second checkpoint wrote. */
function completionsOf(table, row, detail, a, b) {
  const places = a === b ? [a] : [a, b];
  const lists = places.map((i) => new Map((detail.completions[i] || []).map((c) => [c.draw, c])));
  const draws = [...new Set(lists.flatMap((list) => [...list.keys()]))].sort((x, y) => x - y);
  if (!draws.length) return el("p", { class: "none" }, "No completion was sampled for this example at these checkpoints.");
  const block = (draw) => {
    const both = lists.map((list) => list.get(draw));
    const pieces = both.every(Boolean) && both.length === 2
      ? wordDifference(both[0].text, both[1].text)
      : both.map((c) => [[c ? c.text : "", true]]);
    return el("div", { class: "side-by-side" }, ...both.map((c, i) => (c
      ? completionOf(table.checkpoints[places[i]].name, c, pieces[i], gradeWords(c, detail, table.answer[row], detail.graders[places[i]]))
      : el("p", { class: "none" }, "not sampled"))));
  };
  const names = el("div", { class: "side-by-side names" }, ...places.map((i) => el("h4", {}, ...visible(table.checkpoints[i].name))));
  const sampled = draws.filter((draw) => draw > 0);
  const rightOf = (list) => {
    const drawn = sampled.map((draw) => list.get(draw)).filter(Boolean);
    return `${drawn.filter((c) => c.correct).length} of ${drawn.length}`;
  };
  const left = places.map((i) => detail.left_out[i]).some((n) => n > 0);
  return el("div", { class: "completions" }, names,
    draws.includes(0) ? el("h4", { class: "kind" }, "Greedy completion") : null, draws.includes(0) ? block(0) : null,
    sampled.length ? el("h4", { class: "kind" }, `Sampled completions: right ${lists.map(rightOf).join(" → ")}`) : null,
    ...sampled.map(block),
    left ? el("p", { class: "none" }, "The sampled completions of other checkpoints than the recommended and the last are not in this file; `overmem view` shows them.") : null);
}
