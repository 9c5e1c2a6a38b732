/** A page's words in the reader's language. A sentence's key is its English text; without a translation it stays English. */

let words = {};
let spoken = "en";

/** A sentence in the page's language; `{name}` in it stands for a value. */
export function t(english, values = {}) {
  const sentence = words[english] ?? english;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
}

/** The language that the page speaks, as a BCP 47 tag. */
export const language = () => spoken;

/** A number as the language writes it, in this many digits at most; `decimals`: in exactly so many behind the comma. */
export function number(value, digits, decimals = null) {
  const exactly = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const how = decimals === null ? { maximumSignificantDigits: digits } : exactly;
  return value.toLocaleString(spoken, { ...how, useGrouping: false });
}

/** Speak this language from now on: its module has a translation of each English sentence. */
export async function speak(tag) {
  words = tag === "en" ? {} : (await import(`./words_${tag}.js`)).default;
  spoken = tag;
}
