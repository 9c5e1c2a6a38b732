/** A correction while it is written: findings and impression apart, one line for each finding, what changed, and undo. */

import { diffed } from "./diff.js";
import { button, fill, h } from "./dom.js";
import { added, hasPlace, linesOf, next, reworded, withSentences } from "./findings.js";
import { t } from "./language.js";
import { addable, titleOf, tone } from "./marked.js";
import { apart, canonical, together } from "./sections.js";
import { SAID_SIDES, STATUS_WORDS, ZONES } from "./words.js";

const TITLES = { findings: t("Findings"), impression: t("Impression"), text: t("Corrected text") };
const PAUSE_MS = 700; // what is typed without such a pause is undone at once
const MOST_CHARACTERS = 20_000;
const MOST_STEPS = 200;

export class Editor {
  #parts = [];
  #lines = [];
  #past = [];
  #future = [];
  #typedAt = 0;
  #areas = new Map();
  #shown = new Map(); // name of a part -> where its changes stand

  /**
   * @param {string} draft the model's own text, to show what changed
   * @param {(text: string) => void} changed called with each text
   * @param {{save: () => void, cancel: () => void}} acts by Ctrl Enter and Esc
   */
  constructor(draft, changed, acts) {
    this.draft = apart(draft);
    this.changed = changed;
    this.acts = acts;
    this.fields = h("div", { class: "fields" });
    this.named = h("ul", { class: "lines", "aria-label": t("Findings, one line each") });
    this.undoButton = button(t("Undo"), () => this.undo(), { key: "Ctrl Z" });
    this.redoButton = button(t("Redo"), () => this.redo(), { key: "Ctrl Y" });
    this.splitButton = button(t("Findings and impression apart"), () => this.#split());
    this.add = h(
      "select",
      { "aria-label": t("Add a finding"), change: () => this.#added() },
      ...[["", t("Add a finding …")], ...addable()].map(([value, text]) => h("option", { value }, text)),
    );
    const tools = h("div", { class: "row editing" }, this.add, this.splitButton, this.undoButton, this.redoButton);
    this.element = h("div", { class: "editor" }, this.named, tools, this.fields);
    this.element.addEventListener("keydown", (event) => this.#keyed(event));
  }

  /** Begin with this text, and with the findings that the gateway named in it. */
  begin(text, named = []) {
    this.#past = [];
    this.#future = [];
    this.#take(text, named);
  }

  /** Put another text in the place of all; it can be undone. */
  replace(text, named = []) {
    this.#keep();
    this.#take(text, named);
    this.changed(this.text);
  }

  #take(text, named) {
    this.#parts = bothOf(apart(text));
    this.#lines = withSentences(linesOf(text, named), this.#parts);
    this.#draw();
  }

  /** As it would be stored. */
  get text() {
    return together(this.#parts);
  }

  focus() {
    const last = [...this.#areas.values()][0];
    last.focus();
    last.setSelectionRange(last.value.length, last.value.length);
  }

  set readOnly(is) {
    for (const area of this.#areas.values()) area.readOnly = is;
    for (const one of this.element.querySelectorAll("button, select")) one.disabled = is;
    if (!is) this.#tell();
  }

  undo() {
    this.#travel(this.#past, this.#future);
  }

  redo() {
    this.#travel(this.#future, this.#past);
  }

  /** Say a finding otherwise: `what` is its status, side or zone. */
  reword(place, what) {
    if (!this.#lines[place]) return;
    this.#keep();
    this.#become(reworded(this.#lines, place, next(this.#lines[place], what), this.#parts));
    this.named.querySelectorAll("li")[place]?.querySelector(`[data-what=${what}]`)?.focus();
  }

  #added() {
    if (this.add.value) {
      this.#keep();
      this.#become(added(this.#lines, this.add.value, this.#parts));
    }
    this.add.value = "";
  }

  #split() {
    this.#keep();
    const [{ text }] = this.#parts;
    const lines = this.#lines.map((line) => ({ ...line, said: line.said.map(([, words]) => ["findings", words]) }));
    this.#become({ lines, parts: [{ name: "findings", text }, { name: "impression", text: "" }] });
    this.#areas.get("impression").focus();
  }

  #become({ lines, parts }) {
    const inside = this.element.contains(document.activeElement);
    this.#lines = lines;
    this.#parts = parts;
    this.#draw();
    if (inside && !this.element.contains(document.activeElement)) this.focus(); // its button is drawn anew
    this.changed(this.text);
  }

  #typed(name, text) {
    const now = performance.now();
    if (now - this.#typedAt > PAUSE_MS) this.#keep();
    this.#typedAt = now;
    this.#future = [];
    this.#parts = this.#parts.map((part) => (part.name === name ? { ...part, text } : part));
    this.#tell();
    this.changed(this.text);
  }

  #keep() {
    this.#past = [...this.#past, { lines: this.#lines, parts: this.#parts }].slice(-MOST_STEPS);
    this.#future = [];
    this.#typedAt = 0;
  }

  #travel(from, to) {
    const state = from.pop();
    if (!state) return;
    to.push({ lines: this.#lines, parts: this.#parts });
    this.#typedAt = 0;
    this.#become(state);
  }

  #keyed(event) {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (event.key === "Enter" && command) event.repeat || this.acts.save();
    else if (event.key === "Escape") this.acts.cancel();
    else if (command && (key === "y" || (key === "z" && event.shiftKey))) this.redo();
    else if (command && key === "z") this.undo();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #draw() {
    const names = this.#parts.map(({ name }) => name);
    if (names.join() !== [...this.#areas.keys()].join()) this.#fields(names);
    for (const { name, text } of this.#parts) if (this.#areas.get(name).value !== text) this.#areas.get(name).value = text;
    fill(this.named, ...this.#lines.map((line, place) => this.#line(line, place)));
    this.splitButton.hidden = names[0] !== "text";
    this.#tell();
  }

  #fields(names) {
    this.#areas = new Map(names.map((name) => [name, this.#area(name)]));
    this.#shown = new Map(names.map((name) => [name, h("p", { class: "text diff", "aria-label": t("What changed") })]));
    const one = (name) => h("div", { class: "field" }, h("h3", {}, TITLES[name]), this.#areas.get(name), this.#shown.get(name));
    fill(this.fields, ...names.map(one));
  }

  #area(name) {
    const area = h("textarea", {
      "aria-label": TITLES[name],
      maxlength: MOST_CHARACTERS,
      rows: name === "impression" ? 4 : 8,
      input: () => this.#typed(name, area.value),
    });
    return area;
  }

  #line(line, place) {
    const turn = (what, words) =>
      h("button", { type: "button", class: "turn", "data-what": what, click: () => this.reword(place, what) }, words);
    return h(
      "li",
      { class: tone(line) },
      h("span", { class: "name" }, titleOf({ ...line, side: null, zone: null })),
      turn("status", STATUS_WORDS[line.status]),
      hasPlace(line, "side") && turn("side", line.side ? SAID_SIDES[line.side] : t("side?")),
      hasPlace(line, "zone") && turn("zone", line.zone ? ZONES[line.zone] : t("zone?")),
    );
  }

  /** What changed of the draft, and what can be undone. */
  #tell() {
    const same = this.#parts.map(({ name }) => name).join() === this.draft.map(({ name }) => name).join();
    const whole = canonical(together(this.draft));
    for (const [place, { name, text }] of this.#parts.entries()) {
      const before = same ? this.draft[place].text : place === 0 ? whole : null;
      const now = same ? text : this.text;
      const shown = this.#shown.get(name);
      shown.hidden = before === null || before === now;
      if (!shown.hidden) fill(shown, ...diffed(before, now));
    }
    this.undoButton.disabled = !this.#past.length;
    this.redoButton.disabled = !this.#future.length;
  }
}

/** A text with one of the two headings has both fields. */
function bothOf(parts) {
  if (parts[0].name === "text") return parts;
  return ["findings", "impression"].map((name) => parts.find((one) => one.name === name) ?? { name, text: "" });
}
