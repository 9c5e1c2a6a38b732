/** The films on the desk: the draft's own, another one beside it, and the tools for both. */

import { fill, h } from "./dom.js";
import { repeating } from "./keys.js";
import { t } from "./language.js";
import { Tools } from "./tools.js";
import { Viewport } from "./viewport.js";

const STEP = 1.25;

/** Of a picture as it came, in hexadecimal; null where the page is not in a secure context. */
export async function sha256(blob) {
  if (!crypto.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Film {
  #active;
  #linked = false;
  #following = false;

  /** @param {{lateral: () => void, prior: () => void}} beside what brings another film beside the draft's */
  constructor(beside) {
    const changed = (viewport) => this.#changed(viewport);
    const chosen = (viewport) => this.#choose(viewport);
    this.main = new Viewport(changed, chosen);
    this.second = new Viewport(changed, chosen);
    this.#active = this.main;
    this.report = h("section", { class: "beside-report", "aria-label": t("The prior's own report"), tabindex: 0, hidden: true });
    this.second.element.append(this.report);
    this.stages = h("div", { class: "stages" }, this.main.element);
    this.commands = this.#commands(beside);
    this.tools = new Tools(this.commands, (window) => this.#active.setWindow(window));
    this.detail = this.tools.detail;
    this.element = h("section", { class: "film", "aria-label": t("Film") }, this.stages, this.tools.element);
  }

  #commands(beside) {
    const zoom = (factor) => repeating(() => this.#active.zoom(factor));
    return {
      "+": zoom(STEP),
      "=": zoom(STEP),
      "-": zoom(1 / STEP),
      f: () => this.#active.fit(),
      z: () => this.#active.actual(),
      i: () => this.#active.invert(),
      h: () => this.#active.flip(),
      o: () => this.#active.rotate(),
      w: () => this.tools.nextPreset(),
      m: () => this.#active.measure(),
      0: () => this.#active.reset(),
      v: beside.lateral,
      p: beside.prior,
      l: () => this.link(!this.#linked),
      s: () => this.two && (this.#active === this.main ? this.second : this.main).stage.focus(),
    };
  }

  /** Whether two films are shown. */
  get two() {
    return this.second.element.isConnected;
  }

  get canvas() {
    return this.main.canvas;
  }

  /** Say why there is no film of the draft. */
  clear(why) {
    this.main.clear(why);
    this.detail.textContent = "";
  }

  /** Show the draft's film, or a preview of it (without `imageId`). Resolves to whether it is shown. */
  async show(blob, label, detail, imageId) {
    const shown = await this.main.show(blob, label, imageId);
    if (shown) this.detail.textContent = detail;
    return shown;
  }

  onScreen() {
    return this.main.onScreen();
  }

  /** For another study: one film, as it came. */
  fresh() {
    this.single();
    for (const viewport of [this.main, this.second]) viewport.reset();
    this.main.describe(null);
    this.tools.show(this.main);
  }

  /** A place beside the draft's film, with these words in it until a picture comes. */
  beside(why) {
    this.report.hidden = true;
    fill(this.report);
    this.second.clear(why);
    this.second.reset();
    this.stages.append(this.second.element);
    this.stages.classList.add("two");
    this.tools.linkable(true);
    return this.second;
  }

  /** The draft's film alone. */
  single() {
    this.second.clear("");
    this.second.element.remove();
    this.stages.classList.remove("two");
    this.link(false);
    this.tools.linkable(false);
    this.#choose(this.main);
  }

  /** Magnify and move both together, or each alone. */
  link(linked) {
    this.#linked = linked && this.two;
    this.tools.pressed("l", this.#linked);
    if (this.#linked) this.#other(this.#active).follow(this.#active);
  }

  #other(viewport) {
    return viewport === this.main ? this.second : this.main;
  }

  #choose(viewport) {
    this.#active = viewport;
    for (const one of [this.main, this.second]) one.element.classList.toggle("active", this.two && one === viewport);
    this.tools.show(viewport);
  }

  #changed(viewport) {
    if (viewport === this.#active) this.tools.show(viewport);
    if (!this.#linked || this.#following) return;
    this.#following = true; // the other one's own change does not come back
    this.#other(viewport).follow(viewport);
    this.#following = false;
  }
}
