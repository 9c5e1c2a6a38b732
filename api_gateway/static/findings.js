/**
 * The findings of a text, one line each, and the sentences that say them.
 *
 * The sentences are the report's, so they are English in every language of the page: the model writes English.
 */

import { apart } from "./sections.js";

export const STATUSES = ["present", "absent", "uncertain"];
export const PLACED = { effusion: ["side"], pneumothorax: ["side"], consolidation: ["side", "zone"], nodule: ["side", "zone"] };
const VALUES = { side: ["left", "right"], zone: ["upper", "mid", "lower"] };
const NOUNS = {
  cardiomegaly: "cardiomegaly",
  effusion: "pleural effusion",
  pneumothorax: "pneumothorax",
  consolidation: "consolidation",
  nodule: "pulmonary nodule",
  device: "support device",
};
const SENTENCE = /[^.!?\n]*[.!?]*/g;

const noun = (finding) => NOUNS[finding] ?? finding.replaceAll("_", " ");

/** What it is and where, in words: "left lower zone consolidation". */
export function nameOf({ finding, side, zone }) {
  return [side, zone && `${zone} zone`, noun(finding)].filter(Boolean).join(" ");
}

/** The sentence that says it. */
export function sentenceOf(line) {
  const name = nameOf(line);
  const said = { present: name, absent: `no ${name}`, uncertain: `possible ${name}` }[line.status];
  return `${said[0].toUpperCase()}${said.slice(1)}.`;
}

/** Another status, side or zone: the next one of its row; a zone may be left open. */
export function next(line, what) {
  if (what === "status") return { ...line, status: after(STATUSES, line.status) };
  const row = what === "zone" ? [...VALUES.zone, null] : VALUES.side;
  return { ...line, [what]: after(row, line[what]) };
}

const after = (row, value) => row[(row.indexOf(value) + 1) % row.length];

/** Whether a side or a zone belongs to it. */
export const hasPlace = (line, what) => (PLACED[line.finding] ?? []).includes(what) || line[what] !== null;

/**
 * One line for each finding at a place, whatever number of times the text names it.
 * @param {object[]} named the findings of this text as the gateway has them, their places in code points
 * @returns {object[]} {finding, side, zone, status, spans: [{part, from, to}]}, `from` within the part, in UTF-16 units
 */
export function linesOf(text, named) {
  const parts = apart(text);
  const units = unitsOf(text);
  const lines = new Map();
  for (const { finding, side, zone, status, start: first, end: last } of named) {
    const key = JSON.stringify([finding, side, zone]);
    if (!lines.has(key)) lines.set(key, { finding, side, zone, status, spans: [] });
    const part = parts.find((one) => one.from <= units(first) && units(last) <= one.from + one.text.length);
    if (part) lines.get(key).spans.push({ part: part.name, from: units(first) - part.from, to: units(last) - part.from });
  }
  return [...lines.values()];
}

/** From a place in code points to one in UTF-16 units. */
function unitsOf(text) {
  const places = [0];
  for (const letter of text) places.push(places.at(-1) + letter.length);
  return (place) => places[Math.min(place, places.length - 1)];
}

/** The whole sentence around some words of a text. */
export function sentenceAround(text, from, to) {
  for (const found of text.matchAll(SENTENCE)) {
    if (found.index <= from && from < found.index + found[0].length) {
      const end = Math.max(found.index + found[0].length, to);
      return text.slice(found.index, end).trim();
    }
  }
  return text.slice(from, to);
}

/** The lines with the sentences that say each of them, by part: what an editor rewrites. */
export function withSentences(lines, parts) {
  const textOf = Object.fromEntries(parts.map(({ name, text }) => [name, text]));
  return lines.map(({ spans, ...line }) => {
    const said = spans.map(({ part, from, to }) => [part, sentenceAround(textOf[part], from, to)]);
    return { ...line, said };
  });
}

/**
 * Say a line otherwise: each sentence that said it is rewritten, and with it every other finding that the sentence names.
 * Where none does any more, a sentence is added to the first part.
 * @param {object[]} lines with their sentences
 * @param {number} place which line
 * @param {object} now how it is to be said
 * @param {object[]} parts of the text as it is now: {name, text}
 * @returns {{lines: object[], parts: object[]}}
 */
export function reworded(lines, place, now, parts) {
  let changed = lines.map((line, at) => (at === place ? { ...now, said: line.said } : line));
  let texts = parts.map((part) => ({ ...part }));
  let found = false;
  for (const [part, sentence] of lines[place].said) {
    const target = texts.find((one) => one.name === part && one.text.includes(sentence));
    if (!target) continue;
    found = true;
    const saying = ([where, words]) => where === part && words === sentence;
    const sharing = changed.filter((line) => line.said.some(saying));
    target.text = target.text.replace(sentence, () => [...new Set(sharing.map(sentenceOf))].join(" "));
    changed = changed.map((line) => ({
      ...line,
      said: line.said.map((one) => (saying(one) ? [part, sentenceOf(line)] : one)),
    }));
  }
  if (!found) {
    const sentence = sentenceOf(now);
    const [first, ...rest] = texts;
    texts = [{ ...first, text: [first.text.trimEnd(), sentence].filter(Boolean).join(" ") }, ...rest];
    changed[place] = { ...now, said: [[first.name, sentence]] };
  }
  return { lines: changed, parts: texts };
}

/** A line more, and its sentence in the first part. */
export function added(lines, finding, parts) {
  const places = PLACED[finding] ?? [];
  const line = { finding, side: places.includes("side") ? "left" : null, zone: places.includes("zone") ? "lower" : null };
  const more = [...lines, { ...line, status: "present", said: [] }];
  return reworded(more, lines.length, more.at(-1), parts);
}

export const KNOWN = Object.keys(NOUNS);
