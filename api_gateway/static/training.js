/** The page of training runs. Addresses carry opaque run ids and nothing else; films and texts are in no part of it. */

import * as api from "./api.js";
import { figure } from "./curves.js";
import { button, fill, h, toast } from "./dom.js";
import { bind, repeating } from "./keys.js";
import * as logoff from "./logoff.js";
import { ENDED, RunView, standing, stepsOf } from "./run.js";
import * as session from "./session.js";
import { showSignIn } from "./signin.js";
import { followTabs, sayToTabs } from "./tabs.js";
import { moment } from "./time.js";

const ROOT = document.getElementById("room");
const RUN = /^#\/run\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const REFRESH_MS = 3000;
const DOOR = {
  title: "Training",
  about: "Training runs: how far they are, and their curves. Reports, with films and texts, are for trainers alone.",
  may: () => session.has("operator", "admin", "trainer"),
  needs: "This key does not see training runs: that takes one with the role trainer, operator or admin.",
};

const rows = h("tbody", {});
const columns = ["Run", "Stage", "State", "Step", "Loss", "Held out", "Samples/s", "Begun", ""];
const table = h(
  "table",
  { class: "runs" },
  h("caption", {}, "Runs, the newest first"),
  h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
  rows,
);
const empty = h("p", { class: "empty", hidden: true }, "No run was started yet: xraygpt train, or POST /v1/training-runs.");
const said = h("p", { class: "muted", role: "status", "aria-live": "polite" });
const who = h("span", { class: "who" });
const view = new RunView(refresh);
const frame = [
  h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: "#/" }, "Training"),
    h(
      "nav",
      { "aria-label": "Pages" },
      h("a", { href: "/training", "aria-current": "page" }, "Runs"),
      h("a", { href: "/" }, "Reading room"),
    ),
    who,
    button("Sign out", signOut, { kind: "quiet" }),
  ),
  h("main", { class: "training" }, view.element, table, empty, said),
];

let signedIn = false;
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
  if (!signedIn || asking) return;
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
  table.hidden = !runs.length;
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
  if (changed.length) said.textContent = changed.map((run) => `Run ${run.run_id.slice(-12)} is ${run.state}.`).join(" ");
  states = new Map(runs.map((run) => [run.run_id, run.state]));
}

async function signOut() {
  try {
    await api.signOut();
  } catch (error) {
    if (error.status !== 401) {
      toast(`You are still signed in: ${error.message}`, { kind: "bad" });
      return;
    }
  }
  leave("");
  sayToTabs("signed out");
}

function leave(why) {
  clearInterval(timer);
  logoff.rest();
  session.forget();
  signedIn = false;
  states = new Map();
  const entered = () => {
    enter();
    sayToTabs("signed in");
  };
  showSignIn(ROOT, why, entered, DOOR);
}

function enter() {
  signedIn = true;
  logoff.watch();
  who.textContent = session.reader();
  fill(ROOT, ...frame);
  refresh();
  timer = setInterval(refresh, REFRESH_MS);
}

api.whenUnauthorised(() => {
  if (signedIn) leave("Your session is over. Sign in again.");
});

followTabs(() => signedIn, leave);

addEventListener("hashchange", () => refresh(true));

try {
  session.opened(await api.resume());
  if (DOOR.may()) enter();
  else leave(DOOR.needs);
} catch (error) {
  leave(error.status === 401 ? "" : error.message);
}
