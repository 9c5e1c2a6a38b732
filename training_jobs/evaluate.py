"""How good a bundle is, on phantoms of known truth and on real films, beside answers that never saw the image."""

from collections import deque
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_jobs.corpora.scored_films import films, most_frequent_text
from training_jobs.drawers.drawings import draw
from training_jobs.drawers.drawings import phantoms as phantom_drawings
from training_jobs.drawers.grey import png, read_film
from xraygpt_core.model.backend import Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.phantoms.findings import LABELS, View
from xraygpt_core.report.controls import most_frequent_report, name_everything, swapped
from xraygpt_core.report.labeller import label_report, view_of
from xraygpt_core.report.scores import bootstrap_f1, bootstrap_mean, exact_share, micro_f1, rouge_l
from xraygpt_core.training.config import Phantoms

Labels = frozenset[str]
Notify = Callable[[int, int], None]


@dataclass(frozen=True)
class Truth:
    """What a phantom shows."""

    labels: Labels
    view: View
    report: str


def evaluate_phantoms(
    bundle: Bundle, phantoms: Phantoms, batch: int, notify: Notify, device: str = "auto"
) -> dict[str, Any]:
    """Finding-F1, exact sets and view on phantoms; controls: swapped images, most frequent report, all named."""
    pictures, truths = _phantoms(phantoms)
    texts = summaries(bundle, pictures, batch, notify, device)
    found = [label_report(text) for text in texts]
    pairs: list[tuple[Set[str], Set[str]]] = [(a, truth.labels) for a, truth in zip(found, truths, strict=True)]
    other = [(a, truth.labels) for a, truth in swapped(found, truths)]
    usual = label_report(most_frequent_report([truth.report for truth in truths]))
    everything = name_everything([truth.labels for truth in truths], LABELS)
    written = list(zip(texts, truths, strict=True))
    views = [float(view_of(text) == truth.view) for text, truth in written]
    return {
        "n": len(truths),
        "scores": {
            "finding_f1": bootstrap_f1(pairs)._asdict(),
            "exact_set": bootstrap_mean([float(a == b) for a, b in pairs])._asdict(),
            "view": bootstrap_mean(views)._asdict(),
            "rouge_l": bootstrap_mean([rouge_l(text, truth.report).f1 for text, truth in written])._asdict(),
        },
        "controls": {
            "swapped_image": {"finding_f1": micro_f1(other).f1, "exact_set": exact_share(other)},
            "most_frequent_report": {"finding_f1": micro_f1([(usual, truth.labels) for truth in truths]).f1},
            "name_every_finding": {"finding_f1": micro_f1(everything).f1},
        },
        "labels": {label: micro_f1([(a & {label}, b & {label}) for a, b in pairs]).f1 for label in LABELS},
    }


def evaluate_films(
    bundle: Bundle, data: Path, split: str, batch: int, notify: Notify, device: str = "auto"
) -> dict[str, Any]:
    """ROUGE-L against the texts of one split's films, and F1 over the kinds of finding their labels name."""
    chosen = films(data, split)
    texts = summaries(bundle, [png(read_film(film.file)) for film in chosen], batch, notify, device)
    written = list(zip(texts, chosen, strict=True))
    usual = most_frequent_text(films(data, "train"))
    kinds = [_kinds(label_report(text)) for text in texts]
    pairs: list[tuple[Set[str], Set[str]]] = [(a, film.kinds) for a, film in zip(kinds, chosen, strict=True)]
    other = [(a, film.kinds) for a, film in swapped(kinds, chosen)]
    everything = " ".join(["Findings: AP view.", *(label.replace("_", " ") + "." for label in LABELS)])
    return {
        "n": len(chosen),
        "scores": {
            "rouge_l": bootstrap_mean(_rouge(written))._asdict(),
            "kind_f1": bootstrap_f1(pairs)._asdict(),
            "view": bootstrap_mean([float(view_of(text) == film.view) for text, film in written])._asdict(),
        },
        "controls": {
            "swapped_image": {"rouge_l": _mean(_rouge(swapped(texts, chosen))), "kind_f1": micro_f1(other).f1},
            "most_frequent_report": {"rouge_l": _mean(_rouge((usual, film) for film in chosen))},
            "name_every_finding": {
                "rouge_l": _mean(_rouge((everything, film) for film in chosen)),
                "kind_f1": micro_f1([(_kinds(frozenset(LABELS)), film.kinds) for film in chosen]).f1,
            },
        },
    }


def summaries(bundle: Bundle, pictures: Sequence[bytes], batch: int, notify: Notify, device: str = "auto") -> list[str]:
    """The text for each PNG, made by the engine that serves; only so many pictures are decoded as keep it busy."""
    texts: list[str] = []
    waiting: deque[Future[Generated]] = deque()
    with closing(Engine(bundle, device=device, batch_size=batch)) as engine:
        for number, picture in enumerate(pictures, 1):
            waiting.append(engine.submit(GenerationRequest(picture)))
            while waiting and (len(waiting) > 2 * batch or number == len(pictures)):
                texts.append(waiting.popleft().result().text)
                notify(len(texts), len(pictures))
    return texts


def _phantoms(phantoms: Phantoms) -> tuple[list[bytes], list[Truth]]:
    drawn = [draw(drawing) for drawing in phantom_drawings(phantoms)]
    return [one.png for one in drawn], [Truth(one.labels, one.view, one.report) for one in drawn]


def _kinds(labels: Labels) -> frozenset[str]:
    """Findings without side and zone, as film labels name them."""
    return frozenset(label.split("_")[0] for label in labels) - {"device"}


def _rouge(pairs: Any) -> list[float]:
    return [rouge_l(text, film.text).f1 for text, film in pairs]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
