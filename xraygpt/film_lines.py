"""A film in a line, or in two where the terminal is narrow: mark, handle, name, view, seconds, impression, doubts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

from xraygpt import words
from xraygpt.durations import seconds_words
from xraygpt.named_ids import handles
from xraygpt.terminal import cut, cut_middle, one_line, padded, wrapped
from xraygpt_core.states import StudyState

GAP = "  "
LONGEST_NAME, SHORTEST_NAME = 32, 12
TEXT_CELLS = 24  # at least, of the first line
KNOWN = "known already"
_STYLES = {StudyState.SUMMARISED: "green", StudyState.REJECTED: "yellow", StudyState.DEAD: "bold red"}


@dataclass(frozen=True)
class Film:
    """What is shown of a film. ``name`` is foreign text, ``text`` the impression where the film has one."""

    name: str
    state: str
    study_id: str | None = None
    view: str | None = None
    seconds: float | None = None
    known: bool = False
    text: str | None = None
    reason_code: str | None = None
    flags: Sequence[str] = field(default_factory=list)


def impression_of(impression: str | None, summary: str | None) -> str | None:
    """The impression, or the first line of a text that is not parted into findings and impression."""
    text = impression or summary
    return text.strip().partition("\n")[0] if text and text.strip() else None


def short_names(sources: Sequence[str]) -> list[str]:
    """The sources without the folders that they have in common."""
    parts = [source.split("/") for source in sources]
    common = 0
    while len({tuple(one[: common + 1]) for one in parts}) == 1 and all(len(one) > common + 1 for one in parts):
        common += 1
    return ["/".join(one[common:]) for one in parts]


def film_lines(films: Sequence[Film], cells: int | None) -> list[Text]:
    """The lines: two a film at most, none of them wider than so many cells.

    Args:
        cells: None: a program reads it, so each film has one line, and nothing is shortened, ids neither.
    """
    names = [one_line(film.name) for film in films]
    ids = [film.study_id for film in films if film.study_id]
    short = {one: one for one in ids} if cells is None else handles(ids)
    columns = [
        [short.get(film.study_id or "", "") for film in films],
        names,
        [one_line(film.view or "") for film in films],
        [_seconds(film) for film in films],
    ]
    widths = [max(map(cell_len, column), default=0) for column in columns]
    if cells is not None:
        widths[2] = min(widths[2], 8)
        taken = sum(width + len(GAP) for width in (1, widths[0], widths[2], widths[3]) if width)
        widths[1] = min(widths[1], max(SHORTEST_NAME, min(LONGEST_NAME, cells - taken - len(GAP) - TEXT_CELLS)))
    found: list[Text] = []
    for film, *row in zip(films, *columns, strict=True):
        found += _lines(film, row, widths, cells)
    return found


def counted(films: Iterable[Film]) -> str:
    """How many ended how: ``✓ 3 summarised · ✗ 1 rejected``."""
    counts = Counter(film.state for film in films)
    return " · ".join(f"{words.mark(state)} {counts[state]} {state}" for state in StudyState if counts[state])


def _seconds(film: Film) -> str:
    if film.known:
        return KNOWN
    return "" if film.seconds is None else seconds_words(film.seconds)


def _lines(film: Film, row: Sequence[str], widths: Sequence[int], cells: int | None) -> list[Text]:
    handle, name, view, seconds = row
    if cells is not None:
        name, view = cut_middle(name, widths[1]), cut(view, widths[2])
    parts = [padded(handle, widths[0]), padded(name, widths[1]), padded(view, widths[2])]
    parts.append(" " * (widths[3] - cell_len(seconds)) + seconds)
    head = f"{words.mark(film.state)} " + GAP.join(part for part in parts if part) + GAP
    text = one_line(film.text) if film.text else words.without_text(film.state, film.reason_code)
    doubts = words.doubts(film.flags) if film.state == StudyState.SUMMARISED else []
    warning = f"⚠ {'; '.join(doubts)}" if doubts else ""
    if cells is None:
        lines = [f"{head}{text}{GAP if warning else ''}{warning}"]
    else:
        indent = " " * (2 + widths[0] + len(GAP) if widths[0] else 4)
        lines = _fitted(head, text, doubts, indent, cells)
    return [_styled(line.rstrip(), film.state, first=place == 0) for place, line in enumerate(lines)]


def _fitted(head: str, text: str, doubts: Sequence[str], indent: str, cells: int) -> list[str]:
    """One line or two. The text gives way to the doubts, which must be seen."""
    first, more = cells - cell_len(head), cells - len(indent)
    warning = _warning(doubts, more)
    if cell_len(f"{text}{GAP}{warning}" if warning else text) <= first:
        return [f"{head}{text}{GAP if warning else ''}{warning}"]
    if not warning:
        top, *below = wrapped(text, first, more, 2)
        return [head + top, *(indent + line for line in below)]
    room = more - cell_len(warning) - len(GAP)
    top, *below = wrapped(text, first, room, 2) if room >= SHORTEST_NAME else [cut(text, first)]
    below = [f"{line}{GAP}{warning}" for line in below] or [warning]
    return [head + top, *(indent + line for line in below)]


def _warning(doubts: Sequence[str], cells: int) -> str:
    """As many doubts as fit, and how many more there are."""
    for count in range(len(doubts), 0, -1):
        more = f"; {len(doubts) - count} more" if count < len(doubts) else ""
        if cell_len(line := f"⚠ {'; '.join(doubts[:count])}{more}") <= cells:
            return line
    return cut(f"⚠ {len(doubts)} doubts", cells) if doubts else ""


def _styled(line: str, state: str, *, first: bool) -> Text:
    shown = Text(line)
    if first:
        shown.stylize(_STYLES.get(StudyState(state), "dim"), 0, 1)
    if (at := line.rfind("⚠")) >= 0:
        shown.stylize("bold yellow", at)
    return shown
