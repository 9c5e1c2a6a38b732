/** The worker processes that are alive: what they have loaded, how busy they are, and their GPUs. */

import { figure } from "./curves.js";
import { h } from "./dom.js";
import { t } from "./language.js";
import { count, gib, lasting, percent } from "./opswords.js";
import { wide } from "./opswork.js";

export function workerPanel({ workers }) {
  if (!workers.length) return [h("p", { class: "empty" }, t("No worker was seen within the last minute."))];
  const columns = [t("Worker"), t("Kind"), t("At work"), t("Tokens/s"), t("Bundle"), t("GPU"), t("Seen"), t("Up for")];
  return [wide(t("Workers"), columns, workers.map(rowOf)), summary(workers)];
}

function rowOf(worker) {
  const up = (Date.parse(worker.seen_at) - Date.parse(worker.started_at)) / 1000;
  return h(
    "tr",
    { "data-key": worker.name },
    h("th", { scope: "row" }, worker.name),
    h("td", {}, worker.kind),
    h("td", { class: "figure" }, worker.slots ? t("{busy} of {slots}", { busy: count(worker.busy), slots: count(worker.slots) }) : "–"),
    h("td", { class: "figure" }, figure(worker.tokens_per_s)),
    h("td", {}, worker.bundle ?? "–"),
    h("td", {}, gpus(worker)),
    h("td", { class: "figure" }, t("{time} ago", { time: lasting(worker.age_seconds) })),
    h("td", { class: "figure" }, lasting(up)),
  );
}

function gpus(worker) {
  if (!["gpu", "training"].includes(worker.kind)) return "–";
  if (worker.devices === null) return t("none that NVML sees");
  return worker.devices
    .map((one) =>
      t("{name}: {busy}, {used} of {total}", {
        name: one.name,
        busy: percent(one.utilisation),
        used: gib(one.memory_used),
        total: gib(one.memory_total),
      }),
    )
    .join("; ");
}

function summary(workers) {
  const writing = workers.filter((worker) => worker.tokens_per_s !== null);
  const speed = writing.reduce((sum, worker) => sum + worker.tokens_per_s, 0);
  return h(
    "p",
    { class: "muted" },
    t("{n} workers, {tokens} tokens a second together. “At work” counts jobs that a worker has in hand.", {
      n: count(workers.length),
      tokens: figure(speed),
    }),
  );
}
