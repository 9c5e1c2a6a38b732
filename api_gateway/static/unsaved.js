/** Corrections that are being written. They stay in memory while one looks at other studies, and hold the tab back. */

const texts = new Map(); // summary id -> {text, study}

export const unsaved = (summaryId) => texts.get(summaryId)?.text;
/** [summary id, text] of each correction of a study's summaries. */
export const unsavedAbout = (studyId) =>
  [...texts].filter(([, { study }]) => study === studyId).map(([id, { text }]) => [id, text]);
export const anyUnsaved = () => texts.size > 0;

/** Keep a text until it is saved; one that equals what stands there is none. */
export function keep(summaryId, text, stands, study) {
  if (text === stands) texts.delete(summaryId);
  else texts.set(summaryId, { text, study });
}

export const drop = (summaryId) => texts.delete(summaryId);
export const dropAll = () => texts.clear();

addEventListener("beforeunload", (event) => {
  if (anyUnsaved()) event.preventDefault();
});
