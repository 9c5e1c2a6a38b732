/** Where the model says that it saw what it names: its phrases below the draft, and their boxes on the draft's film. */

import { fill, h } from "./dom.js";
import { t } from "./language.js";
import { svg } from "./ruler.js";
import { standing } from "./said.js";

/** Boxes on a stage, in fractions of the picture: [left, top, right, bottom]. */
export class Boxes {
  #shown = [];

  constructor() {
    this.element = svg("svg", { class: "boxes", "aria-hidden": "true" });
  }

  set(boxes) {
    this.#shown = boxes;
  }

  draw(placement) {
    const { width, height } = placement.size;
    const at = (x, y) => {
      const point = placement.toStage({ x: x * width, y: y * height });
      return `${point.x},${point.y}`;
    };
    const drawn = this.#shown.map(([left, top, right, bottom]) =>
      svg("polygon", { points: [at(left, top), at(right, top), at(right, bottom), at(left, bottom)].join(" ") }),
    );
    this.element.replaceChildren(...drawn);
  }
}

export class Places {
  #phrases = [];
  #kept = new Set(); // phrases whose boxes stay
  #pointed = null;
  #text = ""; // what is shown, to know it again

  /** @param {(boxes: number[][]) => void} mark shows these boxes on the draft's film, and no others */
  constructor(mark) {
    this.mark = mark;
    this.element = h("section", { class: "places", "aria-label": t("Places on the film"), hidden: true });
  }

  /**
   * The places of a text; none of one that a reader wrote, and that another may have accepted since.
   * Shown again, it keeps the boxes that the reader let stay.
   */
  show(summary, reviews) {
    const corrected = summary && standing(reviews, summary.summary_id).at(-1)?.text != null;
    const found = summary && !corrected ? summary.grounding : [];
    const text = JSON.stringify([summary?.summary_id, found]);
    if (text === this.#text) return;
    this.#text = text;
    this.#phrases = found.filter((one) => one.boxes?.length);
    this.#kept.clear();
    this.#pointed = null;
    const malformed = found.find((one) => one.malformed)?.malformed;
    this.element.hidden = !this.#phrases.length && !malformed;
    const parts = this.element.hidden
      ? []
      : [
          h("h3", {}, t("Places on the film")),
          this.#phrases.length > 0 && h("ul", { class: "chips" }, ...this.#phrases.map((one) => h("li", {}, this.#toggle(one)))),
          h("p", { class: "muted small" }, t("As the model gives them: no measurement, and no finding of its own.")),
          malformed && h("p", { class: "muted small" }, t("Places that could not be read: {count}", { count: malformed })),
        ];
    fill(this.element, ...parts);
    this.#draw();
  }

  #toggle(one) {
    const point = (now) => () => {
      this.#pointed = now;
      this.#draw();
    };
    const toggle = h("button", {
      type: "button",
      class: "chip",
      "aria-pressed": "false",
      pointerenter: point(one),
      pointerleave: point(null),
      focus: point(one),
      blur: point(null),
      click: () => {
        if (!this.#kept.delete(one)) this.#kept.add(one);
        toggle.setAttribute("aria-pressed", String(this.#kept.has(one)));
        this.#draw();
      },
    });
    fill(toggle, one.phrase);
    return toggle;
  }

  #draw() {
    this.mark(this.#phrases.filter((one) => one === this.#pointed || this.#kept.has(one)).flatMap((one) => one.boxes));
  }
}
