/** The end of the session, and its announcement: an idle page signs itself out. */

import * as api from "./api.js";
import { button, h } from "./dom.js";
import { t } from "./language.js";
import * as session from "./session.js";

const LOOK_MS = 1000;
const WARN_MS = 60_000;
const KEEP_SHARE = 0.1;

const words = h("span");
const note = h("div", { class: "ending", role: "alert", hidden: true }, words, button(t("Stay signed in"), () => {}));
document.body.append(note);
let timer = 0;
let asking = false;

/** Watch the session that was just opened; a 401 leads to the door as everywhere. */
export function watch() {
  rest();
  timer = setInterval(look, LOOK_MS);
}

export function rest() {
  clearInterval(timer);
  note.hidden = true;
}

async function look() {
  const { idle, whole, idleMs } = session.left();
  const soon = Math.min(idle, whole) < Math.min(WARN_MS, idleMs / 2);
  // Any sign of the reader counts as use; ask what another tab did before announcing anything.
  if (!asking && ((session.isActive() && session.idleShare() > KEEP_SHARE) || (soon && note.hidden) || Math.min(idle, whole) < 0)) {
    asking = true;
    await api.resume().then(session.opened, () => {});
    asking = false;
  }
  announce();
}

function announce() {
  const { idle, whole, idleMs } = session.left();
  const end = Math.min(idle, whole);
  note.hidden = !session.csrf() || end > Math.min(WARN_MS, idleMs / 2);
  const seconds = Math.max(0, Math.ceil(end / 1000));
  words.textContent =
    whole <= idle
      ? t("You are signed out in {seconds} s: save what you are writing, or it waits here until you sign in again.", { seconds })
      : t("This page is idle: you are signed out in {seconds} s. What you are writing stays here.", { seconds });
  note.querySelector("button").hidden = whole <= idle;
}
