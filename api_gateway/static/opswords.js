/** The words of the page of operators: kinds of job and of worker, doors, and lengths of time. */

import { language, number, t } from "./language.js";

export const KINDS = {
  ingest: t("Read films"),
  settle: t("Settle studies"),
  summarise: t("Write drafts"),
  chat: t("Answer questions"),
  plan: t("Plan training"),
  prepare: t("Prepare training films"),
  encode: t("Encode training films"),
  train: t("Train"),
};

/** The worker that does a kind of job. */
export const WORKER_OF = {
  ingest: "ingest",
  settle: "ingest",
  prepare: "ingest",
  summarise: "gpu",
  chat: "gpu",
  encode: "gpu",
  plan: "training",
  train: "training",
};

export const STATES = { queued: t("Waiting"), running: t("At work"), dead: t("Dead") };

export const BACKLOG_STATES = {
  listing: t("Being listed"),
  listed: t("Listed"),
  paused: t("Paused"),
  done: t("Done"),
  cancelled: t("Cancelled"),
};

export const DOORS = { webhook: t("webhook"), sns: t("Amazon SNS"), sqs: t("Amazon SQS") };

export const word = (words, code) => words[code] ?? code;

export const short = (id) => id.slice(-12);

/** "0.4 s", "45 s", "12 min", "3 h 05", "4 days". */
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return t("{n} s", { n: number(seconds, 2) });
  if (seconds < 90) return t("{n} s", { n: Math.round(seconds) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return t("{n} min", { n: minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return t("{h} h {m}", { h: hours, m: String(minutes % 60).padStart(2, "0") });
  return t("{n} days", { n: Math.round(hours / 24) });
}

const isLoopback = (host) => /^(localhost|127\.[\d.]+|\[::1\])$/.test(host);

/** Where Flower is for a browser that reached this page at `host`, or null: a loopback address is another machine's own. */
export const flowerLink = (url, host) => (url && (!isLoopback(new URL(url).hostname) || isLoopback(host)) ? url : null);

/** A count, with the separators of the reader's language. */
export const count = (many) => (many === null || many === undefined ? "–" : many.toLocaleString(language()));

/** Bytes as gibibytes. */
export const gib = (bytes) => (bytes === null || bytes === undefined ? "–" : t("{n} GiB", { n: number(bytes / 2 ** 30, null, 1) }));

export const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(share * 100)} %`);
