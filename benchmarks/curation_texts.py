"""Rewrites of radiology reports that say the same in other words.

The rules here know nothing of the checker they are to try: the synonyms are a dictionary's, the turns of phrase are
English grammar.
"""

import random
import re
from collections.abc import Sequence

NEGATIVE = re.compile(
    r"\b(?:no|not|nor|without|negative|free|clear|normal|unremarkable|absent|resol\w+|intact|within|cannot|limits)\b",
    re.I,
)
_SPLIT = re.compile(r"(?<=[a-z)])[.;](?:\s+|$)|(?<=\d)\.\s+(?=[A-Z])|\n+")
COMPARES = re.compile(
    r"\b(?:compar\w+|prior|previous\w*|interval|since|new(?:ly)?|worsen\w+|improv\w+|increas\w+|decreas\w+|no longer|"
    r"earlier|resol\w+|progress\w+|changed|no (?:\w+ )?changes?|develop\w+)\b",
    re.I,
)
_SAME_AS_BEFORE = re.compile(r"\b(?:stable|unchanged|again|persistent|chronic and stable|remains?)\b ?", re.I)

# What a dictionary or a colleague would give for the other, both ways round.
_SYNONYMS = [
    ("cardiomegaly", "cardiac enlargement"),
    ("enlarged heart", "cardiomegaly"),
    ("cardiac silhouette", "heart"),
    ("heart size is", "the heart is of a size that is"),
    ("pulmonary vasculature", "pulmonary vessels"),
    ("pulmonary vascularity", "pulmonary vasculature"),
    ("pleural effusion", "pleural fluid"),
    ("consolidation", "airspace consolidation"),
    ("infiltrate", "infiltration"),
    ("opacities", "opacifications"),
    ("opacity", "density"),
    ("within normal limits", "normal"),
    ("unremarkable", "normal"),
    ("osseous structures", "bones"),
    ("bony structures", "osseous structures"),
    ("bony abnormality", "abnormality of the bones"),
    ("thoracic spine", "dorsal spine"),
    ("degenerative changes", "degenerative disease"),
    ("mildly", "slightly"),
    ("mild", "slight"),
    ("bilateral", "left and right"),
    ("bilaterally", "on both sides"),
    ("tortuous aorta", "tortuosity of the aorta"),
    ("calcified granulomas", "granulomas with calcification"),
    ("calcified granuloma", "granuloma with calcification"),
    ("hyperinflated", "hyperexpanded"),
    ("hyperinflation", "overinflation"),
    ("hyperexpanded", "overinflated"),
    ("emphysema", "emphysematous change"),
    ("atelectasis", "atelectatic change"),
    ("scarring", "scars"),
    ("hiatal hernia", "hiatus hernia"),
    ("pulmonary edema", "edema of the lungs"),
    ("lungs are clear", "lungs are free of disease"),
    ("clear lungs", "lungs that are clear"),
    ("acute cardiopulmonary abnormality", "acute disease of heart or lungs"),
    ("acute cardiopulmonary process", "acute cardiopulmonary disease"),
    ("acute disease", "acute process"),
    ("pneumothorax", "pneumothoraces"),
    ("scoliosis", "scoliotic curvature"),
    ("fractures", "broken bones"),
    ("elevation of the", "a raised position of the"),
    ("costophrenic angle", "costophrenic sulcus"),
    ("left base", "base of the left lung"),
    ("right base", "base of the right lung"),
    ("left lung base", "left base"),
    ("right lung base", "right base"),
    ("left-sided", "left"),
    ("right-sided", "right"),
    ("pacemaker", "cardiac pacemaker"),
    ("surgical clips", "metallic surgical clips"),
    ("sternotomy wires", "sternal wires"),
    ("nodules", "small nodules"),
]
_FILLER = re.compile(
    r"\b(?:grossly|specifically,? |essentially|overall|apparently|visuali[sz]ed|the appearance of the|"
    r"as visuali[sz]ed|at this time|on this exam(?:ination)?|on today's exam(?:ination)?|radiographic|"
    r"radiographically|definitely|clearly|suspicious|obvious) ?,? ?",
    re.I,
)
_LEADS = ("The film shows that ", "It is noted that ", "On this radiograph, ", "")
_ENDS = ("Overall, ", "In summary, ", "The impression is: ", "These findings suggest: ", "")
_SEEN = ("is seen", "is present", "is noted", "can be seen", "is visible")


