"""The pages that people read: one sentence a line, plain words, links that lead somewhere, files that are there."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "RESULTS.md"])
# A sentence ends, and another one begins behind it. What stands in brackets or in `code` belongs to one sentence.
TWO_SENTENCES = re.compile(r"(?<=[a-z0-9\])*\"%])[.!?][*\"]* +(?=[A-Z\"*`\[])")
SHORTENED = re.compile(r"\b(Dr|al|art|cf)\.")
UNCLEAR = re.compile(r"\b(whoever|nobody|who outgrows)\b", re.IGNORECASE)
ONE_SCREEN = 45


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page with their numbers, without code, tables and comments."""
    in_code = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        in_code ^= line.lstrip().startswith("```")
        if not in_code and not line.lstrip().startswith(("|", "```", "<!--", "#")):
            yield number, line


def bare(line: str) -> str:
    """A line without its number in a list, and without what brackets and `code` hold."""
    line = re.sub(r"`[^`]*`", "x", re.sub(r"^ *\d+\. ", "", line))
    return re.sub(r"\([^()]*\)", "x", re.sub(r"\([^()]*\)", "x", SHORTENED.sub(r"\1", line)))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_sentence_has_a_line_of_its_own(page: Path) -> None:
    assert [f"{number}: {line}" for number, line in prose(page) if TWO_SENTENCES.search(bare(line))] == []


@pytest.mark.parametrize("line", ["It ends. It begins.", "- **Key.** One each.", "Yes (really). No."])
def test_two_sentences_in_a_line_would_be_found(line: str) -> None:
    assert TWO_SENTENCES.search(bare(line))


@pytest.mark.parametrize(
    "line", ['for "Dr. A. Okafor"', "`GET a. B`", "(see this. And that)", "He et al. 2025", "0.8 s"]
)
def test_one_sentence_passes(line: str) -> None:
    assert not TWO_SENTENCES.search(bare(line))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_subject_of_a_sentence_is_named(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if UNCLEAR.search(bare(line))] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", re.sub(r"`[^`]*`", "", page.read_text()))
    for file, anchor in links:
        target = (page.parent / file) if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    known = {path.name for folder in ROOT.iterdir() if folder.name[0] != "." for path in folder.rglob("*.py")}
    for name in re.findall(r"`([\w./-]+\.py)`", page.read_text()):
        assert (ROOT / name).exists() if "/" in name else name in known, name


def test_the_changes_fit_on_one_screen() -> None:
    assert len((ROOT / "CHANGELOG.md").read_text().splitlines()) <= ONE_SCREEN


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version
    images = re.findall(r"image: xraygpt[\w-]*:(\S+)", (ROOT / "docker-compose.yml").read_text())
    assert images
    assert set(images) == {version}
