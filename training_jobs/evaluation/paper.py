"""Table 1 of the XrayGPT paper (arXiv 2306.07971): four models, ROUGE-1, -2 and -L, ours beside the published figures.

The rows swap encoder and language model, not data sets. What makes ours comparable and what does not:

- Before a text is scored it is cleaned as the released code does it (``tasks/base_task.py``): ``<Img>``,
  ``Impression:``, line breaks, ``#`` and ``___`` are deleted, and a line break leaves no space.
- The reference is the set's text as it is. The paper's is the summary that GPT-3.5 made of a MIMIC-CXR report: curate
  the reports first (docs/training.md, "Curation"). Neither the size of its test set nor its ROUGE's settings are known.
- The paper draws its texts (top_p 0.9) and asks a random question; ours are decoded as the bundle says.
- Whether a text follows its film no ROUGE says. So each row has F1 over kinds of finding, read by the labeller out of
  text and reference, and the same figures for answers that never saw the film.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training_jobs.corpora.mixtures import demo_films
from training_jobs.evaluation.kept_texts import KeptTexts
from training_jobs.evaluation.writing import Notify
from xraygpt_core.durable import flush
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.controls import most_frequent_report, name_everything, swapped
from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.ngrams import rouge_n
from xraygpt_core.report.scores import bootstrap_f1, bootstrap_mean, micro_f1, rouge_l
from xraygpt_core.training.datasets.files import open_set
from xraygpt_core.training.datasets.problems import stop_at
from xraygpt_core.training.datasets.read import read_set
from xraygpt_core.training.mixture import SetSpec, read_mixture

_DELETED = ("<Img>", "Impression:", "\n", "#", "___")
_FILM_TEXT = {"text": "template_text"}  # the column of a data directory that a film's text stands in


@dataclass(frozen=True)
class Row:
    """A row of the paper's table."""

    title: str
    rouge1: float
    rouge2: float
    rouge_l: float


ROWS = {
    "minigpt4": Row("MiniGPT-4, the baseline", 0.1313, 0.0221, 0.0879),
    "medclip": Row("+ medical encoder (MedCLIP)", 0.1517, 0.0308, 0.0973),
    "medvicuna": Row("+ LLM of patient-doctor dialogues", 0.2099, 0.0551, 0.1284),
    "xraygpt": Row("+ LLM of radiology dialogues = XrayGPT", 0.3213, 0.0912, 0.1997),
}


@dataclass(frozen=True)
class Case:
    """A film of the set, and the text that is right."""

    uid: str
    file: Path
    reference: str


def paper_table(
    bundles: Mapping[str, Bundle], data: Path, split: str, out: Path, *, batch: int, device: str, notify: Notify
) -> dict[str, Any]:
    """All four rows; one without a bundle is listed as not run.

    Args:
        data: a mixture's TOML file, or a data directory with ``manifest.jsonl``.
        out: a folder for each row's texts, ``ROW.jsonl``; a run that was killed goes on from there.

    Raises:
        TrainingError: a row that the table does not have; the set has no text in this split; a film that gives no text.
    """
    if other := sorted(set(bundles) - set(ROWS)):
        raise TrainingError(f"the paper's table has no row {', '.join(other)}; it has {', '.join(ROWS)}")
    cases, usual = _cases(data, split)
    out.mkdir(parents=True, exist_ok=True, mode=0o700)  # these are texts about patients
    rows = []
    for name, row in ROWS.items():
        published = {"rouge1": row.rouge1, "rouge2": row.rouge2, "rouge_l": row.rouge_l}
        known = {"name": name, "title": row.title, "published": published}
        if name not in bundles:
            rows.append(known | {"not_run": "no bundle was given for this row"})
            continue
        bundle = bundles[name]
        texts = _texts(bundle, cases, out / name, batch=batch, device=device, notify=notify)
        rows.append(known | {"bundle": bundle.name} | scored(texts, [case.reference for case in cases], usual))
    return {"data": data.name, "split": split, "n": len(cases), "rows": rows}


def clean_up(text: str) -> str:
    """A prediction as the released code scores it."""
    for word in _DELETED:
        text = text.replace(word, "")
    return text


