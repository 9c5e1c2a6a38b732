"""Two sentences of a draft that cannot both be true, a view that is not the header's, an answer against its draft.

It reads what the labeller reads and decides nothing about the film. What a reader of the marks must know:

- An impression that names a finding which the findings deny, place elsewhere, or never speak of, is marked; one that
  leaves a finding out is not: an impression is a choice.
- Possible findings contradict nothing. "No new", "no large" and the like deny nothing but the new and the large.
- "No acute abnormality" contradicts an effusion, a pneumothorax or a consolidation, unless it is called old or stable;
  a large heart or a nodule it does not.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from xraygpt_core.report.labeller import view_of
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.statements import Statement, raw_sentences, statements


class ContradictionKind(StrEnum):
    """Of a contradiction."""

    SECTIONS = "findings/impression"  # one sentence says what another denies or leaves out
    SIDE = "side"  # the same finding in two places
    VIEW = "view"  # another projection than the header's, or than another sentence's
    CHAT = "chat"  # an answer and the draft it is about


@dataclass(frozen=True)
class Contradiction:
    """Two sentences as they were written; ``other`` is ours where the draft has no such sentence."""

    kind: ContradictionKind
    one: str
    other: str

    def turned(self) -> "Contradiction":
        """The other sentence first."""
        return Contradiction(self.kind, self.other, self.one)

    def document(self) -> dict[str, str]:
        """As it is stored: long sentences are cut."""
        return {name: str(value)[:_QUOTED] for name, value in asdict(self).items()}


_QUOTED = 300  # characters
_VIEWS = ("PA", "AP")
_COMPARES = re.compile(r"\b(?:compar\w+|prior|previous\w*|earlier|since|follow ?up|recommend\w*|suggest\w*)\b", re.I)
_ONLY_SOME = re.compile(
    r"\b(?:no|without|not|negative for|free of)\b[^;,]{0,40}?\b(?:new|large\w*|significant|sizea?ble|increas\w+|"
    r"additional|further|other|residual|recurrent|worsen\w+|enlarging|tension|gross|massive|overt|frank|obvious|definite|"
    r"acute|lobar)\b|"
    r"\b(?:remov\w+|cleared|clearing|clearance|resolved|resolution)\b"  # it was there before
)
_OLD = re.compile(
    r"\b(?:stable|unchanged|chronic|old|prior|previous\w*|scar\w*|calcifi\w+|resol\w+|improv\w+|decreas\w+|healed|residual|"
    r"no (?:significant |interval )*change|long ?standing|atelecta\w+|post ?(?:surgical|operative)|again)\b"
)
# An opacity that may be a scar, or a granuloma, stands beside these without a contradiction.
_OF_A_CERTAIN_KIND = re.compile(
    r"\b(?:focal|lobar|acute|active|suspicious|pneumonia|confluent|air ?space|infiltrates?|process|worrisome|"
    r"dominant)\b"
)
_ELSEWHERE = re.compile(r"\b(?:ct|mri|history|on (?:the |a )?(?:prior|previous|outside|recent))\b")
# Words of a findings section that may mean the finding without naming it: nothing was left out then.
_AKIN = {
    "cardiomegaly": r"heart|cardi|ventric",
    "effusion": r"effusion|pleural (?!line|air)|phrenic|fluid|blunt|hemi ?(?:thorax|diaphragm)|opacif|white ?out|veil|"
    r"layering|meniscus",
    "pneumothorax": r"pneumothora|ptx|pleural (?:line|air)|collapse",
    "consolidation": r"consolidat|(?<!nodular )opaci|infiltrat|pneumon|air ?space|densit|atelecta|marking|interstiti|"
    r"haz[ey]|patchy|o?edema|congesti|silhouetting|bronch|shadowing|disease",
    "nodule": r"nodul|granulom|mass|lesion|densit|calcif|opaci|shadow|round|metasta",
    "device": r"tube|(?<!pleural )\blines?\b|cathet|\bleads?\b|device|pace|port|wire|clip|sutur|valve|sternotomy|stent|"
    r"drain|hardware|electrode|defibrill|surg|graft|prosthe|tip",
}
# Of what a sentence names none of is spoken in general: "no lines or tubes".
_DEVICES = {
    "airway": r"\b(?:endo ?tracheal|tracheal|et tube|ett|tracheostomy)\b",
    "enteric": r"\b(?:naso ?gastric|oro ?gastric|gastric|enteric|enteral|feeding|ng|og|dobhoff)\b",
    "pleural": r"\b(?:chest|thoracostomy|intercostal|pleural|pigtail|drainage) (?:tubes?|drains?|catheters?)\b",
    "venous": r"\b(?:central|picc|cvc|jugular|subclavian|venous|dialysis|hickman|swan|port\w*|medi ?port)\b",
    "rhythm": r"\b(?:pace ?makers?|pacers?|pacing|a?icd|defibrillators?|generator|loop recorder)\b",
    "surgical": r"\b(?:stern\w+|cerclage|valves?|sutures?|clips?)\b",
}
_PLACED = frozenset({"effusion", "pneumothorax", "consolidation", "nodule"})
_BARE = re.compile(
    r"^\W*(?:(?P<yes>yes|yeah|correct|(?:indeed|certainly)(?! not))|"
    r"no|none|not (?:at all|seen|present|visible)|(?:absolutely|definitely|certainly) not|there (?:is|are) none)\b"
    r"[\s,.!]*",
    re.I,
)
_THIS_NORMAL = re.compile(r"\b(?:this|it|that|everything|all)(?= (?:completely |quite |entirely )?normal\b)", re.I)
_BARE_SIDE = re.compile(r"^\W*(?:(?:it is|on|in|the) )*(left|right|both|bilateral\w*)(?: (?:sides?|lungs?))?\W*$", re.I)
_LATERAL = re.compile(
    r"^(?:an? |the |single )*lateral (?:chest )?(?:view|radiograph|film|projection|x-?ray)\b(?! and)", re.I
)
_DEFINES = re.compile(
    r"^(?:an? |the term )?(?:[\w]+ ){0,3}?\w+ (?:is (?:an?|the|when|air|fluid|defined|caused)|are (?:a|collections)|"
    r"refers? to|means?|occurs?|happens?|describes?)\b"
)
_EXISTS = re.compile(r"^(?:there|this|it)\b")


def contradictions(
    findings: str | None, impression: str | None, view: str | None, text: str = ""
) -> tuple[Contradiction, ...]:
    """Where a draft contradicts itself or its header.

    Args:
        findings, impression: its sections; where it has none, ``text`` is read as one.
        view: ``PA`` or ``AP`` as the header says, or None.
    """
    first = statements(findings or "" if findings or impression else text)
    second = statements(impression or "")
    both = [*first, *second]
    found = [*_between(both, both), *_misplaced(first, second)]
    if findings and impression:
        found += _left_out(findings, first, second, "The findings do not mention it.")
    found += _other_view(" ".join(part for part in (findings, impression) if part) or text, view)
    return _each_once(found)


def chat_contradictions(question: str, answer: str, draft: str, view: str | None) -> tuple[Contradiction, ...]:
    """Where an answer contradicts the draft it is about, the header, or itself."""
    in_answer = [one for one in statements(answer) if not only_defines(one.plain)] or _in_short(question, answer)
    in_draft = statements(draft)
    against = [*_between(in_answer, in_draft), *(one.turned() for one in _misplaced(in_draft, in_answer))]
    against += _left_out(draft, in_draft, in_answer, "The draft does not mention it.")
    found = [Contradiction(ContradictionKind.CHAT, one.one, one.other) for one in against]
    named = [one for one in in_answer if not one.general]
    found += _between(named, named)
    of_answer = _other_view(answer, view)
    if not of_answer and view not in _VIEWS:
        of_answer = [
            Contradiction(ContradictionKind.CHAT, one.one, one.other)
            for one in _views_apart(_views(answer), _views(draft))
        ]
    return _each_once(found + of_answer)


def _between(one_side: Sequence[Statement], other_side: Sequence[Statement]) -> list[Contradiction]:
    """What one says is there and the other says is not, each way; the first pair of each finding."""
    found: dict[str, Contradiction] = {}
    for one in one_side:
        for other in other_side:
            there, gone = (one, other) if one.status is Assertion.ASSERTED else (other, one)
            if there.kind.split()[0] not in found and _excludes(gone, there):
                found[there.kind.split()[0]] = Contradiction(ContradictionKind.SECTIONS, one.sentence, other.sentence)
    return list(found.values())


def _excludes(gone: Statement, there: Statement) -> bool:
    """Whether a denial and an assertion cannot both be true."""
    if gone.status is not Assertion.DENIED or there.status is not Assertion.ASSERTED or gone.sentence == there.sentence:
        return False
    if not (gone.kind == there.kind or (gone.kind == "device" and there.kind.startswith("device"))):
        return False
    if gone.kind.startswith("device") and _other_devices(gone.plain, there.plain):
        return False
    if _ELSEWHERE.search(there.plain) or (there.weak and _OF_A_CERTAIN_KIND.search(gone.plain)):
        return False
    if gone.general:
        return not _OLD.search(there.plain)
    if _ONLY_SOME.search(gone.plain):
        return False
    if gone.spots and not (gone.spots & there.spots):
        return False
    return not gone.sides or bool(gone.sides & there.sides)


def _other_devices(gone: str, there: str) -> bool:
    """Whether each sentence names devices of its own: no chest tube, but an endotracheal one."""
    one, other = ({name for name, words in _DEVICES.items() if re.search(words, text)} for text in (gone, there))
    return bool(one and other) and not one & other


def _misplaced(first: Iterable[Statement], second: Iterable[Statement]) -> list[Contradiction]:
    """Findings that the second text puts where the first one does not."""
    found = []
    named = [one for one in first if one.status is not Assertion.DENIED and one.kind in _PLACED]
    for later in second:
        before = [one for one in named if one.kind == later.kind]
        if later.status is not Assertion.ASSERTED or not before or not all(one.sides for one in before):
            continue
        sides = frozenset(side for one in before for side in one.sides)
        spots = frozenset(spot for one in before for spot in one.spots)
        zoned = all(one.spots for one in before) and later.spots
        if later.sides - sides or (zoned and later.spots - spots):
            found.append(Contradiction(ContradictionKind.SIDE, before[0].sentence, later.sentence))
    return found


def _left_out(text: str, first: Sequence[Statement], second: Sequence[Statement], words: str) -> list[Contradiction]:
    """Findings that the second text asserts and the first never speaks of."""
    plain = text.lower()
    spoken = {one.kind.split()[0] for one in first}
    return [
        Contradiction(ContradictionKind.SECTIONS, one.sentence, words)
        for one in second
        if one.status is Assertion.ASSERTED
        and (kind := one.kind.split()[0]) not in spoken
        and not re.search(_AKIN[kind], plain)
    ]


def _views(text: str) -> list[tuple[str, str]]:
    """(sentence, view) of each sentence that names one, comparisons with other films left out."""
    kept = (one for one in raw_sentences(text) if not _COMPARES.search(one))
    named = ((one, view_of(one) or ("lateral" if _LATERAL.match(one) else None)) for one in kept)
    return [(sentence, view) for sentence, view in named if view is not None]


def _other_view(text: str, header: str | None) -> list[Contradiction]:
    named = _views(text)
    if header in _VIEWS:
        return [
            Contradiction(ContradictionKind.VIEW, sentence, f"The header says {header}.")
            for sentence, view in named
            if view != header
        ]
    return _views_apart(named[:1], named)


def _views_apart(some: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]) -> list[Contradiction]:
    return [Contradiction(ContradictionKind.VIEW, one, other) for one, a in some for other, b in others if a != b]


def _in_short(question: str, answer: str) -> list[Statement]:
    """What a bare yes, no or side says: the question as a statement."""
    asked = [replace(one, sentence=f"{question.strip()} {answer.strip()}") for one in statements(_ended(question))]
    there = [one for one in asked if one.status is Assertion.ASSERTED]
    if (side := _BARE_SIDE.match(answer)) is not None:
        sides = frozenset(("left", "right") if side[1].lower()[0] == "b" else (side[1].lower(),))
        return [replace(one, sides=sides, spots=frozenset()) for one in there]
    if (bare := _BARE.match(answer)) is None:
        return []
    # "Is this film normal?" "No." says that something is there, and not what.
    return asked if bare["yes"] else [replace(one, status=Assertion.DENIED) for one in there]


def _ended(question: str) -> str:
    """A question with full stops: a question mark leaves a finding open, and it is the answer that closes it."""
    return _THIS_NORMAL.sub("the film", question).replace("?", ".")


def only_defines(plain: str) -> bool:
    """ "A pneumothorax is air in the pleural space" says nothing about this film."""
    return bool(_DEFINES.match(plain)) and not _EXISTS.match(plain)


def _each_once(found: Iterable[Contradiction]) -> tuple[Contradiction, ...]:
    """Without pairs that were found twice, the same way round or the other."""
    seen: dict[tuple[ContradictionKind, frozenset[str]], Contradiction] = {}
    for one in found:
        seen.setdefault((one.kind, frozenset((one.one, one.other))), one)
    return tuple(seen.values())
