/** The reading room: its reader, its lists, its desk. Addresses carry opaque study ids and nothing else. */

import { arrived } from "./arrival.js";
import { Desk } from "./desk.js";
import { begin, isOpen, keep, ROOT, signOut } from "./door.js";
import { button, fill, h, toast } from "./dom.js";
import { finder } from "./find.js";
import * as identity from "./identity.js";
import { bind, confirmed, help, repeating } from "./keys.js";
import { t } from "./language.js";
import { showPurpose, whoMenu } from "./people.js";
import { choices } from "./preferences.js";
import * as session from "./session.js";
import { withdrawOffers } from "./undo.js";
import { anyUnsaved, dropAll } from "./unsaved.js";
import { LISTS, Worklist } from "./worklist.js";

export { begin };

const STUDY = /^#\/study\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

const tabs = new Map(
  Object.entries(LISTS).map(([name, { title }], place) => [
    name,
    h("a", { href: `#/${name}`, "aria-keyshortcuts": place + 1 }, title, h("span", { class: "count" })),
  ]),
);
const worklist = new Worklist(counted, (id) => go(`#/study/${id}`));
const desk = new Desk(signed, undone, move, toList);
const search = finder((id) => go(`#/study/${id}`));
const who = whoMenu();
const likes = h("span", {});
const main = h("main", { class: "room" }, worklist.element, desk.element);
const frame = [
  h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: "#/awaiting", "aria-label": t("Reading room, to the worklist") }, t("Reading room")),
    h("nav", { "aria-label": t("Lists") }, ...tabs.values()),
    search.form,
    who.element,
    likes,
    button(t("Help"), help, { key: "?", kind: "quiet" }),
    button(t("Sign out"), leaveRoom, { kind: "quiet" }),
  ),
  main,
];

let lastReader = null;

bind({
  "?": help,
  "/": search.focus,
  j: repeating(() => worklist.focus(1)),
  k: repeating(() => worklist.focus(-1)),
  ArrowDown: repeating(() => worklist.focus(1)),
  ArrowUp: repeating(() => worklist.focus(-1)),
  m: () => worklist.extend(),
  x: () => worklist.choose(),
  ...Object.fromEntries(Object.keys(LISTS).map((name, place) => [place + 1, () => go(`#/${name}`)])),
});

function go(hash) {
  location.hash = hash;
}

/** Show the view of the address; an unknown address leads to the worklist. */
function route() {
  if (!isOpen() || !session.mayRead()) return;
  const number = arrived();
  if (number) search.lookFor(number);
  else if (location.hash === "#/find") search.focus();
  const study = STUDY.exec(location.hash)?.[1];
  const [list, query] = location.hash.slice(2).split("?");
  if (!study && !Object.hasOwn(LISTS, list)) {
    history.replaceState(null, "", `#/${worklist.address}`);
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
  if (!study) worklist.show(list, query).then(() => left && idle() && worklist.focus(0, left));
}

/** Whether the reader has not begun to type meanwhile. */
function idle() {
  return document.activeElement === document.body || main.contains(document.activeElement);
}

function toList() {
  go(`#/${worklist.address}`);
}

function move(step) {
  const beside = worklist.beside(main.dataset.study, step);
  if (beside) go(`#/study/${beside}`);
  else toast(step > 0 ? t("This is the last one of the list.") : t("This is the first one of the list."));
}

/** After a signature on the worklist the next study comes, unless its reader went on; elsewhere the signed one stays. */
function signed(studyId, state, open) {
  if (worklist.name === "awaiting" && state !== "draft" && worklist.beside(studyId, 0)) {
    const next = worklist.following(studyId);
    worklist.signed(studyId);
    if (open && next) go(`#/study/${next}`);
    else if (open) {
      toast(t("Nothing else waits here."));
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
  tabs.get("awaiting").querySelector(".count").textContent = more || waiting > 100 ? "100+" : waiting || "";
  tabs.get("awaiting").classList.toggle("urgent", stat > 0);
  document.title = stat ? t("{count} stat · Reading room", { count: stat }) : t("Reading room");
}

async function leaveRoom() {
  if (anyUnsaved() && !(await confirmed(t("A correction of yours is not saved."), t("Discard it and sign out"), t("Stay")))) return;
  desk.others.close(); // while there is a session to do it with
  if (await signOut()) forget();
}

/** One person's unsaved words and numbers are not shown to the next person who signs in. */
function forget() {
  dropAll();
  identity.forget();
}

function left() {
  withdrawOffers();
  document.title = t("Reading room");
  worklist.rest();
  desk.close();
  delete main.dataset.study;
}

function entered() {
  if (lastReader !== null && lastReader !== session.reader()) forget();
  lastReader = session.reader();
  if (!session.mayRead()) {
    showPurpose(ROOT, leaveRoom);
    return;
  }
  who.draw();
  fill(likes, choices(session.preferences(), anyUnsaved));
  fill(ROOT, ...frame);
  worklist.refresh();
  route();
}

addEventListener("hashchange", route);
setInterval(() => worklist.tick(), 20_000);

keep({ over: t("Your session is over. Sign in again; what you were writing is still here."), entered, left });
