/**
 * When a signature counts: the film of this very summary and the text as it stands have been on the screen for a moment,
 * and the last signature is a while ago. A finger that slips signs nothing.
 */

import { t } from "./language.js";

const LOOK_MS = 800;
const APART_MS = 1000;
const NOT_YET = t("The film is not on the screen yet.");

export class Arming {
  #text = null; // {id, stands, since}: what would be signed
  #film = null; // {id, sha256, at, since}: what is painted
  #trouble = null; // {id, why}: why there is no film
  #apart = 0;
  #timer = 0;

  /** `changed` is called whenever a signature begins or ceases to count. */
  constructor(changed) {
    this.changed = changed;
    // A hidden tab shows nothing to its reader.
    document.addEventListener("visibilitychange", () => document.hidden || this.#again());
  }

  /** This summary, as it stands, is on the desk; null: none is. */
  read(summary) {
    const stands = summary && JSON.stringify([summary.summary_id, summary.review_state, summary.reviewed_at]);
    if (stands && stands === this.#text?.stands) return;
    this.#text = summary && { id: summary.summary_id, stands, since: performance.now() };
    this.#look();
  }

  /** The film of this summary has been painted. */
  painted(id, sha256) {
    this.#film = { id, sha256, at: new Date().toISOString(), since: performance.now() };
    this.#trouble = null;
    this.#look();
  }

  /** It has not, and will not be for now. */
  unseen(id, why) {
    this.#trouble = { id, why };
    this.#look();
  }

  /** Nothing is on the desk any more. */
  clear() {
    this.#text = this.#film = this.#trouble = null;
    this.#look();
  }

  /** What was seen of the film of this summary, as the gateway keeps it; nothing if it was not. */
  seen(id) {
    if (this.#film?.id !== id) return {};
    const { sha256, at, since } = this.#film;
    return { painted_at: at, shown_ms: Math.round(performance.now() - since), ...(sha256 ? { image_sha256: sha256 } : {}) };
  }

  /** Whether the film of this summary is on the screen. */
  shows(id) {
    return this.#film?.id === id;
  }

  get ready() {
    return this.#wait() <= 0;
  }

  /** Why a signature does not count, as a sentence; empty while it does, or will in a moment. */
  get why() {
    if (!this.#text || this.shows(this.#text.id)) return "";
    return this.#trouble?.id === this.#text.id ? `${this.#trouble.why} ${t("What cannot be seen cannot be signed.")}` : NOT_YET;
  }

  /** The reader wants to sign: whether that counts. A press too soon after a signature puts the next one off. */
  press() {
    const ready = this.ready;
    if (ready || performance.now() < this.#apart) {
      this.#apart = performance.now() + APART_MS;
      this.#look();
    }
    return ready;
  }

  /** Milliseconds until a signature counts. */
  #wait() {
    if (!this.#text || !this.shows(this.#text.id)) return Infinity;
    return Math.max(this.#film.since + LOOK_MS, this.#text.since + LOOK_MS, this.#apart) - performance.now();
  }

  #again() {
    for (const one of [this.#text, this.#film]) if (one) one.since = performance.now();
    this.#look();
  }

  #look() {
    clearTimeout(this.#timer);
    const wait = this.#wait();
    if (wait > 0 && wait < Infinity) this.#timer = setTimeout(() => this.#look(), Math.ceil(wait));
    this.changed();
  }
}
