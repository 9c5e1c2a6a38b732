/** The findings that a text names, as chips: urgent ones have a colour and a shape, uncertain ones a question mark. */

import { h } from "./dom.js";
import { t } from "./language.js";
import { FINDINGS, URGENT } from "./words.js";

/** A finding in words. */
export const finding = (code) => FINDINGS[code] ?? code.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());

/** Urgent ones first; what a text both says and doubts is said. Null where the text is not labelled yet. */
export function chips({ asserted, uncertain }) {
  if (asserted === null) return [];
  const said = [...new Set(asserted)].sort((one, other) => URGENT.has(other) - URGENT.has(one));
  const doubtful = [...new Set(uncertain ?? [])].filter((code) => !said.includes(code));
  return [...said.map((code) => chip(code, false)), ...doubtful.map((code) => chip(code, true))];
}

function chip(code, doubtful) {
  const urgent = URGENT.has(code);
  const name = finding(code);
  return h(
    "span",
    {
      class: `finding${urgent ? " urgent" : ""}${doubtful ? " doubtful" : ""}`,
      "data-finding": code,
      title: doubtful ? t("The text is not sure of it: {finding}", { finding: name }) : t("The text says: {finding}", { finding: name }),
    },
    urgent && h("span", { class: "shape", "aria-hidden": "true" }, "▲"),
    doubtful ? t("{finding}?", { finding: name }) : name,
  );
}
