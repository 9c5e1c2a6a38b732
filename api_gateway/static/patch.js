/**
 * Elements brought up to date in place: what did not change stays the very same element, so nothing that has the focus,
 * is selected or is folded out is lost when a page refreshes itself.
 */

const keyOf = (node) => node.dataset?.key ?? null;

const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

// What the reader did to an element, and not the page.
const KEPT = { DETAILS: ["open"] };

function attributes(old, fresh) {
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(KEPT[old.nodeName] ?? []).includes(name)) old.removeAttribute(name);
  }
}

function become(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  attributes(old, fresh);
  reconcile(old, [...fresh.childNodes]);
}

function reconcile(parent, fresh) {
  const keyed = new Map([...parent.childNodes].filter(keyOf).map((child) => [keyOf(child), child]));
  const wanted = new Set(fresh.map(keyOf).filter((key) => key !== null));
  for (const [key, child] of keyed) if (!wanted.has(key)) child.remove();
  let at = parent.firstChild;
  for (const child of fresh) {
    const known = keyOf(child) === null ? at : keyed.get(keyOf(child));
    if (known && alike(known, child)) {
      if (known === at) at = at.nextSibling;
      else parent.insertBefore(known, at);
      become(known, child);
    } else {
      parent.insertBefore(child, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/**
 * Let an element hold these children, by changing as little of it as possible. Listeners of the new children are lost
 * where an old one stays: listen at `element`. Rows that may move carry `data-key`.
 */
export function patch(element, ...children) {
  const fresh = document.createDocumentFragment();
  fresh.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  const focused = document.activeElement;
  reconcile(element, [...fresh.childNodes]);
  // An element that was moved has lost the focus on the way.
  if (focused !== document.activeElement && focused?.isConnected && element.contains(focused)) focused.focus({ preventScroll: true });
}
