/** The first view: an API key, asked for once per tab. */

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import * as session from "./session.js";

/** Show it; `entered` is called once the key was accepted. `why` says how the reader came here. */
export function showSignIn(root, why, entered) {
  const problem = h("p", { class: "problem", role: "alert" }, why);
  const input = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const submit = h("button", { type: "submit", class: "button main" }, "Enter");

  async function enter(event) {
    event.preventDefault();
    const key = input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      problem.textContent = "An API key has letters and digits only.";
      return;
    }
    submit.disabled = true;
    session.remember(key);
    try {
      session.call(await api.me());
      entered();
    } catch (error) {
      session.forget();
      problem.textContent =
        error.status === 401
          ? "This key opens nothing: it is mistyped, or was revoked. Ask whoever runs XrayGPT for one of your own."
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
        h("h1", {}, "Reading room"),
        h("p", { class: "muted" }, "Chest films with AI-generated drafts, for a radiologist to accept, correct or reject."),
        h("label", { for: "key" }, "Your API key"),
        input,
        problem,
        submit,
        h("p", { class: "muted small" }, "Kept in this tab until you sign out or close it. Reviews carry your key's name."),
      ),
    ),
  );
  input.focus();
}
