/** People: who reads here and as what, who looked at a study, and whose signature was taken back. */

import * as api from "./api.js";
import { button, fill, folded, h, named } from "./dom.js";
import { t } from "./language.js";
import { reasonOf } from "./rejecting.js";
import { may, reader, roles } from "./session.js";
import { exact, moment } from "./time.js";

/** A role as a person says it. */
const ROLES = {
  reader: t("Radiologist"),
  lead: t("Lead radiologist"),
  analyst: t("Analyst"),
  operator: t("Operator"),
  admin: t("Administrator"),
  service: t("Program"),
  trainer: t("Trainer of models"),
};

/** What somebody may do here, as the end of the sentence "You may …". */
const MAY = {
  read: t("read films and drafts"),
  find: t("find studies by the hospital's numbers"),
  ask: t("ask questions about a study"),
  sign: t("sign drafts in your own name"),
  withdraw: t("take back the signatures of others, with a reason"),
  numbers: t("open the numbers of a study"),
  readers: t("see who looked at a study"),
  cancel: t("cancel the work on a study"),
  "summarise again": t("have a study summarised again"),
  submit: t("submit films"),
  backlogs: t("run backlogs"),
  replay: t("start failed jobs again"),
  query: t("query the analysts' views with SQL"),
  purge: t("purge studies"),
  keys: t("make and end keys"),
  audit: t("read and prove the audit"),
  "serve models": t("choose the model that is served"),
  "watch training": t("watch training runs"),
  train: t("start and stop training runs"),
};

/** What a key is for that reads no films: where its holder goes from here. */
const ELSEWHERE = [
  ["query", t("Ask the views by SQL, on the command line:"), "xraygpt query \"SELECT view, count(*) FROM study_summaries GROUP BY view\""],
  ["submit", t("Send films, on the command line:"), "xraygpt submit FOLDER"],
  ["backlogs", t("Follow a whole prefix of the bucket, on the command line:"), "xraygpt backlog list"],
  ["replay", t("See what failed and start it again, on the command line:"), "xraygpt dead list"],
  ["keys", t("Make keys for people and programs, on the command line:"), "xraygpt keys list"],
  ["audit", t("Prove who did what, on the command line:"), "xraygpt audit verify"],
];

/** What an act of the audit is called here; others are shown as they are. */
const ACTS = {
  "study read": t("Looked at the study"),
  "film read": t("Looked at a film"),
  "summary read": t("Read the text"),
  "origin read": t("Read the model's own text"),
  "reviews read": t("Read the reviews"),
  "timeline read": t("Read the history"),
  "transcript read": t("Read the questions"),
  "turn read": t("Read an answer"),
  "question asked": t("Asked a question"),
  "numbers opened": t("Opened the numbers"),
  "readers listed": t("Looked who looked"),
  "summary accepted": t("Accepted the draft"),
  "summary edited": t("Corrected the draft"),
  "summary rejected": t("Rejected the draft"),
  "summary draft": t("Took a review back"),
  "summary undone": t("Undid an act"),
  "study cancelled": t("Cancelled the study"),
  "study purged": t("Purged the study"),
};
const OUTCOMES = { refused: t("refused"), failed: t("failed") };

/** Roles in words, as a list of a sentence. */
export const rolesInWords = () => roles().map((role) => ROLES[role] ?? role).join(", ");

const mayDo = () =>
  h("ul", {}, ...Object.entries(MAY).filter(([act]) => may(act)).map(([, words]) => h("li", {}, words)));

/** The reader's name in the top bar; behind it, as what they are here and what they may do. */
export function whoMenu() {
  const name = h("summary", { class: "who", title: t("Your reviews are signed with this name") });
  const inside = h("div", { class: "menu" });
  const menu = h("details", { class: "whoami" }, name, inside);
  const close = () => (menu.open = false);
  menu.addEventListener("focusout", (event) => event.relatedTarget && !menu.contains(event.relatedTarget) && close());
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    close();
    name.focus();
  });
  document.addEventListener("pointerdown", (event) => menu.contains(event.target) || close());
  function draw() {
    close();
    fill(name, named(reader()));
    fill(
      inside,
      h("p", {}, h("strong", {}, named(reader()))),
      h("p", { class: "roles" }, rolesInWords()),
      h("p", { class: "muted" }, t("You may:")),
      mayDo(),
    );
  }
  return { element: menu, draw };
}

/** The page of somebody whose key reads no films: what it is for, and where that is done. */
export function showPurpose(root, signOut) {
  const here = ELSEWHERE.filter(([act]) => may(act));
  fill(
    root,
    h(
      "main",
      { class: "purpose" },
      h("h1", {}, t("This key does not read films")),
      h("p", {}, named(reader()), " · ", h("span", { class: "roles" }, rolesInWords())),
      h("p", { class: "muted" }, t("To read films takes a key with the role reader or lead. With this one you may:")),
      mayDo(),
      may("watch training") && h("p", {}, h("a", { href: "/training" }, t("Training runs"))),
      h("dl", {}, ...here.flatMap(([, words, line]) => [h("dt", {}, words), h("dd", {}, h("code", {}, line))])),
      button(t("Sign out"), signOut),
    ),
  );
  root.querySelector("button").focus();
}

/** Who looked at a study, fetched when it is opened; null for those who may not know. */
export function lookedAt(studyId) {
  if (!may("readers")) return null;
  const list = h("ol", { class: "steps readers" }, h("li", {}, "…"));
  return folded(t("Who looked at this study"), list, async () => {
    try {
      const { readers, truncated } = await api.lookedAt(studyId);
      fill(list, ...readers.map(act), truncated && h("li", {}, t("… and earlier acts: the audit has them all.")));
    } catch (error) {
      fill(list, h("li", {}, error.message));
    }
  });
}

function act({ actor, what, outcome, times, first_at: first, last_at: last }) {
  const title = times > 1 ? t("{times} times, first {first}, last {last}", { times, first: exact(first), last: exact(last) }) : null;
  return h(
    "li",
    { title },
    h("time", { datetime: last }, exact(last)),
    h("span", {}, named(actor)),
    h("span", {}, ACTS[what] ?? what),
    times > 1 && h("span", { class: "muted" }, t("{times} times", { times })),
    OUTCOMES[outcome] && h("span", { class: "muted" }, OUTCOMES[outcome]),
  );
}

/** Whether an act takes a signature back, or says otherwise. */
const against = (act, signed) =>
  ["draft", "edited"].includes(act.action) || (act.action === "rejected") !== (signed.action === "rejected");

/** That somebody else overruled what this reader signed, and why; null where that did not happen, or somebody acted since. */
export function takenFrom({ reviews, summary }, isMine) {
  const acts = reviews.filter((one) => one.summary_id === summary?.summary_id);
  const last = acts.at(-1);
  const signed = acts.filter((one) => !["draft", "undone"].includes(one.action) && isMine(one));
  if (!last || last.action === "undone" || isMine(last) || !signed.some((one) => against(last, one))) return null;
  return h(
    "p",
    { class: "taken-from", role: "note" },
    h("strong", {}, last.action === "draft" ? t("Your signature was taken back.") : t("Your review was changed.")),
    " ",
    named(last.reviewer),
    `, ${moment(last.at)}`,
    last.reason && [": ", h("span", { class: "reason" }, reasonOf(last.reason))],
  );
}
