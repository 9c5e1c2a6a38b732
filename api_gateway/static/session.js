/**
 * Who reads here. The key lives in sessionStorage: it ends with the tab, and no other tab or site can read it.
 * Nothing else is stored: not a text, not a number, not an id.
 */

const KEY = "xraygpt.key";
let me = { name: "", key_id: null };

export const key = () => sessionStorage.getItem(KEY);
export const reader = () => me.name;
export const keyId = () => me.key_id;

export function remember(newKey) {
  sessionStorage.setItem(KEY, newKey);
}

/** Who the gateway says that the key's holder is: {name, key_id, kind}. */
export function call(holder) {
  me = holder;
}

export function forget() {
  sessionStorage.removeItem(KEY);
}
