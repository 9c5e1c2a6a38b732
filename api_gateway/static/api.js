/** What the gateway is asked. The browser adds the session's cookie; a token in a header shows that it is this page. */

import { csrf, settleUse, takeUse } from "./session.js";
import { events } from "./sse.js";

/** The gateway refused, or did not answer (status 0). The message is a sentence for a person. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Called when the session does not open anything any more. */
let onUnauthorised = () => {};
export const whenUnauthorised = (act) => (onUnauthorised = act);

async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  const use = takeUse();
  let answer;
  try {
    answer = await fetch(path, {
      method,
      signal,
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
    const unsure = method === "GET" ? "" : " Look how it stands before you repeat it.";
    throw new Refused(0, `The gateway does not answer.${unsure}`);
  }
  if (use) settleUse(answer.ok);
  if (answer.status === 401) onUnauthorised();
  if (!answer.ok) throw new Refused(answer.status, await sentence(answer));
  return answer;
}

async function sentence(answer) {
  try {
    const problem = await answer.json();
    return problem.detail ?? problem.title;
  } catch {
    return `The gateway answered ${answer.status}.`;
  }
}

const json = async (path, options) => (await ask(path, options)).json();
const blob = async (path, options) => (await ask(path, options)).blob();
const post = (path, body, headers = {}) => json(path, { method: "POST", body, headers });

/** Sign in with a key; the answer goes to session.opened, as does that of `resume`. */
export const signIn = (key) => post("/v1/session", { key });
export const resume = () => json("/v1/session");
export const signOut = () => ask("/v1/session", { method: "DELETE" });

/** A page of a list; `filters` are the parameters of GET /v1/studies, repeated where they are arrays. */
export function studies(filters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    for (const one of [value].flat()) if (one) query.append(name, one);
  }
  return json(`/v1/studies?${query}`);
}

export const study = (id, signal) => json(`/v1/studies/${id}`, { signal });
export const timeline = (id) => json(`/v1/studies/${id}/timeline`);
export const origin = (summaryId) => json(`/v1/summaries/${summaryId}/origin`);
export const preview = (id, signal) => blob(`/v1/studies/${id}/preview.png`, { signal });
export const film = (summaryId, signal) => blob(`/v1/summaries/${summaryId}/image.png`, { signal });

/** The hospital's number travels in the body, never in an address. `kind`: accession, patient or study_uid. */
export const lookup = (kind, value) => post("/v1/lookup", { [kind]: value });

/**
 * Sign, if the summary still stands as it was read; 409 means that it does not.
 * `more`: text, reason, undo; `film`: what was seen of it.
 */
export const review = (summary, state, more = {}, film = {}) =>
  post(`/v1/summaries/${summary.summary_id}/review`, {
    state,
    ...more,
    seen: {
      review_state: summary.review_state,
      reviewed_at: summary.reviewed_at,
      superseded_at: summary.superseded_at,
      ...film,
    },
  });

export const transcript = (id, signal) => json(`/v1/studies/${id}/chat`, { signal });

/** Ask; repeated under the same `once`, it is asked once. */
export const question = (id, text, once) =>
  post(`/v1/studies/${id}/chat`, { question: text }, { "Idempotency-Key": once });

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
export const changeRun = (id, wanted) => ask(`/v1/training-runs/${id}/${wanted}`, { method: "POST", body: {} });
