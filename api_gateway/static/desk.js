/** The reading desk: one study, its film beside its draft, and everything one may say about it. */

import * as api from "./api.js";
import { Chat } from "./chat.js";
import { button, fill, h, toast } from "./dom.js";
import { Film, sha256 } from "./film.js";
import { bind } from "./keys.js";
import { beyondScope, doubted, earlier, flagsOf, history, notice, provenance, rescued, textOf } from "./report.js";
import { Review } from "./review.js";
import { said } from "./said.js";
import { told, version } from "./stands.js";
import { exact, moment, since } from "./time.js";
import { offerUndo } from "./undo.js";
import { DOUBTS, LANES, OPEN, REASONS, STATES } from "./words.js";

const SIGNED = { accepted: "Accepted.", edited: "Correction saved.", rejected: "Rejected.", draft: "Taken back: it is a draft again." };
const LOOK_MS = 10_000;
const LOOK_OPEN_MS = 2_000;

export class Desk {
  #id = null;
  #study = null;
  #stop = new AbortController();
  #timer = 0;
  #unbind = null;
  #fetching = false;
  #acts = 0; // our own acts: an answer to a request before the last act is out of date

  /**
   * @param {(studyId: string, state: string, open: boolean) => void} signed called after a review; it decides what is
   *   read next, if the study is still open
   * @param {(studyId: string) => void} undone called after a review was undone
   * @param {(step: number) => void} move goes to the study beside this one
   * @param {() => void} back goes to the list
   */
  constructor(signed, undone, move, back) {
    this.film = new Film();
    this.chat = new Chat();
    this.review = new Review((state, summary) => this.#signed(state, summary), (error, about) => this.#refused(error, about));
    this.afterwards = signed;
    this.undone = undone;
    this.head = h("header", { class: "study-head" });
    this.notice = notice(); // above what scrolls: the text is never seen without it
    this.scope = h("div", { class: "scope" }); // and never without its limits
    this.origins = h("div", { class: "origins" });
    this.banner = h("div", { class: "banner", role: "alert", hidden: true });
    this.about = h("div", { class: "about" });
    this.below = h("div", { class: "below" });
    this.reading = h("div", { class: "reading", tabindex: -1 }, this.about, this.review.body);
    this.move = move;
    this.back = back;
    this.side = h(
      "section",
      { class: "side", "aria-label": "Draft" },
      this.head,
      this.notice,
      this.scope,
      h("div", { class: "scroll" }, this.banner, this.reading, this.review.actions, this.below, this.chat.element, this.origins),
    );
    this.element = h("section", { class: "desk", "aria-label": "Study" }, this.film.element, this.side);
  }

  async open(id) {
    this.close();
    this.#id = id;
    this.#stop = new AbortController();
    this.#unbind = bind({
      ...this.film.commands,
      ...this.review.commands,
      ...this.chat.commands,
      j: () => this.move(1),
      k: () => this.move(-1),
      Escape: this.back,
    });
    this.banner.hidden = true;
    this.film.fit();
    this.film.clear("Fetching the film …");
    fill(this.head);
    fill(this.about, h("p", { class: "muted" }, "Looking …"));
    fill(this.scope);
    fill(this.below);
    fill(this.origins);
    this.review.show(null);
    await this.#look();
  }

  close() {
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#unbind?.();
    this.#unbind = null;
    this.#id = this.#study = null;
    this.chat.leave();
    this.film.clear("");
    this.review.arming.clear();
    this.#fetching = false;
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
    this.#showFilmAgain();
    const open = !this.#study || OPEN.includes(this.#study.state);
    if (!signal.aborted) this.#timer = setTimeout(() => this.#look(), open ? LOOK_OPEN_MS : LOOK_MS);
  }

  #absent(error) {
    fill(this.about, h("p", { class: "problem" }, error.status === 404 ? "There is no such study." : error.message));
    this.film.clear("");
  }

  #arrived(study) {
    const before = this.#study;
    if (before && version(before) === version(study)) return;
    this.#study = study;
    if (!before) {
      this.#draw();
      this.#showFilm();
      this.chat.show(study);
      return;
    }
    const another = before.summary?.summary_id !== study.summary?.summary_id;
    const change = told(before.summary, study);
    if (another || !this.review.editing) this.#draw();
    else this.review.reread(before.summary, study.reviews); // the gateway refuses a signature on it
    if (change) this.#warn(change, this.review.editing && !another ? study.summary : null);
    if (another) {
      this.#showFilm();
      this.chat.show(study);
    }
  }

  #draw() {
    const study = this.#study;
    fill(
      this.head,
      h("span", { class: `lane ${study.lane}` }, LANES[study.lane]),
      h("h1", {}, study.view ? `${study.view} view` : "Film"),
      h(
        "time",
        { class: "muted", datetime: study.received_at, title: `Received ${exact(study.received_at)}` },
        `${moment(study.received_at)} · ${since(study.received_at)}`,
      ),
      h(
        "span",
        { class: "row" },
        button("‹", () => this.move(-1), { key: "k", "aria-label": "Previous study" }),
        button("›", () => this.move(1), { key: "j", "aria-label": "Next study" }),
        button("List", this.back, { key: "Esc" }),
      ),
    );
    fill(this.about, ...this.#standing(), flagsOf(study, study.summary));
    fill(this.scope, beyondScope(study.summary));
    this.review.doubted = doubted(study);
    this.review.show(study.summary, study.reviews);
    this.notice.hidden = !study.summary && !study.reviewed;
    fill(this.below, study.reviewed && earlier(study.reviewed), ...rescued(study), said(study));
    fill(this.origins, study.summary && provenance(study.summary), history(study.study_id, !study.summary));
  }

  /** Where the study stands, unless that is plain to see. */
  #standing() {
    const { state, reason_code: reason, summary, images } = this.#study;
    const [title, meaning] = STATES[state];
    if (state === "summarised") {
      const others = images.length - 1;
      return others > 0
        ? [h("p", { class: "muted small" }, `The study has ${images.length} images; the draft is about the one shown.`)]
        : [];
    }
    if (summary) return [h("p", { class: "standing-note" }, `${title}: a newer draft may take the place of this one.`)];
    return [
      h(
        "div",
        { class: `standing-card ${state}` },
        h("h2", {}, title),
        h("p", {}, reason ? REASONS[reason] : meaning),
        reason && h("p", { class: "muted" }, meaning),
      ),
    ];
  }

  async #showFilm() {
    const { signal } = this.#stop;
    const { study_id: id, summary, view, state, images } = this.#study;
    const label = `Film${view ? `, ${view} view` : ""}`;
    const moved = () => signal.aborted || this.#study.summary?.summary_id !== summary?.summary_id;
    const show = async (blob, detail) => !moved() && (await this.film.show(blob, label, detail));
    if (!summary && !images.some((image) => image.state === "accepted")) return this.film.clear("There is no picture.");
    this.#fetching = true;
    try {
      // While a newer image is read, the preview may be of that one: the draft is about its own.
      if (!summary) await show(await api.preview(id, signal), "preview");
      else if (state === "summarised") await api.preview(id, signal).then((blob) => show(blob, "preview")).catch(() => {});
      if (!summary) return;
      const blob = await api.film(summary.summary_id, signal);
      if (!(await show(blob, ""))) return;
      const digest = await sha256(blob);
      if ((await this.film.onScreen()) && !moved()) this.review.arming.painted(summary.summary_id, digest);
    } catch (error) {
      if (moved() || error.status === 401) return;
      const why = error.status === 404 ? "There is no picture." : `The film cannot be shown: ${error.message}`;
      if (this.film.canvas.hidden) this.film.clear(why);
      if (summary) this.review.arming.unseen(summary.summary_id, why);
    } finally {
      if (!moved()) this.#fetching = false;
    }
  }

  /** A film that could not be shown is asked for again with every look at its study. */
  #showFilmAgain() {
    const id = this.#study?.summary?.summary_id;
    if (id && !this.#fetching && !this.review.arming.shows(id)) this.#showFilm();
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
    toast("Undone: it stands as before.", { kind: "good" });
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
    this.banner.hidden = true;
    this.#draw();
  }

  async #refused(error, about) {
    if (error.status === 401) return;
    if (!this.#isOpen(about)) {
      const link = { href: `#/study/${about.study_id}`, text: "See it" };
      toast(`It was not signed: ${error.message}`, { kind: "bad", link });
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
      if (this.review.editing && !another) this.review.reread(study.summary, study.reviews);
      else this.#draw();
      this.#warn([...change, " Nothing of yours was saved."], this.review.editing ? study.summary : null);
    } catch (failed) {
      if (!signal.aborted) this.#warn(failed.message);
    }
  }

  /** Say it above the text, in sight; with the text as it stands now beside what is being written. */
  #warn(sentence, theirs = null) {
    fill(
      this.banner,
      h("p", {}, sentence),
      theirs && h("div", { class: "theirs" }, h("h3", {}, "As it stands now"), textOf(theirs)),
      button("Understood", () => (this.banner.hidden = true)),
    );
    this.banner.hidden = false;
    this.banner.scrollIntoView({ block: "nearest" });
  }
}
