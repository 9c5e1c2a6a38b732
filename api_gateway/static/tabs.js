/** The tabs of a browser share its session: one that signs in or out takes the others along. */

import * as api from "./api.js";
import { t } from "./language.js";
import * as session from "./session.js";

const tabs = new BroadcastChannel("xraygpt");

/** Say to the other tabs that somebody signed in or out here. */
export const sayToTabs = (what) => tabs.postMessage(what);

/** Follow the other tabs: where another person signed in there, `leave` is called with the reason in words. */
export function followTabs(isSignedIn, leave) {
  tabs.addEventListener("message", async () => {
    if (!isSignedIn()) return;
    const before = session.reader();
    try {
      const now = await api.resume();
      if (now.me.name === before) session.opened(now);
      else leave(t("Another person signed in here."));
    } catch {
      // A 401 led to the door already.
    }
  });
}
