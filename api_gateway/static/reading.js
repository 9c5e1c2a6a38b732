/** Says to others that this study is on the desk, and who else has it there. Others may sign it all the same. */

import * as api from "./api.js";
import { fill, h, named } from "./dom.js";
import { t } from "./language.js";
import { csrf } from "./session.js";

const RENEW_MS = 60_000;

export class Reading {
  #id = null;
  #timer = 0;

  constructor() {
    this.element = h("p", { class: "being-read", role: "status", hidden: true });
    addEventListener("pagehide", () => this.close());
  }

  open(studyId) {
    this.close();
    this.#id = studyId;
    this.#renew();
  }

  close() {
    clearTimeout(this.#timer);
    this.element.hidden = true;
    if (this.#id && csrf()) api.leaveReading(this.#id).catch(() => {}); // else it is over after three minutes
    this.#id = null;
  }

  async #renew() {
    const id = this.#id;
    try {
      const reading = await api.claimReading(id);
      if (id !== this.#id) return;
      fill(this.element, h("span", { "aria-hidden": "true" }, "◉ "), t("Being read by"), " ", named(reading.name));
      this.element.hidden = reading.mine;
    } catch {
      // The desk itself says what is wrong.
    }
    if (id === this.#id) this.#timer = setTimeout(() => this.#renew(), RENEW_MS);
  }
}
