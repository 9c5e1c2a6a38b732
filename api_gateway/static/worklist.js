/** The lists: what waits, what was signed, what is on its way. Rows keep their place and their focus when they refresh. */

import * as api from "./api.js";
import { heads, ORDERS } from "./columns.js";
import { button, fill, h, toast } from "./dom.js";
import { Filters } from "./filters.js";
import { t } from "./language.js";
import { drawRow } from "./row.js";
import { Selection } from "./selection.js";
import { release } from "./thumbs.js";
import { exact } from "./time.js";
import { NOTICE, OPEN, UNREAD } from "./words.js";

const REFRESH_MS = 15_000;
const PAGE = 50;
// A filter may look at thousands of studies and find none: so many looks in one go, then the reader decides.
const LOOKS = 5;
const MOST_REFRESHED = 200;

export const LISTS = {
  awaiting: { title: t("To review"), filters: { list: "awaiting" }, empty: t("Nothing waits for a review.") },
  signed: { title: t("Signed"), filters: { list: "signed" }, empty: t("Nothing was signed yet.") },
  progress: { title: t("In progress"), filters: { list: "all", state: OPEN }, empty: t("Nothing is on its way.") },
  unread: { title: t("Not summarised"), filters: { list: "all", state: UNREAD }, empty: t("No study ended without a draft.") },
  all: { title: t("All"), filters: { list: "all" }, empty: t("No study has arrived yet.") },
};

export class Worklist {
  #rows = new Map(); // study id -> {data, row}, in the order shown
  #next = null;
  #name = "awaiting";
  #shown = null; // what the rows were asked for with
  #order = {};
  #asked = 0; // answers to superseded requests are dropped
  #timer = 0;
  #place = null; // the row that Tab leads to

