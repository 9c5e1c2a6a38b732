/** Small pictures in a list: fetched once a row comes into sight, a few at a time, kept while the row is there. */

import * as api from "./api.js";
import { h } from "./dom.js";

const AT_ONCE = 3;
const waiting = [];
let running = 0;

const sight = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      sight.unobserve(target);
      waiting.push(target);
    }
    next();
  },
  { rootMargin: "200px" },
);

/** The place of a study's picture; it says nothing to who does not see it, for the row's text does. */
export function thumbnail(studyId) {
  const place = h("span", { class: "thumb", "data-of": studyId });
  sight.observe(place);
  return place;
}

/** Fetch none for what stands below this element. */
export function release(element) {
  for (const place of element.querySelectorAll(".thumb")) {
    sight.unobserve(place);
    place.dataset.gone = "1";
  }
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const place = waiting.shift();
    if (place.dataset.gone) continue;
    running += 1;
    show(place).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function show(place) {
  try {
    const picture = await createImageBitmap(await api.thumbnail(place.dataset.of));
    const canvas = h("canvas", { width: picture.width, height: picture.height, "aria-hidden": "true" });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    if (!place.dataset.gone) place.replaceChildren(canvas);
  } catch {
    place.classList.add("none"); // the desk says why
  }
}
