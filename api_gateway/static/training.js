/** The page of training runs. Addresses carry opaque run ids and nothing else; films and texts are in no part of it. */

import * as api from "./api.js";
import { figure } from "./curves.js";
import { begin, isOpen, keep, ROOT, topBar } from "./door.js";
import { fill, h } from "./dom.js";
import { bind, repeating } from "./keys.js";
import { t } from "./language.js";
import { ENDED, RunView, standing, stepsOf } from "./run.js";
import * as session from "./session.js";
import { moment } from "./time.js";

export { begin };

const RUN = /^#\/run\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const REFRESH_MS = 3000;
const DOOR = {
  title: t("Training"),
  about: t("Training runs: how far they are, and their curves. Reports, with films and texts, are for trainers alone."),
  may: () => session.has("operator", "admin", "trainer"),
  needs: t("This key does not see training runs: that takes one with the role trainer, operator or admin."),
};

const rows = h("tbody", {});
const columns = [t("Run"), t("Stage"), t("State"), t("Step"), t("Loss"), t("Held out"), t("Samples/s"), t("Begun"), ""];
const table = h(
  "table",
  { class: "runs" },
  h("caption", {}, t("Runs, the newest first")),
  h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
  rows,
);
const empty = h("p", { class: "empty", hidden: true }, t("No run was started yet: xraygpt train, or POST /v1/training-runs."));
const said = h("p", { class: "muted", role: "status", "aria-live": "polite" });
const operations = h("a", { href: "/ops" }, t("Operations"));
const view = new RunView(refresh);
const wide = h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": t("Training runs") }, table);
const main = h("main", { class: "training" }, h("h1", { class: "unseen" }, t("Training")), view.element, wide, empty, said);
const bar = topBar(
  t("Training"),
  "#/",
  h("a", { href: "/training", "aria-current": "page" }, t("Runs")),
  operations,
  h("a", { href: "/" }, t("Reading room")),
);

let timer = 0;
let asking = false;
let states = new Map();

bind({ j: repeating(() => step(1)), k: repeating(() => step(-1)), Escape: () => (location.hash = "#/") });

const chosen = () => RUN.exec(location.hash)?.[1] ?? null;

/** Focus the next or the previous run of the table. */
function step(by) {
  const links = [...rows.querySelectorAll("a")];
  const now = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, now < 0 ? 0 : now + by))]?.focus();
}

/** Ask for the runs again, and for the one that is open. */
async function refresh(focus = false) {
  if (!isOpen() || asking) return;
  asking = true;
  try {
    const { runs } = await api.runs();
    list(runs);
    announce(runs);
    await view.show(chosen(), focus);
  } catch (error) {
    if (error.status === 404) location.hash = "#/";
    else if (error.status !== 401) said.textContent = error.message;
  } finally {
    asking = false;
  }
}

function list(runs) {
  const focused = document.activeElement?.dataset?.run;
  fill(rows, ...runs.map(rowOf));
  if (focused) rows.querySelector(`[data-run="${focused}"]`)?.focus();
  wide.hidden = !runs.length;
  empty.hidden = runs.length > 0;
}

function rowOf(run) {
  const open = run.run_id === chosen();
  const figures = [stepsOf(run), figure(run.loss), figure(run.held_out), figure(run.samples_per_s)];
  const link = h("a", { href: `#/run/${run.run_id}`, "data-run": run.run_id }, run.run_id.slice(-12));
  return h(
    "tr",
    { class: open ? "open" : null, "aria-current": open && "true" },
    h("td", {}, link),
    h("td", {}, run.stage),
    h("td", {}, h("span", { class: "standing", "data-state": run.state }, standing(run))),
    ...figures.map((value) => h("td", { class: "figure" }, value)),
    h("td", {}, moment(run.created_at)),
    h("td", { class: "says" }, ENDED.includes(run.state) && run.state !== "done" ? run.failure_says : run.problem),
  );
}

/** A run that changed its state is said aloud. */
function announce(runs) {
  const changed = runs.filter((run) => states.size && states.get(run.run_id) !== run.state);
  const says = ({ run_id, state }) => t("Run {run} is {state}.", { run: run_id.slice(-12), state });
  if (changed.length) said.textContent = changed.map(says).join(" ");
  states = new Map(runs.map((run) => [run.run_id, run.state]));
}

function entered() {
  bar.draw();
  operations.hidden = !session.has("operator", "admin");
  fill(ROOT, bar.element, main);
  refresh();
  timer = setInterval(refresh, REFRESH_MS);
}

function left() {
  clearInterval(timer);
  states = new Map();
}

addEventListener("hashchange", () => refresh(true));

keep({ door: DOOR, entered, left });
