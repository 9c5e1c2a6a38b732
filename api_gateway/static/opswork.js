/** The work: what needs a person, what waits now, and what came and ended over time. */

import { figure } from "./curves.js";
import { h } from "./dom.js";
import { number, t } from "./language.js";
import { KINDS, STATES, WORKER_OF, count, lasting, short, word } from "./opswords.js";
import { along, steps, timeChart } from "./timechart.js";
import { LANES } from "./words.js";

const STAT_SECONDS = 60;
const ROUTINE_SECONDS = 900;
const AN_HOUR = 3_600_000;
const LINES = ["three", "one", "two"]; // a lane has one colour in every chart: in the order of LANES
const NEEDED = ["ingest", "gpu"]; // without one of each no film becomes a draft

/** Sentences about what an operator should look at; none: nothing asks for one. */
export function troubles({ jobs, workers, dead, unreadable, backlogs, window }) {
  const alive = new Set(workers.map((worker) => worker.kind));
  const said = alive.has("control") ? [] : [t("No control worker is alive: nothing is rung again, and the curves below stand still.")];
  const awaited = new Set(jobs.filter((one) => one.state === "queued").map((one) => WORKER_OF[one.kind]));
  for (const kind of new Set([...NEEDED, ...awaited])) {
    if (!kind || alive.has(kind)) continue;
    if (awaited.has(kind)) said.push(t("Jobs wait for a worker of the kind {kind}, and none is alive.", { kind }));
    else said.push(t("No worker of the kind {kind} is alive: new work would wait.", { kind }));
  }
  for (const one of jobs.filter((job) => job.state === "queued")) {
    const most = { stat: STAT_SECONDS, routine: ROUTINE_SECONDS }[one.lane];
    if (most && one.kind !== "train" && one.oldest_seconds > most) {
      said.push(t("{lane}: “{kind}” has waited for {time}.", { lane: word(LANES, one.lane), kind: word(KINDS, one.kind), time: lasting(one.oldest_seconds) }));
    }
  }
  const gone = dead.reduce((sum, group) => sum + group.jobs, 0);
  if (gone) said.push(t("{n} jobs used up their attempts: see “Dead jobs”.", { n: count(gone) }));
  for (const one of backlogs.filter((backlog) => backlog.problem)) {
    said.push(t("Backlog {id} cannot be listed: {problem}", { id: short(one.backlog_id), problem: one.problem }));
  }
  if (unreadable.some((one) => Date.parse(window.now) - Date.parse(one.last_at) < AN_HOUR)) {
    said.push(t("Events of the bucket could not be read within the last hour: see “Events that could not be read”."));
  }
  return said;
}

/** What waits, is at work and is dead, by kind and lane. */
export function nowTable(jobs) {
  if (!jobs.length) return h("p", { class: "empty" }, t("Nothing waits, and nothing is at work."));
  const rows = jobs.map((one) =>
    h(
      "tr",
      { "data-key": `${one.kind} ${one.lane} ${one.state}`, class: one.state },
      h("th", { scope: "row" }, word(KINDS, one.kind)),
      h("td", {}, word(LANES, one.lane)),
      h("td", {}, word(STATES, one.state)),
      h("td", { class: "figure" }, count(one.jobs)),
      h("td", { class: "figure" }, lasting(one.oldest_seconds)),
    ),
  );
  return wide(t("Jobs now"), [t("Job"), t("Lane"), t("State"), t("Jobs"), t("Oldest")], rows);
}

/** Two charts for each kind that had anything to do: jobs a minute, and the age of the oldest that waited. */
export function charts({ work, window }, isOpen) {
  const moments = steps(window);
  const minutes = window.step_seconds / 60;
  const kinds = Object.keys(KINDS).filter((kind) => work.some((curve) => curve.kind === kind));
  if (!kinds.length) return [h("p", { class: "empty" }, t("Nothing came and nothing ended in this time."))];
  return kinds.map((kind) => {
    const curves = work.filter((curve) => curve.kind === kind);
    const kindOf = ({ lane }) => LINES[Object.keys(LANES).indexOf(lane)];
    const line = (curve, value) => ({ name: word(LANES, curve.lane), kind: kindOf(curve), values: along(moments, curve.points, value) });
    const lines = (value) => curves.map((curve) => line(curve, value));
    const chart = (name, title, value, say, axis = say) => {
      const key = `${kind} ${name}`;
      return timeChart(title, moments, lines(value), { key, say, axis, open: isOpen(key) });
    };
    const aMinute = (value) => t("{n} a minute", { n: number(value, 3) });
    return h(
      "section",
      { class: "kind", "data-key": kind },
      h("h3", {}, word(KINDS, kind)),
      h("p", { class: "muted" }, totals(curves)),
      h(
        "div",
        { class: "curves" },
        chart("done", t("Done a minute"), (point) => point.done / minutes, aMinute, figure),
        chart("arrived", t("Arrived a minute"), (point) => point.arrived / minutes, aMinute, figure),
        chart("oldest", t("Age of the oldest that waited"), (point) => point.oldest_seconds, lasting),
      ),
    );
  });
}

function totals(curves) {
  const points = curves.flatMap((curve) => curve.points);
  const sum = (name) => points.reduce((total, point) => total + point[name], 0);
  const ended = sum("done") + sum("dead");
  return t("{arrived} arrived, {done} done, {dead} died, {cancelled} cancelled, {retried} attempts repeated; waited {waited} and ran {ran} on average, at most {waitedMost} and {ranMost}.", {
    arrived: count(sum("arrived")),
    done: count(sum("done")),
    dead: count(sum("dead")),
    cancelled: count(sum("cancelled")),
    retried: count(sum("retried")),
    waited: lasting(ended ? sum("waited_seconds") / ended : null),
    ran: lasting(ended ? sum("ran_seconds") / ended : null),
    waitedMost: lasting(points.length ? Math.max(...points.map((point) => point.waited_max)) : null),
    ranMost: lasting(points.length ? Math.max(...points.map((point) => point.ran_max)) : null),
  });
}

/** A table that scrolls in a box of its own where the window is too narrow for it. */
export function wide(name, columns, rows) {
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "group", "aria-label": name },
    h(
      "table",
      { "aria-label": name },
      h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))),
      h("tbody", {}, ...rows),
    ),
  );
}
