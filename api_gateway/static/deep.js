/** A film's own values, for windows that its 8-bit copy has no greys for. */

import { LIMITS, OPEN_WINDOW } from "./greys.js";
import { t } from "./language.js";
import { deepGreysOf } from "./png.js";

export class DeepCopy {
  picture = null; // as drawGreys draws it, once it is here
  limits = LIMITS; // how far a window may go: once it is here, as far as there are values, and as narrow as two of them
  #asked = false;

  /**
   * @param {{deep_scale: [number, number], deep_window: [number, number]}} facts the film's value at code 0 and what each
   *   further code adds; centre and width of the 8-bit copy's window, in the film's values
   * @param {() => Promise<Blob>} fetch
   */
  constructor({ deep_scale: [first, step], deep_window: [centre, width] }, fetch) {
    this.fetch = fetch;
    this.sense = Math.sign(step); // -1: low values are bright
    this.centre = centre;
    this.decimals = Math.min(Math.max(Math.ceil(-Math.log10(Math.abs(step))), 0), 6); // as fine as its values are
    this.unit = width / OPEN_WINDOW.width; // of the film's values, in a grey of the 8-bit copy
    this.scale = { from: OPEN_WINDOW.centre + (this.sense * (first - centre)) / this.unit, by: Math.abs(step) / this.unit };
  }

  /** Bring the codes here, the first time it is asked; resolves to whether they have just come. */
  async load() {
    if (this.#asked) return false;
    this.#asked = true;
    const { from, by } = this.scale;
    const greys = await deepGreysOf(await this.fetch());
    if (!greys) throw new Error(t("It is no picture that this browser can draw."));
    const last = from + by * greys.grey.reduce((most, code) => Math.max(most, code), 0);
    this.limits = { centre: [Math.min(0, from), Math.max(255, last)], width: [Math.min(8, 2 * by), Math.max(1024, 4 * (last - from))] };
    this.picture = { ...greys, ...this.scale };
    return true;
  }

  /** A window in the film's own values, and how many decimals these have. */
  own({ centre, width }) {
    const own = this.centre + this.sense * (centre - OPEN_WINDOW.centre) * this.unit;
    return { centre: own, width: width * this.unit, decimals: this.decimals };
  }
}
