/** The page of operators: the state of the whole system, brought up to date every five seconds while it is looked at. */

import * as api from "./api.js";
import { begin, isOpen, keep, ROOT, topBar } from "./door.js";
import { button, fill, h } from "./dom.js";
import { t } from "./language.js";
import { act } from "./opsacts.js";
import { backlogPanel } from "./opsbacklogs.js";
import { bundlePanel, runPanel } from "./opsbundles.js";
import { deadPanel, eventPanel } from "./opsdead.js";
import { flowerLink } from "./opswords.js";
import { charts, nowTable, troubles } from "./opswork.js";
import { workerPanel } from "./opsworkers.js";
import { patch } from "./patch.js";
import * as session from "./session.js";
import { exact } from "./time.js";

export { begin };

const REFRESH_MS = 5000;
const HOURS = [
  [6, t("6 hours")],
  [24, t("24 hours")],
  [168, t("7 days")],
];
const DOOR = {
  title: t("Operations"),
  about: t("Work, workers, backlogs and dead jobs. No film, no text and no patient is in any part of it."),
  may: () => session.has("operator", "admin"),
  needs: t("This key does not see operations: that takes one with the role operator or admin."),
};

const panel = (name, title, about = null) =>
  h("section", { class: "panel", id: name, "aria-labelledby": `${name}-title` }, h("h2", { id: `${name}-title` }, title), about, h("div", { class: "body" }));
const flower = h("a", { rel: "noreferrer", target: "_blank" }, "Flower");
const flowerSays = h("p", { class: "muted", hidden: true }, flower, " ", t("shows the tasks that workers have claimed: it is the doorbell, not the backlog. What waits stands above."));
const panels = {
  troubles: panel("troubles", t("What needs you")),
  now: panel("now", t("Jobs now")),
  work: panel("work", t("Work over time"), h("div", { class: "row", role: "group", "aria-label": t("How far back") }, ...HOURS.map(hoursButton))),
  backlogs: panel("backlogs", t("Backlogs")),
  workers: panel("workers", t("Workers")),
  dead: panel("dead", t("Dead jobs")),
  runs: panel("runs", t("Training")),
  bundles: panel("bundles", t("Bundles")),
  events: panel("events", t("Events that could not be read")),
};
const said = h("p", { class: "muted", role: "status", "aria-live": "polite" });
const stand = h("p", { class: "muted" });
const room = h("a", { href: "/" }, t("Reading room"));
const main = h(
  "main",
  { class: "ops", tabindex: "-1" },
  h("h1", { class: "unseen" }, t("Operations")),
  said,
  ...Object.values(panels),
  flowerSays,
  stand,
);
const bar = topBar(
  t("Operations"),
  "/ops",
  h("a", { href: "/ops", "aria-current": "page" }, t("State")),
  h("a", { href: "/training" }, t("Training")),
  room,
);

const folds = new Set();
let hours = 6;
let newest = null;
let asked = 0;
let timer = 0;

function hoursButton([number, words]) {
  return button(words, () => choose(number), { "data-hours": number, "aria-pressed": String(number === 6) });
}

function choose(number) {
  hours = number;
  for (const one of panels.work.querySelectorAll("[data-hours]")) one.setAttribute("aria-pressed", String(Number(one.dataset.hours) === hours));
  refresh();
}

/** Ask again; the answer to an older question is dropped. */
async function refresh() {
  if (!isOpen()) return;
  const mine = (asked += 1);
  try {
    const found = await api.ops(hours);
    if (mine !== asked || !isOpen()) return;
    newest = found;
    draw();
    if (said.textContent) said.textContent = "";
  } catch (error) {
    if (mine === asked && error.status !== 401 && said.textContent !== error.message) said.textContent = error.message;
  }
}

const body = (name) => panels[name].lastElementChild;
const foldedOut = (key) => folds.has(key);

function draw() {
  const seen = newest;
  const sentences = troubles(seen);
  patch(body("troubles"), sentences.length ? h("ul", {}, ...sentences.map((one) => h("li", { class: "trouble" }, one))) : h("p", { class: "fine" }, t("Nothing asks for you.")));
  patch(body("now"), nowTable(seen.jobs));
  patch(body("work"), charts(seen, foldedOut));
  patch(body("backlogs"), backlogPanel(seen, foldedOut));
  patch(body("workers"), workerPanel(seen));
  patch(body("dead"), deadPanel(seen));
  patch(body("runs"), runPanel(seen));
  patch(body("bundles"), bundlePanel(seen));
  patch(body("events"), eventPanel(seen));
  const link = flowerLink(seen.flower_url, location.hostname);
  flowerSays.hidden = link === null;
  if (link !== null) flower.href = link;
  stand.textContent = t("As of {when}, by the database's clock.", { when: exact(seen.window.now) });
}

main.addEventListener("click", (event) => {
  const pressed = event.target.closest("button[data-act]");
  if (pressed && pressed.getAttribute("aria-busy") !== "true") act(pressed, refresh);
});

// `toggle` does not bubble; a table of figures is made only while it is looked at.
main.addEventListener(
  "toggle",
  ({ target }) => {
    if (!target.dataset.fold) return;
    if (target.open) folds.add(target.dataset.fold);
    else folds.delete(target.dataset.fold);
    if (newest) draw();
  },
  true,
);

function entered() {
  bar.draw();
  room.hidden = !session.mayRead();
  fill(ROOT, bar.element, main);
  for (const name of Object.keys(panels)) fill(body(name));
  refresh();
  timer = setInterval(() => document.hidden || refresh(), REFRESH_MS);
}

function left() {
  clearInterval(timer);
  newest = null;
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());

keep({ door: DOOR, entered, left });
