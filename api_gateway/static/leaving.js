/** A text leaves the desk: copied, printed or saved as a file, always with how it stands and where it came from. */

import { button, fill, h, toast, visible } from "./dom.js";
import { t } from "./language.js";
import { apart } from "./sections.js";
import { exact } from "./time.js";
import { NOTICE } from "./words.js";

const TITLES = { findings: t("Findings"), impression: t("Impression"), text: null };

/** How a text stands, in one sentence. */
export function standingSentence({ review_state: state, reviewed_by: by, reviewed_at: at }) {
  const signed = { by, at: at && exact(at) };
  if (state === "accepted") return t("Signed by {by}, {at}, based on an AI draft.", signed);
  if (state === "edited") return t("Corrected and signed by {by}, {at}, based on an AI draft.", signed);
  const notice = `${NOTICE}.`;
  return state === "rejected" ? `${t("REJECTED by {by}, {at}.", signed)} ${notice}` : `${t("DRAFT, not signed.")} ${notice}`;
}

/** Where a text came from, in one line. */
export function originLine(summary) {
  const { study_id: study, summary_id: id, bundle, bundle_sha256: sha256 } = summary;
  return t("Study {study}, summary {id}, model {bundle} (SHA-256 {sha256}).", { study, id, bundle, sha256 });
}

const titleOf = ({ view }) => (view ? t("Chest radiograph, {view} view", { view }) : t("Chest radiograph"));

/** What limits a text, as sentences; a text that leaves takes them along. */
function limits({ flags, scope }) {
  return flags.includes("out_of_scope") ? [t("Outside the model's scope.") + (scope?.says ? ` ${scope.says}` : "")] : [];
}

/** The whole as plain text. */
export function asText(study, summary) {
  const parts = apart(summary.summary).map(({ name, text }) => (TITLES[name] ? `${TITLES[name]}\n${text}` : text));
  const title = titleOf(study);
  const about = [standingSentence(summary), ...limits(summary), originLine(summary)];
  return visible(`${[title, standingSentence(summary), ...parts].join("\n\n")}\n\n-- \n${about.join("\n")}\n`);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "unseen", "aria-hidden": "true" }); // a page without a secure context
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return toast(t("The browser does not let this page copy: save the text as a file."), { kind: "bad" });
  }
  return toast(t("Copied, with how it stands and where it came from."), { kind: "good" });
}

function save(study, summary) {
  const kind = summary.review_state === "draft" ? "draft" : summary.review_state === "rejected" ? "rejected" : "signed";
  const href = URL.createObjectURL(new Blob([asText(study, summary)], { type: "text/plain;charset=utf-8" }));
  h("a", { href, download: `report-${summary.study_id.slice(-8)}-${kind}.txt` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

/** The sheet that is printed. It stands in the page while it is printed, and on no screen. */
function sheetOf(study, summary) {
  const parts = apart(summary.summary).flatMap(({ name, text }) => [
    TITLES[name] && h("h2", {}, TITLES[name]),
    h("p", { class: "text" }, text),
  ]);
  const printed = t("Printed {at}.", { at: exact(new Date().toISOString()) });
  return h(
    "article",
    { class: "sheet" },
    h("h1", {}, titleOf(study)),
    h("p", { class: "stands" }, standingSentence(summary)),
    ...limits(summary).map((sentence) => h("p", { class: "stands" }, sentence)),
    ...parts,
    h("footer", {}, standingSentence(summary), h("br"), originLine(summary), h("br"), printed),
  );
}

export class Leaving {
  #study = null;
  #summary = null;

  constructor() {
    this.element = h("div", { class: "leaving row", role: "group", "aria-label": t("Take the text along") });
    this.commands = {
      c: () => this.#summary && copy(asText(this.#study, this.#summary)),
      P: () => this.#summary && this.#print(),
    };
    addEventListener("beforeprint", () => this.#lay()); // also of the browser's own menu
    addEventListener("afterprint", () => this.#clear());
  }

  /** @param {object|null} summary the text that stands on the desk */
  show(study, summary) {
    this.#study = study;
    this.#summary = summary;
    this.#clear();
    fill(
      this.element,
      ...(summary
        ? [
            button(t("Copy"), this.commands.c, { key: "c", kind: "quiet" }),
            button(t("Print / PDF"), this.commands.P, { key: "⇧ P", kind: "quiet" }),
            button(t("Save as text"), () => save(this.#study, this.#summary), { kind: "quiet" }),
          ]
        : []),
    );
  }

  #print() {
    this.#lay();
    window.print();
  }

  #lay() {
    this.#clear();
    if (this.#summary) document.body.append(sheetOf(this.#study, this.#summary));
  }

  #clear() {
    document.querySelector(".sheet")?.remove();
  }
}

