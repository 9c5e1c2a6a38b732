"""The chain of seals over the audit, which needs only an export and SHA-256 to be checked.

A row's text is one line of JSON, in UTF-8, just as ``xraygpt audit export`` writes it (PostgreSQL's text of a jsonb
object: keys ordered by length, then by their bytes; a blank after each colon and comma). A row's digest is the SHA-256
of that line without its end, in lower-case hex.

A seal takes rows in the order of their ids. Its digest is the SHA-256 of these lines, each with a newline (0x0A)::

    POSITION AT IDS ROWS PREVIOUS       one blank between each
    digest of the first row
    …
    digest of the last row

POSITION counts 1, 2, 3 …; AT is when it was sealed, as in a row; IDS are the rows' ids as PostgreSQL writes a
multirange (``{[1,4),[6,7)}``: 1, 2, 3 and 6); ROWS is how many; PREVIOUS the digest of the seal before it, 64 zeros
for the first.

So a change of a row or a seal, and a row that is added or removed, changes every later seal. The chain then no longer
leads to a head (position and digest of the last seal) that was noted elsewhere.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from xraygpt_core.errors import InvalidRequest

NOTHING = "0" * 64
MOST_ROWS = 1000  # in a seal

_RANGES = re.compile(r"\{((?:\[\d{1,18},\d{1,19}\),?)*)\}")
_RANGE = re.compile(r"\[(\d+),(\d+)\)")
_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True)
class ChainHead:
    """Where a chain ends, or ended when its head was noted."""

    position: int = 0
    digest: str = NOTHING

    def __str__(self) -> str:
        return f"{self.position}:{self.digest}"


def read_head(text: str) -> ChainHead:
    """``POSITION:DIGEST``.

    Raises:
        InvalidRequest: it is something else.
    """
    found = _HEAD.fullmatch(text)
    if found is None:
        raise InvalidRequest("a head is written POSITION:DIGEST, as control logged it or `audit verify` printed it")
    return ChainHead(int(found[1]), found[2])


@dataclass(frozen=True)
class Seal:
    """One link of the chain; ``row_digests`` in the order of the ids."""

    position: int
    at: str
    ids: str
    rows: int
    row_digests: Sequence[str]
    previous: str
    digest: str

    @property
    def head(self) -> ChainHead:
        """The head of a chain that ends here."""
        return ChainHead(self.position, self.digest)

    def line(self) -> str:
        """As an export has it, before the lines of its rows."""
        head = {"seal": self.position, **{name: value for name, value in vars(self).items() if name != "position"}}
        return json.dumps(head | {"row_digests": list(self.row_digests)})


@dataclass(frozen=True)
class ChainProblem:
    """What is wrong: which seal it was found at, and which rows it is about."""

    kind: str
    says: str
    seal: int | None = None
    rows: Sequence[int] = ()

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"problem": self.kind, "says": self.says, "seal": self.seal, "rows": list(self.rows)}


@dataclass(frozen=True)
class Verdict:
    """The result of a check. ``ok``: it found no problem."""

    ok: bool
    head: ChainHead
    seals: int
    rows: int


def row_digest(line: str) -> str:
    """Of a row's text."""
    return sha256(line.encode(errors="surrogatepass")).hexdigest()


def seal_digest(position: int, at: str, ids: str, previous: str, row_digests: Sequence[str]) -> str:
    """As the module says."""
    lines = [f"{position} {at} {ids} {len(row_digests)} {previous}", *row_digests]
    return sha256("".join(f"{line}\n" for line in lines).encode(errors="surrogatepass")).hexdigest()


def ranges_of(ids: Sequence[int]) -> str:
    """Ascending ids as a multirange."""
    ranges: list[list[int]] = []
    for one in ids:
        if ranges and ranges[-1][1] == one:
            ranges[-1][1] = one + 1
        else:
            ranges.append([one, one + 1])
    return "{" + ",".join(f"[{low},{high})" for low, high in ranges) + "}"


def ids_of(seal: Seal) -> list[int] | None:
    """The ids a seal took, ascending; None if no seal of ours looks like that."""
    if not _RANGES.fullmatch(seal.ids) or not 0 < seal.rows <= MOST_ROWS:
        return None
    ranges = [(int(found[1]), int(found[2])) for found in _RANGE.finditer(seal.ids)]
    ids = [one for low, high in ranges for one in range(low, min(high, low + seal.rows + 1))]
    return ids if len(ids) == seal.rows and ranges_of(ids) == seal.ids else None


