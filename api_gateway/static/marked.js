/** The findings of a text as buttons above it; one that is pointed at or in focus marks its words in the text. */

import { h, visible } from "./dom.js";
import { KNOWN, linesOf } from "./findings.js";
import { t } from "./language.js";
import { FINDINGS, SAID_SIDES, STATUS_WORDS, URGENT, ZONES } from "./words.js";

/** What a line names, as a reader says it. */
export function titleOf({ finding, side, zone }) {
  const name = FINDINGS[finding] ?? finding.replaceAll("_", " ");
  const place = [side && SAID_SIDES[side], zone && ZONES[zone]].filter(Boolean).join(", ");
  return place ? `${name} (${place})` : name;
}

/** The class of a line: what is present and urgent is red, unless its text was rejected. */
export const tone = ({ finding, status }, rejected = false) =>
  !rejected && status === "present" && URGENT.has(finding) ? `${status} urgent` : status;

/** A part of a text in pieces, each with the numbers of the lines that it says. */
export function pieces(part, lines) {
  const spans = lines.flatMap((line, at) => line.spans.filter((one) => one.part === part.name).map((one) => ({ ...one, at })));
  const cuts = [...new Set([0, part.text.length, ...spans.flatMap(({ from, to }) => [from, to])])].sort((a, b) => a - b);
  return cuts.slice(1).map((end, place) => {
    const start = cuts[place];
    const saying = spans.filter(({ from, to }) => from <= start && end <= to).map(({ at }) => at);
    const words = part.text.slice(start, end);
    return saying.length ? h("span", { class: "words", "data-says": ` ${saying.join(" ")} ` }, words) : visible(words);
  });
}

/**
 * The chips; null where the text names nothing.
 * @param {object} summary whose text they are about
 * @param {object[]} named its findings
 * @param {HTMLElement} shown where its text stands
 * @param {((place: number) => void)|null} change is called with the place of a line that is to be said otherwise
 */
export function chips(summary, named, shown, change) {
  const lines = linesOf(summary.summary, named);
  if (!lines.length) return null;
  const rejected = summary.review_state === "rejected";
  const mark = (place) => {
    for (const words of shown.querySelectorAll(".words")) {
      words.classList.toggle("marked", place !== null && words.dataset.says.includes(` ${place} `));
    }
  };
  const items = lines.map((line, place) => {
    const said = `${titleOf(line)}: ${STATUS_WORDS[line.status]}`;
    const chip = h(
      "button",
      {
        type: "button",
        class: `chip ${tone(line, rejected)}`,
        title: change ? t("Say it otherwise, as a correction") : null,
        "aria-label": said,
        pointerenter: () => mark(place),
        pointerleave: () => mark(null),
        focus: () => mark(place),
        blur: () => mark(null),
        click: () => change?.(place),
      },
      said,
    );
    return h("li", {}, chip);
  });
  const name = rejected ? t("Named by a rejected text: these do not count as findings") : t("Findings that the text names");
  return h("ul", { class: `chips${rejected ? " rejected" : ""}`, "aria-label": name, title: rejected ? name : null }, ...items);
}

/** The findings that can be added to a text. */
export const addable = () => KNOWN.map((finding) => [finding, FINDINGS[finding]]);
