"""Rewrites of radiology reports with one thing wrong: a finding added or lost, a side swapped, a negation turned.

The rules here know nothing of the checker they are to try: the words of findings are the MeSH headings that Open-i's
own indexers gave to its reports.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.curation_texts import COMPARES, NEGATIVE, lower, paraphrase, sentences

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
_UNSURE = re.compile(
    r"\b(?:may|might|could|possibl\w+|probabl\w+|likely|versus|vs|suggest\w*|or|exclude\w*|question\w*|if|concern\w*|"
    r"evaluat\w+|recommend\w*|consider|differential|suspicious|appears?|XX+|x-XX+|prior|previous\w*|compar\w+|interval|"
    r"histor\w+|status|again|but|however|otherwise|except|although)\b",
    re.I,
)


@dataclass(frozen=True)
class Changed:
    """A text in which one thing is wrong, what kind of thing, and where: for those who look at what was missed."""

    kind: str
    text: str
    what: str


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
    if NEGATIVE.search(sentence) or _UNSURE.search(sentence) or len(sentence.split()) > 18 or len(sentence) < 8:
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
        if not re.search(f"{stem}|{FINDINGS[stem]}", _denials_apart(text), re.I) and not COMPARES.search(donor):
            at = rng.randrange(rows.index("\n") + 1)
            return [*rows[:at], donor, *rows[at:]], donor
    return None


def _denials_apart(text: str) -> str:
    """What the report asserts: an added finding may well be one that it denies."""
    return ". ".join(one for one in text.split(". ") if not NEGATIVE.search(one))


def _lost(rows: list[str], donors: Sequence[str], rng: random.Random) -> tuple[list[str], str] | None:
    del donors
    asserted = [(one, stem) for one in rows for stem in asserts(one) if not COMPARES.search(one)]
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
        if not COMPARES.search(one) and len(set(re.findall(r"\b(?:left|right)\b", one.lower()))) == 1
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
    choices = [(row, flip) for row in rows if not COMPARES.search(row) and (flip := _flip(row)) is not None]
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
        if re.search(r"\b(?:is|are)\b", rest) or NEGATIVE.search(rest):
            return None
        rest = re.sub(r" (?:is |are )?(?:identified|seen|noted|present)$", "", rest)
        return f"There is {rest}"
    if asserts(row):
        if found := re.match(r"There (is|are) (?:an? )?", row):
            return f"There {found[1]} no {row[found.end() :]}"
        if found := re.search(r" (is|are) (?:seen|present|noted|identified)$", row):
            return f"{row[: found.start()]} {found[1]} not seen"
        if not re.search(r"\b(?:is|are|has|have|was|were|shows?|in|with|which|of)\b", row) and len(row.split()) < 7:
            return f"No {lower(row)}"
    return None
