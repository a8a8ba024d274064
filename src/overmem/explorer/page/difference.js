// The words in which two texts differ.

const LONGEST = 2000;

/** Both texts as [piece, isCommon] pairs. Words are compared; texts of very many words are given up on as different. */
function wordDifference(left, right) {
  const [a, b] = [left, right].map((text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || []);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const common = commonWords(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const marked = (words, inside) => words.map((word, i) => {
    const isOutside = i < start || i >= words.length - end;
    return [word, isOutside || inside.has(i - start)];
  });
  return [joined(marked(a, common[0])), joined(marked(b, common[1]))];
}

/** Places in `a` and in `b` of one longest common subsequence. */
function commonWords(a, b) {
  const [inA, inB] = [new Set(), new Set()];
  if (!a.length || !b.length || a.length > LONGEST || b.length > LONGEST) return [inA, inB];
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) {
      inA.add(i);
      inB.add(j);
      i += 1;
      j += 1;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return [inA, inB];
}

/** Neighbouring pieces of one kind as one. */
function joined(pieces) {
  const result = [];
  for (const [word, isCommon] of pieces) {
    const last = result.at(-1);
    if (last && last[1] === isCommon) last[0] += word;
    else result.push([word, isCommon]);
  }
  return result;
}