def scored(texts: Sequence[str], references: Sequence[str], usual: str) -> dict[str, Any]:
    """``{"scores": {name: interval}, "controls": {control: {name: value}}}`` of texts in the order of the references.

    Args:
        usual: the text of the control that is the same for every film.
    """
    cleaned = [clean_up(text) for text in texts]
    found, true = [_kinds(text) for text in texts], [_kinds(text) for text in references]
    scores = {name: bootstrap_mean(values)._asdict() for name, values in _rouge(cleaned, references).items()}
    others = [reference for _, reference in swapped(cleaned, references)]
    moved = [text for text, _ in swapped(cleaned, references)]
    controls = {
        "swapped_image": _means(moved, others) | {"kind_f1": micro_f1(swapped(found, true)).f1},
        "most_frequent_report": _means([clean_up(usual)] * len(references), references)
        | {"kind_f1": micro_f1([(_kinds(usual), one) for one in true]).f1},
        "name_every_finding": {"kind_f1": micro_f1(name_everything(true, sorted(_all_kinds()))).f1},
    }
    f1 = bootstrap_f1(list(zip(found, true, strict=True)))._asdict()
    return {"scores": {**scores, "kind_f1": f1}, "controls": controls}


def markdown(table: Mapping[str, Any]) -> str:
    """The table for people: ours with its interval, the published figure behind it, the swapped image's below."""
    lines = [
        f"{table['n']} films of {table['data']}, {table['split']}. Published figures: MIMIC-CXR, not the same films.",
        "",
        "| row | R-1 (published) | R-2 (published) | R-L (published) | F1 of kinds |",
        "|---|---|---|---|---|",
    ]
    for row in table["rows"]:
        said = row["published"]
        if "not_run" in row:
            cells = [f"not run ({said[name]:.4f})" for name in said]
            lines.append(f"| {' | '.join([row['title'], *cells, 'not run'])} |")
            continue
        cells = [f"{_shown(row['scores'][name])} ({said[name]:.4f})" for name in said]
        lines.append(f"| {' | '.join([row['title'], *cells, _shown(row['scores']['kind_f1'])])} |")
        other = row["controls"]["swapped_image"]
        cells = [f"{other[name]:.4f}" for name in (*said, "kind_f1")]
        lines.append(f"| {' | '.join(['… beside another film', *cells])} |")
    return "\n".join(lines) + "\n"


def _shown(score: Mapping[str, float]) -> str:
    return f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"


def _cases(data: Path, split: str) -> tuple[list[Case], str]:
    """The films with a text of one split, and the usual text: of those to train on, or of these if there are none."""
    cases: list[Case] = []
    train: list[str] = []
    for spec in _sets(data):
        files, images = open_set(spec)
        reading = read_set(spec, files, images)
        for pair in reading.pairs:
            if pair.text and pair.split == split:
                cases.append(Case(f"{spec.name}/{pair.pair_id}", images.path(pair.image), pair.text))
            elif pair.text and pair.split == "train":
                train.append(pair.text)
        stop_at([reading.problems])
    if len(cases) < 2:
        raise TrainingError(f"{data} has {len(cases)} films with a text in its {split} split; two are needed")
    return cases, most_frequent_report(train or [case.reference for case in cases])


def _sets(data: Path) -> Sequence[SetSpec]:
    if data.suffix == ".toml":
        return read_mixture(data).sets
    return [replace(spec, columns=_FILM_TEXT) for spec in demo_films(data)]


def _texts(bundle: Bundle, cases: Sequence[Case], file: Path, *, batch: int, device: str, notify: Notify) -> list[str]:
    """The bundle's text about each film, also as ``ROW.jsonl`` for judges and published metrics."""
    asked = hashlib.sha256(json.dumps([[case.uid, case.reference] for case in cases]).encode()).hexdigest()
    with KeptTexts(file.with_name(f"{file.name}.part.jsonl"), f"{bundle.sha256} {asked}") as kept:
        films = {case.uid: case.file for case in cases}
        kept.write(bundle, films, batch=batch, device=device, notify=notify)
        texts = [kept.texts[case.uid] for case in cases]
    with file.with_name(f"{file.name}.jsonl").open("w", encoding="utf-8") as lines:
        for case, text in zip(cases, texts, strict=True):
            lines.write(json.dumps({"id": case.uid, "candidate": text, "reference": case.reference}) + "\n")
    flush(file.with_name(f"{file.name}.jsonl"))
    return texts


def _rouge(texts: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    pairs = list(zip(texts, references, strict=True))
    return {
        "rouge1": [rouge_n(text, reference, 1).f1 for text, reference in pairs],
        "rouge2": [rouge_n(text, reference, 2).f1 for text, reference in pairs],
        "rouge_l": [rouge_l(text, reference).f1 for text, reference in pairs],
    }


def _means(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    return {name: sum(values) / len(values) for name, values in _rouge(texts, references).items()}


def _kinds(text: str) -> frozenset[str]:
    """Findings without side and zone, so that a text is compared with references of any detail."""
    return frozenset(label.split("_")[0] for label in label_report(text))


def _all_kinds() -> frozenset[str]:
    return frozenset(label.split("_")[0] for label in LABELS)
