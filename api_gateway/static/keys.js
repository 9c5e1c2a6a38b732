/** One-key commands. They do nothing while the reader types, while a dialog is open, and with Ctrl, Alt and Meta. */

import { button, fill, h } from "./dom.js";
import { t } from "./language.js";

/** What the keys do, by place; each view gives its own functions to `bind`. */
const HELP = [
  [t("Everywhere"), [["?", t("This help")], ["/", t("Find by number")], ["1 – 5", t("The lists")]]],
  [
    t("List"),
    [["j  k", t("Next, previous study")], ["Enter", t("Open it")], ["x", t("Choose it")], ["m", t("More of the list")]],
  ],
  [
    t("Study"),
    [
      ["a", t("Accept the draft")],
      ["e", t("Correct it (Ctrl Enter saves, Ctrl Z undoes)")],
      ["d", t("The findings: Enter says one otherwise")],
      ["r", t("Reject it, with a reason")],
      ["t", t("Take a review back")],
      ["u", t("Undo what you just signed, for ten seconds")],
      ["j  k", t("Next, previous study")],
      ["q", t("Ask a question")],
      ["c  ⇧P", t("Copy the text, print it")],
      ["Esc", t("Back to the list")],
    ],
  ],
  [
    t("Film"),
    [
      ["v", t("The study's other image beside it")],
      ["p", t("The patient's prior beside it")],
      ["l", t("Zoom and move both together")],
      ["s", t("To the other film")],
      ["+  −", t("Zoom (or the wheel, or two fingers)")],
      ["f  z", t("Fit; one pixel on one of the screen")],
      ["w", t("Next window: lungs, bone, high contrast")],
      ["i  h  o", t("Invert, mirror, turn by 90°")],
      ["m", t("Ruler: two points by click, or arrows and Enter; Delete removes one")],
      ["0", t("Reset everything")],
      [t("arrows"), t("Move, with the film in focus")],
      [t("drag"), t("Move; with Shift or the right button: brightness and contrast")],
    ],
  ],
];

const layers = [];

/** Let these keys work until the returned function is called; a later layer comes before an earlier one. */
export function bind(commands) {
  layers.unshift(commands);
  return () => layers.splice(layers.indexOf(commands), 1);
}

/** A dialog that was just closed holds the focus until the next frame, where nothing else takes it: that is no typing. */
function typing(target) {
  if (!(target instanceof Element) || target.closest("dialog:not([open])")) return false;
  return target.closest("input:not([type=range]), textarea, select") !== null;
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (document.querySelector("dialog[open]") || typing(event.target)) return;
  const command = layers.map((layer) => layer[event.key]).find((found) => found);
  // A key that is held down does not sign one study after the other.
  if (!command || (event.repeat && !command.repeats)) return;
  event.preventDefault();
  command();
});

/** Mark a command that may repeat while its key is held. */
export const repeating = (act) => Object.assign(act, { repeats: true });

/** The table of keys, in a dialog. */
export function help() {
  const dialog = h("dialog", { class: "help", "aria-label": t("Keyboard") });
  const tables = HELP.map(([title, rows]) =>
    h(
      "section",
      {},
      h("h3", {}, title),
      h("dl", {}, ...rows.flatMap(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)])),
    ),
  );
  fill(dialog, h("h2", {}, t("Keyboard")), h("div", { class: "columns" }, ...tables), closing(dialog));
  show(dialog);
}

/** Ask before something is lost. Resolves to whether it may be. */
export function confirmed(question, yes, no) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "ask", "aria-label": question });
    const answer = (value) => () => dialog.close(value);
    fill(
      dialog,
      h("p", {}, question),
      h("div", { class: "row" }, button(no, answer("no")), button(yes, answer("yes"), { kind: "bad" })),
    );
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
    show(dialog);
  });
}

function closing(dialog) {
  return h("div", { class: "row" }, button(t("Close"), () => dialog.close()));
}

/** Open a dialog; it is gone once it is closed. */
export function show(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
