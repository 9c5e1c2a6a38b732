/** The columns of a list: their heads, and which of them sort it. */

import { h } from "./dom.js";
import { t } from "./language.js";

/** Of each list the orders it has; the first is its own. `true` where the newest stands first unless it is turned round. */
export const ORDERS = {
  awaiting: { urgency: false, received: true, acquired: true },
  signed: { signed: true, received: true, acquired: true },
  all: { received: true, acquired: true },
};

const HEADS = [
  ["chosen", null],
  ["lane", () => t("Lane"), "urgency"],
  ["waited", () => t("Received"), "received"],
  ["acquired", () => t("Study date"), "acquired"],
  ["picture", () => t("Film")],
  ["findings", () => t("Findings")],
  ["words", () => t("Impression")],
  ["standing", () => t("Status"), "signed"],
];

/** The row of heads; `sort(order, descending)` is called by a press, and `all` is the box that chooses every row. */
export function heads(all, sort) {
  const row = h(
    "tr",
    { role: "row" },
    ...HEADS.map(([name, title, order]) => {
      const head = h("th", { role: "columnheader", scope: "col", class: `c-${name}`, "data-order": order });
      if (name === "chosen") head.append(all);
      else head.append(order ? h("button", { type: "button", class: "sort", click: () => press(order) }, title()) : title());
      return head;
    }),
  );
  let shown = { list: "all", order: "received", descending: true };

  function press(order) {
    const natural = ORDERS[shown.list][order];
    sort(order, order === shown.order && order !== "urgency" ? !shown.descending : natural);
  }

  /** Say how this list is ordered, and offer only the orders it has. */
  function show(list, order, descending) {
    shown = { list, order, descending };
    for (const head of row.querySelectorAll("[data-order]")) {
      const own = head.dataset.order;
      const possible = own in ORDERS[list];
      head.querySelector("button").disabled = !possible;
      if (!possible) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", own !== order ? "none" : descending ? "descending" : "ascending");
    }
  }

  return { element: h("thead", { role: "rowgroup" }, row), show };
}
