/** Ten seconds to undo the last act. Undoing is an act of its own, so nothing vanishes. */

import * as api from "./api.js";
import { button, toast } from "./dom.js";
import { bind } from "./keys.js";
import { t } from "./language.js";

const UNDO_MS = 10_000;

const offers = new Map(); // what ends an offer -> the summary it is about

/**
 * Say what was done, and offer to undo it.
 * @param {object} summary as it stands now, after the act
 * @param {(summary: object) => void} undone is called with the summary as it stands afterwards
 */
export function offerUndo(text, kind, summary, undone) {
  const act = async () => {
    end();
    try {
      undone(await api.review(summary, "draft", { undo: true }));
    } catch (error) {
      if (error.status === 401) return;
      const why = { why: error.message };
      toast(error.lost ? t("It is not known whether it was undone: {why}", why) : t("It was not undone: {why}", why), { kind: "bad" });
    }
  };
  const link = { href: `#/study/${summary.study_id}`, text: t("See it") };
  const note = toast(text, { kind, link, action: button(t("Undo"), act, { key: "u" }), ms: UNDO_MS });
  const unbind = bind({ u: act });
  const end = () => {
    if (!offers.delete(end)) return;
    unbind();
    note.remove();
  };
  for (const [older, id] of offers) if (id === summary.summary_id) older(); // only the last act can be undone
  offers.set(end, summary.summary_id);
  setTimeout(end, UNDO_MS);
}

/** Withdraw all offers: they were another reader's, or the door is shut. */
export const withdrawOffers = () => [...offers.keys()].forEach((end) => end());
