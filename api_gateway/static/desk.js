/** The reading desk: one study, its film beside its draft, and everything one may say about it. */

import * as api from "./api.js";
import { Chat } from "./chat.js";
import { Comparison } from "./compare.js";
import { button, fill, h, toast } from "./dom.js";
import { Film } from "./film.js";
import { headOf, standingOf } from "./heading.js";
import { identity } from "./identity.js";
import { bind } from "./keys.js";
import { t } from "./language.js";
import { Leaving } from "./leaving.js";
import { lookedAt, takenFrom } from "./people.js";
import { Places } from "./places.js";
import { Reading } from "./reading.js";
import { beyondScope, doubted, earlier, flagsOf, history, provenance, rescued, standingNotice, textOf } from "./report.js";
import { Review } from "./review.js";
import { mine, said } from "./said.js";
import { Showing } from "./showing.js";
import { told, version } from "./stands.js";
import { offerUndo } from "./undo.js";
import { DOUBTS, OPEN } from "./words.js";

const SIGNED = { accepted: t("Accepted."), edited: t("Correction saved."), rejected: t("Rejected."), draft: t("Taken back: it is a draft again.") };
const LOOK_MS = 10_000;
const LOOK_OPEN_MS = 2_000;

export class Desk {
  #id = null;
  #study = null;
  #stop = new AbortController();
  #timer = 0;
  #unbind = null;
  #acts = 0; // our own acts: an answer to a request before the last act is out of date

  /**
   * @param {(studyId: string, state: string, open: boolean) => void} signed called after a review; it decides what is
   *   read next, if the study is still open
   * @param {(studyId: string) => void} undone called after a review was undone
   * @param {(step: number) => void} move goes to the study beside this one
   * @param {() => void} back goes to the list
   */
  constructor(signed, undone, move, back) {
    this.film = new Film({ lateral: () => this.comparison.lateral(), prior: () => this.comparison.prior() });
    this.comparison = new Comparison(this.film);
    this.leaving = new Leaving();
    this.chat = new Chat();
    this.places = new Places((boxes) => this.film.main.mark(boxes));
    this.review = new Review((state, summary) => this.#signed(state, summary), (error, about) => this.#refused(error, about));
    this.showing = new Showing(this.film, this.review.arming);
    this.afterwards = signed;
    this.undone = undone;
    this.head = h("header", { class: "study-head" });
    this.others = new Reading();
    this.notice = standingNotice(null); // above what scrolls: the text is never seen without it
    this.scope = h("div", { class: "scope" }); // and never without its limits
    this.origins = h("div", { class: "origins" });
    this.identity = h("div");
    this.banner = h("div", { class: "banner", role: "alert", hidden: true });
    this.about = h("div", { class: "about" });
    this.below = h("div", { class: "below" });
    this.reading = h("div", { class: "reading", tabindex: -1 }, this.about, this.review.body, this.places.element);
    this.move = move;
    this.back = back;
    this.side = h(
      "section",
      { class: "side", "aria-label": t("Draft") },
      this.head,
      this.identity,
      this.others.element,
      this.notice,
      this.scope,
      h(
        "div",
        { class: "scroll" },
        this.banner,
        this.reading,
        this.review.actions,
        this.leaving.element,
        this.below,
        this.chat.element,
        this.origins,
      ),
    );
    this.element = h("section", { class: "desk", "aria-label": t("Study") }, this.film.element, this.side);
  }

  async open(id) {
    this.close();
    this.#id = id;
    this.others.open(id);
    this.#stop = new AbortController();
    this.#unbind = bind({
      ...this.film.commands,
      ...this.review.commands,
      ...this.leaving.commands,
      ...this.chat.commands,
      j: () => this.move(1),
      k: () => this.move(-1),
      Escape: this.back,
    });
    this.banner.hidden = true;
    this.showing.open(this.#stop.signal);
    this.film.clear(t("Fetching the film …"));
    this.comparison.open(id);
    fill(this.head);
    fill(this.identity);
    fill(this.about, h("p", { class: "muted" }, t("Looking …")));
    fill(this.scope);
    fill(this.below);
    fill(this.origins);
    this.review.show(null);
    this.places.show(null);
    this.leaving.show(null, null);
    await this.#look();
  }

  close() {
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#unbind?.();
    this.#unbind = null;
    this.#id = this.#study = null;
    this.others.close();
    this.chat.leave();
    this.film.clear("");
    this.comparison.open(null);
    this.review.arming.clear();
  }

