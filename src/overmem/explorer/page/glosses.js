// Terms of the glossary, explained on hover, focus and touch. The first occurrence in each part of the page is marked.

let glossary = {};
const NOT_INSIDE = "script, style, code, pre, a, button, select, textarea, summary, option, svg, .gloss, .explorer, .chart, h1, h2, .written, .question, .completion, .tokens, [data-no-gloss]";

/** A term as an element that explains itself. */
function glossNode(term, shown) {
  return el("span", { class: "gloss", tabindex: 0, role: "note", "aria-label": `${shown}: ${glossary[term]}`, "data-gloss": glossary[term] }, shown);
}

/** The term with its explanation, or alone where the glossary does not have it. */
const glossed = (term, shown) => [glossary[term] ? glossNode(term, shown) : shown];

/** Mark each term where it first occurs in `part`. Only text nodes are split; nothing is parsed as HTML. */
function markTerms(part) {
  const escaped = Object.keys(glossary).map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).sort((a, b) => b.length - a.length);
  if (!escaped.length) return;
  const terms = new RegExp(`(?<![\\p{L}\\p{N}_-])(${escaped.join("|")})(?![\\p{L}\\p{N}_-])`, "giu");
  const byLower = new Map(Object.keys(glossary).map((term) => [term.toLowerCase(), term]));
  const seen = new Set([...part.querySelectorAll(".gloss")].map((node) => node.dataset.gloss));
  const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(NOT_INSIDE)) texts.push(walker.currentNode);
  for (let text of texts) {
    for (const match of [...text.data.matchAll(terms)].reverse()) {
      const term = byLower.get(match[0].toLowerCase());
      const isFirst = text.data.toLowerCase().indexOf(match[0].toLowerCase()) === match.index;
      if (seen.has(glossary[term]) || !isFirst) continue;
      seen.add(glossary[term]);
      const rest = text.splitText(match.index);
      rest.splitText(match[0].length);
      rest.replaceWith(glossNode(term, match[0]));
    }
  }
}

/** One tip for the whole page, kept inside the window; Escape closes it, and it stays while it is pointed at. */
globalThis.startGlosses = function startGlosses(table, parts = []) {
  glossary = table;
  for (const part of parts) markTerms(part);
  const tip = el("div", { class: "tip", role: "tooltip", hidden: true });
  document.body.append(tip);
  document.documentElement.classList.add("has-tips");
  const show = (node) => {
    tip.textContent = node.dataset.gloss;
    tip.hidden = false;
    const at = node.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    tip.style.top = `${at.bottom + height + 10 > innerHeight ? Math.max(8, at.top - height - 4) : at.bottom + 4}px`;
  };
  const hide = () => { tip.hidden = true; };
  const onEnter = (event) => { const node = event.target.closest?.(".gloss"); if (node) show(node); };
  const onLeave = (event) => { if (event.target.closest?.(".gloss, .tip") && !event.relatedTarget?.closest?.(".gloss, .tip")) hide(); };
  document.addEventListener("pointerover", onEnter);
  document.addEventListener("focusin", onEnter);
  document.addEventListener("pointerout", onLeave);
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
};
