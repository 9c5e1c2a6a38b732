/** From the hospital's number to the study. The number goes into one request's body and is kept nowhere. */

import * as api from "./api.js";
import { fill, h, toast } from "./dom.js";
import { searchedAs } from "./identity.js";
import { t } from "./language.js";
import { exact } from "./time.js";
import { REASONS, STATES } from "./words.js";

const MOST = 20;

/** The form in the header; `open` shows a study. */
export function finder(open) {
  const kind = h(
    "select",
    { "aria-label": t("Which number") },
    h("option", { value: "accession" }, t("Accession")),
    h("option", { value: "patient" }, t("Patient")),
    h("option", { value: "study_uid" }, t("Study UID")),
  );
  const number = h("input", {
    type: "search",
    placeholder: t("Find by number"),
    "aria-label": t("The number"),
    autocomplete: "off",
    spellcheck: "false",
    "aria-keyshortcuts": "/",
  });
  const results = h("ul", { class: "found", role: "status", hidden: true });

  function close() {
    results.hidden = true;
    fill(results);
  }

  async function find(event) {
    event.preventDefault();
    await look();
  }

  async function look() {
    close();
    const value = number.value.trim();
    if (!value) return;
    try {
      const { studies } = await api.lookup(kind.value, value);
      searchedAs(kind.value, value, studies);
      if (studies.length === 1) {
        number.value = "";
        open(studies[0]);
      } else {
        await several(studies);
      }
    } catch (error) {
      if (error.status !== 401) toast(error.message, { kind: "bad" });
    }
  }

  async function several(ids) {
    const found = await Promise.all(ids.slice(0, MOST).map((id) => api.study(id)));
    fill(
      results,
      found.length ? null : h("li", { class: "none" }, t("No study of this number is known here.")),
      ...found.map((study) =>
        h(
          "li",
          {},
          h(
            "a",
            { href: `#/study/${study.study_id}`, click: () => ((number.value = ""), close()) },
            lineOf(study),
          ),
        ),
      ),
      ids.length > MOST && h("li", { class: "none" }, t("… and {count} older ones", { count: ids.length - MOST })),
    );
    results.hidden = false;
    results.querySelector("a")?.focus();
  }

  const form = h("form", { class: "find", role: "search", submit: find }, kind, number, results);
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
    number.value = "";
    number.blur();
  });
  form.addEventListener("focusout", (event) => form.contains(event.relatedTarget) || close());
  /** Look for a number that somebody came with. */
  function lookFor(given) {
    kind.value = given.kind;
    number.value = given.value;
    return look();
  }
  return { form, lookFor, focus: () => number.focus() };
}

/** A study that was found, in one line; for one without a draft, the reason. */
function lineOf({ received_at: at, view, state, reason_code: reason, summary }) {
  const why = !summary && reason ? `: ${REASONS[reason]}` : "";
  return `${exact(at)} · ${view ?? t("view unknown")} · ${STATES[state][0]}${why}`;
}
