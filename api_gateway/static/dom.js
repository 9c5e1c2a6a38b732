/**
 * Elements, made without markup: a text is always a text node, so nothing that a model or a person wrote can become part
 * of the page.
 */

// Controls but tab and line ends, directional controls (UAX #9) and letters without width: they hide or turn words.
const ACTING = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2028\u2029\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** A text as it is shown: a mark in the place of each letter that acts on others. */
export const visible = (text) => text.replace(ACTING, "\ufffd");

// Attributes that are read, and not by programs.
const READ = new Set(["title", "aria-label", "placeholder"]);

const shown = (children) =>
  children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "string" ? visible(child) : child));

/** A person's name within a sentence: whatever its letters are, it turns nothing around it. */
export const named = (name) => h("bdi", {}, name);

/**
 * An element. Attributes that are null or false are left out, true ones stand without a value, functions are listeners.
 * @param {string} tag
 * @param {Object<string, unknown>} attributes
 * @param {...(Node|string|null|undefined|false)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, READ.has(name) ? visible(String(value)) : String(value));
    }
  }
  element.append(...shown(children));
  return element;
}

/** Put these in the place of everything an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children));
}

/** A button; `key` is shown on it and announced by assistive technology. */
export function button(label, onclick, { key = null, kind = "", ...more } = {}) {
  return h(
    "button",
    { type: "button", class: `button ${kind}`.trim(), click: onclick, "aria-keyshortcuts": key, ...more },
    h("span", {}, label),
    key && h("kbd", { "aria-hidden": "true" }, key),
  );
}

/** Something folded away; `load` fills it when it is opened for the first time. */
export function folded(title, body, load = null) {
  const details = h("details", { class: "folded" }, h("summary", {}, title), body);
  if (load) details.addEventListener("toggle", () => details.open && load(), { once: true });
  return details;
}

/** Say something at the lower edge for a while; errors stay longer. Returns what is shown. */
export function toast(text, { kind = "", link = null, action = null, ms = kind === "bad" ? 12_000 : 7_000 } = {}) {
  const note = h("div", { class: `toast ${kind}`.trim() }, h("span", {}, text), action);
  if (link) note.append(h("a", { href: link.href }, link.text));
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), ms);
  return note;
}
