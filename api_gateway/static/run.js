/** One run: where it is, its figures and curves, and what its reader may do with it. */

import * as api from "./api.js";
import { chart, figure, points } from "./curves.js";
import { button, fill, folded, h, toast } from "./dom.js";
import { confirmed } from "./keys.js";
import { t } from "./language.js";
import * as session from "./session.js";
import { exact } from "./time.js";

export const ENDED = ["done", "dead", "cancelled"];
const TABLE_ROWS = 40;
const FILES = {
  "report.html": t("Report"),
  "tensorboard.zip": t("TensorBoard files"),
  "log.txt": t("Log"),
  "problems.json": t("Problems of its data"),
};

/** The state in words: what it waits for stands with it. */
export function standing(run) {
  if (run.paused_at && run.state === "running") return t("running, writes a checkpoint and pauses");
  return run.waits_for ? t("{state}, waits for a {what}", { state: run.state, what: run.waits_for }) : run.state;
}

export const stepsOf = (run) => (run.steps ? t("{one} of {all}", { one: run.step, all: run.steps }) : String(run.step));

export class RunView {
  /** `changed` is called after each act. */
  constructor(changed) {
    this.changed = changed;
    this.id = null;
    this.body = h("div", {});
    this.acts = h("div", { class: "row" });
    this.curves = h("div", { class: "curves" });
    this.title = h("h2", { tabindex: -1 });
    this.table = h("table", {});
    this.figures = folded(t("Figures"), h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": t("Figures") }, this.table));
    this.files = h("div", { class: "row" });
    const parts = [this.title, this.acts, this.files, this.body, this.curves, h("div", { class: "figures" }, this.figures)];
    this.element = h("section", { class: "run", "aria-label": t("Run"), hidden: true }, ...parts);
  }

  /** Show this run, or none; `focus`: its reader asked for it. */
  async show(id, focus = false) {
    const other = id !== this.id;
    this.id = id;
    this.element.hidden = id === null;
    if (id === null) return;
    const [run, curve] = await Promise.all([api.run(id), api.points(id)]);
    if (id !== this.id) return;
    fill(this.title, `${run.stage} · ${id.slice(-12)}`);
    fill(this.body, facts(run));
    this.draw(curve.points);
    const acts = this.actsOf(run).map(([label]) => label).join();
    if (other || acts !== this.shown) {
      this.shown = acts; // a button that is being pressed stays the same element
      fill(this.acts, ...this.actsOf(run).map(([label, act, more]) => button(label, act, more)));
    }
    if (other || run.finished_at !== this.ended) await this.list(run);
    this.ended = run.finished_at;
    if (focus) this.title.focus();
  }

  actsOf(run) {
    const over = ENDED.includes(run.state);
    const may = session.has("trainer", "admin") && !over;
    return [
      may && !run.paused_at && [t("Pause"), () => this.act("pause", t("The run writes a checkpoint and pauses."))],
      may && run.paused_at && [t("Resume"), () => this.act("resume", t("The run goes on."))],
      may && [t("Cancel"), () => this.cancel(), { kind: "bad" }],
      session.has("admin") && run.state === "done" && [t("Serve what it made"), () => this.promote(), { kind: "good" }],
    ].filter(Boolean);
  }

  async act(wanted, said) {
    try {
      await api.changeRun(this.id, wanted);
      toast(said);
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
    this.changed();
  }

  async cancel() {
    const sure = await confirmed(t("A cancelled run cannot go on."), t("Cancel the run"), t("Let it run"));
    if (sure) await this.act("cancel", t("The run is cancelled."));
  }

  async promote() {
    const means = t("Every GPU worker will load what this run made, and new summaries come from it.");
    const sure = await confirmed(means, t("Serve it"), t("Not now"));
    if (sure) await this.act("promote", t("It is served from now on."));
  }

  /** Links to its report and files, for a trainer. */
  async list(run) {
    if (!session.has("trainer")) return;
    const { files } = await api.runFiles(run.run_id);
    const links = files.map(({ name }) => {
      const report = name === "report.html";
      const href = `/v1/training-runs/${run.run_id}/${report ? "report" : `files/${encodeURIComponent(name)}`}`;
      const opens = report ? { target: "_blank", rel: "noopener" } : { download: name };
      return h("a", { class: "button", href, ...opens }, FILES[name] ?? name);
    });
    fill(this.files, ...links);
  }

  draw(curve) {
    const held = [
      { name: t("held out"), kind: "two", points: points(curve, "held_out") },
      { name: t("held out, other patients' films"), kind: "three", points: points(curve, "swapped") },
    ];
    const loss = [{ name: t("loss"), kind: "one", points: points(curve, "loss") }, ...held];
    const speed = [{ name: t("samples/s"), kind: "one", points: points(curve, "samples_per_s") }];
    fill(this.curves, chart(t("Loss by step"), loss), chart(t("Samples a second by step"), speed));
    const every = Math.max(1, Math.ceil(curve.length / TABLE_ROWS));
    const rows = curve.filter((one, place) => one.held_out !== null || place % every === 0 || place === curve.length - 1);
    const names = ["step", "loss", "held_out", "swapped", "samples_per_s"];
    const head = [t("Step"), t("Loss"), t("Held out"), t("Other films"), t("Samples/s")].map((name) => h("th", { scope: "col" }, name));
    const cells = rows.map((one) => h("tr", {}, ...names.map((name) => h("td", {}, figure(one[name])))));
    fill(this.table, h("caption", {}, t("Some of the run's points")), h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...cells));
    this.figures.hidden = !curve.length;
  }
}

/** What is known of a run, as a list of terms. */
function facts(run) {
  const swapped = t("beside other patients' films {figure}", { figure: figure(run.swapped) });
  const held = run.held_out === null ? null : `${figure(run.held_out)}, ${swapped}`;
  const terms = [
    [t("State"), standing(run)],
    [t("Steps"), stepsOf(run)],
    [t("Loss"), run.loss === null ? null : figure(run.loss)],
    [t("Held out"), held],
    [t("Held out before the first step"), run.first_held_out === null ? null : figure(run.first_held_out)],
    [t("Samples a second"), run.samples_per_s === null ? null : figure(run.samples_per_s)],
    [t("Last checkpoint"), run.checkpoint_step === null ? null : t("step {step}", { step: run.checkpoint_step })],
    [t("Starts from"), run.parent_run ? t("run {run}", { run: run.parent_run.slice(-12) }) : run.base_bundle],
    [t("Bundle"), run.bundle],
    [t("Begun"), exact(run.created_at)],
    [t("Ended"), run.finished_at && exact(run.finished_at)],
    [t("Its data"), run.problem],
  ].filter(([, value]) => value !== null && value !== undefined);
  const list = terms.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]);
  const failure = run.failure_says && h("p", { class: "failure" }, t("Why it failed: {why}", { why: run.failure_says }));
  return h("div", {}, failure, h("dl", { class: "facts" }, ...list), run.phases && phases(run.phases));
}

function phases({ planned, prepared, dropped, encoded }) {
  const bar = (name, value, says) =>
    h("p", {}, h("progress", { max: planned, value, "aria-label": name }), " ", says);
  const gone = dropped ? h("p", { class: "muted" }, t("{dropped} dropped", { dropped })) : null;
  return h(
    "div",
    {},
    bar(t("prepared"), prepared, t("{value} of {planned} pairs prepared", { value: prepared, planned })),
    bar(t("encoded"), encoded, t("{value} of {planned} pairs encoded", { value: encoded, planned })),
    gone,
  );
}
