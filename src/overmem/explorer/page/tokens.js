// The reference solution token by token: how surprising each one is at a checkpoint, or how much more than at another.

const MOST = 5000;
const STRONGEST = 42; // percent: text on it has a contrast of 4.5 in both schemes

/** Share of the colour, in percent, of so many thousandths of a nat. */
const heat = (value) => Math.round(STRONGEST * Math.min(1, Math.sqrt(Math.abs(value) / MOST)));

function tokenWords(detail, i, at, against, names) {
  const surprise = detail.surprise[at][i];
  const chance = Math.exp(-surprise / 1000);
  const parts = [`${nats(surprise)} nats at ${names[at]}: probability ${chance >= 0.0995 ? chance.toFixed(2) : chance.toPrecision(1)}`];
  if (against !== null) parts.push(`${signedNats(surprise - detail.surprise[against][i])} against ${names[against]}`);
  parts.push(detail.argmax[at][i] === "1" ? "the model's first choice" : "not the model's first choice");
  return parts.join("; ");
}

/** Mean of a checkpoint's surprise over the tokens, in thousandths of a nat. */
const meanSurprise = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The tokens with their colours. Arrow keys walk along them; `say` is told what each is. */
function tokensOf(detail, at, against, names, say) {
  const values = detail.surprise[at].map((v, i) => (against === null ? v : v - detail.surprise[against][i]));
  const tokens = detail.tokens.map((text, i) => {
    const kind = against !== null && values[i] < 0 ? "less" : "more";
    const miss = detail.argmax[at][i] === "1" ? "" : " missed";
    const token = el("span", { class: `tk ${kind}${miss}`, "data-i": i }, ...visible(text));
    token.style.setProperty("--heat", `${heat(values[i])}%`);
    return token;
  });
  let current = -1;
  const point = (i) => {
    if (current >= 0) tokens[current].classList.remove("current");
    current = i;
    if (i < 0) return say("");
    tokens[i].classList.add("current");
    return say(`“${visibleText(detail.tokens[i])}”: ${tokenWords(detail, i, at, against, names)}`);
  };
  return el("p", {
    class: "tokens-line", dir: "auto", tabindex: 0, role: "group",
    "aria-label": "Reference solution by token; arrow keys read each one",
    onpointerover: (event) => { if (event.target.dataset.i) point(Number(event.target.dataset.i)); },
    onkeydown: (event) => {
      const moves = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: tokens.length - 1 };
      if (!(event.key in moves) || !tokens.length) return;
      event.preventDefault();
      point(Math.max(0, Math.min(tokens.length - 1, moves[event.key])));
    },
  }, ...tokens);
}
