/** The first view: an API key, asked for once and not kept. */

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { t } from "./language.js";
import { chosen, suits, wear } from "./preferences.js";
import * as session from "./session.js";

/** The reading room's door: its words, who may enter, and what somebody reads who may not. A key that reads no films is let in. */
export const READING = {
  title: t("Reading room"),
  about: t("Chest films with AI-generated drafts, for a radiologist to accept, correct or reject."),
  may: () => true, // main.js shows what another key is for
  needs: "",
};

/** Show it; `entered` is called once the key was accepted. `why` says how the reader came here. */
export function showSignIn(root, why, entered, door) {
  const problem = h("p", { class: "problem", role: "alert" }, why);
  const input = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const submit = h("button", { type: "submit", class: "button main" }, t("Enter"));

  async function enter(event) {
    event.preventDefault();
    const key = input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      problem.textContent = t("An API key has letters and digits only.");
      return;
    }
    submit.disabled = true;
    try {
      const opened = await api.signIn(key);
      session.opened(opened);
      if (!door.may()) {
        await api.signOut();
        session.forget();
        throw new Error(door.needs);
      }
      input.value = "";
      if (!suits(chosen(opened))) return location.reload();
      wear(chosen(opened));
      entered();
    } catch (error) {
      problem.textContent =
        error.status === 401
          ? t("This key opens nothing: it is mistyped, was revoked, or has expired. Ask an administrator of XrayGPT for a key of your own.")
          : error.message;
      submit.disabled = false;
      input.select();
    }
  }

  fill(
    root,
    h(
      "main",
      { class: "signin" },
      h(
        "form",
        { submit: enter },
        h("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 44, height: 44 }),
        h("h1", {}, door.title),
        h("p", { class: "muted" }, door.about),
        h("label", { for: "key" }, t("Your API key")),
        input,
        problem,
        submit,
        h(
          "p",
          { class: "muted small" },
          t("The key is not kept: the browser holds a session until you sign out, close it, or leave it alone."),
          " ",
          t("Reviews carry your key's name."),
        ),
      ),
    ),
  );
  input.focus();
}
