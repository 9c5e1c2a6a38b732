/** One study in a list: a row that opens it, with a link in it, so that a middle click does what it does everywhere. */

import { chips } from "./chips.js";
import { h, named } from "./dom.js";
import { searched } from "./identity.js";
import { t } from "./language.js";
import { thumbnail } from "./thumbs.js";
import { day, exact, moment, since } from "./time.js";
import { DOUBTS, flag, LANES, OPEN, REASONS, REVIEWS, STATES } from "./words.js";

/** Fill a row with its study; its `tick` brings the time shown up to date. */
export function drawRow(row, data, list, box) {
  const waits = OPEN.includes(data.state) || data.review_state === "draft";
  const from = (list === "awaiting" && data.summarised_at) || data.received_at; // what the list is ordered by
  const title =
    t("Received {when}", { when: exact(data.received_at) }) +
    (data.summarised_at ? `, ${t("draft of {when}", { when: exact(data.summarised_at) })}` : "");
  const waited = h("time", { datetime: from, title });
  const doubted = data.flags.some((code) => DOUBTS.has(code));
  const standing = { class: doubted ? "standing doubted" : "standing", "data-state": data.review_state ?? data.state };
  const picture = row.querySelector(".thumb[data-of]") ?? (data.picture ? thumbnail(data.study_id) : h("span", { class: "thumb none" }));
  row.className = `row lane-${data.lane}${waits ? " waits" : ""}`;
  row.replaceChildren(
    cell("chosen", box),
    cell("lane", h("span", { class: `lane ${data.lane}` }, LANES[data.lane])),
    cell("waited", waited),
    cell("acquired", acquired(data), h("span", { class: "number" }, searched(data.study_id))),
    cell("picture", h("span", { class: "film-of" }, picture, kind(data))),
    cell("findings", ...chips(data)),
    cell("words", opening(data), h("span", { class: "flags" }, ...flags(data))),
    cell("standing", h("span", standing, ...stands(data, list)), ...people(data)),
  );
  row.tick = () => (waited.textContent = waits ? since(from) : moment(from));
}

const cell = (name, ...children) => h("td", { role: "gridcell", class: `c-${name}` }, ...children);

function acquired(data) {
  if (data.acquired_on === null) return h("span", { class: "muted", title: t("The film does not say when it was taken") }, "–");
  return h("time", { datetime: data.acquired_on }, day(data.acquired_on));
}

function kind({ view, modality, images }) {
  const more = images > 1 ? t("{count} images", { count: images }) : null;
  return h("span", { class: "view" }, [view ?? "–", modality, more].filter(Boolean).join(" · "));
}

function opening(data) {
  const words = data.opening ?? (data.reason_code ? REASONS[data.reason_code] : STATES[data.state][1]);
  return h("a", { class: data.opening ? "opening" : "opening muted", href: `#/study/${data.study_id}`, tabindex: -1 }, words || "–");
}

function flags(data) {
  const codes = data.supersedes_reviewed ? ["supersedes_reviewed", ...data.flags] : data.flags;
  return codes.map((code) => {
    const [title, meaning, tone] = flag(code);
    return h("span", { class: `flag ${tone}`, title: meaning }, title);
  });
}

function stands(data, list) {
  if (OPEN.includes(data.state) || !data.review_state) return [STATES[data.state][0]];
  if (data.review_state === "draft") return [list === "awaiting" ? "" : REVIEWS.draft];
  return [`${REVIEWS[data.review_state]} · `, named(data.reviewed_by), `, ${moment(data.reviewed_at)}`];
}

const overruled = ({ review_state: state }) =>
  state === "draft" ? t("your signature was taken back by") : t("your review was changed by");

function people(data) {
  return [
    data.withdrawn_by && h("span", { class: "withdrawn" }, overruled(data), " ", named(data.withdrawn_by)),
    data.read_by &&
      h("span", { class: "being-read" }, h("span", { "aria-hidden": "true" }, "◉ "), t("being read by"), " ", named(data.read_by)),
    data.assigned_to && h("span", { class: data.mine ? "assigned mine" : "assigned" }, ...whose(data)),
  ];
}

const whose = (data) => (data.mine ? [t("assigned to you")] : [t("assigned to"), " ", named(data.assigned_to)]);
