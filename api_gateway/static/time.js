/** Times as a reader says them, in the browser's own time zone. */

import { language, t } from "./language.js";

// The browser's own way of writing times in English, the language's in others.
const LOCALE = language() === "en" ? undefined : language();
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

/** A day without a time, such as that of a film: "28 Feb 2026". */
export const day = (iso) => DATE.format(new Date(iso));

/** "14:05" today, "3 Nov, 14:05" else. */
export function moment(iso) {
  const at = new Date(iso);
  return (at.toDateString() === new Date().toDateString() ? CLOCK : DAY).format(at);
}

export const exact = (iso) => EXACT.format(new Date(iso));

/** "now", "12 min", "3 h 05", "4 days": how long ago. */
export function since(iso, now = Date.now()) {
  const minutes = Math.max(0, Math.floor((now - Date.parse(iso)) / 60_000));
  if (minutes < 1) return t("now");
  if (minutes < 60) return t("{minutes} min", { minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return t("{hours} h {minutes}", { hours, minutes: String(minutes % 60).padStart(2, "0") });
  const days = Math.floor(hours / 24);
  return days === 1 ? t("1 day") : t("{days} days", { days });
}
