"""What a page must not hold when hostile texts reach it, and whether the texts stand there as texts."""

from typing import Any

from playwright.sync_api import Page

from tests.support.hostile_strings import RUN

NAMES = [f"<img src=x onerror={RUN}>", f'"onmouseover={RUN} x="', "{{constructor}} ${name} [red]"]

# Everything of a page that could run or was not built by it, and whether something ran.
LOOK = """() => {
  const strange = "script:not([src]), iframe, object, embed, base, form[action], style:not([nonce]), math, template";
  const elements = [...document.querySelectorAll("*")];
  return {
    hacked: window.hacked ?? null,
    strange: [...document.querySelectorAll(`body :is(${strange})`)].map((one) => one.outerHTML.slice(0, 80)),
    handlers: elements.flatMap((one) => one.getAttributeNames().filter((name) => name.startsWith("on"))),
    addresses: elements.map((one) => one.getAttribute("href") ?? one.getAttribute("src") ?? "")
      .filter((address) => /^\\s*(j\\s*a\\s*v\\s*a|vbscript|data:text|https?:|\\/\\/)/i.test(address)),
  };
}"""
NOTHING: dict[str, Any] = {"hacked": None, "strange": [], "handlers": [], "addresses": []}

# Letters that act are marks on the page (api_gateway/static/dom.js); what is compared is all that is left, but blanks.
SHOWN = r"""([texts, place]) => {
  const acting = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2028\u2029\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
  const raw = [...document.querySelectorAll(place)].map((one) => one.textContent).join("");
  const left = (text) => text.replace(acting, "").replace(/[\ufffd\s]+/g, "");
  const page = left(raw);
  return [...(raw.match(acting) ?? []), ...texts.filter((text) => !page.includes(left(text)))];
}"""


def looked(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(LOOK)
    return found


def missing(page: Page, texts: list[str], place: str) -> list[str]:
    """Those of the texts that do not stand there letter by letter, and letters there that act."""
    found: list[str] = page.evaluate(SHOWN, [texts, place])
    return found
