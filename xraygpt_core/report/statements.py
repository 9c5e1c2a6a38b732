"""What each sentence of a report says is there and is not there, with the sentence as it was written.

More than the labeller reads: "normal heart size" denies an enlarged heart and "clear lungs" a consolidation, although
neither names the finding, and "no acute abnormality" denies several findings at once.
"""

import re
from dataclasses import dataclass

from xraygpt_core.report.labeller import Mention, mentions_in, sentences_of
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.sections import described_part

Spot = tuple[str, str]  # side, zone

_END = re.compile(r"(?<!\b[Nn]o\.)(?<!\b[Dd]r\.)(?<!\bA\.P\.)(?<!\bP\.A\.)(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W\d_]{2}")
MOST_LETTERS = 1000  # of a sentence: a model that never ends one must not cost its worker seconds

_LINES = re.compile(r"\b(?:lines?|tubes?|catheters?|drains?|ports?|mediport|port ?a ?cath|picc|cvc|ett|tracheostomy)\b")
_ANY_DEVICE = re.compile(r"^(?:medical )?devices?$")

# "Opacity" alone may be a consolidation; with these words it is something else.
_BARE_OPACITY = re.compile(r"^(?:opacit(?:y|ies)|opacification|shadowing)$")
_NO_PNEUMONIA = re.compile(
    r"\b(?:scar\w*|atelecta\w+|band ?like|linear|streak\w*|subsegmental|fibro\w+|fat pad|nipple|hernia|vascular|"
    r"bronchovascular|overlying|superimpos\w+|clips?|granulom\w+|calcif\w+)\b"
)
_NO_NODULE = re.compile(r"\b(?:nipples?|artefact\w*|artifact\w*|summation|vessels? (?:seen )?(?:on end|en face))\b")
# A tube that is to be placed is not there.
_WISHED = re.compile(r"\b(?:recommend\w*|advi[sc]\w*|consider\w*|needs?|requires?|planned|for placement)\b")
_BESIDE = re.compile(
    r"\b(?:compared|than|relative)(?: (?:to|with))?(?: that)?(?: of| on)? (?:the )?(?:left|right)(?: side)?\b"
    r"(?! (?:sided )?(?:pleural )?effusions)",
    re.I,
)

_SIZE = r"(?:size|silhouette|shadow|contours?|outline|and|mediastin\w+|vascularity|pulmonary|hil\w+|of|the)"
_IS = r"(?:is|are|remains?|appears?|within|overall|grossly|stable|of|in|the|and|size)"
_HEART = r"(?:heart|cardiac|cardio ?mediastinal)"
_NORMAL_HEART = re.compile(
    rf"\b(?:normal|unremarkable) (?:sized? )?{_HEART}\b|"
    rf"\b{_HEART}(?: {_SIZE})*(?: {_IS})* (?:normal|unremarkable)\b(?! variant)|"
    rf"\bcardio ?thoracic ratio(?: {_IS})* normal\b|\bnormal cardio ?thoracic ratio\b"
)
_NOT_QUITE = re.compile(
    r"\b(?:upper|top|high|borderline|near|limits? of|prominent|mild\w*|slight\w*|otherwise|abnormal|not|previous\w*)\b"
)
_CLEAR_LUNGS = re.compile(
    r"\bclear lungs\b|\blungs?(?: fields?)?(?: (?:is|are|remains?|appears?|both|bilaterally|well|aerated|expanded|"
    r"and|pleura|pleural spaces?))* clear\b"
)
_NOT_ALL_OF_THEM = re.compile(
    r"\b(?:otherwise|except|however|but|other than|aside|apart|upper|lower|remain(?:der|ing)|rest|elsewhere|mid|middle|"
    r"bases?|apices|apex|portions?|relatively|essentially|mostly|of focal|of acute|of any)\b"
)
_CLEAR_PLEURA = re.compile(
    r"\b(?:costo ?phrenic|cp) (?:angles?|sulci|sulcus|recess(?:es)?)(?: \w+){0,3} (?:sharp|clear)\b|"
    r"\b(?:sharp|clear) (?:lateral )?(?:costo ?phrenic|cp) (?:angles?|sulci|sulcus|recess(?:es)?)\b|"
    r"\bpleura(?:l spaces?)?(?: \w+){0,2} (?:clear|normal|unremarkable)\b"
)
_ONE_SIDE = re.compile(r"\b(left|right)\b")

