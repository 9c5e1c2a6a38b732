/** Language and colours: a person's own choice, which the gateway keeps; before anybody signed in, the browser's. */

import * as api from "./api.js";
import { h, toast } from "./dom.js";
import { language, speak, t } from "./language.js";

/** Each in its own words. English is what the sentences are written in. */
export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français" };

/** The preferences of an answer about a session, as far as there is one. */
export const chosen = (answer) => answer?.preferences ?? { language: null, theme: null };

/** Which of our languages comes first among the browser's. */
function browsers() {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
}

/** Show the page like this. */
export async function wear(wanted) {
  const tongue = wanted.language ?? browsers();
  if (wanted.theme) document.documentElement.dataset.theme = wanted.theme;
  else delete document.documentElement.dataset.theme;
  document.documentElement.lang = tongue;
  await speak(tongue);
}

/** Whether a page that speaks as it does now is right for these preferences. */
export const suits = (wanted) => (wanted.language ?? browsers()) === language();

/** Two selects for the top bar: each keeps what is chosen. `unsaved` says whether a change of language may not yet reload. */
export function choices(wanted, unsaved) {
  let now = { ...wanted };
  const keep = async (change) => {
    now = { ...now, ...change };
    try {
      await api.prefer(now);
    } catch (error) {
      if (error.status !== 401) toast(t("Your choice was not kept: {why}", { why: error.message }), { kind: "bad" });
      return;
    }
    if (suits(now)) await wear(now);
    else if (unsaved()) toast(t("The language changes once you saved what you are writing and opened the page again."));
    else location.reload();
  };
  const select = (label, options, value, change) => {
    const each = Object.entries(options).map(([code, text]) => h("option", { value: code, selected: code === value }, text));
    const element = h("select", { "aria-label": label, change: () => change(element.value || null) }, ...each);
    return element;
  };
  const tongues = { "": t("Language of the browser"), ...LANGUAGES };
  const themes = { "": t("Colours of the system"), dark: t("Dark"), light: t("Light") };
  return h(
    "span",
    { class: "choices" },
    select(t("Language"), tongues, now.language ?? "", (language) => keep({ language })),
    select(t("Colours"), themes, now.theme ?? "", (theme) => keep({ theme })),
  );
}
