/** The draft as it is read: its text, what to know about it, and where it came from. */

import * as api from "./api.js";
import { button, fill, folded, h, named } from "./dom.js";
import { linesOf } from "./findings.js";
import { t } from "./language.js";
import { pieces } from "./marked.js";
import { phrase } from "./phrase.js";
import { apart } from "./sections.js";
import { exact, moment } from "./time.js";
import { drop, unsavedAbout } from "./unsaved.js";
import { DOUBTS, flag, NOTICE, REVIEWS, step } from "./words.js";

/** The notice that stands with every text of the model. */
export const notice = () => h("p", { class: "notice" }, NOTICE);

/** The same until a person signed the text: then who, and that it came of a draft. */
export function standingNotice(summary) {
  const signed = ["accepted", "edited"].includes(summary?.review_state);
  if (!signed) return notice();
  const values = { by: named(summary.reviewed_by), at: moment(summary.reviewed_at) };
  return h("p", { class: "notice signed" }, ...phrase("Signed by {by}, {at}, based on an AI draft", values));
}

const TITLES = { findings: t("Findings"), impression: t("Impression") };

/** Findings and impression where the text has them, else the text as it is; `found` are the findings named in it. */
export function textOf(summary, found = [], heading = "h3") {
  const parts = partsOf(summary);
  const lines = linesOf(summary.summary, found);
  const shown = (part) => h("p", {}, ...(part.from === null ? [part.text] : pieces(part, lines)));
  const text = parts.flatMap((part) => [TITLES[part.name] && h(heading, {}, TITLES[part.name]), shown(part)]);
  // Of a corrected text only what still stands in it.
  const said = parts.map((part) => part.text).join(" ");
  const stands = ({ one, other }) => summary.review_state === "draft" || said.includes(one) || said.includes(other);
  return h("div", { class: "text" }, ...text, contradictions(summary.consistency.filter(stands)));
}

/** Of a text without headings of its own, the sections that the gateway has: they have no place in the text. */
function partsOf({ summary, findings, impression }) {
  const parts = apart(summary);
  if (parts[0].name !== "text" || !(findings || impression)) return parts;
  const sections = [["findings", findings], ["impression", impression]];
  return sections.filter(([, text]) => text).map(([name, text]) => ({ name, text, from: null }));
}

/** The sentences that contradict each other, quoted; null where none do. */
export function contradictions(found) {
  if (!found?.length) return null;
  return h(
    "ul",
    { class: "contradictions", "aria-label": t("Contradictions") },
    ...found.map((pair) =>
      h("li", {}, ...phrase("{one} contradicts {other}", { one: h("q", {}, pair.one), other: h("q", {}, pair.other) })),
    ),
  );
}

/** That a text is about a film outside of its model's scope, and what the model was made for; null if it is not. */
export function beyondScope(text) {
  if (!text?.flags?.includes("out_of_scope")) return null;
  const { says = "", card = null } = text.scope ?? {};
  const linked = /^https?:\/\//.test(card ?? "");
  const link = () => h("a", { href: card, target: "_blank", rel: "noopener noreferrer" }, t("Model card"));
  return h(
    "p",
    { class: "beyond", role: "note" },
    h("strong", {}, t("Outside the model's scope.")),
    ` ${says} `,
    linked ? link() : card && t("Model card: {card}.", { card }),
  );
}

/** The sentence for a text that its model could not end. */
export function cutOff(text) {
  if (!text?.flags?.includes("cut_off")) return null;
  const [title, meaning] = flag("cut_off");
  return h("p", { class: "beyond", role: "note" }, h("strong", {}, `${title}.`), ` ${meaning}`);
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
  return h("ul", { class: "cautions", "aria-label": t("What to know about this film") }, ...items);
}

/** The standing review, with name and time; null for a draft. A doubtful text is never green. */
export function signature(summary, doubtful = summary.flags.some((code) => DOUBTS.has(code))) {
  if (summary.review_state === "draft") return null;
  return h(
    "p",
    { class: `signature ${summary.review_state}${doubtful ? " doubted" : ""}` },
    ...phrase("{act} by {by}, {at}", {
      act: h("strong", {}, REVIEWS[summary.review_state]),
      by: named(summary.reviewed_by),
      at: h("time", { datetime: summary.reviewed_at, title: exact(summary.reviewed_at) }, moment(summary.reviewed_at)),
    }),
  );
}

/** The text that was signed before a newer draft superseded it. */
export function earlier(reviewed) {
  return h(
    "section",
    { class: "earlier", "aria-label": t("Earlier signed version") },
    h("h2", {}, t("Earlier signed version")),
    signature(reviewed),
    beyondScope(reviewed),
    textOf(reviewed),
  );
}

/** What this reader was writing about earlier drafts of the study, until it is discarded. */
export function rescued({ study_id: study, summary }) {
  const lost = unsavedAbout(study).filter(([id]) => id !== summary?.summary_id);
  return lost.map(([id, text]) => {
    const discard = button(t("Discard it"), () => {
      drop(id);
      section.remove();
    });
    const section = h(
      "section",
      { class: "earlier", "aria-label": t("Your unsaved correction") },
      h("h2", {}, t("Your unsaved correction of the earlier draft")),
      h("p", { class: "text" }, text),
      discard,
    );
    return section;
  });
}

/** The model's own text under a correction. */
export function original(summary) {
  const place = h("div", {}, "…");
  return folded(t("What the model wrote"), place, async () => {
    try {
      const found = await api.origin(summary.summary_id);
      fill(place, notice(), beyondScope(found), cutOff(found), h("p", { class: "text" }, found.text), contradictions(found.consistency));
    } catch (error) {
      fill(place, error.message);
    }
  });
}

/** Which model wrote this from which image, folded away. */
export function provenance(summary) {
  const facts = [
    [t("Written"), exact(summary.summarised_at)],
    [t("Model bundle"), summary.bundle],
    [t("Bundle SHA-256"), summary.bundle_sha256],
    [t("Summary"), summary.summary_id],
    [t("Made for"), [summary.scope.made_for, summary.scope.says].filter(Boolean).join(": ")],
    ...summary.scope.validated_on.map((figure) => [t("Measured"), measurement(figure)]),
    [t("Lease epoch"), String(summary.lease_epoch)],
    ...Object.entries(summary.provenance)
      .filter(([name]) => name !== "scope")
      .map(([name, value]) => [
        step(name),
        typeof value === "object" && value !== null ? JSON.stringify(value) : String(value),
      ]),
  ];
  return folded(
    t("Where this text comes from"),
    h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  );
}

function measurement({ name, n, metric, value, interval: [low, high], ...controls }) {
  const beside = [
    [t("the texts beside another film"), controls.swapped],
    [t("one text for all"), controls.most_frequent],
  ].filter(([, control]) => control != null);
  const compared = beside.map(([what, control]) => `; ${what} ${control}`).join("");
  return `${name}: ${metric} ${value} (${low} to ${high}), n = ${n}${compared}`;
}

/** Every step of the study, fetched when it is opened; at once with `open`. */
export function history(studyId, open = false) {
  const list = h("ol", { class: "steps" }, h("li", {}, "…"));
  const details = folded(t("History"), list, async () => {
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
            one.detail?.key && h("span", { class: "muted" }, t("by {who}", { who: one.who })),
            one.attempt > 1 && h("span", { class: "muted" }, t("attempt {number}", { number: one.attempt })),
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
