/** How a study stands on the desk, and what became of it between two looks. */

import { named } from "./dom.js";
import { t } from "./language.js";
import { phrase } from "./phrase.js";
import { lastAct } from "./said.js";
import { reader } from "./session.js";
import { moment } from "./time.js";
import { DID } from "./words.js";

/** What of a study is on the desk: when none of this changes, nothing is drawn again. */
export function version({ state, reason_code, summary, reviewed, flags, reviews }) {
  const stands = summary && [summary.summary_id, summary.review_state, summary.reviewed_at];
  return JSON.stringify([state, reason_code, stands, reviewed?.summary_id, flags, reviews.length]);
}

/** What others did between two requests, as parts of a sentence; null if nothing matters for a signature. */
export function told(before, study) {
  const now = study.summary;
  if (!before || !now) return null;
  if (before.summary_id !== now.summary_id) return [
    t("A newer draft took the place of the one you read, at {at}.", { at: moment(now.summarised_at) }),
  ];
  if (before.review_state === now.review_state && before.reviewed_at === now.reviewed_at) return null;
  const act = lastAct(study.reviews, now.summary_id);
  if (!act) return null;
  const who = act.reviewer === reader() ? t("You, in another window,") : named(act.reviewer);
  return phrase("{who} {did} at {at}, after you opened it.", { who, did: DID[act.action], at: moment(act.at) });
}
