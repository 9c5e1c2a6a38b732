"""Rewrites of radiology reports that say the same in other words, and the same with one thing wrong.

The rules here know nothing of the checker they are to try: the synonyms are a dictionary's, the turns of phrase are
English grammar, and the words of findings are the MeSH headings that Open-i's own indexers gave to its reports.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

KINDS = ("added", "lost", "side", "negation")

# Headings of Open-i's index as stems, and with them what else would still tell of the same finding.
FINDINGS = {
    r"cardiomegaly|cardiac enlargement|enlarged heart": r"cardiomegaly|enlarge|heart|cardi",
    r"atelecta": r"atelecta|opaci|volume loss|collapse|airspace|densit|infiltrat|scar",
    r"granulom": r"granulom|calcifi|nodul",
    r"scar": r"scar|cicatri|fibro|opaci|atelecta|thicken",
    r"effusion": r"effusion|pleural|blunt|costophrenic|fluid|pericardial",
    r"scoliosis": r"scolio|curvature|spin|levo|dextro",
    r"fracture": r"fracture|broken|deformit|injur|compression",
    r"emphysema": r"emphysem|copd|obstructive|hyperinfl|hyperexp|bullous|bulla|lucen",
    r"hiatal hernia": r"hernia",
    r"edema": r"edema|congest|failure|interstitial|overload|fluid|vascular",
    r"pneumonia": r"pneumonia|infiltrat|consolidat|opaci|airspace|infect|disease",
    r"consolidation": r"consolidat|infiltrat|pneumon|opaci|airspace|densit",
    r"pneumothorax": r"pneumothora",
    r"nodule": r"nodul|mass|lesion|granulom|densit|opaci",
    r"tortuous|tortuosity": r"tortu|ectatic|ectasia|unfold|aort",
    r"osteophyte": r"osteophyt|spondyl|degenerat|spur|arthr|spin",
    r"kyphosis": r"kypho|spin|curvature",
    r"pacemaker|icd": r"pace|icd|defibrill|lead|device|generator|battery",
    r"catheter|port-a-cath|picc": r"cathet|line|port|picc|tube|tip",
    r"sternotomy|surgical clips": r"stern|wire|clip|surg|cabg|bypass|sutur|operative",
    r"degenerative": r"degenerat|spondyl|osteophyt|arthr|spin|disc|bon|osseous|skelet",
    r"hyperinflat|hyperexpan": r"hyper|copd|emphys|flatten|obstructive|expand|inflat",
    r"congestion": r"congest|edema|vascular|failure|interstitial",
    r"mass\b": r"mass|nodul|lesion|tumou?r|densit|opaci",
    r"elevat\w+ (?:of )?(?:the )?(?:left |right )?(?:hemi ?)?diaphragm|eventration": r"elevat|eventrat|diaphragm",
}
_NEGATIVE = re.compile(
    r"\b(?:no|not|nor|without|negative|free|clear|normal|unremarkable|absent|resol\w+|intact|within|cannot|limits)\b",
    re.I,
)
_UNSURE = re.compile(
    r"\b(?:may|might|could|possibl\w+|probabl\w+|likely|versus|vs|suggest\w*|or|exclude\w*|question\w*|if|concern\w*|"
    r"evaluat\w+|recommend\w*|consider|differential|suspicious|appears?|XX+|x-XX+|prior|previous\w*|compar\w+|interval|"
    r"histor\w+|status|again|but|however|otherwise|except|although)\b",
    re.I,
)
_SPLIT = re.compile(r"(?<=[a-z)])[.;](?:\s+|$)|(?<=\d)\.\s+(?=[A-Z])|\n+")
_COMPARES = re.compile(
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


@dataclass(frozen=True)
class Changed:
    """A text in which one thing is wrong, what kind of thing, and where: for those who look at what was missed."""

    kind: str
    text: str
    what: str


def sentences(text: str) -> list[str]:
    """Sentences without their full stops, numbers of a list and marks of de-identification."""
    plain = re.sub(r"(?:^|(?<=\s))\d{1,2}[.)]\s+", "", re.sub(r" ?[\w-]*XX+[\w-]*", "", text))
    return [" ".join(one.split()).strip(" .;") for one in _SPLIT.split(plain) if re.search(r"[A-Za-z]{3}", one)]


def paraphrase(findings: Sequence[str], impression: Sequence[str], rng: random.Random) -> str:
    """A summary that says the same: other words and another order, less filler, findings before the impression."""
    body = [other_words(one, rng) for one in findings if not _COMPARES.search(one)]
    rng.shuffle(body)
    end = [other_words(one, rng) for one in impression if not _COMPARES.search(one)]
    told: list[str] = []
    while body:
        one = body.pop()
        if body and len(one.split()) < 10 and len(body[-1].split()) < 10 and rng.random() < 0.4:
            one = f"{one}, and {_lower(body.pop())}" if rng.random() < 0.5 else f"{one}; {_lower(body.pop())}"
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
    return said if not _LEADS or rng.random() < 0.8 else rng.choice(_LEADS) + _lower(said)


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
        if _NEGATIVE.search(noted[1]):
            return said
        return f"There {'are' if noted[1].endswith('s') else 'is'} {_lower(noted[1])}"
    if (
        state := re.fullmatch(
            r"(?:the )?(heart size|heart|mediastinum|lungs?|bones) (?:is|are) (normal|clear)", said, re.I
        )
    ) and roll < 0.4:
        return f"{state[2].capitalize()} {state[1].lower()}"
    return said


def _lower(said: str) -> str:
    return said[:1].lower() + said[1:] if not said[:2].isupper() else said


def plant(kind: str, findings: str, impression: str, donors: Sequence[str], rng: random.Random) -> Changed | None:
    """A faithful rewrite with one thing wrong, or None where the report does not lend itself to that kind."""
    first, second = sentences(findings), sentences(impression)
    if not _has(first) and not _has(second):
        return None
    change: dict[str, Callable[[list[str], Sequence[str], random.Random], tuple[list[str], str] | None]]
    change = {"added": _added, "lost": _lost, "side": _swapped, "negation": _flipped}
    done = change[kind]([*first, "\n", *second], donors, rng)
    if done is None:
        return None
    rows, what = done
    cut = rows.index("\n")
    return Changed(kind, paraphrase(rows[:cut], rows[cut + 1 :], rng), what)


def _has(rows: Sequence[str]) -> bool:
    return any(one.strip() for one in rows)


def asserts(sentence: str) -> list[str]:
    """Stems of the findings that the sentence plainly asserts."""
    if _NEGATIVE.search(sentence) or _UNSURE.search(sentence) or len(sentence.split()) > 18 or len(sentence) < 8:
        return []
    return [stem for stem in FINDINGS if re.search(stem, sentence, re.I)]


def donors_of(reports: Sequence[tuple[str, str]]) -> list[str]:
    """Sentences that assert one finding, for other reports."""
    return [one for pair in reports for text in pair for one in sentences(text) if len(asserts(one)) == 1]


def _added(rows: list[str], donors: Sequence[str], rng: random.Random) -> tuple[list[str], str] | None:
    text = ". ".join(rows)
    for _ in range(30):
        donor = rng.choice(donors)
        (stem,) = asserts(donor)
        if not re.search(f"{stem}|{FINDINGS[stem]}", _denials_apart(text), re.I) and not _COMPARES.search(donor):
            at = rng.randrange(rows.index("\n") + 1)
            return [*rows[:at], donor, *rows[at:]], donor
    return None


def _denials_apart(text: str) -> str:
    """What the report asserts: an added finding may well be one that it denies."""
    return ". ".join(one for one in text.split(". ") if not _NEGATIVE.search(one))


def _lost(rows: list[str], donors: Sequence[str], rng: random.Random) -> tuple[list[str], str] | None:
    del donors
    asserted = [(one, stem) for one in rows for stem in asserts(one) if not _COMPARES.search(one)]
    for one, stem in rng.sample(asserted, len(asserted)):
        left = [row for row in rows if not re.search(stem, row, re.I)]
        if not re.search(FINDINGS[stem], " ".join(left), re.I) and any(row.strip() for row in left):
            return left, one
    return None


def _swapped(rows: list[str], donors: Sequence[str], rng: random.Random) -> tuple[list[str], str] | None:
    del donors
    sided = [
        (one, stem)
        for one in rows
        for stem in asserts(one)
        if not _COMPARES.search(one) and len(set(re.findall(r"\b(?:left|right)\b", one.lower()))) == 1
    ]
    for one, stem in rng.sample(sided, len(sided)):
        sides = {
            side
            for row in rows
            if re.search(stem, row, re.I)
            for side in re.findall(r"\b(?:left|right)\b", row.lower())
        }
        if len(sides) == 1 and not re.search(r"bilateral|both|biapical|bibasilar", " ".join(rows), re.I):
            return [mirrored(row) if re.search(stem, row, re.I) else row for row in rows], one
    return None


def mirrored(text: str) -> str:
    """Left for right and right for left."""
    other = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub(r"\b([Ll]eft|[Rr]ight)\b", lambda match: other[match[0]], text)


def _flipped(rows: list[str], donors: Sequence[str], rng: random.Random) -> tuple[list[str], str] | None:
    del donors
    choices = [(row, flip) for row in rows if not _COMPARES.search(row) and (flip := _flip(row)) is not None]
    if not choices:
        return None
    row, flip = rng.choice(choices)
    return [flip if one == row else one for one in rows], f"{row} -> {flip}"


def _flip(row: str) -> str | None:
    """The sentence with its negation taken out, or with one put in; None where that would not be plain."""
    if _UNSURE.sub(lambda found: "" if found[0] == "or" else "?", row).count("?"):
        return None
    words = "|".join(f"{stem}" for stem in FINDINGS)
    if found := re.match(
        r"(There (?:is|are) no|No)(?: evidence of| evidence for)? (?=[^.]*(?:" + words + "))", row, re.I
    ):
        rest = re.sub(r",? or ", " and ", row[found.end() :])
        rest = re.sub(r"\b(?:focal|acute|visible|large|significant|definite|suspicious) ", "", rest)
        if re.search(r"\b(?:is|are)\b", rest) or _NEGATIVE.search(rest):
            return None
        rest = re.sub(r" (?:is |are )?(?:identified|seen|noted|present)$", "", rest)
        return f"There is {rest}"
    if asserts(row):
        if found := re.match(r"There (is|are) (?:an? )?", row):
            return f"There {found[1]} no {row[found.end() :]}"
        if found := re.search(r" (is|are) (?:seen|present|noted|identified)$", row):
            return f"{row[: found.start()]} {found[1]} not seen"
        if not re.search(r"\b(?:is|are|has|have|was|were|shows?|in|with|which|of)\b", row) and len(row.split()) < 7:
            return f"No {_lower(row)}"
    return None