_THING = r"(?:disease|process(?:es)?|abnormalit(?:y|ies)|findings?|pathology|changes?|problems?|airspace disease)"
_BETWEEN = (
    r"(?:or|and|acute|active|focal|significant|cardio ?pulmonary|cardiac|pulmonary|cardio|chest|intra ?thoracic|"
    rf"thoracic|lung|radiographic|infectious|inflammatory|x ray|abnormal|{_THING})"
)
_NOTHING_ACUTE = re.compile(
    r"\bnothing acute\b|"
    rf"\b(?:no|without)(?: \w+)?? ?(?:evidence (?:of|for) )?(?:an? |any )?(?:acute|active)(?: {_BETWEEN})*? {_THING}\b"
)
_FILM = r"(?:chest|study|exam(?:ination)?|radiographs?|films?|x ?rays?|cxr)"
_NOTHING_AT_ALL = re.compile(
    r"^normal$|"
    rf"\b(?:normal|unremarkable|negative)(?: (?:frontal|portable|pa|ap|and|lateral|two|view|adult))* {_FILM}\b|"
    rf"\b{_FILM}(?: (?:is|are|appears?|within))* (?:normal|unremarkable|negative)\b|"
    r"\bno (?:significant |radiographic |visible |other )?(?:abnormalit(?:y|ies)|abnormal findings?)\b(?! (?:of|in) )"
)
_SAVE_FOR = re.compile(
    r"\b(?:except|otherwise|other than|aside|apart|besides|however|but|bon(?:y|es?)|osseous|skelet\w+|"
    r"no (?:other|additional|further))\b"
)

ACUTE = frozenset({"effusion", "pneumothorax", "consolidation"})
ABNORMAL = ACUTE | {"cardiomegaly", "nodule"}


@dataclass(frozen=True)
class Statement:
    """A finding that a sentence says is there (``status`` asserted), is not there (denied), or may be there (open).

    Attributes:
        sentence: as it was written.
        plain: the same in lower case, hyphens opened.
        spots: (side, zone) pairs, where it says both.
        weak: an opacity that need not be a consolidation, or a nodule that is called a granuloma.
        general: a denial of many findings at once, such as "no acute abnormality".
    """

    sentence: str
    plain: str
    kind: str
    status: Assertion
    sides: frozenset[str] = frozenset()
    spots: frozenset[Spot] = frozenset()
    general: bool = False
    weak: bool = False


def raw_sentences(text: str) -> list[str]:
    """The sentences of findings and impression as they were written, without headings."""
    return all_sentences(described_part(text))


def all_sentences(text: str) -> list[str]:
    """The sentences of a text as they were written, whatever headings it has; cut where one never ends."""
    return [one.strip()[:MOST_LETTERS] for one in _END.split(text) if _WORD.search(one)]


def statements(text: str) -> list[Statement]:
    """Everything that findings and impression say about the findings the labeller knows, in the order of the text."""
    found: list[Statement] = []
    for raw in raw_sentences(text):
        for plain in plain_sentences(raw):
            found += [statement_of(raw, plain, mention) for mention in mentions_in(plain)]
            found += _in_other_words(raw, plain)
    return found


def plain_sentences(raw: str) -> list[str]:
    """:func:`sentences_of` without the sides that something is only compared with."""
    return sentences_of(_BESIDE.sub("", raw))


def statement_of(raw: str, plain: str, mention: Mention) -> Statement:
    """What a mention in a plain sentence says; open where its sentence explains it as something else."""
    spots = frozenset(spot for place in mention.locations for spot in place.spots(mention.sides))
    words = plain[mention.start : mention.end]
    kind = mention.kind if mention.kind != "device" else _device(words)
    bare = kind == "consolidation" and bool(_BARE_OPACITY.match(words))
    explained = kind in ("consolidation", "nodule") and bool(_NO_PNEUMONIA.search(plain))
    wished = mention.kind == "device" and bool(_WISHED.search(plain))
    unreal = (bare and explained) or wished or (kind == "nodule" and bool(_NO_NODULE.search(plain)))
    status = Assertion.OPEN if unreal and mention.status is Assertion.ASSERTED else mention.status
    return Statement(raw, plain, kind, status, mention.sides, spots, weak=bare or explained)


def _device(words: str) -> str:
    """No lines and no pacemaker are two things; "no device" is both."""
    if _LINES.search(words) or words.startswith("support"):
        return "device line"
    return "device" if _ANY_DEVICE.match(words) else "device implant"


def _in_other_words(raw: str, plain: str) -> list[Statement]:
    """Denials that do not name what they deny."""
    denied: list[Statement] = []
    words = " ".join(plain.replace(":", " ").split())  # "Heart: normal."

    def deny(kind: str, *, sided: bool = False, general: bool = False) -> None:
        sides = frozenset(_ONE_SIDE.findall(plain)) if sided else frozenset()
        denied.append(Statement(raw, plain, kind, Assertion.DENIED, sides, general=general))

    if _NORMAL_HEART.search(words) and not _NOT_QUITE.search(words):
        deny("cardiomegaly")
    if _CLEAR_LUNGS.search(words) and not _NOT_ALL_OF_THEM.search(words):
        deny("consolidation", sided=True)
    if _CLEAR_PLEURA.search(words):
        deny("effusion", sided=True)
    if not _SAVE_FOR.search(words):
        everything = _NOTHING_AT_ALL.search(words)
        for kind in sorted(ABNORMAL if everything else ACUTE if _NOTHING_ACUTE.search(words) else ()):
            deny(kind, general=True)
    return denied