class Covered:
    """The ids that seals took, as ascending ranges: few, for ids are taken nearly in their order."""

    def __init__(self) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []

    def add(self, one: int) -> bool:
        """Was this id not there before?"""
        place = bisect_right(self._lows, one)
        if place and one < self._highs[place - 1]:
            return False
        touches_left = place > 0 and self._highs[place - 1] == one
        touches_right = place < len(self._lows) and self._lows[place] == one + 1
        if touches_left and touches_right:
            self._highs[place - 1] = self._highs.pop(place)
            del self._lows[place]
        elif touches_left:
            self._highs[place - 1] = one + 1
        elif touches_right:
            self._lows[place] = one
        else:
            self._lows.insert(place, one)
            self._highs.insert(place, one + 1)
        return True

    def gaps(self, above: int) -> Iterator[tuple[int, int]]:
        """Ranges (low, high) of ids that no seal took, from this id on; the last one ends with bigint."""
        for low, high in zip(self._lows, self._highs, strict=True):
            if above < low:
                yield above, low
            above = max(above, high)
        yield above, (1 << 63) - 1


@dataclass
class Chain:
    """Follows a chain seal by seal and finds what is wrong with it.

    Attributes:
        head: the last seal so far; at first the head that the chain must follow. None: any.
        seen: a head that was noted elsewhere: it must lie on the way.
    """

    head: ChainHead | None = field(default_factory=ChainHead)
    seen: ChainHead | None = None
    seals: int = 0
    rows: int = 0
    covered: Covered = field(default_factory=Covered)

    def follow(self, seal: Seal, rows: Mapping[int, str]) -> list[ChainProblem]:
        """The next seal, and the lines of its rows by id."""
        problems = [*self._link(seal)]
        self.head = seal.head
        self.seals += 1
        ids = ids_of(seal)
        digest = seal_digest(seal.position, seal.at, seal.ids, seal.previous, seal.row_digests)
        if ids is None or digest != seal.digest or len(seal.row_digests) != seal.rows:
            problems.append(ChainProblem("seal changed", f"seal {seal.position} is not as it was made", seal.position))
        if ids is None:
            return problems
        self.rows += len(ids)
        return [*problems, *self._look(seal, ids, rows)]

    def end(self) -> list[ChainProblem]:
        """When no seal follows: was the noted head on the way?"""
        at = self.head.position if self.head else 0
        if self.seen is None or self.seen.position <= at:
            return []
        return [
            ChainProblem("tail missing", f"the chain ends at seal {at}, but seal {self.seen.position} was there", at)
        ]

    def _link(self, seal: Seal) -> Iterator[ChainProblem]:
        here, before = seal.position, self.head or (ChainHead() if seal.position == 1 else None)
        if before is not None and here != before.position + 1:
            missing = f"{before.position + 1}" + (f" to {here - 1}" if here > before.position + 2 else "")
            yield ChainProblem("seal missing", f"seal {missing} is not there", here)
        elif before is not None and seal.previous != before.digest:
            yield ChainProblem("chain broken", f"seal {here} does not follow from the seal before it", here)
        if self.seen is not None and self.seen.position == here and self.seen.digest != seal.digest:
            yield ChainProblem("head rewritten", f"seal {here} is another one than was seen", here)

    def _look(self, seal: Seal, ids: Sequence[int], rows: Mapping[int, str]) -> Iterator[ChainProblem]:
        at = seal.position
        if twice := [one for one in ids if not self.covered.add(one)]:
            yield ChainProblem("row sealed twice", f"seal {at} takes rows that an earlier seal took", at, twice)
        if missing := [one for one in ids if one not in rows]:
            yield ChainProblem("row missing", f"rows of seal {at} are not there", at, missing)
        digests = dict(zip(ids, seal.row_digests, strict=False))
        if changed := [one for one in ids if one in rows and row_digest(rows[one]) != digests.get(one)]:
            yield ChainProblem("row changed", f"rows of seal {at} are not as they were sealed", at, changed)


def seal_of(entry: Mapping[str, Any]) -> Seal:
    """A seal, of its line in an export.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    names = ("at", "ids", "previous", "digest")
    digests = [str(one) for one in entry["row_digests"]]
    return Seal(
        int(entry["seal"]), rows=int(entry["rows"]), row_digests=digests, **{one: str(entry[one]) for one in names}
    )
