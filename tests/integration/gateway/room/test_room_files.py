"""The page's files: nothing inline, nothing from elsewhere, nothing that could become markup, colours one can read."""

import re
from pathlib import Path
from typing import Any

import pytest

import api_gateway

World = Any

FOLDER = Path(api_gateway.__file__).parent / "static"
SCRIPTS = sorted(FOLDER.glob("*.js"))
SOURCES = [path for path in FOLDER.iterdir() if path.suffix in {".html", ".css", ".js"}]
LISTS_OF_WORDS = {path.name for path in FOLDER.glob("words_*.js")}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SENTENCE = re.compile(r'"[^"]*"')  # stands in one piece, however long it is
COLOUR = re.compile(r"--([a-z-]+): light-dark\((#[0-9a-f]{3,6}), (#[0-9a-f]{3,6})\);")


def place(world: World) -> str:
    """Where the files lie: an address that changes with their content."""
    found = re.search(r'src="(/room/[0-9a-f]{16}/)start.js"', world.stranger.get("/").text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("path", "title"), [("/", "Reading room"), ("/training", "Training")])
def test_a_page_opens_without_a_key_and_lets_nothing_in_but_itself(shared: World, path: str, title: str) -> None:
    answer = shared.stranger.get(path)
    assert answer.status_code == 200
    assert f"<title>{title}</title>" in answer.text
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert rules["frame-ancestors"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_file_is_served_as_what_it_is_under_the_same_rules(shared: World, path: Path) -> None:
    answer = shared.stranger.get(place(shared) + path.name)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].split(";")[0] == TYPES[path.suffix]
    assert answer.content == path.read_bytes()
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["", "../app.py", "%2e%2e/app.py", "%2e%2e/%2e%2e/app.py", "nothing.js"])
def test_nothing_else_lies_there(shared: World, path: str) -> None:
    assert shared.stranger.get(place(shared) + path).status_code == 404
    assert shared.stranger.get(f"/room/{path}").status_code == 404


def test_what_is_about_patients_is_not_kept_by_a_browser(world: World) -> None:
    study_id, summary_id = world.summarised()
    for path in ("/v1/studies", f"/v1/studies/{study_id}", f"/v1/summaries/{summary_id}", "/v1/me"):
        assert world.client.get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_file_is_small_comes_from_here_and_makes_no_markup_of_text(path: Path) -> None:
    text = path.read_text()
    if path.name not in LISTS_OF_WORDS:
        assert len(text.splitlines()) < 300
        assert max(len(SENTENCE.sub("", line)) for line in text.splitlines()) <= 140
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "DOMParser", "localStorage"):
        assert way not in text, way
    if path.suffix == ".html":
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)


# The first module of each page, which imports the page's own once it knows the language.
FIRST = "start.js"
PAGES = {"index.html": "main.js", "training.html": "training.js", "ops.html": "ops.js"}
IMPORT = re.compile(r'from "\./([a-z_]+\.js)"')


@pytest.mark.parametrize("page", PAGES)
def test_every_module_of_a_page_is_fetched_ahead(page: str) -> None:
    needed = {PAGES[page]}
    waiting = [FIRST, PAGES[page]]
    while waiting:
        imported = IMPORT.findall((FOLDER / waiting.pop()).read_text())
        waiting += [name for name in imported if name not in needed]
        needed.update(imported)
    text = (FOLDER / page).read_text()
    assert set(re.findall(r'modulepreload" href="/room/([a-z_]+\.js)"', text)) == needed
    assert f'src="/room/{FIRST}"' in text
    assert f'data-page="{PAGES[page].removesuffix(".js")}"' in text


def test_every_module_is_of_some_page() -> None:
    imported = {name for path in SCRIPTS for name in IMPORT.findall(path.read_text())}
    assert imported == {path.name for path in SCRIPTS} - {FIRST, *PAGES.values()} - LISTS_OF_WORDS


def colours(scheme: str) -> dict[str, str]:
    found = COLOUR.findall((FOLDER / "base.css").read_text())
    return {name: light if scheme == "light" else dark for name, light, dark in found}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_stands_out_from_its_ground(scheme: str) -> None:
    have = colours(scheme)
    texts, grounds = ("text", "muted", "accent", "good", "warn", "bad"), ("ground", "panel", "raised")
    pairs = [(text, ground) for text in texts for ground in grounds]
    pairs += [("warn", "warn-ground"), ("bad", "bad-ground"), ("text", "bad-ground"), ("muted", "bad-ground")]
    pairs += [("on-accent", "accent"), ("on-good", "good"), ("bad-ground", "bad")]
    poor = {pair: round(contrast(have[pair[0]], have[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}
    assert all(contrast(have["focus"], have[ground]) >= 3 for ground in grounds)
