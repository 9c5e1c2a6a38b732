/** The film's tools: what each key does, as a button. */

import { button, h } from "./dom.js";
import { OPEN_WINDOW, PRESETS } from "./greys.js";
import { t } from "./language.js";
import { WINDOWS } from "./words.js";

export class Tools {
  /**
   * @param {Object<string, () => void>} commands by key, for the film that is chosen
   * @param {(window: {centre: number, width: number}) => void} setWindow
   */
  constructor(commands, setWindow) {
    this.setWindow = setWindow;
    const act = (key, label, more = {}) => button(label, () => commands[key](), { key, ...more });
    const toggle = (key, label) => act(key, label, { "aria-pressed": "false" });
    this.brightness = slider(t("Brightness"), -127, 127, () => this.#slid());
    this.contrast = slider(t("Contrast"), -100, 100, () => this.#slid());
    this.presets = h(
      "select",
      { "aria-label": t("Window"), "aria-keyshortcuts": "w", title: t("Window (w)"), change: () => this.#chosen(this.presets.value) },
      ...Object.keys(PRESETS).map((name) => h("option", { value: name }, WINDOWS[name])),
      h("option", { value: "own", hidden: true }, t("Own window")),
    );
    this.toggles = { i: toggle("i", t("Invert")), m: toggle("m", t("Ruler")), l: toggle("l", t("Link")) };
    this.beside = { v: toggle("v", t("Lateral")), p: toggle("p", t("Prior")) };
    this.toggles.l.hidden = true;
    this.detail = h("span", { class: "muted detail" });
    this.element = h(
      "div",
      { class: "tools", role: "toolbar", "aria-label": t("Film") },
      this.beside.v,
      this.beside.p,
      this.toggles.l,
      button("−", () => commands["-"](), { "aria-label": t("Smaller") }),
      button("+", () => commands["+"](), { "aria-label": t("Larger") }),
      act("f", t("Fit")),
      act("z", "1:1", { title: t("One pixel of the picture on one of the screen") }),
      this.toggles.m,
      this.presets,
      this.toggles.i,
      act("h", t("Mirror")),
      act("o", t("Turn")),
      h("label", {}, t("Brightness"), this.brightness),
      h("label", {}, t("Contrast"), this.contrast),
      act("0", t("Reset")),
      this.detail,
    );
  }

  /** Show how a viewport stands. */
  show({ window, inverted, ruler }) {
    const known = Object.keys(PRESETS).find((name) => same(PRESETS[name], window));
    this.presets.value = known ?? "own";
    this.brightness.value = String(OPEN_WINDOW.centre - window.centre);
    this.contrast.value = String(-40 * Math.log2(window.width / OPEN_WINDOW.width));
    this.pressed("i", inverted);
    this.pressed("m", ruler.measuring);
  }

  pressed(key, is) {
    (this.toggles[key] ?? this.beside[key]).setAttribute("aria-pressed", String(is));
  }

  /** What can be brought beside the film: a button that leads nowhere is not there. */
  offer({ lateral, prior }) {
    this.beside.v.hidden = !lateral;
    this.beside.p.hidden = !prior;
  }

  linkable(is) {
    this.toggles.l.hidden = !is;
  }

  nextPreset() {
    const names = Object.keys(PRESETS);
    this.#chosen(names[(names.indexOf(this.presets.value) + 1) % names.length]);
  }

  #chosen(name) {
    this.setWindow(PRESETS[name]);
  }

  #slid() {
    this.setWindow({
      centre: OPEN_WINDOW.centre - Number(this.brightness.value),
      width: OPEN_WINDOW.width * 2 ** (-Number(this.contrast.value) / 40),
    });
  }
}

const same = (one, other) => one.centre === other.centre && one.width === other.width;

function slider(label, min, max, act) {
  return h("input", { type: "range", min, max, value: 0, step: 1, "aria-label": label, input: act });
}
