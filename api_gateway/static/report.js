/** The draft as it is read: its text, what to know about it, and where it came from. */

import * as api from "./api.js";
import { button, fill, folded, h, named } from "./dom.js";
import { exact, moment } from "./time.js";
import { drop, unsavedAbout } from "./unsaved.js";
import { DOUBTS, flag, NOTICE, REVIEWS, step } from "./words.js";

/** The notice that stands with every text of the model. */
export const notice = () => h("p", { class: "notice" }, NOTICE);

/** Findings and impression where the text has them, else the text as it is. */
export function textOf(summary) {
  const sections = [
    ["Findings", summary.findings],
    ["Impression", summary.impression],
  ].filter(([, text]) => text);
  const text = sections.length
    ? sections.flatMap(([title, words]) => [h("h3", {}, title), h("p", {}, words)])
    : [h("p", {}, summary.summary)];
  // Of a corrected text only what still stands in it.
  const said = sections.map(([, words]) => words).join(" ") || summary.summary;
  const stands = ({ one, other }) => summary.review_state === "draft" || said.includes(one) || said.includes(other);
  return h("div", { class: "text" }, ...text, contradictions(summary.consistency.filter(stands)));
}

/** The sentences that contradict each other, quoted; null where none do. */
export function contradictions(found) {
  if (!found?.length) return null;
  return h(
    "ul",
    { class: "contradictions", "aria-label": "Contradictions" },
    ...found.map(({ one, other }) => h("li", {}, h("q", {}, one), " contradicts ", h("q", {}, other))),
  );
}

/** That a text is about a film outside of its model's scope, and what the model was made for; null if it is not. */
export function beyondScope(text) {
  if (!text?.flags?.includes("out_of_scope")) return null;
  const { says = "", card = null } = text.scope ?? {};
  const linked = /^https?:\/\//.test(card ?? "");
  return h(
    "p",
    { class: "beyond", role: "note" },
    h("strong", {}, "Outside the model's scope."),
    ` ${says} `,
    linked ? h("a", { href: card, target: "_blank", rel: "noopener noreferrer" }, "Model card") : card && `Model card: ${card}.`,
  );
}

/** Whether something about film or text keeps this draft from being signed like any other. */
export const doubted = (study) => [...study.flags, ...(study.summary?.flags ?? [])].some((code) => DOUBTS.has(code));

/** What a reader must know about the film, each with a sentence. */
export function flagsOf(study, summary) {
  const codes = new Set([...(summary?.flags ?? []), ...study.flags]);
  codes.delete("out_of_scope"); // it has a banner of its own
  if (!codes.size) return null;
  const items = [...codes].map(flag).map(([title, meaning, tone]) =>
    h("li", { class: tone }, h("strong", {}, title), meaning && ` ${meaning}`),
  );
  return h("ul", { class: "cautions", "aria-label": "What to know about this film" }, ...items);
}

/** The standing review, with name and time; null for a draft. A doubtful text is never green. */
export function signature(summary, doubtful = summary.flags.some((code) => DOUBTS.has(code))) {
  if (summary.review_state === "draft") return null;
  return h(
    "p",
    { class: `signature ${summary.review_state}${doubtful ? " doubted" : ""}` },
    h("strong", {}, REVIEWS[summary.review_state]),
    " by ",
    named(summary.reviewed_by),
    ", ",
    h("time", { datetime: summary.reviewed_at, title: exact(summary.reviewed_at) }, moment(summary.reviewed_at)),
  );
}

/** The text that was signed before a newer draft superseded it. */
export function earlier(reviewed) {
  return h(
    "section",
    { class: "earlier", "aria-label": "Earlier signed version" },
    h("h2", {}, "Earlier signed version"),
    signature(reviewed),
    beyondScope(reviewed),
    textOf(reviewed),
  );
}

/** What this reader was writing about earlier drafts of the study, until it is discarded. */
export function rescued({ study_id: study, summary }) {
  const lost = unsavedAbout(study).filter(([id]) => id !== summary?.summary_id);
  return lost.map(([id, text]) => {
    const discard = button("Discard it", () => {
      drop(id);
      section.remove();
    });
    const section = h(
      "section",
      { class: "earlier", "aria-label": "Your unsaved correction" },
      h("h2", {}, "Your unsaved correction of the earlier draft"),
      h("p", { class: "text" }, text),
      discard,
    );
    return section;
  });
}

/** The model's own text under a correction. */
export function original(summary) {
  const place = h("div", {}, "…");
  return folded("What the model wrote", place, async () => {
    try {
      const found = await api.origin(summary.summary_id);
      fill(place, notice(), beyondScope(found), h("p", { class: "text" }, found.text), contradictions(found.consistency));
    } catch (error) {
      fill(place, error.message);
    }
  });
}

/** Which model wrote this from which image, folded away. */
export function provenance(summary) {
  const facts = [
    ["Written", exact(summary.summarised_at)],
    ["Model bundle", summary.bundle],
    ["Bundle SHA-256", summary.bundle_sha256],
    ["Summary", summary.summary_id],
    ["Made for", [summary.scope.made_for, summary.scope.says].filter(Boolean).join(": ")],
    ...summary.scope.validated_on.map((figure) => ["Measured", measurement(figure)]),
    ["Lease epoch", String(summary.lease_epoch)],
    ...Object.entries(summary.provenance)
      .filter(([name]) => name !== "scope")
      .map(([name, value]) => [
        step(name),
        typeof value === "object" && value !== null ? JSON.stringify(value) : String(value),
      ]),
  ];
  return folded(
    "Where this text comes from",
    h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  );
}

function measurement({ name, n, metric, value, interval: [low, high], ...controls }) {
  const beside = [
    ["the texts beside another film", controls.swapped],
    ["one text for all", controls.most_frequent],
  ].filter(([, control]) => control != null);
  const compared = beside.map(([what, control]) => `; ${what} ${control}`).join("");
  return `${name}: ${metric} ${value} (${low} to ${high}), n = ${n}${compared}`;
}

/** Every step of the study, fetched when it is opened; at once with `open`. */
export function history(studyId, open = false) {
  const list = h("ol", { class: "steps" }, h("li", {}, "…"));
  const details = folded("History", list, async () => {
    try {
      const { steps } = await api.timeline(studyId);
      fill(
        list,
        ...steps.map((one) =>
          h(
            "li",
            {},
            h("time", { datetime: one.at }, exact(one.at)),
            h("span", {}, step(one.what)),
            one.detail?.key && h("span", { class: "muted" }, `by ${one.who}`),
            one.attempt > 1 && h("span", { class: "muted" }, `attempt ${one.attempt}`),
          ),
        ),
      );
    } catch (error) {
      fill(list, h("li", {}, error.message));
    }
  });
  details.open = open;
  return details;
}
