/** Curves over time as SVG, with a sentence for who does not see them, and their figures as a table where it is wanted. */

import { figure } from "./curves.js";
import { h } from "./dom.js";
import { t } from "./language.js";
import { moment } from "./time.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 150;
const LEFT = 52;
const BOTTOM = 22;
const TOP = 10;
const RIGHT = 12;
const KINDS = ["one", "two", "three"];
const kindOf = (line, place) => line.kind ?? KINDS[place % 3];

function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** The moments of a window's steps, as milliseconds: the first one, and each that begins before its end. */
export function steps({ since, now, step_seconds: seconds }) {
  const first = Date.parse(since);
  const count = Math.max(1, Math.ceil((Date.parse(now) - first) / (seconds * 1000)));
  return Array.from({ length: count }, (_, place) => first + place * seconds * 1000);
}

/** The values of some points at each of these moments; 0 where there is no point. */
export function along(moments, points, value, otherwise = 0) {
  const known = new Map(points.map((point) => [Date.parse(point.at), value(point)]));
  return moments.map((at) => known.get(at) ?? otherwise);
}

/**
 * A chart of lines over time.
 * @param {string} title
 * @param {number[]} moments
 * @param {{name: string, values: number[], kind?: string}[]} lines `kind`: the class that gives a line its colour
 * @param {{key: string, say: (value: number) => string, axis: (value: number) => string, open: boolean}} how
 *   `say` writes a value with its unit, `axis` in a few letters; `open`: the figures are folded out.
 */
export function timeChart(title, moments, lines, { key, say = figure, axis = say, open = false }) {
  const high = Math.max(...lines.flatMap((line) => line.values), 0) || 1;
  const x = (place) => LEFT + (moments.length > 1 ? place / (moments.length - 1) : 0.5) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - value / high) * (HEIGHT - TOP - BOTTOM);
  const said = lines.map((line) =>
    t("{name}: now {now}, at most {most}", { name: line.name, now: say(line.values.at(-1)), most: say(Math.max(...line.values)) }),
  );
  const label = t("{title}, from {from} to {to}. {lines}", {
    title,
    from: moment(moments[0]),
    to: moment(moments.at(-1)),
    lines: said.join("; "),
  });
  const picture = s(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    s("line", { class: "axis", x1: LEFT, y1: TOP, x2: LEFT, y2: HEIGHT - BOTTOM }),
    s("line", { class: "axis", x1: LEFT, y1: HEIGHT - BOTTOM, x2: WIDTH - RIGHT, y2: HEIGHT - BOTTOM }),
    s("text", { class: "label", x: LEFT - 6, y: TOP + 8, "text-anchor": "end" }, axis(high)),
    s("text", { class: "label", x: LEFT - 6, y: HEIGHT - BOTTOM, "text-anchor": "end" }, "0"),
    s("text", { class: "label", x: LEFT, y: HEIGHT - 6 }, moment(moments[0])),
    s("text", { class: "label", x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, moment(moments.at(-1))),
    ...lines.map((line, place) =>
      s("polyline", { class: kindOf(line, place), points: line.values.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }),
    ),
  );
  const names = h("div", { class: "key" }, ...lines.map((line, place) => h("span", { class: kindOf(line, place) }, line.name)));
  return h(
    "figure",
    { "data-key": key },
    h("figcaption", {}, title),
    picture,
    names,
    h("details", { class: "figures", "data-fold": key }, h("summary", {}, t("Figures")), open ? table(moments, lines, say) : null),
  );
}

/** The newest first; steps in which every line is 0 are left out. */
function table(moments, lines, say) {
  const rows = moments
    .map((at, place) => [at, lines.map((line) => line.values[place])])
    .filter(([, values]) => values.some((value) => value))
    .reverse();
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "group", "aria-label": t("Figures") },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("From")), ...lines.map((line) => h("th", { scope: "col" }, line.name)))),
      h(
        "tbody",
        {},
        ...rows.map(([at, values]) => h("tr", {}, h("th", { scope: "row" }, moment(at)), ...values.map((value) => h("td", { class: "figure" }, say(value))))),
      ),
    ),
  );
}
