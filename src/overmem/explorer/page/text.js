// Text from models and data only ever becomes text nodes; what would be invisible or reorder the line is made visible.

const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u115f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0e\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e01ff}]|\p{Surrogate}/gu;

/** An element with attributes and children; strings become text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "disabled" || key === "checked" || key === "selected" || key === "hidden") element[key] = value;
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text as nodes: a hidden or direction-changing character is shown by its code point. */
function visible(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > end) nodes.push(text.slice(end, match.index));
    const code = `U+${match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    nodes.push(el("span", { class: "hidden-character", title: "a character that cannot be seen" }, code));
    end = match.index + match[0].length;
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}

/** The same as plain text, for attributes. */
function visibleText(text) {
  return text.replace(HIDDEN, (c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}

function count(n) {
  return n.toLocaleString("en");
}

/** Nats per token, from thousandths. */
function nats(thousandths, digits = 2) {
  return (thousandths / 1000).toFixed(digits);
}

function signedNats(thousandths, digits = 2) {
  const text = (thousandths / 1000).toFixed(digits);
  if (Number(text) === 0) return (0).toFixed(digits);
  return thousandths > 0 ? `+${text}` : text.replace("-", "−");
}
