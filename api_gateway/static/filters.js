/** What a list is narrowed to. The choice stands in the address, but for what was typed: that may name a patient. */

import * as api from "./api.js";
import { finding } from "./chips.js";
import { button, fill, h } from "./dom.js";
import { t } from "./language.js";
import { FINDINGS, FLAGS, flag, LANES, OPEN, REVIEWS, STATES, UNREAD, VIEWS } from "./words.js";

const TYPED_MS = 350;
// In the address by these names; each is one value. The days are those of this browser's calendar.
const NAMES = ["finding", "uncertain", "view", "lane", "state", "review", "flag", "bundle", "reviewer"];
const DAYS = ["received_from", "received_until", "acquired_from", "acquired_until"];
const WORDS = {
  finding: finding,
  uncertain: (code) => t("{finding}?", { finding: finding(code) }),
  lane: (code) => LANES[code],
  state: (code) => STATES[code][0],
  review: (code) => REVIEWS[code],
  flag: (code) => flag(code)[0],
};
const CODES = {
  finding: Object.keys(FINDINGS),
  uncertain: Object.keys(FINDINGS),
  view: VIEWS,
  lane: Object.keys(LANES),
  state: [...OPEN, "summarised", ...UNREAD],
  review: Object.keys(REVIEWS),
  flag: Object.keys(FLAGS),
};
const TITLES = () => ({
  finding: t("Finding"), uncertain: t("Uncertain finding"), view: t("View"), lane: t("Lane"), state: t("State"),
  review: t("Review"), flag: t("Flag"), bundle: t("Model bundle"), reviewer: t("Signed by"),
  received_from: t("Received from"), received_until: t("Received until"),
  acquired_from: t("Study date from"), acquired_until: t("Study date until"),
});
const ALWAYS = ["finding", "view", "lane"];
const ONLY = { state: ["all"], review: ["signed", "all"], reviewer: ["signed", "all"] };

export class Filters {
  #counts = null;
  #asked = 0;
  list = "awaiting";

  /** `changed` is called with the choice as it stands in an address; `typed` when only the words changed. */
  constructor(changed, typed) {
    this.changed = changed;
    const titles = TITLES();
    this.controls = new Map(NAMES.map((name) => [name, this.#select(name, titles[name])]));
    const days = (name) => h("input", { type: "date", "aria-label": titles[name], change: () => this.#chosen() });
    for (const name of DAYS) this.controls.set(name, days(name));
    this.mine = h("input", { type: "checkbox", change: () => this.#chosen() });
    let timer = 0;
    this.words = h("input", {
      type: "search",
      placeholder: t("Words of the text"),
      "aria-label": t("Words of the text"),
      autocomplete: "off",
      spellcheck: "false",
      maxlength: 200,
      input: () => {
        clearTimeout(timer);
        timer = setTimeout(typed, TYPED_MS);
      },
    });
    this.clearing = button(t("Clear filters"), () => this.clear(), { kind: "quiet" });
    this.found = h("span", { class: "found-count muted", role: "status" });
    const labelled = (name) => h("label", {}, h("span", {}, titles[name]), this.controls.get(name));
    this.more = h(
      "details",
      { class: "more-filters" },
      h("summary", {}, t("More filters")),
      h("div", { class: "fields" }, ...[...this.controls.keys()].filter((name) => !ALWAYS.includes(name)).map(labelled)),
    );
    this.element = h(
      "form",
      { class: "filters", role: "search", "aria-label": t("Filters"), submit: (event) => (event.preventDefault(), typed()) },
      this.words,
      ...ALWAYS.map((name) => this.controls.get(name)),
      h("label", { class: "mine", title: t("Assigned to you, or your signature on it was taken back") }, this.mine, h("span", {}, t("Mine"))),
      this.more,
      this.clearing,
      this.found,
    );
  }

  #select(name, title) {
    const select = h("select", { "aria-label": title, "data-filter": name, change: () => this.#chosen() });
    this.#options(select, name, title);
    return select;
  }

  /** The values there are, with how many studies have each; `value` stays even if none has it. */
  #options(select, name, title, value = "") {
    const counted = this.#counts?.by[name] ?? {};
    const known = new Set([...(CODES[name] ?? []), ...Object.keys(counted), ...(value ? [value] : [])]);
    // Beside another choice of the same kind, the others' numbers would say how many have both.
    const numbered = this.#counts && (!value || name === "finding" || name === "uncertain");
    const options = [...known].map((code) => {
      const words = WORDS[name]?.(code) ?? code;
      const number = numbered || code === value ? this.#number(counted[code]) : "";
      return h("option", { value: code }, number ? `${words} (${number})` : words);
    });
    fill(select, h("option", { value: "" }, title), ...options);
    select.value = value;
  }

  #number(found) {
    if (!this.#counts) return "";
    if (!this.#counts.whole) return found ? `${found}+` : "";
    return found >= 100 ? "100+" : String(found ?? 0);
  }

  #chosen() {
    this.changed(this.address());
  }

  /** The choice as it stands in an address; nothing that was typed. */
  address() {
    const query = new URLSearchParams();
    for (const [name, control] of this.controls) if (control.value) query.set(name, control.value);
    if (this.mine.checked) query.set("mine", "1");
    return query;
  }

  /** Take the choice from an address; a list has only the filters that can divide it. */
  read(query, list = this.list) {
    this.list = list;
    for (const [name, lists] of Object.entries(ONLY)) this.controls.get(name).closest("label").hidden = !lists.includes(list);
    for (const [name, control] of this.controls) {
      const value = query.get(name) ?? "";
      if (control.closest("label")?.hidden) control.value = "";
      else if (control.type === "date") control.value = value;
      else if (control.value !== value) this.#options(control, name, control.options[0].text, value);
    }
    this.mine.checked = query.get("mine") === "1";
    if ([...query.keys()].some((name) => this.controls.has(name) && !ALWAYS.includes(name))) this.more.open = true;
  }

  get any() {
    return this.words.value.trim() !== "" || this.address().size > 0;
  }

  clear() {
    this.words.value = "";
    this.read(new URLSearchParams());
    this.#chosen();
  }

  /** As the gateway is asked for it. */
  search() {
    const found = { q: this.words.value.trim(), mine: this.mine.checked };
    for (const name of NAMES) {
      const { value } = this.controls.get(name);
      if (value) found[name] = ["lane", "bundle", "reviewer"].includes(name) ? value : [value];
    }
    for (const name of DAYS) {
      const { value } = this.controls.get(name);
      if (value) found[name] = name.startsWith("acquired") ? value : midnight(value, name.endsWith("until"));
    }
    return found;
  }

  /** Ask how many there are, and show it beside the choices. */
  async count(search) {
    const asked = ++this.#asked;
    this.clearing.hidden = !this.any;
    try {
      const counts = await api.counts(search);
      if (asked !== this.#asked) return;
      this.#counts = counts;
    } catch {
      this.#counts = null; // the list says what is wrong
    }
    for (const name of NAMES) {
      const control = this.controls.get(name);
      if (document.activeElement !== control) this.#options(control, name, control.options[0].text, control.value);
    }
    const { total, whole } = this.#counts ?? {};
    const number = total >= 100 ? "100+" : whole ? String(total) : `${total}+`;
    this.found.textContent = this.any && this.#counts && (whole || total) ? t("{number} found", { number }) : "";
  }
}

/** The beginning of a day, or of the one after it, in this browser's time zone. */
function midnight(value, after) {
  const at = new Date(`${value}T00:00:00`);
  if (after) at.setDate(at.getDate() + 1);
  return at.toISOString();
}