  /** `counted` is called with the number of drafts that wait in each lane, `open` with the study of a row. */
  constructor(counted, open) {
    this.counted = counted;
    this.open = open;
    this.filters = new Filters(() => this.#turn(), () => this.#begin());
    this.selection = new Selection(() => [...this.#rows.keys()], () => this.refresh());
    this.heads = heads(this.selection.all, (order, descending) => this.#turn({ order, descending }));
    this.items = h("tbody", { role: "rowgroup" });
    this.table = h(
      "table",
      { class: "rows", role: "grid", "aria-label": t("Studies"), "aria-multiselectable": "true" },
      this.heads.element,
      this.items,
    );
    this.table.addEventListener("click", (event) => this.#clicked(event));
    this.table.addEventListener("keydown", (event) => this.#pressed(event));
    this.items.addEventListener("focusin", (event) => this.#lead(event.target.closest("tr")));
    this.state = h("p", { class: "state", role: "status" });
    this.fresh = h("span", { class: "fresh muted" });
    this.more = h("button", { type: "button", class: "button more", hidden: true, click: () => this.extend() }, t("Show more"));
    this.heading = h("h1", {});
    this.element = h(
      "section",
      { class: "worklist", "aria-label": t("Worklist") },
      h("div", { class: "bar" }, this.heading, h("span", { class: "notice small" }, NOTICE), this.fresh),
      this.filters.element,
      this.selection.element,
      this.table,
      this.state,
      this.more,
    );
    document.addEventListener("visibilitychange", () => document.hidden || !this.element.isConnected || this.refresh());
  }

  get name() {
    return this.#name;
  }

  /** Where this list stands, with its filters and its order: the part of the address behind #/. */
  get address() {
    const query = this.filters.address();
    const [own] = Object.keys(ORDERS[this.#listing]);
    const { order, descending } = this.#order;
    if (order && (order !== own || descending !== ORDERS[this.#listing][own])) {
      query.set("sort", order);
      if (descending !== ORDERS[this.#listing][order]) query.set("turned", "1");
    }
    return query.size ? `${this.#name}?${query}` : this.#name;
  }

  get #listing() {
    return LISTS[this.#name].filters.list;
  }

  /** Show a list as an address asks for it, from its beginning if it is another one. */
  show(name, query = "") {
    const same = name === this.#name;
    this.#name = name;
    const asked = new URLSearchParams(query);
    const orders = ORDERS[this.#listing];
    const order = Object.hasOwn(orders, asked.get("sort")) ? asked.get("sort") : Object.keys(orders)[0];
    this.#order = { order, descending: orders[order] !== (asked.get("turned") === "1") };
    this.filters.read(asked, name);
    if (same && this.#rows.size && this.#shown === this.#wanted()) return this.refresh();
    return this.#begin();
  }

  /** Another choice or order: the address says so, and shows it. */
  #turn(order = this.#order) {
    this.#order = order;
    if (location.hash === `#/${this.address}`) this.#begin();
    else location.hash = `#/${this.address}`;
  }

  #wanted() {
    return JSON.stringify(this.#search());
  }

  #search() {
    return { ...LISTS[this.#name].filters, ...this.#order, ...this.filters.search() };
  }

  #begin() {
    this.#shown = this.#wanted();
    release(this.items);
    this.#rows.clear();
    fill(this.items);
    this.selection.clear();
    this.#next = null;
    this.more.hidden = true;
    this.state.textContent = t("Looking …");
    this.heads.show(this.#listing, this.#order.order, this.#order.descending);
    this.filters.count(this.#search());
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
      this.fresh.textContent = t("updated {time}", { time: exact(Date.now()).split(", ").at(-1) });
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
    const search = this.#search();
    for (let looks = 0; looks < LOOKS && rows.length < wanted; looks++) {
      const page = await api.studies({ ...search, limit: wanted - rows.length, cursor: next });
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
      const row = known?.row ?? h("tr", { role: "row", "data-study": data.study_id, "aria-selected": "false", tabindex: -1 });
      if (!known || JSON.stringify(known.data) !== JSON.stringify(data)) this.#draw(row, data);
      now.set(data.study_id, { data, row });
    }
    for (const [id, { row }] of this.#rows) if (!now.has(id)) (release(row), row.remove());
    this.#rows = now;
    let place = this.items.firstElementChild;
    for (const { row } of now.values()) {
      if (row === place) place = place.nextElementSibling;
      else this.items.insertBefore(row, place);
    }
    this.table.hidden = !now.size;
    this.more.hidden = !this.#next;
    this.#say();
    this.selection.keep();
    if (!this.#place?.isConnected) this.#lead(this.items.firstElementChild);
    this.tick();
  }

  /** What to read where there are no rows. */
  #say() {
    if (this.#rows.size) fill(this.state);
    else if (this.#next) fill(this.state, t("None among the last studies looked at."));
    else if (!this.filters.any) fill(this.state, LISTS[this.#name].empty);
    else fill(this.state, t("None with these filters."), " ", button(t("Clear filters"), () => this.filters.clear()));
  }

  #draw(row, data) {
    drawRow(row, data, this.#name, this.selection.box(data.study_id));
  }

  #clicked(event) {
    const row = event.target.closest("tr[data-study]");
    if (!row || event.target.closest("input, a, button")) return;
    if (event.target.closest(".c-chosen")) this.selection.choose(row.dataset.study, undefined, event.shiftKey);
    else this.open(row.dataset.study);
  }

  #pressed(event) {
    if (event.key !== "Enter" || !event.target.matches("tr[data-study]")) return;
    event.preventDefault();
    this.open(event.target.dataset.study);
  }

  /** Tab leads to one row, and from there arrows lead to the others. */
  #lead(row) {
    if (!row || row === this.#place) return;
    if (this.#place) this.#place.tabIndex = -1;
    row.tabIndex = 0;
    this.#place = row;
  }

  /** Choose the row in focus. */
  choose() {
    const row = document.activeElement?.closest("tr[data-study]");
    if (row) this.selection.choose(row.dataset.study);
  }

  /** Bring the waiting times up to date. */
  tick() {
    for (const { row } of this.#rows.values()) row.tick();
  }

  /** Mark the study that is open on the desk. */
  mark(studyId) {
    for (const [id, { row }] of this.#rows) {
      if (id === studyId) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
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
    const known = this.#rows.get(studyId);
    if (known && this.#name === "awaiting") {
      release(known.row);
      known.row.remove();
      this.#rows.delete(studyId);
    }
  }

  /** Move the focus by so many rows; without one it goes to the first, or to the given study. */
  focus(step, studyId = null) {
    const rows = [...this.#rows.values()].map(({ row }) => row);
    const here = rows.indexOf(document.activeElement?.closest("tr[data-study]"));
    const wanted = studyId ? this.#rows.get(studyId)?.row : null;
    (wanted ?? rows[Math.min(Math.max(here + step, 0), rows.length - 1)])?.focus();
  }
}
