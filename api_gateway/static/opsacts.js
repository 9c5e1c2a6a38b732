/** What an operator does on the page: each act is one request, and each that cannot be taken back is asked about first. */

import * as api from "./api.js";
import { toast } from "./dom.js";
import { confirmed } from "./keys.js";
import { t } from "./language.js";
import { count, short } from "./opswords.js";

const ACTS = {
  backlog: {
    ask: ({ wanted, id }) => wanted === "cancel" && [t("Cancel backlog {id}? What waits of it is not read; what runs is finished.", { id: short(id) }), t("Cancel it"), t("Let it go on")],
    do: ({ wanted, id }) => api.changeBacklog(id, wanted),
    said: ({ wanted }) => ({ pause: t("Paused."), resume: t("It goes on."), cancel: t("Cancelled.") })[wanted],
  },
  "replay-one": {
    do: ({ id }) => api.replayDead({ job_ids: [id] }),
    said: (_, { replayed }) => t("{n} jobs are queued again.", { n: count(replayed) }),
  },
  "replay-group": {
    do: ({ kind, cause }) => api.replayDead({ cause: { kind, cause } }),
    said: (_, { replayed }) => t("{n} jobs are queued again.", { n: count(replayed) }),
  },
  serve: {
    ask: ({ id }) => [t("Serve the bundle {name}? Every GPU worker finishes what it writes and loads it.", { name: id }), t("Serve it"), t("Keep the one there is")],
    do: ({ id }) => api.serve(id),
    said: (_, { bundle }) => t("{name} is served from now on.", { name: bundle }),
  },
  promote: {
    ask: ({ id }) => [t("Serve what run {id} made? Every GPU worker finishes what it writes and loads it.", { id: short(id) }), t("Serve it"), t("Keep the one there is")],
    do: ({ id }) => api.changeRun(id, "promote"),
    said: () => t("It is served from now on."),
  },
  rollback: {
    ask: ({ id }) => [t("Serve {name} again? Every GPU worker finishes what it writes and loads it.", { name: id }), t("Roll back"), t("Keep the one there is")],
    do: () => api.rollBack(),
    said: (_, { bundle }) => t("{name} is served from now on.", { name: bundle }),
  },
};

/** Do what a button says; `done` is called after the answer, whatever it was. */
export async function act(pressed, done) {
  const what = ACTS[pressed.dataset.act];
  const given = { ...pressed.dataset };
  const question = what.ask?.(given);
  if (question && !(await confirmed(...question))) {
    if (pressed.isConnected) pressed.focus();
    return;
  }
  pressed.setAttribute("aria-busy", "true");
  try {
    const answer = await what.do(given);
    toast(what.said(given, answer), { kind: "good" });
  } catch (error) {
    if (error.status !== 401) toast(error.message, { kind: "bad" });
  } finally {
    pressed.removeAttribute("aria-busy");
    done();
  }
}
