"""Which signed studies of the system's own ledger a run is given, in words::

reviewed since 2026-01-01 [until 2026-04-01] [bundle NAME] [accepted|edited] [view PA|AP] [with FLAG]… [limit N]
"""

import re
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from xraygpt_core.errors import TrainingError
from xraygpt_core.states import DOUBTS, Flag, ReviewState

_LONGEST = 1000  # letters
_MOST = 10**7  # studies
_BUNDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_VIEWS = ("PA", "AP")
_STATES = (ReviewState.ACCEPTED, ReviewState.EDITED)
GRAMMAR = "reviewed since DATE [until DATE] [bundle NAME] [accepted|edited] [view PA|AP] [with FLAG] [limit N]"


@dataclass(frozen=True)
class Selection:
    """Signed studies.

    Attributes:
        since: signed on this day (UTC) or later.
        until: signed before this day.
        bundle: whose draft was signed.
        state: only those that were accepted as they were, or only those that were corrected.
        view: of the film.
        taken: doubts about a film or its draft that are no reason to leave it out: the text is a person's.
        limit: at most so many, the newest first.
    """

    since: date
    until: date | None = None
    bundle: str | None = None
    state: ReviewState | None = None
    view: str | None = None
    taken: frozenset[Flag] = frozenset()
    limit: int | None = None

    def __str__(self) -> str:
        parts = [f"reviewed since {self.since.isoformat()}"]
        parts += [f"until {self.until.isoformat()}"] if self.until else []
        parts += [f"bundle {self.bundle}"] if self.bundle else []
        parts += [str(self.state)] if self.state else []
        parts += [f"view {self.view}"] if self.view else []
        parts += [f"with {flag}" for flag in sorted(self.taken)]
        parts += [f"limit {self.limit}"] if self.limit is not None else []
        return " ".join(parts)


def parse_selection(text: str) -> Selection:
    """Read a selection.

    Raises:
        TrainingError: what is wrong with it, and how one is written.
    """
    if len(text) > _LONGEST:
        raise _wrong(f"it is longer than {_LONGEST} letters")
    words = text.split()
    if words[:2] != ["reviewed", "since"]:
        raise _wrong("it begins with 'reviewed since'")
    found: dict[str, object] = {}
    taken: set[Flag] = set()
    rest = iter(words[1:])
    for word in rest:
        name, value = _part(word, rest)
        if name == "taken":
            taken.add(Flag(str(value)))
        elif name in found:
            raise _wrong(f"it says {'accepted or edited' if name == 'state' else name} twice")
        else:
            found[name] = value
    selection = Selection(**found, taken=frozenset(taken))  # type: ignore[arg-type]  # each as _part reads it
    if selection.until is not None and selection.until <= selection.since:
        raise _wrong("'until' is not after 'since'")
    return selection


def _part(word: str, rest: Iterator[str]) -> tuple[str, object]:
    if word in _STATES:
        return "state", ReviewState(word)
    if word not in ("since", "until", "bundle", "view", "with", "limit"):
        raise _wrong(f"{reprlib.repr(word)} is no word of it")
    value = next(rest, None)
    if value is None:
        raise _wrong(f"after {word!r} something is missing")
    match word:
        case "since" | "until":
            return word, _date(word, value)
        case "bundle" if _BUNDLE.fullmatch(value):
            return word, value
        case "view" if value in _VIEWS:
            return word, value
        case "with" if value in DOUBTS:
            return "taken", value
        case "limit" if value.isascii() and value.isdigit() and len(value) < 10 and 0 < int(value) <= _MOST:
            return word, int(value)
    allowed = {
        "bundle": "the name of a bundle",
        "view": " or ".join(_VIEWS),
        "with": f"one of {', '.join(sorted(DOUBTS))}",
        "limit": f"a number from 1 to {_MOST}",
    }[word]
    raise _wrong(f"after {word!r} stands {allowed}, not {reprlib.repr(value)}")


def _date(word: str, value: str) -> date:
    try:
        if _DATE.fullmatch(value) and value.isascii():
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise _wrong(f"after {word!r} stands a date such as 2026-01-31, not {reprlib.repr(value)}")


def _wrong(what: str) -> TrainingError:
    return TrainingError(f"the selection of signed studies cannot be read: {what}. It is written as: {GRAMMAR}")
