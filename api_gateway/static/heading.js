/** What stands above a draft on the desk: which study it is, and where it stands. */

import { button, h } from "./dom.js";
import { t } from "./language.js";
import { exact, moment, since } from "./time.js";
import { LANES, REASONS, STATES } from "./words.js";

/** The parts of the head; `move` goes to the study beside this one, `back` to the list. */
export function headOf(study, move, back) {
  const received = { at: exact(study.received_at) };
  return [
    h("span", { class: `lane ${study.lane}` }, LANES[study.lane]),
    h("h1", {}, study.view ? t("{view} view", { view: study.view }) : t("Film")),
    h(
      "time",
      { class: "muted", datetime: study.received_at, title: t("Received {at}", received) },
      `${moment(study.received_at)} · ${since(study.received_at)}`,
    ),
    h(
      "span",
      { class: "row" },
      button("‹", () => move(-1), { key: "k", "aria-label": t("Previous study") }),
      button("›", () => move(1), { key: "j", "aria-label": t("Next study") }),
      button(t("List"), back, { key: "Esc" }),
    ),
  ];
}

/** Where the study stands, unless that is plain to see. */
export function standingOf({ state, reason_code: reason, summary, images }) {
  const [title, meaning] = STATES[state];
  if (state === "summarised") {
    const others = images.length - 1;
    const about = t("The study has {images} images; the draft is about the one shown.", { images: images.length });
    return others > 0 ? [h("p", { class: "muted small" }, about)] : [];
  }
  if (summary) return [h("p", { class: "standing-note" }, t("{state}: a newer draft may take the place of this one.", { state: title }))];
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
