/** A text's findings and impression: taken apart for two fields, and put together as it is stored. */

// Bounded throughout: a text of any letters is read in one go.
const HEADING = /(?<=^|[\s.*])\*{0,2}(finding|impression)s?\*{0,2}\s{0,3}:\*{0,2}/gi;

/**
 * Parts in the order of the text: {name, text, from}, `from` being the place where it begins in the text, in UTF-16 units.
 * A text without these headings has one part, whose name is "text". Nothing of a text is left out but its headings.
 */
export function apart(text) {
  const headings = [...text.matchAll(HEADING)];
  const first = headings[0];
  if (!first || text.slice(0, first.index).trim()) return [{ name: "text", text, from: 0 }];
  const isImpression = ([, word]) => word.toLowerCase() === "impression";
  const second = isImpression(first) ? null : headings.find(isImpression);
  const ends = (heading) => heading.index + heading[0].length;
  if (!second) return [part(isImpression(first) ? "impression" : "findings", text, ends(first), text.length)];
  return [part("findings", text, ends(first), second.index), part("impression", text, ends(second), text.length)];
}

function part(name, text, from, to) {
  const words = text.slice(from, to);
  return { name, text: words.trim(), from: from + words.length - words.trimStart().length };
}

/** As it is stored: "Findings: …", an empty line, "Impression: …"; `report.sections` takes it apart again. */
export function together(parts) {
  const titles = { findings: "Findings: ", impression: "Impression: ", text: "" };
  return parts
    .filter(({ name, text }) => name === "text" || text.trim())
    .map(({ name, text }) => titles[name] + (name === "text" ? text : text.trim()))
    .join("\n\n");
}

/** The same text as it would be stored after it was taken apart. */
export const canonical = (text) => together(apart(text));
