/**
 * Accept, correct, reject, take back. What is signed is what was read, beside a film that was seen (arming.js): the gateway
 * refuses if it changed meanwhile.
 */

import * as api from "./api.js";
import { Arming } from "./arming.js";
import { button, fill, h, named, toast } from "./dom.js";
import { confirmed } from "./keys.js";
import { original, signature, textOf } from "./report.js";
import { mine, standing, takenBack } from "./said.js";
import { askedToTakeBack } from "./takeback.js";
import { moment } from "./time.js";
import { drop, keep, unsaved } from "./unsaved.js";

export class Review {
  /** Whether something keeps this draft from being signed like any other: accepting is no main button then. */
  doubted = false;
  #summary = null;
  #reviews = [];
  #busy = false;
  #signing = []; // the buttons that sign
  #hint = null;

  /**
   * @param {(state: string, summary: object) => void} signed is called with what was signed
   * @param {(error: Error, summary: object) => void} refused called with the reason why nothing was
   */
  constructor(signed, refused) {
    this.signed = signed;
    this.refused = refused;
    this.body = h("div", { class: "report" });
    this.actions = h("div", { class: "actions", role: "group", "aria-label": "Review" });
    this.why = h("p", { class: "unarmed", id: "unarmed" });
    this.arming = new Arming(() => this.#arm());
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

  /** Show a summary and its review so far; a correction that was begun goes on. Null: there is nothing to review. */
  show(summary, reviews = []) {
    this.reread(summary, reviews);
    if (!summary) {
      fill(this.body);
      fill(this.actions);
      this.#signing = [];
    } else if (unsaved(summary.summary_id) !== undefined) this.correct();
    else this.#read();
  }

  /** Let the next signature be about this state of the summary, and leave what is being written as it is. */
  reread(summary, reviews) {
    this.#summary = summary;
    this.#reviews = reviews;
    this.arming.read(summary);
  }

  accept() {
    return this.#sign("accepted");
  }

  /** Asks first; the film need not be seen for it. */
  async takeBack() {
    const about = this.#summary;
    if (!about || about.review_state === "draft") return;
    const more = await askedToTakeBack(standing(this.#reviews, about.summary_id));
    if (more && this.#summary?.summary_id === about.summary_id) await this.#send("draft", more, about);
  }

  /** Begins with what the reader was writing, else with their own text that was taken back, else with what stands. */
  correct() {
    if (!this.#summary) return;
    const { summary_id: id, study_id: study, summary: stands } = this.#summary;
    const taken = takenBack(this.#reviews, this.#summary);
    const area = h("textarea", {
      "aria-label": "Corrected text",
      maxlength: 20000,
      rows: 12,
      input: () => keep(id, area.value, stands, study),
    });
    area.value = unsaved(id) ?? (taken && mine(taken) ? taken.text : stands);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.repeat || this.#save(area);
      else if (event.key === "Escape") this.#cancel();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    fill(this.body, h("h2", {}, "Correct the text"), taken && this.#beginnings(area, taken), area);
    const save = button("Save correction", () => this.#save(area), { key: "Ctrl ⏎", kind: "main" });
    this.#offer([save], save, button("Cancel", () => this.#cancel(), { key: "Esc" }));
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  /** What a correction may begin with, once a text was taken back. */
  #beginnings(area, taken) {
    const { summary_id: id, study_id: study, summary: stands } = this.#summary;
    const known = [stands, taken.text];
    const begin = (text) => async () => {
      if (!known.includes(area.value) && !(await confirmed("Replace what you have written?", "Replace it", "Keep it"))) return;
      area.value = text;
      keep(id, text, stands, study);
      area.focus();
    };
    return h(
      "div",
      { class: "row beginnings", role: "group", "aria-label": "Begin with" },
      h("span", { class: "muted" }, "Begin with"),
      button("The text as it stands", begin(stands)),
      button([...(mine(taken) ? ["Your text"] : ["The text of ", named(taken.reviewer)]), ` of ${moment(taken.at)}`], begin(taken.text)),
    );
  }

  #editing() {
    return this.body.querySelector("textarea") !== null;
  }

  #read() {
    const { review_state: state } = this.#summary;
    fill(
      this.body,
      signature(this.#summary, this.doubted),
      textOf(this.#summary),
      this.#summary.findings === null && state !== "draft" && original(this.#summary),
    );
    const accept = state !== "accepted" && button("Accept", () => this.accept(), { key: "a", kind: this.doubted ? "" : "good" });
    const reject = state !== "rejected" && button("Reject", () => this.#sign("rejected"), { key: "r", kind: "bad" });
    this.#offer(
      [accept, reject],
      accept,
      button("Correct", () => this.correct(), { key: "e" }),
      reject,
      state !== "draft" && button("Take back", () => this.takeBack(), { key: "t" }),
    );
  }

  /** Show these buttons; those that sign work once a signature counts. */
  #offer(signing, ...buttons) {
    this.#signing = signing.filter((one) => one);
    for (const one of this.#signing) one.setAttribute("aria-describedby", this.why.id);
    fill(this.actions, ...buttons, this.why);
    this.#arm();
  }

  #arm() {
    const { ready, why } = this.arming;
    for (const one of this.#signing) one.disabled = this.#busy || !ready;
    this.why.textContent = why;
  }

  async #cancel() {
    const id = this.#summary.summary_id;
    if (unsaved(id) !== undefined && !(await confirmed("Discard your correction?", "Discard it", "Keep writing"))) {
      this.body.querySelector("textarea")?.focus();
      return;
    }
    drop(id);
    if (this.#summary?.summary_id === id) this.#read();
  }

  #save(area) {
    if (!area.value.trim()) {
      this.refused(new Error("A correction needs a text. To turn the draft down, reject it."), this.#summary);
      return;
    }
    this.#sign("edited", { text: area.value });
  }

  async #sign(state, more = {}) {
    if (this.#busy || !this.#summary) return;
    if (this.arming.press()) await this.#send(state, more, this.#summary);
    else {
      this.#hint?.remove();
      this.#hint = toast(this.arming.why || "Nothing was signed: look at it for a moment first.");
    }
  }

  async #send(state, more, about) {
    if (this.#busy) return;
    this.#busy = true;
    for (const one of this.actions.querySelectorAll("button")) one.disabled = true;
    const area = this.body.querySelector("textarea");
    if (area) area.readOnly = true; // what was typed after it was sent would be lost
    try {
      const now = await api.review(about, state, more, this.arming.seen(about.summary_id));
      if (state !== "draft") drop(about.summary_id);
      this.signed(state, now);
    } catch (error) {
      this.refused(error, about);
    } finally {
      this.#busy = false;
      if (area) area.readOnly = false;
      for (const one of this.actions.querySelectorAll("button")) one.disabled = false;
      this.#arm();
    }
  }
}
