/** Accept, correct, reject, take back. What is signed is what was read: the gateway refuses if it changed meanwhile. */

import * as api from "./api.js";
import { button, fill, h } from "./dom.js";
import { confirmed } from "./keys.js";
import { drop, keep, unsaved } from "./unsaved.js";
import { original, signature, textOf } from "./report.js";

export class Review {
  /** Whether something keeps this draft from being signed like any other: accepting is no main button then. */
  doubted = false;
  #summary = null;
  #busy = false;

  /**
   * @param {(state: string, summary: object) => void} signed is told what was signed
   * @param {(error: Error) => void} refused is told why nothing was
   */
  constructor(signed, refused) {
    this.signed = signed;
    this.refused = refused;
    this.body = h("div", { class: "report" });
    this.actions = h("div", { class: "actions", role: "group", "aria-label": "Review" });
    this.commands = {
      a: () => this.#editing() || this.accept(),
      e: () => this.#editing() || this.correct(),
      r: () => this.#editing() || this.#sign("rejected"),
      t: () => this.#editing() || this.takeBack(),
    };
  }

  /** Whether a correction is being written. */
  get editing() {
    return this.#editing();
  }

  /** Show a summary; a correction that was begun goes on. Null: there is nothing to review. */
  show(summary) {
    this.#summary = summary;
    if (!summary) {
      fill(this.body);
      fill(this.actions);
    } else if (unsaved(summary.summary_id) !== undefined) this.correct();
    else this.#read();
  }

  /** Let the next signature be about this state of the summary, and leave what is being written as it is. */
  reread(summary) {
    this.#summary = summary;
  }

  accept() {
    return this.#sign("accepted");
  }

  takeBack() {
    if (this.#summary && this.#summary.review_state !== "draft") this.#sign("draft");
  }

  correct() {
    if (!this.#summary) return;
    const { summary_id: id, summary: stands } = this.#summary;
    const area = h("textarea", {
      "aria-label": "Corrected text",
      maxlength: 20000,
      rows: 12,
      input: () => keep(id, area.value, stands),
    });
    area.value = unsaved(id) ?? stands;
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#save(area);
      else if (event.key === "Escape") this.#cancel();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    fill(this.body, h("h2", {}, "Correct the text"), area);
    fill(
      this.actions,
      button("Save correction", () => this.#save(area), { key: "Ctrl ⏎", kind: "main" }),
      button("Cancel", () => this.#cancel(), { key: "Esc" }),
    );
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  #editing() {
    return this.body.querySelector("textarea") !== null;
  }

  #read() {
    const { review_state: state } = this.#summary;
    fill(
      this.body,
      signature(this.#summary),
      textOf(this.#summary),
      this.#summary.findings === null && state !== "draft" && original(this.#summary),
    );
    fill(
      this.actions,
      state !== "accepted" && button("Accept", () => this.accept(), { key: "a", kind: this.doubted ? "" : "good" }),
      button("Correct", () => this.correct(), { key: "e" }),
      state !== "rejected" && button("Reject", () => this.#sign("rejected"), { key: "r", kind: "bad" }),
      state !== "draft" && button("Take back", () => this.takeBack(), { key: "t" }),
    );
  }

  async #cancel() {
    const id = this.#summary.summary_id;
    if (unsaved(id) !== undefined && !(await confirmed("Discard your correction?", "Discard it", "Keep writing"))) {
      this.body.querySelector("textarea")?.focus();
      return;
    }
    drop(id);
    this.#read();
  }

  #save(area) {
    if (!area.value.trim()) {
      this.refused(new Error("A correction needs a text. To turn the draft down, reject it."));
      return;
    }
    this.#sign("edited", area.value);
  }

  async #sign(state, text) {
    if (this.#busy || !this.#summary) return;
    this.#busy = true;
    for (const one of this.actions.children) one.disabled = true;
    const about = this.#summary;
    try {
      const now = await api.review(about, state, text);
      drop(about.summary_id);
      this.signed(state, now);
    } catch (error) {
      this.refused(error);
    } finally {
      this.#busy = false;
      for (const one of this.actions.children) one.disabled = false;
    }
  }
}
