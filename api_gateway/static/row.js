/** One study in a list: a link, so that Tab, Enter and a middle click do what they do everywhere. */

import { h, named } from "./dom.js";
import { exact, moment, since } from "./time.js";
import { DOUBTS, flag, LANES, OPEN, REASONS, REVIEWS, STATES } from "./words.js";

/** The link of a row; its `tick` brings the time shown up to date. */
export function rowOf(data, list) {
  const from = (list === "awaiting" && data.summarised_at) || data.received_at; // what the list is ordered by
  const title = `Received ${exact(data.received_at)}` + (data.summarised_at ? `, draft of ${exact(data.summarised_at)}` : "");
  const waited = h("time", { class: "waited", datetime: from, title });
  const doubted = data.flags.some((code) => DOUBTS.has(code));
  const link = h(
    "a",
    { class: `row lane-${data.lane}`, href: `#/study/${data.study_id}`, "data-study": data.study_id },
    h("span", { class: `lane ${data.lane}` }, LANES[data.lane]),
    waited,
    h("span", { class: "view" }, data.view ?? "–"),
    h("span", { class: data.opening ? "opening" : "opening muted" }, opening(data)),
    h("span", { class: "flags" }, ...flags(data)),
    h("span", { class: doubted ? "standing doubted" : "standing", "data-state": data.review_state ?? data.state }, standing(data, list)),
  );
  link.tick = () => (waited.textContent = since(from));
  return link;
}

function opening(data) {
  if (data.opening) return data.opening;
  return data.reason_code ? REASONS[data.reason_code] : STATES[data.state][1];
}

function flags(data) {
  const codes = data.supersedes_reviewed ? ["supersedes_reviewed", ...data.flags] : data.flags;
  return codes.map((code) => {
    const [title, meaning, tone] = flag(code);
    return h("span", { class: `flag ${tone}`, title: meaning }, title);
  });
}

function standing(data, list) {
  if (OPEN.includes(data.state)) return STATES[data.state][0];
  if (!data.review_state) return STATES[data.state][0];
  if (data.review_state === "draft") return list === "awaiting" ? "" : REVIEWS.draft;
  return [`${REVIEWS[data.review_state]} · `, named(data.reviewed_by), `, ${moment(data.reviewed_at)}`];
}