  /** Fetch the study; draw it when it is another one than is shown, and go on looking. */
  async #look() {
    const { signal } = this.#stop;
    const acts = this.#acts;
    clearTimeout(this.#timer);
    try {
      const study = await api.study(this.#id, signal);
      if (signal.aborted || acts !== this.#acts) return;
      this.#arrived(study);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      if (!this.#study) this.#absent(error);
    }
    this.showing.again();
    const open = !this.#study || OPEN.includes(this.#study.state);
    if (!signal.aborted) this.#timer = setTimeout(() => this.#look(), open ? LOOK_OPEN_MS : LOOK_MS);
  }

  #absent(error) {
    fill(this.about, h("p", { class: "problem" }, error.status === 404 ? t("There is no such study.") : error.message));
    this.film.clear("");
  }

  #arrived(study) {
    const before = this.#study;
    if (before && version(before) === version(study)) return;
    this.#study = study;
    this.showing.know(study);
    this.#hang();
    if (!before) {
      this.#draw();
      this.showing.show();
      this.chat.show(study);
      return;
    }
    const another = before.summary?.summary_id !== study.summary?.summary_id;
    const change = told(before.summary, study);
    if (another || !this.review.editing) this.#draw();
    else this.review.reread(before.summary, study.reviews); // the gateway refuses a signature on it
    if (change) this.#warn(change, this.review.editing && !another ? study.summary : null);
    if (another) {
      this.showing.show();
      this.chat.show(study);
    }
  }

  #draw() {
    const study = this.#study;
    fill(this.head, ...headOf(study, this.move, this.back));
    fill(this.identity, identity(study.study_id));
    fill(this.about, takenFrom(study, mine), ...standingOf(study), flagsOf(study, study.summary));
    fill(this.scope, beyondScope(study.summary));
    this.review.doubted = doubted(study);
    this.review.show(study.summary, study.reviews);
    this.places.show(study.summary, study.reviews);
    const stands = standingNotice(study.summary);
    this.notice.replaceWith(stands);
    this.notice = stands;
    this.notice.hidden = !study.summary && !study.reviewed;
    this.leaving.show(study, study.summary);
    fill(this.below, study.reviewed && earlier(study.reviewed), ...rescued(study), said(study));
    fill(this.origins, study.summary && provenance(study.summary), history(study.study_id, !study.summary), lookedAt(study.study_id));
  }

  /** What the gateway says about the images, the text's findings and the prior; without it the draft can still be read. */
  async #hang() {
    const { signal } = this.#stop;
    const { study_id: id, summary, images } = this.#study;
    if (!images.some((image) => image.state === "accepted")) return;
    try {
      const card = await api.card(id, signal);
      if (signal.aborted || this.#study.summary?.summary_id !== summary?.summary_id) return;
      this.comparison.hang(card);
      const facts = this.comparison.facts(summary?.image_id ?? card.images.find((one) => one.chosen)?.image_id);
      this.film.main.describe(facts, "", () => api.deepImage(id, facts.image_id, signal));
      this.review.name(summary, card.text?.labels ?? []);
    } catch (error) {
      if (!signal.aborted && error.status !== 401) this.comparison.hang(null);
    }
  }

  /** Whether this summary is on the desk; its reader may have gone on before the gateway answered. */
  #isOpen = (summary) => this.#study?.summary?.summary_id === summary.summary_id;

  #signed(state, summary) {
    const calm = state !== "rejected" && !summary.flags.some((code) => DOUBTS.has(code));
    offerUndo(SIGNED[state], calm ? "good" : "", summary, (now) => this.#undone(now));
    if (!this.#isOpen(summary)) return this.afterwards(summary.study_id, state, false);
    this.#stands(summary);
    this.afterwards(this.#id, state, true);
    this.#look(); // for the history
  }

  #undone(summary) {
    toast(t("Undone: it stands as before."), { kind: "good" });
    if (this.#isOpen(summary)) {
      this.#stands(summary);
      this.#look();
    }
    this.undone(summary.study_id);
  }

  /** Our own act changed how it stands: that is no news. */
  #stands(summary) {
    this.#acts++;
    this.#study = { ...this.#study, summary };
    this.showing.know(this.#study);
    this.banner.hidden = true;
    this.#draw();
  }

  async #refused(error, about) {
    if (error.status === 401) return;
    if (!this.#isOpen(about)) {
      const link = { href: `#/study/${about.study_id}`, text: t("See it") };
      const why = { why: error.message };
      toast(error.lost ? t("It is not known whether it was signed: {why}", why) : t("It was not signed: {why}", why), { kind: "bad", link });
      return;
    }
    if (error.status !== 409) {
      this.#warn(error.message);
      return;
    }
    const { signal } = this.#stop;
    try {
      const study = await api.study(this.#id, signal);
      if (signal.aborted) return;
      const change = told(this.#study.summary, study) ?? [error.message];
      const another = this.#study.summary?.summary_id !== study.summary?.summary_id;
      this.#study = study;
      this.showing.know(study);
      this.#hang();
      if (this.review.editing && !another) this.review.reread(study.summary, study.reviews);
      else this.#draw();
      this.#warn([...change, ` ${t("Nothing of yours was saved.")}`], this.review.editing ? study.summary : null);
    } catch (failed) {
      if (!signal.aborted) this.#warn(failed.message);
    }
  }

  /** Say it above the text, in sight; with the text as it stands now beside what is being written. */
  #warn(sentence, theirs = null) {
    fill(
      this.banner,
      h("p", {}, sentence),
      theirs && h("div", { class: "theirs" }, h("h3", {}, t("As it stands now")), textOf(theirs)),
      button(t("Understood"), () => (this.banner.hidden = true)),
    );
    this.banner.hidden = false;
    this.banner.scrollIntoView({ block: "nearest" });
  }
}
