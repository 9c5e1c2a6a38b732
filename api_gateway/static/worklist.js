/** The lists: what waits, what was signed, what is on its way. Rows keep their place and their focus when they refresh. */

import * as api from "./api.js";
import { fill, h, toast } from "./dom.js";
import { rowOf } from "./row.js";
import { exact } from "./time.js";
import { LANES, NOTICE, OPEN, UNREAD } from "./words.js";

const REFRESH_MS = 15_000;
const PAGE = 50;
// A filter may look at thousands of studies and find none: so many looks in one go, then the reader decides.
const LOOKS = 5;
const MOST_REFRESHED = 200;

export const LISTS = {
  awaiting: { title: "To review", filters: { list: "awaiting" }, empty: "Nothing waits for a review." },
  signed: { title: "Signed", filters: { list: "signed" }, empty: "Nothing was signed yet." },
  progress: { title: "In progress", filters: { list: "all", state: OPEN }, empty: "Nothing is on its way." },
  unread: { title: "Not summarised", filters: { list: "all", state: UNREAD }, empty: "No study ended without a draft." },
  all: { title: "All", filters: { list: "all" }, empty: "No study has arrived yet." },
};

export class Worklist {
  #rows = new Map(); // study id -> {data, item}, in the order shown
  #next = null;
  #name = "awaiting";
  #lane = "";
  #asked = 0; // answers to superseded requests are dropped
  #timer = 0;

