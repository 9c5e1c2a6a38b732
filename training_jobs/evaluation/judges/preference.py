"""Which of two texts fits the reference better: the XrayGPT paper's comparison by a GPT, made blind and both ways.

The paper reports the better text of 82 % for XrayGPT and of 6 % for its baseline, by gpt-3.5-turbo; it prints neither
its question nor the order of the texts. Here no text is named after its system, each pair is asked about in both
orders, and only a text that is preferred in both is preferred. How often the first place wins is reported beside.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_jobs.evaluation.judges.judging import Unreadable, Verdict, interval
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.errors import TrainingError

CHOICES = ("a", "b", "tie")
PUBLISHED = {"a": 0.82, "b": 0.06}  # a: XrayGPT, b: its baseline (arXiv 2306.07971)
_SYSTEM = "You compare two descriptions of one chest X-ray with a radiologist's description of it."
_QUESTION = """Radiologist:
{reference}

Text 1:
{first}

Text 2:
{second}

Which text fits the radiologist's better? What counts is which findings are named and denied, on which side, where and
how large. Style and length do not count. Answer with one word: 1, 2, or tie if they fit equally well."""
_ONE_WORD = re.compile(r"\W*(?:answer\W+)?(?:text\s+)?(1|2|tie)(?:\W*\Z|\s*[.:,;)\n*])", re.IGNORECASE)
_NAMED = re.compile(r"\b(?:1|2|tie)\b|\bequal(?=ly)", re.IGNORECASE)


@dataclass(frozen=True)
class Rivals:
    """Two texts about one film, and the text that is right."""

    uid: str
    a: str
    b: str
    reference: str


def rivals(ours: Sequence[TextPair], theirs: Sequence[TextPair]) -> list[Rivals]:
    """The texts of two files that are about the same film, in the order of the first.

    Raises:
        TrainingError: there is none, or the files do not agree on a reference.
    """
    others = {pair.uid: pair for pair in theirs}
    both = [(pair, others[pair.uid]) for pair in ours if pair.uid in others]
    if not both:
        raise TrainingError("the two files have no id in common")
    if other := [a.uid for a, b in both if a.reference != b.reference]:
        raise TrainingError(f"the two files differ in the reference of {len(other)} ids, the first is {other[0]}")
    return [Rivals(a.uid, a.candidate, b.candidate, a.reference) for a, b in both]


class Preference:
    """The judge. Two calls for each pair, none where both texts are the same."""

    name = "preference"

    def questions(self, item: Rivals) -> Sequence[tuple[str, str]]:
        """The pair in one order, then in the other."""
        if item.a.split() == item.b.split():
            return []
        orders = ((item.a, item.b), (item.b, item.a))
        return [(_SYSTEM, _QUESTION.format(reference=item.reference, first=one, second=two)) for one, two in orders]

    def verdict(self, answers: Sequence[str]) -> Verdict:
        """``{"choice", "said": the words of both orders}``."""
        said = [_read(answer) for answer in answers]
        if not said:
            return {"choice": "tie", "said": []}
        meant = [{"1": "a", "2": "b"}.get(said[0], "tie"), {"1": "b", "2": "a"}.get(said[1], "tie")]
        return {"choice": meant[0] if meant[0] == meant[1] else "tie", "said": said}

    def summed(self, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        """The share of each choice, of pairs whose two answers contradict each other, and of wins of the first place.

        ``first_place`` is 0.5 for a judge whom the order leaves alone; None where no answer named a text.
        """
        shares = {choice: interval([float(one["choice"] == choice) for one in verdicts]) for choice in CHOICES}
        named = [word for one in verdicts for word in one["said"] if word != "tie"]
        torn = [float(len(one["said"]) == 2 and one["said"][0] == one["said"][1] != "tie") for one in verdicts]
        first = interval([float(word == "1") for word in named]) if named else None
        return shares | {"same_place_twice": interval(torn), "first_place": first, "published": PUBLISHED}


def _read(answer: str) -> str:
    """``1``, ``2`` or ``tie``: its first word, or the only one of these in its first line."""
    if found := _ONE_WORD.match(answer.strip()):
        return str(found.group(1)).lower()
    named = {str(word).lower() for word in _NAMED.findall(answer.strip().partition("\n")[0])}
    if len(named) != 1:
        raise Unreadable("it names neither one text nor a tie")
    return named.pop().replace("equal", "tie")


def read_choices(file: Path) -> dict[str, str]:
    """A person's choices: a line ``{"id", "choice": "a" | "b" | "tie"}`` for each pair.

    Raises:
        TrainingError: with the line that is none.
    """
    choices: dict[str, str] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{file} cannot be read: {type(error).__name__}") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            uid, choice = row["id"], row["choice"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TrainingError(f"{file}, line {number} is no choice: {type(error).__name__}") from error
        if choice not in CHOICES or not isinstance(uid, str):
            raise TrainingError(f"{file}, line {number}: the choice is none of {', '.join(CHOICES)}")
        choices[uid] = choice
    return choices


def agreement(judge: Mapping[str, Verdict], person: Mapping[str, str]) -> dict[str, Any]:
    """How often judge and person choose alike, and Cohen's kappa (1960): that beyond chance; None where it has none.

    Raises:
        TrainingError: they have no pair in common.
    """
    both = [(judge[uid]["choice"], choice) for uid, choice in person.items() if uid in judge]
    if not both:
        raise TrainingError("judge and person have no pair in common")
    alike = sum(ours == theirs for ours, theirs in both) / len(both)
    chance = (
        sum(sum(ours == choice for ours, _ in both) * sum(theirs == choice for _, theirs in both) for choice in CHOICES)
        / len(both) ** 2
    )
    kappa = (alike - chance) / (1 - chance) if chance < 1 else None
    return {"n": len(both), "alike": interval([float(a == b) for a, b in both]), "kappa": kappa}
