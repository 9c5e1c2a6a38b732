/** What is brought beside the draft's film: another image of the study, or the patient's prior with its own report. */

import * as api from "./api.js";
import { fill, h, toast } from "./dom.js";
import { t } from "./language.js";
import { beyondScope, signature, standingNotice, textOf } from "./report.js";
import { day } from "./time.js";

/** The images of a card that can be shown: the chosen one first, then laterals. */
function shownOf(card) {
  const rank = ({ chosen, view }) => (chosen ? 0 : view === "LATERAL" ? 1 : 2);
  return (card?.images ?? []).filter(({ state }) => state === "accepted").sort((one, other) => rank(one) - rank(other));
}

export class Comparison {
  #study = null;
  #card = null; // the study's; null until it is known
  #beside = null; // "p", or the place of an image among the others; null: nothing
  #stop = new AbortController();

  /** @param {Film} film the films of the desk */
  constructor(film) {
    this.film = film;
  }

  /** Another study is opened. */
  open(studyId) {
    this.#stop.abort();
    this.#study = studyId;
    this.#card = this.#beside = null;
    this.film.fresh();
    this.film.tools.offer({ lateral: false, prior: false });
    this.#press();
  }

  /** @param {object|null} card the study's, as the gateway has it */
  hang(card) {
    this.#card = card;
    this.film.tools.offer({ lateral: this.#others().length > 0, prior: Boolean(card?.prior) });
  }

  /** What is known of an image of the study; null: nothing. */
  facts(imageId) {
    return this.#card?.images.find((one) => one.image_id === imageId) ?? null;
  }

  /** The next other image of the study beside the draft's; after the last one, none. */
  async lateral() {
    const others = this.#others();
    if (!others.length) return void (this.#card && toast(t("The study has no other image.")));
    const next = typeof this.#beside === "number" ? this.#beside + 1 : 0;
    if (next >= others.length) return this.#single();
    const facts = others[next];
    await this.#bring(next, async (viewport, signal) => {
      const blob = await api.image(this.#study, facts.image_id, signal);
      await this.#put(viewport, signal, blob, this.#study, facts, t("Same study"));
    });
  }

  /** The patient's prior beside it, or no more. */
  async prior() {
    const prior = this.#card?.prior;
    if (this.#beside === "p") return this.#single();
    if (!prior) return void (this.#card && toast(t("There is no prior of this patient, or a date is unknown.")));
    await this.#bring("p", async (viewport, signal) => {
      const [study, card] = await Promise.all([api.study(prior.study_id, signal), api.card(prior.study_id, signal)]);
      if (signal.aborted) return;
      this.#report(study, prior);
      const [facts] = shownOf(card);
      if (!facts) throw new Error(t("There is no picture."));
      const blob = await api.image(card.study_id, facts.image_id, signal);
      await this.#put(viewport, signal, blob, card.study_id, facts, t("Prior"));
    });
  }

  #others() {
    return shownOf(this.#card).filter((one) => !one.chosen);
  }

  #single() {
    this.#stop.abort();
    this.#beside = null;
    this.#press();
    this.film.single();
  }

  async #bring(what, fetched) {
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#beside = what;
    this.#press();
    const viewport = this.film.beside(t("Fetching the film …"));
    try {
      await fetched(viewport, signal);
    } catch (error) {
      if (!signal.aborted && error.status !== 401) viewport.clear(t("The film cannot be shown: {why}", { why: error.message }));
    }
  }

  async #put(viewport, signal, blob, studyId, facts, title) {
    if (signal.aborted) return;
    const label = facts.view ? t("{title}, {view} view", { title, view: facts.view }) : title;
    if (!(await viewport.show(blob, label, facts.image_id))) return;
    viewport.describe(facts, title, () => api.deepImage(studyId, facts.image_id, signal));
  }

  /** The prior's own text, marked as such: it says nothing about today's film. */
  #report(study, prior) {
    const heading = h("h2", {}, t("Prior of {day}: its own report", { day: day(prior.acquired_on) }));
    const { summary } = study;
    fill(
      this.film.report,
      heading,
      ...(summary
        ? [standingNotice(summary), beyondScope(summary), signature(summary), textOf(summary)]
        : [h("p", { class: "muted" }, t("It has no text."))]),
    );
    this.film.report.hidden = false;
  }

  #press() {
    this.film.tools.pressed("v", typeof this.#beside === "number");
    this.film.tools.pressed("p", this.#beside === "p");
  }
}
