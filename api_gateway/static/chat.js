/** Questions about a study, and answers as they are written. */

import * as api from "./api.js";
import { button, fill, h } from "./dom.js";
import { beyondScope, contradictions, notice } from "./report.js";
import { moment } from "./time.js";

const MOST_CHARACTERS = 2000;
const OPEN = ["queued", "running"];
const SAID = {
  queued: "Waiting for the model …",
  running: "Being written …",
  dead: "No answer: every attempt failed.",
  cancelled: "Cancelled.",
  signed_out: "You are signed out. The answer is still being written; open the study again to see it.",
};
const AWAY = "The answer was interrupted. It is still being written; open the study again to see it.";

export class Chat {
  #study = null;
  #summary = null;
  #stop = new AbortController();

  constructor() {
    this.turns = h("ol", { class: "turns", "aria-live": "polite" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.input = h("textarea", {
      rows: 1,
      maxlength: MOST_CHARACTERS,
      placeholder: "Ask about this film",
      "aria-label": "Question",
      "aria-keyshortcuts": "q",
    });
    this.send = button("Ask", () => this.#ask(), { key: "⏎" });
    this.element = h(
      "section",
      { class: "chat", "aria-label": "Questions" },
      h("h2", {}, "Questions"),
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
    this.#study = study.study_id;
    this.#summary = study.summary?.summary_id ?? null;
    this.problem.textContent = "";
    this.input.value = "";
    this.input.disabled = this.send.disabled = !study.summary;
    this.input.placeholder = study.summary ? "Ask about this film" : "Questions can be asked once there is a draft";
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
    try {
      const asked = await api.question(this.#study, question, once());
      if (signal.aborted) return;
      this.input.value = "";
      const now = { ...asked, question, answer: "", state: "queued", asked_at: new Date().toISOString() };
      this.#follow(asked.turn_id, this.#append(now), signal);
    } catch (error) {
      if (!signal.aborted && error.status !== 401) this.problem.textContent = error.message;
    } finally {
      if (!signal.aborted) this.send.disabled = false;
    }
  }

  #append(turn) {
    const answer = h("p", { class: "answer" }, turn.answer);
    const state = h("p", { class: "muted small" });
    const limits = h("div", { class: "limits" });
    const item = h(
      "li",
      { "data-state": turn.state },
      h("p", { class: "question" }, turn.question, " ", h("time", { class: "muted" }, moment(turn.asked_at))),
      answer,
      limits,
      state,
      turn.summary_id !== this.#summary && h("p", { class: "muted small" }, "Asked about an earlier draft."),
      notice(),
    );
    this.turns.append(item);
    const shown = { item, answer, limits, state };
    this.#limit(shown, turn);
    this.#tell(shown, turn.state);
    item.scrollIntoView({ block: "nearest" });
    return shown;
  }

  /** What must be known of an answer stands below it. */
  #limit({ limits }, turn) {
    fill(limits, beyondScope(turn), contradictions(turn.consistency));
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
          shown.answer.textContent += data.text;
          this.#tell(shown, "running");
          shown.item.scrollIntoView({ block: "nearest" });
        } else {
          if (name === "done") {
            shown.answer.textContent = data.answer;
            this.#limit(shown, data);
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

/** A key for one question; randomUUID would need a secure context. */
function once() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
