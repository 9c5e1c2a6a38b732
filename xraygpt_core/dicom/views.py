"""Which view an image shows, from every place of a header that names one, in one vocabulary.

PA and AP are frontal; FRONTAL is a frontal view whose direction is not stated, such as a decubitus film; LATERAL and
OBLIQUE are not frontal: View Position's defined terms RLO and LLO are *lateral* obliques (PS3.3 C.8.1.1), and the
model has seen neither.
"""

import re
from collections.abc import Iterator
from typing import Any

from xraygpt_core.dicom.header import first_item, text, values, word
from xraygpt_core.dicom.orientation import FRONTAL, shows_a_side
from xraygpt_core.dicom.view_words import CODES, IN_POSITION, SIGNS, VIEWS, WEAKLY_FRONTAL
from xraygpt_core.dicom.words import apart, plain, plain_words

_OF_THE_IMAGE = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "BodyPartExamined")
_OF_THE_STEP = ("PerformedProcedureStepDescription", "RequestedProcedureDescription", "StudyDescription")
_CODES_OF_THE_STEP = ("PerformedProtocolCodeSequence", "RequestedProcedureCodeSequence", "ProcedureCodeSequence")
_REQUEST = ("ScheduledProcedureStepDescription", "RequestedProcedureDescription")

_SIDE = r"(?:left|right|l|r|lt|rt|li|re|links?|rechts?|dx|sx)"
_LATERAL = r"(?:ll|rl|[lr]?lat|lateral\w*|latero\w*)"
_CHEST = r"(?:thorax|toraks|akciger|pulm|pulmo|lungor|lunge|lungen|keuhkot|mellkas)"
_BESIDE = r"(?:side|siden|sida|sidan|yan|sivu|oldal|seite)"
_OBLIQUE = rf"(?:{_SIDE} )*(?:anter\w* |poster\w* )?obl(?:iq\w*)?"
# Words that mean something only together, in the order in which they are replaced. In a decubitus film the patient lies
# on the side that is named and the beam runs from front to back: "left lateral decubitus" says nothing of a lateral
# view. In a "dorsal decubitus" he lies on his back, and the word beside it names the view.
_PHRASES = tuple(
    (re.compile(rf"\b(?:{phrase})\b"), instead)
    for phrase, instead in (
        (r"(?:dorsal|ventral)e? decub\w*|decub\w* (?:dorsal|ventral)e?", ""),
        (rf"(?:{_SIDE} )?(?:{_LATERAL} )?(?:side )?(?:decub\w*|dekub\w*)(?: {_LATERAL}| {_SIDE})*", "lld"),
        (rf"(?:{_SIDE} )?{_LATERAL} dec", "lld"),
        (r"poster\w* ?anter\w*|dorso ?ventral\w*|achter ?voor\w*|tylno ?przedn\w*|zado ?predn\w*", "pa"),
        (r"anter\w* ?poster\w*|ventro ?dorsal\w*|voor ?achter\w*|przednio ?tyln\w*|predo ?zadn\w*", "ap"),
        (r"задне ?передн\w*", "pa"),
        (r"передне ?задн\w*", "ap"),
        (r"p a", "pa"),
        (r"a p", "ap"),
        (r"l l|yan ?grafi\w*", "ll"),
        # "Side" alone is no view in English, nor is "sida" in Spanish or "yan" in Turkish; beside the part it is one.
        (rf"{_CHEST} (?:(?:fra|fran|i) )?{_BESIDE}|{_BESIDE} {_CHEST}", "ll"),
        (r"(?:x|cross) ?(?:table|tbl)|shoot ?through|horizontal beam|(?:links|rechts) anliegend", "crosstable"),
        (rf"(?:(?:pa|ap|frontal|{_LATERAL}) )?{_OBLIQUE}(?: (?:pa|ap))?", "oblique"),
    )
)  # fmt: skip
_NUMBER = r"(?:[2-9]|two|three|zwei|drei|deux|trois|dos|due|dois|duas|twee|tva|to|dwie|dwa)"
_COUNTED = re.compile(
    rf"\b{_NUMBER} ?(?:v|vws?|views?|eb|ebenen?|inciden\w*|proj\w*|proye\w*|proie\w*|plan\w*|richting\w*"
    r"|aufnahmen|bilder|vistas?|p|pr)\b"
)
# "Torax PA y L", "PA/L", "Thorax F + P": the letter is another view, and not the side.
_LISTED = re.compile(
    r"\b(?:pa|ap)\W*(?:[/+&,]|\b(?:and|und|et|e|y|en|och|og|i)\b)\W*l\b|\bf\W*(?:[/+&]|\be[t]?\b)\W*p\b"
)
# Words without a blank between them, as on small displays: CHESTLAT, THORAXPA, PALAT.
_GLUED = re.compile(
    "chest|thorax|thorac|torax|torace|toraks|cxr|thx|portable|port|erect|upright|supine|sitting|standing|views?|xtable|"
    "lateral|llat|rlat|lat|frontal|oblique|obl|decubitus|decub|lld|rld|left|right|seitlich|seitl|perfil|profil|face|"
    "frente|pa|ap|ll|lt|rt"
)


