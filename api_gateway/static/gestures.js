/** How fingers, mouse and arrows act on a viewport. */

const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const STEP = 40;
const SLIP = 4; // pixels that a finger may slip in a click

export function listen(viewport) {
  const { stage } = viewport;
  const held = new Map(); // pointer id -> where it is on the stage, from its upper left corner
  let slipped = 0;
  const place = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const centred = ({ x, y }) => ({ x: x - stage.clientWidth / 2, y: y - stage.clientHeight / 2 });
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", () => viewport.ruler.measuring || viewport.fit());
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      viewport.zoom(2 ** (-event.deltaY / 400), centred(place(event)));
    },
    { passive: false },
  );
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    slipped = held.size > 1 ? Infinity : 0;
  });
  stage.addEventListener("pointermove", (event) => {
    const at = place(event);
    const before = held.get(event.pointerId);
    if (!before) return viewport.point(at);
    held.set(event.pointerId, at);
    const [x, y] = [at.x - before.x, at.y - before.y];
    slipped += Math.hypot(x, y);
    if (held.size === 2) pinch(viewport, held, event.pointerId, before, centred);
    else if (event.shiftKey || event.buttons & 2) viewport.rewindow(-y / 2, 2 ** (-x / 200));
    else if (!viewport.ruler.measuring || slipped > SLIP) viewport.move(x, y);
  });
  const released = (event) => held.delete(event.pointerId);
  stage.addEventListener("pointerup", (event) => {
    if (released(event) && slipped <= SLIP && event.button === 0) viewport.clicked(place(event));
  });
  stage.addEventListener("pointercancel", released);
  stage.addEventListener("keydown", (event) => keyed(viewport, event));
}

/** Two fingers: the point between them stays between them. */
function pinch(viewport, held, moved, before, centred) {
  const now = held.get(moved);
  const [, other] = [...held].find(([id]) => id !== moved);
  const apart = (one) => Math.max(Math.hypot(one.x - other.x, one.y - other.y), 1);
  const middle = (one) => centred({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
  const [from, to] = [middle(before), middle(now)];
  viewport.move(to.x - from.x, to.y - from.y);
  viewport.zoom(apart(now) / apart(before), to);
}

function keyed(viewport, event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const { ruler } = viewport;
  if (ARROWS[event.key]) {
    const [x, y] = ARROWS[event.key];
    const step = event.shiftKey ? 20 : 2;
    if (ruler.measuring) viewport.moveCursor(-x * step, -y * step);
    else viewport.move(x * STEP, y * STEP);
  } else if (ruler.measuring && event.key === "Enter") viewport.pointAtCursor();
  else if (event.key === "Delete" || event.key === "Backspace") viewport.removeLength();
  else if (ruler.measuring && event.key === "Escape") viewport.measure();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
