/** One-key commands. They do nothing while the reader types, while a dialog is open, and with Ctrl, Alt and Meta. */

import { button, fill, h } from "./dom.js";

/** What the keys do, by place; each view gives its own functions to `bind`. */
const HELP = [
  ["Everywhere", [["?", "This help"], ["/", "Find by number"], ["1 – 5", "The lists"]]],
  ["List", [["j  k", "Next, previous study"], ["Enter", "Open it"], ["m", "More of the list"]]],
  [
    "Study",
    [
      ["a", "Accept the draft"],
      ["e", "Correct it (Ctrl Enter saves)"],
      ["r", "Reject it"],
      ["t", "Take a review back"],
      ["u", "Undo what you just signed, for ten seconds"],
      ["j  k", "Next, previous study"],
      ["q", "Ask a question"],
      ["Esc", "Back to the list"],
    ],
  ],
  [
    "Film",
    [
      ["+  −", "Zoom (or the wheel)"],
      ["f", "Fit"],
      ["i", "Invert"],
      ["0", "Reset everything"],
      ["arrows", "Move, with the film in focus"],
      ["drag", "Move; with Shift or the right button: brightness and contrast"],
    ],
  ],
];

const layers = [];

/** Let these keys work until the returned function is called; a later layer comes before an earlier one. */
export function bind(commands) {
  layers.unshift(commands);
  return () => layers.splice(layers.indexOf(commands), 1);
}

function typing(target) {
  return target instanceof Element && target.closest("input:not([type=range]), textarea, select, dialog") !== null;
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
  const dialog = h("dialog", { class: "help", "aria-label": "Keyboard" });
  const tables = HELP.map(([title, rows]) =>
    h(
      "section",
      {},
      h("h3", {}, title),
      h("dl", {}, ...rows.flatMap(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)])),
    ),
  );
  fill(dialog, h("h2", {}, "Keyboard"), h("div", { class: "columns" }, ...tables), closing(dialog));
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
  return h("div", { class: "row" }, button("Close", () => dialog.close()));
}

/** Open a dialog; it is gone once it is closed. */
export function show(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