  /** `counted` is called with the number of drafts that wait in each lane. */
  constructor(counted) {
    this.counted = counted;
    this.items = h("ol", { class: "rows", "aria-label": "Studies" });
    this.state = h("p", { class: "state", role: "status" });
    this.fresh = h("span", { class: "fresh muted" });
    this.more = h("button", { type: "button", class: "button more", hidden: true, click: () => this.extend() }, "Show more");
    this.lane = h(
      "select",
      { "aria-label": "Lane", change: () => this.#filter(this.lane.value) },
      ...[["", "All lanes"], ...Object.entries(LANES)].map(([value, text]) => h("option", { value }, text)),
    );
    this.heading = h("h1", {});
    this.element = h(
      "section",
      { class: "worklist", "aria-label": "Worklist" },
      h("div", { class: "bar" }, this.heading, this.lane, h("span", { class: "notice small" }, NOTICE), this.fresh),
      this.items,
      this.state,
      this.more,
    );
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  get name() {
    return this.#name;
  }

  /** Show a list, from its beginning if it is another one. */
  show(name) {
    if (name === this.#name && this.#rows.size) return this.refresh();
    this.#name = name;
    return this.#begin();
  }

  #filter(lane) {
    this.#lane = lane;
    return this.#begin();
  }

  #begin() {
    this.#rows.clear();
    fill(this.items);
    this.#next = null;
    this.more.hidden = true;
    this.state.textContent = "Looking …";
    return this.refresh();
  }

  /** Fetch as much as is shown; what is new comes in, what is gone goes, everything else stays where it is. */
  async refresh() {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    this.heading.textContent = LISTS[this.#name].title;
    try {
      const wanted = Math.min(Math.max(this.#rows.size, PAGE), MOST_REFRESHED);
      const { rows, next } = await this.#gather(wanted, null);
      if (asked !== this.#asked) return;
      // Pages beyond what is refreshed stay as they were.
      const beyond = this.#rows.size > MOST_REFRESHED ? [...this.#rows.values()].slice(MOST_REFRESHED) : [];
      if (!beyond.length) this.#next = next;
      this.#put([...rows, ...beyond.map((row) => row.data)]);
      this.fresh.textContent = `${exact(Date.now()).split(", ").at(-1)}`;
      this.fresh.classList.remove("bad");
    } catch (error) {
      if (asked !== this.#asked || error.status === 401) return;
      this.fresh.textContent = error.message;
      this.fresh.classList.add("bad");
      if (!this.#rows.size) this.state.textContent = "";
    }
    if (asked === this.#asked) this.#timer = setTimeout(() => document.hidden || this.refresh(), REFRESH_MS);
  }

  /** The next page below the last row. */
  async extend() {
    if (!this.#next) return;
    const asked = ++this.#asked;
    try {
      const { rows, next } = await this.#gather(PAGE, this.#next);
      if (asked !== this.#asked) return;
      this.#next = next;
      this.#put([...[...this.#rows.values()].map((row) => row.data), ...rows]);
    } catch (error) {
      if (error.status !== 401) toast(error.message, { kind: "bad" });
    }
    this.#timer = setTimeout(() => document.hidden || this.refresh(), REFRESH_MS);
  }

  /** Not to be asked again until it is shown. */
  rest() {
    clearTimeout(this.#timer);
    this.#asked++;
  }

  async #gather(wanted, cursor) {
    const rows = [];
    let next = cursor;
    for (let looks = 0; looks < LOOKS && rows.length < wanted; looks++) {
      const page = await api.studies({
        ...LISTS[this.#name].filters,
        lane: this.#lane,
        limit: wanted - rows.length,
        cursor: next,
      });
      if (!looks && !cursor) this.counted(page.awaiting);
      rows.push(...page.studies);
      next = page.next;
      if (!next) break;
    }
    return { rows, next };
  }

  #put(rows) {
    const now = new Map();
    for (const data of rows) {
      const known = this.#rows.get(data.study_id);
      const item = known?.item ?? h("li", {});
      if (!known || JSON.stringify(known.data) !== JSON.stringify(data)) this.#draw(item, data);
      now.set(data.study_id, { data, item });
    }
    for (const [id, { item }] of this.#rows) if (!now.has(id)) item.remove();
    this.#rows = now;
    let place = this.items.firstElementChild;
    for (const { item } of now.values()) {
      if (item === place) place = place.nextElementSibling;
      else this.items.insertBefore(item, place);
    }
    this.more.hidden = !this.#next;
    this.state.textContent = now.size ? "" : this.#next ? "None among the last studies looked at." : LISTS[this.#name].empty;
    this.tick();
  }

  #draw(item, data) {
    const focused = item.contains(document.activeElement);
    const link = rowOf(data, this.#name);
    if (item.firstChild?.getAttribute("aria-current")) link.setAttribute("aria-current", "true");
    fill(item, link);
    if (focused) link.focus();
  }

  /** Bring the waiting times up to date. */
  tick() {
    for (const { item } of this.#rows.values()) item.firstChild.tick();
  }

  /** Mark the study that is open on the desk. */
  mark(studyId) {
    for (const [id, { item }] of this.#rows) {
      if (id === studyId) item.firstChild.setAttribute("aria-current", "true");
      else item.firstChild.removeAttribute("aria-current");
    }
  }

  /** The study after (or with -1 before) this one, or null. */
  beside(studyId, step) {
    const ids = [...this.#rows.keys()];
    const place = ids.indexOf(studyId);
    return place < 0 ? null : (ids[place + step] ?? null);
  }

  /** The next one to read after this one was signed: below it, else above it. */
  following(studyId) {
    const waits = [...this.#rows.keys()].filter((id) => id === studyId || this.#rows.get(id).data.review_state === "draft");
    const place = waits.indexOf(studyId);
    return place < 0 ? null : (waits[place + 1] ?? waits.find((id) => id !== studyId) ?? null);
  }

  /** Take a study off the list of what waits at once, without waiting for the next refresh. */
  signed(studyId) {
    const row = this.#rows.get(studyId);
    if (row && this.#name === "awaiting") {
      row.item.remove();
      this.#rows.delete(studyId);
    }
  }

  /** Move the focus by so many rows; without one it goes to the first, or to the given study. */
  focus(step, studyId = null) {
    const links = [...this.items.querySelectorAll("a")];
    const here = links.indexOf(document.activeElement);
    const wanted = studyId ? links.find((link) => link.dataset.study === studyId) : null;
    (wanted ?? links[Math.min(Math.max(here + step, 0), links.length - 1)])?.focus();
  }
}
