/** Before a review is taken back, or another person's is overturned, its reader is asked; and why. */

import { button, fill, h, named, toast } from "./dom.js";
import { confirmed, show } from "./keys.js";
import { t } from "./language.js";
import { phrase } from "./phrase.js";
import { mine } from "./said.js";
import { isLead, reader } from "./session.js";

const STAYS = t("It becomes a draft again; what was signed stays in the review history.");

const anothers = (signed) => signed.filter((one) => !mine(one));

/** Whether this reader may take these signatures back: their own, and a lead those of others. */
export const mayTakeBack = (signed) => isLead() || anothers(signed).every((one) => one.reviewer === reader());

/** Whether this says otherwise than another person signed last. */
function overturns(state, signed) {
  const top = signed.at(-1);
  return Boolean(top) && !mine(top) && state !== (top.action === "rejected" ? "rejected" : "accepted");
}

/** Whether this reader may reject: what another person signed, a lead alone. */
export const mayReject = (signed) => isLead() || !overturns("rejected", signed);

/** Before another person's review is overturned: resolves to {} or {reason} if it is to be, to null if it is to stay. */
export async function askedToOverturn(state, signed) {
  if (!overturns(state, signed)) return {};
  const words = {
    title: t("Change another reader's review"),
    asks: (names) => phrase("{names} reviewed this otherwise. Why do you change it?", { names }),
    stays: t("What was signed stays in the review history."),
    act: t("Change it"),
  };
  return reasoned([signed.at(-1).reviewer], words);
}

/**
 * Resolves to {} or {reason} if it is to be taken back, to null if it is to stay.
 * @param {object[]} signed the signatures that stand
 */
export async function askedToTakeBack(signed) {
  const others = anothers(signed);
  if (!mayTakeBack(signed)) {
    toast(t("Another reader signed this: to take that review back, you need a key with the role lead."), { kind: "bad" });
    return null;
  }
  const words = {
    title: t("Take another reader's review back"),
    asks: (names) => phrase("{names} signed this. Why do you take it back?", { names }),
    stays: STAYS,
    act: t("Take it back"),
  };
  if (others.length) return reasoned([...new Set(others.map((one) => one.reviewer))], words);
  return (await confirmed(`${t("Take your review back?")} ${STAYS}`, t("Take it back"), t("Leave it"))) ? {} : null;
}

function reasoned(names, { title, asks, stays, act }) {
  return new Promise((resolve) => {
    const listed = names.flatMap((name, at) => [at ? ", " : "", named(name)]);
    const area = h("textarea", { "aria-label": t("Why"), maxlength: 2000, rows: 3, required: true });
    const problem = h("p", { class: "problem", role: "alert" });
    const dialog = h("dialog", { class: "ask", "aria-label": title });
    const done = () => {
      if (area.value.trim()) dialog.close("yes");
      else problem.textContent = t("Say why: the reason stands in the review history.");
    };
    fill(
      dialog,
      h("p", {}, ...asks(h("span", {}, ...listed)), ` ${stays}`),
      area,
      problem,
      h("div", { class: "row" }, button(t("Leave it"), () => dialog.close()), button(act, done, { kind: "bad" })),
    );
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? { reason: area.value.trim() } : null));
    show(dialog);
    area.focus();
  });
}
