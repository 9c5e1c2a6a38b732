/**
 * One picture on a dark stage: windowed, moved, magnified, flipped, turned and measured.
 *
 * Pictures are decoded from memory and never have an address, so nothing is left to revoke, to save or to leak.
 */

import { DeepCopy } from "./deep.js";
import { h, toast } from "./dom.js";
import { listen } from "./gestures.js";
import { drawGreys, greysOf, LIMITS, OPEN_WINDOW, PRESETS } from "./greys.js";
import { t } from "./language.js";
import { Overlay } from "./overlay.js";
import { Boxes } from "./places.js";
import { Placement } from "./placement.js";
import { lengthOf, Ruler, spacingOf } from "./ruler.js";

export class Viewport {
  #picture = null; // {grey, width, height}, as it came
  #image = null; // which one it is the normalised picture of; null: a preview
  #deep = null; // the film's own values; null: none are kept
  #window = { ...OPEN_WINDOW };
  #inverted = false;
  #facts = null;
  #title = "";
  #frame = 0;
  #turn = 0; // of what is to be shown: a picture that was decoded too late comes for nothing

  /**
   * @param {(viewport: Viewport) => void} changed called when it looks otherwise than before
   * @param {(viewport: Viewport) => void} chosen called when its reader turns to it
   */
  constructor(changed, chosen) {
    this.changed = changed;
    this.placement = new Placement();
    this.boxes = new Boxes();
    this.ruler = new Ruler();
    this.overlay = new Overlay();
    this.canvas = h("canvas", { role: "img", "aria-label": t("Film"), width: 1, height: 1, hidden: true });
    this.note = h("p", { class: "film-note", role: "status" });
    this.said = h("p", { class: "unseen", role: "status" });
    this.stage = h(
      "div",
      { class: "stage", tabindex: 0, role: "group", "aria-label": t("Film. Arrows move it, plus and minus magnify it.") },
      this.canvas,
      this.boxes.element,
      this.ruler.element,
      this.overlay.element,
      this.note,
      this.said,
    );
    this.element = h("div", { class: "viewport" }, this.stage);
    for (const sign of ["pointerdown", "focus"]) this.stage.addEventListener(sign, () => chosen(this));
    new ResizeObserver(() => this.place()).observe(this.stage);
    listen(this);
  }

  get window() {
    return this.#window;
  }

  get inverted() {
    return this.#inverted;
  }

  /** Say why there is no film. */
  clear(why) {
    this.#turn++;
    this.#picture = this.#image = null;
    this.canvas.hidden = true;
    this.ruler.clear();
    this.#facts = this.#deep = null;
    this.note.textContent = why;
    this.said.textContent = "";
    this.place();
  }

