/**
 * The session of the reader. The browser holds the session's cookie, which no script can read; this page holds the token that shows
 * that a change comes from it, and forgets the key as soon as it signed in. Nothing is stored.
 */

const NOTED_SHARE = 1 / 20; // the gateway writes a use down when so much of the time has passed
const SIGNED_OUT = { name: "", key_id: null, roles: [], acts: [] };
let me = SIGNED_OUT;
let liked = { language: null, theme: null };
let token = "";
let idleMs = Infinity;
let usedAt = 0; // when the gateway last heard of a use, by this machine's clock
let endsAt = Infinity;
let active = true; // whether the reader used the page since the last request: it was just opened

for (const sign of ["pointerdown", "pointermove", "keydown", "wheel"]) {
  addEventListener(sign, () => (active = true), { capture: true, passive: true });
}

export const reader = () => me.name;
export const keyId = () => me.key_id;
export const roles = () => me.roles;
/** Whether this session may do something: a word of GET /v1/me. */
export const may = (act) => me.acts.includes(act);
export const has = (...roles) => roles.some((role) => me.roles.includes(role));
export const isLead = () => has("lead");
export const mayRead = () => may("read");
export const csrf = () => token;
/** What its person chose for the pages: {language, theme}. */
export const preferences = () => liked;
export const isActive = () => active;

/** The session, as the gateway has it: {me, preferences, csrf_token, idle_seconds, left_seconds}. */
export function opened(answer) {
  me = answer.me;
  liked = answer.preferences;
  token = answer.csrf_token;
  idleMs = Math.max(idleMs === Infinity ? 0 : idleMs, answer.idle_seconds * 1000);
  usedAt = Date.now() + answer.idle_seconds * 1000 - idleMs;
  endsAt = Date.now() + answer.left_seconds * 1000;
}

export function forget() {
  me = SIGNED_OUT;
  token = "";
  idleMs = endsAt = Infinity;
}

/** Whether the next request is its reader's; what the page asks by itself keeps no session open. */
export function takeUse() {
  const was = active;
  active = false;
  return was;
}

/** A request that was the reader's was answered, or was not and so does not count. */
export function settleUse(answered) {
  if (answered) usedAt = Date.now() - idleMs * NOTED_SHARE;
  else active = true;
}

/** How long the gateway has not heard of its reader, as a part of what it waits. */
export const idleShare = () => (Date.now() - usedAt) / idleMs;

/** Milliseconds until the session ends: unused, and in any case; and how long it may be unused. */
export const left = () => ({ idle: usedAt + idleMs - Date.now(), whole: endsAt - Date.now(), idleMs });
