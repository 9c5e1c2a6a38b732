/** A translated sentence with elements in it, such as a person's name. */

import { t } from "./language.js";

/** The sentence's pieces; `{name}` stands for an element or a text of `values`. */
export function phrase(english, values) {
  return t(english)
    .split(/(\{\w+\})/)
    .map((piece) => (piece[0] === "{" && Object.hasOwn(values, piece.slice(1, -1)) ? values[piece.slice(1, -1)] : piece));
}
