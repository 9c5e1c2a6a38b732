/** Before a review is taken back its reader is asked; and why, where another person signed. */

import { button, fill, h, named, toast } from "./dom.js";
import { confirmed, show } from "./keys.js";
import { mine } from "./said.js";
import { isLead, reader } from "./session.js";

const STAYS = "It becomes a draft again; what was signed stays in the review history.";

/**
 * Resolves to {} or {reason} if it is to be taken back, to null if it is to stay.
 * @param {object[]} signed the signatures that stand
 */
export async function askedToTakeBack(signed) {
  const others = signed.filter((one) => !mine(one));
  if (!isLead() && others.some((one) => one.reviewer !== reader())) {
    toast("Another reader signed this: to take that review back, you need a key with the role lead.", { kind: "bad" });
    return null;
  }
  if (others.length) return reasoned([...new Set(others.map((one) => one.reviewer))]);
  return (await confirmed(`Take your review back? ${STAYS}`, "Take it back", "Leave it")) ? {} : null;
}

function reasoned(names) {
  return new Promise((resolve) => {
    const area = h("textarea", { "aria-label": "Why", maxlength: 2000, rows: 3, required: true });
    const problem = h("p", { class: "problem", role: "alert" });
    const dialog = h("dialog", { class: "ask", "aria-label": "Take another reader's review back" });
    const take = () => {
      if (area.value.trim()) dialog.close("yes");
      else problem.textContent = "Say why: the reason stands beside what you take back.";
    };
    fill(
      dialog,
      h("p", {}, names.flatMap((name, at) => [at ? ", " : "", named(name)]), ` signed this. Why do you take it back? ${STAYS}`),
      area,
      problem,
      h("div", { class: "row" }, button("Leave it", () => dialog.close()), button("Take it back", take, { kind: "bad" })),
    );
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? { reason: area.value.trim() } : null));
    show(dialog);
    area.focus();
  });
}
