"""CRIMSON (arXiv 2603.06183): findings weighed by what they mean for the patient, -1 to 1, higher is better.

A general model behind an endpoint is asked with the words of the authors' package (``pip install --no-deps
crimson-score``, MIT), which are read from its file ``CRIMSON/prompt_parts.py``: nothing else of it is imported. The
score is computed here, by the formula of its version 0.2.0.

One difference: there, a word that is no level counts 0.25, and an id that no finding has counts 0; here such an answer
is a failure and no score.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from training_jobs.evaluation.judges.judging import Unreadable, Verdict, interval
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.errors import TrainingError

Prompt = Callable[[str, str], str]  # of reference and candidate
SYSTEM = "You are an expert radiology evaluator that assesses the accuracy of radiology reports."
_LEVELS = {"urgent": 1.0, "actionable_not_urgent": 0.5, "not_actionable_not_urgent": 0.25, "benign_expected": 0.0}
_SEVERITIES = {"significant": 0.5, "negligible": 0.0}
_FENCE = re.compile(r"\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)


class Crimson:
    """The judge. One call for each text."""

    name = "CRIMSON"

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt

    def questions(self, item: TextPair) -> Sequence[tuple[str, str]]:
        """The system text and the prompt of the package."""
        return [(SYSTEM, self._prompt(item.reference, item.candidate))]

    def verdict(self, answers: Sequence[str]) -> Verdict:
        """``{"crimson", "false", "missing", "attribute_errors"}``."""
        (answer,) = answers
        try:
            document = json.loads(_FENCE.sub(r"\1", answer))
            return _scored(document)
        except (ValueError, RecursionError):
            raise Unreadable("it is no JSON") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise Unreadable(f"its JSON has not the form that was asked for ({type(error).__name__})") from None

    def summed(self, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        """The mean score, and how many errors of each kind a text has."""
        kinds = ("false", "missing", "attribute_errors")
        errors = {kind: sum(one[kind] for one in verdicts) / len(verdicts) for kind in kinds}
        return {"crimson": interval([one["crimson"] for one in verdicts]), "errors": errors}


def packaged_prompt(*, guidelines: bool = True) -> Prompt:
    """The package's prompt.

    Args:
        guidelines: with its examples and guidelines; MedGemma-CRIMSON was tuned without.

    Raises:
        TrainingError: the package is not installed, or has another form.
    """
    package = find_spec("CRIMSON")
    folders = list(package.submodule_search_locations or ()) if package else []
    spec = spec_from_file_location("crimson_prompt_parts", Path(folders[0], "prompt_parts.py")) if folders else None
    if spec is None or spec.loader is None:
        raise TrainingError("CRIMSON's prompt is not installed: pip install --no-deps crimson-score")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        build: Callable[..., str] = module.build_prompt
    except (OSError, AttributeError) as error:
        raise TrainingError(f"crimson-score has no prompt where 0.2.0 has it: {error}") from error
    return lambda reference, candidate: build(
        reference,
        candidate,
        include_significance_examples=guidelines,
        include_attribute_guidelines=guidelines,
        include_context_guidelines=guidelines,
    )


def _scored(document: Mapping[str, Any]) -> Verdict:
    """The score of a parsed answer. Raises KeyError, TypeError or AttributeError for another form."""
    wanted, found = (_weights(document[name]) for name in ("reference_findings", "predicted_findings"))
    errors = document["errors"]
    false, missing = errors["false_findings"], errors["missing_findings"]
    too_much = sum(found[one] for one in false)
    too_little = sum(wanted[one] for one in missing)
    right = _credit(wanted, document["matched_findings"], errors["attribute_errors"])
    score = _score(right, too_much, too_little, sum(wanted.values()))
    return {
        "crimson": score,
        "false": len(false),
        "missing": len(missing),
        "attribute_errors": len(errors["attribute_errors"]),
    }


def _weights(findings: Sequence[Mapping[str, str]]) -> dict[str, float]:
    return {one["id"]: _LEVELS[one["clinical_significance"]] for one in findings}


def _credit(
    wanted: Mapping[str, float], matched: Sequence[Mapping[str, str]], wrong: Sequence[Mapping[str, str]]
) -> float:
    """The weights of what was found, each less by its significant errors of attribute."""
    credit = 0.0
    for uid in {one["ref_id"] for one in matched}:
        weight = wanted[uid]
        lost = sum(_SEVERITIES[one["severity"]] for one in wrong if one["ref_id"] == uid)
        credit += weight * weight / (weight + lost) if weight else 0.0
    return credit


def _score(right: float, too_much: float, too_little: float, all_wanted: float) -> float:
    if not all_wanted and not too_much and not too_little:
        return 1.0
    if all_wanted and right >= too_much:
        return (right - too_much) / all_wanted
    excess = max(too_much - right, 0.0)
    return -excess / (1 + excess)
