/**
 * Accept, correct, reject, take back. What is signed is what was read, beside a film that was seen (arming.js): the gateway
 * refuses if it changed meanwhile.
 */

import * as api from "./api.js";
import { Arming } from "./arming.js";
import { button, fill, h, named, toast } from "./dom.js";
import { Editor } from "./editor.js";
import { confirmed } from "./keys.js";
import { t } from "./language.js";
import { chips } from "./marked.js";
import { phrase } from "./phrase.js";
import { askedWhy } from "./rejecting.js";
import { original, signature, textOf } from "./report.js";
import { mine, standing, takenBack } from "./said.js";
import { canonical } from "./sections.js";
import { askedToOverturn, askedToTakeBack, mayReject, mayTakeBack } from "./takeback.js";
import { moment } from "./time.js";
import { drop, keep, unsaved } from "./unsaved.js";

export class Review {
  /** Whether something keeps this draft from being signed like any other: accepting is no main button then. */
  doubted = false;
  #summary = null;
  #reviews = [];
  #named = null; // {summary_id, text, findings}: what the gateway found in a text
  #own = null; // {id, element}: the model's text of a corrected draft, folded away
  #editor = null;
  #busy = false;
  #unsure = null; // what was sent last, if no answer says whether it was done
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
    this.actions = h("div", { class: "actions", role: "group", "aria-label": t("Review") });
    this.why = h("p", { class: "unarmed", id: "unarmed" });
    this.arming = new Arming(() => this.#arm());
    this.commands = {
      a: () => this.editing || this.accept(),
      e: () => this.editing || this.correct(),
      r: () => this.editing || this.reject(),
      t: () => this.editing || this.takeBack(),
      d: () => this.body.querySelector(".chip, .turn")?.focus(),
    };
  }

  /** Whether a correction is being written. */
  get editing() {
    return this.#editor !== null;
  }

