"""GREEN (Ostmeier et al., EMNLP Findings 2024): a LLaMA-2 that counts matched findings and six kinds of error.

The score of a text is matched / (matched + clinically significant errors), 0 if nothing matches. The words that the
model was tuned on are its interface, and are kept as they are (``green_prompt.txt``; ``make_prompt`` of
Stanford-AIMI/GREEN ``green_score/utils.py``); so is the layout around them (``compute`` of ``green.py`` there).

One difference: there, an answer without its sections scores 0; here it is a failure and no score.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from training_jobs.evaluation.judges.judging import Unreadable, Verdict, interval
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.model.prompt import Template

ERRORS = (
    "false finding",
    "missing finding",
    "wrong location",
    "wrong severity",
    "comparison that is not in the reference",
    "omitted comparison",
)
# A prompt ends with a line break, and the answer begins on a line of its own.
TEMPLATE = Template("green", "", "<|user|>\n{question}\n</s>\n<|assistant|>\n", "", "<|assistant|>", ("</s>",))
_SIGNIFICANT, _MATCHED = "Clinically Significant Errors", "Matched Findings"
_COUNT = re.compile(r"(?<=: )\d+(?=\.)")
_LETTERED, _NUMBERED = re.compile(r"\(([a-f])\) .*"), re.compile(r"\(([1-6])\) .*")


class Green:
    """The judge. One call for each text."""

    name = "GREEN"

    def questions(self, item: TextPair) -> Sequence[tuple[str, str]]:
        """The prompt; there is no system text."""
        before, between, after = re.split(r"\{reference\}|\{candidate\}", _words())
        return [("", f"{before}{item.reference}{between}{item.candidate}{after}")]

    def verdict(self, answers: Sequence[str]) -> Verdict:
        """``{"green", "matched", "significant": {kind of error: n}}``."""
        (answer,) = answers
        matched = _matched(_section(answer, _MATCHED))
        errors = dict(zip(ERRORS, _counts(_section(answer, _SIGNIFICANT)), strict=True))
        score = matched / (matched + sum(errors.values())) if matched else 0.0
        return {"green": score, "matched": matched, "significant": errors}

    def summed(self, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        """The mean score, and how many significant errors of each kind a text has."""
        errors = {kind: [float(one["significant"][kind]) for one in verdicts] for kind in ERRORS}
        return {
            "green": interval([one["green"] for one in verdicts]),
            "significant_errors": {kind: sum(values) / len(values) for kind, values in errors.items()},
        }


@cache
def _words() -> str:
    return (files(__package__) / "green_prompt.txt").read_text(encoding="utf-8")


def _section(answer: str, name: str) -> str:
    """What follows ``[Name]:`` up to a blank line. Raises Unreadable where there is no such section."""
    found = re.search(rf"\[{name}\]:\s*(.*?)(?:\n\s*\n|\Z)", answer, re.DOTALL)
    if found is None:
        raise Unreadable(f"it has no section [{name}]")
    return found.group(1)


def _matched(section: str) -> int:
    """``N. finding; finding``. No findings is 0."""
    if section.startswith("No"):
        return 0
    found = re.match(r"\d+(?=\.)", section)
    if found is None:
        raise Unreadable("it does not count the matched findings")
    return int(found.group())


def _counts(section: str) -> list[int]:
    """``(a) kind: N. error; error`` a line: N of each of the six kinds, 0 of those that are not named."""
    counts = [0] * len(ERRORS)
    if section.startswith("No"):
        return counts
    lines = sorted(_LETTERED.finditer(section), key=re.Match.group) or sorted(
        _NUMBERED.finditer(section), key=re.Match.group
    )
    for line in lines:
        kind, count = line.group(1), _COUNT.search(line.group())
        if count is not None:
            counts[int(kind) - 1 if kind.isdigit() else ord(kind) - ord("a")] = int(count.group())
    return counts
