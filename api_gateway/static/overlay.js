/** What a viewport says in its corners about what it shows. */

import { fill, h } from "./dom.js";
import { t } from "./language.js";
import { day } from "./time.js";
import { SIDES } from "./words.js";

export class Overlay {
  constructor() {
    this.corners = ["upper left", "upper right", "lower left", "lower right"].map((place) => h("div", { class: `corner ${place}` }));
    this.element = h("div", { class: "overlay" }, ...this.corners);
  }

  /**
   * @param {object|null} facts of the image: view, laterality, acquired_on; null: nothing is known
   * @param {string} title what stands first, such as that it is the prior
   * @param {{centre: number, width: number, decimals?: number}} window in the film's own values, where they are known; else
   *   in greys
   * @param {boolean} deep whether the film's own values are drawn
   */
  say({ facts, title, size, scale, window, deep, inverted, flipped, turns, spacing }) {
    const [about, side, drawn, level] = this.corners;
    const rounded = (value) => Number(value.toFixed(window.decimals ?? 0));
    fill(
      about,
      title && h("strong", {}, title),
      facts?.view && h("span", {}, t("{view} view", { view: facts.view })),
      facts?.acquired_on && h("span", {}, day(facts.acquired_on)),
    );
    fill(side, facts?.laterality && h("span", {}, t("Side: {side}", { side: SIDES[facts.laterality] })));
    const turned = [flipped && t("mirrored"), turns && t("turned {degrees}°", { degrees: turns * 90 })].filter(Boolean);
    fill(
      drawn,
      h("span", {}, `${size.width} × ${size.height}`),
      h("span", { class: "zoom" }, t("Zoom {percent} %", { percent: Math.round(scale * 100) })),
      turned.length > 0 && h("strong", {}, turned.join(", ")),
      spacing?.at === "detector" && h("span", {}, t("Lengths at the detector")),
    );
    fill(
      level,
      h("span", {}, `W ${rounded(window.width)} L ${rounded(window.centre)}`, inverted && ` · ${t("inverted")}`),
      h("span", {}, deep ? t("16-bit copy") : t("8-bit copy")),
    );
  }

  clear() {
    for (const corner of this.corners) fill(corner);
  }
}
