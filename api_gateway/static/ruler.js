/** Lengths on a film: between two points of the picture, in millimetres where its header says how far its pixels are apart. */

import { number, t } from "./language.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST = 12;
// Beyond rounding, a picture of another shape than its header's is another picture: its spacing says nothing.
const SAME_SHAPE = 0.005;

/** An element of a drawing. */
export function svg(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text) element.textContent = text;
  return element;
}

/**
 * Millimetres of a step of one pixel of the picture to the right and down; null where it is not known.
 * @param {object|null} facts rows, columns and spacing_mm (between rows, between columns) of the image
 * @param {{width: number, height: number}} size of the picture as it is shown, perhaps smaller
 */
export function spacingOf(facts, { width, height }) {
  if (!facts?.spacing_mm || !facts.rows || !facts.columns) return null;
  const across = facts.columns / width;
  const down = facts.rows / height;
  if (Math.abs(across / down - 1) > SAME_SHAPE) return null;
  const [betweenRows, betweenColumns] = facts.spacing_mm;
  return { x: across * betweenColumns, y: down * betweenRows, at: facts.spacing_at };
}

/** How long it is, in words. */
export function lengthOf(from, to, spacing) {
  const [x, y] = [to.x - from.x, to.y - from.y];
  if (!spacing) return t("{pixels} pixels", { pixels: Math.round(Math.hypot(x, y)) });
  const length = Math.hypot(x * spacing.x, y * spacing.y);
  const value = { length: number(length, null, length < 100 ? 1 : 0) };
  return spacing.at === "detector" ? t("{length} mm at the detector", value) : t("{length} mm", value);
}

export class Ruler {
  measuring = false;
  #lengths = []; // [from, to] in pixels of the picture
  #from = null; // the first point of a new one
  #cursor = null; // where the keyboard's cross is

  constructor() {
    this.element = svg("svg", { class: "ruler", "aria-hidden": "true" });
  }

  /** Begin to measure with a cross at this point of the picture, or end it. */
  toggle(centre) {
    this.measuring = !this.measuring;
    this.#from = null;
    this.#cursor = this.measuring ? centre : null;
  }

  clear() {
    this.#lengths = [];
    this.#from = this.#cursor = null;
    this.measuring = false;
  }

  /** The picture's size changed: a sharper copy of the same film. */
  rescale(by) {
    const moved = ({ x, y }) => ({ x: x * by.x, y: y * by.y });
    this.#lengths = this.#lengths.map((pair) => pair.map(moved));
    this.#from &&= moved(this.#from);
    this.#cursor &&= moved(this.#cursor);
  }

  /** Set a point, the first or the second; resolves to the new length's ends, or null. */
  point(at) {
    this.#cursor = at;
    if (!this.#from) {
      this.#from = at;
      return null;
    }
    const pair = [this.#from, at];
    this.#from = null;
    this.#lengths = [...this.#lengths, pair].slice(-MOST);
    return pair;
  }

  /** Set it where the keyboard's cross is. */
  pointAtCursor() {
    return this.#cursor ? this.point(this.#cursor) : null;
  }

  moveCursor(step) {
    if (this.#cursor) this.#cursor = { x: this.#cursor.x + step.x, y: this.#cursor.y + step.y };
  }

  follow(at) {
    if (this.measuring) this.#cursor = at;
  }

  removeLast() {
    if (this.#from) this.#from = null;
    else this.#lengths = this.#lengths.slice(0, -1);
  }

  draw(placement, spacing) {
    const drawn = this.#lengths.flatMap(([from, to]) => this.#line(placement, from, to, spacing));
    if (this.#from && this.#cursor) drawn.push(...this.#line(placement, this.#from, this.#cursor, spacing));
    if (this.measuring && this.#cursor) drawn.push(cross(placement.toStage(this.#cursor)));
    this.element.replaceChildren(...drawn);
  }

  #line(placement, from, to, spacing) {
    const [a, b] = [placement.toStage(from), placement.toStage(to)];
    const ends = { x1: a.x, y1: a.y, x2: b.x, y2: b.y };
    const words = lengthOf(from, to, spacing);
    const label = svg("text", { x: (a.x + b.x) / 2 + 8, y: (a.y + b.y) / 2 - 8 }, words);
    return [svg("line", { class: "under", ...ends }), svg("line", ends), label];
  }
}

function cross({ x, y }) {
  return svg("path", { class: "cross", d: `M ${x - 9} ${y} h 18 M ${x} ${y - 9} v 18` });
}
