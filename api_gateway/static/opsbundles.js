/** Training runs, and the bundles: the one that is served, what each declares, serve another, roll back. */

import { figure } from "./curves.js";
import { button, h } from "./dom.js";
import { t } from "./language.js";
import { count, short } from "./opswords.js";
import { wide } from "./opswork.js";
import * as session from "./session.js";
import { moment } from "./time.js";

export function runPanel({ runs }) {
  const more = h("p", {}, h("a", { href: "/training" }, t("All runs, with their curves and example texts")));
  if (!runs.length) return [h("p", { class: "empty" }, t("No run was started yet.")), more];
  const rows = runs.map((run) =>
    h(
      "tr",
      { "data-key": run.run_id },
      h("th", { scope: "row" }, h("a", { href: `/training#/run/${run.run_id}` }, short(run.run_id))),
      h("td", {}, run.stage),
      h("td", {}, h("span", { class: "standing", "data-state": run.state }, run.state)),
      h("td", { class: "figure" }, run.steps === null ? count(run.step) : t("{step} of {steps}", { step: count(run.step), steps: count(run.steps) })),
      h("td", { class: "figure" }, figure(run.loss)),
      h("td", { class: "figure" }, figure(run.held_out)),
      h("td", {}, moment(run.created_at)),
    ),
  );
  return [wide(t("Training runs"), [t("Run"), t("Stage"), t("State"), t("Step"), t("Loss"), t("Held out"), t("Begun")], rows), more];
}

export function bundlePanel({ bundles }) {
  return [
    h("p", {}, t("Served: {name}.", { name: bundles.served }), " ", bundles.previous ? t("Before that: {name}.", { name: bundles.previous }) : ""),
    ...bundles.known.map((one) => card(one, bundles)),
    session.has("admin") && bundles.results.length ? results(bundles.results) : null,
    session.has("admin") && bundles.previous ? rollBack(bundles) : null,
    session.has("admin") ? null : h("p", { class: "muted" }, t("An admin serves another bundle, or rolls back.")),
  ];
}

function card(one, bundles) {
  const served = one.name === bundles.served;
  const says = one.scope?.says ?? t("What it declares is known once a worker has loaded it.");
  const figures = (one.scope?.validated_on ?? []).map((figureOf) =>
    h("li", {}, t("{name}: {metric} {value} on {n} films", { name: figureOf.name, metric: figureOf.metric, value: figureOf.value, n: count(figureOf.n) })),
  );
  return h(
    "article",
    { class: "card", "data-key": one.name, "aria-label": t("Bundle {name}", { name: one.name }) },
    h("h3", {}, one.name, served ? h("span", { class: "standing", "data-state": "done" }, ` ${t("served")}`) : null),
    h("p", {}, says),
    figures.length ? h("ul", {}, ...figures) : null,
    h("p", { class: "muted" }, one.sha256 ? h("code", {}, one.sha256.slice(0, 16)) : null, ` ${t("loaded by {n} workers", { n: count(one.workers) })}`),
    one.run_id ? h("p", {}, h("a", { href: `/training#/run/${one.run_id}` }, t("The run that made it"))) : null,
    session.has("admin") && !served
      ? h("div", { class: "row" }, button(t("Serve"), null, { "data-act": "serve", "data-id": one.name, "aria-label": t("Serve {name}", { name: one.name }) }))
      : null,
  );
}

function results(waiting) {
  return h(
    "ul",
    { class: "results", "data-key": "results" },
    ...waiting.map((one) =>
      h(
        "li",
        { "data-key": one.run_id },
        t("Run {id} ({stage}) is done and was never served.", { id: short(one.run_id), stage: one.stage }),
        " ",
        button(t("Promote"), null, { "data-act": "promote", "data-id": one.run_id, "aria-label": t("Promote run {id}", { id: short(one.run_id) }) }),
      ),
    ),
  );
}

function rollBack(bundles) {
  return h("div", { class: "row", "data-key": "rollback" }, button(t("Roll back to {name}", { name: bundles.previous }), null, { kind: "bad", "data-act": "rollback", "data-id": bundles.previous }));
}
