"""CheXbert, RadGraph, RadCliQ-v1, RaTEScore and BERTScore of texts: each by its authors' package, or not at all.

The packages contradict each other and ours in what they need, so each metric runs in a child process, with a Python of
your choice, offline unless you allow downloads. A metric that cannot run is listed with the reason; no number is made
up for it, and none is computed over a part of the texts.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_jobs.evaluation import published_tools
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.report.scores import bootstrap_f1, bootstrap_mean

METRICS = tuple(published_tools.METRICS)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')

# RadCliQ-v1 (Yu et al., Patterns 2023), as jbdel/RadEval has it: mean, scale and weight of each part. BLEU-2, the
# fourth, has weight 4e-12, and the intercept is 2e-10.
_RADCLIQ = {
    "radgraph": (0.53792312, 0.30282584, -0.377083683),
    "bertscore": (0.61757256, 0.22430938, -0.3703001),
    "chexbert_similarity": (0.76479421, 0.25394391, -0.252616218),
}


@dataclass(frozen=True)
class Way:
    """How packages are run.

    Attributes:
        python: the interpreter that has them.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        downloads: whether weights may be fetched from the network.
        timeout: seconds for one metric.
    """

    python: str = sys.executable
    device: str = "cpu"
    downloads: bool = False
    timeout: float = 24 * 3600.0


def published_scores(pairs: Sequence[TextPair], metrics: Sequence[str] = METRICS, way: Way | None = None) -> Any:
    """Each metric over all texts.

    Returns:
        ``{metric: {"n", "scores": {name: {"value", "low", "high"}}, "packages": {name: version}}}`` with 95 %
        intervals over texts, or ``{metric: {"not_run": why}}``.
    """
    return {metric: _summed(_run(metric, pairs, way or Way()), len(pairs)) for metric in metrics}


def radcliq_v1(parts: Mapping[str, Sequence[float]]) -> list[float]:
    """RadCliQ-v1 of each text from its three parts that weigh something; lower is better.

    Args:
        parts: ``radgraph`` (mean of entity and relation F1), ``bertscore`` (rescaled F1), ``chexbert_similarity``.
    """
    columns = [
        [weight * (value - mean) / scale for value in parts[name]] for name, (mean, scale, weight) in _RADCLIQ.items()
    ]
    return [sum(row) for row in zip(*columns, strict=True)]


def _run(metric: str, pairs: Sequence[TextPair], way: Way) -> dict[str, Any]:
    """What the child answers. Its own words are not passed on: they may hold words of a text."""
    texts = {"candidates": [pair.candidate for pair in pairs], "references": [pair.reference for pair in pairs]}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [way.python, published_tools.__file__, metric, way.device, str(result)]
        try:
            done = subprocess.run(
                command,
                input=json.dumps(texts),
                env=environment | ({} if way.downloads else _OFFLINE),
                capture_output=True,
                text=True,
                timeout=way.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"not_run": f"it took longer than {way.timeout:.0f} seconds"}
        except OSError as error:
            return {"not_run": f"{way.python} cannot be started: {error.strerror}"}
        if done.returncode or not result.is_file():
            return {"not_run": f"its package failed: {_failure(done.stderr, done.returncode)}"}
        answer: dict[str, Any] = json.loads(result.read_text())
        return answer


def _failure(stderr: str, code: int) -> str:
    """The kind of error and where it was raised."""
    last = next((line for line in reversed(stderr.splitlines()) if line.strip()), "")
    kind = re.match(r"[\w.]+(?=:|$)", last)
    places = _PLACE.findall(stderr)
    where = f" in {Path(places[-1][0]).name}, line {places[-1][1]}" if places else ""
    return f"{kind.group() if kind else 'no error named'}{where} (exit code {code})"


def _summed(answer: dict[str, Any], texts: int) -> dict[str, Any]:
    if "not_run" in answer:
        return answer
    parts: dict[str, list[float]] = answer["scores"]
    if wrong := sorted(name for name, values in parts.items() if len(values) != texts):
        return {"not_run": f"its package scored another number of texts ({', '.join(wrong)})"}
    if set(_RADCLIQ) <= set(parts):
        parts["radcliq_v1"] = radcliq_v1(parts)
    scores: dict[str, Any] = {name: bootstrap_mean(values)._asdict() for name, values in parts.items()}
    if "labels" in answer:
        scores |= _label_scores(answer["labels"])
    if value := scores.get("radcliq_v1", {}).get("value"):
        scores["inverse_radcliq_v1"] = {"value": 1 / value}  # ReXrank's order; higher is better
    return {"n": texts, "scores": scores, "packages": answer["packages"]}


def _label_scores(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Micro and macro F1 over CheXbert's 14 observations and the usual five."""
    names: list[str] = labels["names"]
    pairs = [
        tuple(frozenset(name for name, there in zip(names, row, strict=True) if there == 1) for row in both)
        for both in zip(labels["given"], labels["true"], strict=True)
    ]
    scores: dict[str, Any] = {}
    for count, kept in (("14", frozenset(names)), ("5", frozenset(labels["five"]))):
        chosen = [(given & kept, true & kept) for given, true in pairs]
        scores[f"chexbert_micro_f1_{count}"] = bootstrap_f1(chosen)._asdict()
        each = [_f1_of(name, chosen) for name in kept]
        scores[f"chexbert_macro_f1_{count}"] = {"value": sum(each) / len(each)}
    return scores


def _f1_of(name: str, pairs: Sequence[tuple[frozenset[str], frozenset[str]]]) -> float:
    """F1 of one label; 0 where nobody names it, as scikit-learn has it by default."""
    both = sum(name in given and name in true for given, true in pairs)
    named = sum((name in given) + (name in true) for given, true in pairs)
    return 2 * both / named if named else 0.0
