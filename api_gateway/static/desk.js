/** The reading desk: one study, its film beside its draft, and everything one may say about it. */

import * as api from "./api.js";
import { Chat } from "./chat.js";
import { button, fill, h, toast } from "./dom.js";
import { Film } from "./film.js";
import { bind } from "./keys.js";
import { beyondScope, doubted, earlier, flagsOf, history, notice, provenance, textOf } from "./report.js";
import { Review } from "./review.js";
import { reader } from "./session.js";
import { exact, moment, since } from "./time.js";
import { drop, unsaved } from "./unsaved.js";
import { LANES, OPEN, REASONS, REVIEWS, STATES } from "./words.js";

const SIGNED = { accepted: "Accepted.", edited: "Correction saved.", rejected: "Rejected.", draft: "Taken back: it is a draft again." };
const LOOK_MS = 10_000;
const LOOK_OPEN_MS = 2_000;

export class Desk {
  #id = null;
  #study = null;
  #stop = new AbortController();
  #timer = 0;
  #unbind = null;

  /**
   * @param {(studyId: string, state: string) => void} signed is told after a review; it decides what is read next
   * @param {(step: number) => void} move goes to the study beside this one
   * @param {() => void} back goes to the list
   */
  constructor(signed, move, back) {
    this.film = new Film();
    this.chat = new Chat();
    this.review = new Review((state, summary) => this.#signed(state, summary), (error) => this.#refused(error));
    this.afterwards = signed;
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
  }

  /** Fetch the study; draw it when it is another one than is shown, and go on looking. */
  async #look() {
    const { signal } = this.#stop;
    clearTimeout(this.#timer);
    try {
      const study = await api.study(this.#id, signal);
      if (signal.aborted) return;
      this.#arrived(study);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      if (!this.#study) this.#absent(error);
    }
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
    const change = told(before.summary, study.summary);
    if (another || !this.review.editing) this.#draw({ lost: another ? before.summary : null });
    else this.review.reread(before.summary); // the gateway refuses a signature on it, and says so
    if (change) this.#warn(change, this.review.editing && !another ? study.summary : null);
    if (another) {
      this.#showFilm();
      this.chat.show(study);
    }
  }

  #draw({ lost = null } = {}) {
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
    this.review.show(study.summary);
    this.notice.hidden = !study.summary && !study.reviewed;
    fill(this.below, study.reviewed && earlier(study.reviewed), lost && this.#rescued(lost));
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

  /** The correction somebody was writing when a newer draft took the place of theirs. */
  #rescued(summary) {
    const text = unsaved(summary.summary_id);
    if (text === undefined) return null;
    return h(
      "section",
      { class: "earlier", "aria-label": "Your unsaved correction" },
      h("h2", {}, "Your unsaved correction of the earlier draft"),
      h("p", { class: "text" }, text),
      button("Discard it", (event) => {
        drop(summary.summary_id);
        event.target.closest("section").remove();
      }),
    );
  }

  async #showFilm() {
    const { signal } = this.#stop;
    const { study_id: id, summary, view, state, images } = this.#study;
    const label = `Film${view ? `, ${view} view` : ""}`;
    const show = async (blob, detail) => signal.aborted || (await this.film.show(blob, label, detail));
    if (!images.some((image) => image.state === "accepted")) return this.film.clear("There is no picture.");
    try {
      // While a newer image is read, the preview may be of that one: the draft is about its own.
      if (!summary || state === "summarised") await show(await api.preview(id, signal), "preview");
      if (summary) await show(await api.film(summary.summary_id, signal), "");
    } catch (error) {
      if (signal.aborted || error.status === 401 || !this.film.canvas.hidden) return;
      this.film.clear(error.status === 404 ? "There is no picture." : `The film cannot be shown: ${error.message}`);
    }
  }

  #signed(state, summary) {
    this.#study = { ...this.#study, summary };
    this.banner.hidden = true;
    toast(SIGNED[state], { kind: state === "rejected" ? "" : "good", link: { href: `#/study/${this.#id}`, text: "See it" } });
    this.#draw();
    this.afterwards(this.#id, state);
  }

  async #refused(error) {
    if (error.status === 401) return;
    if (error.status !== 409) {
      this.#warn(error.message);
      return;
    }
    const { signal } = this.#stop;
    try {
      const study = await api.study(this.#id, signal);
      if (signal.aborted) return;
      const change = told(this.#study.summary, study.summary) ?? error.message;
      const another = this.#study.summary?.summary_id !== study.summary?.summary_id;
      const lost = another ? this.#study.summary : null;
      this.#study = study;
      if (this.review.editing && !another) this.review.reread(study.summary);
      else this.#draw({ lost });
      this.#warn(`${change} Nothing of yours was saved.`, this.review.editing ? study.summary : null);
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

/** What of a study is on the desk: when none of this changes, nothing is drawn again. */
function version({ state, reason_code, summary, reviewed, flags }) {
  const stands = summary && [summary.summary_id, summary.review_state, summary.reviewed_at];
  return JSON.stringify([state, reason_code, stands, reviewed?.summary_id, flags]);
}

/** What somebody else did between two looks, as a sentence; null if nothing that matters for a signature. */
function told(before, now) {
  if (!before || !now) return null;
  if (before.summary_id !== now.summary_id) return `A newer draft took the place of the one you read, at ${moment(now.summarised_at)}.`;
  if (before.review_state === now.review_state && before.reviewed_at === now.reviewed_at) return null;
  const who = now.reviewed_by === reader() ? "You, in another window," : now.reviewed_by;
  const did = now.review_state === "draft" ? "took the review back" : `${REVIEWS[now.review_state].toLowerCase()} it`;
  return `${who} ${did} at ${moment(now.reviewed_at)}, after you opened it.`;
}
