/** What changed between two texts, word by word. */

import { h } from "./dom.js";

const WORDS = /\s+|[^\s]+/g;
// Beyond this many comparisons (some 2000 changed words) the texts have little in common that one would want to see.
const MOST = 4_000_000;

/** Pieces in reading order, each [kind, text]: "same", "gone" (of the first text only) or "new" (of the second only). */
export function diff(before, after) {
  const [a, b] = [before, after].map((text) => text.match(WORDS) ?? []);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const middle = between(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const same = (words) => words.map((word) => ["same", word]);
  return joined([...same(a.slice(0, start)), ...middle, ...same(a.slice(a.length - end))]);
}

/** The longest common subsequence decides what stayed. */
function between(a, b) {
  const whole = [...a.map((word) => ["gone", word]), ...b.map((word) => ["new", word])];
  if (!a.length || !b.length || a.length * b.length > MOST) return whole;
  const wide = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * wide); // of a from i and b from j
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const here = i * wide + j;
      longest[here] = a[i] === b[j] ? longest[here + wide + 1] + 1 : Math.max(longest[here + wide], longest[here + 1]);
    }
  }
  const pieces = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const here = i * wide + j;
    if (i < a.length && j < b.length && a[i] === b[j]) [pieces[pieces.length], i, j] = [["same", a[i]], i + 1, j + 1];
    else if (j === b.length || (i < a.length && longest[here + wide] >= longest[here + 1])) pieces.push(["gone", a[i++]]);
    else pieces.push(["new", b[j++]]);
  }
  return pieces;
}

function joined(pieces) {
  const found = [];
  for (const [kind, word] of pieces) {
    if (found.at(-1)?.[0] === kind) found.at(-1)[1] += word;
    else found.push([kind, word]);
  }
  return found;
}

/** The second text with what it changed of the first: struck out what is gone, underlined what is new. */
export function diffed(before, after) {
  const tags = { gone: "del", new: "ins" };
  return diff(before, after).map(([kind, words]) => (kind === "same" ? words : h(tags[kind], {}, words)));
}