  /** Show a summary and its review so far; a correction that was begun goes on. Null: there is nothing to review. */
  show(summary, reviews = []) {
    this.reread(summary, reviews);
    if (!summary) {
      this.#editor = null;
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
    this.#unsure = null;
    this.arming.read(summary);
  }

  /** The findings that the gateway names in the text of a summary as it stood when it was asked. */
  name(summary, findings) {
    const named = summary && { id: summary.summary_id, text: summary.summary, findings };
    const news = JSON.stringify(named) !== JSON.stringify(this.#named);
    this.#named = named;
    if (news && this.#summary && !this.editing) this.#read();
  }

  /** Those of this text; none where they are not known. */
  #findingsOf(text) {
    const known = this.#named?.id === this.#summary.summary_id && this.#named.text === text;
    return known ? this.#named.findings : [];
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

  /** Asks why, once the film was seen. */
  async reject() {
    const about = this.#summary;
    if (this.#busy || !about || !mayReject(standing(this.#reviews, about.summary_id)) || !this.#counts()) return;
    const reason = await askedWhy();
    if (reason && this.#summary?.summary_id === about.summary_id) await this.#send("rejected", { reason }, about);
  }

  /** Begins with what the reader was writing, else with their own text that was taken back, else with what stands. */
  correct() {
    if (!this.#summary) return;
    const { summary_id: id, study_id: study, summary: stands } = this.#summary;
    const taken = takenBack(this.#reviews, this.#summary);
    const draft = this.#reviews.find((one) => one.summary_id === id)?.draft ?? stands;
    const editor = new Editor(draft, (text) => keep(id, text, canonical(stands), study), {
      save: () => this.#save(),
      cancel: () => this.#cancel(),
    });
    this.#editor = editor;
    const text = unsaved(id) ?? (taken && mine(taken) ? taken.text : stands);
    editor.begin(text, this.#findingsOf(text));
    fill(this.body, h("h2", {}, t("Correct the text")), taken && this.#beginnings(taken), editor.element);
    const save = button(t("Save correction"), () => this.#save(), { key: "Ctrl ⏎", kind: "main" });
    this.#offer([save], save, button(t("Cancel"), () => this.#cancel(), { key: "Esc" }));
    editor.focus();
  }

  /** What a correction may begin with, once a text was taken back. */
  #beginnings(taken) {
    const { summary: stands } = this.#summary;
    const known = [stands, taken.text].map(canonical);
    const begin = (text) => async () => {
      const editor = this.#editor;
      if (!known.includes(editor.text) && !(await confirmed(t("Replace what you have written?"), t("Replace it"), t("Keep it")))) return;
      editor.replace(text, this.#findingsOf(text));
      editor.focus();
    };
    const at = moment(taken.at);
    const theirs = { name: named(taken.reviewer), at };
    const former = mine(taken) ? [t("Your text of {at}", { at })] : phrase("The text of {name} of {at}", theirs);
    return h(
      "div",
      { class: "row beginnings", role: "group", "aria-label": t("Begin with") },
      h("span", { class: "muted" }, t("Begin with")),
      button(t("The text as it stands"), begin(stands)),
      button(former, begin(taken.text)),
    );
  }

  /** A finding is to be said otherwise: that is a correction. */
  #reword(place) {
    this.correct();
    this.#editor?.reword(place, "status");
  }

  #read() {
    this.#editor = null;
    const { review_state: state, summary_id: id, summary: text } = this.#summary;
    const found = this.#findingsOf(text);
    const shown = textOf(this.#summary, found, "h2");
    const corrected = Boolean(standing(this.#reviews, id).at(-1)?.text);
    fill(
      this.body,
      signature(this.#summary, this.doubted),
      chips(this.#summary, found, shown, (place) => this.#reword(place)),
      shown,
      corrected && this.#modelsOwn(),
    );
    const accept = state !== "accepted" && button(t("Accept"), () => this.accept(), { key: "a", kind: this.doubted ? "" : "good" });
    const signed = standing(this.#reviews, this.#summary.summary_id);
    const reject = state !== "rejected" && mayReject(signed) && button(t("Reject"), () => this.reject(), { key: "r", kind: "bad" });
    this.#offer(
      [accept, reject],
      accept,
      button(t("Correct"), () => this.correct(), { key: "e" }),
      reject,
      state !== "draft" &&
        mayTakeBack(signed) &&
        button(t("Take back"), () => this.takeBack(), { key: "t" }),
    );
  }

  /** The same element for the same draft: what a reader folded out stays so when the page learns something. */
  #modelsOwn() {
    const { summary_id: id } = this.#summary;
    if (this.#own?.id !== id) this.#own = { id, element: original(this.#summary) };
    return this.#own.element;
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
    const sure = () => confirmed(t("Discard your correction?"), t("Discard it"), t("Keep writing"));
    if (unsaved(id) !== undefined && !(await sure())) {
      this.#editor?.focus();
      return;
    }
    drop(id);
    if (this.#summary?.summary_id === id) this.#read();
  }

  #save() {
    const { text } = this.#editor;
    if (!text.trim()) {
      this.refused(new Error(t("A correction needs a text. To turn the draft down, reject it.")), this.#summary);
      return;
    }
    this.#sign("edited", { text });
  }

  async #sign(state, more = {}) {
    const about = this.#summary;
    if (this.#busy || !about || !this.#counts()) return;
    const why = await askedToOverturn(state, standing(this.#reviews, about.summary_id));
    if (why && this.#summary?.summary_id === about.summary_id) await this.#send(state, { ...more, ...why }, about);
  }

  /** Whether a signature counts now; if not, the reader is shown why. */
  #counts() {
    if (this.arming.press()) return true;
    this.#hint?.remove();
    this.#hint = toast(this.arming.why || t("Nothing was signed: look at it for a moment first."));
    return false;
  }

  async #send(state, more, about) {
    if (this.#busy) return;
    this.#busy = true;
    for (const one of this.actions.querySelectorAll("button")) one.disabled = true;
    const editor = this.#editor;
    if (editor) editor.readOnly = true; // what was typed after it was sent would be lost
    const sent = this.#sent(state, more, about);
    try {
      const now = await api.review(about, state, more, sent.film, sent.once);
      this.#unsure = null;
      if (state !== "draft") drop(about.summary_id);
      this.signed(state, now);
    } catch (error) {
      this.#unsure = error.lost ? sent : null;
      this.refused(error, about);
    } finally {
      this.#busy = false;
      if (editor) editor.readOnly = false;
      for (const one of this.actions.querySelectorAll("button")) one.disabled = false;
      this.#arm();
    }
  }
  /** What is sent; the very same where this was sent and lost: if it was done after all, it is done, and no conflict. */
  #sent(state, more, about) {
    const what = JSON.stringify([about.summary_id, state, more]);
    if (this.#unsure?.what === what) return this.#unsure;
    return { what, film: this.arming.seen(about.summary_id), once: api.intent() };
  }
}
