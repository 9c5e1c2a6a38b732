/** The reading room: its reader, its lists, its desk. Addresses carry opaque study ids and nothing else. */

import * as api from "./api.js";
import { Desk } from "./desk.js";
import { button, fill, h, toast } from "./dom.js";
import { finder } from "./find.js";
import { bind, confirmed, help, repeating } from "./keys.js";
import * as logoff from "./logoff.js";
import * as session from "./session.js";
import { showSignIn } from "./signin.js";
import { followTabs, sayToTabs } from "./tabs.js";
import { withdrawOffers } from "./undo.js";
import { anyUnsaved, dropAll } from "./unsaved.js";
import { LISTS, Worklist } from "./worklist.js";

const ROOT = document.getElementById("room");
const STUDY = /^#\/study\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

const tabs = new Map(
  Object.entries(LISTS).map(([name, { title }], place) => [
    name,
    h("a", { href: `#/${name}`, "aria-keyshortcuts": place + 1 }, title, h("span", { class: "count" })),
  ]),
);
const worklist = new Worklist(counted);
const desk = new Desk(signed, undone, move, toList);
const search = finder((id) => go(`#/study/${id}`));
const who = h("span", { class: "who" });
const main = h("main", { class: "room" }, worklist.element, desk.element);
const frame = [
  h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: "#/awaiting", "aria-label": "Reading room, to the worklist" }, "Reading room"),
    h("nav", { "aria-label": "Lists" }, ...tabs.values()),
    search.form,
    who,
    button("Help", help, { key: "?", kind: "quiet" }),
    button("Sign out", signOut, { kind: "quiet" }),
  ),
  main,
];

let signedIn = false;
let lastReader = null;

bind({
  "?": help,
  "/": search.focus,
  j: repeating(() => worklist.focus(1)),
  k: repeating(() => worklist.focus(-1)),
  ArrowDown: repeating(() => worklist.focus(1)),
  ArrowUp: repeating(() => worklist.focus(-1)),
  m: () => worklist.extend(),
  ...Object.fromEntries(Object.keys(LISTS).map((name, place) => [place + 1, () => go(`#/${name}`)])),
});

function go(hash) {
  location.hash = hash;
}

/** Show the view of the address; an unknown address leads to the worklist. */
function route() {
  if (!signedIn) return;
  const study = STUDY.exec(location.hash)?.[1];
  const list = location.hash.slice(2);
  if (!study && !Object.hasOwn(LISTS, list)) {
    history.replaceState(null, "", `#/${worklist.name}`);
    route();
    return;
  }
  const left = main.dataset.study ?? null;
  main.dataset.view = study ? "desk" : "list";
  if (study) {
    main.dataset.study = study;
    worklist.mark(study);
    if (study !== left) desk.open(study);
    desk.reading.focus({ preventScroll: true });
  } else {
    delete main.dataset.study;
    if (left) desk.close();
    worklist.mark(null);
  }
  const shown = study ? worklist.name : list;
  for (const [name, tab] of tabs) {
    if (name === shown) tab.setAttribute("aria-current", study ? "true" : "page");
    else tab.removeAttribute("aria-current");
  }
  if (!study) worklist.show(list).then(() => left && idle() && worklist.focus(0, left));
}

/** Whether the reader has not begun to type meanwhile. */
function idle() {
  return document.activeElement === document.body || main.contains(document.activeElement);
}

function toList() {
  go(`#/${worklist.name}`);
}

function move(step) {
  const beside = worklist.beside(main.dataset.study, step);
  if (beside) go(`#/study/${beside}`);
  else toast(step > 0 ? "This is the last one of the list." : "This is the first one of the list.");
}

/** After a signature on the worklist the next study comes, unless its reader went on; elsewhere the signed one stays. */
function signed(studyId, state, open) {
  if (worklist.name === "awaiting" && state !== "draft" && worklist.beside(studyId, 0)) {
    const next = worklist.following(studyId);
    worklist.signed(studyId);
    if (open && next) go(`#/study/${next}`);
    else if (open) {
      toast("Nothing else waits here.");
      toList();
    }
  }
  worklist.refresh();
}

/** What was undone is to be read again. */
function undone(studyId) {
  go(`#/study/${studyId}`);
  worklist.refresh();
}

/** How many wait stands on the tab and in the title: urgent ones are seen from another window. */
function counted(awaiting) {
  const { stat } = awaiting;
  const waiting = Object.values(awaiting).reduce((sum, drafts) => sum + drafts, 0);
  const more = Math.max(...Object.values(awaiting)) >= 100;
  tabs.get("awaiting").querySelector(".count").textContent = waiting ? `${waiting}${more ? "+" : ""}` : "";
  tabs.get("awaiting").classList.toggle("urgent", stat > 0);
  document.title = stat ? `${stat} stat · Reading room` : "Reading room";
}

async function signOut() {
  if (anyUnsaved() && !(await confirmed("A correction of yours is not saved.", "Discard it and sign out", "Stay"))) return;
  try {
    await api.signOut();
  } catch (error) {
    if (error.status !== 401) {
      toast(`You are still signed in: ${error.message}`, { kind: "bad" });
      return;
    }
  }
  dropAll();
  leave("");
  sayToTabs("signed out");
}

function leave(why) {
  withdrawOffers();
  logoff.rest();
  session.forget();
  signedIn = false;
  document.title = "Reading room";
  worklist.rest();
  desk.close();
  delete main.dataset.study;
  showSignIn(ROOT, why, () => {
    enter();
    sayToTabs("signed in");
  });
}

function enter() {
  // One person's unsaved words are not shown to the next person who signs in.
  if (lastReader !== null && lastReader !== session.reader()) dropAll();
  lastReader = session.reader();
  signedIn = true;
  logoff.watch();
  who.textContent = session.reader();
  who.title = "Your reviews are signed with this name";
  fill(ROOT, ...frame);
  worklist.refresh();
  route();
}

api.whenUnauthorised(() => {
  if (signedIn) leave("Your session is over. Sign in again; what you were writing is still here.");
});

followTabs(() => signedIn, leave);

addEventListener("hashchange", route);
setInterval(() => worklist.tick(), 20_000);

try {
  session.opened(await api.resume());
  enter();
} catch (error) {
  leave(error.status === 401 ? "" : error.message);
}
