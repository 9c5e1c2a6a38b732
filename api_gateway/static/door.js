/** The door of a page: who comes in and who leaves, here or in another tab, and what happens when the session is over. */

import * as api from "./api.js";
import { button, fill, h, named, toast } from "./dom.js";
import { t } from "./language.js";
import * as logoff from "./logoff.js";
import { choices } from "./preferences.js";
import * as session from "./session.js";
import { READING, showSignIn } from "./signin.js";
import { followTabs, sayToTabs } from "./tabs.js";

export const ROOT = document.getElementById("room");

let page = null;
let open = false;

/** Whether somebody is signed in here. */
export const isOpen = () => open;

/**
 * Keep the door of this page.
 * @param {{door?: object, over?: string, entered: function(), left: function()}} what `door`: who may come in, with its
 *   words (signin.js); `over`: what is said when the session is over; `entered` shows the page, `left` rests it.
 */
export function keep(what) {
  page = { door: READING, over: t("Your session is over. Sign in again."), ...what };
  api.whenUnauthorised(() => open && leave(page.over));
  followTabs(isOpen, leave);
}

/** Open the page with what the gateway said of the session, or with why there is none. */
export function begin(first) {
  if (first instanceof Error) return leave(first.status === 401 ? "" : first.message);
  session.opened(first);
  if (page.door.may()) enter();
  else leave(page.door.needs);
}

/** End the session. Resolves to whether that was done; if not, the page says why. */
export async function signOut() {
  try {
    await api.signOut();
  } catch (error) {
    if (error.status !== 401) {
      toast(t("You are still signed in: {why}", { why: error.message }), { kind: "bad" });
      return false;
    }
  }
  leave("");
  sayToTabs("signed out");
  return true;
}

function enter() {
  open = true;
  logoff.watch();
  page.entered();
}

function leave(why) {
  logoff.rest();
  session.forget();
  open = false;
  page.left();
  const entered = () => {
    enter();
    sayToTabs("signed in");
  };
  showSignIn(ROOT, why, entered, page.door);
}

/** The bar at the top of a page beside the reading room; its `draw` says who is here. `links` lead to the other pages. */
export function topBar(title, home, ...links) {
  const who = h("span", { class: "who" });
  const likes = h("span", {});
  const element = h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: home }, title),
    h("nav", { "aria-label": t("Pages") }, ...links),
    likes,
    who,
    button(t("Sign out"), signOut, { kind: "quiet" }),
  );
  function draw() {
    fill(who, named(session.reader()));
    fill(likes, choices(session.preferences(), () => false));
  }
  return { element, draw };
}
