/** The review history of a study, act by act; acts that were taken back stay in sight. */

import { diffed } from "./diff.js";
import { h, named } from "./dom.js";
import { t } from "./language.js";
import { phrase } from "./phrase.js";
import { reasonOf } from "./rejecting.js";
import { canonical } from "./sections.js";
import { keyId, reader } from "./session.js";
import { exact, moment } from "./time.js";
import { ACTS, NOTICE } from "./words.js";

/** The acts on one summary that stand, the last one on top; an act that was undone goes, and so does what undid it. */
export function standing(reviews, summaryId) {
  const kept = [];
  for (const one of reviews) {
    if (one.summary_id !== summaryId) continue;
    if (one.action === "undone") kept.pop();
    else kept.push(one);
  }
  return kept.slice(kept.findLastIndex((one) => one.action === "draft") + 1);
}

/** Whether this reader did it: with this very key, and in its own name. */
export const mine = (review) => review.key_id !== null && review.key_id === keyId() && review.reviewer === reader();

/** The last correction of this summary that does not stand (any more); null if there is none. */
export function takenBack(reviews, summary) {
  const texts = reviews.filter((one) => one.summary_id === summary.summary_id && one.action === "edited");
  const last = texts.at(-1);
  return last && last.text !== summary.summary ? last : null;
}

/** The last act on this summary; null if there is none. */
export const lastAct = (reviews, summaryId) => reviews.findLast((one) => one.summary_id === summaryId) ?? null;

/** Every act on the study's summaries, the newest summary first; null if there is none. */
export function said({ reviews, summary }) {
  if (!reviews.length) return null;
  const groups = new Map();
  for (const one of reviews) groups.set(one.summary_id, [...(groups.get(one.summary_id) ?? []), one]);
  const parts = [...groups].reverse().flatMap(([id, acts]) => [
    id !== summary?.summary_id && h("h3", {}, t("About an earlier draft")),
    h("ol", {}, ...acts.map((one) => act(one))),
  ]);
  const noticed = { notice: NOTICE };
  const edited = reviews.some((one) => one.action === "edited");
  return h(
    "section",
    { class: "said", "aria-label": t("Review history") },
    h("h2", {}, t("Review history")),
    ...parts,
    edited && h("p", { class: "muted small" }, t("Struck out: the draft's words ({notice}). Underlined: the reader's.", noticed)),
  );
}

function act(one) {
  const through = one.key_name !== null && one.key_name !== one.reviewer;
  const values = {
    act: h("strong", {}, ACTS[one.action]),
    by: named(one.reviewer),
    key: through && named(one.key_name),
    at: h("time", { datetime: one.at, title: exact(one.at) }, moment(one.at)),
  };
  const says = through ? phrase("{act} by {by} (signed by {key}), {at}", values) : phrase("{act} by {by}, {at}", values);
  return h(
    "li",
    { "data-action": one.action },
    h("p", {}, ...says),
    one.reason && h("p", { class: "reason" }, t("Reason: {reason}", { reason: reasonOf(one.reason) })),
    one.action === "edited" && changed(one.draft, one.text),
  );
}

/** The signed text with what it changed of the draft. */
function changed(draft, text) {
  return h("p", { class: "text diff" }, ...diffed(canonical(draft), text));
}
