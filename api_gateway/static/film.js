/**
 * The film: grey values looked up in a window, moved and magnified on a dark surface.
 *
 * Pictures are decoded from memory and never have an address, so nothing is left to revoke, to save or to leak.
 */

import { button, fill, h } from "./dom.js";
import { repeating } from "./keys.js";

const MOST_ZOOM = 16;
const STEP = 1.25;
const OPEN_WINDOW = { centre: 127.5, width: 255 };

/** Of a picture as it came, in hexadecimal; null where the page is not in a secure context. */
export async function sha256(blob) {
  if (!crypto.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Film {
  #grey = null; // one byte per pixel, as it came
  #size = { width: 1, height: 1 };
  #window = { ...OPEN_WINDOW };
  #inverted = false;
  #zoom = 1; // 1 fits the stage
  #shift = { x: 0, y: 0 }; // of the film's centre from the stage's, in CSS pixels
  #frame = 0;
  #turn = 0; // of what is to be shown: a picture that was decoded too late comes for nothing

  constructor() {
    this.canvas = h("canvas", { role: "img", "aria-label": "Film", width: 1, height: 1, hidden: true });
    this.note = h("p", { class: "film-note", role: "status" });
    this.stage = h(
      "div",
      { class: "stage", tabindex: 0, "aria-label": "Film. Arrows move it, plus and minus magnify it." },
      this.canvas,
      this.note,
    );
    this.invertButton = button("Invert", () => this.invert(), { key: "i", "aria-pressed": "false" });
    this.brightness = this.#slider("Brightness", -127, 127, () => this.#slid());
    this.contrast = this.#slider("Contrast", -100, 100, () => this.#slid());
    this.detail = h("span", { class: "muted detail" });
    this.tools = h(
      "div",
      { class: "tools", role: "toolbar", "aria-label": "Film" },
      button("−", () => this.zoom(1 / STEP), { "aria-label": "Smaller" }),
      button("+", () => this.zoom(STEP), { "aria-label": "Larger" }),
      button("Fit", () => this.fit(), { key: "f" }),
      this.invertButton,
      h("label", {}, "Brightness", this.brightness),
      h("label", {}, "Contrast", this.contrast),
      button("Reset", () => this.reset(), { key: "0" }),
      this.detail,
    );
    this.element = h("section", { class: "film", "aria-label": "Film" }, this.stage, this.tools);
    this.commands = {
      "+": repeating(() => this.zoom(STEP)),
      "=": repeating(() => this.zoom(STEP)),
      "-": repeating(() => this.zoom(1 / STEP)),
      f: () => this.fit(),
      i: () => this.invert(),
      0: () => this.reset(),
    };
    this.#listen();
  }

  /** Say why there is no film. */
  clear(why) {
    this.#turn++;
    this.#grey = null;
    this.canvas.hidden = true;
    this.note.textContent = why;
    this.detail.textContent = "";
  }

  /**
   * Show a picture; a sharper one of the same film takes its place without a jump.
   * Resolves to whether it is shown: not if another one, or none, was asked for meanwhile.
   */
  async show(blob, label, detail) {
    const turn = ++this.#turn;
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
      throw new Error("It is no picture that this browser can draw.");
    });
    const { width, height } = bitmap;
    if (turn !== this.#turn) {
      bitmap.close();
      return false;
    }
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = context.getImageData(0, 0, width, height);
    const grey = new Uint8Array(width * height);
    for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
    this.#grey = grey;
    this.#size = { width, height };
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.setAttribute("aria-label", label);
    this.canvas.hidden = false;
    this.note.textContent = "";
    this.detail.textContent = detail;
    this.#draw();
    this.#place();
    return true;
  }

  /** Whether the picture has come onto the screen; waits for it while the tab is hidden. */
  async onScreen() {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return this.#grey !== null && this.stage.clientWidth > 0 && this.stage.clientHeight > 0;
  }

  zoom(factor, about = { x: 0, y: 0 }) {
    const zoom = Math.min(Math.max(this.#zoom * factor, 0.5), MOST_ZOOM);
    const by = zoom / this.#zoom;
    this.#shift = { x: about.x + (this.#shift.x - about.x) * by, y: about.y + (this.#shift.y - about.y) * by };
    this.#zoom = zoom;
    this.#place();
  }

  move(x, y) {
    this.#shift = { x: this.#shift.x + x, y: this.#shift.y + y };
    this.#place();
  }

  fit() {
    this.#zoom = 1;
    this.#shift = { x: 0, y: 0 };
    this.#place();
  }

  invert() {
    this.#inverted = !this.#inverted;
    this.invertButton.setAttribute("aria-pressed", String(this.#inverted));
    this.#paint();
  }

  reset() {
    this.#window = { ...OPEN_WINDOW };
    if (this.#inverted) this.invert();
    this.#slide();
    this.#paint();
    this.fit();
  }

  /** Move the window: brighter with a lower centre, more contrast with a narrower width (DICOM PS3.3, C.11.2.1.2). */
  #rewindow(centre, width) {
    this.#window = { centre: Math.min(Math.max(centre, 0), 255), width: Math.min(Math.max(width, 8), 1024) };
    this.#slide();
    this.#paint();
  }

  #slid() {
    this.#window = {
      centre: OPEN_WINDOW.centre - Number(this.brightness.value),
      width: OPEN_WINDOW.width * 2 ** (-Number(this.contrast.value) / 40),
    };
    this.#paint();
  }

  #slide() {
    this.brightness.value = String(OPEN_WINDOW.centre - this.#window.centre);
    this.contrast.value = String(-40 * Math.log2(this.#window.width / OPEN_WINDOW.width));
  }

  #slider(label, min, max, act) {
    return h("input", { type: "range", min, max, value: 0, step: 1, "aria-label": label, input: act });
  }

  /** Once per frame, however often it is asked for. */
  #paint() {
    if (!this.#grey || this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#grey) this.#draw();
    });
  }

  #draw() {
    const table = new Uint32Array(256);
    const { centre, width } = this.#window;
    for (let value = 0; value < 256; value++) {
      const level = Math.round(Math.min(Math.max((value - centre) / width + 0.5, 0), 1) * 255);
      const shown = this.#inverted ? 255 - level : level;
      table[value] = ((255 << 24) | (shown << 16) | (shown << 8) | shown) >>> 0;
    }
    const image = new ImageData(this.#size.width, this.#size.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = table[this.#grey[i]];
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }

  #place() {
    if (!this.#grey) return;
    const { clientWidth, clientHeight } = this.stage;
    const fitting = Math.min(clientWidth / this.#size.width, clientHeight / this.#size.height);
    const scale = fitting * this.#zoom;
    // Half of the film stays in sight, however far it is moved.
    const reach = { x: (this.#size.width * scale) / 2, y: (this.#size.height * scale) / 2 };
    this.#shift.x = Math.min(Math.max(this.#shift.x, -reach.x), reach.x);
    this.#shift.y = Math.min(Math.max(this.#shift.y, -reach.y), reach.y);
    const x = (clientWidth - this.#size.width * scale) / 2 + this.#shift.x;
    const y = (clientHeight - this.#size.height * scale) / 2 + this.#shift.y;
    this.canvas.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.stage.dataset.zoom = this.#zoom.toFixed(2);
  }

  #listen() {
    const stage = this.stage;
    new ResizeObserver(() => this.#place()).observe(stage);
    const centred = (event) => {
      const box = stage.getBoundingClientRect();
      return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
    };
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", () => this.fit());
    stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(2 ** (-event.deltaY / 400), centred(event));
      },
      { passive: false },
    );
    stage.addEventListener("pointerdown", (event) => stage.setPointerCapture(event.pointerId));
    stage.addEventListener("pointermove", (event) => {
      if (!stage.hasPointerCapture(event.pointerId)) return;
      if (event.shiftKey || event.buttons & 2) {
        this.#rewindow(this.#window.centre - event.movementY / 2, this.#window.width * 2 ** (-event.movementX / 200));
      } else this.move(event.movementX, event.movementY);
    });
    const arrows = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
    stage.addEventListener("keydown", (event) => {
      if (!arrows[event.key]) return;
      event.preventDefault();
      this.move(...arrows[event.key]);
    });
  }
}
