/** The curves of a run as SVG: no library, no canvas, a sentence for who does not see them. */

import { h } from "./dom.js";
import { number, t } from "./language.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 220;
const LEFT = 52;
const BOTTOM = 24;
const TOP = 10;
const RIGHT = 12;

function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A number in about four digits. */
export const figure = (value) => (value === null || value === undefined ? "–" : number(value, 4));

/** The points of a line: [step, value], without those that have none. */
export const points = (curve, name) => curve.filter((one) => one[name] !== null).map((one) => [one.step, one[name]]);

/** The least and the most of some numbers, apart even where all are equal. */
export function range(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low === high ? [low - Math.abs(low || 1) * 0.05, high + Math.abs(high || 1) * 0.05] : [low, high];
}

/**
 * A chart of lines over steps.
 * @param {string} title
 * @param {{name: string, kind: string, points: number[][]}[]} lines kind: the class that gives the line its colour.
 */
export function chart(title, lines) {
  const drawn = lines.filter((line) => line.points.length);
  const all = drawn.flatMap((line) => line.points);
  if (!all.length) return null;
  const [first, last] = range(all.map(([step]) => step));
  const [low, high] = range(all.map(([, value]) => value));
  const x = (step) => LEFT + ((step - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const ends = (line) => ({ first: figure(line.points[0][1]), last: figure(line.points.at(-1)[1]) });
  const said = drawn.map((line) => t("{name} from {first} to {last}", { name: line.name, ...ends(line) }));
  const picture = s(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${said.join("; ")}` },
    s("line", { class: "axis", x1: LEFT, y1: TOP, x2: LEFT, y2: HEIGHT - BOTTOM }),
    s("line", { class: "axis", x1: LEFT, y1: HEIGHT - BOTTOM, x2: WIDTH - RIGHT, y2: HEIGHT - BOTTOM }),
    s("text", { class: "label", x: LEFT - 6, y: TOP + 8, "text-anchor": "end" }, figure(high)),
    s("text", { class: "label", x: LEFT - 6, y: HEIGHT - BOTTOM, "text-anchor": "end" }, figure(low)),
    s("text", { class: "label", x: LEFT, y: HEIGHT - 8 }, figure(Math.max(0, first))),
    s("text", { class: "label", x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, figure(last)),
  );
  for (const line of drawn) {
    picture.append(s("polyline", { class: line.kind, points: line.points.map(([step, value]) => `${x(step)},${y(value)}`).join(" ") }));
    if (line.points.length === 1 || line.kind !== "one") {
      for (const [step, value] of line.points) picture.append(s("circle", { class: line.kind, cx: x(step), cy: y(value), r: 2.5 }));
    }
  }
  const key = h("div", { class: "key" }, ...drawn.map((line) => h("span", { class: line.kind }, line.name)));
  return h("figure", {}, h("figcaption", {}, title), picture, key);
}
