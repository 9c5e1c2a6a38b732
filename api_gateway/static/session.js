/**
 * Who reads here. The key lives in sessionStorage: it ends with the tab, and no other tab or site can read it.
 * Nothing else is stored: not a text, not a number, not an id.
 */

const KEY = "xraygpt.key";
let name = "";

export const key = () => sessionStorage.getItem(KEY);
export const reader = () => name;

export function remember(newKey) {
  sessionStorage.setItem(KEY, newKey);
}

export function call(newName) {
  name = newName;
}

export function forget() {
  sessionStorage.removeItem(KEY);
}
