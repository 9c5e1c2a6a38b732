/** From the hospital's number to the study. The number goes into one request's body and is kept nowhere. */

import * as api from "./api.js";
import { fill, h, toast } from "./dom.js";
import { exact } from "./time.js";
import { STATES } from "./words.js";

const MOST = 20;

/** The form in the header; `open` shows a study. */
export function finder(open) {
  const kind = h(
    "select",
    { "aria-label": "Which number" },
    h("option", { value: "accession" }, "Accession"),
    h("option", { value: "patient" }, "Patient"),
    h("option", { value: "study_uid" }, "Study UID"),
  );
  const number = h("input", {
    type: "search",
    placeholder: "Find by number",
    "aria-label": "The number",
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
    close();
    if (!number.value.trim()) return;
    try {
      const { studies } = await api.lookup(kind.value, number.value.trim());
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
      found.length ? null : h("li", { class: "none" }, "No study of this number is known here."),
      ...found.map((study) =>
        h(
          "li",
          {},
          h(
            "a",
            { href: `#/study/${study.study_id}`, click: () => ((number.value = ""), close()) },
            `${exact(study.received_at)} · ${study.view ?? "view unknown"} · ${STATES[study.state][0]}`,
          ),
        ),
      ),
      ids.length > MOST && h("li", { class: "none" }, `… and ${ids.length - MOST} older ones`),
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
  return { form, focus: () => number.focus() };
}
