"""Does a rewrite say what its source says: no finding added, none lost, no side swapped, no negation turned?

It compares what :mod:`xraygpt_core.report.observations` reads in both. What a reader of the objections must know:

- A denial that the rewrite leaves out is no loss, and neither is a finding that the source names only in sentences that
  compare with earlier films: the paper's recipe takes both out.
- A finding may be told more generally if its own name stands elsewhere in the source, never more specifically.
- It decides nothing about the film, and knows nothing of how large or how old a finding is.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observation_terms import PARENTS
from xraygpt_core.report.observations import ACUTE, ANYTHING, PARTS, Observation, observations

_COMPARES = re.compile(
    r"\b(?:compar\w+|prior|previous\w*|interval|since|worsen\w*|improv\w+|increas\w+|decreas\w+|no longer|earlier|"
    r"resol\w+|progress\w+|changed|no (?:\w+ )?changes?|develop\w+|new(?:ly)?)\b",
    re.IGNORECASE,
)
# What a report that calls the whole normal denies without naming it.
_NOTHING = frozenset({ACUTE, ANYTHING, "abnormal film"})


class ObjectionKind(StrEnum):
    """What is wrong with a rewrite."""

    ADDED = "added"  # a finding, or the denial of one, that the source does not have
    LOST = "lost"  # a finding that the source has
    NEGATION = "negation"  # there in one, not there in the other
    SIDE = "side"
    ZONE = "zone"
    CERTAINTY = "certainty"  # possible in one, certain in the other


@dataclass(frozen=True)
class Objection:
    """One thing that is wrong, with the sentence of each text; "" where a text has none about it."""

    kind: ObjectionKind
    finding: str
    source: str
    rewrite: str

    @property
    def words(self) -> str:
        """One line for a prompt or a file."""
        return f'{self.kind} ({self.finding}): source "{self.source[:200]}", rewrite "{self.rewrite[:200]}"'


class _Told:
    """The observations of a text by kind and status."""

    def __init__(self, text: str) -> None:
        self.all = observations(text)
        self._by: dict[tuple[str, Assertion], list[Observation]] = {}
        for one in self.all:
            self._by.setdefault((one.kind, one.status), []).append(one)

    def of(self, kind: str, *status: Assertion) -> list[Observation]:
        return [one for each in status for one in self._by.get((kind, each), [])]

    def kinds(self, *status: Assertion) -> list[str]:
        return list(dict.fromkeys(kind for kind, each in self._by if each in status))

    def has(self, kind: str, *status: Assertion) -> bool:
        return any((kind, each) in self._by for each in status)

    def special(self, kind: str, *status: Assertion) -> bool:
        """Whether a more special kind than this is told."""
        return any(kind in PARENTS.get(one, ()) for one in self.kinds(*status))

    def denies_generally(self, kind: str) -> bool:
        return any(self.has(one, Assertion.DENIED) for one in (*_NOTHING, *PARTS, *PARENTS.get(kind, ())))


def objections(source: str, rewrite: str) -> tuple[Objection, ...]:
    """What a rewrite says otherwise than its source; none if it is faithful as far as this can tell."""
    one, other = _Told(source), _Told(rewrite)
    return (*_asserted(one, other), *_denied(one, other), *_lost(one, other), *_misplaced(one, other))


def _asserted(source: _Told, rewrite: _Told) -> Iterable[Objection]:
    """Findings of the rewrite that the source denies, or doubts, or does not have."""
    for kind in rewrite.kinds(Assertion.ASSERTED, Assertion.OPEN):
        if kind == ANYTHING or (kind == ACUTE and not source.has(kind, Assertion.DENIED)):
            continue
        told = rewrite.of(kind, Assertion.ASSERTED, Assertion.OPEN)
        if source.has(kind, Assertion.ASSERTED) or source.special(kind, Assertion.ASSERTED):
            continue
        if source.has(kind, Assertion.OPEN) or source.special(kind, Assertion.OPEN):
            if certain := rewrite.of(kind, Assertion.ASSERTED):
                yield Objection(
                    ObjectionKind.CERTAINTY, kind, _first(source, kind, Assertion.OPEN), certain[0].sentence
                )
            continue
        denied = source.of(kind, Assertion.DENIED)
        wrong = ObjectionKind.NEGATION if denied else ObjectionKind.ADDED
        yield Objection(wrong, kind, denied[0].sentence if denied else "", told[0].sentence)


def _denied(source: _Told, rewrite: _Told) -> Iterable[Objection]:
    """Denials of the rewrite that the source does not make."""
    for kind in rewrite.kinds(Assertion.DENIED):
        if (
            kind == ANYTHING
            or source.has(kind, Assertion.DENIED)
            or any(source.has(p, Assertion.DENIED) for p in PARENTS.get(kind, ()))
        ):
            continue
        there = source.of(kind, Assertion.ASSERTED, Assertion.OPEN)
        told = rewrite.of(kind, Assertion.DENIED)[0].sentence
        if there:
            yield Objection(ObjectionKind.NEGATION, kind, there[0].sentence, told)
        elif kind not in PARTS and kind not in _NOTHING and not source.denies_generally(kind):
            yield Objection(ObjectionKind.ADDED, kind, "", told)


def _lost(source: _Told, rewrite: _Told) -> Iterable[Objection]:
    """Findings of the source that the rewrite does not have."""
    for kind in source.kinds(Assertion.ASSERTED):
        told = [one for one in source.of(kind, Assertion.ASSERTED) if not _COMPARES.search(one.sentence)]
        if kind in _NOTHING or kind in PARTS or not told:
            continue
        there = (Assertion.ASSERTED, Assertion.OPEN)
        if rewrite.has(kind, *there) or rewrite.special(kind, *there) or rewrite.has(kind, Assertion.DENIED):
            continue
        yield Objection(ObjectionKind.LOST, kind, told[0].sentence, "")


def _misplaced(source: _Told, rewrite: _Told) -> Iterable[Objection]:
    """Findings of the rewrite that are where the source does not have them."""
    there = (Assertion.ASSERTED, Assertion.OPEN)
    for kind in rewrite.kinds(*there):
        before = source.of(kind, *there)
        if not before:
            continue
        sides = {side for one in before for side in one.sides or one.near}
        zones = {zone for one in before for zone in one.zones}
        placed = all(one.zones for one in before)
        for one in rewrite.of(kind, *there):
            if sides and one.sides and not one.sides <= sides:
                yield Objection(ObjectionKind.SIDE, kind, before[0].sentence, one.sentence)
            elif placed and one.zones and not one.zones <= zones:
                yield Objection(ObjectionKind.ZONE, kind, before[0].sentence, one.sentence)


def _first(told: _Told, kind: str, *status: Assertion) -> str:
    found: Sequence[Observation] = told.of(kind, *status)
    return found[0].sentence if found else ""