def view(dataset: Any) -> str | None:
    """ "PA", "AP", "FRONTAL", "LATERAL", "OBLIQUE" or None, from the most to the least formal place that says so.

    View Position (0018,5101), View Code Sequence (0054,0220), the series', the protocol's and the processing's words,
    Patient Orientation (0020,0020), and at last the words and codes of the procedure and the study. These name an
    examination: its PA or AP is only FRONTAL, and several views are none. A frontal view that another word about the
    same image contradicts is None, for a lateral film must not be summarised as a frontal one.
    """
    views = list(_views_of_image(dataset))
    if not views:
        ordered = next(_views_of_study(dataset), None)
        return "FRONTAL" if ordered in FRONTAL else ordered
    if views[0] in FRONTAL and not {*views} <= {*FRONTAL}:
        return None
    return _most_precise({*views}) if views[0] == "FRONTAL" else views[0]


def named_view(words: str) -> str | None:
    """What a text calls one image. "Chest PA/LAT" names an examination, and so no image: None."""
    raw = plain(apart(words))
    if _LISTED.search(raw):
        return None
    phrase = " ".join(_tokens(words))
    for pattern, instead in _PHRASES:
        phrase = " ".join(pattern.sub(instead, phrase).split())
    tokens = {*phrase.split()}
    named = {VIEWS[token] for token in tokens & VIEWS.keys()} | {name for sign, name in SIGNS if sign in words}
    if named:
        return _most_precise(named) if named <= {*FRONTAL} or not named & {*FRONTAL} else None
    if "crosstable" in tokens:
        return "LATERAL"
    return "FRONTAL" if tokens & WEAKLY_FRONTAL and not names_several(words) else None


def names_several(words: str) -> bool:
    """Does it count the views of an examination, as "Thorax in 2 Ebenen" does?"""
    return _COUNTED.search(" ".join(re.findall(r"\w+", plain(apart(words))))) is not None


def _most_precise(named: set[str]) -> str:
    """The one view that these say together: all are frontal, or none is."""
    if not named <= {*FRONTAL}:
        return "OBLIQUE" if "OBLIQUE" in named else "LATERAL"
    directions = named - {"FRONTAL"}
    return directions.pop() if len(directions) == 1 else "FRONTAL"


def _tokens(words: str) -> Iterator[str]:
    for token in re.findall(r"[^\W\d_]+", words[:1024]):
        whole = plain(token)
        pieces = _GLUED.findall(whole)
        if len(pieces) > 1 and "".join(pieces) == whole and {*pieces} - {"pa", "ap"}:
            yield from pieces
        else:
            yield from [whole] if whole in VIEWS else plain_words(apart(token))


def _views_of_image(dataset: Any) -> Iterator[str]:
    position = " / ".join(text(value) or "" for value in values(dataset, "ViewPosition"))
    views = [named_view(position) or IN_POSITION.get("".join(plain_words(position)))]
    views.append(_coded(first_item(dataset, "ViewCodeSequence")))
    views += [named_view(word(dataset, keyword) or "") for keyword in _OF_THE_IMAGE]
    views.append("LATERAL" if shows_a_side(dataset) else None)
    return (one for one in views if one is not None)


def _views_of_study(dataset: Any) -> Iterator[str]:
    request = first_item(dataset, "RequestAttributesSequence")
    texts = [word(dataset, keyword) or "" for keyword in _OF_THE_STEP]
    texts += [word(request, keyword) or "" for keyword in _REQUEST] if request is not None else []
    views = [None if names_several(described) else named_view(described) for described in texts]
    views += [_coded(first_item(dataset, keyword)) for keyword in _CODES_OF_THE_STEP]
    return (one for one in views if one is not None)


def _coded(item: Any) -> str | None:
    if item is None:
        return None
    meaning = word(item, "CodeMeaning") or ""
    return CODES.get(word(item, "CodeValue") or "") or (None if names_several(meaning) else named_view(meaning))
