/** The draft's own film: fetched, shown, and its signature says that it was. */

import * as api from "./api.js";
import { sha256 } from "./film.js";
import { t } from "./language.js";

export class Showing {
  #study = null;
  #signal = null;
  #fetching = false;

  /**
   * @param {Film} film the films of the desk
   * @param {Arming} arming learns when the film of a summary is on the screen
   */
  constructor(film, arming) {
    this.film = film;
    this.arming = arming;
  }

  /** Another study is opened; nothing that belongs to the former one is shown any more. */
  open(signal) {
    this.#signal = signal;
    this.#study = null;
    this.#fetching = false;
  }

  /** The study as it is now; its film is fetched with `show`. */
  know(study) {
    this.#study = study;
  }

  async show() {
    const signal = this.#signal;
    const { study_id: id, summary, view, state, images } = this.#study;
    const label = view ? t("Film, {view} view", { view }) : t("Film");
    const moved = () => signal.aborted || this.#study?.summary?.summary_id !== summary?.summary_id;
    const show = async (blob, detail, imageId) => !moved() && (await this.film.show(blob, label, detail, imageId));
    const preview = async () => show(await api.preview(id, signal), t("preview"));
    if (!summary && !images.some((image) => image.state === "accepted")) return this.film.clear(t("There is no picture."));
    this.#fetching = true;
    try {
      // While a newer image is read, the preview may be of that one: the draft is about its own.
      if (!summary) await preview();
      else if (state === "summarised") await preview().catch(() => {});
      if (!summary) return;
      const blob = await api.film(summary.summary_id, signal);
      if (!(await show(blob, "", summary.image_id))) return;
      const digest = await sha256(blob);
      if ((await this.film.onScreen()) && !moved()) this.arming.painted(summary.summary_id, digest);
    } catch (error) {
      if (moved() || error.status === 401) return;
      const why = error.status === 404 ? t("There is no picture.") : t("The film cannot be shown: {why}", { why: error.message });
      if (this.film.canvas.hidden) this.film.clear(why);
      if (summary) this.arming.unseen(summary.summary_id, why);
    } finally {
      if (!moved()) this.#fetching = false;
    }
  }

  /** A film that could not be shown is asked for again with every look at its study. */
  again() {
    const id = this.#study?.summary?.summary_id;
    if (id && !this.#fetching && !this.arming.shows(id)) this.show();
  }
}
