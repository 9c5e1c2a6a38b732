/**
 * The number that a reader came with: by a link of the RIS (/?accession=…, or /#/find?accession=…, which no server sees),
 * or in a form (POST /open). This runs before every other script: it takes the number out of the address at once, and keeps
 * it in this tab's memory until it is looked up.
 */

const KINDS = ["accession", "patient", "study_uid"];
const LONGEST = 64;
const FIND = /^#\/find\?(.*)$/;

let number = inForm() ?? inAddress();
addEventListener("hashchange", () => (number = inAddress() ?? number)); // a link may lead to a page that is open already

/** The number of a form that another page sent. */
function inForm() {
  const given = document.querySelector("meta[name=number]");
  if (!given) return null;
  given.remove();
  history.replaceState(null, "", "/");
  return valid(given.dataset.kind, given.content);
}

/** The number in the address; whatever stands there behind a question mark is taken out. */
function inAddress() {
  const [, behind] = FIND.exec(location.hash) ?? [];
  const parameters = new URLSearchParams(behind ?? location.search);
  if (behind !== undefined || location.search || location.pathname === "/open") {
    history.replaceState(null, "", `/${behind === undefined ? location.hash : ""}`);
  }
  const found = KINDS.filter((kind) => parameters.get(kind)?.trim());
  return found.length === 1 ? valid(found[0], parameters.get(found[0])) : null;
}

function valid(kind, value) {
  const number = value.trim();
  return KINDS.includes(kind) && number && number.length <= LONGEST ? { kind, value: number } : null;
}

/** The number that is still to be looked up, once: {kind, value}, or null. */
export function arrived() {
  const now = number;
  number = null;
  return now;
}
