/** What the gateway is asked. The browser adds the session's cookie; a token in a header shows that it is this page. */

import { toast, visible } from "./dom.js";
import { csrf, settleUse, takeUse } from "./session.js";
import { t } from "./language.js";
import { events } from "./sse.js";

const AGAIN_MS = [1000, 2000, 4000]; // before what was lost is sent again
const LIMIT_MS = 20_000; // where the network says nothing at all
const LONG_MS = 600_000; // the same for what may change a million rows
const LOST = new Set([0, 502, 503, 504]); // no answer of the act's own: it may have been done

/** The gateway refused, or did not answer (status 0). The message is a sentence for a person. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether it is not known what became of the request. */
  get lost() {
    return LOST.has(this.status);
  }
}

/** Called when the session does not open anything any more. */
let onUnauthorised = () => {};
export const whenUnauthorised = (act) => (onUnauthorised = act);

async function ask(path, { method = "GET", body, headers = {}, signal, limit = 0, keepalive = false } = {}) {
  const use = takeUse();
  let answer;
  try {
    answer = await fetch(path, {
      method,
      signal: limit ? AbortSignal.timeout(limit) : signal,
      keepalive,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: {
        ...(csrf() ? { "X-CSRF-Token": csrf() } : {}),
        ...(use ? {} : { "X-Background": "1" }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (use) settleUse(false);
    if (signal?.aborted) throw error;
    throw noAnswer();
  }
  if (use) settleUse(answer.ok);
  if (answer.status === 401) onUnauthorised();
  if (!answer.ok) throw new Refused(answer.status, await sentence(answer));
  return answer;
}

const noAnswer = () => new Refused(0, t("The gateway does not answer."));

/** A name for what a person wants once: sent again under it, it is not done again. randomUUID would need a secure context. */
export const intent = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Change something: once, though it is sent again while the network loses it or its answer; and by who wanted it. */
async function change(path, body, { once = intent(), limit = LIMIT_MS } = {}) {
  const headers = { "Idempotency-Key": once };
  const session = csrf();
  let note = null;
  try {
    for (const wait of [...AGAIN_MS, null]) {
      let error;
      try {
        const answer = await ask(path, { method: "POST", body, headers, limit });
        return answer.status === 204 ? null : await answer.json();
      } catch (failed) {
        error = failed instanceof Refused ? failed : noAnswer(); // it broke off in the middle
      }
      if (!error.lost) throw error;
      if (wait !== null) {
        note ??= toast(t("No answer yet. It is being sent again …"), { ms: LONG_MS });
        await new Promise((later) => setTimeout(later, wait));
      }
      if (wait === null || csrf() !== session)
        throw new Refused(error.status, `${error.message} ${t("Look how it stands before you repeat it.")}`);
    }
  } finally {
    note?.remove();
  }
}

async function sentence(answer) {
  try {
    const problem = await answer.json();
    return visible(String(problem.detail ?? problem.title));
  } catch {
    return t("The gateway answered {status}.", { status: answer.status });
  }
}

const json = async (path, options) => (await ask(path, options)).json();
const blob = async (path, options) => (await ask(path, options)).blob();
/** Ask, and change nothing: numbers and searches travel in a body. */
const post = (path, body) => json(path, { method: "POST", body });

/** Sign in with a key; the answer goes to session.opened, as does that of `resume`. */
export const signIn = (key) => post("/v1/session", { key });
export const resume = () => json("/v1/session");
/** What the person chose for the pages: {language, theme}. */
export const prefer = (wanted) => ask("/v1/me/preferences", { method: "PUT", body: wanted });
export const signOut = () => ask("/v1/session", { method: "DELETE" });

/** A page of a list. The search travels in the body: what a reader types into it may name a patient. */
export const studies = (search) => post("/v1/studies/search", given(search));

/** How many studies a search finds, and how many of each value. */
export const counts = (search) => post("/v1/studies/counts", given(search));

/** Without what was not chosen. */
const given = (search) => Object.fromEntries(Object.entries(search).filter(([name, value]) => name === "descending" || value));

export const thumbnail = (id) => blob(`/v1/studies/${id}/thumbnail.png`);
export const readers = () => json("/v1/readers");
export const assign = (ids, to) => change("/v1/studies/assign", { study_ids: ids, to });
export const release = (ids) => change("/v1/studies/release", { study_ids: ids });
export const hasten = (ids, lane) => change("/v1/studies/hasten", { study_ids: ids, lane });
export const resummarise = (ids) => change("/v1/resummarise", { study_ids: ids }, { limit: LONG_MS });
export const exportCsv = (ids) => blob("/v1/studies/export", { method: "POST", body: { study_ids: ids } });

/** Who has a study on the desk; this page, until it leaves it. */
export const claimReading = (id) => json(`/v1/studies/${id}/reading`, { method: "PUT" });
export const leaveReading = (id) => ask(`/v1/studies/${id}/reading`, { method: "DELETE", keepalive: true });

export const study = (id, signal) => json(`/v1/studies/${id}`, { signal });
export const timeline = (id) => json(`/v1/studies/${id}/timeline`);
export const origin = (summaryId) => json(`/v1/summaries/${summaryId}/origin`);
export const preview = (id, signal) => blob(`/v1/studies/${id}/preview.png`, { signal });
/** The study in one description: its images, the findings that its text names, its prior. */
export const card = (id, signal) => json(`/v1/studies/${id}/card`, { signal });
export const image = (id, imageId, signal) => blob(`/v1/studies/${id}/images/${imageId}.png`, { signal });
export const deepImage = (id, imageId, signal) => blob(`/v1/studies/${id}/images/${imageId}/16-bit.png`, { signal });
export const film = (summaryId, signal) => blob(`/v1/summaries/${summaryId}/image.png`, { signal });

/** The hospital's number travels in the body, never in an address. `kind`: accession, patient or study_uid. */
export const lookup = (kind, value) => post("/v1/lookup", { [kind]: value });

/**
 * Sign, if the summary still stands as it was read; 409 means that it does not.
 * `more`: text, reason, undo; `film`: what was seen of it; `once`: the intent, if the same was sent before.
 */
export function review(summary, state, more = {}, film = {}, once = intent()) {
  const { review_state, reviewed_at, superseded_at } = summary;
  const seen = { review_state, reviewed_at, superseded_at, ...film };
  return change(`/v1/summaries/${summary.summary_id}/review`, { state, ...more, seen }, { once });
}

/** The hospital's numbers of a study's images, where they are kept; and who looked at a study. */
export const numbers = (id) => json(`/v1/studies/${id}/numbers`);
export const lookedAt = (id) => json(`/v1/studies/${id}/readers`);

export const transcript = (id, signal) => json(`/v1/studies/${id}/chat`, { signal });

/** Ask; repeated under the same `once`, it is asked once. */
export const question = (id, text, once) => change(`/v1/studies/${id}/chat`, { question: text }, { once });

export const turn = (turnId, signal) => json(`/v1/turns/${turnId}`, { signal });

/** The events of a turn's answer: {name, data}. */
export async function* answering(turnId, signal) {
  const answer = await ask(`/v1/turns/${turnId}/stream`, { signal });
  yield* events(answer.body);
}

/** Training runs: figures and words of the gateway's own. */
export const runs = () => json("/v1/training-runs");
export const run = (id) => json(`/v1/training-runs/${id}`);
export const points = (id) => json(`/v1/training-runs/${id}/points`);
export const runFiles = (id) => json(`/v1/training-runs/${id}/files`);

/** `wanted`: pause, resume, cancel or promote. */
export const changeRun = (id, wanted) => change(`/v1/training-runs/${id}/${wanted}`, {});

/** What operators look at: the state now, and the last so many hours. */
export const ops = (hours) => json(`/v1/ops?hours=${hours}`);

/** `wanted`: pause, resume or cancel. */
export const changeBacklog = (id, wanted) => change(`/v1/backlogs/${id}/${wanted}`, {}, { limit: LONG_MS });

/** `which`: {job_ids} or {cause: {kind, cause}}. */
export const replayDead = (which) => change("/v1/dead/replay", which, { limit: LONG_MS });

export const serve = (bundle) => change("/v1/bundles/serve", { bundle });
export const rollBack = () => change("/v1/bundles/rollback", {});
