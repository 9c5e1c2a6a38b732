/** Questions about a study, and answers as they are written. */

import * as api from "./api.js";
import { button, fill, h, visible } from "./dom.js";
import { t } from "./language.js";
import { beyondScope, contradictions, cutOff, notice } from "./report.js";
import { moment } from "./time.js";

const MOST_CHARACTERS = 2000;
const OPEN = ["queued", "running"];
const SAID = {
  queued: t("Waiting for the model …"),
  running: t("Being written …"),
  dead: t("No answer: every attempt failed."),
  cancelled: t("Cancelled."),
  signed_out: t("You are signed out. The answer is still being written; open the study again to see it."),
};
const AWAY = t("The answer was interrupted. It is still being written; open the study again to see it.");

export class Chat {
  #study = null;
  #summary = null;
  #unsure = null; // {question, once}: what was asked last, if no answer says whether it was
  #stop = new AbortController();

  constructor() {
    this.turns = h("ol", { class: "turns", "aria-live": "polite" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.input = h("textarea", {
      rows: 1,
      maxlength: MOST_CHARACTERS,
      placeholder: t("Ask about this film"),
      "aria-label": t("Question"),
      "aria-keyshortcuts": "q",
    });
    this.send = button(t("Ask"), () => this.#ask(), { key: "⏎" });
    this.element = h(
      "section",
      { class: "chat", "aria-label": t("Questions") },
      h("h2", {}, t("Questions")),
      this.turns,
      this.problem,
      h("form", { submit: (event) => event.preventDefault() }, this.input, this.send),
    );
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.input.blur();
      else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#ask();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.commands = { q: () => this.input.focus() };
  }

  /** Show the conversation about a study; before it has a summary there is nothing to ask about. */
  async show(study) {
    this.leave();
    this.#unsure = null;
    this.#study = study.study_id;
    this.#summary = study.summary?.summary_id ?? null;
    this.problem.textContent = "";
    this.input.value = "";
    this.input.disabled = this.send.disabled = !study.summary;
    this.input.placeholder = study.summary ? t("Ask about this film") : t("Questions can be asked once there is a draft");
    fill(this.turns);
    const { signal } = this.#stop;
    try {
      const { turns } = await api.transcript(study.study_id, signal);
      if (signal.aborted) return;
      for (const turn of turns) {
        const shown = this.#append(turn);
        if (OPEN.includes(turn.state)) this.#follow(turn.turn_id, shown, signal);
      }
    } catch (error) {
      if (!signal.aborted && error.status !== 401) this.problem.textContent = error.message;
    }
  }

  /** Listen no more. */
  leave() {
    this.#stop.abort();
    this.#stop = new AbortController();
  }

  async #ask() {
    const question = this.input.value.trim();
    if (!question || this.send.disabled) return;
    this.send.disabled = true;
    this.problem.textContent = "";
    const { signal } = this.#stop;
    const sent = this.#unsure?.question === question ? this.#unsure : { question, once: api.intent() };
    try {
      const asked = await api.question(this.#study, question, sent.once);
      if (signal.aborted) return;
      this.#unsure = null;
      this.input.value = "";
      const now = { ...asked, question, answer: "", state: "queued", asked_at: new Date().toISOString() };
      this.#follow(asked.turn_id, this.#append(now), signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#unsure = error.lost ? sent : null;
      if (error.status !== 401) this.problem.textContent = error.message;
    } finally {
      if (!signal.aborted) this.send.disabled = false;
    }
  }

  #append(turn) {
    const answer = h("p", { class: "answer" }, turn.answer);
    const state = h("p", { class: "muted small" });
    const limits = h("div", { class: "limits" });
    const by = h("div", {});
    const item = h(
      "li",
      { "data-state": turn.state },
      h("p", { class: "question" }, turn.question, " ", h("time", { class: "muted" }, moment(turn.asked_at))),
      answer,
      limits,
      state,
      turn.summary_id !== this.#summary && h("p", { class: "muted small" }, t("Asked about an earlier draft.")),
      by,
    );
    this.turns.append(item);
    const shown = { item, answer, limits, by, state };
    this.#limit(shown, turn);
    this.#tell(shown, turn.state);
    item.scrollIntoView({ block: "nearest" });
    return shown;
  }

  /** What must be known of an answer stands below it. */
  #limit({ item, limits, by }, turn) {
    const rule = turn.answered_by === "rule";
    item.classList.toggle("by-rule", rule);
    fill(limits, beyondScope(turn), cutOff(turn), contradictions(turn.consistency));
    fill(by, rule ? h("p", { class: "notice" }, t("A rule answered this: the model was not asked.")) : notice());
  }

  #tell({ item, answer, state }, now) {
    item.dataset.state = now;
    state.textContent = SAID[now] ?? "";
    state.hidden = !state.textContent || (now === "running" && answer.textContent !== "");
  }

  async #follow(turnId, shown, signal) {
    try {
      shown.answer.textContent = "";
      for await (const { name, data } of api.answering(turnId, signal)) {
        if (name === "token") {
          shown.answer.textContent += visible(data.text);
          this.#tell(shown, "running");
          shown.item.scrollIntoView({ block: "nearest" });
        } else {
          if (name === "done") {
            shown.answer.textContent = visible(data.answer);
            this.#limit(shown, data);
            if (!this.input.value) this.input.blur(); // so that the keys of the desk work again
          }
          this.#tell(shown, data.state);
          return;
        }
      }
      throw new Error(AWAY);
    } catch (error) {
      if (signal.aborted) return;
      shown.item.dataset.state = "interrupted";
      shown.state.textContent = AWAY;
      shown.state.hidden = false;
    }
  }
}