def sentences(text: str) -> list[str]:
    """Sentences without their full stops, numbers of a list and marks of de-identification."""
    plain = re.sub(r"(?:^|(?<=\s))\d{1,2}[.)]\s+", "", re.sub(r" ?[\w-]*XX+[\w-]*", "", text))
    return [" ".join(one.split()).strip(" .;") for one in _SPLIT.split(plain) if re.search(r"[A-Za-z]{3}", one)]


def paraphrase(findings: Sequence[str], impression: Sequence[str], rng: random.Random) -> str:
    """A summary that says the same: other words and another order, less filler, findings before the impression."""
    body = [other_words(one, rng) for one in findings if not COMPARES.search(one)]
    rng.shuffle(body)
    end = [other_words(one, rng) for one in impression if not COMPARES.search(one)]
    told: list[str] = []
    while body:
        one = body.pop()
        if body and len(one.split()) < 10 and len(body[-1].split()) < 10 and rng.random() < 0.4:
            one = f"{one}, and {lower(body.pop())}" if rng.random() < 0.5 else f"{one}; {lower(body.pop())}"
        told.append(one)
    for number, one in enumerate(end):
        told.append((rng.choice(_ENDS) if number == 0 else "") + one)
    return " ".join(f"{one[:1].upper()}{one[1:]}." for one in told if one.strip())


def other_words(sentence: str, rng: random.Random) -> str:
    """The sentence with synonyms and another turn of phrase; what it says stays."""
    said = _SAME_AS_BEFORE.sub("", _FILLER.sub("", sentence)).strip(" ,")
    for one, other in rng.sample(_SYNONYMS, len(_SYNONYMS)):
        for old, new in ((one, other), (other, one)):
            pattern = re.compile(rf"\b{re.escape(old)}\b", re.I)
            if rng.random() < 0.5 and new not in said.lower() and pattern.search(said):
                said = pattern.sub(new, said, count=1)
                break
    said = _turned(said, rng)
    return said if not _LEADS or rng.random() < 0.8 else rng.choice(_LEADS) + lower(said)


def _turned(said: str, rng: random.Random) -> str:
    """Another grammatical form: active and passive, existential, a list of denials taken apart."""
    roll = rng.random()
    if denied := re.fullmatch(
        r"(?:there (?:is|are) )?no (?:evidence of )?([\w -]+(?:, [\w -]+)*,? or [\w -]+)", said, re.I
    ):
        items = [one.strip() for one in re.split(r",? or |, ", denied[1]) if one.strip()]
        simple = all(len(one.split()) <= 4 for one in items)
        if simple and roll < 0.25:
            return "; ".join(f"no {one}" for one in items)
        if simple and roll < 0.45:
            return f"There is neither {' nor '.join(items)}"
        return f"There is no {', '.join(items[:-1])} or {items[-1]}" if roll < 0.7 else said
    if (denied := re.fullmatch(r"(?:there (?:is|are) )?no ([\w -]{3,60})", said, re.I)) and roll < 0.6:
        if re.search(r"\b(?:is|are|in|with|of|seen|identified|which|that)\b", denied[1]):
            return said
        return rng.choice((f"There is no {denied[1]}", f"The film is without {denied[1]}", f"{denied[1]} is not seen"))
    if (there := re.fullmatch(r"there (is|are) ((?!no\b|not\b)[^,]{3,90})", said, re.I)) and roll < 0.6:
        if re.search(r"\b(?:is|are|which|that|seen|identified|noted|present)\b", there[2]):
            return said
        return f"{there[2]} {rng.choice(_SEEN) if there[1] == 'is' else 'are seen'}"
    if (
        noted := re.fullmatch(r"((?!no\b)[^,]{3,80}) (?:is|are) (?:noted|present|seen|identified)", said, re.I)
    ) and roll < 0.5:
        if NEGATIVE.search(noted[1]):
            return said
        return f"There {'are' if noted[1].endswith('s') else 'is'} {lower(noted[1])}"
    if (
        state := re.fullmatch(
            r"(?:the )?(heart size|heart|mediastinum|lungs?|bones) (?:is|are) (normal|clear)", said, re.I
        )
    ) and roll < 0.4:
        return f"{state[2].capitalize()} {state[1].lower()}"
    return said


def lower(said: str) -> str:
    """A sentence as it stands behind another."""
    return said[:1].lower() + said[1:] if not said[:2].isupper() else said
