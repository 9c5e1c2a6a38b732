/** Dead jobs by their cause, with another try for one of them or for all; and events that could not be read. */

import { button, h } from "./dom.js";
import { t } from "./language.js";
import { DOORS, KINDS, count, short, word } from "./opswords.js";
import { wide } from "./opswork.js";
import * as session from "./session.js";
import { moment } from "./time.js";

export function deadPanel({ dead }) {
  if (!dead.length) return [h("p", { class: "empty" }, t("No job is dead."))];
  const columns = [t("Job"), t("Cause"), t("Jobs"), t("First"), t("Last"), t("Last one"), ...(session.has("operator") ? [t("Try again")] : [])];
  return [
    wide(t("Dead jobs by cause"), columns, dead.map(rowOf)),
    h("p", { class: "muted" }, t("Errors that differ in numbers and ids are one cause; … stands for them. Remove the cause before you try again. The newest 10,000 dead jobs are looked at, and up to 2,000 different errors.")),
  ];
}

function rowOf(group) {
  const again = [
    button(t("The last one"), null, { "data-act": "replay-one", "data-id": group.latest, "data-key": "one", "aria-label": t("The last one: try job {id} again", { id: short(group.latest) }) }),
    button(t("All {n}", { n: count(group.jobs) }), null, {
      "data-act": "replay-group",
      "data-kind": group.kind,
      "data-cause": group.cause,
      "data-key": "all",
    }),
  ];
  return h(
    "tr",
    { "data-key": `${group.kind} ${group.cause}` },
    h("th", { scope: "row" }, word(KINDS, group.kind)),
    h("td", { class: "says" }, group.cause),
    h("td", { class: "figure" }, count(group.jobs)),
    h("td", {}, group.first_at ? moment(group.first_at) : "–"),
    h("td", {}, group.last_at ? moment(group.last_at) : "–"),
    h("td", {}, h("code", {}, group.latest)),
    session.has("operator") ? h("td", {}, h("div", { class: "row" }, ...again)) : null,
  );
}

export function eventPanel({ unreadable }) {
  if (!unreadable.length) return [h("p", { class: "empty" }, t("Every event of the last thirty days could be read."))];
  const rows = unreadable.map((one) =>
    h(
      "tr",
      { "data-key": `${one.door} ${one.cause}` },
      h("th", { scope: "row" }, word(DOORS, one.door)),
      h("td", { class: "says" }, one.cause),
      h("td", { class: "figure" }, count(one.events)),
      h("td", {}, moment(one.first_at)),
      h("td", {}, moment(one.last_at)),
    ),
  );
  return [
    wide(t("Events that could not be read"), [t("Through"), t("Cause"), t("Events"), t("First"), t("Last")], rows),
    h("p", { class: "muted" }, t("Their objects are found by the bucket sweep; the cause names no object.")),
  ];
}