  /**
   * Show a picture; a sharper one of the same film takes its place without a jump.
   * Resolves to whether it is shown: not if another one, or none, was asked for meanwhile.
   * @param {string} imageId of the image whose normalised picture it is; left out for a preview
   */
  async show(blob, label, imageId = null) {
    const turn = ++this.#turn;
    const picture = await greysOf(blob);
    if (turn !== this.#turn) return false;
    if (!picture) throw new Error(t("It is no picture that this browser can draw."));
    const { width, height } = picture;
    const before = this.placement.size;
    if (this.#picture) this.ruler.rescale({ x: width / before.width, y: height / before.height });
    this.#picture = picture;
    this.#image = imageId;
    this.placement.size = { width, height };
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.setAttribute("aria-label", label);
    this.canvas.hidden = false;
    this.note.textContent = "";
    this.#draw();
    this.place();
    this.#deepen();
    return true;
  }

  /**
   * What is known about the image that is shown; null: nothing.
   * @param {() => Promise<Blob>} fetchDeep its 16-bit copy, if the facts say that there is one
   */
  describe(facts, title = "", fetchDeep = null) {
    if (facts?.image_id !== this.#facts?.image_id) this.#deep = facts?.deep_scale ? new DeepCopy(facts, fetchDeep) : null;
    this.#facts = facts;
    this.#title = title;
    this.place();
    this.#deepen();
  }

  /** Whether the picture has come onto the screen; waits for it while the tab is hidden. */
  async onScreen() {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return this.#picture !== null && this.stage.clientWidth > 0 && this.stage.clientHeight > 0;
  }

  /** Act on where the picture lies; `act` gets the placement. */
  #replaced(act) {
    if (!this.#picture) return;
    act(this.placement);
    this.place();
    this.changed(this);
  }

  zoom = (factor, about) => this.#replaced((placement) => placement.magnify(factor, about));
  move = (x, y) => this.#replaced((placement) => placement.move(x, y));
  fit = () => this.#replaced((placement) => placement.fit());
  actual = () => this.#replaced((placement) => placement.actual());
  flip = () => this.#replaced((placement) => placement.flip());
  rotate = () => this.#replaced((placement) => placement.turn());

  /** Magnified and moved like another one. */
  follow(other) {
    if (!this.#picture) return;
    this.placement.follow(other.placement);
    this.place();
  }

  invert() {
    this.#inverted = !this.#inverted;
    this.#paint();
  }

  preset(name) {
    this.setWindow(PRESETS[name]);
  }

  /** Move the window: brighter with a lower centre, more contrast with a narrower width (DICOM PS3.3, C.11.2.1.2). */
  rewindow(centreBy, widthBy) {
    const { centre, width } = this.#window;
    this.setWindow({ centre: centre + centreBy * Math.min(1, width / 32), width: width * widthBy });
  }

  setWindow({ centre, width }) {
    const limits = this.#deep?.limits ?? LIMITS;
    const held = (value, [least, most]) => Math.min(Math.max(value, least), most);
    this.#window = { centre: held(centre, limits.centre), width: held(width, limits.width) };
    this.#paint();
    this.#deepen();
  }

  /** As long as the window is the one that the model saw, its own picture is drawn. */
  get #open() {
    return this.#window.centre === OPEN_WINDOW.centre && this.#window.width === OPEN_WINDOW.width;
  }

  /** The film's own values, where they are here and are those of the very picture that is shown; else null. */
  get #own() {
    const own = this.#deep?.picture;
    const same = own && this.#facts.image_id === this.#image;
    return same && own.width === this.#picture?.width && own.height === this.#picture.height ? own : null;
  }

  /** Fetch the film's own values once a window asks for them. */
  async #deepen() {
    const deep = this.#deep;
    if (!deep || this.#open || this.#facts.image_id !== this.#image) return;
    try {
      if ((await deep.load()) && deep === this.#deep) this.#paint();
    } catch (error) {
      if (deep !== this.#deep || error.name === "AbortError" || error.status === 401) return;
      toast(t("The 16-bit copy cannot be shown, the 8-bit copy is: {why}", { why: error.message }), { kind: "bad" });
    }
  }

  /** As it came, whatever was done to it. */
  reset() {
    this.#window = { ...OPEN_WINDOW };
    this.#inverted = false;
    this.placement.upright();
    this.placement.fit();
    this.ruler.clear();
    this.#paint();
    this.place();
    this.changed(this);
  }

  measure() {
    if (!this.#picture) return;
    const { width, height } = this.placement.stage;
    this.ruler.toggle(this.placement.toPicture({ x: width / 2, y: height / 2 }));
    if (this.ruler.measuring) this.stage.focus();
    this.said.textContent = this.ruler.measuring ? t("Ruler: set two points by click, or by arrows and Enter.") : "";
    this.place();
    this.changed(this);
  }

  /** Show these boxes, in fractions of the picture, and no others. */
  mark(boxes) {
    this.boxes.set(boxes);
    this.place();
  }

  point(at) {
    if (!this.ruler.measuring) return;
    this.ruler.follow(this.placement.toPicture(at));
    this.place();
  }

  clicked(at) {
    if (this.ruler.measuring) this.#measured(this.ruler.point(this.placement.toPicture(at)));
  }

  pointAtCursor() {
    this.#measured(this.ruler.pointAtCursor());
  }

  moveCursor(x, y) {
    const { toPicture } = this.placement;
    const [from, to] = [{ x: 0, y: 0 }, { x, y }].map((at) => toPicture.call(this.placement, at));
    this.ruler.moveCursor({ x: to.x - from.x, y: to.y - from.y });
    this.place();
  }

  removeLength() {
    this.ruler.removeLast();
    this.place();
  }

  #measured(pair) {
    if (pair) this.said.textContent = lengthOf(...pair, spacingOf(this.#facts, this.placement.size));
    this.place();
  }

  /** Once per frame, however often it is asked for. */
  #paint() {
    this.changed(this);
    if (!this.#picture || this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (!this.#picture) return;
      this.#draw();
      this.#say();
    });
  }

  #draw() {
    drawGreys(this.canvas, (!this.#open && this.#own) || this.#picture, this.#window, this.#inverted);
  }

  place() {
    const { placement, stage } = this;
    placement.stage = { width: stage.clientWidth, height: stage.clientHeight };
    if (!this.#picture) {
      for (const drawing of [this.ruler, this.boxes]) drawing.element.replaceChildren();
      this.overlay.clear();
      return;
    }
    placement.hold();
    this.canvas.style.transform = `matrix(${placement.matrix.join(",")})`;
    stage.dataset.zoom = placement.zoom.toFixed(2);
    stage.classList.toggle("measuring", this.ruler.measuring);
    this.boxes.draw(placement);
    this.ruler.draw(placement, spacingOf(this.#facts, placement.size));
    this.#say();
  }

  #say() {
    const { size, scale, flipped, turns } = this.placement;
    const window = this.#deep?.own(this.#window) ?? this.#window;
    const deep = !this.#open && this.#own !== null;
    const drawn = { size, scale, flipped, turns, window, deep, inverted: this.#inverted };
    this.overlay.say({ facts: this.#facts, title: this.#title, spacing: spacingOf(this.#facts, size), ...drawn });
  }
}
