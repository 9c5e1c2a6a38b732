/** Before a draft is rejected its reader says why: a reason of the list, in their own words where they like. */

import { button, h } from "./dom.js";
import { show } from "./keys.js";
import { t } from "./language.js";
import { REJECTIONS } from "./words.js";

const CODED = /^([a-z_]+)(?:: ([\s\S]*))?$/;

/** Resolves to the reason as it is stored, "code" or "code: words"; to null if it is not to be rejected. */
export function askedWhy() {
  return new Promise((resolve) => {
    const choices = Object.entries(REJECTIONS).map(([code, words], place) => {
      const radio = h("input", { type: "radio", name: "why", value: code, required: true });
      return h("label", { class: "choice" }, radio, h("kbd", { "aria-hidden": "true" }, String(place + 1)), words);
    });
    const own = h("textarea", { "aria-label": t("In your own words"), maxlength: 1500, rows: 2, placeholder: t("In your own words") });
    const problem = h("p", { class: "problem", role: "alert" });
    const list = h("fieldset", {}, h("legend", {}, t("Why do you reject this draft?")), ...choices);
    const chosen = () => list.querySelector("input:checked")?.value ?? null;
    const reject = () => {
      if (!chosen()) problem.textContent = t("Choose a reason: it stands in the review history.");
      else if (chosen() === "other" && !own.value.trim()) problem.textContent = t("Say which other reason.");
      else dialog.close("yes");
    };
    list.addEventListener("change", () => (problem.textContent = ""));
    const dialog = h(
      "dialog",
      { class: "ask why", "aria-label": t("Reject the draft") },
      list,
      own,
      problem,
      h("div", { class: "row" }, button(t("Leave it"), () => dialog.close()), button(t("Reject it"), reject, { key: "⏎", kind: "bad" })),
    );
    dialog.addEventListener("keydown", (event) => {
      const digit = event.target !== own && choices[Number(event.key) - 1];
      if (digit) digit.querySelector("input").click();
      else if (event.key === "Enter" && !event.shiftKey && event.target.tagName !== "BUTTON") event.repeat || reject();
      else return;
      event.preventDefault();
    });
    const reason = () => [chosen(), own.value.trim()].filter(Boolean).join(": ");
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? reason() : null));
    show(dialog);
    choices[0].querySelector("input").focus();
  });
}

/** A stored reason as it is read: a code becomes its sentence; what another program wrote stands as it is. */
export function reasonOf(stored) {
  const [, code, words] = CODED.exec(stored) ?? [];
  if (!code || !Object.hasOwn(REJECTIONS, code)) return stored;
  return [REJECTIONS[code], words].filter(Boolean).join(": ");
}
