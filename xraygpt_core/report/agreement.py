"""How far a report agrees with a radiologist's, weighed by what each error would do to the patient.

Every finding of either text looks for its nearest in the other.
What it finds there is credit, and what it lacks is an error: false, missing, or said otherwise.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import log2, prod

from xraygpt_core.report.agreement_findings import Finding, findings_of
from xraygpt_core.report.agreement_weights import Significance, relatedness
from xraygpt_core.report.observations import observations
from xraygpt_core.report.scores import rouge_l

START = 0.5  # credit that a report has before its first finding: what two texts share that call all normal
WORDING = 0.3  # share of what errors took that the likeness of the words may give back
# What is left of a finding's credit if it is said otherwise.
SIDE, ZONE = 0.4, 0.7  # on the other side, in another zone or at another rib
CERTAINTY = 0.9  # possible in one text, certain in the other
DEGREE = 0.15  # less for each degree apart
DOUBLING, LEAST = 0.3, 0.5  # less for each doubling of a measured size, and what is always left
POSITION, END = 0.3, 0.6  # a device called misplaced in one text only, or with its end in another region
OTHER_DEVICE = 0.2  # another tube or line


class ErrorKind(StrEnum):
    """What is wrong with a finding."""

    FALSE = "false finding"
    MISSING = "missing finding"
    PLACE = "wrong place"
    DEGREE = "wrong degree"
    DEVICE = "wrong device position"
    NAME = "another name"


@dataclass(frozen=True)
class AgreementError:
    """One error: ``weight`` is what it takes from the score's credit."""

    kind: ErrorKind
    finding: str
    significance: Significance
    weight: float
    sentence: str


@dataclass(frozen=True)
class Agreement:
    """``score`` 0-1, 1 for the same text; ``findings`` the same without the likeness of the words, 0-1."""

    score: float
    findings: float
    wording: float
    errors: tuple[AgreementError, ...]


def agreement(candidate: str, reference: str) -> Agreement:
    """How far a candidate agrees with the reference; without an error its words do not matter.

    A candidate that says nothing about a chest scores 0, whatever the reference.
    """
    given, true = findings_of(candidate), findings_of(reference)
    credit, errors = 0.0, []
    for ones, others, absent in ((true, given, ErrorKind.MISSING), (given, true, ErrorKind.FALSE)):
        for one in ones:
            likeness, kind = _nearest(one, others)
            credit += one.weight * likeness / 2
            if likeness < 1:
                errors.append(_error(one, 1 - likeness, kind or absent))
    credit += START if observations(candidate) else 0.0
    lost = sum(error.weight for error in errors)
    findings = credit / (credit + lost) if credit else 0.0
    wording = rouge_l(candidate, reference).f1
    return Agreement(findings + WORDING * wording * (1 - findings), findings, wording, tuple(errors))


def _error(one: Finding, share: float, kind: ErrorKind) -> AgreementError:
    return AgreementError(kind, one.kinds[0], one.significance, one.weight * share, one.sentence)


def _nearest(one: Finding, others: tuple[Finding, ...]) -> tuple[float, ErrorKind | None]:
    """The likeness of the most like finding, 0-1, and what differs most; (0, None) if none is like it."""
    best: tuple[float, ErrorKind | None] = (0.0, None)
    for other in others:
        factors = _factors(one, other)
        likeness = prod(factors.values())
        if likeness > best[0]:
            best = likeness, min(factors, key=lambda kind: factors[kind])
    return best


def _factors(one: Finding, other: Finding) -> dict[ErrorKind, float]:
    return {
        ErrorKind.NAME: _name(one, other) * (CERTAINTY if one.possible != other.possible else 1.0),
        ErrorKind.PLACE: _place(one, other),
        ErrorKind.DEGREE: _degree(one, other),
        ErrorKind.DEVICE: _device(one, other),
    }


def _name(one: Finding, other: Finding) -> float:
    if one.device and other.device:
        if one.device.name == other.device.name:
            return 1.0
        return OTHER_DEVICE if "airway" not in (one.device.name, other.device.name) else 0.0
    return max(relatedness(a, b) for a in one.kinds for b in other.kinds)


def _place(one: Finding, other: Finding) -> float:
    """1 where either does not say; a part of the places leaves half of what is lost."""
    places = ((one.sides, other.sides, SIDE), (one.zones, other.zones, ZONE), (one.levels, other.levels, ZONE))
    return prod(_overlap(*place) for place in places)


def _overlap(one: frozenset[str], other: frozenset[str], apart: float) -> float:
    if not one or not other or one == other:
        return 1.0
    return (1 + apart) / 2 if one & other else apart


def _degree(one: Finding, other: Finding) -> float:
    if one.millimetres and other.millimetres:
        return max(LEAST, 1.0 - DOUBLING * abs(log2(one.millimetres / other.millimetres)))
    if one.degree is None or other.degree is None:
        return 1.0
    return 1.0 - DEGREE * abs(one.degree - other.degree)


def _device(one: Finding, other: Finding) -> float:
    if one.device is None or other.device is None:
        return 1.0
    if None not in (one.device.misplaced, other.device.misplaced) and one.device.misplaced != other.device.misplaced:
        return POSITION
    ends = one.device.ends, other.device.ends
    return END if all(ends) and not ends[0] & ends[1] else 1.0
