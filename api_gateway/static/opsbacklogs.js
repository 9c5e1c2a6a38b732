/** The backlogs: how far each is, how fast it goes, when it will be done; and pause, resume and cancel. */

import { button, h } from "./dom.js";
import { t } from "./language.js";
import { BACKLOG_STATES, count, lasting, short, word } from "./opswords.js";
import * as session from "./session.js";
import { moment } from "./time.js";
import { along, steps, timeChart } from "./timechart.js";
import { LANES } from "./words.js";

const WANTED = { listing: ["pause", "cancel"], listed: ["pause", "cancel"], paused: ["resume", "cancel"], cancelled: ["resume"] };
const NAMES = { pause: t("Pause"), resume: t("Resume"), cancel: t("Cancel") };

export function backlogPanel({ backlogs, window }, isOpen) {
  if (!backlogs.length) {
    return [h("p", { class: "empty" }, t("No backlog was started yet: xraygpt backlog s3://bucket/prefix, or POST /v1/backlogs."))];
  }
  return backlogs.map((one) => article(one, window, isOpen));
}

function article(one, window, isOpen) {
  const name = t("Backlog {id}", { id: short(one.backlog_id) });
  const facts = [
    h("span", { class: "standing", "data-state": one.state }, word(BACKLOG_STATES, one.state)),
    h("span", {}, word(LANES, one.lane)),
    h("span", {}, t("since {when}", { when: moment(one.created_at) })),
  ];
  return h(
    "article",
    { class: "card", "data-key": one.backlog_id, "aria-label": name },
    h("h3", {}, name),
    h("p", { class: "facts" }, ...facts),
    h("p", {}, sentence(one)),
    one.problem && h("p", { class: "problem" }, one.problem),
    progress(one, name),
    one.points.length > 1 ? burnDown(one, window, isOpen) : null,
    session.has("operator") ? h("div", { class: "row" }, ...acts(one, name)) : null,
  );
}

function sentence(one) {
  if (one.at === null) return t("Not looked at yet.");
  const figures = t("{listed} listed, {registered} registered: {summarised} summarised, {rejected} rejected, {dead} dead, {cancelled} cancelled, {open} open.", {
    listed: count(one.listed),
    registered: count(one.registered),
    summarised: count(one.summarised),
    rejected: count(one.rejected),
    dead: count(one.dead),
    cancelled: count(one.cancelled),
    open: count(one.open),
  });
  if (one.per_hour === null || ["done", "cancelled"].includes(one.state)) return figures;
  const rate = t("{n} an hour.", { n: count(Math.round(one.per_hour)) });
  const left = one.left_seconds === null ? "" : ` ${t("At this rate it takes {time} more.", { time: lasting(one.left_seconds) })}`;
  return `${figures} ${rate}${left}`;
}

function progress(one, name) {
  if (one.at === null || !one.registered) return null;
  return h("progress", { max: one.registered, value: one.registered - one.open, "aria-label": t("{name}: images that ended", { name }) });
}

function burnDown(one, window, isOpen) {
  const moments = steps(window);
  const key = `burn ${one.backlog_id}`;
  return timeChart(t("Open images"), moments, [{ name: t("Open"), values: steady(along(moments, one.points, (point) => point.open, null)) }], {
    key,
    say: (value) => count(Math.round(value)),
    open: isOpen(key),
  });
}

/** Where a backlog was not looked at it stands as it did before. */
function steady(values) {
  let last = values.find((value) => value !== null) ?? 0;
  return values.map((value) => (last = value ?? last));
}

function acts(one, name) {
  return (WANTED[one.state] ?? []).map((wanted) =>
    button(NAMES[wanted], null, {
      kind: wanted === "cancel" ? "bad" : "",
      "data-act": "backlog",
      "data-id": one.backlog_id,
      "data-wanted": wanted,
      "data-key": wanted,
      "aria-label": t("{act} {what}", { act: NAMES[wanted], what: name.toLowerCase() }),
    }),
  );
}
