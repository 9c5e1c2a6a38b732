/** Rows that were chosen, and what can be done with all of them at once. */

import * as api from "./api.js";
import { button, fill, h, toast } from "./dom.js";
import { confirmed } from "./keys.js";
import { t } from "./language.js";
import * as session from "./session.js";
import { LANES } from "./words.js";

const MOST = 200;

export class Selection {
  #ids = new Set();
  #last = null; // from where Shift reaches
  #readers = null;

  /** `rows` are the ids from top to bottom; `changed` is called after something was done to the studies. */
  constructor(rows, changed) {
    this.rows = rows;
    this.changed = changed;
    this.boxes = new Map();
    this.all = h("input", { type: "checkbox", "aria-label": t("Choose all rows shown"), change: () => this.#every(this.all.checked) });
    this.count = h("strong", { role: "status" });
    this.acts = h("div", { class: "acts" });
    const named = { class: "selection", role: "group", "aria-label": t("The chosen studies"), hidden: true };
    this.element = h("div", named, this.count, this.acts);
  }

  /** The box of a study's row. */
  box(studyId) {
    const box = h("input", {
      type: "checkbox",
      tabindex: -1,
      "aria-label": t("Choose this study"),
      "data-box": studyId,
      click: (event) => this.choose(studyId, box.checked, event.shiftKey),
    });
    box.checked = this.#ids.has(studyId);
    this.boxes.set(studyId, box);
    return box;
  }

  /** Choose a study or leave it; with Shift, all up to the one before. */
  choose(studyId, wanted = !this.#ids.has(studyId), range = false) {
    const order = this.rows();
    const [from, to] = [order.indexOf(this.#last), order.indexOf(studyId)].sort((one, other) => one - other);
    const reached = range && from >= 0 ? order.slice(from, to + 1) : [studyId];
    for (const id of reached) {
      if (wanted && this.#ids.size < MOST) this.#ids.add(id);
      else this.#ids.delete(id);
    }
    this.#last = studyId;
    this.#show();
  }

  clear() {
    this.#ids.clear();
    this.#last = null;
    this.#show();
  }

  /** Keep only what is still shown. */
  keep() {
    const there = new Set(this.rows());
    for (const id of [...this.#ids]) if (!there.has(id)) this.#ids.delete(id);
    for (const id of [...this.boxes.keys()]) if (!there.has(id)) this.boxes.delete(id);
    this.#show();
  }

  #every(wanted) {
    this.#ids = new Set(wanted ? this.rows().slice(0, MOST) : []);
    this.#show();
  }

  #show() {
    const shown = this.rows().length;
    for (const [id, box] of this.boxes) {
      box.checked = this.#ids.has(id);
      box.closest("tr")?.setAttribute("aria-selected", String(box.checked));
    }
    this.all.checked = shown > 0 && this.#ids.size >= Math.min(shown, MOST);
    this.all.indeterminate = this.#ids.size > 0 && !this.all.checked;
    const was = this.element.hidden;
    this.element.hidden = !this.#ids.size;
    this.count.textContent = this.#ids.size ? t("{count} chosen", { count: this.#ids.size }) : "";
    if (was && this.#ids.size) this.#offer();
  }

  /** What the reader's roles allow. */
  #offer() {
    const leads = session.has("lead", "operator");
    fill(
      this.acts,
      button(t("Assign to me"), () => this.#assign(null, t("you"))),
      session.isLead() && this.#others(),
      button(t("Unassign"), () => this.#release()),
      leads && button(t("To {lane}", { lane: LANES.stat }), () => this.#hasten("stat")),
      leads && button(t("To {lane}", { lane: LANES.routine }), () => this.#hasten("routine")),
      leads && button(t("Write again"), () => this.#again()),
      button(t("Export CSV"), () => this.#export()),
      button(t("Choose none"), () => this.clear(), { kind: "quiet" }),
    );
  }

  #others() {
    const chosen = () => this.#assign(choice.value, choice.selectedOptions[0].text);
    const choice = h("select", { "aria-label": t("Assign to"), change: chosen });
    choice.append(h("option", { value: "" }, t("Assign to …")));
    this.#readers ??= api.readers();
    this.#readers.then(
      ({ readers }) => choice.append(...readers.map(({ key_id, name }) => h("option", { value: key_id }, name))),
      () => (this.#readers = null),
    );
    return choice;
  }

  async #assign(to, name) {
    const done = await this.#ask(() => api.assign([...this.#ids], to));
    this.#said(done, (count) => t("{count} assigned to {name}.", { count, name }), (studies) => this.#putBack(studies));
  }

  async #release() {
    const done = await this.#ask(() => api.release([...this.#ids]));
    this.#said(done, (count) => t("{count} are assigned to no one now.", { count }), (studies) => this.#putBack(studies));
  }

  async #hasten(lane) {
    const done = await this.#ask(() => api.hasten([...this.#ids], lane));
    this.#said(done, (count) => t("{count} moved to {lane}.", { count, lane: LANES[lane] }));
  }

  async #again() {
    const ids = [...this.#ids];
    const question = t("Ask the model to write {count} drafts again? What was signed stays.", { count: ids.length });
    if (!(await confirmed(question, t("Write them again"), t("Leave them")))) return;
    const done = await this.#ask(() => api.resummarise(ids));
    if (!done) return;
    const { queued } = done;
    const others = ids.length - queued;
    toast(
      t("{count} drafts will be written again.", { count: queued }) +
        (others ? ` ${t("{count} have a text of the served model already, or none to write.", { count: others })}` : ""),
    );
    this.changed();
  }

  async #export() {
    const file = await this.#ask(() => api.exportCsv([...this.#ids]));
    if (!file) return;
    const link = h("a", { href: URL.createObjectURL(file), download: "studies.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  /** The answer; null if there is none, which the page then says. */
  async #ask(act) {
    try {
      return await act();
    } catch (error) {
      if (error.status !== 401) toast(error.message, { kind: "bad" });
      return null;
    }
  }

  /** How many it was done to, why not to the others, and the way back where there is one. */
  #said(answer, sentence, undo = null) {
    if (!answer) return;
    const { studies } = answer;
    const done = studies.filter((one) => !one.refused);
    const reasons = new Map();
    for (const { refused } of studies) if (refused) reasons.set(refused, (reasons.get(refused) ?? 0) + 1);
    const refused = [...reasons].map(([why, count]) => t("{count} refused: {why}.", { count, why })).join(" ");
    const back = undo && done.length ? button(t("Undo"), () => (note.remove(), undo(studies))) : null;
    const note = toast([done.length || !refused ? sentence(done.length) : "", refused].filter(Boolean).join(" "), {
      kind: done.length ? "" : "bad",
      action: back,
    });
    this.changed();
  }

  /** Give each study back to whose it was. */
  async #putBack(studies) {
    const owners = grouped(moved(studies));
    for (const [key, ones] of owners) {
      const ids = ones.map((one) => one.study_id);
      if (!(await this.#ask(() => (key === null ? api.release(ids) : api.assign(ids, key))))) return this.changed();
    }
    toast(t("Put back."));
    this.changed();
  }
}

const moved = (studies) => studies.filter((one) => !one.refused);
const owner = (one) => one.before?.key_id ?? null;

function grouped(studies) {
  const groups = new Map();
  for (const one of studies) groups.set(owner(one), [...(groups.get(owner(one)) ?? []), one]);
  return groups;
}
